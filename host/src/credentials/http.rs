//! The one HTTP client of this room: bounded in time and size, and discreet.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use reqwest::{Client, RequestBuilder, StatusCode, header, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;

use crate::resolve::OwnNames;

const CONNECT: Duration = Duration::from_secs(5);
/// For a whole call (pi-ai 0.87.1, auth/oauth/anthropic.js).
pub(super) const TOTAL: Duration = Duration::from_secs(30);
/// An answer with tokens has some kilobytes.
const MOST_BODY: usize = 256 << 10;
/// Characters of an error's body that a log or a message keeps (oauth.md 3.1).
const BODY_KEPT: usize = 200;
/// Shorter runs of letters and digits are words, not tokens.
const SHORTEST_TOKEN: usize = 20;

/// Cheap to clone. The client is made at its first use: most commands never need it.
#[derive(Clone, Debug, Default)]
pub(super) struct Http {
    /// A proxy of the environment is passed by: what goes to this machine stays on it.
    direct: bool,
    client: Arc<OnceLock<Result<Client, String>>>,
}

/// A server's answer, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Http {
    pub(super) fn for_endpoints(endpoints: &super::Endpoints) -> Self {
        Self { direct: endpoints.is_stand_in(), ..Self::default() }
    }

    /// # Errors
    /// In words, where the machine has no usable TLS set-up.
    pub(super) fn client(&self) -> Result<&Client, String> {
        let made = self.client.get_or_init(|| {
            let builder = Client::builder().dns_resolver(Arc::new(OwnNames::default()));
            let builder = if self.direct { builder.no_proxy() } else { builder };
            builder
                .connect_timeout(CONNECT)
                .timeout(TOTAL)
                // A token goes where it was meant to go, and nowhere else.
                .redirect(redirect::Policy::none())
                .build()
                .map_err(|error| format!("no HTTP client: {error}"))
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// Sends a request. One that never reached a server is sent again, twice: nothing was consumed.
    ///
    /// # Errors
    /// In words, without the tokens of the request.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, String> {
        let attempt = || async {
            let request = request.try_clone();
            request.ok_or(None)?.send().await.map_err(Some)
        };
        let backoff = ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(2);
        let sent = attempt.retry(backoff).when(|error| error.as_ref().is_some_and(reqwest::Error::is_connect)).await;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return Err(error.map_or("the request cannot be sent".to_owned(), |error| in_words(&error))),
        };
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.trim().parse::<f64>().ok().filter(|seconds| (0.0..1e9).contains(seconds)));
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| in_words(&error))? {
            if body.len() + piece.len() > MOST_BODY {
                return Err(format!("the answer has more than {} KiB", MOST_BODY >> 10));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status, retry_after: retry_after.map(Duration::from_secs_f64), body })
    }
}

impl Answer {
    pub(super) fn json(&self) -> Option<Json> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Status and the body's beginning, without `secrets` and what looks like one.
    pub(super) fn describe(&self, secrets: &[&SecretString]) -> String {
        let body = redact(&String::from_utf8_lossy(&self.body), secrets);
        match body.trim() {
            "" => self.status.to_string(),
            body => format!("{}: {}", self.status, shorten(body)),
        }
    }
}

/// The cause of causes, without the URL: a query may hold a code.
fn in_words(error: &reqwest::Error) -> String {
    let kind = match error {
        error if error.is_timeout() => "timed out",
        error if error.is_connect() => "cannot connect",
        error if error.is_body() || error.is_decode() => "the answer broke off",
        _ => "the request failed",
    };
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let host = error.url().and_then(|url| url.host_str()).unwrap_or_default();
    if std::ptr::eq(cause, error as &dyn std::error::Error) {
        format!("{host}: {kind}")
    } else {
        format!("{host}: {kind}: {}", redact(&cause.to_string(), &[]))
    }
}

/// `text` without `secrets`, and without anything else that is as long and mixed as a token.
pub(super) fn redact(text: &str, secrets: &[&SecretString]) -> String {
    const GONE: &str = "[redacted]";
    let mut text = text.to_owned();
    for secret in secrets.iter().map(|secret| secret.expose_secret()).filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, GONE);
    }
    let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '+' | '/' | '=');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(of_token) {
        clean.push_str(&rest[..start]);
        let end = rest[start..].find(|c| !of_token(c)).map_or(rest.len(), |length| start + length);
        let run = &rest[start..end];
        let mixed = run.contains(|c: char| c.is_ascii_digit()) && run.contains(|c: char| c.is_ascii_alphabetic());
        clean.push_str(if run.len() >= SHORTEST_TOKEN && mixed { GONE } else { run });
        rest = &rest[end..];
    }
    clean.push_str(rest);
    clean
}

pub(super) fn shorten(text: &str) -> &str {
    text.char_indices().nth(BODY_KEPT).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_lose_their_tokens() {
        let known = SecretString::from("short-1");
        let text = redact(
            r#"{"error":"invalid_grant","refresh_token":"sk-ant-ort01-A1b2C3d4E5f6G7h8","x":"short-1"}"#,
            &[&known],
        );
        assert_eq!(text, r#"{"error":"invalid_grant","refresh_token":"[redacted]","x":"[redacted]"}"#);
        assert_eq!(
            redact("a plain sentence, wordswithoutanydigitsinthem", &[]),
            "a plain sentence, wordswithoutanydigitsinthem"
        );
    }

    /// oauth.md #8: 200 characters of a body are kept.
    #[test]
    fn bodies_are_cut() {
        let answer =
            Answer { status: StatusCode::INTERNAL_SERVER_ERROR, retry_after: None, body: "é ".repeat(500).into() };
        assert_eq!(answer.describe(&[]).chars().count(), "500 Internal Server Error: ".len() + 200);
    }
}

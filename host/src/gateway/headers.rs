//! Which headers pass, in each direction. What is not named stays behind: a client must not choose
//! whose account pays, nor bring a credential of its own.

use axum::http::{HeaderMap, HeaderName, header};

/// Of a request.
const ASKED: &[&str] = &[
    "accept",
    "content-type",
    "http-referer",
    "nvcf-poll-seconds",
    "openai-beta",
    "openai-intent",
    "originator",
    "session-id",
    "user-agent",
    "x-app",
    "x-client-request-id",
    "x-initiator",
    "x-session-affinity",
    "x-session-id",
    "x-title",
];
const ASKED_FAMILIES: &[&str] = &["anthropic-", "copilot-", "editor-", "x-stainless-"];

/// Of an answer, these stay behind: they belong to one connection (RFC 9110 section 7.6.1), or to
/// the host's relation with the provider.
const KEPT_BACK: &[HeaderName] = &[
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::PROXY_AUTHENTICATE,
    header::SET_COOKIE,
    header::ALT_SVC,
    header::STRICT_TRANSPORT_SECURITY,
];

pub(super) fn of_request(client: &HeaderMap) -> HeaderMap {
    let passes = |name: &str| ASKED.contains(&name) || ASKED_FAMILIES.iter().any(|family| name.starts_with(family));
    client.iter().filter(|(name, _)| passes(name.as_str())).map(|(name, value)| (name.clone(), value.clone())).collect()
}

pub(super) fn of_answer(provider: &HeaderMap) -> HeaderMap {
    let passes = |name: &HeaderName| !KEPT_BACK.contains(name) && name != "keep-alive";
    provider.iter().filter(|(name, _)| passes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn no_credential_and_no_account_of_the_client_passes() {
        let client: HeaderMap = [
            "authorization",
            "x-api-key",
            "x-goog-api-key",
            "api-key",
            "cookie",
            "proxy-authorization",
            "openai-organization",
            "openai-project",
            "chatgpt-account-id",
            "host",
            "connection",
            "content-length",
            "accept-encoding",
            "x-forwarded-for",
            "content-encoding",
            "anthropic-beta",
            "anthropic-version",
            "content-type",
        ]
        .iter()
        .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")))
        .collect();
        let mut passed: Vec<_> = of_request(&client).keys().map(|name| name.as_str().to_owned()).collect();
        passed.sort();
        assert_eq!(passed, ["anthropic-beta", "anthropic-version", "content-type"]);
    }

    #[test]
    fn an_answer_keeps_what_a_client_acts_on() {
        let answer: HeaderMap =
            ["retry-after", "request-id", "content-type", "set-cookie", "transfer-encoding", "keep-alive"]
                .iter()
                .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")))
                .collect();
        let mut passed: Vec<_> = of_answer(&answer).keys().map(|name| name.as_str().to_owned()).collect();
        passed.sort();
        assert_eq!(passed, ["content-type", "request-id", "retry-after"]);
    }
}

//! One model request: looked at, paid for, passed on, and its answer streamed back.

use std::{sync::atomic::Ordering, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use mercury_protocol::socket::MODEL;
use secrecy::ExposeSecret;

use super::{
    Access, Upstream,
    api::Endpoint,
    ask::Ask,
    count,
    error::Refused,
    features::{self, Node},
    headers,
    meter::{Call, Form, Meter},
};
use crate::{
    clock,
    credentials::{CredentialError, Credentials, Token},
    domain::price,
    store::NewCall,
};

/// The largest request that Anthropic takes: 32 MiB (pi-ai 0.87.1, `inputLimits.maxRequestBytes`).
const MOST_BODY: usize = 32 << 20;
/// How long a request's body may take to arrive from the container.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
/// A provider's error is read whole up to this size, to keep the credential out of it: 1 MiB.
const MOST_ERROR: usize = 1 << 20;
/// A token that expires sooner is renewed before the call.
const MIN_VALIDITY: Duration = Duration::from_secs(60);

/// Refusals of one run that are logged where operators look, and characters of each.
const MOST_LOGGED: u32 = 100;
const MOST_REASON: usize = 500;
/// The longest name of a model, in bytes: it goes into the ledger and the log.
pub(super) const MOST_NAME: usize = 256;

pub(super) async fn forward(State(access): State<Access>, request: Request) -> Response {
    match access.forward(request).await {
        Ok(response) => response,
        Err(refused) => {
            let run = access.payer.run.as_str();
            // It may quote the request.
            let reason: String = refused.to_string().escape_debug().take(MOST_REASON).collect();
            if access.refused.fetch_add(1, Ordering::Relaxed) < MOST_LOGGED {
                tracing::info!(run, "model request refused: {reason}");
            } else {
                tracing::debug!(run, "model request refused: {reason}");
            }
            access.note(&refused);
            refused.into_response()
        }
    }
}

impl Access {
    async fn forward(&self, request: Request) -> Result<Response, Refused> {
        let path = request.uri().path().to_owned();
        let below = path.strip_prefix(MODEL).and_then(|path| path.strip_prefix('/')).unwrap_or_default();
        let (provider, rest) = below.split_once('/').unwrap_or((below, ""));
        let upstream = self.upstream(provider).ok_or_else(|| Refused::Provider(provider.to_owned()))?;
        let endpoint = Endpoint::parse(rest).ok_or_else(|| Refused::Endpoint(rest.to_owned()))?;
        let url = upstream.url(&endpoint).ok_or_else(|| Refused::Endpoint(rest.to_owned()))?;
        // Before the body is read: what waits costs no memory.
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Refused::Provider(provider.to_owned()))?;
        let headers = headers::of_request(request.headers());
        let encoded = request.headers().contains_key(header::CONTENT_ENCODING);
        if encoded {
            return Err(Refused::Unreadable("it is compressed, and its model cannot be seen".into()));
        }
        let body = read(request.into_body()).await?;
        if features::too_intricate(&body) {
            return Err(Refused::Unreadable("it has too many parts".into()));
        }
        let unreadable = |error: serde_json::Error| Refused::Unreadable(error.to_string());
        let ask = Ask::parse(&body).map_err(unreadable)?;
        let model = self.permitted(provider, &endpoint, &ask)?;

        let most = {
            let body = Node::parse(&body).map_err(unreadable)?;
            features::check(endpoint.api, &body).map_err(Refused::Feature)?;
            features::most_output(endpoint.api, &body)
        };
        let asked = count::estimate(body.len());
        let price = upstream.price(&model);
        let tokens = price::Tokens { input: asked, ..price::Tokens::default() };
        let call = NewCall {
            run: self.payer.run.clone(),
            space: self.payer.space.clone(),
            person: self.payer.person.clone(),
            provider: provider.to_owned(),
            model: model.clone(),
            began_at: clock::millis(),
            asked_tokens: asked,
            asked_micro_usd: price.as_ref().map(|price| price.micro_usd(tokens, 1.0)),
        };
        let row = self.gateway.store.admit(call, self.gateway.budgets).await?.map_err(Refused::Budget)?;
        let call = Call { row, api: endpoint.api, upstream: upstream.clone(), model, asked, most };
        let gateway = &self.gateway;
        let meter = Meter::start(call, gateway.store.clone(), permit, &gateway.tasks, gateway.stop.clone());
        match self.send(&upstream, &endpoint, url, headers, body, &meter).await {
            Ok((answer, token)) => Ok(pass_on(answer, token, meter).await),
            // It got the request, and may charge for it: the estimate stands.
            Err(refused @ (Refused::Silent { .. } | Refused::Unreachable { sent: true, .. })) => Err(refused),
            Err(refused) => {
                meter.failed();
                Err(refused)
            }
        }
    }

    /// The model that is asked for, if this run may ask for it and for all that may stand in for it.
    fn permitted(&self, provider: &str, endpoint: &Endpoint<'_>, ask: &Ask) -> Result<String, Refused> {
        let allowed = &self.gateway.allowed;
        let model = endpoint.model.map(str::to_owned).or_else(|| ask.model.clone());
        let model = model.ok_or_else(|| Refused::Unreadable("it names no `model`".into()))?;
        // Before anything repeats them.
        let named = std::iter::once(&model).chain(&ask.alternatives).chain(&ask.fallbacks);
        if named.into_iter().any(|name| name.len() > MOST_NAME || name.chars().any(char::is_control)) {
            return Err(Refused::Unreadable("no model is called what its `model` says".into()));
        }
        let refuse = |model: &str| Err(Refused::Model(format!("{provider}/{model}")));
        if !allowed.permits(provider, &model) {
            return refuse(&model);
        }
        if let Some(other) = ask.alternatives.iter().find(|other| !allowed.permits(provider, other)) {
            return refuse(other);
        }
        // pi names fallbacks of its own accord: those that cost no more need no word of the operator.
        let limit = self.price(provider, &model).map(|price| price.base);
        let cheaper = |other: &str| {
            self.price(provider, other)
                .zip(limit)
                .is_some_and(|(other, limit)| other.base.input <= limit.input && other.base.output <= limit.output)
        };
        match ask.fallbacks.iter().find(|other| !allowed.permits(provider, other) && !cheaper(other)) {
            Some(other) => refuse(other),
            None => Ok(model),
        }
    }

    /// Sends the request with the credential, and once more with another one where the first is
    /// refused.
    async fn send(
        &self,
        upstream: &Upstream,
        endpoint: &Endpoint<'_>,
        url: String,
        headers: HeaderMap,
        body: Bytes,
        meter: &Meter,
    ) -> Result<(reqwest::Response, Option<Token>), Refused> {
        let provider = upstream.provider.as_str();
        let send = |headers, body| {
            let sent = self.gateway.client.post(url.as_str()).headers(headers).body(body).send();
            let provider = provider.to_owned();
            async move {
                // From here on the provider may charge for it, whether or not anybody waits.
                meter.sent();
                sent.await.map_err(|error| unreachable(&provider, error))
            }
        };
        if !upstream.takes_credential(&self.gateway.credentials) {
            return Ok((send(headers, body).await?, None));
        }
        let attempt = |token: Token| {
            let mut headers = headers.clone();
            let fits = endpoint.api.authorize(provider, &token, &mut headers);
            let sent = send(headers, body.clone());
            let refused = Refused::BadCredential(provider.to_owned());
            async move { if fits { sent.await } else { Err(refused) } }
        };
        let accepted = |answer: &reqwest::Response| answer.status() != StatusCode::UNAUTHORIZED;
        let (answer, token) = renewing(&self.gateway.credentials, provider, attempt, accepted).await?;
        Ok((answer, Some(token)))
    }
}

/// Where tokens come from.
trait Tokens: Sync {
    fn token(&self, provider: &str) -> impl Future<Output = Result<Token, CredentialError>> + Send;
    fn refused(&self, provider: &str, token: &Token) -> impl Future<Output = ()> + Send;
}

impl Tokens for Credentials {
    async fn token(&self, provider: &str) -> Result<Token, CredentialError> {
        Self::token(self, provider, MIN_VALIDITY).await
    }

    async fn refused(&self, provider: &str, token: &Token) {
        Self::refused(self, provider, token).await;
    }
}

/// Makes an attempt with a token and, where the provider did not accept that, one more with another.
async fn renewing<A, F: Future<Output = Result<A, Refused>>>(
    tokens: &impl Tokens,
    provider: &str,
    attempt: impl Fn(Token) -> F,
    accepted: impl Fn(&A) -> bool,
) -> Result<(A, Token), Refused> {
    let token = tokens.token(provider).await?;
    let answer = attempt(token.clone()).await?;
    if accepted(&answer) {
        return Ok((answer, token));
    }
    tracing::info!(provider, "the provider refused the credential");
    tokens.refused(provider, &token).await;
    match tokens.token(provider).await {
        Ok(other) if other.secret.expose_secret() != token.secret.expose_secret() => {
            Ok((attempt(other.clone()).await?, other))
        }
        // There is none: the provider's own words say it best.
        _ => Ok((answer, token)),
    }
}

async fn read(body: Body) -> Result<Bytes, Refused> {
    match tokio::time::timeout(BODY_PATIENCE, axum::body::to_bytes(body, MOST_BODY)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error))
            if std::error::Error::source(&error)
                .is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) =>
        {
            Err(Refused::TooLarge(MOST_BODY))
        }
        Ok(Err(error)) => Err(Refused::Unreadable(error.to_string())),
        Err(_) => Err(Refused::Unreadable("it did not arrive in time".into())),
    }
}

/// Without the address: an endpoint may hold a password.
fn unreachable(provider: &str, error: reqwest::Error) -> Refused {
    let provider = provider.to_owned();
    if error.is_timeout() && !error.is_connect() {
        return Refused::Silent { provider };
    }
    let sent = !error.is_connect() && !error.is_builder();
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    Refused::Unreachable { provider, reason, sent }
}

async fn pass_on(answer: reqwest::Response, token: Option<Token>, meter: Meter) -> Response {
    let status = answer.status();
    let mut headers = headers::of_answer(answer.headers());
    if !status.is_success() {
        meter.failed();
        return error(answer, headers, token.as_ref()).await;
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let form = if kind.starts_with("text/event-stream") { Form::Events } else { Form::Json };
    let pieces = meter.begin(form);
    // The meter ends when this stream does, or when the client lets go of it.
    let stream = answer.bytes_stream().inspect(move |piece| {
        if let Ok(piece) = piece {
            let _ = pieces.send(piece.clone());
        }
    });
    headers.remove(header::CONTENT_LENGTH);
    (status, headers, Body::from_stream(stream)).into_response()
}

/// Passes a provider's error on as it is, but for the credential, should a server quote it.
async fn error(answer: reqwest::Response, mut headers: HeaderMap, token: Option<&Token>) -> Response {
    let status = answer.status();
    let mut stream = answer.bytes_stream();
    let mut body = Vec::new();
    while let Some(Ok(piece)) = stream.next().await {
        let room = MOST_ERROR.saturating_sub(body.len());
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if body.len() == MOST_ERROR {
            break;
        }
    }
    if let Some(token) = token {
        body = without(body, token.secret.expose_secret());
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    tracing::info!(status = status.as_u16(), "a model provider answered with an error");
    (status, headers, Body::from(body)).into_response()
}

fn without(body: Vec<u8>, secret: &str) -> Vec<u8> {
    match std::str::from_utf8(&body) {
        Ok(text) if !secret.is_empty() && text.contains(secret) => text.replace(secret, "(credential)").into_bytes(),
        _ => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens in order, the next after each refusal.
    struct Rotating {
        left: std::sync::Mutex<Vec<&'static str>>,
    }

    impl Tokens for Rotating {
        async fn token(&self, provider: &str) -> Result<Token, CredentialError> {
            let missing =
                || CredentialError::Missing { provider: provider.to_owned(), variable: None, auth_path: None };
            let secret = *self.left.lock().unwrap().first().ok_or_else(missing)?;
            Ok(Token { secret: secret.to_owned().into(), kind: crate::credentials::TokenKind::OAuth })
        }

        async fn refused(&self, _: &str, token: &Token) {
            self.left.lock().unwrap().retain(|left| *left != token.secret.expose_secret());
        }
    }

    async fn asked_with(tokens: &[&'static str], good: &str) -> (Result<String, Refused>, Vec<String>) {
        let tokens = Rotating { left: std::sync::Mutex::new(tokens.to_vec()) };
        let used = std::sync::Mutex::new(Vec::new());
        let attempt = |token: Token| {
            used.lock().unwrap().push(token.secret.expose_secret().to_owned());
            std::future::ready(Ok(token.secret.expose_secret().to_owned()))
        };
        let answer = renewing(&tokens, "p", attempt, |answer: &String| answer == good).await;
        let answer = answer.map(|(answer, token)| {
            assert_eq!(answer, token.secret.expose_secret(), "the token that is taken out of errors is the last one");
            answer
        });
        (answer, used.into_inner().unwrap())
    }

    #[tokio::test]
    async fn a_refused_token_is_renewed_once() {
        let (answer, used) = asked_with(&["old", "new"], "new").await;
        assert_eq!((answer.unwrap().as_str(), used.join(" ").as_str()), ("new", "old new"));
        let (answer, used) = asked_with(&["old", "new"], "old").await;
        assert_eq!((answer.unwrap().as_str(), used.len()), ("old", 1));
        let (answer, used) = asked_with(&["a", "b", "c"], "c").await;
        assert_eq!((answer.unwrap().as_str(), used.len()), ("b", 2), "never twice");
        let (answer, used) = asked_with(&["only"], "none").await;
        assert_eq!((answer.unwrap().as_str(), used.len()), ("only", 1), "the provider's own answer is passed on");
        assert!(matches!(asked_with(&[], "x").await.0, Err(Refused::Credential(_))));
    }

    #[tokio::test]
    async fn a_request_that_is_too_large_is_told_so() {
        let body = Body::from(vec![b'x'; MOST_BODY + 1]);
        assert!(matches!(read(body).await, Err(Refused::TooLarge(_))));
        assert_eq!(read(Body::from("x")).await.unwrap(), "x");
    }

    #[test]
    fn a_quoted_credential_is_taken_out() {
        assert_eq!(without(b"bad key sk-1!".to_vec(), "sk-1"), b"bad key (credential)!");
        assert_eq!(without(vec![0xff, 0xfe], "sk-1"), [0xff, 0xfe]);
        assert_eq!(without(b"x".to_vec(), ""), b"x");
    }
}

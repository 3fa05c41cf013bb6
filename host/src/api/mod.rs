//! HTTP on TCP: `/chat`, health and metrics. Before the host is ready only `/health` answers.

mod adapters;
mod approvals;
mod chat;
mod config;
mod conversations;
mod deliveries;
mod files;
mod health;
mod mutes;
mod plugins;
mod prebuild;
mod recording;
mod stop;
mod webhooks;

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, delete, get, post, put},
};
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

use crate::{app::Rooms, config::Config, http::ApiError};

/// The largest request body, as in the replaced system: 50 MiB.
pub const MOST_BODY: usize = 50 << 20;

#[derive(Clone)]
pub struct Api {
    pub config: Arc<Config>,
    /// Set when the host is ready; until then it is warming up.
    pub rooms: Arc<OnceLock<Rooms>>,
    pub metrics: PrometheusHandle,
    pub began: Instant,
    /// Cancelled when the host stops: whoever waits is told.
    pub stopping: CancellationToken,
}

impl Api {
    pub fn router(self) -> Router {
        Router::new()
            .route("/health", get(health::health))
            .route("/metrics", get(health::metrics))
            .route("/chat", post(chat::chat))
            .route("/approvals", get(approvals::list))
            .route("/approvals/decisions", get(approvals::decisions))
            .route("/approvals/{question}", post(approvals::answer))
            .route("/api/plugins/reload", post(plugins::reload))
            .route("/api/plugins/{name}/purge", post(plugins::purge))
            .route("/api/plugins", get(plugins::list))
            .route("/api/plugins/{name}/log", get(plugins::log))
            .route("/api/stop", post(stop::stop))
            .route("/api/adapters", get(adapters::list))
            .route("/api/adapters/{platform}/restart", post(adapters::restart))
            .route("/api/conversations", get(conversations::list))
            .route("/api/conversations/{id}", put(conversations::link))
            .route("/api/deliveries", get(deliveries::list))
            .route("/api/deliveries/{id}/retry", post(deliveries::retry))
            .route("/api/mutes", get(mutes::list).post(mutes::set))
            .route("/api/mutes/{person}", delete(mutes::unset))
            .route("/webhooks/{platform}", any(webhooks::take))
            .route("/webhooks/{platform}/{*path}", any(webhooks::take))
            .route("/api/config", get(config::list).put(config::set).delete(config::unset))
            .route("/api/plugins/jobs", get(plugins::jobs))
            .route("/api/plugins/widgets", get(plugins::widgets))
            .route("/api/plugins/{name}/recording", post(recording::record))
            .route("/pre-build-ext-image", post(prebuild::prebuild))
            .fallback(|| async { ApiError::not_found() })
            .method_not_allowed_fallback(|| async { ApiError::not_found() })
            .layer(middleware::from_fn_with_state(self.clone(), guard))
            .with_state(self)
    }

    /// The API secret, or where only a chat key is set, that one: no key at all means this machine.
    fn require_operator(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.config.api_secret.is_none() && is_foreign(headers) {
            return Err(foreign());
        }
        require(headers, self.config.api_secret.as_ref().or(self.config.chat_api_key.as_ref()))
    }

    fn rooms(&self) -> Result<&Rooms, ApiError> {
        self.rooms.get().ok_or_else(|| {
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "warming",
                "Starting…",
                "Ask again in a second; /health says when it is ready",
            )
        })
    }
}

/// What holds for every route: the size of bodies, and headers for whoever shows an answer in a browser.
async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    // Platforms come by a public name, and prove themselves to their adapters.
    let webhook = request.uri().path().starts_with("/webhooks/");
    if api.config.chat_api_key.is_none() && !webhook && is_foreign(request.headers()) {
        return foreign().into_response();
    }
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    let mut response = match declared {
        Some(length) if length > MOST_BODY as u64 => too_large().into_response(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in
        [("x-content-type-options", "nosniff"), ("cache-control", "no-store"), ("referrer-policy", "no-referrer")]
    {
        headers.entry(name).or_insert(header::HeaderValue::from_static(value));
    }
    response
}

/// Without a key the loopback is the boundary, and a browser on this machine is inside it. So what
/// a web page elsewhere sends is refused (it carries its origin), and a name that points here by
/// DNS rebinding as well (it is no name of this machine).
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let local = |authority: &str| {
        let host = authority
            .parse::<axum::http::uri::Authority>()
            .map(|authority| authority.host().to_owned())
            .unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    let origin = text(header::ORIGIN)
        .is_some_and(|origin| !origin.split_once("://").is_some_and(|(_, authority)| local(authority)));
    let host = text(header::HOST).is_some_and(|host| !local(host));
    origin || host
}

fn foreign() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "foreign_origin",
        "Without a chat key only programs on this machine may ask, by the name localhost",
        "Set MERCURY_CHAT_API_KEY, and send it as `Authorization: Bearer …`",
    )
}

fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "Request body too large: at most 50 MiB",
        "Send fewer or smaller files",
    )
}

/// Whether the request carries `secret` as its bearer, compared in constant time.
fn carries(headers: &HeaderMap, secret: &SecretString) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    given.is_some_and(|given| given.as_bytes().ct_eq(secret.expose_secret().as_bytes()).into())
}

fn require(headers: &HeaderMap, secret: Option<&SecretString>) -> Result<(), ApiError> {
    match secret {
        Some(secret) if !carries(headers, secret) => Err(ApiError::unauthorized()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_a_web_page_is_foreign() {
        let foreign = |pairs: &[(header::HeaderName, &'static str)]| {
            is_foreign(
                &pairs.iter().map(|(name, value)| (name.clone(), header::HeaderValue::from_static(value))).collect(),
            )
        };
        for host in ["localhost:8787", "127.0.0.1:8787", "[::1]:8787", "localhost"] {
            assert!(!foreign(&[(header::HOST, host)]), "{host}");
        }
        for host in ["evil.example", "evil.example:8787", "localhost.evil.example", "10.0.0.1", ""] {
            assert!(foreign(&[(header::HOST, host)]), "{host}");
        }
        let local = (header::HOST, "localhost:8787");
        assert!(foreign(&[local.clone(), (header::ORIGIN, "https://evil.example")]));
        assert!(foreign(&[local.clone(), (header::ORIGIN, "null")]));
        assert!(!foreign(&[local, (header::ORIGIN, "http://localhost:8787")]));
    }
}

//! HTTP on TCP: `/chat`, health and metrics. Before the host is ready only `/health` answers.

mod chat;
mod files;
mod health;

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
    routing::{get, post},
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
            .fallback(|| async { ApiError::not_found() })
            .method_not_allowed_fallback(|| async { ApiError::not_found() })
            .layer(middleware::from_fn_with_state(self.clone(), guard))
            .with_state(self)
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
async fn guard(State(_): State<Api>, request: Request, next: Next) -> Response {
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

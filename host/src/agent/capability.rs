//! Calls of plugins' capabilities: who calls is known by the socket, whatever a request says.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Request, State, rejection::BytesRejection},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use mercury_protocol::socket::{CAPABILITIES, CapabilityAnswer, CapabilityList};
use serde_json::{Value, json};

use super::Context;
use crate::{
    domain::json,
    http::ApiError,
    plugins::{Answer, BrokerError},
};

/// Calls of one run that are served at once; more wait for their turn.
pub(super) const MOST_CALLS: usize = 4;
/// How long a call may wait for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of arguments.
pub(super) const MOST_ARGUMENTS: usize = 1 << 20;
/// Values of arguments, about: each costs the host some hundred bytes.
const MOST_PARTS: usize = 50_000;

/// `GET /api/capability`
pub(super) async fn list(State(context): State<Context>) -> Json<CapabilityList> {
    let offers = context.plugins.offers(&context.identity.for_plugins()).await;
    Json(CapabilityList { capabilities: offers.iter().map(|offer| json!(offer)).collect() })
}

/// Before the body is read: what waits for its turn costs no memory.
pub(super) async fn bound(State(context): State<Context>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(TURN_PATIENCE, context.capabilities.acquire()).await {
        Ok(_turn) => next.run(request).await,
        Err(_) => {
            let reason = "too many calls of this run wait".into();
            refusal(StatusCode::TOO_MANY_REQUESTS, "busy", reason, true).into_response()
        }
    }
}

/// `POST /api/capability/{capability}/{action}`
pub(super) async fn invoke(
    State(context): State<Context>,
    Path((capability, action)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<CapabilityAnswer>, ApiError> {
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => malformed(format!("they have more than {MOST_ARGUMENTS} bytes")),
        _ => malformed(error.body_text()),
    })?;
    let arguments = arguments(&body)?;
    let caller = context.identity.for_plugins();
    let path = format!("{CAPABILITIES}/{capability}/{action}");
    if let Answer::Deny(reason) = context.plugins.check_api(&caller, &capability, "POST", &path).await {
        return Err(refusal(StatusCode::FORBIDDEN, "denied-by-guard", reason, false));
    }
    let run = context.identity.run.as_str();
    let outbox = context.outbox.clone();
    let answer = context.plugins.invoke(caller, run, &capability, &action, &arguments, outbox).await.map_err(broken)?;
    let files = answer.files.iter().map(|name| format!("outbox/{name}")).collect();
    Ok(Json(CapabilityAnswer { output: answer.output, files }))
}

/// Nothing at all counts as an empty object.
fn arguments(body: &[u8]) -> Result<Value, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(json!({}));
    }
    if json::structure(body) > MOST_PARTS {
        return Err(malformed(format!("they have more than {MOST_PARTS} parts")));
    }
    serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))
}

fn malformed(reason: String) -> ApiError {
    refusal(StatusCode::BAD_REQUEST, "invalid-json", format!("the arguments are not JSON: {reason}"), false)
}

fn broken(error: BrokerError) -> ApiError {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    refusal(status, error.code(), error.to_string(), error.retryable())
}

fn refusal(status: StatusCode, code: &str, reason: String, retryable: bool) -> ApiError {
    let mut error = ApiError::new(status, code, reason, "");
    error.body.retryable = Some(retryable);
    error
}

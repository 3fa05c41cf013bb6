//! Tool calls: decided by the guards, or by a person whom they want asked.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Request, State, rejection::BytesRejection},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use mercury_protocol::socket::{ToolCall, ToolVerdict};

use super::Context;
use crate::{approvals::Asker, domain::json, http::ApiError};

/// Tool calls of one run that are looked at at once; more wait, with their bodies unread.
pub(super) const MOST_TOOL_CALLS: usize = 4;
/// Looks at questions that are held at once; more are answered at once, and come back.
pub(super) const MOST_LOOKS: usize = 16;
/// Bytes of a tool's name: it goes into the log and the record of decisions.
const MOST_NAME: usize = 128;
/// Values of a tool call, about. Each costs the host some hundred bytes however short it is written,
/// so a call of 8 MiB could take gigabytes.
const MOST_PARTS: usize = 50_000;
/// How long a tool call may take to arrive and be decided. A guard has 2 s of it.
const TOOL_CALL_PATIENCE: Duration = Duration::from_secs(15);

/// An agent that floods its socket waits for itself, and costs the host a bounded amount of memory.
pub(super) async fn bound(State(context): State<Context>, request: Request, next: Next) -> Response {
    let decided = async {
        let _permit = context.tool_calls.acquire().await;
        next.run(request).await
    };
    match tokio::time::timeout(TOOL_CALL_PATIENCE, decided).await {
        Ok(response) => response,
        Err(_) => ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the tool call was not decided in time", "")
            .into_response(),
    }
}

pub(super) async fn check(
    State(context): State<Context>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ToolVerdict>, ApiError> {
    let bad = |reason: String| {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_tool_call", reason, "Send {\"id\", \"tool\", \"arguments\"}")
    };
    let body = body.map_err(|error| bad(error.body_text()))?;
    if json::structure(&body) > MOST_PARTS {
        return Err(bad(format!("the call has more than {MOST_PARTS} parts")));
    }
    let call: ToolCall = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    if call.tool.len() > MOST_NAME || call.tool.chars().any(char::is_control) {
        return Err(bad(format!("a tool's name has at most {MOST_NAME} bytes, and no control characters")));
    }
    // Before any guard: no guard can give a run what it is not to have.
    if !context.identity.confinement.allows(&call.tool) {
        let (run, tool) = (context.identity.run.as_str(), &call.tool);
        tracing::warn!(run, tool, "a tool was called that this run does not have");
        return Ok(Json(ToolVerdict::Deny { reason: format!("this run has no tool `{tool}`") }));
    }
    Ok(Json(context.approvals.judge(&asker(&context), call).await?))
}

/// Held until the question is settled, or for some seconds.
pub(super) async fn look(
    State(context): State<Context>,
    Path(question): Path<i64>,
) -> Result<Json<ToolVerdict>, ApiError> {
    let Ok(_permit) = context.looks.try_acquire() else {
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "too many questions are waited for", ""));
    };
    match context.approvals.look(&context.identity.run, question).await? {
        Some(verdict) => Ok(Json(verdict)),
        None => Err(ApiError::not_found()),
    }
}

fn asker(context: &Context) -> Asker {
    Asker { run: context.identity.run.clone(), caller: context.identity.for_plugins() }
}

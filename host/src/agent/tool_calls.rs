//! Tool calls: decided by the guards, or by a person whom they want asked.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, Request, State, rejection::JsonRejection},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use mercury_protocol::socket::{ToolCall, ToolVerdict};

use super::Context;
use crate::{approvals::Asker, http::ApiError};

/// Tool calls of one run that are looked at at once; more wait, with their bodies unread.
pub(super) const MOST_TOOL_CALLS: usize = 4;
/// Looks at questions that are held at once; more are answered at once, and come back.
pub(super) const MOST_LOOKS: usize = 16;
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
    call: Result<Json<ToolCall>, JsonRejection>,
) -> Result<Json<ToolVerdict>, ApiError> {
    let Json(call) = call.map_err(|error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "bad_tool_call",
            error.body_text(),
            "Send {\"id\", \"tool\", \"arguments\"}",
        )
    })?;
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

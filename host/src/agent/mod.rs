//! What an agent may ask of the host, on its run's socket.
//!
//! The socket says who calls. No request carries an identity, and none would be believed.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State, rejection::JsonRejection},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::sync::Semaphore;

use mercury_protocol::socket::{TOOL_CALLS, ToolCall, ToolVerdict, WHOAMI, WhoAmI};

use crate::{
    domain::{ids::RunId, roles},
    gateway::Access,
    http::ApiError,
    plugins::{Answer, Plugins, types::Caller},
};

/// Arguments of a tool call may be a whole file that the agent writes: 8 MiB.
const MOST_BODY: usize = 8 << 20;
/// Tool calls of one run that are looked at at once; more wait, with their bodies unread.
const MOST_TOOL_CALLS: usize = 4;
/// How long a tool call may take to arrive and be decided. A guard has 2 s of it.
const TOOL_CALL_PATIENCE: Duration = Duration::from_secs(15);

/// Who is at the other end of a run's socket.
#[derive(Clone, Debug)]
pub struct Identity {
    pub run: RunId,
    pub caller: String,
    pub role: String,
    pub space: String,
    pub conversation: String,
}

impl Identity {
    pub fn for_plugins(&self) -> Caller {
        Caller {
            person: self.caller.clone(),
            role: self.role.clone(),
            space: self.space.clone(),
            conversation: Some(self.conversation.clone()),
        }
    }
}

#[derive(Clone)]
struct Context {
    identity: Arc<Identity>,
    plugins: Arc<Plugins>,
    tool_calls: Arc<Semaphore>,
}

/// The routes of one run's socket, with the model gateway under `/model`.
pub fn router(identity: Identity, plugins: Arc<Plugins>, models: &Access) -> Router {
    let context =
        Context { identity: Arc::new(identity), plugins, tool_calls: Arc::new(Semaphore::new(MOST_TOOL_CALLS)) };
    Router::new()
        .route(WHOAMI, get(whoami))
        .route(TOOL_CALLS, post(check_tool_call).layer(middleware::from_fn_with_state(context.clone(), bound)))
        .fallback(|| async { ApiError::not_found() })
        .layer(axum::extract::DefaultBodyLimit::max(MOST_BODY))
        .with_state(context)
        .merge(models.routes())
}

/// An agent that floods its socket waits for itself, and costs the host a bounded amount of memory.
async fn bound(State(context): State<Context>, request: Request, next: Next) -> Response {
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

async fn whoami(State(context): State<Context>) -> Json<WhoAmI> {
    let identity = &context.identity;
    Json(WhoAmI {
        caller_id: identity.caller.clone(),
        space_id: identity.space.clone(),
        role: identity.role.clone(),
        permissions: roles::permissions(&identity.role).iter().map(|&name| name.to_owned()).collect(),
    })
}

async fn check_tool_call(
    State(context): State<Context>,
    call: Result<Json<ToolCall>, JsonRejection>,
) -> Result<Json<ToolVerdict>, ApiError> {
    let Json(call) = call.map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_tool_call", error.body_text(), "Send {\"tool\", \"arguments\"}")
    })?;
    let arguments = call.arguments.to_string();
    let answer = context.plugins.check_tool(context.identity.for_plugins(), &call.tool, &arguments).await;
    let run = context.identity.run.as_str();
    Ok(Json(match answer {
        Answer::Allow => {
            tracing::debug!(run, tool = call.tool, "tool call allowed");
            ToolVerdict::Allow
        }
        Answer::Deny(reason) => {
            tracing::info!(run, tool = call.tool, reason, caller = context.identity.caller, "tool call denied");
            metrics::counter!("mercury_tool_calls_denied_total").increment(1);
            ToolVerdict::Deny { reason }
        }
    }))
}

use axum::{Json, extract::State};
use mercury_protocol::socket::WhoAmI;
use serde_json::{Value, json};

use super::{Caller, Callers};
use crate::http::ApiError;

pub(super) async fn whoami(State(callers): State<Callers>, caller: Caller) -> Result<Json<WhoAmI>, ApiError> {
    let permissions = callers.held(&caller).await?;
    Ok(Json(WhoAmI { caller_id: caller.id, space_id: caller.space.to_string(), role: caller.role, permissions }))
}

/// `{stopped, dropped}`: whether a run was at work, and how many messages waited behind it.
pub(super) async fn stop(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "stop").await?;
    let found = callers.stops.stop(&caller.space).await?;
    Ok(Json(json!({ "stopped": found.stopped, "dropped": found.dropped })))
}

use axum::{Json, extract::State};
use mercury_protocol::socket::WhoAmI;
use serde_json::{Value, json};

use super::{Caller, Callers};
use crate::http::ApiError;

pub(super) async fn whoami(State(callers): State<Callers>, caller: Caller) -> Result<Json<WhoAmI>, ApiError> {
    let permissions = callers.held(&caller).await?.names().to_vec();
    Ok(Json(WhoAmI { caller_id: caller.id, space_id: caller.space.to_string(), role: caller.role, permissions }))
}

/// `{spaceId, boundary}`: what was said up to the message `boundary` is context no longer. An agent
/// speaks for the conversation that it answers to; whoever has none, for all of the space.
pub(super) async fn compact(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "compact").await?;
    let boundary = match caller.conversation() {
        Some(conversation) => callers.store.compact(&caller.space, conversation).await?,
        None => callers.store.compact_space(&caller.space).await?,
    };
    Ok(Json(json!({ "spaceId": caller.space, "boundary": boundary })))
}

/// The same for the next run only.
pub(super) async fn clear(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "clear").await?;
    let boundary = match caller.conversation() {
        Some(conversation) => callers.store.clear(&caller.space, conversation).await?,
        None => callers.store.clear_space(&caller.space).await?,
    };
    Ok(Json(json!({ "spaceId": caller.space, "boundary": boundary })))
}

/// `{stopped, dropped}`: whether a run was at work, and how many messages waited behind it.
pub(super) async fn stop(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "stop").await?;
    let found = callers.stops.stop(&caller.space).await?;
    Ok(Json(json!({ "stopped": found.stopped, "dropped": found.dropped })))
}

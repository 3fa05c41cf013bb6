//! What the assistant is like everywhere: for admins of all.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers};
use crate::{
    clock,
    domain::character::{self, KEY},
    http::{ApiError, Given, Input},
};

/// The name under which guards are asked; nobody is granted it.
const PERMISSION: &str = "character";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCharacter {
    #[serde(default)]
    text: String,
}

impl Given for NewCharacter {
    const EXAMPLE: &'static str = "{\"text\": \"Dry, brief, and never without a source\"}";
}

pub(super) async fn show(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require_global_admin(&caller, PERMISSION).await?;
    let set = callers.store.space_settings(&caller.space).await?;
    let stored = set.stored(KEY);
    let (text, by) = (stored.map(|stored| &stored.value), stored.map(|stored| &stored.by));
    Ok(Json(json!({ "character": text, "updatedBy": by })))
}

pub(super) async fn set(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<NewCharacter>,
) -> Result<Json<Value>, ApiError> {
    callers.require_global_admin(&caller, PERMISSION).await?;
    let text = character::check(&given.text).map_err(|error| {
        let next = format!("Send JSON such as {}", NewCharacter::EXAMPLE);
        ApiError::new(StatusCode::BAD_REQUEST, "bad_character", error.to_string(), &next)
    })?;
    change(&callers, &caller, Some(text.to_owned())).await
}

/// Also where there is none.
pub(super) async fn clear(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require_global_admin(&caller, PERMISSION).await?;
    change(&callers, &caller, None).await
}

async fn change(callers: &Callers, caller: &Caller, text: Option<String>) -> Result<Json<Value>, ApiError> {
    let is_set = text.is_some();
    callers.store.set_space_settings(None, vec![(KEY, text)], &caller.id, clock::millis()).await?;
    tracing::info!(by = caller.id, is_set, "the assistant's character was changed");
    Ok(Json(json!({ "ok": true })))
}

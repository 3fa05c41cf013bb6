use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::{domain::ids::SpaceId, http::ApiError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    /// None takes the link away.
    space: Option<String>,
}

/// `GET /api/conversations`: those that adapters have told of, the one with the latest message first.
pub(super) async fn list(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    api.require_operator(&headers)?;
    Ok(Json(json!({ "conversations": api.rooms()?.store.conversations().await? })))
}

/// `PUT /api/conversations/{id}` with `{"space": "main"}`, or `{"space": null}`.
pub(super) async fn link(
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    given: Result<Json<Link>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    api.require_operator(&headers)?;
    let store = &api.rooms()?.store;
    let bad = |error: String| {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_link", error, "Send JSON such as {\"space\": \"main\"}")
    };
    let Json(given) = given.map_err(|error| bad(error.body_text()))?;
    let space = given.space.map(SpaceId::try_from).transpose().map_err(|error| bad(error.to_string()))?;
    if let Some(space) = &space
        && !store.space_exists(space).await?
    {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "space_not_found",
            format!("Space not found: {space}"),
            "`mercury spaces list` shows those that exist",
        ));
    }
    if !store.link(&id, space.as_ref()).await? {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "conversation_unknown",
            format!("No message of the conversation {id} has arrived yet"),
            "Write to the bot there once; then `mercury conversations list` shows it",
        ));
    }
    Ok(Json(json!({ "id": id, "space": space })))
}

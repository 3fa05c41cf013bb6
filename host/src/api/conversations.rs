use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, spaces::space_id};
use crate::{
    callers::{self, Caller, Filter, conversation_view},
    http::{ApiError, Given, Input, Path, Query},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    /// None takes the link away.
    space: Option<String>,
}

impl Given for Link {
    const EXAMPLE: &'static str = "{\"space\": \"main\"}";
}

/// `GET /api/conversations`: those that adapters have told of, the one with the latest message first; for a
/// caller, those of its space.
pub(super) async fn list(
    State(api): State<Api>,
    caller: Option<Extension<Caller>>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, ApiError> {
    if let Some(Extension(caller)) = caller {
        let callers = api.rooms()?.runs.callers();
        return callers::answers::conversations(State(callers), caller, Query(filter)).await;
    }
    let all = api.rooms()?.store.conversations().await?;
    let shown: Vec<_> = all.iter().filter(|conversation| filter.passes(conversation)).map(conversation_view).collect();
    Ok(Json(json!({ "conversations": shown })))
}

/// `PUT /api/conversations/{id}` with `{"space": "main"}`, or `{"space": null}`. `alsoUnlinked` are those that its
/// person has under other ids and that were linked to the same space.
pub(super) async fn link(
    State(api): State<Api>,
    Path(id): Path<String>,
    Input(given): Input<Link>,
) -> Result<Json<Value>, ApiError> {
    let store = &api.rooms()?.store;
    let space = given.space.as_deref().map(space_id).transpose()?;
    if let Some(space) = &space
        && !store.space_exists(space).await?
    {
        return Err(ApiError::space_not_found(space.as_str()));
    }
    let others = match &space {
        Some(_) => store.link(&id, space.as_ref()).await?.then(Vec::new),
        None => store.unlink(&id).await?,
    };
    let others = others.ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "conversation_unknown",
            format!("No message of the conversation {id} has arrived yet"),
            "Write to the bot there once; then `mercury conversations list` shows it",
        )
    })?;
    Ok(Json(json!({ "id": id, "space": space, "alsoUnlinked": others })))
}

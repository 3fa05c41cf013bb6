//! Spaces, what is said and done in them and what it costs: for the operator's console.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::{
    callers::{NewName, PageQuery, all_spaces, check_space_name, name_space, remove_space},
    clock,
    domain::{ids::SpaceId, page::Page},
    http::{ApiError, Given, Input, Path, Query},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSpace {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
}

impl Given for NewSpace {
    const EXAMPLE: &'static str = "{\"id\": \"team\", \"name\": \"The team\"}";
}

pub(super) fn space_id(text: &str) -> Result<SpaceId, ApiError> {
    SpaceId::try_from(text.to_owned())
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_space", error.to_string(), ""))
}

/// `GET /api/console/spaces`: the oldest first.
pub(super) async fn list(State(api): State<Api>, Query(query): Query<PageQuery>) -> Result<Json<Value>, ApiError> {
    Ok(Json(all_spaces(&api.rooms()?.store, &query.page()?).await?))
}

/// `POST /api/console/spaces` of `{id, name}`
pub(super) async fn create(State(api): State<Api>, Input(given): Input<NewSpace>) -> Result<Response, ApiError> {
    let next = format!("Send JSON such as {}", NewSpace::EXAMPLE);
    if given.id.is_empty() {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_space", "id is required", &next));
    }
    let (id, name) = (space_id(&given.id)?, check_space_name(&given.name)?);
    let rooms = api.rooms()?;
    if !rooms.store.create_named_space(&id, name, clock::millis()).await? {
        let error = format!("Space already exists: {id}");
        return Err(ApiError::new(StatusCode::CONFLICT, "space_exists", error, "Choose another id"));
    }
    rooms.runs.announce_spaces().await;
    let made = rooms.store.space(&id).await?;
    Ok((StatusCode::CREATED, Json(json!(made))).into_response())
}

/// `PATCH /api/console/spaces/{space}` of `{name}`
pub(super) async fn rename(
    State(api): State<Api>,
    Path(space): Path<String>,
    Input(given): Input<NewName>,
) -> Result<Json<Value>, ApiError> {
    name_space(&api.rooms()?.store, &space_id(&space)?, &given).await?;
    Ok(Json(json!({ "ok": true })))
}

/// `DELETE /api/console/spaces/{space}`
pub(super) async fn remove(State(api): State<Api>, Path(space): Path<String>) -> Result<Json<Value>, ApiError> {
    let id = space_id(&space)?;
    let removed = remove_space(&api.rooms()?.runs.removals, &id).await?;
    tracing::warn!(space = %id, "a space was removed by the operator");
    Ok(Json(json!({ "ok": true, "removed": removed })))
}

/// `GET /api/console/spaces/{space}/messages?limit=50`: a page of the newest, the oldest of them first.
pub(super) async fn messages(
    State(api): State<Api>,
    Path(space): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, ApiError> {
    let (id, page, store) = (space_id(&space)?, query.page()?, &api.rooms()?.store);
    if !store.space_exists(&id).await? {
        return Err(ApiError::space_not_found(id.as_str()));
    }
    let (messages, next) = page.cut(store.messages_page(&id, &page).await?, |entry| (entry.id, String::new()));
    let view = |entry: &crate::store::Entry| {
        json!({
            "id": entry.id,
            "conversation": entry.conversation,
            "role": entry.role,
            "content": entry.content,
            "createdAt": entry.created_at,
            "runMeta": null,
        })
    };
    Ok(Json(json!({ "messages": messages.iter().rev().map(view).collect::<Vec<_>>(), "next": next })))
}

/// `GET /api/console/usage`
pub(super) async fn usage(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let (totals, spaces) = api.rooms()?.store.usage().await?;
    Ok(Json(json!({ "totals": totals, "perSpace": spaces })))
}

/// `GET /api/console/storage`
pub(super) async fn storage(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!(*api.rooms()?.runs.storage.measured().await)))
}

#[derive(Deserialize)]
pub(super) struct RunQuery {
    space: Option<String>,
    limit: Option<String>,
    after: Option<String>,
}

/// `GET /api/runs?space=main`: the newest first.
pub(super) async fn runs(State(api): State<Api>, Query(query): Query<RunQuery>) -> Result<Json<Value>, ApiError> {
    let page = Page::read(query.limit.as_deref(), query.after.as_deref())
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_page", error.to_string(), ""))?;
    let space = query.space.as_deref().map(space_id).transpose()?;
    let runs = api.rooms()?.store.runs_page(space.as_ref(), &page).await?;
    let (runs, next) = page.cut(runs, |run| (run.created_at, run.id.clone()));
    Ok(Json(json!({ "runs": runs, "next": next })))
}

/// `POST /api/spaces/{space}/stop`: the operator ends what a space is doing. `{stopped, dropped}`: whether
/// a run was at work, and how many messages waited behind it.
pub(super) async fn stop(State(api): State<Api>, Path(space): Path<String>) -> Result<Json<Value>, ApiError> {
    let (id, rooms) = (space_id(&space)?, api.rooms()?);
    if !rooms.store.space_exists(&id).await? {
        return Err(ApiError::space_not_found(id.as_str()));
    }
    let found = rooms.stops.stop(&id).await?;
    Ok(Json(json!({ "stopped": found.stopped, "dropped": found.dropped })))
}

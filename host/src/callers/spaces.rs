use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers, PageQuery};
use crate::{
    clock,
    config::Config,
    domain::ids::SpaceId,
    http::{ApiError, Given, Input, Query},
    sandbox::remove_tree,
    store::{Removal, Removed, SpaceView, Store},
};

/// Characters of a space's name.
const MOST_NAME: usize = 100;

#[derive(Deserialize)]
pub(super) struct NewName {
    #[serde(default)]
    name: String,
}

impl Given for NewName {
    const EXAMPLE: &'static str = "{\"name\": \"The team\"}";
}

/// The caller's own; all of them for whoever is an admin of all. A role of one space shows nothing of others.
pub(super) async fn list(
    State(callers): State<Callers>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "spaces.list").await?;
    let page = query.page()?;
    if !callers.is_global_admin(&caller) {
        return Ok(Json(json!({ "spaces": [own(&callers, &caller).await?], "next": null })));
    }
    let (spaces, next) =
        page.cut(callers.store.spaces_page(&page).await?, |space| (space.created_at, space.id.clone()));
    Ok(Json(json!({ "spaces": spaces, "next": next })))
}

pub(super) async fn current(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "space": own(&callers, &caller).await? })))
}

pub(super) async fn rename(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<NewName>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "spaces.rename").await?;
    let name = check_name(&given.name)?;
    if !callers.store.rename_space(&caller.space, name, clock::millis()).await? {
        return Err(ApiError::space_not_found(caller.space.as_str()));
    }
    Ok(Json(json!({ "spaceId": caller.space, "name": name })))
}

/// `DELETE /api/spaces/current`. An agent's own run keeps its space busy, so no agent removes it.
pub(super) async fn remove_own(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "spaces.delete").await?;
    let removed = remove(&callers.store, &callers.config, &caller.space).await?;
    tracing::warn!(space = %caller.space, by = caller.id, "a space was removed");
    Ok(Json(json!({ "spaceId": caller.space, "deleted": true, "removed": removed })))
}

/// Removes a space, its rows first: from then on nothing is done in it.
pub async fn remove(store: &Store, config: &Config, space: &SpaceId) -> Result<Removed, ApiError> {
    let removed = match store.remove_space(space).await? {
        Removal::Done(removed) => removed,
        Removal::Unknown => return Err(ApiError::space_not_found(space.as_str())),
        Removal::Busy => {
            let error = format!("A run of {space} is queued or at work");
            let next = format!("Wait for it, or end it with `mercury stop --space {space}`");
            return Err(ApiError::new(StatusCode::CONFLICT, "space_busy", error, &next));
        }
    };
    let folder = config.spaces_dir().join(space.as_str());
    let emptied = {
        let folder = folder.clone();
        tokio::task::spawn_blocking(move || remove_tree(&folder)).await
    };
    match emptied.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(()) => Ok(removed),
        Err(error) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "folder_left",
            format!("The space is gone, but its folder {} is not: {error}", folder.display()),
            "Remove the folder: a space of the same name would find it",
        )),
    }
}

async fn own(callers: &Callers, caller: &Caller) -> Result<SpaceView, ApiError> {
    let found = callers.store.space(&caller.space).await?;
    found.ok_or_else(|| ApiError::space_not_found(caller.space.as_str()))
}

/// A name without the blanks around it.
pub fn check_name(name: &str) -> Result<&str, ApiError> {
    let bad = |error: &str| ApiError::new(StatusCode::BAD_REQUEST, "bad_name", error, "");
    match name.trim() {
        "" => Err(bad("name is required")),
        name if name.chars().count() > MOST_NAME => Err(bad("The name has more than 100 characters")),
        name if name.chars().any(char::is_control) => Err(bad("The name has control characters")),
        name => Ok(name),
    }
}

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers, PageQuery};
use crate::{
    clock,
    domain::{ids::SpaceId, page::Page},
    http::{ApiError, Given, Input, Query},
    removal::{RemovalError, Removals},
    store::{Removed, SpaceView, Store},
};

/// Characters of a space's name.
const MOST_NAME: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewName {
    #[serde(default)]
    pub name: String,
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
    if !callers.is_global_admin(&caller).await? {
        return Ok(Json(json!({ "spaces": [own(&callers, &caller).await?], "next": null })));
    }
    Ok(Json(all(&callers.store, &page).await?))
}

/// A page of all spaces, the oldest first.
pub async fn all(store: &Store, page: &Page) -> Result<Value, ApiError> {
    let (spaces, next) = page.cut(store.spaces_page(page).await?, |space| (space.created_at, space.id.clone()));
    Ok(json!({ "spaces": spaces, "next": next }))
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
    let name = give_name(&callers.store, &caller.space, &given).await?;
    Ok(Json(json!({ "spaceId": caller.space, "name": name })))
}

/// The name as it is now.
pub async fn give_name(store: &Store, space: &SpaceId, given: &NewName) -> Result<String, ApiError> {
    let name = check_name(&given.name)?;
    match store.rename_space(space, name, clock::millis()).await? {
        true => Ok(name.to_owned()),
        false => Err(ApiError::space_not_found(space.as_str())),
    }
}

/// `DELETE /api/spaces/current`. An agent's own run keeps its space busy, so no agent removes it.
pub(super) async fn remove_own(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "spaces.delete").await?;
    let removed = remove(&callers.removals, &caller.space).await?;
    tracing::warn!(space = %caller.space, by = caller.id, "a space was removed");
    Ok(Json(json!({ "spaceId": caller.space, "deleted": true, "removed": removed })))
}

pub async fn remove(removals: &Removals, space: &SpaceId) -> Result<Removed, ApiError> {
    removals.remove(space).await.map_err(refusal)
}

fn refusal(error: RemovalError) -> ApiError {
    let said = error.to_string();
    match error {
        RemovalError::Store(error) => error.into(),
        RemovalError::Unknown(space) => ApiError::space_not_found(space.as_str()),
        RemovalError::Main => ApiError::new(StatusCode::CONFLICT, "space_stays", said, "Name another space"),
        RemovalError::Busy(space) => {
            let next = format!("Wait for it, or end it with `mercury stop --space {space}`");
            ApiError::new(StatusCode::CONFLICT, "space_busy", said, &next)
        }
        RemovalError::NotMoved { .. } => {
            let next = "See to it that the host may write in that folder's folder, then try again";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "folder_stays", said, next)
        }
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

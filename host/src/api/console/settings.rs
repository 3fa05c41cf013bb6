use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::super::{Api, config, spaces::space_id};
use crate::{
    callers::NewSetting,
    http::{ApiError, Input, Path},
};

/// `GET /api/console/spaces/{space}/config`
pub(in super::super) async fn list(State(api): State<Api>, Path(space): Path<String>) -> Result<Json<Value>, ApiError> {
    let id = existing(&api, &space).await?;
    Ok(Json(config::of(&api, Some(&id), None).await?))
}

/// `PUT /api/console/spaces/{space}/config` of `{key, value}`: what is no setting, or no value of one, is
/// refused, as everywhere.
pub(in super::super) async fn set(
    State(api): State<Api>,
    Path(space): Path<String>,
    Input(given): Input<NewSetting>,
) -> Result<Json<Value>, ApiError> {
    let id = existing(&api, &space).await?;
    config::put(&api, Some(&id), &given).await?;
    Ok(Json(json!({ "ok": true })))
}

async fn existing(api: &Api, space: &str) -> Result<crate::domain::ids::SpaceId, ApiError> {
    let id = space_id(space)?;
    match api.rooms()?.store.space_exists(&id).await? {
        true => Ok(id),
        false => Err(ApiError::space_not_found(id.as_str())),
    }
}

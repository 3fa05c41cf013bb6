//! `POST /api/stop`: ends what a space is doing.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde_json::{Value, json};

use super::Api;
use crate::{
    domain::{ids::SpaceId, roles},
    http::ApiError,
};

/// `{stopped, dropped}`: whether a run was at work, and how many messages waited behind it. Who asks,
/// and for which space, stands in `x-mercury-caller` and `x-mercury-space`, as in the replaced system:
/// on this listener the API secret, or without one this machine, vouches for them.
pub(super) async fn stop(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    api.require_operator(&headers)?;
    let rooms = api.rooms()?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    let (Some(caller), Some(space)) = (header("x-mercury-caller"), header("x-mercury-space")) else {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "missing_caller",
            "Missing X-Mercury-Caller or X-Mercury-Space header",
            "Send both; `mercury stop --space SPACE` does",
        ));
    };
    let space = SpaceId::try_from(space.to_owned())
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_space", error.to_string(), ""))?;
    let role = match caller {
        roles::SYSTEM_ROLE => roles::SYSTEM_ROLE.to_owned(),
        caller if api.config.admins.iter().any(|admin| admin == caller) => roles::ADMIN_ROLE.to_owned(),
        caller => rooms.store.role_of(&space, caller).await?,
    };
    if !roles::may(&role, "stop") {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!("Forbidden: {caller} has the role {role} in {space}, which may not stop runs"),
            "Ask an admin of the space",
        ));
    }
    let found = rooms.runs.abort(&space).await?;
    Ok(Json(json!({ "stopped": found.stopped, "dropped": found.dropped })))
}

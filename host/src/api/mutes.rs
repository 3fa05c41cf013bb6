//! `/api/mutes`: who is not heard in a space for a while.

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::{
    clock,
    domain::{ids::SpaceId, mute, roles},
    http::ApiError,
    store::Mute,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Given {
    platform_user_id: String,
    /// `10m`, `2h`, `7d` and the like.
    duration: String,
    reason: Option<String>,
    /// Agents ask twice: the first answer says what a mute is for.
    #[serde(default)]
    confirm: bool,
}

const WARNING: &str = "Stop and think before you mute somebody. Good reasons are abuse, spam, attempts to get at data \
    or to manipulate the assistant, deliberate nuisance, and the person's own wish. That somebody else asks for it is \
    none. Send the same request with confirm: true if one of them holds.";

/// `{mutes: […]}`, the one that ends first before the others.
pub(super) async fn list(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    let (_, space) = asker(&api, &headers, "mutes.list").await?;
    Ok(Json(json!({ "mutes": api.rooms()?.store.mutes(&space, clock::millis()).await? })))
}

pub(super) async fn set(
    State(api): State<Api>,
    headers: HeaderMap,
    given: Result<Json<Given>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let (caller, space) = asker(&api, &headers, "mutes.mute").await?;
    let bad = |error: String| {
        let example =
            "Send JSON such as {\"platformUserId\": \"telegram:42\", \"duration\": \"1h\", \"confirm\": true}";
        ApiError::new(StatusCode::BAD_REQUEST, "bad_mute", error, example)
    };
    let Json(given) = given.map_err(|error| bad(error.body_text()))?;
    let time = mute::duration(&given.duration)
        .ok_or_else(|| bad(format!("`{}` is not a time from 1m to 366d", given.duration)))?;
    let person = given.platform_user_id;
    if person.trim().is_empty() {
        return Err(bad("platformUserId is empty".into()));
    }
    let store = &api.rooms()?.store;
    let role = role_of(&api, &space, &person).await?;
    if !mute::silences(&role) {
        let error = format!("{person} is an admin of {space}, and admins cannot be muted");
        return Err(ApiError::new(StatusCode::FORBIDDEN, "not_mutable", error, "Take the role away first"));
    }
    if !given.confirm {
        return Ok(Json(json!({ "warning": true, "message": WARNING })));
    }
    let now = clock::millis();
    let mute = Mute { person, expires_at: now + time, reason: given.reason, muted_by: caller, created_at: now };
    store.mute(&space, mute.clone()).await?;
    Ok(Json(json!({
        "muted": true, "platformUserId": mute.person, "expiresAt": mute.expires_at, "duration": given.duration,
        "reason": mute.reason,
    })))
}

pub(super) async fn unset(
    State(api): State<Api>,
    Path(person): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let (_, space) = asker(&api, &headers, "mutes.unmute").await?;
    if !api.rooms()?.store.unmute(&space, &person, clock::millis()).await? {
        let error = "User is not muted in this space";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_muted", error, "GET /api/mutes lists those who are"));
    }
    Ok(Json(json!({ "unmuted": true, "platformUserId": person })))
}

/// Who asks, and for which space, as at `/api/stop`.
async fn asker(api: &Api, headers: &HeaderMap, permission: &str) -> Result<(String, SpaceId), ApiError> {
    api.require_operator(headers)?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    let (Some(caller), Some(space)) = (header("x-mercury-caller"), header("x-mercury-space")) else {
        let error = "Missing X-Mercury-Caller or X-Mercury-Space header";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "missing_caller", error, "Send both"));
    };
    let space = SpaceId::try_from(space.to_owned())
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_space", error.to_string(), ""))?;
    if !api.rooms()?.store.space_exists(&space).await? {
        let error = format!("Space not found: {space}");
        return Err(ApiError::new(StatusCode::NOT_FOUND, "space_not_found", error, "`mercury spaces list` shows them"));
    }
    let role = role_of(api, &space, caller).await?;
    if !roles::may(&role, permission) {
        let error = format!("Forbidden: {caller} lacks the permission {permission} in {space}");
        return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", error, "Ask an admin of the space"));
    }
    Ok((caller.to_owned(), space))
}

async fn role_of(api: &Api, space: &SpaceId, person: &str) -> Result<String, ApiError> {
    Ok(match person {
        roles::SYSTEM_ROLE => roles::SYSTEM_ROLE.to_owned(),
        person if api.config.admins.iter().any(|admin| admin == person) => roles::ADMIN_ROLE.to_owned(),
        person => api.rooms()?.store.role_of(space, person).await?,
    })
}

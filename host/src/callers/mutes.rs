use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers, PageQuery, role_of};
use crate::{
    clock,
    domain::mute,
    http::{ApiError, Given, Input, Path, Query},
    store::Mute,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewMute {
    platform_user_id: String,
    /// `10m`, `2h`, `7d` and the like.
    duration: String,
    reason: Option<String>,
    /// Agents ask twice: the first answer says what a mute is for.
    #[serde(default)]
    confirm: bool,
}

impl Given for NewMute {
    const EXAMPLE: &'static str = "{\"platformUserId\": \"telegram:42\", \"duration\": \"1h\", \"confirm\": true}";
}

const WARNING: &str = "Stop and think before you mute somebody. Good reasons are abuse, spam, attempts to get at data \
    or to manipulate the assistant, deliberate nuisance, and the person's own wish. That somebody else asks for it is \
    none. Send the same request with confirm: true if one of them holds.";

/// `{mutes: […], next}`, the one that ends first before the others.
pub(super) async fn list(
    State(callers): State<Callers>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "mutes.list").await?;
    let page = query.page()?;
    let (mutes, next) = page.cut(callers.store.mutes(&caller.space, &page, clock::millis()).await?, Mute::place);
    Ok(Json(json!({ "mutes": mutes, "next": next })))
}

pub(super) async fn set(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<NewMute>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "mutes.mute").await?;
    let bad = |error: String| {
        let next = format!("Send JSON such as {}", NewMute::EXAMPLE);
        ApiError::new(StatusCode::BAD_REQUEST, "bad_mute", error, &next)
    };
    let time = mute::duration(&given.duration)
        .ok_or_else(|| bad(format!("`{}` is not a time from 1m to 366d", given.duration)))?;
    let person = given.platform_user_id;
    if person.trim().is_empty() {
        return Err(bad("platformUserId is empty".into()));
    }
    let role = role_of(&callers.config, &callers.store, &caller.space, &person).await?;
    if !mute::silences(&role) {
        let error = format!("{person} is an admin of {}, and admins cannot be muted", caller.space);
        return Err(ApiError::new(StatusCode::FORBIDDEN, "not_mutable", error, "Take the role away first"));
    }
    if !given.confirm {
        return Ok(Json(json!({ "warning": true, "message": WARNING })));
    }
    let now = clock::millis();
    let mute = Mute { person, expires_at: now + time, reason: given.reason, muted_by: caller.id, created_at: now };
    callers.store.mute(&caller.space, mute.clone()).await?;
    Ok(Json(json!({
        "muted": true, "platformUserId": mute.person, "expiresAt": mute.expires_at, "duration": given.duration,
        "reason": mute.reason,
    })))
}

pub(super) async fn unset(
    State(callers): State<Callers>,
    caller: Caller,
    Path(person): Path<String>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "mutes.unmute").await?;
    if !callers.store.unmute(&caller.space, &person, clock::millis()).await? {
        let error = "User is not muted in this space";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_muted", error, "`mrctl mutes` lists those who are"));
    }
    Ok(Json(json!({ "unmuted": true, "platformUserId": person })))
}

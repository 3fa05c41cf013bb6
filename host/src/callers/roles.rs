use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers, PageQuery};
use crate::{
    clock,
    domain::{
        decision,
        roles::{self, ADMIN_ROLE, Held, MEMBER_ROLE, RoleError},
    },
    http::{ApiError, Given, Input, Path, Query},
    store::Granted,
};

/// Bytes of a person's id.
const MOST_PERSON: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewRole {
    #[serde(default)]
    platform_user_id: String,
    role: Option<String>,
}

impl Given for NewRole {
    const EXAMPLE: &'static str = "{\"platformUserId\": \"telegram:4711\", \"role\": \"admin\"}";
}

/// The roles that were given in the space; who is configured as an admin is shown as one.
pub(super) async fn list(
    State(callers): State<Callers>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "roles.list").await?;
    let page = query.page()?;
    let members = callers.store.members(&caller.space, &page).await?;
    let (mut members, next) = page.cut(members, |member| (member.created_at, member.platform_user_id.clone()));
    for member in &mut members {
        if super::is_named(&callers.config.admins, &callers.store, &member.platform_user_id).await? {
            (member.role, member.granted_by) = (ADMIN_ROLE.to_owned(), Some("configuration".to_owned()));
        }
    }
    Ok(Json(json!({ "roles": members, "next": next })))
}

pub(super) async fn grant(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<NewRole>,
) -> Result<Json<Value>, ApiError> {
    let held = callers.require(&caller, "roles.grant").await?;
    let role = given.role.unwrap_or_else(|| ADMIN_ROLE.to_owned());
    change(&callers, &caller, &held, given.platform_user_id, role).await
}

/// Makes a member of somebody.
pub(super) async fn revoke(
    State(callers): State<Callers>,
    caller: Caller,
    Path(person): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let held = callers.require(&caller, "roles.revoke").await?;
    change(&callers, &caller, &held, person, MEMBER_ROLE.to_owned()).await
}

async fn change(
    callers: &Callers,
    caller: &Caller,
    held: &Held,
    person: String,
    role: String,
) -> Result<Json<Value>, ApiError> {
    if person.trim().is_empty() || person.len() > MOST_PERSON {
        let error =
            if person.len() > MOST_PERSON { "The platformUserId is too long" } else { "Missing platformUserId" };
        let next = format!("Send JSON such as {}", NewRole::EXAMPLE);
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_person", error, &next));
    }
    roles::check_name(&role).map_err(refusal)?;
    if decision::is_reserved(&person, &role) {
        return Err(refusal(RoleError::Reserved));
    }
    if role != ADMIN_ROLE && super::is_named(&callers.config.admins, &callers.store, &person).await? {
        return Err(refusal(RoleError::Configured));
    }
    let before = super::role_of(&callers.config, &callers.store, &caller.space, &person).await?;
    let bounds = roles::bounds(held, callers.is_global_admin(caller).await?, &role);
    for role in [&before, &role] {
        let other = Caller { id: person.clone(), role: role.clone(), ..caller.clone() };
        roles::within(bounds, callers.held(&other).await?.names()).map_err(refusal)?;
    }
    let change = Granted {
        space: caller.space.clone(),
        person: person.clone(),
        role: role.clone(),
        by: caller.id.clone(),
        admins_elsewhere: !callers.config.admins.is_empty(),
        at: clock::millis(),
    };
    if !callers.store.grant_role(change).await? {
        return Err(refusal(RoleError::LastAdmin));
    }
    tracing::info!(space = %caller.space, by = caller.id, person, role, "a role was given");
    Ok(Json(json!({ "spaceId": caller.space, "platformUserId": person, "role": role })))
}

pub(super) fn refusal(error: RoleError) -> ApiError {
    let (status, code, next) = match &error {
        RoleError::BadName(_) => (StatusCode::BAD_REQUEST, "bad_role", "Choose another name, such as `moderator`"),
        RoleError::Reserved => (StatusCode::BAD_REQUEST, "role_reserved", "Give `admin` for everything in this space"),
        RoleError::Unknown(_) => {
            (StatusCode::BAD_REQUEST, "unknown_permission", "`mrctl permissions show` lists those that there are")
        }
        RoleError::Beyond(_) => (StatusCode::FORBIDDEN, "beyond_own_rights", "Ask somebody who holds it"),
        RoleError::AdminKeeps(_) => (StatusCode::CONFLICT, "admin_keeps", "Leave it in the list"),
        RoleError::LastAdmin => (StatusCode::CONFLICT, "last_admin", "Make somebody else an admin first"),
        RoleError::Configured => {
            (StatusCode::CONFLICT, "configured_admin", "The operator removes them from permissions.admins")
        }
    };
    ApiError::new(status, code, error.to_string(), next)
}

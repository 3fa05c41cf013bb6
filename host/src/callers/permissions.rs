use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers, roles::refusal};
use crate::{
    clock,
    domain::roles::{self, ADMIN_ROLE, MEMBER_ROLE},
    http::{ApiError, Given, Input, Query},
};

#[derive(Deserialize)]
pub(super) struct Wanted {
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewList {
    role: String,
    permissions: Vec<String>,
}

impl Given for NewList {
    const EXAMPLE: &'static str = "{\"role\": \"member\", \"permissions\": [\"prompt\", \"stop\"]}";
}

/// One role's, or those of every role that there is in the space.
pub(super) async fn show(
    State(callers): State<Callers>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "permissions.get").await?;
    if let Some(role) = wanted.role {
        let permissions = of(&callers, &caller, &role).await?;
        return Ok(Json(json!({ "spaceId": caller.space, "role": role, "permissions": permissions })));
    }
    let mut permissions = BTreeMap::new();
    let there = callers.store.roles_in(&caller.space).await?;
    for role in there.into_iter().chain([ADMIN_ROLE.to_owned(), MEMBER_ROLE.to_owned()]) {
        permissions.insert(role.clone(), of(&callers, &caller, &role).await?);
    }
    let registry = callers.plugins.registry();
    Ok(Json(json!({ "spaceId": caller.space, "permissions": permissions, "available": registry.roles.all() })))
}

async fn of(callers: &Callers, caller: &Caller, role: &str) -> Result<Vec<String>, ApiError> {
    let held = callers.held(&Caller { role: role.to_owned(), ..caller.clone() }).await?;
    Ok(held.names().to_vec())
}

/// Exactly these, from the next message on.
pub(super) async fn set(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<NewList>,
) -> Result<Json<Value>, ApiError> {
    let held = callers.require(&caller, "permissions.set").await?;
    let NewList { role, permissions } = given;
    callers.plugins.registry().roles.check_list(&role, &permissions).map_err(refusal)?;
    // Neither what is given nor what is taken may go beyond the caller's own.
    let before = of(&callers, &caller, &role).await?;
    let bounds = roles::bounds(&held, callers.is_global_admin(&caller).await?, &role);
    roles::within(bounds, before.iter().chain(&permissions)).map_err(refusal)?;
    let store = &callers.store;
    store.state_permissions(&caller.space, &role, Some(permissions), &caller.id, clock::millis()).await?;
    let now = of(&callers, &caller, &role).await?;
    tracing::info!(space = %caller.space, by = caller.id, role, "a role's permissions were set");
    Ok(Json(json!({ "spaceId": caller.space, "role": role, "permissions": now })))
}

/// `DELETE /api/permissions?role=member`: back to the defaults.
pub(super) async fn reset(
    State(callers): State<Callers>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    let held = callers.require(&caller, "permissions.set").await?;
    let role = wanted.role.unwrap_or_default();
    roles::check_name(&role).map_err(refusal)?;
    let registry = callers.plugins.registry();
    let before = of(&callers, &caller, &role).await?;
    let after = registry.roles.held(&role, None).names().to_vec();
    let bounds = roles::bounds(&held, callers.is_global_admin(&caller).await?, &role);
    roles::within(bounds, before.iter().chain(&after)).map_err(refusal)?;
    callers.store.state_permissions(&caller.space, &role, None, &caller.id, clock::millis()).await?;
    Ok(Json(json!({ "spaceId": caller.space, "role": role, "permissions": after })))
}

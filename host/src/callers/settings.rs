//! The settings of plugins for the caller's space, and what plugins there are.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Caller, Callers};
use crate::{
    clock,
    domain::{ids::SpaceId, space_settings},
    http::{ApiError, Given, Input},
    plugins::{Plugin, SettingError},
    store::Store,
};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSetting {
    #[serde(default)]
    pub key: String,
    /// Text; a number or a flag is taken as it is written.
    #[serde(default)]
    pub value: Value,
    /// Only the operator may name one: all others set what is their space's.
    pub space: Option<String>,
}

impl Given for NewSetting {
    const EXAMPLE: &'static str = "{\"key\": \"napkin.backfill-days\", \"value\": \"30\"}";
}

impl NewSetting {
    pub fn bad(reason: impl Into<String>) -> ApiError {
        let next = format!("Send JSON such as {}", Self::EXAMPLE);
        ApiError::new(StatusCode::BAD_REQUEST, "bad_setting", reason, &next)
    }

    pub fn text(&self) -> Result<String, ApiError> {
        match &self.value {
            _ if self.key.is_empty() => Err(Self::bad("Missing key or value")),
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(flag) => Ok(flag.to_string()),
            Value::Null => Err(Self::bad("Missing key or value")),
            _ => Err(Self::bad("the value must be text, a number or a flag")),
        }
    }
}

pub fn refusal(error: SettingError) -> ApiError {
    let (status, code) = match error {
        SettingError::Unknown { .. } => (StatusCode::BAD_REQUEST, "unknown_setting"),
        SettingError::Invalid { .. } => (StatusCode::BAD_REQUEST, "bad_setting"),
        SettingError::UnknownSpace { .. } => (StatusCode::NOT_FOUND, "unknown_space"),
        SettingError::Store(error) => return error.into(),
    };
    ApiError::new(status, code, error.to_string(), "`mrctl config get` (GET /api/config) lists the settings")
}

/// As clients of the replaced system know it: the values, and beside them what there is.
pub async fn list(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "config.get").await?;
    let settings = callers.plugins.settings(None, Some(caller.space.as_str()));
    let mut values: Map<_, _> =
        settings.iter().filter_map(|view| Some((view.key.clone(), Value::String(view.value.clone()?)))).collect();
    let set = callers.store.space_settings(&caller.space).await?;
    values.extend(
        set.stated()
            .filter(|(key, _)| !space_settings::is_operators(key))
            .map(|(key, value)| (key.to_owned(), Value::from(value))),
    );
    let offered = offered(false);
    Ok(Json(json!({ "spaceId": caller.space, "config": values, "available": settings, "ofSpaces": offered })))
}

/// The host's own settings of spaces, set or not.
pub fn offered(of_operators: bool) -> Value {
    let offered = space_settings::offered(of_operators);
    offered.map(|(key, about)| json!({ "key": key, "description": about })).collect()
}

/// Sets one of the host's own settings for a space or for all, or takes it back. Whoever writes one comes by here.
///
/// # Errors
/// What the value may be; where there is no such space; and where nobody else reads along in it, what would open
/// it to a sensitive connection before a group is there.
pub async fn change(
    store: &Store,
    space: Option<&SpaceId>,
    key: &str,
    value: Option<String>,
    by: &str,
) -> Result<(), ApiError> {
    if let Some(value) = &value {
        space_settings::check(key, value).map_err(NewSetting::bad)?;
    }
    if let Some(space) = space
        && !store.space_exists(space).await?
    {
        return Err(ApiError::space_not_found(space.as_str()));
    }
    if key == space_settings::SENSITIVE_ALLOWED && value.as_deref() == Some("true") {
        let Some(space) = space else {
            return Err(NewSetting::bad(format!("{key} is allowed for one space at a time, not for all")));
        };
        if !store.is_shared(space).await? {
            let error = format!("{key} has no effect in {space}: only direct conversations are linked to it");
            return Err(NewSetting::bad(error));
        }
        tracing::warn!(%space, by, "agents may run beside sensitive connections where several people read along");
    }
    let values = vec![(key.to_owned(), value)];
    store.change_space_settings(space, values, by, clock::millis()).await?;
    Ok(())
}

pub async fn set(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<NewSetting>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "config.set").await?;
    let value = given.text()?;
    if given.space.as_ref().is_some_and(|space| space != caller.space.as_str()) {
        let error = "A setting is set in the caller's own space";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "other_space", error, "Leave `space` out"));
    }
    if space_settings::is_operators(&given.key) {
        let error = format!("{} is the operator's to set", given.key);
        return Err(ApiError::new(StatusCode::FORBIDDEN, "operators_setting", error, ""));
    }
    if space_settings::is_known(&given.key) {
        change(&callers.store, Some(&caller.space), &given.key, Some(value.clone()), &caller.id).await?;
        return Ok(Json(json!({ "spaceId": caller.space, "key": given.key, "value": value })));
    }
    if callers.plugins.is_guarding(&given.key) {
        // Else whoever is guarded could switch the guard off, an agent that was talked into it first of all.
        let error = format!("{} is the operator's to set: its plugin guards this space", given.key);
        let next = "The operator sets it for the space, with `mercury plugins settings` or in mercury.yaml";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "operators_setting", error, next));
    }
    callers.plugins.set_setting(&given.key, Some(&caller.space), Some(&value)).await.map_err(refusal)?;
    tracing::info!(space = %caller.space, by = caller.id, key = given.key, "a setting was set");
    Ok(Json(json!({ "spaceId": caller.space, "key": given.key, "value": value })))
}

/// `GET /api/ext`: the plugins that bring something for agents.
pub(super) async fn extensions(State(callers): State<Callers>, _: Caller) -> Result<Json<Value>, ApiError> {
    let loaded = callers.plugins.loaded();
    Ok(Json(json!({ "extensions": loaded.iter().map(|plugin| extension_view(plugin)).collect::<Vec<_>>() })))
}

/// What a plugin brings for agents.
pub fn extension_view(plugin: &Plugin) -> Value {
    let (name, agent) = (&plugin.manifest().name, &plugin.manifest().agent);
    json!({
        "name": name,
        "hasCli": !agent.clis.is_empty(),
        "hasSkill": agent.skill.is_some(),
        "permission": agent.permission.then_some(name),
        "connection": plugin.connection(),
    })
}

/// `GET /api/connections`: how the services stand that plugins present.
pub(super) async fn connections(State(callers): State<Callers>, _: Caller) -> Json<Value> {
    Json(json!({ "connections": callers.plugins.connections().await }))
}

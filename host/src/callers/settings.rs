//! The settings of plugins for the caller's space, and what plugins there are.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Caller, Callers};
use crate::{
    clock,
    domain::space_settings,
    http::{ApiError, Given, Input},
    plugins::SettingError,
};

#[derive(Clone, Debug, Deserialize)]
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
    ApiError::new(status, code, error.to_string(), "GET /api/config lists the settings")
}

/// As clients of the replaced system know it: the values, and beside them what there is.
pub async fn list(State(callers): State<Callers>, caller: Caller) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "config.get").await?;
    let settings = callers.plugins.settings(None, Some(caller.space.as_str()));
    let mut values: Map<_, _> =
        settings.iter().filter_map(|view| Some((view.key.clone(), Value::String(view.value.clone()?)))).collect();
    let set = callers.store.space_settings(&caller.space).await?;
    values.extend(set.stated().map(|(key, value)| (key.to_owned(), Value::from(value))));
    Ok(Json(json!({ "spaceId": caller.space, "config": values, "available": settings })))
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
    if space_settings::is_known(&given.key) {
        space_settings::check(&given.key, &value).map_err(NewSetting::bad)?;
        let values = vec![(given.key.clone(), Some(value.clone()))];
        callers.store.change_space_settings(Some(&caller.space), values, &caller.id, clock::millis()).await?;
        return Ok(Json(json!({ "spaceId": caller.space, "key": given.key, "value": value })));
    }
    callers.plugins.set_setting(&given.key, Some(&caller.space), Some(&value)).await.map_err(refusal)?;
    tracing::info!(space = %caller.space, by = caller.id, key = given.key, "a setting was set");
    Ok(Json(json!({ "spaceId": caller.space, "key": given.key, "value": value })))
}

/// `GET /api/ext`: the plugins that bring something for agents.
pub(super) async fn extensions(State(callers): State<Callers>, _: Caller) -> Result<Json<Value>, ApiError> {
    let loaded = callers.plugins.loaded();
    let view = |plugin: &std::sync::Arc<crate::plugins::Plugin>| {
        let (name, agent) = (&plugin.manifest().name, &plugin.manifest().agent);
        json!({
            "name": name,
            "hasCli": !agent.clis.is_empty(),
            "hasSkill": agent.skill.is_some(),
            "permission": agent.permission.then_some(name),
        })
    };
    Ok(Json(json!({ "extensions": loaded.iter().map(view).collect::<Vec<_>>() })))
}

//! `/api/config`: the settings of plugins and those of the host (`domain::space_settings`), for one space or
//! for all. For the operator.

use axum::{
    Json,
    extract::{Query, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Api;
use crate::{
    clock,
    domain::{ids::SpaceId, space_settings},
    http::ApiError,
    plugins::{EVERYWHERE, SettingError},
};

/// Who writes by this API, as it is kept beside a setting.
const OPERATOR: &str = "operator";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wanted {
    /// A space, or `@global`, which is also what is meant where nothing is said.
    space: Option<String>,
    /// Only this plugin's.
    plugin: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    key: String,
    /// Text; a number or a flag is taken as it is written.
    value: Value,
    space: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Named {
    key: String,
    space: Option<String>,
}

/// `GET /api/config?space=main`
pub(super) async fn list(
    State(api): State<Api>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    api.require_operator(&headers)?;
    let space = space(wanted.space.as_deref())?;
    let plugins = &api.rooms()?.plugins;
    let settings = plugins.settings(wanted.plugin.as_deref(), space.as_ref().map(SpaceId::as_str));
    // As clients of the replaced system know it: the values, and beside them what there is.
    let mut values: Map<_, _> =
        settings.iter().filter_map(|view| Some((view.key.clone(), Value::String(view.value.clone()?)))).collect();
    if let (Some(space), None) = (&space, &wanted.plugin) {
        let set = api.rooms()?.store.space_settings(space).await?;
        let own = space_settings::SETTINGS.iter().filter_map(|setting| Some((setting.key, set.text(setting.key)?)));
        values.extend(own.map(|(key, value)| (key.to_owned(), Value::String(value.to_owned()))));
    }
    Ok(Json(json!({ "spaceId": shown(&space), "config": values, "available": settings })))
}

/// `PUT /api/config` of `{key, value, space?}`
pub(super) async fn set(
    State(api): State<Api>,
    headers: HeaderMap,
    given: Result<Json<Given>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    api.require_operator(&headers)?;
    let bad = |reason: String| {
        let example = "Send JSON such as {\"key\": \"napkin.backfill-days\", \"value\": \"30\", \"space\": \"main\"}";
        ApiError::new(StatusCode::BAD_REQUEST, "bad_setting", reason, example)
    };
    let Json(given) = given.map_err(|error| bad(error.body_text()))?;
    let value = match &given.value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => return Err(bad("the value must be text, a number or a flag".into())),
    };
    let space = space(given.space.as_deref())?;
    if space_settings::is_known(&given.key) {
        space_settings::check(&given.key, &value).map_err(bad)?;
        change(&api, space.as_ref(), &given.key, Some(value.clone())).await?;
        return Ok(Json(json!({ "spaceId": shown(&space), "key": given.key, "value": value })));
    }
    let set = api.rooms()?.plugins.set_setting(&given.key, space.as_ref(), Some(&value)).await;
    set.map_err(refusal)?;
    Ok(Json(json!({ "spaceId": shown(&space), "key": given.key, "value": value })))
}

/// `DELETE /api/config?key=…&space=…`
pub(super) async fn unset(
    State(api): State<Api>,
    headers: HeaderMap,
    Query(named): Query<Named>,
) -> Result<Json<Value>, ApiError> {
    api.require_operator(&headers)?;
    let space = space(named.space.as_deref())?;
    if space_settings::is_known(&named.key) {
        change(&api, space.as_ref(), &named.key, None).await?;
        return Ok(Json(json!({ "spaceId": shown(&space), "key": named.key, "deleted": true })));
    }
    let unset = api.rooms()?.plugins.set_setting(&named.key, space.as_ref(), None).await;
    unset.map_err(refusal)?;
    Ok(Json(json!({ "spaceId": shown(&space), "key": named.key, "deleted": true })))
}

/// Changes one of the host's own settings of a space, or of all.
async fn change(api: &Api, space: Option<&SpaceId>, key: &str, value: Option<String>) -> Result<(), ApiError> {
    let store = &api.rooms()?.store;
    if let Some(space) = space
        && !store.space_exists(space).await?
    {
        let error = format!("Space not found: {space}");
        return Err(ApiError::new(StatusCode::NOT_FOUND, "unknown_space", error, "`mercury spaces list` shows them"));
    }
    let values = vec![(key.to_owned(), value)];
    store.change_space_settings(space, values, OPERATOR, clock::millis()).await?;
    Ok(())
}

/// `None`: all spaces.
fn space(named: Option<&str>) -> Result<Option<SpaceId>, ApiError> {
    let named = named.filter(|name| *name != EVERYWHERE);
    named
        .map(|name| SpaceId::try_from(name.to_owned()))
        .transpose()
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_space", error.to_string(), ""))
}

fn shown(space: &Option<SpaceId>) -> &str {
    space.as_ref().map_or(EVERYWHERE, SpaceId::as_str)
}

fn refusal(error: SettingError) -> ApiError {
    let (status, code) = match error {
        SettingError::Unknown { .. } => (StatusCode::BAD_REQUEST, "unknown_setting"),
        SettingError::Invalid { .. } => (StatusCode::BAD_REQUEST, "bad_setting"),
        SettingError::UnknownSpace { .. } => (StatusCode::NOT_FOUND, "unknown_space"),
        SettingError::Store(error) => return error.into(),
    };
    ApiError::new(status, code, error.to_string(), "GET /api/config lists the settings")
}

//! `/api/config`: the settings of plugins and those of the host (`domain::space_settings`), for one space or
//! for all. For the operator.

use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Api, spaces::space_id};
use crate::{
    callers::{self, Caller, NewSetting, offered_settings, setting_refusal as refusal},
    domain::{ids::SpaceId, space_settings},
    http::{ApiError, Input, Query},
    plugins::EVERYWHERE,
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
pub(super) struct Named {
    key: String,
    space: Option<String>,
}

/// `GET /api/config?space=main`; for a caller, that of its space.
pub(super) async fn list(
    State(api): State<Api>,
    caller: Option<Extension<Caller>>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    if let Some(Extension(caller)) = caller {
        return callers::answers::settings(State(api.rooms()?.runs.callers()), caller).await;
    }
    let space = space(wanted.space.as_deref())?;
    Ok(Json(of(&api, space.as_ref(), wanted.plugin.as_deref()).await?))
}

/// As clients of the replaced system know it: the values, and beside them what there is.
pub(super) async fn of(api: &Api, space: Option<&SpaceId>, plugin: Option<&str>) -> Result<Value, ApiError> {
    let rooms = api.rooms()?;
    let settings = rooms.plugins.settings(plugin, space.map(SpaceId::as_str));
    let mut values: Map<_, _> =
        settings.iter().filter_map(|view| Some((view.key.clone(), Value::String(view.value.clone()?)))).collect();
    if let (Some(space), None) = (space, plugin) {
        let set = rooms.store.space_settings(space).await?;
        values.extend(set.stated().map(|(key, value)| (key.to_owned(), Value::from(value))));
    }
    let offered = offered_settings(true);
    Ok(json!({ "spaceId": shown(space), "config": values, "available": settings, "ofSpaces": offered }))
}

/// `PUT /api/config` of `{key, value, space?}`
pub(super) async fn set(
    State(api): State<Api>,
    caller: Option<Extension<Caller>>,
    Input(given): Input<NewSetting>,
) -> Result<Json<Value>, ApiError> {
    if let Some(Extension(caller)) = caller {
        let callers = api.rooms()?.runs.callers();
        return callers::answers::set_setting(State(callers), caller, Input(given)).await;
    }
    let space = space(given.space.as_deref())?;
    let value = put(&api, space.as_ref(), &given).await?;
    Ok(Json(json!({ "spaceId": shown(space.as_ref()), "key": given.key, "value": value })))
}

/// The value as it was set, for a space or for all.
pub(super) async fn put(api: &Api, space: Option<&SpaceId>, given: &NewSetting) -> Result<String, ApiError> {
    let value = given.text()?;
    if space_settings::is_known(&given.key) {
        change(api, space, &given.key, Some(value.clone())).await?;
    } else {
        api.rooms()?.plugins.set_setting(&given.key, space, Some(&value)).await.map_err(refusal)?;
    }
    tracing::info!(space = shown(space), by = OPERATOR, key = given.key, "a setting was set");
    Ok(value)
}

/// `DELETE /api/config?key=…&space=…`
pub(super) async fn unset(
    State(api): State<Api>,
    caller: Option<Extension<Caller>>,
    Query(named): Query<Named>,
) -> Result<Json<Value>, ApiError> {
    if caller.is_some() {
        let error = "Only the operator takes a setting back, for a space or for all";
        let next = "Ask without the headers X-Mercury-Caller and X-Mercury-Space, and name ?space=";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "operator_only", error, next));
    }
    let space = space(named.space.as_deref())?;
    if space_settings::is_known(&named.key) {
        change(&api, space.as_ref(), &named.key, None).await?;
        return Ok(Json(json!({ "spaceId": shown(space.as_ref()), "key": named.key, "deleted": true })));
    }
    let unset = api.rooms()?.plugins.set_setting(&named.key, space.as_ref(), None).await;
    unset.map_err(refusal)?;
    Ok(Json(json!({ "spaceId": shown(space.as_ref()), "key": named.key, "deleted": true })))
}

/// Changes one of the host's own settings of a space, or of all.
async fn change(api: &Api, space: Option<&SpaceId>, key: &str, value: Option<String>) -> Result<(), ApiError> {
    callers::change_setting(&api.rooms()?.store, space, key, value, OPERATOR).await
}

/// `None`: all spaces.
fn space(named: Option<&str>) -> Result<Option<SpaceId>, ApiError> {
    named.filter(|name| *name != EVERYWHERE).map(space_id).transpose()
}

fn shown(space: Option<&SpaceId>) -> &str {
    space.map_or(EVERYWHERE, SpaceId::as_str)
}

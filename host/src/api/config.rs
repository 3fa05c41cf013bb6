//! `/api/config`: the settings of plugins and those of the host (`domain::space_settings`), for one space or
//! for all. For the operator.

use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Api, spaces::space_id};
use crate::{
    callers::{self, Caller, NewSetting, setting_refusal as refusal},
    clock,
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
    let plugins = &api.rooms()?.plugins;
    let settings = plugins.settings(wanted.plugin.as_deref(), space.as_ref().map(SpaceId::as_str));
    // As clients of the replaced system know it: the values, and beside them what there is.
    let mut values: Map<_, _> =
        settings.iter().filter_map(|view| Some((view.key.clone(), Value::String(view.value.clone()?)))).collect();
    if let (Some(space), None) = (&space, &wanted.plugin) {
        let set = api.rooms()?.store.space_settings(space).await?;
        values.extend(set.stated().map(|(key, value)| (key.to_owned(), Value::from(value))));
    }
    Ok(Json(json!({ "spaceId": shown(&space), "config": values, "available": settings })))
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
    let (value, space) = (given.text()?, space(given.space.as_deref())?);
    if space_settings::is_known(&given.key) {
        space_settings::check(&given.key, &value).map_err(NewSetting::bad)?;
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
        return Err(ApiError::space_not_found(space.as_str()));
    }
    let values = vec![(key.to_owned(), value)];
    store.change_space_settings(space, values, OPERATOR, clock::millis()).await?;
    Ok(())
}

/// `None`: all spaces.
fn space(named: Option<&str>) -> Result<Option<SpaceId>, ApiError> {
    named.filter(|name| *name != EVERYWHERE).map(space_id).transpose()
}

fn shown(space: &Option<SpaceId>) -> &str {
    space.as_ref().map_or(EVERYWHERE, SpaceId::as_str)
}

//! `/api/plugins`: what each plugin did since the host started, its work in the background and its
//! panels, for the operator. What a plugin logged is its own text: whoever shows it escapes it.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::{
    http::{ApiError, Path, Query},
    plugins::{Plugin, Reloaded},
};

/// Lines of log that are sent unless the client wants fewer or more.
const LINES: usize = 100;

#[derive(Deserialize)]
pub(super) struct LogQuery {
    count: Option<usize>,
}

pub(super) async fn list(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let plugins = &api.rooms()?.plugins;
    let disabled = plugins.disabled();
    let disabled = disabled.iter().map(|(name, reason)| json!({ "name": name, "reason": reason }));
    Ok(Json(json!({
        "plugins": plugins.loaded().iter().map(|plugin| view(plugin)).collect::<Vec<_>>(),
        "disabled": disabled.collect::<Vec<_>>(),
    })))
}

pub(super) async fn log(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Value>, ApiError> {
    let plugins = &api.rooms()?.plugins;
    let loaded = plugins.loaded();
    let plugin = loaded.iter().find(|plugin| plugin.name() == name).ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "unknown_plugin",
            format!("No plugin `{name}` is loaded"),
            "`mercury plugins list` shows those that are there",
        )
    })?;
    Ok(Json(json!({ "lines": plugin.log_lines(query.count.unwrap_or(LINES)) })))
}

/// `POST /api/plugins/reload`: takes up what was installed, updated or removed. Answers with what
/// changed, by name, and with what cannot be used and why.
pub(super) async fn reload(State(api): State<Api>) -> Result<Json<Reloaded>, ApiError> {
    let changes = api.rooms()?.plugins.reload().await.map_err(|error| {
        let next = "Nothing was changed. Mend it, then reload again";
        ApiError::new(StatusCode::CONFLICT, "plugins_unreadable", error.to_string(), next)
    })?;
    Ok(Json(changes))
}

fn view(plugin: &Plugin) -> Value {
    let manifest = plugin.manifest();
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "origin": plugin.origin().word(),
        "contract": plugin.declaration().version.to_string(),
        "provides": manifest.provides.iter().map(|interface| interface.name()).collect::<Vec<_>>(),
        "limits": manifest.limits,
        "resting": plugin.is_resting(),
        "seen": plugin.seen(),
    })
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    space: Option<String>,
}

/// `GET /api/plugins/jobs`
pub(super) async fn jobs(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "jobs": api.rooms()?.schedule.list().await? })))
}

/// `GET /api/plugins/widgets?space=main`
pub(super) async fn widgets(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Result<Json<Value>, ApiError> {
    let panels = api.rooms()?.plugins.panels(wanted.space.as_deref()).await;
    Ok(Json(json!({ "widgets": panels })))
}

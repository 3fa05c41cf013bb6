//! `/api/plugins`: what each plugin did since the host started, its work in the background and its
//! panels, for the operator. What a plugin logged is its own text: whoever shows it escapes it.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::{
    http::{ApiError, Path, Query},
    plugins::{Plugin, Purged, Reloaded},
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

#[derive(serde::Serialize)]
pub(super) struct Taken {
    #[serde(flatten)]
    changes: Reloaded,
    /// What the host was started with: a reload does not read the configuration again.
    configured: BTreeMap<String, String>,
}

/// `POST /api/plugins/reload`: takes up what was installed, updated or removed. Answers with what
/// changed, by name, and with what cannot be used and why.
pub(super) async fn reload(State(api): State<Api>) -> Result<Json<Taken>, ApiError> {
    let changes = api.rooms()?.plugins.reload().await.map_err(|error| {
        let next = "Nothing was changed. Mend it, then reload again";
        ApiError::new(StatusCode::CONFLICT, "plugins_unreadable", error.to_string(), next)
    })?;
    Ok(Json(Taken { changes, configured: api.config.plugin_fingerprints() }))
}

/// `POST /api/plugins/{name}/purge`: deletes all that is kept of a plugin that is not loaded, and says what
/// that was.
pub(super) async fn purge(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Purged>, ApiError> {
    let purged = api.rooms()?.plugins.purge(&name).await?;
    purged.map(Json).ok_or_else(|| {
        ApiError::new(
            StatusCode::CONFLICT,
            "plugin_loaded",
            format!("The plugin `{name}` is loaded and would write again"),
            &format!("Remove it, or switch it off with plugins.{name}.enabled: false and start the host again"),
        )
    })
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

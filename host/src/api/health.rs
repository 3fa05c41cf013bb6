use axum::{Json, extract::State, http::header, response::IntoResponse};
use serde_json::{Value, json};

use super::Api;
use crate::adapters::Condition;

/// `GET /health`: open, and without anything that a stranger could use.
pub(super) async fn health(State(api): State<Api>) -> Json<Value> {
    let uptime = api.began.elapsed().as_secs();
    let Some(rooms) = api.rooms.get() else {
        return Json(json!({ "status": "warming", "uptime": uptime }));
    };
    let activity = rooms.store.activity().await.unwrap_or_default();
    let plugins: serde_json::Map<_, _> = rooms
        .plugins
        .loaded()
        .iter()
        .map(|plugin| (plugin.name().to_owned(), Value::Bool(true)))
        .chain(rooms.plugins.disabled().iter().map(|(name, _)| (name.clone(), Value::Bool(false))))
        .collect();
    let adapters: serde_json::Map<_, _> = rooms
        .adapters
        .standings()
        .into_iter()
        .map(|standing| (standing.platform, Value::Bool(standing.condition == Condition::Running)))
        .collect();
    let docker = rooms.sandbox.daemon_answers();
    Json(json!({
        "status": if docker == Some(false) { "degraded" } else { "ok" },
        "version": crate::VERSION,
        "uptime": uptime,
        "queue": { "active": activity.active, "pending": activity.queued },
        "containers": { "active": activity.active },
        "docker": docker,
        "adapters": adapters,
        "extImage": rooms.sandbox.derived_image(),
        "plugins": plugins,
    }))
}

/// `GET /metrics`: the Prometheus text format, for the operator.
pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], api.metrics.render())
}

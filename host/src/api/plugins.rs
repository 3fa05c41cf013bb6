//! What plugins do in the background, and the panels that they show. For the operator.

use axum::{
    Json,
    extract::{Query, State},
    http::HeaderMap,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::http::ApiError;

#[derive(Deserialize)]
pub(super) struct Wanted {
    space: Option<String>,
}

/// `GET /api/plugins/jobs`
pub(super) async fn jobs(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    api.require_operator(&headers)?;
    Ok(Json(json!({ "jobs": api.rooms()?.schedule.list().await? })))
}

/// `GET /api/plugins/widgets?space=main`
pub(super) async fn widgets(
    State(api): State<Api>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    api.require_operator(&headers)?;
    let panels = api.rooms()?.plugins.panels(wanted.space.as_deref()).await;
    Ok(Json(json!({ "widgets": panels })))
}

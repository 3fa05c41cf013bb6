use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::Api;
use crate::http::{ApiError, Path};

/// `GET /api/adapters`: how each stands, for the operator.
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "adapters": api.rooms()?.adapters.standings() })))
}

/// `POST /api/adapters/{platform}/restart`: also for one that stands still.
pub(super) async fn restart(State(api): State<Api>, Path(platform): Path<String>) -> Result<Json<Value>, ApiError> {
    if api.rooms()?.adapters.restart(&platform) {
        return Ok(Json(json!({ "restarting": platform })));
    }
    Err(ApiError::new(
        StatusCode::NOT_FOUND,
        "adapter_unknown",
        format!("There is no adapter for the platform {platform}"),
        "`mercury adapters` lists those that there are",
    ))
}

//! `POST /api/plugins/reload`: takes up what was installed, updated or removed.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};

use super::Api;
use crate::{http::ApiError, plugins::Reloaded};

/// Answers with what changed, by name, and with what cannot be used and why.
pub(super) async fn reload(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Reloaded>, ApiError> {
    api.require_operator(&headers)?;
    let changes = api.rooms()?.plugins.reload().await.map_err(|error| {
        let next = "Nothing was changed. Mend it, then reload again";
        ApiError::new(StatusCode::CONFLICT, "plugins_unreadable", error.to_string(), next)
    })?;
    Ok(Json(changes))
}

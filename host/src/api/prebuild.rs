//! `POST /pre-build-ext-image`: builds the derived image of an image that is about to be used, so that
//! an upgrade does not begin without its programs.

use axum::{Json, extract::State, http::StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use crate::http::ApiError;

/// `targetEnv` of the replaced system is accepted and changes nothing: which programs a plugin wants
/// does not depend on the environment here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    #[serde(default)]
    target_agent_image: String,
}

/// Answers once the image is there; where it cannot be built, with the name of its base.
pub(super) async fn prebuild(State(api): State<Api>, body: Bytes) -> Result<Json<Value>, ApiError> {
    let rooms = api.rooms()?;
    let target = serde_json::from_slice::<Target>(&body).map(|target| target.target_agent_image).unwrap_or_default();
    let base = target.trim();
    if base.is_empty() || base.contains(char::is_whitespace) {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "missing_image",
            "targetAgentImage is required",
            "Send {\"targetAgentImage\": \"registry/image:tag\"}",
        ));
    }
    let derived = match rooms.sandbox.derive_for(base).await {
        Ok(tag) => tag,
        Err(error) => {
            tracing::error!(base, "the derived image could not be built ahead: {error}");
            None
        }
    };
    Ok(Json(json!({ "status": "ok", "derivedImage": derived.as_deref().unwrap_or(base) })))
}

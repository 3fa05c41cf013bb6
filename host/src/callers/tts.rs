//! `POST /api/tts/synthesize`, as clients of the replaced system know it: a call of the plugin `voice-synth`,
//! whose sound comes in the answer rather than in an outbox.

use axum::{Json, extract::State, http::StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Caller, Callers};
use crate::{
    http::{ApiError, Given, Input},
    media::Folder,
    plugins::{BrokerError, types},
    sandbox::AgentUser,
};

const PLUGIN: &str = "voice-synth";
const ACTION: &str = "synthesize";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
}

impl Given for Wanted {
    const EXAMPLE: &'static str = "{\"text\": \"Good morning\", \"language\": \"en-US\"}";
}

/// `{mimeType, filename, dataBase64, sizeBytes}`
pub(super) async fn synthesize(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<Wanted>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "tts.synthesize").await?;
    // A guard that knows the plugin by its name is passed by on no other road.
    callers.pass_guards(&caller, PLUGIN).await?;
    // Only for this call: what is not read is gone with it.
    let place = tempfile::tempdir().map_err(|error| lost(&error))?;
    let user = AgentUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
    let outbox = Folder { workspace: place.path().join("sound"), name: "outbox", user };
    let asking = types::Caller {
        person: caller.id.clone(),
        role: caller.role.clone(),
        space: caller.space.to_string(),
        conversation: caller.conversation().map(str::to_owned),
    };
    let path = outbox.workspace.join(outbox.name);
    let answer = callers.plugins.invoke(asking, "", PLUGIN, ACTION, &json!(given), outbox).await.map_err(refusal)?;
    let file = answer.files.first().ok_or_else(|| lost(&"it made no sound"))?;
    let sound = tokio::fs::read(path.join(file)).await.map_err(|error| lost(&error))?;
    Ok(Json(json!({
        "mimeType": answer.output["mimeType"],
        "filename": answer.output["filename"],
        "sizeBytes": sound.len(),
        "dataBase64": STANDARD.encode(sound),
    })))
}

fn refusal(error: BrokerError) -> ApiError {
    let (status, next) = match &error {
        BrokerError::UnknownPlugin { .. } | BrokerError::UnknownAction { .. } => (503, ""),
        BrokerError::BadArguments { .. } => (400, Wanted::EXAMPLE),
        other => (other.status(), ""),
    };
    let next = if next.is_empty() { String::new() } else { format!("Send JSON such as {next}") };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut refused = ApiError::new(status, error.code(), error.to_string(), &next);
    refused.body.retryable = error.retryable().then_some(true);
    refused
}

fn lost(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%error, "a sound that was made could not be read");
    let error = "The sound could not be read";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "sound_lost", error, "Read the host's log")
}

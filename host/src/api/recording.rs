//! `POST /api/plugins/{name}/recording`: the next calls of a plugin with what it asked of the host
//! meanwhile, a JSON line each as they end.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Deserialize;

use super::Api;
use crate::{
    http::{ApiError, Path},
    plugins::replay::Running,
};

/// How long one request may record, in seconds.
const MOST_SECONDS: u64 = 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default = "usual_calls")]
    calls: usize,
    #[serde(default = "usual_seconds")]
    seconds: u64,
}

fn usual_calls() -> usize {
    20
}

fn usual_seconds() -> u64 {
    600
}

/// Recordings hold what people wrote and what peers answered, so only the operator gets them. They end
/// after `calls` (1 to 200), after `seconds` (1 to 3,600), with the host, or when the client goes away.
pub(super) async fn record(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let rooms = api.rooms()?;
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    let wanted: Wanted = serde_json::from_slice(body).map_err(|error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "bad_recording",
            format!("The body is not understood: {error}"),
            "Send {\"calls\": 20, \"seconds\": 600}",
        )
    })?;
    let recording = rooms.plugins.record(&name, wanted.calls).map_err(|error| match error {
        None => ApiError::new(
            StatusCode::NOT_FOUND,
            "unknown_plugin",
            format!("No plugin {name} is loaded"),
            "`mercury plugins list` shows those that are",
        ),
        Some(error) => ApiError::new(StatusCode::CONFLICT, "recording", error.to_string(), ""),
    })?;
    let until = tokio::time::Instant::now() + Duration::from_secs(wanted.seconds.clamp(1, MOST_SECONDS));
    let stopping = api.stopping.clone();
    let lines = futures_util::stream::unfold(recording, move |mut recording: Running| {
        let stopping = stopping.clone();
        async move {
            let call = tokio::select! {
                call = recording.next() => call?,
                () = tokio::time::sleep_until(until) => return None,
                () = stopping.cancelled() => return None,
            };
            let mut line = serde_json::to_vec(&call).unwrap_or_default();
            line.push(b'\n');
            Some((Ok::<_, Infallible>(Bytes::from(line)), recording))
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

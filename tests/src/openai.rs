//! A fake model server of the OpenAI-compatible kind: chat completions with streaming, playing the
//! same script as [`crate::model`].

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response, Sse, sse},
    routing::post,
};
use serde_json::{Value, json};

use crate::model::Turn;

#[derive(Clone, Default)]
struct Shared {
    script: Arc<Mutex<VecDeque<Turn>>>,
    requests: Arc<Mutex<Vec<Value>>>,
    keys: Arc<Mutex<Vec<String>>>,
}

pub struct OpenAi {
    address: SocketAddr,
    shared: Shared,
}

impl OpenAi {
    pub async fn start(script: impl IntoIterator<Item = Turn>) -> Self {
        let shared = Shared { script: Arc::new(Mutex::new(script.into_iter().collect())), ..Shared::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared }
    }

    /// The base URL from this machine, as such APIs have it: with the version.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.address.port())
    }

    pub fn requests(&self) -> Vec<Value> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// `Authorization` of each request.
    pub fn keys(&self) -> Vec<String> {
        self.shared.keys.lock().unwrap().clone()
    }
}

/// The last turn is repeated.
async fn complete(State(shared): State<Shared>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    let key = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    shared.keys.lock().unwrap().push(key.to_owned());
    let wants_usage = request["stream_options"]["include_usage"] == true;
    let model = request["model"].clone();
    shared.requests.lock().unwrap().push(request);
    let turn = {
        let mut script = shared.script.lock().unwrap();
        if script.len() > 1 { script.pop_front().unwrap() } else { script.front().cloned().unwrap() }
    };
    let (delta, reason) = match turn {
        Turn::Error(status, message) => {
            let body = json!({ "error": { "message": message, "type": "server_error" } });
            return (StatusCode::from_u16(status).unwrap(), Json(body)).into_response();
        }
        Turn::Text(text) | Turn::Held(text) => (json!({ "role": "assistant", "content": text }), "stop"),
        Turn::Bash(command) => {
            let function = json!({ "name": "bash", "arguments": json!({ "command": command }).to_string() });
            let call = json!({ "index": 0, "id": "call_1", "type": "function", "function": function });
            (json!({ "role": "assistant", "tool_calls": [call] }), "tool_calls")
        }
    };
    let chunk = |choices: Value, usage: Value| json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices, "usage": usage });
    let mut chunks = vec![
        chunk(json!([{ "index": 0, "delta": delta, "finish_reason": null }]), Value::Null),
        chunk(json!([{ "index": 0, "delta": {}, "finish_reason": reason }]), Value::Null),
    ];
    if wants_usage {
        let usage = json!({ "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110,
            "prompt_tokens_details": { "cached_tokens": 40 } });
        chunks.push(chunk(json!([]), usage));
    }
    let events = chunks.into_iter().map(|chunk| chunk.to_string()).chain(["[DONE]".to_owned()]);
    Sse::new(tokio_stream::iter(events.map(|data| Ok::<_, Infallible>(sse::Event::default().data(data)))))
        .into_response()
}

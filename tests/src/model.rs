//! A fake model server: the Anthropic Messages API with streaming, playing a script.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response, Sse, sse},
    routing::post,
};
use serde_json::{Value, json};

/// One answer of the script.
#[derive(Clone, Debug)]
pub enum Turn {
    Text(String),
    /// A call of the agent's shell.
    Bash(String),
    /// A call of any tool, with its arguments.
    Tool(&'static str, Value),
    /// An HTTP error with the API's error body.
    Error(u16, String),
}

#[derive(Clone, Default)]
struct Shared {
    script: Arc<Mutex<VecDeque<Turn>>>,
    requests: Arc<Mutex<Vec<Value>>>,
    keys: Arc<Mutex<Vec<String>>>,
}

pub struct Model {
    address: SocketAddr,
    shared: Shared,
}

impl Model {
    /// Listens on all of this machine's addresses, since containers reach it by the bridge.
    pub async fn start(script: impl IntoIterator<Item = Turn>) -> Self {
        let shared = Shared { script: Arc::new(Mutex::new(script.into_iter().collect())), ..Shared::default() };
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/v1/messages", post(messages))
            .layer(DefaultBodyLimit::disable())
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared }
    }

    /// The base URL from inside a container.
    pub fn url(&self) -> String {
        format!("http://host.docker.internal:{}", self.address.port())
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Value> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The keys that requests carried.
    pub fn keys(&self) -> Vec<String> {
        self.shared.keys.lock().unwrap().clone()
    }
}

fn tool_use(name: &str, arguments: &Value) -> (Value, Value, &'static str) {
    let start = json!({ "type": "tool_use", "id": "toolu_1", "name": name, "input": {} });
    (start, json!({ "type": "input_json_delta", "partial_json": arguments.to_string() }), "tool_use")
}

/// The last turn is repeated.
async fn messages(State(shared): State<Shared>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    let key = headers.get("x-api-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
    shared.keys.lock().unwrap().push(key.to_owned());
    shared.requests.lock().unwrap().push(request);
    let turn = {
        let mut script = shared.script.lock().unwrap();
        if script.len() > 1 {
            script.pop_front().unwrap()
        } else {
            script.front().cloned().unwrap_or(Turn::Text("ok".into()))
        }
    };
    let (start, delta, stop) = match turn {
        Turn::Error(status, message) => {
            let body = json!({ "type": "error", "error": { "type": "api_error", "message": message } });
            return (StatusCode::from_u16(status).unwrap(), Json(body)).into_response();
        }
        Turn::Text(text) => {
            (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": text }), "end_turn")
        }
        Turn::Bash(command) => tool_use("bash", &json!({ "command": command })),
        Turn::Tool(name, arguments) => tool_use(name, &arguments),
    };
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "fake", "content": [], "stop_reason": null,
        "stop_sequence": null, "usage": { "input_tokens": 12, "output_tokens": 1 }
    });
    let events = [
        ("message_start", json!({ "type": "message_start", "message": message })),
        ("content_block_start", json!({ "type": "content_block_start", "index": 0, "content_block": start })),
        ("content_block_delta", json!({ "type": "content_block_delta", "index": 0, "delta": delta })),
        ("content_block_stop", json!({ "type": "content_block_stop", "index": 0 })),
        (
            "message_delta",
            json!({ "type": "message_delta", "delta": { "stop_reason": stop, "stop_sequence": null }, "usage": { "output_tokens": 5 } }),
        ),
        ("message_stop", json!({ "type": "message_stop" })),
    ];
    let events =
        events.map(|(name, data)| Ok::<_, Infallible>(sse::Event::default().event(name).data(data.to_string())));
    Sse::new(tokio_stream::iter(events)).into_response()
}

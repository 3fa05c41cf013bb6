//! A fake model server of OpenAI's kind: chat completions, as all compatible servers have them, and
//! responses, both with streaming. Plays the same script as [`crate::model`].

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
        let router = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/responses", post(respond))
            .with_state(shared.clone());
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

impl Shared {
    /// Notes a request and returns what to answer. The last turn is repeated.
    fn next(&self, headers: &HeaderMap, request: &Value) -> Turn {
        let key = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.keys.lock().unwrap().push(key.to_owned());
        self.requests.lock().unwrap().push(request.clone());
        let mut script = self.script.lock().unwrap();
        if script.len() > 1 { script.pop_front().unwrap() } else { script.front().cloned().unwrap() }
    }
}

fn failed(status: u16, message: &str) -> Response {
    let body = json!({ "error": { "message": message, "type": "server_error" } });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn stream(events: impl Iterator<Item = String> + Send + 'static) -> Response {
    Sse::new(tokio_stream::iter(events.map(|data| Ok::<_, Infallible>(sse::Event::default().data(data)))))
        .into_response()
}

/// The tool and its arguments.
fn called(turn: Turn) -> (&'static str, Value) {
    match turn {
        Turn::Tool(name, arguments) => (name, arguments),
        Turn::Bash(command) => ("bash", json!({ "command": command })),
        _ => ("", Value::Null),
    }
}

async fn complete(State(shared): State<Shared>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    let wants_usage = request["stream_options"]["include_usage"] == true;
    let model = request["model"].clone();
    let (delta, reason) = match shared.next(&headers, &request) {
        Turn::Error(status, message) => return failed(status, &message),
        Turn::Text(text) | Turn::Held(text) => (json!({ "role": "assistant", "content": text }), "stop"),
        call @ (Turn::Bash(_) | Turn::Tool(..)) => {
            let (name, arguments) = called(call);
            let function = json!({ "name": name, "arguments": arguments.to_string() });
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
    stream(chunks.into_iter().map(|chunk| chunk.to_string()).chain(["[DONE]".to_owned()]))
}

async fn respond(State(shared): State<Shared>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    let item = match shared.next(&headers, &request) {
        Turn::Error(status, message) => return failed(status, &message),
        Turn::Text(text) | Turn::Held(text) => {
            let part = json!({ "type": "output_text", "text": text, "annotations": [] });
            json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part] })
        }
        call @ (Turn::Bash(_) | Turn::Tool(..)) => {
            let (name, arguments) = called(call);
            json!({ "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name, "arguments": arguments.to_string() })
        }
    };
    let usage = json!({ "input_tokens": 100, "output_tokens": 10, "total_tokens": 110,
        "input_tokens_details": { "cached_tokens": 40 }, "output_tokens_details": { "reasoning_tokens": 0 } });
    let mut added = item.clone();
    if item["type"] == "message" {
        added["content"] = json!([]);
    } else {
        added["arguments"] = json!("");
    }
    let response = json!({ "id": "resp_1", "object": "response", "model": request["model"], "status": "in_progress" });
    let mut done = response.clone();
    (done["status"], done["usage"], done["output"]) = (json!("completed"), usage, json!([item]));
    let mut events = vec![
        json!({ "type": "response.created", "response": response }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": added }),
    ];
    if item["type"] == "message" {
        let part = json!({ "type": "output_text", "text": "", "annotations": [] });
        events.push(json!({ "type": "response.content_part.added", "item_id": "msg_1", "output_index": 0, "content_index": 0, "part": part }));
        events.push(
            json!({ "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0,
            "delta": item["content"][0]["text"] }),
        );
    } else {
        events.push(json!({ "type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 0,
            "arguments": item["arguments"] }));
    }
    events.push(json!({ "type": "response.output_item.done", "output_index": 0, "item": item }));
    events.push(json!({ "type": "response.completed", "response": done }));
    stream(events.into_iter().map(|event| event.to_string()))
}

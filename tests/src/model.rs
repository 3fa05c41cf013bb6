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
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// One answer of the script.
#[derive(Clone, Debug)]
pub enum Turn {
    Text(String),
    /// The same, but its end is held back until [`Model::release`].
    Held(String),
    /// A call of the agent's shell.
    Bash(String),
    /// A call of any tool, with its arguments.
    Tool(&'static str, Value),
    /// An HTTP error with the API's error body.
    Error(u16, String),
}

#[derive(Clone)]
struct Shared {
    script: Arc<Mutex<VecDeque<Turn>>>,
    requests: Arc<Mutex<Vec<Value>>>,
    keys: Arc<Mutex<Vec<String>>>,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
    released: Arc<Semaphore>,
}

pub struct Model {
    address: SocketAddr,
    shared: Shared,
}

impl Model {
    /// Listens on all of this machine's addresses, since containers reach it by the bridge.
    pub async fn start(script: impl IntoIterator<Item = Turn>) -> Self {
        let shared = Shared {
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            released: Arc::new(Semaphore::new(0)),
            requests: Arc::default(),
            keys: Arc::default(),
            headers: Arc::default(),
        };
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

    /// The base URL from this machine.
    pub fn local_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.address.port())
    }

    /// Asks as a client does, on a connection of its own, and returns the status when the answer has
    /// ended.
    pub async fn ask(&self, body: &Value) -> u16 {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.address.port())).await.unwrap();
        let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::post("/v1/messages").header("host", "localhost");
        let request = request.header("content-type", "application/json");
        let body = Full::new(bytes::Bytes::from(body.to_string()));
        let response = client.send_request(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        status
    }

    /// Lets one held answer go on.
    pub fn release(&self) {
        self.shared.released.add_permits(1);
    }

    /// The headers of each request.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.shared.headers.lock().unwrap().clone()
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
    shared.headers.lock().unwrap().push(headers.clone());
    shared.requests.lock().unwrap().push(request);
    let turn = {
        let mut script = shared.script.lock().unwrap();
        if script.len() > 1 {
            script.pop_front().unwrap()
        } else {
            script.front().cloned().unwrap_or(Turn::Text("ok".into()))
        }
    };
    let held = matches!(turn, Turn::Held(_));
    let (start, delta, stop) = match turn {
        Turn::Error(status, message) => {
            let body = json!({ "type": "error", "error": { "type": "api_error", "message": message } });
            return (StatusCode::from_u16(status).unwrap(), Json(body)).into_response();
        }
        Turn::Text(text) | Turn::Held(text) => {
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
    let released = shared.released.clone();
    let events = tokio_stream::iter(events).then(move |(name, data)| {
        let released = released.clone();
        async move {
            if held && name == "content_block_stop" {
                released.acquire().await.unwrap().forget();
            }
            Ok::<_, Infallible>(sse::Event::default().event(name).data(data.to_string()))
        }
    });
    Sse::new(events).into_response()
}

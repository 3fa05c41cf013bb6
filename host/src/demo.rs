//! A model server for the demonstration: it speaks the Anthropic Messages API with streaming on
//! loopback, so that the real agent walks its real way without a key. It is no model: it makes one
//! tool call, then tells what came back. Only `mercury demo` starts it, and only where no
//! credential is set.
//!
//! Protocol: docs.anthropic.com, "Messages" and "Streaming messages".

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    Json, Router,
    response::{
        IntoResponse, Response, Sse,
        sse::{self, KeepAlive},
    },
    routing::post,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the demonstration has the agent do: say who it acts for, and leave a file for the reply.
const COMMAND: &str = "mrctl whoami && printf 'Made by the agent, inside its container: %s\\n' \"$(uname -sr)\" > outbox/hello.txt && uname -sr";

/// Starts the server on a free port of the loopback.
///
/// # Errors
/// Where no port can be bound.
pub async fn start() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/v1/messages", post(messages));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the demo model server failed");
        }
    });
    Ok(address)
}

async fn messages(Json(request): Json<Value>) -> Response {
    let model = request["model"].as_str().unwrap_or("demo").to_owned();
    let answer = decide(&request);
    if request["stream"] == Value::Bool(true) {
        let events = answer
            .events(&model)
            .into_iter()
            .map(|(name, data)| Ok::<_, Infallible>(sse::Event::default().event(name).data(data.to_string())));
        return Sse::new(tokio_stream::iter(events)).keep_alive(KeepAlive::default()).into_response();
    }
    Json(answer.message(&model)).into_response()
}

enum Answer {
    /// Calls the agent's shell.
    Tool,
    Text(String),
}

/// A first message gets a tool call, the tool's result gets words.
fn decide(request: &Value) -> Answer {
    let last = request["messages"].as_array().and_then(|messages| messages.last());
    let parts = last.and_then(|message| message["content"].as_array());
    let result = parts.into_iter().flatten().find(|part| part["type"] == "tool_result");
    let has_shell = request["tools"].as_array().into_iter().flatten().any(|tool| tool["name"] == "bash");
    match result {
        Some(result) => Answer::Text(report(result)),
        None if has_shell => Answer::Tool,
        None => Answer::Text("This is Mercury's demo model. It has no tools here, and it knows nothing.".into()),
    }
}

fn report(result: &Value) -> String {
    let text = match &result["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    };
    format!(
        "This is a demonstration: Mercury's built-in demo model answers, not a language model.\n\n\
         Your message went through the intake, a permission guard, the run queue and into a container of its own, where the \
         real agent asked the host who it acts for, and got:\n\n```\n{}\n```\n\nThe file that it wrote comes with this reply.",
        text.trim()
    )
}

impl Answer {
    fn stop_reason(&self) -> &'static str {
        match self {
            Self::Tool => "tool_use",
            Self::Text(_) => "end_turn",
        }
    }

    fn block(&self) -> Value {
        match self {
            Self::Tool => {
                json!({ "type": "tool_use", "id": "toolu_demo", "name": "bash", "input": { "command": COMMAND } })
            }
            Self::Text(text) => json!({ "type": "text", "text": text }),
        }
    }

    fn message(&self, model: &str) -> Value {
        json!({
            "id": "msg_demo", "type": "message", "role": "assistant", "model": model, "content": [self.block()],
            "stop_reason": self.stop_reason(), "stop_sequence": null, "usage": { "input_tokens": 1, "output_tokens": 1 }
        })
    }

    fn events(&self, model: &str) -> Vec<(&'static str, Value)> {
        let mut message = self.message(model);
        message["content"] = json!([]);
        message["stop_reason"] = Value::Null;
        let (start, delta) = match self {
            Self::Tool => (
                json!({ "type": "tool_use", "id": "toolu_demo", "name": "bash", "input": {} }),
                json!({ "type": "input_json_delta", "partial_json": json!({ "command": COMMAND }).to_string() }),
            ),
            Self::Text(text) => (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": text })),
        };
        vec![
            ("message_start", json!({ "type": "message_start", "message": message })),
            ("content_block_start", json!({ "type": "content_block_start", "index": 0, "content_block": start })),
            ("content_block_delta", json!({ "type": "content_block_delta", "index": 0, "delta": delta })),
            ("content_block_stop", json!({ "type": "content_block_stop", "index": 0 })),
            (
                "message_delta",
                json!({ "type": "message_delta", "delta": { "stop_reason": self.stop_reason(), "stop_sequence": null }, "usage": { "output_tokens": 1 } }),
            ),
            ("message_stop", json!({ "type": "message_stop" })),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_message_gets_a_tool_call_and_its_result_gets_words() {
        let tools = json!([{ "name": "bash" }]);
        let first = json!({ "messages": [{ "role": "user", "content": "hi" }], "tools": tools });
        assert_eq!(decide(&first).stop_reason(), "tool_use");
        let second = json!({ "messages": [{ "role": "user", "content": [{ "type": "tool_result", "content": "WHO" }] }], "tools": tools });
        let Answer::Text(text) = decide(&second) else { panic!("words were expected") };
        assert!(text.contains("WHO") && text.contains("demonstration"));
    }
}

//! Counts words for the agent: `mrctl capability {{name}} count '{"text": "…"}'`.

use mercury_plugin::{
    broker::{self, Answer, Failure},
    types::Caller,
};
use serde::{Deserialize, Serialize};

/// The host has checked it against the schema in plugin.toml.
#[derive(Deserialize)]
struct Arguments {
    text: String,
}

#[derive(Serialize)]
struct Count {
    words: usize,
    characters: usize,
}

fn count(text: &str) -> Count {
    Count { words: text.split_whitespace().count(), characters: text.chars().count() }
}

fn failure(status: u16, code: &str, message: String) -> Failure {
    Failure { status, code: code.into(), message, retryable: false }
}

struct Plugin;

impl broker::Guest for Plugin {
    fn invoke(_caller: Caller, action: String, arguments: String) -> Result<Answer, Failure> {
        if action != "count" {
            return Err(failure(404, "unknown-action", format!("there is no action {action}")));
        }
        let arguments: Arguments =
            serde_json::from_str(&arguments).map_err(|error| failure(422, "bad-arguments", error.to_string()))?;
        let output = serde_json::to_string(&count(&arguments.text))
            .map_err(|error| failure(500, "internal", error.to_string()))?;
        Ok(Answer { output, files: Vec::new() })
    }
}

#[cfg(target_family = "wasm")]
broker::export!(Plugin);

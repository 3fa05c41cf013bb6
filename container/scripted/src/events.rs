//! The lines that `pi --print --mode json` prints, in the shapes of pi 0.87 (`docs/json.md`,
//! `docs/message-types.md`). Owns stdout and stderr.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// Characters that make one made-up token, so that usage figures are predictable.
const CHARACTERS_PER_TOKEN: usize = 4;

/// Session header to the person's message.
pub(crate) fn begin(prompt: &str) {
    let cwd = std::env::current_dir().unwrap_or_default();
    print(&json!({"type": "session", "version": 3, "id": "00000000-0000-7000-8000-000000000000",
        "timestamp": "2024-12-03T14:00:00.000Z", "cwd": cwd}));
    print(&json!({"type": "agent_start"}));
    print(&json!({"type": "turn_start"}));
    let message = json!({"role": "user", "content": [{"type": "text", "text": prompt}], "timestamp": now_ms()});
    print(&json!({"type": "message_start", "message": message}));
    print(&json!({"type": "message_end", "message": message}));
}

/// The assistant's message to the end of the run.
pub(crate) fn reply(prompt: &str, text: &str) {
    let mut message = assistant(prompt, text.chars().count());
    message["content"] = json!([{"type": "text", "text": text}]);
    message["stopReason"] = json!("stop");
    let update = json!({"type": "text_delta", "contentIndex": 0, "delta": text});
    end(&message, Some(&update));
}

/// A run that the model's provider ended with `text`.
pub(crate) fn model_error(prompt: &str, text: &str) {
    let mut message = assistant(prompt, 0);
    message["usage"] = usage(0, 0);
    message["stopReason"] = json!("error");
    message["errorMessage"] = json!(text);
    end(&message, None);
}

/// The line before a tool call is asked about.
pub(crate) fn tool_begins(name: &str, arguments: &Value) {
    print(&json!({"type": "tool_execution_start", "toolCallId": "call_1", "toolName": name, "args": arguments}));
}

/// The line behind it.
pub(crate) fn tool_ends(name: &str, verdict: &str, denied: bool) {
    print(&json!({"type": "tool_execution_end", "toolCallId": "call_1", "toolName": name,
        "result": {"content": [{"type": "text", "text": verdict}], "details": {}}, "isError": denied}));
}

/// A line on stdout that is no event.
pub(crate) fn garbage() {
    line("this is {not json");
}

/// A line on stderr.
pub(crate) fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

fn end(message: &Value, update: Option<&Value>) {
    let mut pending = message.clone();
    pending["content"] = json!([]);
    pending["stopReason"] = json!("pending");
    print(&json!({"type": "message_start", "message": pending}));
    if let Some(update) = update {
        print(&json!({"type": "message_update", "usage": message["usage"], "assistantMessageEvent": update}));
    }
    print(&json!({"type": "message_end", "message": message}));
    print(&json!({"type": "turn_end", "message": message, "toolResults": []}));
    print(&json!({"type": "agent_end", "messages": [message], "willRetry": false}));
    print(&json!({"type": "agent_settled"}));
}

fn assistant(prompt: &str, reply_characters: usize) -> Value {
    json!({"role": "assistant", "content": [], "api": "scripted", "provider": "scripted", "model": "scripted-1",
        "usage": usage(prompt.chars().count(), reply_characters), "stopReason": "stop", "timestamp": now_ms()})
}

fn usage(input_characters: usize, output_characters: usize) -> Value {
    let (input, output) =
        (input_characters.div_ceil(CHARACTERS_PER_TOKEN), output_characters.div_ceil(CHARACTERS_PER_TOKEN));
    json!({"input": input, "output": output, "cacheRead": 0, "cacheWrite": 0, "totalTokens": input + output,
        "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0}})
}

fn print(event: &Value) {
    line(&event.to_string());
}

fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush());
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

//! Some models print a tool call as text instead of making it. Such a reply would be the call's
//! JSON; it is cut off, and the person is told.
//!
//! Only called for runs in which no tool ran: a model that can make calls does not leak them.

use regex_lite::Regex;
use serde_json::Value;

/// What a person reads in place of a leaked call.
pub const NOTICE: &str = "I tried to run a command, but this model returned it as text instead of running it. \
     It may not support tools: please switch to a model that does.";

/// The part of `reply` before a leaked call, or `None` if nothing leaked.
pub fn before_leak(reply: &str) -> Option<&str> {
    let reply = reply.trim();
    let start = xml_call(reply).or_else(|| json_call(reply))?;
    let before = reply[..start].trim();
    Some(if is_tool_name(before) { "" } else { before })
}

/// `<function name="bash" …` outside a code fence.
fn xml_call(reply: &str) -> Option<usize> {
    let call = Regex::new(r#"(?i)<function\s+name=["']bash["']"#).ok()?.find(reply)?.start();
    (!in_code(&reply[..call])).then_some(call)
}

/// `{"command": "…"}` as the reply's end, outside a code fence. An example within a text, or JSON
/// of another meaning, is none.
fn json_call(reply: &str) -> Option<usize> {
    let (start, _) = reply.match_indices("{\"command\"").find(|(at, _)| !in_code(&reply[..*at]))?;
    let value: Value = serde_json::from_str(&reply[start..]).ok()?;
    value["command"].is_string().then_some(start)
}

/// Whether text that follows `before` is inside a fence or inline code.
fn in_code(before: &str) -> bool {
    before.matches('`').count() % 2 == 1
}

/// One word that begins with the tool's name, as models garble it: `bash`, `sh`, `bashuseeland`.
fn is_tool_name(before: &str) -> bool {
    let lower = before.to_lowercase();
    !before.contains(char::is_whitespace) && (lower.starts_with("bash") || lower.starts_with("sh"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// agent-entry.md #44
    #[test]
    fn leaked_calls_are_cut_off() {
        assert_eq!(before_leak(r#"bashuseeland{"command": "ls"}"#), Some(""));
        assert_eq!(before_leak(r#"sh{"command":"ls","timeout":5}"#), Some(""));
        assert_eq!(before_leak("Let me look.\n{\"command\": \"ls\"}"), Some("Let me look."));
        assert_eq!(before_leak("Sure. <function name='Bash'><p>ls</p></function>"), Some("Sure."));
        assert_eq!(before_leak("A normal answer."), None);
    }

    /// agent-entry.md, weakness E7
    #[test]
    fn examples_are_no_leaks() {
        for text in [
            "Put `{\"command\": \"ls\"}` into the file.",
            "```json\n{\"command\": \"ls\"}\n```",
            "Use {\"command\": \"ls\"} in your compose file.",
            "The file says {\"command\": [\"ls\"]}",
        ] {
            assert_eq!(before_leak(text), None, "{text}");
        }
        assert_eq!(before_leak("She said {\"command\": \"ls\"}"), Some("She said"));
    }
}

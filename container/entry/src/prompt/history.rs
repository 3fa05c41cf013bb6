//! The conversation so far, as turns of a question and its answer.

use mercury_protocol::io::{Role, StoredMessage};

use super::markup;
use crate::clock;

/// Characters of history in all (agent-entry.md 6.2). The newest turn is always in.
const MAX_CHARACTERS: usize = 400_000;

struct Turn<'a> {
    user: &'a StoredMessage,
    assistant: Option<&'a StoredMessage>,
}

/// The lines between `<history>` and `</history>`, oldest first; empty without a turn.
pub(super) fn lines(messages: &[StoredMessage]) -> Vec<String> {
    let mut room = MAX_CHARACTERS;
    let mut entries = Vec::new();
    for turn in turns(messages).iter().rev() {
        let entry = shown(turn);
        let length = entry.chars().count();
        if length > room && !entries.is_empty() {
            break;
        }
        room = room.saturating_sub(length);
        entries.push(entry);
    }
    entries.reverse();
    entries
}

/// A user message opens a turn and the next assistant message closes it. A second user message
/// before that leaves the first without an answer; other messages are no turns.
fn turns(messages: &[StoredMessage]) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    let mut open = false;
    for message in messages {
        match message.role {
            Role::User => {
                turns.push(Turn { user: message, assistant: None });
                open = true;
            }
            Role::Assistant => {
                if let Some(turn) = turns.last_mut().filter(|_| open) {
                    turn.assistant = Some(message);
                }
                open = false;
            }
            Role::Tool | Role::Ambient => {}
        }
    }
    turns
}

fn shown(turn: &Turn<'_>) -> String {
    let mut entry = format!(
        "  <turn timestamp=\"{}\">\n    <user>{}</user>\n",
        clock::stamp(turn.user.created_at),
        markup::text(&turn.user.content)
    );
    if let Some(assistant) = turn.assistant {
        entry.push_str(&format!("    <assistant>{}</assistant>\n", markup::text(&assistant.content)));
    }
    entry.push_str("  </turn>");
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: Role, content: &str) -> StoredMessage {
        StoredMessage { role, content: content.into(), created_at: 0 }
    }

    /// agent-entry.md #30
    #[test]
    fn messages_are_paired() {
        use Role::{Ambient, Assistant, User};
        let all = [
            (Assistant, "a0"),
            (User, "u1"),
            (Assistant, "a1 <&"),
            (User, "u2"),
            (User, "u3"),
            (Assistant, "a3"),
            (Ambient, "x"),
            (User, "u4"),
        ];
        let messages: Vec<_> = all.into_iter().map(|(role, content)| message(role, content)).collect();
        let lines = lines(&messages);
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[0],
            "  <turn timestamp=\"01 Jan 1970, 00:00:00 UTC\">\n    <user>u1</user>\n    <assistant>a1 &lt;&amp;</assistant>\n  </turn>"
        );
        assert!(lines[1].contains("u2") && !lines[1].contains("assistant"));
        assert!(lines[2].contains("u3") && lines[2].contains("a3"));
        assert!(lines[3].contains("u4") && !lines.concat().contains('x'));
    }

    /// agent-entry.md #31
    #[test]
    fn the_newest_turns_fit_and_one_is_always_kept() {
        let long = |length: usize| message(Role::User, &"x".repeat(length));
        assert_eq!(lines(&[long(300_000), long(200_000)]).len(), 1);
        assert_eq!(lines(&[long(100_000), long(200_000)]).len(), 2);
        assert_eq!(lines(&[long(500_000)]).len(), 1);
    }
}

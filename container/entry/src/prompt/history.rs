//! The conversation so far, as turns of a question and its answer.

use mercury_protocol::io::{Role, StoredMessage};

use super::markup;
use super::room::{Room, cut};
use crate::clock;

struct Turn<'a> {
    user: &'a StoredMessage,
    assistant: Option<&'a StoredMessage>,
}

/// The lines between `<history>` and `</history>`, oldest first; empty without a turn. The newest
/// turn is always in, if need be with its middle left out.
pub(super) fn lines(messages: &[StoredMessage], room: &mut Room) -> Vec<String> {
    room.newest(turns(messages).iter().rev(), |turn, most| shown(turn, most))
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

/// With at most `most` characters of what was said. A short answer leaves its room to the question,
/// and a short question to the answer.
fn shown(turn: &Turn<'_>, most: usize) -> String {
    let length = |message: &StoredMessage| message.content.chars().count();
    let for_question = most - turn.assistant.map_or(0, length).min(most / 2);
    let for_answer = most - length(turn.user).min(for_question);
    let text = |message: &StoredMessage, most: usize| markup::text(&cut(&message.content, most));
    let mut entry = format!(
        "  <turn timestamp=\"{}\">\n    <user>{}</user>\n",
        clock::stamp(turn.user.created_at),
        text(turn.user, for_question)
    );
    if let Some(assistant) = turn.assistant {
        entry.push_str(&format!("    <assistant>{}</assistant>\n", text(assistant, for_answer)));
    }
    entry.push_str("  </turn>");
    entry
}

#[cfg(test)]
mod tests {
    use super::super::room::MAX_CHARACTERS;
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
        let lines = lines(&messages, &mut Room::new(1000));
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[0],
            "  <turn timestamp=\"01 Jan 1970, 00:00:00 UTC\">\n    <user>u1</user>\n    <assistant>a1 &lt;&amp;</assistant>\n  </turn>"
        );
        assert!(lines[1].contains("u2") && !lines[1].contains("assistant"));
        assert!(lines[2].contains("u3") && lines[2].contains("a3"));
        assert!(lines[3].contains("u4") && !lines.concat().contains('x'));
    }

    /// agent-entry.md #31; weakness E17: also a single turn stays within the budget.
    #[test]
    fn the_newest_turns_fit_and_one_is_always_kept() {
        let long = |length: usize| message(Role::User, &"x".repeat(length));
        let lines = |messages: &[StoredMessage]| lines(messages, &mut Room::new(MAX_CHARACTERS));
        let two = lines(&[long(300_000), long(150_000)]);
        assert!(two.len() == 1 && two[0].len() < 200_000, "only the newest");
        assert_eq!(lines(&[long(100_000), long(150_000)]).len(), 2);
        let single = lines(&[long(500_000)]);
        assert!(single.len() == 1 && single[0].contains("[100000 characters are left out here]"));
    }
}

//! Messages that one person writes shortly after each other: how long to wait for the next, and what
//! they ask together.

use std::time::Duration;

use mercury_protocol::io::Attachment;

use super::chat::Chat;

/// Messages of one batch; then it is asked without waiting on.
pub const MOST: usize = 20;
/// The longest that the first of a batch waits for others, in waits for one: who never stops writing
/// is answered, too.
const MOST_WAITS: u32 = 10;

/// How long to wait for the next message: the space's setting, the configuration's, or what the platform
/// is like. Zero is not at all.
pub fn idle(platform: &str, set: Option<i64>, configured: Option<Duration>) -> Duration {
    if let Some(set) = set.filter(|set| (0..=10_000).contains(set)) {
        return Duration::from_millis(set.unsigned_abs());
    }
    configured.unwrap_or(match platform {
        // On the telephone people write one thought in several messages.
        "whatsapp" | "telegram" => Duration::from_secs(2),
        _ => Duration::ZERO,
    })
}

/// When the batch is complete, from its beginning: each message restarts the wait, up to a limit.
pub fn complete_after(last: Duration, idle: Duration) -> Duration {
    (last + idle).min(idle * MOST_WAITS).max(idle)
}

/// One message of a batch, as far as it matters for the whole.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Part {
    pub text: String,
    pub attachments: Vec<Attachment>,
    pub chat: Option<Chat>,
}

impl Part {
    /// What the agent is asked by it.
    pub fn prompt(&self) -> &str {
        match &self.chat {
            Some(chat) => chat.prompt(&self.text).unwrap_or(&self.text),
            None => &self.text,
        }
    }
}

/// The whole that the parts make, `last` behind `before`. Texts are joined by lines, files are all there;
/// what is answered, and whether the bot wrote it, are of the first, the platform's id of the last.
pub fn merge(before: Vec<Part>, last: Part) -> Part {
    if before.is_empty() {
        return last;
    }
    let prompt = before.iter().chain([&last]).map(Part::prompt).filter(|text| !text.is_empty()).collect::<Vec<_>>();
    let prompt = prompt.join("\n");
    let first = before[0].chat.clone();
    let mut parts: Vec<Part> = before;
    parts.push(last);
    let text: Vec<&str> = parts.iter().map(|part| part.text.as_str()).filter(|text| !text.is_empty()).collect();
    let text = text.join("\n");
    let missing = parts.iter().flat_map(|part| part.chat.iter().flat_map(|chat| chat.missing.clone())).collect();
    let id = parts.last().and_then(|part| part.chat.as_ref()).map(|chat| chat.message_id.clone());
    let chat = first.map(|first| Chat {
        message_id: id.unwrap_or_else(|| first.message_id.clone()),
        prompt: Some(prompt),
        missing,
        ..first
    });
    Part { text, attachments: parts.into_iter().flat_map(|part| part.attachments).collect(), chat }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::chat::Quoted;

    fn part(id: &str, text: &str) -> Part {
        let chat = Chat { message_id: id.into(), direct: true, prompt: Some(text.into()), ..Chat::default() };
        Part { text: text.into(), attachments: Vec::new(), chat: Some(chat) }
    }

    fn file(path: &str) -> Attachment {
        Attachment {
            path: path.into(),
            kind: "document".into(),
            mime_type: "text/plain".into(),
            filename: None,
            size_bytes: None,
        }
    }

    /// pipeline.md #35, in its platform defaults.
    #[test]
    fn how_long_platforms_wait() {
        let two = Duration::from_secs(2);
        assert_eq!((idle("whatsapp", None, None), idle("telegram", None, None)), (two, two));
        assert_eq!(idle("slack", None, None), Duration::ZERO);
        assert_eq!(idle("telegram", None, Some(Duration::ZERO)), Duration::ZERO);
        assert_eq!(idle("telegram", Some(500), Some(Duration::ZERO)), Duration::from_millis(500));
        assert_eq!(idle("telegram", Some(0), None), Duration::ZERO);
        assert_eq!(idle("telegram", Some(-5), None), two, "no setting");
    }

    #[test]
    fn who_never_stops_writing_is_answered() {
        let idle = Duration::from_secs(2);
        assert_eq!(complete_after(Duration::ZERO, idle), idle);
        assert_eq!(complete_after(Duration::from_secs(3), idle), Duration::from_secs(5));
        assert_eq!(complete_after(Duration::from_secs(60), idle), Duration::from_secs(20));
    }

    /// pipeline.md #36
    #[test]
    fn a_batch_is_one_message() {
        let quoted = Quoted {
            message_id: Some("q".into()),
            author: None,
            author_name: None,
            text: "x".into(),
            from_bot: true,
            known: true,
        };
        let mut first = part("1", "one");
        first.chat.as_mut().unwrap().quoted = Some(quoted.clone());
        first.attachments.push(file("a"));
        let mut second = part("2", "");
        second.attachments.push(file("b"));
        second.chat.as_mut().unwrap().missing.push("c: too large".into());
        let merged = merge(vec![first, second], part("3", "three"));
        let chat = merged.chat.unwrap();
        assert_eq!((merged.text.as_str(), chat.prompt.as_deref()), ("one\nthree", Some("one\nthree")));
        assert_eq!((chat.message_id.as_str(), chat.quoted), ("3", Some(quoted)));
        assert_eq!(chat.missing, ["c: too large"]);
        assert_eq!(merged.attachments, [file("a"), file("b")]);
        assert_eq!(merge(Vec::new(), part("1", " as it is ")), part("1", " as it is "));
    }

    proptest! {
        /// Nothing that was written or sent along is lost, and the order is kept.
        #[test]
        fn nothing_is_lost(texts in proptest::collection::vec("[a-z]{0,6}", 1..MOST)) {
            let mut parts: Vec<Part> = texts.iter().enumerate().map(|(at, text)| {
                let mut part = part(&at.to_string(), text);
                part.attachments.push(file(&at.to_string()));
                part
            }).collect();
            let last = parts.pop().unwrap();
            let merged = merge(parts, last);
            prop_assert_eq!(merged.text.replace('\n', ""), texts.concat());
            prop_assert_eq!(merged.attachments.len(), texts.len());
            prop_assert_eq!(merged.chat.unwrap().message_id, (texts.len() - 1).to_string());
        }

        #[test]
        fn a_wait_is_bounded(last in 0_u64..100_000, idle in 1_u64..10_000) {
            let (last, idle) = (Duration::from_millis(last), Duration::from_millis(idle));
            let whole = complete_after(last, idle);
            prop_assert!(whole >= idle && whole <= idle * MOST_WAITS);
        }
    }
}

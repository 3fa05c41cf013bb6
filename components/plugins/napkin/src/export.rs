//! A space's messages as files of a day, one line of JSON a message.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

/// Who said it, as the agent is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Assistant,
    /// Said in the conversation, but not to the assistant.
    Ambient,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub role: Role,
    pub text: String,
    /// Milliseconds since the epoch.
    pub at: i64,
}

#[derive(Serialize)]
struct Line<'a> {
    ts: i64,
    role: Role,
    content: &'a str,
}

/// The day on which `at` lies in that zone.
pub fn day(at: i64, zone: &TimeZone) -> Date {
    let moment = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    moment.to_zoned(zone.clone()).date()
}

/// Groups by day, keeping the order. Each text ends with a newline.
pub fn by_day(messages: &[Message], zone: &TimeZone) -> BTreeMap<Date, Exported> {
    let mut days: BTreeMap<Date, Exported> = BTreeMap::new();
    for message in messages {
        let line = Line { ts: message.at, role: message.role, content: &message.text };
        let Ok(line) = serde_json::to_string(&line) else { continue };
        let exported = days.entry(day(message.at, zone)).or_default();
        exported.text.push_str(&line);
        exported.text.push('\n');
        exported.lines += 1;
    }
    days
}

/// What is added to a day's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    pub text: String,
    pub lines: u64,
}

/// Below the vault.
pub fn file_of(day: Date) -> String {
    format!(".messages/{day}.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(at: i64, text: &str) -> Message {
        Message { role: Role::User, text: text.into(), at }
    }

    /// examples.md #35
    #[test]
    fn midnight_divides() {
        let days = by_day(&[message(1_767_225_599_000, "old"), message(1_767_225_600_000, "new")], &TimeZone::UTC);
        let files: Vec<_> = days.iter().map(|(day, exported)| (file_of(*day), exported.text.as_str())).collect();
        assert_eq!(
            files,
            [
                (".messages/2025-12-31.jsonl".into(), "{\"ts\":1767225599000,\"role\":\"user\",\"content\":\"old\"}\n"),
                (".messages/2026-01-01.jsonl".into(), "{\"ts\":1767225600000,\"role\":\"user\",\"content\":\"new\"}\n"),
            ]
        );
    }

    #[test]
    fn a_day_begins_where_the_space_is() {
        let zone = TimeZone::get("Asia/Jerusalem").unwrap();
        assert_eq!(day(1_767_225_599_000, &zone).to_string(), "2026-01-01");
    }

    #[test]
    fn one_message_is_one_line() {
        let days = by_day(&[message(0, "two\nlines \"quoted\" \u{2028}")], &TimeZone::UTC);
        let exported = days.values().next().unwrap();
        assert_eq!((exported.lines, exported.text.matches('\n').count()), (1, 1));
    }
}

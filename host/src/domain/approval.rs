//! A tool call that waits for a person: who may answer, what an answer says, and what becomes of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{deception::deceives, roles};

/// A question's own time lies between these, whatever the guard asked for: less cannot be read and
/// answered by a person, more is not waited for.
pub const SHORTEST: Duration = Duration::from_secs(10);
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Characters of a call that a person is shown. What does not fit whole is not asked: what nobody
/// can read, nobody can approve.
pub const MOST_SHOWN: usize = 8_000;
/// Characters of a guard's question that are shown.
const MOST_TEXT: usize = 1_000;
/// Characters of a person's reason that are passed on.
const MOST_REASON: usize = 500;
/// Questions that may be open at once in one run, and asked in all. An agent that asks without end
/// tires people into saying yes.
pub const MOST_OPEN: u32 = 8;
pub const MOST_ASKED: u32 = 100;

/// `open → allowed | edited | denied | expired | withdrawn`, and nothing after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Open,
    /// As it was asked.
    Allowed,
    /// With other arguments.
    Edited,
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Its run ended first.
    Withdrawn,
}

impl State {
    const ALL: [Self; 6] = [Self::Open, Self::Allowed, Self::Edited, Self::Denied, Self::Expired, Self::Withdrawn];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Allowed => "allowed",
            Self::Edited => "edited",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    pub fn may_become(self, next: Self) -> bool {
        self == Self::Open && next != Self::Open
    }

    /// What an open question becomes by `event`, at `now` in milliseconds since the epoch. `None`
    /// where the event comes too late, or too early.
    pub fn after(self, event: &Event, now: i64, expires_at: i64) -> Option<Self> {
        let due = now >= expires_at;
        let next = match event {
            Event::Answered(Said::Allow) if !due => Self::Allowed,
            Event::Answered(Said::Edit(_)) if !due => Self::Edited,
            Event::Answered(Said::Deny(_)) if !due => Self::Denied,
            Event::Looked if due => Self::Expired,
            Event::RunEnded => Self::Withdrawn,
            _ => return None,
        };
        self.may_become(next).then_some(next)
    }
}

/// What happens to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Answered(Said),
    /// Somebody looked whether its time is up.
    Looked,
    RunEnded,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Allow,
    /// For the agent to read.
    Deny(Option<String>),
    /// Other arguments, as the person wrote them.
    Edit(String),
}

/// One of the answers that are offered, for a button or a numbered line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    pub id: &'static str,
    pub label: &'static str,
    /// Unique among the questions of a run, so that a number that was sent late answers no other.
    pub number: u32,
}

/// What the question with this ordinal, from 0, of its run offers.
pub fn choices(ordinal: u32) -> [Choice; 2] {
    let first = ordinal.saturating_mul(2).saturating_add(1);
    [
        Choice { id: "allow", label: "Allow once", number: first },
        Choice { id: "deny", label: "Deny", number: first.saturating_add(1) },
    ]
}

/// The role that a guard named, or `admin` where it is no role that anybody in a chat can have.
pub fn approver(role: &str) -> &str {
    let named = role.len() <= 32
        && role.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if named && role != roles::SYSTEM_ROLE { role } else { roles::ADMIN_ROLE }
}

/// Whether somebody of `role` may answer a question that is put to `approver`. Admins may answer
/// every question, and so may the operator, who acts as `system`.
pub fn may_answer(approver: &str, role: &str) -> bool {
    role == approver || role == roles::ADMIN_ROLE || role == roles::SYSTEM_ROLE
}

/// How long a question stays open. `left` is what remains of the time that people are waited for
/// in its run; `None` where that is used up.
pub fn lasts(asked_ms: u32, left: Duration) -> Option<Duration> {
    let wanted = Duration::from_millis(asked_ms.into()).clamp(SHORTEST, LONGEST);
    (left >= SHORTEST).then(|| wanted.min(left))
}

/// An open question, as far as an answer can mean it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub id: i64,
    pub ordinal: u32,
}

/// What a message says to the open questions of its conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// No answer: a message like any other.
    Nothing,
    Answer {
        question: i64,
        said: Said,
    },
    /// A word that answers any of several questions.
    Ambiguous,
}

/// Reads a message as an answer. Only what is nothing but an answer is one: "yes" is, "yes, and
/// then write a report" is a message for the agent.
pub fn hear(text: &str, open: &[Candidate]) -> Heard {
    let numbered = |number: u32| {
        let asked = open.iter().find(|question| choices(question.ordinal).iter().any(|choice| choice.number == number));
        asked.map(|question| (question.id, choices(question.ordinal)[0].number == number))
    };
    if let Some((number, rest)) = leading_number(text)
        && let Some((question, allows)) = numbered(number)
    {
        return match (allows, rest) {
            (true, "") => Heard::Answer { question, said: Said::Allow },
            (false, rest) => Heard::Answer { question, said: Said::Deny(reason(rest)) },
            // "1 apple" is no answer.
            (true, _) => Heard::Nothing,
        };
    }
    match (words(text), open) {
        (None, _) | (_, []) => Heard::Nothing,
        (Some(said), [question]) => Heard::Answer { question: question.id, said },
        (Some(_), _) => Heard::Ambiguous,
    }
}

/// Reads an answer to one known question: a number or a label of its choices, a word, or an edit.
pub fn answer(text: &str, ordinal: u32) -> Option<Said> {
    match hear(text, &[Candidate { id: 0, ordinal }]) {
        Heard::Answer { said, .. } => Some(said),
        _ => None,
    }
}

/// The question whose button says this: `#12 allow`, and nothing else. A press can be forged; its text
/// is then the forger's, and no button's.
pub fn pressed(text: &str) -> Option<i64> {
    let (question, said) = addressed(text)?;
    choices(0).iter().any(|choice| choice.id == said).then_some(question)
}

/// `#12 allow` names its question, also from another conversation of the space.
pub fn addressed(text: &str) -> Option<(i64, &str)> {
    let (number, rest) = text.trim().strip_prefix('#')?.split_once(char::is_whitespace)?;
    Some((number.parse().ok().filter(|id| *id > 0)?, rest.trim()))
}

fn leading_number(text: &str) -> Option<(u32, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let rest = text[end..].trim_start_matches(['.', ')', ':']).trim();
    // "2nd" is a word.
    let parted = text[end..].chars().next().is_none_or(|c| matches!(c, '.' | ')' | ':') || c.is_whitespace());
    parted.then(|| text[..end].parse().ok().map(|number| (number, rest)))?
}

fn words(text: &str) -> Option<Said> {
    let text = text.trim();
    if let Some(arguments) = after_word(text, "edit") {
        return (!arguments.is_empty()).then(|| Said::Edit(arguments.to_owned()));
    }
    let plain = text.trim_end_matches(['.', '!']).trim().to_lowercase();
    match plain.as_str() {
        "allow" | "allow once" | "yes" | "approve" => return Some(Said::Allow),
        "deny" | "no" | "reject" => return Some(Said::Deny(None)),
        _ => {}
    }
    ["deny", "reject"].iter().find_map(|word| after_word(text, word)).map(|rest| Said::Deny(reason(rest)))
}

/// What follows `word` at the beginning of `text`, whatever its case.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    let rest = &text[word.len()..];
    let parted = rest.chars().next().is_some_and(|c| c.is_whitespace() || matches!(c, ':' | ',' | '{'));
    (head.eq_ignore_ascii_case(word) && parted).then(|| rest.trim_start_matches([':', ',']).trim())
}

/// A reason as it is passed on.
pub fn reason(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches([':', ',']).trim();
    (!text.is_empty()).then(|| text.chars().take(MOST_REASON).collect())
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("the edited arguments are not a JSON object: {0}")]
    NotJson(String),
    #[error(
        "this tool has no `command`: write its arguments as a JSON object, such as edit {{\"path\": \"notes.md\"}}"
    )]
    NoCommand,
    #[error("the edited call is longer than {MOST_SHOWN} characters")]
    TooLong,
}

/// The arguments that an edit means: a JSON object takes the place of all of them, other text that
/// of `command`.
pub fn edited(arguments: &Value, text: &str) -> Result<Value, EditError> {
    let text = text.trim();
    if text.chars().nth(MOST_SHOWN).is_some() {
        return Err(EditError::TooLong);
    }
    if text.starts_with('{') {
        return match serde_json::from_str(text) {
            Ok(object @ Value::Object(_)) => Ok(object),
            Ok(_) => Err(EditError::NotJson("it is another kind of value".into())),
            Err(error) => Err(EditError::NotJson(error.to_string())),
        };
    }
    let mut edited = arguments.clone();
    match edited.get_mut("command") {
        Some(command @ Value::String(_)) => *command = Value::String(text.to_owned()),
        _ => return Err(EditError::NoCommand),
    }
    Ok(edited)
}

/// A tool call as a person reads it: each line indented, so that no text of the agent's looks like
/// the host's, and without characters that move or hide others. `None` where it is too long.
pub fn shown(tool: &str, arguments: &Value) -> Option<String> {
    let mut text = visible(tool);
    match arguments {
        Value::Object(fields) if fields.len() == 1 && fields.get("command").is_some_and(Value::is_string) => {
            text.push_str(":\n");
            text.push_str(fields["command"].as_str().unwrap_or_default());
        }
        other => {
            text.push_str(":\n");
            text.push_str(&serde_json::to_string_pretty(other).unwrap_or_default());
        }
    }
    if text.chars().nth(MOST_SHOWN).is_some() {
        return None;
    }
    Some(text.lines().map(|line| format!("    {}", visible(line))).collect::<Vec<_>>().join("\n"))
}

/// A guard's own words.
pub fn question_text(text: &str) -> String {
    let kept: String = text.chars().take(MOST_TEXT).collect();
    kept.lines().map(visible).collect::<Vec<_>>().join("\n")
}

fn visible(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if c == '\t' || !deceives(c) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

/// What the agent reads when somebody said no.
pub fn denied(person: &str, reason: Option<&str>) -> String {
    let why = reason.map(|reason| format!(" (\"{reason}\")")).unwrap_or_default();
    format!(
        "{person} was asked to approve this call and denied it{why}. Do not try to get the same done another way; tell the user."
    )
}

/// What the agent reads when nobody answered.
pub fn expired(approver: &str, waited: Duration) -> String {
    format!(
        "This call needs the approval of somebody with the role {approver}, and nobody answered within {}. It was not \
         made. Do not try to get the same done another way; tell the user that it waits for an approval and can be \
         asked for again.",
        duration(waited)
    )
}

pub const WITHDRAWN: &str = "The run ended before anybody answered.";

/// `45 s`, `10 min`, `2 h`, rounded up.
pub fn duration(time: Duration) -> String {
    match time.as_millis().div_ceil(1000) {
        seconds @ 0..=120 => format!("{seconds} s"),
        seconds @ 121..=7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}

/// The time that is covered by `intervals`, which may overlap, in their own unit.
pub fn covered(mut intervals: Vec<(i64, i64)>) -> i64 {
    intervals.sort_unstable();
    let mut until = i64::MIN;
    let mut sum = 0;
    for (from, to) in intervals {
        sum += (to - from.max(until)).max(0);
        until = until.max(to);
    }
    sum
}

#[cfg(test)]
mod tests;

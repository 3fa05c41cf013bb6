//! How one attempt can fail, and what the chain does about it.
//!
//! Judged is what the provider said (the last message's error) or the end of pi's stderr: never
//! the conversation, in which every number and every word may occur.

use std::fmt;

use regex_lite::Regex;
use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AttemptError {
    /// No process was started.
    #[error("could not start pi: {0}")]
    NotStarted(String),
    #[error(
        "provider \"cursor\" is no longer supported: use the provider of the model itself, such as anthropic or openai"
    )]
    CursorProvider,
    /// pi ended well and told of a failure of the model.
    #[error("{0}")]
    Model(String),
    /// The code that pi exited with, and the end of its stderr.
    #[error("pi exited with code {code}{}", Detail(.stderr))]
    Exited { code: i32, stderr: String },
    #[error("pi was ended by signal {signal}{}", Detail(.stderr))]
    Killed { signal: i32, stderr: String },
    /// The kernel ended pi at the container's memory limit.
    #[error("pi ran out of memory and was ended by the kernel")]
    OutOfMemory,
    /// The chain's budget ran out before the model began to answer.
    #[error("no answer began before the budget ran out")]
    Deadline,
    /// The run was told to stop.
    #[error("stopped")]
    Stopped,
}

struct Detail<'a>(&'a str);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.trim() {
            "" => Ok(()),
            text => write!(f, ": {text}"),
        }
    }
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No leg can do better.
    EndAll,
    /// No leg of this provider can do better: its credential is refused or missing.
    SkipProvider,
    /// This leg will fail again in the same way.
    NextLeg,
    Retry,
}

/// First match wins. agent-entry.md 4.4, with the setup errors of its weakness E4 in front.
const RULES: &[(Class, &str)] = &[
    // What pi 0.87 says when it has no credential, or does not know the model.
    (Class::SkipProvider, r"(?i)no api key|no credentials? found|not logged in|use /login"),
    (Class::NextLeg, r"(?i)unknown provider|unknown model|model .{0,200}not found|no models? match"),
    // The gateway's word for a budget that is spent: no other model has one of its own.
    (Class::EndAll, r"out of budget: the \$[0-9]"),
    (Class::EndAll, r"(?i)failed to load extension|cannot find module|exec format error"),
    (
        Class::SkipProvider,
        r"(?i)\b40[13]\b|(invalid|incorrect)\s+api\s+key|authentication\s+failed|invalid\s+authentication|unauthorized|access\s+denied",
    ),
    (
        Class::NextLeg,
        r"(?i)context.length|maximum\s+context|token\s+limit|too\s+many\s+tokens|prompt\s+is\s+too\s+long|max\s+tokens|request\s+too\s+large|maximum\s+tokens",
    ),
    (
        Class::NextLeg,
        r"(?i)tool\s+(use|calling)\s+(is\s+)?not\s+supported|tools?\s+(is\s+|are\s+)?not\s+supported|function\s+calling\s+(is\s+)?not\s+(supported|available)|not\s+support\s+(tool|function)|no\s+tool\s+use|unsupported.*\btools?\b",
    ),
    (Class::NextLeg, r"(?i)tool\s+call\s+validation\s+failed|attempted\s+to\s+call\s+tool.*not\s+in\s+request\.tools"),
    (Class::NextLeg, r"(?i)unhandled\s+stop\s+reason"),
    // Case-sensitive: an identical retry gives these again, while prose may speak of a malformed response.
    (Class::NextLeg, r"\bMALFORMED_(RESPONSE|FUNCTION_CALL|TOOL_CALL)\b"),
    (Class::NextLeg, r"(?i)\b429\b|rate[\s_]+limit"),
    (
        Class::NextLeg,
        r"(?i)\b402\b|insufficient\s+credit|not\s+enough\s+credit|purchase\s+(more\s+)?credit|no\s+credits?\b",
    ),
];

impl AttemptError {
    pub fn class(&self) -> Class {
        match self {
            Self::NotStarted(_) | Self::CursorProvider | Self::OutOfMemory | Self::Deadline | Self::Stopped => {
                Class::EndAll
            }
            Self::Killed { .. } => Class::Retry,
            Self::Model(text) | Self::Exited { stderr: text, .. } => classify(text),
        }
    }
}

fn classify(text: &str) -> Class {
    let matches = |pattern: &str| Regex::new(pattern).is_ok_and(|it| it.is_match(text));
    RULES.iter().find(|(_, pattern)| matches(pattern)).map_or(Class::Retry, |(class, _)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_a_regex() {
        for (_, pattern) in RULES {
            Regex::new(pattern).unwrap();
        }
    }

    /// agent-entry.md #14, #15, #16
    #[test]
    fn failures_are_classified() {
        let table = [
            (
                Class::SkipProvider,
                &[
                    "401 {\"type\":\"error\"}",
                    "HTTP 403",
                    "invalid API key",
                    "Unauthorized",
                    "No API key found for anthropic.",
                ][..],
            ),
            (Class::EndAll, &["402 {\"error\":{\"message\":\"out of budget: the $5.00 of this run are spent\"}}"]),
            (
                Class::NextLeg,
                &[
                    "maximum context length exceeded",
                    "token limit reached",
                    "does not support tools",
                    "function calling not available",
                    "{\"type\":\"rate_limited\"}",
                    "Unhandled stop reason: X",
                    "finishReason: MALFORMED_FUNCTION_CALL",
                    "429 slow down",
                    "402 pay",
                    "insufficient credits",
                    "prompt is too long: 3 tokens",
                    "this model has unsupported parameter: tools",
                ],
            ),
            (
                Class::Retry,
                &[
                    "the user sent a malformed response payload",
                    "ETIMEDOUT",
                    "bad gateway",
                    "whatever",
                    "500 internal server error",
                    "529 overloaded_error",
                    "request id 14010",
                    "503",
                ],
            ),
        ];
        for (class, texts) in table {
            for text in texts {
                assert_eq!(AttemptError::Model((*text).into()).class(), class, "{text}");
            }
        }
    }
}

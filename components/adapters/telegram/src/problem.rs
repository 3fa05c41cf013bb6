//! What the Bot API's answers mean for what comes next.

use serde_json::Value;

use crate::api::{Envelope, Parameters};

/// Where `retry_after` is missing, in milliseconds.
const USUAL_WAIT_MS: u32 = 5_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Flood control: milliseconds to wait.
    RetryAfter(u32),
    /// The group became a supergroup of this id.
    Moved(i64),
    /// The text's markup was not understood.
    Markup(String),
    /// The topic was deleted.
    NoTopic,
    /// This request will never be taken.
    Refused(String),
    /// The bot was blocked or thrown out.
    Barred(String),
    /// Telegram does not know the token.
    Token(String),
    /// Somebody else polls, or a webhook is set.
    Conflict(String),
    /// The answer is larger than the host hands on.
    TooLarge(String),
    /// Passes by itself: a failing server, no connection.
    Passing(String),
}

impl Problem {
    pub fn message(&self) -> String {
        match self {
            Self::RetryAfter(ms) => format!("Telegram wants {ms} ms of silence"),
            Self::Moved(chat) => format!("the group is now {chat}"),
            Self::NoTopic => "the topic does not exist any more".into(),
            Self::Markup(said)
            | Self::Refused(said)
            | Self::Barred(said)
            | Self::Token(said)
            | Self::Conflict(said)
            | Self::TooLarge(said)
            | Self::Passing(said) => said.clone(),
        }
    }
}

/// The `result` of an answer, or what stands against it.
pub fn result(status: u16, body: &str) -> Result<Value, Problem> {
    let Ok(envelope) = serde_json::from_str::<Envelope>(body) else {
        return Err(Problem::Passing(format!("Telegram answered {status} with something that is not JSON")));
    };
    if envelope.ok {
        return Ok(envelope.result);
    }
    let code = if envelope.error_code == 0 { status } else { envelope.error_code };
    Err(problem(code, envelope.parameters, envelope.description))
}

fn problem(code: u16, parameters: Parameters, said: String) -> Problem {
    let mentions = |words: &str| said.to_ascii_lowercase().contains(words);
    if let Some(chat) = parameters.migrate_to_chat_id {
        return Problem::Moved(chat);
    }
    match code {
        400 if mentions("can't parse entities") => Problem::Markup(said),
        400 if mentions("message thread not found") => Problem::NoTopic,
        401 | 404 => Problem::Token(said),
        403 => Problem::Barred(said),
        409 => Problem::Conflict(said),
        429 => {
            let wait = parameters.retry_after.map(|seconds| seconds.saturating_mul(1000).max(1));
            Problem::RetryAfter(wait.unwrap_or(USUAL_WAIT_MS))
        }
        400..=499 => Problem::Refused(said),
        _ => Problem::Passing(format!("Telegram answered {code}: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(code: u16, said: &str, parameters: Value) -> Problem {
        let body = json!({ "ok": false, "error_code": code, "description": said, "parameters": parameters });
        result(code, &body.to_string()).unwrap_err()
    }

    #[test]
    fn each_answer_has_its_meaning() {
        let markup = "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 0";
        assert_eq!(of(400, markup, json!({})), Problem::Markup(markup.into()));
        assert_eq!(of(400, "Bad Request: message thread not found", json!({})), Problem::NoTopic);
        assert_eq!(
            of(400, "Bad Request: chat not found", json!({})),
            Problem::Refused("Bad Request: chat not found".into())
        );
        let upgraded = "Bad Request: group chat was upgraded to a supergroup chat";
        assert_eq!(of(400, upgraded, json!({ "migrate_to_chat_id": -100_200 })), Problem::Moved(-100_200));
        assert_eq!(of(429, "Too Many Requests: retry after 3", json!({ "retry_after": 3 })), Problem::RetryAfter(3000));
        assert_eq!(of(429, "Too Many Requests", json!({})), Problem::RetryAfter(5000));
        assert!(matches!(of(403, "Forbidden: bot was blocked by the user", json!({})), Problem::Barred(_)));
        assert!(matches!(of(401, "Unauthorized", json!({})), Problem::Token(_)));
        assert!(matches!(of(404, "Not Found", json!({})), Problem::Token(_)));
        assert!(matches!(of(409, "Conflict: terminated by other getUpdates request", json!({})), Problem::Conflict(_)));
        assert!(matches!(of(413, "Request Entity Too Large", json!({})), Problem::Refused(_)));
        assert!(matches!(of(502, "Bad Gateway", json!({})), Problem::Passing(_)));
        assert!(matches!(result(502, "<html>").unwrap_err(), Problem::Passing(_)));
    }

    /// The shape of core.telegram.org/bots/api#making-requests.
    #[test]
    fn a_result_is_handed_on() {
        assert_eq!(result(200, r#"{"ok":true,"result":{"message_id":7}}"#).unwrap(), json!({ "message_id": 7 }));
        assert_eq!(result(200, r#"{"ok":true,"result":true,"description":"Webhook was set"}"#).unwrap(), json!(true));
    }
}

//! Connects a chat platform: it posts messages to `/webhooks/{{name}}`, and answers go to its API.

use mercury_plugin::{
    chat_adapter::{self, Delivered, Features, OutboundMessage, Platform},
    credentials::{self, Credential, Place},
    deliveries::{DeliveryFailure, FailureKind},
    http,
    inbox::{self, Conversation, Event, Happening, Message},
    trouble::Trouble,
    types::{Content, ConversationKind, Person},
    webhook::{self, Request, Response},
};
use serde::{Deserialize, Serialize};

/// The prefix of every identifier; the same as in plugin.toml.
const PLATFORM: &str = "{{name}}";
const MESSAGES: &str = "https://chat.example.com/messages";

/// A message as the platform sends it.
#[derive(Deserialize)]
struct Incoming {
    id: String,
    conversation: String,
    author: String,
    text: String,
    /// Milliseconds since the Unix epoch.
    at: u64,
}

/// An answer as the platform takes it.
#[derive(Serialize)]
struct Outgoing<'a> {
    conversation: &'a str,
    text: &'a str,
}

/// What the platform says to an answer.
#[derive(Deserialize)]
struct Sent {
    id: String,
}

impl From<Incoming> for Event {
    fn from(incoming: Incoming) -> Self {
        Self {
            id: incoming.id.clone(),
            happening: Happening::Message(Message {
                message_id: incoming.id,
                conversation: Conversation {
                    id: format!("{PLATFORM}:{}", incoming.conversation),
                    kind: ConversationKind::Direct,
                    title: None,
                    thread: None,
                    address: None,
                },
                author: Person { id: format!("{PLATFORM}:{}", incoming.author), display_name: None },
                from_bot: false,
                text: incoming.text,
                mentions_bot: false,
                quoted: None,
                attachments: Vec::new(),
                missing: Vec::new(),
                answer: None,
                sent_at: incoming.at,
            }),
        }
    }
}

fn failure(kind: FailureKind, message: impl Into<String>) -> DeliveryFailure {
    DeliveryFailure { kind, message: message.into(), progress: None }
}

struct Plugin;

impl chat_adapter::Guest for Plugin {
    fn describe() -> Platform {
        Platform {
            name: PLATFORM.into(),
            display_name: PLATFORM.into(),
            features: Features::empty(),
            silence_limit_ms: 0,
        }
    }

    fn start() -> Result<(), Trouble> {
        Ok(())
    }

    fn deliver(message: OutboundMessage) -> Result<Delivered, DeliveryFailure> {
        let permanent = |message: String| failure(FailureKind::Permanent, message);
        let conversation = message.conversation.strip_prefix(PLATFORM).and_then(|rest| rest.strip_prefix(':'));
        let conversation = conversation.ok_or_else(|| permanent("not a conversation of this platform".into()))?;
        let body = serde_json::to_string(&Outgoing { conversation, text: &message.text })
            .map_err(|error| permanent(error.to_string()))?;
        let response = http::fetch(&http::Request {
            method: "POST".into(),
            uri: MESSAGES.into(),
            headers: vec![("content-type".into(), "application/json".into())],
            // The host puts the secret in: it never enters this component.
            credentials: vec![Credential { secret: "token".into(), place: Place::Bearer }],
            body: http::Body::Content(Content::Text(body)),
            timeout_ms: None,
        })
        .map_err(|error| failure(FailureKind::Transient, error.message))?;
        match (response.status, response.body) {
            (200, Content::Text(text)) => {
                let sent: Sent = serde_json::from_str(&text).map_err(|error| permanent(error.to_string()))?;
                Ok(Delivered { message_ids: vec![sent.id], reduced: None })
            }
            (status @ (429 | 500..), _) => {
                Err(failure(FailureKind::Transient, format!("the platform answered {status}")))
            }
            (status, _) => Err(permanent(format!("the platform answered {status}"))),
        }
    }

    fn stop() -> Result<(), String> {
        Ok(())
    }
}

impl webhook::Guest for Plugin {
    fn handle(request: Request) -> Result<Response, String> {
        let answer = |status, verified| Response {
            status,
            headers: Vec::new(),
            body: Content::Text(String::new()),
            verified,
        };
        let token = request.headers.iter().find(|(name, _)| name == "x-token").map_or("", |(_, value)| value);
        if credentials::matches("webhook-token", token) != Ok(true) {
            return Ok(answer(401, false));
        }
        let Ok(incoming) = serde_json::from_str::<Incoming>(request.text_body.as_deref().unwrap_or_default()) else {
            return Ok(answer(400, true));
        };
        // On the disk when this returns, so the platform may forget it.
        match inbox::accept(&[incoming.into()], None) {
            Ok(_) => Ok(answer(200, true)),
            Err(_) => Ok(answer(503, true)),
        }
    }
}

#[cfg(target_family = "wasm")]
chat_adapter::export!(Plugin);
#[cfg(target_family = "wasm")]
webhook::export!(Plugin);

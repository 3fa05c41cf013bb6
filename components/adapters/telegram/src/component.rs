//! The component's exports: each does the calls that the decisions beside it ask for.

mod bot;
mod client;
mod intake;
mod mode;
mod sending;
mod suspect;
mod updates;

use mercury_plugin::{
    chat_adapter::{self, Delivered, Features, OutboundMessage, Platform},
    deliveries::DeliveryFailure,
    message_editor, poller, presence, timer,
    trouble::Trouble,
    webhook::{self, Request, Response},
};
use serde_json::json;

use crate::{
    budget::SILENCE_LIMIT_MS,
    inbound::{PLATFORM, chat_of},
};

struct Telegram;

impl chat_adapter::Guest for Telegram {
    fn describe() -> Platform {
        Platform {
            name: PLATFORM.into(),
            display_name: "Telegram".into(),
            features: Features::TYPING | Features::FILES | Features::THREADS | Features::EDITS | Features::CHOICES,
            silence_limit_ms: SILENCE_LIMIT_MS,
        }
    }

    fn start() -> Result<(), Trouble> {
        bot::introduce()?;
        mode::decide().map(|_| ())
    }

    fn deliver(message: OutboundMessage) -> Result<Delivered, DeliveryFailure> {
        sending::deliver(&message)
    }

    /// Nothing is open between two calls.
    fn stop() -> Result<(), String> {
        Ok(())
    }
}

impl poller::Guest for Telegram {
    fn poll() -> Result<Option<u32>, Trouble> {
        updates::round()
    }
}

impl webhook::Guest for Telegram {
    fn handle(request: Request) -> Result<Response, String> {
        Ok(intake::handle(&request))
    }
}

impl timer::Guest for Telegram {
    fn fire(name: String) -> Result<(), String> {
        intake::fire(&name)
    }
}

impl message_editor::Guest for Telegram {
    fn edit(conversation: String, message_id: String, text: String) -> Result<(), DeliveryFailure> {
        sending::edit(&conversation, &message_id, &text)
    }

    fn remove(conversation: String, message_id: String) -> Result<(), DeliveryFailure> {
        sending::remove(&conversation, &message_id)
    }
}

impl presence::Guest for Telegram {
    fn indicate(conversation: String, thread: Option<String>, activity: presence::Activity) -> Result<(), String> {
        if activity == presence::Activity::Idle {
            // It ends by itself, at the latest with the answer.
            return Ok(());
        }
        let chat = chat_of(&conversation).ok_or_else(|| format!("`{conversation}` is no conversation of Telegram"))?;
        let thread: Option<i64> = thread.and_then(|thread| thread.parse().ok());
        let action = json!({ "chat_id": chat, "message_thread_id": thread, "action": "typing" });
        client::call("sendChatAction", &action).map(|_| ()).map_err(|problem| problem.message())
    }
}

chat_adapter::export!(Telegram);
poller::export!(Telegram);
webhook::export!(Telegram);
timer::export!(Telegram);
message_editor::export!(Telegram);
presence::export!(Telegram);

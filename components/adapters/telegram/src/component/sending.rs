//! Carries a reply out, call by call, in Telegram's pace.

use std::{
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mercury_plugin::{
    chat_adapter::{Delivered, OutboundMessage},
    deliveries::{DeliveryFailure, FailureKind},
    inbox::{self, Event, Happening},
    log, settings,
};
use serde_json::{Value, json};

use super::client;
use crate::{
    inbound::chat_of,
    outbound::{self, Call, Carrier, Delivery, carry},
    pace::Pace,
    problem::Problem,
};

static CLOCK: LazyLock<Instant> = LazyLock::new(Instant::now);
static PACE: Mutex<Pace> = Mutex::new(Pace::new());

pub(super) fn deliver(message: &OutboundMessage) -> Result<Delivered, DeliveryFailure> {
    let mut delivery =
        Delivery::begin(message, formatted()).map_err(|reason| failure(FailureKind::Permanent, reason, None))?;
    if let Err((kind, reason)) = carry(&mut delivery, &mut Line { message }) {
        return Err(failure(kind, reason, delivery.progress()));
    }
    let (message_ids, reduced) = delivery.delivered();
    Ok(Delivered { message_ids, reduced })
}

/// To Telegram, with the message's files.
struct Line<'a> {
    message: &'a OutboundMessage,
}

impl Carrier for Line<'_> {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wait(&self, chat: i64) -> u64 {
        PACE.lock().unwrap_or_else(PoisonError::into_inner).wait(chat, now())
    }

    fn rest(&mut self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    fn call(&mut self, call: Call, chat: i64, messages: usize, timeout_ms: u32) -> Result<Value, Problem> {
        let answer = client::upload(call, &self.message.attachments, timeout_ms);
        for _ in 0..messages {
            PACE.lock().unwrap_or_else(PoisonError::into_inner).sent(chat, now());
        }
        answer
    }

    fn moved(&mut self, old: String, new: String) {
        moved(old, new);
    }
}

pub(super) fn edit(conversation: &str, message_id: &str, text: &str) -> Result<(), DeliveryFailure> {
    let (chat, message) = address(conversation, message_id)?;
    let call = outbound::edit(chat, message, text, formatted());
    let mut answer = client::call(call.method, &Value::Object(call.fields));
    if matches!(answer, Err(Problem::Markup(_))) {
        let call = outbound::edit(chat, message, text, false);
        answer = client::call(call.method, &Value::Object(call.fields));
    }
    settle(answer, "message is not modified")
}

pub(super) fn remove(conversation: &str, message_id: &str) -> Result<(), DeliveryFailure> {
    let (chat, message) = address(conversation, message_id)?;
    let answer = client::call("deleteMessage", &json!({ "chat_id": chat, "message_id": message }));
    settle(answer, "message to delete not found")
}

/// The host learns at once that the group has a new id; Telegram's own update may come later, or twice.
fn moved(old: String, new: String) {
    let event = Event { id: format!("moved:{old}:{new}"), happening: Happening::Moved((old, new)) };
    if let Err(error) = inbox::accept(&[event], None) {
        log::warn(&format!("a group that moved was not stored: {error:?}"));
    }
}

/// What was to be reached is as good as reached where it was so before.
fn settle(answer: Result<Value, Problem>, already: &str) -> Result<(), DeliveryFailure> {
    match answer {
        Ok(_) => Ok(()),
        Err(Problem::Refused(said)) if said.contains(already) => Ok(()),
        Err(Problem::RetryAfter(ms)) => {
            Err(failure(FailureKind::RetryAfter(ms), Problem::RetryAfter(ms).message(), None))
        }
        Err(problem @ (Problem::Refused(_) | Problem::Barred(_) | Problem::Markup(_))) => {
            Err(failure(FailureKind::Permanent, problem.message(), None))
        }
        Err(problem) => Err(failure(FailureKind::Transient, problem.message(), None)),
    }
}

fn address(conversation: &str, message_id: &str) -> Result<(i64, i64), DeliveryFailure> {
    let known = chat_of(conversation).zip(message_id.parse().ok());
    known.ok_or_else(|| {
        failure(FailureKind::Permanent, format!("{message_id} of {conversation} is no message of Telegram"), None)
    })
}

fn formatted() -> bool {
    settings::get("format", None).is_none_or(|format| format.trim() != "false")
}

fn failure(kind: FailureKind, message: String, progress: Option<String>) -> DeliveryFailure {
    DeliveryFailure { kind, message, progress }
}

/// Since the instance began, in milliseconds.
fn now() -> u64 {
    u64::try_from(CLOCK.elapsed().as_millis()).unwrap_or(u64::MAX)
}

//! A delivery's calls, one after the other, in Telegram's pace and in the time that the host gives.

use std::time::Instant;

use mercury_plugin::deliveries::FailureKind;
use serde_json::Value;

use super::{Call, Delivery, Next};
use crate::{budget::Budget, problem::Problem};

/// A longer wait is the host's, which serves other chats meanwhile.
const MOST_WAIT_HERE_MS: u64 = 1_000;
/// Where nothing but the time of this call is used up, the next one goes on at once.
const AT_ONCE_MS: u32 = 1;

/// Who does the calls.
pub trait Carrier {
    fn now(&self) -> Instant;
    /// Milliseconds until the chat may get its next message.
    fn wait(&self, chat: i64) -> u64;
    fn rest(&mut self, ms: u64);
    /// Does a call that makes so many messages in the chat, within `timeout_ms`.
    fn call(&mut self, call: Call, chat: i64, messages: usize, timeout_ms: u32) -> Result<Value, Problem>;
    /// A group has a new id: old, new.
    fn moved(&mut self, old: String, new: String);
}

/// Goes on until all was sent, or as far as it gets. What the host cuts off is sent again from its
/// beginning, since nobody says then how far it came: so it ends by itself before that.
///
/// # Errors
/// Why it does not go on, and when it may.
pub fn carry(delivery: &mut Delivery<'_>, carrier: &mut impl Carrier) -> Result<(), (FailureKind, String)> {
    let budget = Budget::begin(carrier.now());
    while let Some(call) = delivery.next() {
        let wait = carrier.wait(delivery.chat());
        if wait > MOST_WAIT_HERE_MS {
            let kind = FailureKind::RetryAfter(u32::try_from(wait).unwrap_or(u32::MAX));
            return Err((kind, "Telegram's limits want a pause".into()));
        }
        carrier.rest(wait);
        let now = carrier.now();
        let Some(left) = budget.left_ms(now).filter(|_| !budget.is_enough(now)) else {
            return Err((FailureKind::RetryAfter(AT_ONCE_MS), "it takes long, and the rest follows".into()));
        };
        let answer = carrier.call(call, delivery.chat(), delivery.next_messages(), left);
        match delivery.answered(answer) {
            Next::GoOn => {}
            Next::Moved(old, new) => carrier.moved(old, new),
            Next::Stop(kind, reason) => return Err((kind, reason)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mercury_plugin::{
        chat_adapter::OutboundMessage,
        types::{Media, MediaKind},
    };
    use serde_json::json;

    use super::*;

    /// The host gives a delivery 300 s.
    const HOST: Duration = Duration::from_secs(300);

    /// A line on which every upload takes its time, or as long as it may.
    struct Line {
        now: Instant,
        upload: Duration,
        pause: u64,
        rested: u64,
        /// Methods that were done.
        done: Vec<&'static str>,
        timeouts: Vec<u32>,
    }

    impl Line {
        fn new(upload: Duration) -> Self {
            Self { now: Instant::now(), upload, pause: 0, rested: 0, done: Vec::new(), timeouts: Vec::new() }
        }

        /// One attempt of the host's: how it ended, and with what progress.
        fn attempt(&mut self, message: &OutboundMessage) -> (Result<(), (FailureKind, String)>, Option<String>) {
            let began = self.now;
            let mut delivery = Delivery::begin(message, true).unwrap();
            let carried = carry(&mut delivery, self);
            assert!(self.now - began < HOST, "the host cut it off after {:?}", self.now - began);
            (carried, delivery.progress())
        }
    }

    impl Carrier for Line {
        fn now(&self) -> Instant {
            self.now
        }

        fn wait(&self, _chat: i64) -> u64 {
            self.pause
        }

        fn rest(&mut self, ms: u64) {
            self.rested += ms;
        }

        fn call(&mut self, call: Call, _chat: i64, _messages: usize, timeout_ms: u32) -> Result<Value, Problem> {
            let timeout = Duration::from_millis(timeout_ms.into());
            let takes = if call.files.is_empty() { Duration::from_secs(1) } else { self.upload };
            self.timeouts.push(timeout_ms);
            self.now += takes.min(timeout);
            if takes > timeout {
                return Err(Problem::Passing("Telegram does not answer".into()));
            }
            self.done.push(call.method);
            Ok(json!({ "message_id": self.done.len() }))
        }

        fn moved(&mut self, _old: String, _new: String) {}
    }

    /// A text and four files, each of another kind.
    fn message() -> OutboundMessage {
        let file = |mime: &str| Media {
            handle: mime.into(),
            kind: MediaKind::Document,
            mime_type: mime.into(),
            file_name: None,
            size_bytes: 1,
        };
        OutboundMessage {
            id: "m1".into(),
            conversation: "telegram:42".into(),
            address: None,
            thread: None,
            reply_to: None,
            text: "a".repeat(2_000),
            attachments: ["application/pdf", "image/png", "audio/ogg", "audio/mpeg"].map(file).into(),
            choices: Vec::new(),
            resume: None,
        }
    }

    const ALL: [&str; 5] = ["sendMessage", "sendDocument", "sendPhoto", "sendVoice", "sendAudio"];

    /// adapters.md #15: whatever the line makes of it, no part comes twice.
    #[test]
    fn what_takes_long_goes_on_where_it_was() {
        for upload in [1, 30, 58, 59, 70, 170] {
            let (mut line, mut message) = (Line::new(Duration::from_secs(upload)), message());
            let mut attempts = 1;
            loop {
                let (carried, progress) = line.attempt(&message);
                let Err((kind, reason)) = carried else { break };
                assert_eq!((kind, progress.is_some()), (FailureKind::RetryAfter(AT_ONCE_MS), true), "{reason}");
                message.resume = progress;
                attempts += 1;
                assert!(attempts < 10, "{upload}");
            }
            assert_eq!(line.done, ALL, "{upload}");
            assert_eq!(attempts > 1, upload > 1, "{upload}: {attempts}");
        }
    }

    /// One that hangs is given up while there is time to say how far it came.
    #[test]
    fn an_upload_that_hangs_does_not_undo_what_was_sent() {
        let (mut line, mut message) = (Line::new(HOST * 2), message());
        let (carried, progress) = line.attempt(&message);
        assert!(matches!(carried, Err((FailureKind::Transient, _))), "{carried:?}");
        assert_eq!((line.done.as_slice(), line.timeouts.as_slice()), (&ALL[..1], &[240_000, 239_000][..]));
        message.resume = progress;
        line.upload = Duration::from_secs(1);
        assert_eq!((line.attempt(&message).0, line.done.as_slice()), (Ok(()), &ALL[..]));
    }

    #[test]
    fn a_short_pause_is_waited_for_and_a_long_one_is_the_hosts() {
        let (mut line, message) = (Line::new(Duration::from_secs(1)), message());
        line.pause = MOST_WAIT_HERE_MS;
        assert_eq!((line.attempt(&message).0, line.rested), (Ok(()), 5 * MOST_WAIT_HERE_MS));
        line.pause += 1;
        let (carried, progress) = line.attempt(&message);
        assert!(matches!(carried, Err((FailureKind::RetryAfter(1_001), _))) && progress.is_some(), "{carried:?}");
        assert_eq!(line.done.len(), ALL.len());
    }
}

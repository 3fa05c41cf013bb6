//! From rows to the platform: in order within a conversation, side by side over conversations.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Adapters, Line, backoff::Backoff, until_due};
use crate::{
    clock,
    domain::media::Kind,
    media::Lent,
    plugins::{
        CallError,
        adapter::{
            Choice, Delivered, OutboundMessage,
            deliveries::{DeliveryFailure, FailureKind},
        },
    },
    store::{Attempt, Delivery, NewDelivery, OutboundFile, StoreError},
};

/// How long the loop rests after the database failed it.
const REST: Duration = Duration::from_secs(1);
/// Milliseconds after which a delivery that always fails is given up: a day.
const LONGEST_TRIED: i64 = 24 * 60 * 60 * 1000;
/// Attempts that may end in a trap or a time-out before the message itself is taken to be the cause.
const MOST_FAULTS: u32 = 5;
/// The longest wait that a platform may ask for, in milliseconds: an hour.
const LONGEST_WAIT: u32 = 60 * 60 * 1000;
/// What follows a message of which a part was left out.
const NOTICE: &str = "-notice";

/// What a call that failed says of the message; none where the adapter broke over it. Pure.
fn kind_of(error: &CallError) -> Option<FailureKind> {
    match error {
        // It was not even tried.
        CallError::Busy { .. } | CallError::Broken { .. } => Some(FailureKind::Transient),
        CallError::Trap { .. } | CallError::Timeout { .. } | CallError::NotExported { .. } => None,
    }
}

/// What becomes of an attempt. Pure.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Again { wait: Duration },
    Dead,
}

/// `failures`, and the `faults` among them, count the present one; `age` is the delivery's, in milliseconds.
fn judge(kind: Option<&FailureKind>, failures: u32, faults: u32, age: i64) -> Verdict {
    match kind {
        Some(FailureKind::Permanent) => Verdict::Dead,
        None if faults >= MOST_FAULTS => Verdict::Dead,
        _ if age >= LONGEST_TRIED => Verdict::Dead,
        Some(FailureKind::RetryAfter(wait)) => {
            Verdict::Again { wait: Duration::from_millis((*wait).min(LONGEST_WAIT).into()) }
        }
        Some(FailureKind::Transient | FailureKind::Other(_)) | None => {
            Verdict::Again { wait: Backoff::after(failures) }
        }
    }
}

/// The deliveries that are at work, each with the conversation that it went to when it began.
type Busy = Arc<Mutex<HashMap<i64, String>>>;

impl Adapters {
    /// Sends what there is to send until the host stops.
    pub(super) async fn deliver_all(self: Arc<Self>) {
        let mut changes = self.delivery.changes();
        let busy = Busy::default();
        loop {
            changes.borrow_and_update();
            let wait = match self.begin_due(&busy).await {
                Ok(next) => next.map(|at| Duration::from_millis((at - clock::millis()).max(0).unsigned_abs())),
                Err(error) => {
                    tracing::error!(%error, "what is to be sent cannot be read; trying again");
                    Some(REST)
                }
            };
            if !until_due(wait, &mut changes, &self.stop).await {
                return;
            }
        }
    }

    /// Begins with all that is due, and says when the next will be.
    async fn begin_due(self: &Arc<Self>, busy: &Busy) -> Result<Option<i64>, StoreError> {
        let now = clock::millis();
        let mut next: Option<i64> = None;
        // Before the rows are read: what is sent while they are read stands among them as if it were not. Its
        // conversation has its turn at the next look, which the end of its delivery asks for.
        let at_work = busy.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (delivery, not_before) in self.store.heads().await? {
            let Some(line) = self.line(&delivery.new.platform) else {
                self.give_up_waiting(&delivery, not_before, now).await;
                continue;
            };
            // One that is only starting, or rests, will try it, however old it is by then.
            if !line.watched.is_running() {
                continue;
            }
            let conversation = delivery.new.conversation.clone();
            // By both: a group that moves while it is sent to has another name, and the same message at its head.
            if at_work.contains_key(&delivery.id) || at_work.values().any(|at_work| *at_work == conversation) {
                continue;
            }
            if not_before > now {
                next = Some(next.map_or(not_before, |next| next.min(not_before)));
                continue;
            }
            busy.lock().unwrap_or_else(PoisonError::into_inner).insert(delivery.id, conversation);
            let (this, busy) = (self.clone(), busy.clone());
            // A stop lets it end: what the platform has already, and is not marked as sent, would be sent again.
            self.spawn(async move {
                this.deliver(&line, &delivery).await;
                busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&delivery.id);
                this.delivery.stir();
            });
        }
        Ok(next)
    }

    /// Without an adapter a message is never tried, and what is a day old by the time there is one again
    /// surprises people.
    async fn give_up_waiting(&self, delivery: &Delivery, not_before: i64, now: i64) {
        if now - delivery.created_at.max(not_before) < LONGEST_TRIED {
            return;
        }
        let platform = &delivery.new.platform;
        let reason = format!("there is no adapter for {platform}, and it has waited for a day");
        tracing::error!(
            delivery = delivery.id,
            platform,
            "a message is given up: {reason}; `mercury deliveries` lists it"
        );
        metrics::counter!("mercury_deliveries_total", "platform" => platform.clone(), "outcome" => "dead").increment(1);
        let attempt = Attempt::Dead { progress: None, reason };
        self.insist(|| self.store.attempted(delivery.id, attempt.clone(), false, now)).await;
    }

    async fn deliver(&self, line: &Line, delivery: &Delivery) {
        let new = &delivery.new;
        let message = OutboundMessage {
            id: new.message.clone(),
            conversation: new.conversation.clone(),
            address: delivery.address.clone(),
            thread: new.thread.clone(),
            reply_to: new.reply_to.clone(),
            text: new.text.clone(),
            attachments: Vec::new(),
            choices: new.choices.iter().map(|(id, label)| Choice { id: id.clone(), label: label.clone() }).collect(),
            resume: delivery.progress.clone(),
        };
        let (files, lost) = self.open_files(delivery).await;
        let (kind, reason, progress) = match line.adapter.deliver(message, files).await {
            Ok(Ok(mut delivered)) => {
                delivered.reduced =
                    delivered.reduced.into_iter().chain(lost).reduce(|all, more| format!("{all}; {more}"));
                return self.delivered(delivery, delivered).await;
            }
            Ok(Err(DeliveryFailure { kind, message, progress })) => (Some(kind), message, progress),
            Err(error) => (kind_of(&error), error.to_string(), None),
        };
        let now = clock::millis();
        let (failures, is_fault) = (delivery.attempts + 1, kind.is_none());
        let faults = delivery.faults + u32::from(is_fault);
        let attempt = match judge(kind.as_ref(), failures, faults, now - delivery.created_at) {
            Verdict::Again { wait } => {
                tracing::warn!(
                    delivery = delivery.id,
                    conversation = new.conversation,
                    failures,
                    "a message could not be sent, and is tried again in {} ms: {reason}",
                    wait.as_millis()
                );
                Attempt::Again { not_before: now + wait.as_millis() as i64, progress, reason }
            }
            Verdict::Dead => {
                tracing::error!(
                    delivery = delivery.id,
                    conversation = new.conversation,
                    failures,
                    "a message could not be sent and is given up: {reason}. `mercury deliveries` lists it, `mercury \
                     deliveries retry {}` tries once more",
                    delivery.id
                );
                Attempt::Dead { progress, reason }
            }
        };
        let outcome = if matches!(attempt, Attempt::Dead { .. }) { "dead" } else { "failed" };
        metrics::counter!("mercury_deliveries_total", "platform" => new.platform.clone(), "outcome" => outcome)
            .increment(1);
        self.insist(|| self.store.attempted(delivery.id, attempt.clone(), is_fault, clock::millis())).await;
    }

    /// The files of an answer, and what became of those that are gone.
    async fn open_files(&self, delivery: &Delivery) -> (Vec<Lent>, Vec<String>) {
        let (data_dir, files) = (self.config.data_dir.clone(), delivery.files.clone());
        let open = move || {
            let (mut opened, mut lost) = (Vec::new(), Vec::new());
            for OutboundFile { filename, mime_type, path, .. } in files {
                match Lent::of_host(&data_dir.join(path), Kind::of_mime(&mime_type), mime_type, Some(filename.clone()))
                {
                    Ok(file) => opened.push(file),
                    Err(error) => {
                        tracing::error!(filename, %error, "a file of an answer cannot be opened");
                        lost.push(format!("{filename} is not there any more"));
                    }
                }
            }
            (opened, lost)
        };
        tokio::task::spawn_blocking(open).await.unwrap_or_default()
    }

    async fn delivered(&self, delivery: &Delivery, delivered: Delivered) {
        let new = &delivery.new;
        metrics::counter!("mercury_deliveries_total", "platform" => new.platform.clone(), "outcome" => "delivered")
            .increment(1);
        // What is not marked is sent again after a crash, with the same id.
        self.insist(|| self.store.sent(delivery, delivered.message_ids.clone(), clock::millis())).await;
        let Some(reduced) = delivered.reduced else { return };
        tracing::warn!(
            delivery = delivery.id,
            conversation = new.conversation,
            "a message was sent in part: {reduced}"
        );
        if new.message.ends_with(NOTICE) {
            return;
        }
        let notice = NewDelivery {
            message: format!("{}{NOTICE}", new.message),
            text: format!("Not everything could be sent: {reduced}"),
            choices: Vec::new(),
            reply_to: None,
            ..new.clone()
        };
        self.insist(|| async { self.store.send(notice.clone(), clock::millis()).await.map(drop) }).await;
    }

    /// Repeats a write until the database takes it.
    async fn insist<F: Future<Output = Result<(), StoreError>>>(&self, write: impl Fn() -> F) {
        while let Err(error) = write().await {
            tracing::error!(%error, "the end of a delivery cannot be written; trying again");
            tokio::time::sleep(REST).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::Fault;

    #[test]
    fn what_becomes_of_a_failure() {
        assert_eq!(judge(Some(&FailureKind::Permanent), 1, 0, 0), Verdict::Dead);
        let wait = Duration::from_millis(3_000);
        assert_eq!(judge(Some(&FailureKind::RetryAfter(3_000)), 900, 0, 0), Verdict::Again { wait });
        assert!(matches!(judge(Some(&FailureKind::Transient), 900, 0, LONGEST_TRIED - 1), Verdict::Again { .. }));
        assert_eq!(judge(Some(&FailureKind::Transient), 1, 0, LONGEST_TRIED), Verdict::Dead);
        assert!(matches!(judge(None, MOST_FAULTS - 1, MOST_FAULTS - 1, 0), Verdict::Again { .. }));
        assert_eq!(judge(None, MOST_FAULTS, MOST_FAULTS, 0), Verdict::Dead, "a message that breaks its adapter");
        assert!(matches!(judge(None, 900, 1, 0), Verdict::Again { .. }), "a platform that was away broke nothing");
        assert!(matches!(judge(Some(&FailureKind::Transient), 900, MOST_FAULTS, 0), Verdict::Again { .. }));
        let endless = judge(Some(&FailureKind::RetryAfter(u32::MAX)), 1, 0, 0);
        assert_eq!(endless, Verdict::Again { wait: Duration::from_secs(3600) });
    }

    /// Others' traps open the breaker, and others' uploads hold the line: that is no fault of a message.
    #[test]
    fn what_was_not_tried_is_no_fault() {
        let (plugin, within) = ("parley".to_owned(), Duration::from_secs(1));
        let trap = CallError::Trap { plugin: plugin.clone(), export: "x", fault: Fault::Trap, message: String::new() };
        for error in [trap, CallError::Timeout { plugin: plugin.clone(), export: "x", within }] {
            assert_eq!(kind_of(&error), None, "{error}");
        }
        for error in
            [CallError::Busy { plugin: plugin.clone(), export: "x", within }, CallError::Broken { plugin, export: "x" }]
        {
            assert_eq!(kind_of(&error), Some(FailureKind::Transient), "{error}");
        }
    }
}

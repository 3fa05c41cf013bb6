//! That somebody is at work: a sign every few seconds, and after a while one message that says so.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Adapters, Line, until_due};
use crate::{
    clock,
    plugins::{
        Interface,
        adapter::{Activity, Features, OutboundMessage, deliveries::FailureKind},
    },
    store::{AtWork, StoreError},
};

/// Between two signs: platforms forget them after five seconds.
const REPEAT: Duration = Duration::from_secs(4);
/// After which a run gets a message that shows its progress, and between two changes of it.
const PROGRESS: Duration = Duration::from_secs(30);
/// How long the loop rests after the database failed it.
const REST: Duration = Duration::from_secs(1);

type Place = (String, Option<String>);

/// What is shown on one platform.
#[derive(Default)]
struct Shown {
    /// When each place is due for its next sign.
    signs: BTreeMap<Place, Instant>,
    /// When each run's message is due for its next change.
    messages: BTreeMap<i64, Instant>,
}

fn lasted(at: &AtWork, now: i64) -> Duration {
    Duration::from_millis((now - at.received_at).max(0).unsigned_abs())
}

impl Adapters {
    /// Shows on one platform what is at work, until the host stops.
    pub(super) async fn show_presence(self: Arc<Self>, line: Arc<Line>) {
        let mut changes = self.delivery.changes();
        let mut shown = Shown::default();
        loop {
            changes.borrow_and_update();
            let wait = match self.show(&line, &mut shown).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "what is at work cannot be read; trying again");
                    Some(REST)
                }
            };
            if !until_due(wait, &mut changes, &line.stop).await {
                return;
            }
        }
    }

    /// Does what is due, and says how long it may take until there is more.
    async fn show(&self, line: &Line, shown: &mut Shown) -> Result<Option<Duration>, StoreError> {
        let work: Vec<AtWork> = self.store.at_work(line.adapter.platform()).await?;
        if !line.watched.is_running() {
            return Ok((!work.is_empty()).then_some(REPEAT));
        }
        if line.adapter.provides(Interface::Presence) {
            self.give_signs(line, &mut shown.signs, &work).await;
        }
        let mut left_over = false;
        if line.adapter.provides(Interface::MessageEditor) && line.watched.features().contains(Features::EDITS) {
            for at in &work {
                self.show_progress(line, &mut shown.messages, at).await?;
            }
            shown.messages.retain(|inbound, _| work.iter().any(|at| at.inbound == *inbound));
            left_over = self.take_back(line, &work).await?;
        }
        let now = clock::millis();
        // Of the run whose message comes next.
        let first =
            work.iter().filter_map(|at| PROGRESS.checked_sub(lasted(at, now))).filter(|left| !left.is_zero()).min();
        Ok(match (work.is_empty(), left_over) {
            (false, _) => Some(first.unwrap_or(REPEAT).min(REPEAT)),
            (true, true) => Some(PROGRESS),
            (true, false) => None,
        })
    }

    async fn give_signs(&self, line: &Line, signs: &mut BTreeMap<Place, Instant>, work: &[AtWork]) {
        let places: Vec<Place> = work.iter().map(|at| (at.conversation.clone(), at.thread.clone())).collect();
        let over: Vec<Place> = signs.keys().filter(|place| !places.contains(place)).cloned().collect();
        for place in over {
            signs.remove(&place);
            indicate(line, &place, Activity::Idle).await;
        }
        for place in places {
            let now = Instant::now();
            if signs.get(&place).is_none_or(|due| *due <= now) {
                signs.insert(place.clone(), now + REPEAT);
                indicate(line, &place, Activity::Thinking).await;
            }
        }
    }

    async fn show_progress(
        &self,
        line: &Line,
        due: &mut BTreeMap<i64, Instant>,
        at: &AtWork,
    ) -> Result<(), StoreError> {
        let lasted = lasted(at, clock::millis());
        let now = Instant::now();
        if lasted < PROGRESS || due.get(&at.inbound).is_some_and(|due| *due > now) {
            return Ok(());
        }
        due.insert(at.inbound, now + PROGRESS);
        let text = format!("⏳ Processing… ({}s)", lasted.as_secs());
        let known = self.store.progress(line.adapter.platform()).await?;
        if let Some(message) = known.into_iter().find(|message| message.inbound == at.inbound) {
            if let Ok(Err(failure)) = line.adapter.edit(message.conversation, message.message, text).await {
                tracing::debug!(
                    conversation = at.conversation,
                    "the progress could not be changed: {}",
                    failure.message
                );
            }
            return Ok(());
        }
        let message = OutboundMessage {
            id: format!("progress-{}", at.inbound),
            conversation: at.conversation.clone(),
            address: at.address.clone(),
            thread: at.thread.clone(),
            reply_to: None,
            text,
            attachments: Vec::new(),
            choices: Vec::new(),
            resume: None,
        };
        if let Ok(Ok(delivered)) = line.adapter.deliver(message, Vec::new()).await {
            self.store.show_progress(line.adapter.platform(), at, delivered.message_ids).await?;
        }
        Ok(())
    }

    /// Removes the messages of runs that are over, of an earlier host's as well. Says whether some are left.
    async fn take_back(&self, line: &Line, work: &[AtWork]) -> Result<bool, StoreError> {
        let mut left = false;
        for message in self.store.progress(line.adapter.platform()).await? {
            if work.iter().any(|at| at.inbound == message.inbound) {
                continue;
            }
            let removed = line.adapter.remove(message.conversation.clone(), message.message.clone()).await;
            match removed {
                Ok(Ok(())) => {}
                Ok(Err(failure)) if failure.kind == FailureKind::Permanent => {
                    tracing::debug!(
                        conversation = message.conversation,
                        "the progress could not be removed: {}",
                        failure.message
                    );
                }
                Ok(Err(_)) | Err(_) => {
                    left = true;
                    continue;
                }
            }
            self.store.forget_progress(message.inbound, &message.message).await?;
        }
        Ok(left)
    }
}

/// A sign that fails is not worth more than a line for developers.
async fn indicate(line: &Line, place: &Place, activity: Activity) {
    let said = match line.adapter.indicate(place.0.clone(), place.1.clone(), activity).await {
        Ok(Ok(())) => return,
        Ok(Err(said)) => said,
        Err(error) => error.to_string(),
    };
    tracing::debug!(conversation = place.0, "presence could not be shown: {said}");
}

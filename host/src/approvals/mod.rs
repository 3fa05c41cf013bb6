//! Tool calls that wait for a person's answer.
//!
//! Owns what happens between a guard's `ask` and the verdict that the tool guard in the container
//! reads: the question's row, its answer, its time, and the run's clock meanwhile. What is in memory
//! here only wakes those who wait; a restarted host finds everything in the rows.
//!
//! Never decides by itself: guards say what is asked and who may answer, `domain::approval` what an
//! answer means.

mod answer;
mod clock;
mod judge;
mod question;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

pub use answer::{AnswerError, Person, Reading};
pub use clock::RunClock;
pub use judge::Asker;
pub use question::{QuestionView, view};

use self::clock::Clock;
use crate::{
    clock::millis,
    delivery::Delivery,
    domain::ids::RunId,
    plugins::Plugins,
    store::{Question, Store, StoreError},
};

pub struct Approvals {
    store: Store,
    plugins: Arc<Plugins>,
    delivery: Delivery,
    /// Changes whenever a question is settled.
    settled: watch::Sender<()>,
    clocks: Arc<Mutex<HashMap<RunId, Clock>>>,
}

impl Approvals {
    pub fn new(store: Store, plugins: Arc<Plugins>, delivery: Delivery) -> Self {
        Self { store, plugins, delivery, settled: watch::Sender::new(()), clocks: Arc::default() }
    }

    /// Takes back the questions of a run that is over.
    pub async fn withdraw(&self, run: &RunId) -> Result<(), StoreError> {
        let ended = self.store.withdraw_questions(Some(run.clone()), millis(), judge::decision_on).await?;
        self.after(&ended);
        Ok(())
    }

    /// What a starting host does: questions of runs that ended meanwhile are taken back, those whose
    /// time is up denied. All others stay open.
    pub async fn recover(&self) -> Result<(), StoreError> {
        let ended = self.store.withdraw_questions(None, millis(), judge::decision_on).await?;
        self.after(&ended);
        self.expire().await
    }

    /// The open questions, oldest first.
    pub async fn open(&self) -> Result<Vec<Question>, StoreError> {
        self.expire().await?;
        self.store.open_questions().await
    }

    async fn expire(&self) -> Result<(), StoreError> {
        // Read first: nearly always nothing is due, and a write waits for the disk.
        let now = millis();
        if !self.store.open_questions().await?.iter().any(|question| question.asked.expires_at <= now) {
            return Ok(());
        }
        let ended = self.store.expire_questions(millis(), judge::decision_on).await?;
        self.after(&ended);
        Ok(())
    }

    /// Tells everybody who waits that these are settled.
    fn after(&self, questions: &[Question]) {
        for question in questions {
            let asked = &question.asked;
            tracing::info!(
                run = asked.run.as_str(),
                question = question.id,
                tool = asked.tool,
                plugin = asked.plugin,
                person = question.answered_by,
                outcome = question.state.as_str(),
                "question about a tool call settled"
            );
            metrics::counter!("mercury_approvals_total", "outcome" => question.state.as_str()).increment(1);
            if let Some(clock) = self.clocks().get_mut(&asked.run) {
                clock.settle(question.id, tokio::time::Instant::now());
            }
            self.delivery.announce(question.inbound);
        }
        if !questions.is_empty() {
            self.settled.send_replace(());
        }
    }

    /// Tells the conversation and the run's clock that somebody is asked.
    fn before(&self, question: &Question) {
        let asked = &question.asked;
        tracing::info!(
            run = asked.run.as_str(),
            question = question.id,
            tool = asked.tool,
            plugin = asked.plugin,
            approver = asked.approver,
            conversation = question.conversation,
            "a tool call waits for somebody's answer"
        );
        if let Some(clock) = self.clocks().get_mut(&asked.run) {
            clock.open(question.id, judge::remaining(question), tokio::time::Instant::now());
        }
        self.delivery.announce(question.inbound);
    }

    fn clocks(&self) -> MutexGuard<'_, HashMap<RunId, Clock>> {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

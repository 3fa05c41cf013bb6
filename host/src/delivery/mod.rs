//! From outbound rows to whoever waits for them.
//!
//! The platform `api`: the request that brought the message waits here for its answer. All others have
//! adapters, which are told here that there is something to send.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Notify, watch};

use crate::store::{Outbound, Question, Store, StoreError};

/// What there is to tell whoever waits for an answer.
#[derive(Debug)]
pub enum News {
    Answer(Outbound),
    /// The run waits for somebody's answer itself.
    Question(Box<Question>),
}

#[derive(Clone, Debug)]
pub struct Delivery {
    store: Store,
    waiting: Arc<Mutex<HashMap<i64, Weak<Notify>>>>,
    stirred: watch::Sender<()>,
}

impl Delivery {
    pub fn new(store: Store) -> Self {
        Self { store, waiting: Arc::default(), stirred: watch::Sender::new(()) }
    }

    /// Says that something about runs or answers has changed on disk.
    pub fn stir(&self) {
        self.stirred.send_replace(());
    }

    /// Changes at every [`Delivery::stir`] and [`Delivery::announce`].
    pub fn changes(&self) -> watch::Receiver<()> {
        self.stirred.subscribe()
    }

    /// Says that there is news on disk for whoever waits for `inbound`.
    pub fn announce(&self, inbound: i64) {
        self.stir();
        let waiter = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).get(&inbound).and_then(Weak::upgrade);
        // It stays: whoever is about to wait on it has taken it already, and is to hear of what comes next.
        if let Some(waiter) = waiter {
            waiter.notify_waiters();
        }
    }

    /// Waits for the answer to `inbound`. Several may wait for the same one. With `questions_after`,
    /// an open question of its run that is newer than that ends the waiting as well.
    pub async fn next(&self, inbound: i64, questions_after: Option<i64>) -> Result<News, StoreError> {
        loop {
            let waiter = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.retain(|_, waiter| waiter.strong_count() > 0);
                let known = waiting.get(&inbound).and_then(Weak::upgrade);
                let waiter = known.unwrap_or_default();
                waiting.insert(inbound, Arc::downgrade(&waiter));
                waiter
            };
            // Registered before the look, so an answer in between is not missed.
            let mut notified = std::pin::pin!(waiter.notified());
            notified.as_mut().enable();
            if let Some(answer) = self.store.answer_to(inbound).await? {
                return Ok(News::Answer(answer));
            }
            if let Some(after) = questions_after
                && let Some(question) = self.store.question_for(inbound, after, crate::clock::millis()).await?
            {
                return Ok(News::Question(Box::new(question)));
            }
            notified.await;
        }
    }

    /// Marks an answer as delivered.
    pub async fn delivered(&self, answer: &Outbound) -> Result<(), StoreError> {
        self.store.delivered(answer.id, crate::clock::millis()).await
    }
}

//! Messages that wait a moment for the next of the same person. On disk they are undecided, so a host
//! that ends meanwhile has lost nothing: the next one holds them again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Intake, RETRY, Waiting};
use crate::{
    domain::{batch, chat::Chat, ids::SpaceId},
    store::NewInbound,
};

/// The slow look at a batch that waits for its person's run to end.
const LOOK: Duration = Duration::from_secs(30);

/// Who writes, and where the answer goes: nothing else is ever put together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    conversation: String,
    thread: Option<String>,
    person: String,
}

impl Key {
    pub(super) fn of(message: &NewInbound, chat: &Chat) -> Self {
        Self { conversation: message.conversation.clone(), thread: chat.thread.clone(), person: message.author.clone() }
    }
}

struct Batch {
    messages: Vec<Waiting>,
    idle: Duration,
    first: Instant,
    last: Instant,
}

impl Batch {
    fn complete_at(&self) -> Instant {
        self.first + batch::complete_after(self.last - self.first, self.idle)
    }
}

/// What a message was to a batch.
pub(super) enum Pushed {
    /// Its first: the caller sees to it that it is taken.
    First,
    Joined,
    /// Its last: no more fit in.
    Full(Vec<Waiting>),
}

#[derive(Clone, Default)]
pub struct Held(Arc<Mutex<HashMap<Key, Batch>>>);

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Batch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, key: &Key, message: Waiting, idle: Duration) -> Pushed {
        let mut all = self.lock();
        let now = Instant::now();
        let Some(batch) = all.get_mut(key) else {
            all.insert(key.clone(), Batch { messages: vec![message], idle, first: now, last: now });
            return Pushed::First;
        };
        batch.messages.push(message);
        (batch.last, batch.idle) = (now, idle);
        if batch.messages.len() < batch::MOST {
            return Pushed::Joined;
        }
        Pushed::Full(all.remove(key).map(|batch| batch.messages).unwrap_or_default())
    }

    pub(super) fn take(&self, key: &Key) -> Vec<Waiting> {
        self.lock().remove(key).map(|batch| batch.messages).unwrap_or_default()
    }

    /// Every batch of a space.
    pub(super) fn take_of(&self, space: &SpaceId) -> Vec<Vec<Waiting>> {
        let of_space = |batch: &Batch| batch.messages.iter().any(|(inbound, _)| inbound.message.space == *space);
        self.lock().extract_if(|_, batch| of_space(batch)).map(|(_, batch)| batch.messages).collect()
    }

    fn complete_at(&self, key: &Key) -> Option<Instant> {
        self.lock().get(key).map(Batch::complete_at)
    }
}

impl Intake {
    /// Asks what a batch says once it is complete and nothing of the same person is at work: what is
    /// written meanwhile is asked together, behind it.
    pub(super) async fn complete(self, key: Key) {
        loop {
            let Some(at) = self.held.complete_at(&key) else { return };
            if at > Instant::now() {
                tokio::time::sleep_until(at).await;
                continue;
            }
            let mut changes = self.delivery.changes();
            changes.borrow_and_update();
            match self.store.is_asking(&key.conversation, key.thread.as_deref(), &key.person).await {
                Ok(false) => break,
                Ok(true) => {
                    let _ = tokio::time::timeout(LOOK, changes.changed()).await;
                }
                Err(error) => {
                    tracing::error!(%error, "cannot tell whether somebody's run is at work; looking again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        let batch = self.held.take(&key);
        self.put(batch).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::stages::Marks, store::Inbound};

    fn message(id: i64, conversation: &str, thread: Option<&str>, person: &str) -> (Key, Waiting) {
        let chat = Chat { thread: thread.map(str::to_owned), ..Chat::default() };
        let message = NewInbound {
            platform: "p".into(),
            event: id.to_string(),
            space: crate::domain::ids::SpaceId::try_from("main".to_owned()).unwrap(),
            conversation: conversation.into(),
            author: person.into(),
            author_name: None,
            text: id.to_string(),
            attachments: Vec::new(),
            received_at: 1,
            chat: Some(chat.clone()),
        };
        (Key::of(&message, &chat), (Inbound { id, message, occasion: None, consented: None }, Marks::default()))
    }

    /// Weakness W14: people, conversations and threads are kept apart.
    #[test]
    fn batches_are_kept_apart() {
        let held = Held::default();
        let second = Duration::from_secs(1);
        for (id, conversation, thread, person) in [
            (1, "p:dm", None, "p:ada"),
            (2, "p:group", None, "p:ada"),
            (3, "p:group", Some("t"), "p:ada"),
            (4, "p:group", None, "p:bob"),
        ] {
            let (key, waiting) = message(id, conversation, thread, person);
            assert!(matches!(held.push(&key, waiting, second), Pushed::First), "{id}");
        }
        let (key, waiting) = message(5, "p:dm", None, "p:ada");
        assert!(matches!(held.push(&key, waiting, second), Pushed::Joined));
        assert_eq!(held.take(&key).iter().map(|(inbound, _)| inbound.id).collect::<Vec<_>>(), [1, 5]);
        assert!(held.take(&key).is_empty(), "pipeline.md #35: what is not there does no harm");
    }

    /// A stop ends what waits in the whole space, and in no other.
    #[test]
    fn a_space_is_emptied() {
        let held = Held::default();
        for (id, conversation) in [(1, "p:dm"), (2, "p:group"), (3, "p:elsewhere")] {
            let (key, (mut inbound, marks)) = message(id, conversation, None, "p:ada");
            if id == 3 {
                inbound.message.space = SpaceId::try_from("other".to_owned()).unwrap();
            }
            held.push(&key, (inbound, marks), Duration::from_secs(1));
        }
        let main = SpaceId::try_from("main".to_owned()).unwrap();
        let mut ids: Vec<_> = held.take_of(&main).iter().map(|batch| batch[0].0.id).collect();
        ids.sort_unstable();
        assert_eq!((ids, held.lock().len()), (vec![1, 2], 1));
    }

    #[test]
    fn a_batch_is_bounded() {
        let held = Held::default();
        let mut full = Vec::new();
        for id in 0..batch::MOST as i64 {
            let (key, waiting) = message(id, "p:dm", None, "p:ada");
            if let Pushed::Full(messages) = held.push(&key, waiting, Duration::from_secs(1)) {
                full = messages;
            }
        }
        assert_eq!(full.len(), batch::MOST);
        assert!(held.lock().is_empty());
    }
}

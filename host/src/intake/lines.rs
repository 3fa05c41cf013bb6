//! Messages that wait for those before them in the same conversation.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::Waiting;
use crate::domain::ids::SpaceId;

/// One line for each conversation that somebody works on.
#[derive(Clone, Default)]
pub struct Lines {
    lines: Arc<Mutex<HashMap<String, Line>>>,
    /// Notified when a message is done with.
    moved: Arc<Notify>,
}

#[derive(Default)]
struct Line {
    at_work: Option<(i64, SpaceId)>,
    waiting: VecDeque<Waiting>,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message at the end. `true` where nobody works on the conversation yet: then the caller does.
    pub(super) fn push(&self, conversation: &str, message: Waiting) -> bool {
        let mut lines = self.lock();
        let begins = !lines.contains_key(conversation);
        lines.entry(conversation.to_owned()).or_default().waiting.push_back(message);
        begins
    }

    /// The next message, once the one before is done with; none ends the work on the conversation.
    pub(super) fn next(&self, conversation: &str) -> Option<Waiting> {
        let mut lines = self.lock();
        let line = lines.get_mut(conversation)?;
        let next = line.waiting.pop_front();
        line.at_work = next.as_ref().map(|(inbound, _)| (inbound.id, inbound.message.space.clone()));
        if next.is_none() {
            lines.remove(conversation);
        }
        drop(lines);
        self.moved.notify_waiters();
        next
    }

    /// Waits until none of these messages stands in the space's lines any more. Gives up after `within`.
    pub(super) async fn passed(&self, messages: &HashSet<i64>, space: &SpaceId, within: Duration) {
        let all = async {
            loop {
                let mut moved = std::pin::pin!(self.moved.notified());
                moved.as_mut().enable();
                if messages.is_disjoint(&self.of(space)) {
                    return;
                }
                moved.await;
            }
        };
        let _ = tokio::time::timeout(within, all).await;
    }

    /// The messages of a space, with those that are at work.
    pub(super) fn of(&self, space: &SpaceId) -> HashSet<i64> {
        let lines = self.lock();
        let of_line = |line: &Line| {
            let at_work = line.at_work.iter().filter(|(_, of)| of == space).map(|(id, _)| *id);
            let waiting = line.waiting.iter().filter(|(inbound, _)| inbound.message.space == *space);
            at_work.chain(waiting.map(|(inbound, _)| inbound.id)).collect::<Vec<_>>()
        };
        lines.values().flat_map(of_line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::stages::Marks,
        store::{Inbound, NewInbound},
    };

    fn space(name: &str) -> SpaceId {
        SpaceId::try_from(name.to_owned()).unwrap()
    }

    fn message(id: i64, of: &str) -> Waiting {
        let message = NewInbound {
            platform: "p".into(),
            event: id.to_string(),
            space: space(of),
            conversation: "p:1".into(),
            author: "p:ada".into(),
            author_name: None,
            text: id.to_string(),
            attachments: Vec::new(),
            received_at: 1,
            chat: None,
        };
        (Inbound { id, message, occasion: None, consented: None }, Marks::default())
    }

    /// What stood there is waited for, with the one at work; what comes behind it and what is elsewhere is not.
    #[tokio::test]
    async fn those_before_are_waited_for() {
        let lines = Lines::default();
        let long = Duration::from_secs(600);
        for (conversation, id, of) in [("p:1", 1, "main"), ("p:1", 2, "main"), ("p:2", 3, "other")] {
            lines.push(conversation, message(id, of));
        }
        assert!(lines.next("p:1").is_some() && lines.next("p:2").is_some());
        let main = space("main");
        let before = lines.of(&main);
        assert_eq!(before, [1, 2].into());
        let mut passed = std::pin::pin!(lines.passed(&before, &main, long));
        assert!(futures_util::poll!(passed.as_mut()).is_pending());
        lines.push("p:1", message(4, "main"));
        assert_eq!(lines.next("p:1").unwrap().0.id, 2);
        assert!(futures_util::poll!(passed.as_mut()).is_pending(), "2 is at work");
        assert_eq!(lines.next("p:1").unwrap().0.id, 4);
        passed.await;
    }
}

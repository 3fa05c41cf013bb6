//! Messages that wait for those before them in the same conversation.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Waiting;

/// One line for each conversation that somebody works on.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<HashMap<String, VecDeque<Waiting>>>>);

impl Lines {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message at the end. `true` where nobody works on the conversation yet: then the caller does.
    pub(super) fn push(&self, conversation: &str, message: Waiting) -> bool {
        let mut lines = self.lock();
        let begins = !lines.contains_key(conversation);
        lines.entry(conversation.to_owned()).or_default().push_back(message);
        begins
    }

    /// The next message; none ends the work on the conversation.
    pub(super) fn next(&self, conversation: &str) -> Option<Waiting> {
        let mut lines = self.lock();
        let next = lines.get_mut(conversation)?.pop_front();
        if next.is_none() {
            lines.remove(conversation);
        }
        next
    }
}

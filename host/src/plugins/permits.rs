//! How many calls there may be at once.

use tokio::sync::Semaphore;

use super::Interface;

/// Calls of one kind at once.
pub(super) const MOST_CALLS: usize = 32;

/// Bounds the memory of all guests together, and leaves instances of the pool to those that live longer
/// than a call. What somebody waits for has places of its own: a job or a broker may wait for the network
/// as long as it likes, and two plugins that do so could take all places there are.
pub(super) struct Permits {
    guards: Semaphore,
    /// Run hooks and processors: in the way of an answer.
    answers: Semaphore,
    others: Semaphore,
}

impl Permits {
    pub(super) fn new() -> Self {
        let places = || Semaphore::new(MOST_CALLS);
        Self { guards: places(), answers: places(), others: places() }
    }

    pub(super) fn of(&self, interface: Interface) -> &Semaphore {
        match interface {
            interface if interface.is_guard() => &self.guards,
            Interface::RunHook | Interface::ResultProcessor => &self.answers,
            _ => &self.others,
        }
    }
}

//! Which sockets are open, under the names that plugins gave them. They outlive the plugin's instances.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::domain::outbound::Target;
use crate::plugins::adapter::SocketEvent;

/// Frames that wait to be sent on one socket.
pub(super) const MOST_FRAMES: usize = 256;
/// Events of one plugin that wait to be taken; then its sockets are not read any further.
const MOST_EVENTS: usize = 1_000;
/// Sockets of one plugin.
const MOST_SOCKETS: usize = 64;

/// An event, and the name of its socket.
pub(in crate::plugins) type Named = (String, SocketEvent);

/// The host's end of a socket. Its connection ends, in good order, once this is dropped.
pub(super) struct Line {
    pub(super) frames: mpsc::Sender<Message>,
    /// Where it goes, for the secrets of its frames.
    pub(super) target: Target,
    pub(super) protected: bool,
}

#[derive(Default)]
struct State {
    lines: HashMap<(String, String), Line>,
    takers: HashMap<String, mpsc::Sender<Named>>,
}

/// All sockets of all plugins.
#[derive(Default)]
pub(in crate::plugins) struct Sockets(Mutex<State>);

impl Sockets {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the events of a plugin's sockets arrive, in order; of an earlier taker no longer.
    pub(in crate::plugins) fn take_events(&self, plugin: &str) -> mpsc::Receiver<Named> {
        let (sender, receiver) = mpsc::channel(MOST_EVENTS);
        self.lock().takers.insert(plugin.to_owned(), sender);
        receiver
    }

    pub(super) fn taker(&self, plugin: &str) -> Option<mpsc::Sender<Named>> {
        self.lock().takers.get(plugin).cloned()
    }

    /// Keeps a socket in the place of an open one of that name, which ends. `false` where there are too many.
    pub(super) fn put(
        &self,
        plugin: &str,
        name: &str,
        frames: mpsc::Sender<Message>,
        (target, protected): (Target, bool),
    ) -> bool {
        let mut state = self.lock();
        let key = (plugin.to_owned(), name.to_owned());
        let others = state.lines.keys().filter(|known| known.0 == plugin && **known != key).count();
        if others >= MOST_SOCKETS {
            return false;
        }
        state.lines.insert(key, Line { frames, target, protected });
        true
    }

    pub(super) fn with<T>(&self, plugin: &str, name: &str, look: impl FnOnce(&Line) -> T) -> Option<T> {
        self.lock().lines.get(&(plugin.to_owned(), name.to_owned())).map(look)
    }

    /// Ends a socket; the peer is told.
    pub(super) fn close(&self, plugin: &str, name: &str) {
        self.lock().lines.remove(&(plugin.to_owned(), name.to_owned()));
    }

    /// Ends all sockets of a plugin.
    pub(in crate::plugins) fn close_all(&self, plugin: &str) {
        self.lock().lines.retain(|known, _| known.0 != plugin);
    }
}

//! What capabilities use of the rest of the host. One for all plugins.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use super::capabilities::{inbox::Inbox, messenger::Messenger};
use crate::{media::MediaStore, store::Store};

pub struct Services {
    pub store: Store,
    /// Without it plugins have no files.
    pub media: Option<MediaStore>,
    /// Takes what adapters bring. Built above the plugins; until then adapters are told to wait.
    pub inbox: OnceLock<Arc<dyn Inbox>>,
    /// Takes what plugins say by themselves.
    pub messenger: OnceLock<Arc<dyn Messenger>>,
    /// Changes when a timer is set.
    pub timers: watch::Sender<()>,
}

impl Services {
    pub fn new(store: Store) -> Self {
        Self { store, media: None, inbox: OnceLock::new(), messenger: OnceLock::new(), timers: watch::Sender::new(()) }
    }

    #[must_use]
    pub fn with_media(mut self, media: MediaStore) -> Self {
        self.media = Some(media);
        self
    }
}

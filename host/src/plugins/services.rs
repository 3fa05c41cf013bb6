//! What capabilities use of the rest of the host. One for all plugins.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use secrecy::SecretString;
use tokio::sync::watch;

use super::capabilities::{folders::Spaces, inbox::Inbox, messenger::Messenger};
use crate::{
    media::MediaStore,
    resolve::{Resolve, SystemResolver},
    store::Store,
};

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
    /// Variables that manifests may bind as secrets.
    pub secrets: BTreeMap<String, SecretString>,
    /// The host's own configuration by dotted key, for settings that name one.
    pub dotted: BTreeMap<&'static str, String>,
    pub resolver: Arc<dyn Resolve>,
    /// Without it plugins have no folders.
    pub spaces: Option<Spaces>,
    /// Where sockets are served: that of whoever makes this.
    pub(super) runtime: Option<tokio::runtime::Handle>,
}

impl Services {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            media: None,
            inbox: OnceLock::new(),
            messenger: OnceLock::new(),
            timers: watch::Sender::new(()),
            secrets: BTreeMap::new(),
            dotted: BTreeMap::new(),
            resolver: Arc::new(SystemResolver),
            spaces: None,
            runtime: tokio::runtime::Handle::try_current().ok(),
        }
    }

    #[must_use]
    pub fn with_media(mut self, media: MediaStore) -> Self {
        self.media = Some(media);
        self
    }

    #[must_use]
    pub fn with_secrets(mut self, secrets: BTreeMap<String, SecretString>) -> Self {
        self.secrets = secrets;
        self
    }

    #[must_use]
    pub fn with_configuration(mut self, dotted: BTreeMap<&'static str, String>) -> Self {
        self.dotted = dotted;
        self
    }

    #[must_use]
    pub fn with_spaces(mut self, spaces: Spaces) -> Self {
        self.spaces = Some(spaces);
        self
    }

    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }
}

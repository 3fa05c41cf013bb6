//! What capabilities use of the rest of the host. One for all plugins.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, PoisonError, RwLock, Weak},
};

use secrecy::SecretString;

use super::{capabilities::folders::Spaces, registry::Registry, settings::Values};
use crate::{
    media::MediaStore,
    resolve::{Resolve, SystemResolver},
    store::{NewTask, Store, StoreError, TaskStart},
};

pub struct Services {
    pub store: Store,
    /// Without it plugins have no files.
    pub media: Option<MediaStore>,
    /// Whoever is an admin everywhere.
    pub(super) admins: Vec<String>,
    /// What was set of settings beside the configuration.
    pub(super) values: Values,
    /// Takes agent runs that components ask for; set when there is a queue.
    tasks: OnceLock<Weak<dyn TaskQueue>>,
    registry: RwLock<Arc<Registry>>,
    /// Variables that manifests may bind as secrets.
    pub secrets: BTreeMap<String, SecretString>,
    pub resolver: Arc<dyn Resolve>,
    /// Without it plugins have no folders.
    pub spaces: Option<Spaces>,
    /// Where sockets are served: that of whoever makes this.
    pub(super) runtime: Option<tokio::runtime::Handle>,
}

/// The room that runs agents, as far as components may use it.
pub trait TaskQueue: Send + Sync {
    /// Durable when it returns.
    fn start(&self, task: NewTask) -> futures_util::future::BoxFuture<'_, Result<TaskStart, StoreError>>;
}

impl Services {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            media: None,
            admins: Vec::new(),
            values: Values::default(),
            tasks: OnceLock::new(),
            registry: RwLock::default(),
            secrets: BTreeMap::new(),
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
    pub fn with_admins(mut self, admins: Vec<String>) -> Self {
        self.admins = admins;
        self
    }

    /// Only the first one counts.
    pub fn take_tasks_to(&self, queue: Weak<dyn TaskQueue>) {
        let _ = self.tasks.set(queue);
    }

    pub(super) fn tasks(&self) -> Option<Arc<dyn TaskQueue>> {
        self.tasks.get()?.upgrade()
    }

    /// What the plugins that are loaded at present bring.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_registry(&self, registry: Registry) {
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(registry);
    }

    #[must_use]
    pub fn with_secrets(mut self, secrets: BTreeMap<String, SecretString>) -> Self {
        self.secrets = secrets;
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

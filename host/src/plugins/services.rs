//! What capabilities use of the rest of the host. One for all plugins.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use super::{registry::Registry, settings::Values};
use crate::{
    media::MediaStore,
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
}

//! What capabilities use of the rest of the host. One for all plugins.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, PoisonError, RwLock, Weak},
};

use secrecy::SecretString;
use tokio::sync::watch;

use mercury_bindings::mercury::plugin::types::Caller;

use super::{
    capabilities::{folders::Spaces, identities::Identities, inbox::Inbox, messenger::Messenger, sockets::Sockets},
    packages::Trust,
    registry::Registry,
    replay::Recorders,
    settings::Values,
};
use crate::{
    domain::{
        admins::Admins,
        ids::SpaceId,
        roles::{self, Held},
    },
    media::MediaStore,
    resolve::{Resolve, SystemResolver},
    store::{NewTask, Store, StoreError, TaskStart},
};

pub struct Services {
    pub store: Store,
    /// Whose calls are being recorded.
    pub recorders: Arc<Recorders>,
    /// What may be loaded.
    pub(super) trust: Trust,
    /// Without it plugins have no files.
    pub media: Option<MediaStore>,
    /// Whoever is an admin everywhere.
    pub(super) admins: Admins,
    /// What was set of settings beside the configuration.
    pub(super) values: Values,
    /// Takes what adapters bring. Built above the plugins; until then adapters are told to wait.
    pub inbox: OnceLock<Arc<dyn Inbox>>,
    /// Takes what adapters know of ids; set with the inbox.
    pub identities: OnceLock<Arc<dyn Identities>>,
    /// Takes what plugins say by themselves.
    pub messenger: OnceLock<Arc<dyn Messenger>>,
    /// Changes when a timer is set.
    pub timers: watch::Sender<()>,
    /// Open websockets, by plugin and name.
    pub(super) sockets: Sockets,
    /// Variables that manifests may bind as secrets.
    pub secrets: BTreeMap<String, SecretString>,
    /// The host's own configuration by dotted key, for settings that name one.
    pub dotted: BTreeMap<&'static str, String>,
    pub resolver: Arc<dyn Resolve>,
    /// Without it plugins have no folders.
    pub spaces: Option<Spaces>,
    /// Where sockets are served: that of whoever makes this.
    pub(super) runtime: Option<tokio::runtime::Handle>,
    /// Takes agent runs that components ask for; set when there is a queue.
    tasks: OnceLock<Weak<dyn TaskQueue>>,
    /// What the active profile lets members do.
    members: Option<Vec<String>>,
    registry: RwLock<Arc<Registry>>,
}

/// The room that runs agents, as far as components may use it.
pub trait TaskQueue: Send + Sync {
    /// Durable when it returns.
    fn start(&self, task: NewTask) -> futures_util::future::BoxFuture<'_, Result<TaskStart, StoreError>>;
}

impl Services {
    /// With [`Trust::everything`], as tests and measurements need it; a host says whom it trusts.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            trust: Trust::everything(),
            media: None,
            admins: Admins::default(),
            values: Values::default(),
            inbox: OnceLock::new(),
            identities: OnceLock::new(),
            messenger: OnceLock::new(),
            timers: watch::Sender::new(()),
            sockets: Sockets::default(),
            secrets: BTreeMap::new(),
            dotted: BTreeMap::new(),
            resolver: Arc::new(SystemResolver),
            spaces: None,
            runtime: tokio::runtime::Handle::try_current().ok(),
            tasks: OnceLock::new(),
            members: None,
            registry: RwLock::default(),
            recorders: Arc::default(),
        }
    }

    #[must_use]
    pub fn with_media(self, media: MediaStore) -> Self {
        Self { media: Some(media), ..self }
    }

    #[must_use]
    pub fn with_trust(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }

    #[must_use]
    pub fn with_admins(self, admins: Admins) -> Self {
        Self { admins, ..self }
    }

    #[must_use]
    pub fn with_configuration(self, dotted: BTreeMap<&'static str, String>) -> Self {
        Self { dotted, ..self }
    }

    #[must_use]
    pub fn with_secrets(self, secrets: BTreeMap<String, SecretString>) -> Self {
        Self { secrets, ..self }
    }

    #[must_use]
    pub fn with_members(self, members: Option<Vec<String>>) -> Self {
        let services = Self { members, ..self };
        services.set_registry(Registry::default());
        services
    }

    #[must_use]
    pub fn with_spaces(self, spaces: Spaces) -> Self {
        Self { spaces: Some(spaces), ..self }
    }

    #[must_use]
    pub fn with_resolver(self, resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, ..self }
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

    /// The role of somebody in the space. A plugin's own runs have their person's name for one.
    pub(super) async fn role_of(&self, space: &SpaceId, person: &str) -> Result<String, StoreError> {
        if person.starts_with(roles::PLUGIN_PREFIX) {
            return Ok(person.to_owned());
        }
        match self.admins.names(&self.store.identity(person).await?) {
            true => Ok(roles::ADMIN_ROLE.to_owned()),
            false => self.store.role_of(space, person).await,
        }
    }

    /// What somebody of the role may do in the space, by what it says of the role, or by the defaults.
    pub async fn held(&self, space: &SpaceId, role: &str) -> Result<Held, StoreError> {
        let stated = self.store.stated_permissions(space, role).await?;
        Ok(self.registry().roles.held_in(role, stated.as_ref()))
    }

    /// The same of a caller, who holds nothing where that cannot be found out.
    pub(super) async fn held_by(&self, caller: &Caller) -> Held {
        let held = match SpaceId::try_from(caller.space.clone()) {
            Ok(space) => self.held(&space, &caller.role).await,
            Err(_) => return Held::nothing(&caller.role),
        };
        held.unwrap_or_else(|error| {
            tracing::error!(space = caller.space, role = caller.role, %error, "what a role may do cannot be read; it is taken for nothing");
            Held::nothing(&caller.role)
        })
    }

    pub(super) fn set_registry(&self, registry: Registry) {
        let registry = registry.with_members(self.members.clone());
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(registry);
    }
}

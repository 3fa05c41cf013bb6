//! What a caller may do in the space that it is in: each route with the permission that it needs.
//!
//! Who calls, in which role and space, was found out before: on a run's socket by the socket, on TCP by
//! the operator's secret and the operator's word. Nothing in here believes a request about it, and nothing
//! of the operator's is in here, so no agent reaches it by mistake.

mod character;
mod control;
mod conversations;
mod media;
mod messages;
mod mutes;
mod permissions;
mod preferences;
mod roles;
mod sending;
mod settings;
mod spaces;
mod storage;
mod tasks;
mod tts;

use std::sync::Arc;

use axum::{
    Router,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    routing::{delete, get, post, put},
};
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

pub use conversations::{Filter, view as conversation_view};
pub use settings::{
    NewSetting, change as change_setting, extension_view, offered as offered_settings, refusal as setting_refusal,
};
pub use spaces::{
    NewName, all as all_spaces, check_name as check_space_name, give_name as name_space, remove as remove_space,
};
pub use tasks::{NewTask, place as task_place, plan as plan_task};

use crate::{
    config::Config,
    delivery::Delivery,
    domain::{
        admins::Admins,
        ids::SpaceId,
        page::Page,
        roles::{ADMIN_ROLE, Held, SYSTEM_ROLE},
        task::{self, Place},
    },
    http::{ApiError, most_body},
    plugins::{Answer, Plugins, types},
    removal::Removals,
    retention::Storage,
    store::{Store, StoreError},
};

/// Bytes of a request's body: none needs more, and an agent may send many at once.
const MOST_BODY: usize = 64 << 10;

/// Whoever calls, in the extensions of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub id: String,
    pub role: String,
    pub space: SpaceId,
    /// Where an agent asks for the caller: plugins may guard that.
    pub agent: Option<Agent>,
}

/// What guards are told of an agent's request, beside its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    pub conversation: Option<String>,
    /// Where its run takes place.
    place: Place,
    method: String,
    path: String,
}

impl Agent {
    /// Of a run that takes place in `place`, and answers to `conversation`, if to any.
    pub fn of(conversation: Option<String>, place: Place) -> Self {
        Self { conversation, place, method: String::new(), path: String::new() }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut caller = parts.extensions.get::<Self>().cloned().ok_or_else(Self::missing)?;
        if let Some(agent) = &mut caller.agent {
            (agent.method, agent.path) = (parts.method.to_string(), parts.uri.path().to_owned());
        }
        Ok(caller)
    }
}

impl Caller {
    /// Where the agent answers to, if one asks.
    fn conversation(&self) -> Option<&str> {
        self.agent.as_ref()?.conversation.as_deref()
    }

    pub fn missing() -> ApiError {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "missing_caller",
            "Missing X-Mercury-Caller or X-Mercury-Space headers",
            "Send both: for whom, and in which space",
        )
    }
}

/// Whether the configuration names this person, under any of the ids that count for them.
pub async fn is_named(admins: &Admins, store: &Store, person: &str) -> Result<bool, StoreError> {
    // Most are found, or cannot be, without a look at the database.
    if admins.contains(person) {
        return Ok(true);
    }
    Ok(!admins.is_empty() && admins.names(&store.identity(person).await?))
}

/// The role of somebody who writes or calls in a space: who is configured as an admin is one everywhere.
pub async fn role_of(config: &Config, store: &Store, space: &SpaceId, person: &str) -> Result<String, StoreError> {
    match is_named(&config.admins, store, person).await? {
        true => Ok(ADMIN_ROLE.to_owned()),
        false => store.role_of(space, person).await,
    }
}

/// The role in which somebody's task runs: what its maker is now. The host's own tasks are made by the operator.
pub async fn role_of_task(config: &Config, store: &Store, space: &SpaceId, maker: &str) -> Result<String, StoreError> {
    let role = role_of(config, store, space, maker).await?;
    Ok(task::role(maker, &role).to_owned())
}

/// What a stop found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// A run was at work, and ends now.
    pub stopped: bool,
    /// Messages that waited behind it.
    pub dropped: usize,
}

/// Whoever ends what a space is doing.
pub trait Stops: Send + Sync {
    fn stop<'a>(&'a self, space: &'a SpaceId) -> BoxFuture<'a, Result<Stopped, StoreError>>;
}

/// The state of these routes.
#[derive(Clone)]
pub struct Callers {
    pub(crate) store: Store,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) config: Arc<Config>,
    pub(crate) delivery: Delivery,
    pub(crate) removals: Removals,
    pub(crate) storage: Arc<Storage>,
    pub(crate) stops: Arc<dyn Stops>,
    /// Notified when tasks are to be looked at.
    pub(crate) tasks_changed: Arc<Notify>,
}

impl Callers {
    /// Everything that the caller may do here.
    async fn held(&self, caller: &Caller) -> Result<Held, StoreError> {
        self.plugins.held(&caller.space, &caller.role).await
    }

    /// Everything that the caller may do, where that includes `permission`; of an agent's requests the
    /// guards are asked, too.
    ///
    /// # Errors
    /// 403, which names the permission and nothing of what was asked for.
    async fn require(&self, caller: &Caller, permission: &str) -> Result<Held, ApiError> {
        let held = self.held(caller).await?;
        if !held.may(permission) {
            tracing::warn!(space = %caller.space, role = caller.role, permission, "a caller was denied a permission");
            return Err(ApiError::forbidden(permission));
        }
        self.pass_guards(caller, permission).await?;
        Ok(held)
    }

    /// The same for what belongs to no single space; `what` is the name under which guards are asked.
    ///
    /// # Errors
    /// 403 for everybody whom the configuration does not name, an admin of the space among them.
    async fn require_global_admin(&self, caller: &Caller, what: &str) -> Result<(), ApiError> {
        if !self.is_global_admin(caller).await? {
            tracing::warn!(space = %caller.space, role = caller.role, what, "a caller is no admin of all");
            let next = "Ask the operator, or somebody whom permissions.admins names";
            let error = "Forbidden: requires global admin";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "not_global_admin", error, next));
        }
        self.pass_guards(caller, what).await
    }

    /// Of an agent's request the guards of plugins are asked.
    async fn pass_guards(&self, caller: &Caller, permission: &str) -> Result<(), ApiError> {
        let Some(agent) = &caller.agent else { return Ok(()) };
        let asking = types::Caller {
            person: caller.id.clone(),
            role: caller.role.clone(),
            space: caller.space.to_string(),
            conversation: agent.conversation.clone(),
        };
        match self.plugins.check_api(&asking, permission, &agent.method, &agent.path).await {
            Answer::Deny(reason) => Err(ApiError::new(StatusCode::FORBIDDEN, "denied_by_guard", reason, "")),
            _ => Ok(()),
        }
    }

    /// Whether the caller may see and change what belongs to no single space: who is named in the
    /// configuration. An admin of a space is not, and neither is an agent that calls itself so.
    async fn is_global_admin(&self, caller: &Caller) -> Result<bool, StoreError> {
        Ok(caller.role != SYSTEM_ROLE && is_named(&self.config.global_admins(), &self.store, &caller.id).await?)
    }
}

/// The routes, without those that the operator's own listener answers in two ways: `/api/config`,
/// `/api/tasks` and the list of conversations.
pub fn routes(callers: Callers) -> Router {
    Router::new()
        .route("/api/whoami", get(control::whoami))
        .route("/api/stop", post(control::stop))
        .route("/api/compact", post(control::compact))
        .route("/api/clear", post(control::clear))
        .route("/api/prefs", get(preferences::list).put(preferences::set))
        .route("/api/prefs/{key}", get(preferences::get).delete(preferences::remove))
        .route("/api/roles", get(roles::list).post(roles::grant))
        .route("/api/roles/{person}", delete(roles::revoke))
        .route("/api/mutes", get(mutes::list).post(mutes::set))
        .route("/api/mutes/{person}", delete(mutes::unset))
        .route("/api/permissions", get(permissions::show).put(permissions::set).delete(permissions::reset))
        .route("/api/spaces", get(spaces::list))
        .route("/api/spaces/current", get(spaces::current).delete(spaces::remove_own))
        .route("/api/spaces/current/name", put(spaces::rename))
        .route("/api/messages/search", get(messages::search))
        .route("/api/tasks/{id}", delete(tasks::remove))
        .route("/api/tasks/{id}/pause", post(tasks::pause))
        .route("/api/tasks/{id}/resume", post(tasks::resume))
        .route("/api/tasks/{id}/run", post(tasks::run))
        .route("/api/media", get(media::list))
        .route("/api/media/purge", post(media::purge))
        .route("/api/storage", get(storage::show))
        .route("/api/tts/synthesize", post(tts::synthesize))
        .route("/api/broadcast", post(sending::broadcast))
        .route("/api/send", post(sending::send))
        .route("/api/character", get(character::show).put(character::set).delete(character::clear))
        .route("/api/ext", get(settings::extensions))
        .route("/api/connections", get(settings::connections))
        .route("/api/conversations/{id}/link", post(conversations::link))
        .route("/api/conversations/{id}/unlink", post(conversations::unlink))
        .layer(most_body(MOST_BODY))
        .with_state(callers)
}

/// Those that [`routes`] leaves out.
pub fn shared_routes(callers: Callers) -> Router {
    Router::new()
        .route("/api/config", get(settings::list).put(settings::set))
        .route("/api/conversations", get(conversations::list))
        .route("/api/tasks", get(tasks::list).post(tasks::create))
        .layer(most_body(MOST_BODY))
        .with_state(callers)
}

/// Where the operator's listener decides by itself whom it answers.
pub mod answers {
    pub use super::{
        conversations::list as conversations,
        settings::{list as settings, set as set_setting},
        tasks::{create as create_task, list as tasks},
    };
}

/// `?limit=…&after=…`
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct PageQuery {
    limit: Option<String>,
    after: Option<String>,
}

impl PageQuery {
    pub fn page(&self) -> Result<Page, ApiError> {
        Page::read(self.limit.as_deref(), self.after.as_deref())
            .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_page", error.to_string(), ""))
    }
}

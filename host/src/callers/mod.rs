//! What a caller may do in the space that it is in: each route with the permission that it needs.
//!
//! Who calls, in which role and space, was found out before: on a run's socket by the socket, on TCP by
//! the operator's secret and the operator's word. Nothing in here believes a request about it, and nothing
//! of the operator's is in here, so no agent reaches it by mistake.

mod control;
mod conversations;
mod messages;
mod mutes;
mod permissions;
mod preferences;
mod roles;
mod settings;
mod spaces;
mod tasks;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts},
    http::{StatusCode, request::Parts},
    routing::{delete, get, post, put},
};
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

pub use conversations::{Filter, view as conversation_view};
pub use settings::{NewSetting, refusal as setting_refusal};
pub use spaces::{check_name as check_space_name, remove as remove_space};
pub use tasks::{NewTask, place as task_place, plan as plan_task};

use crate::{
    config::Config,
    domain::{
        ids::SpaceId,
        page::Page,
        roles::{ADMIN_ROLE, SYSTEM_ROLE},
        task::{self, Place},
    },
    http::ApiError,
    plugins::{Answer, Plugins, types},
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
    pub fn missing() -> ApiError {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "missing_caller",
            "Missing X-Mercury-Caller or X-Mercury-Space headers",
            "Send both: for whom, and in which space",
        )
    }
}

/// The role of somebody who writes or calls in a space: who is configured as an admin is one everywhere.
pub async fn role_of(config: &Config, store: &Store, space: &SpaceId, person: &str) -> Result<String, StoreError> {
    match config.admins.contains(person) {
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

/// What a role may do in a space.
pub async fn held(plugins: &Plugins, store: &Store, space: &SpaceId, role: &str) -> Result<Vec<String>, StoreError> {
    let stated = store.stated_permissions(space, role).await?;
    Ok(plugins.registry().roles.held(role, stated.as_deref()))
}

/// Whether a role may do something in a space.
pub async fn may(
    plugins: &Plugins,
    store: &Store,
    space: &SpaceId,
    role: &str,
    permission: &str,
) -> Result<bool, StoreError> {
    Ok(held(plugins, store, space, role).await?.iter().any(|held| held == permission))
}

/// The state of these routes.
#[derive(Clone)]
pub struct Callers {
    store: Store,
    plugins: Arc<Plugins>,
    config: Arc<Config>,
    stops: Arc<dyn Stops>,
    /// Notified when tasks are to be looked at.
    tasks_changed: Arc<Notify>,
}

impl Callers {
    pub fn new(
        store: Store,
        plugins: Arc<Plugins>,
        config: Arc<Config>,
        stops: Arc<dyn Stops>,
        tasks_changed: Arc<Notify>,
    ) -> Self {
        Self { store, plugins, config, stops, tasks_changed }
    }

    /// Everything that the caller may do here.
    async fn held(&self, caller: &Caller) -> Result<Vec<String>, StoreError> {
        held(&self.plugins, &self.store, &caller.space, &caller.role).await
    }

    /// Everything that the caller may do, where that includes `permission`; of an agent's requests the
    /// guards are asked, too.
    ///
    /// # Errors
    /// 403, which names the permission and nothing of what was asked for.
    async fn require(&self, caller: &Caller, permission: &str) -> Result<Vec<String>, ApiError> {
        let held = self.held(caller).await?;
        if !held.iter().any(|name| name == permission) {
            tracing::warn!(space = %caller.space, role = caller.role, permission, "a caller was denied a permission");
            return Err(ApiError::forbidden(permission));
        }
        let Some(agent) = &caller.agent else { return Ok(held) };
        let asking = types::Caller {
            person: caller.id.clone(),
            role: caller.role.clone(),
            space: caller.space.to_string(),
            conversation: agent.conversation.clone(),
        };
        match self.plugins.check_api(&asking, permission, &agent.method, &agent.path).await {
            Answer::Deny(reason) => Err(ApiError::new(StatusCode::FORBIDDEN, "denied_by_guard", reason, "")),
            _ => Ok(held),
        }
    }

    /// Whether the caller may see and change what belongs to no single space: who is named in the
    /// configuration. An admin of a space is not, and neither is an agent that calls itself so.
    fn is_global_admin(&self, caller: &Caller) -> bool {
        let named = self.config.global_admins();
        caller.role != SYSTEM_ROLE && named.contains(&caller.id)
    }
}

/// The routes, without those that the operator's own listener answers in two ways: `/api/config`,
/// `/api/tasks` and the list of conversations.
pub fn routes(callers: Callers) -> Router {
    Router::new()
        .route("/api/whoami", get(control::whoami))
        .route("/api/stop", post(control::stop))
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
        .route("/api/ext", get(settings::extensions))
        .route("/api/conversations/{id}/link", post(conversations::link))
        .route("/api/conversations/{id}/unlink", post(conversations::unlink))
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .with_state(callers)
}

/// Those that [`routes`] leaves out.
pub fn shared_routes(callers: Callers) -> Router {
    Router::new()
        .route("/api/config", get(settings::list).put(settings::set))
        .route("/api/conversations", get(conversations::list))
        .route("/api/tasks", get(tasks::list).post(tasks::create))
        .layer(DefaultBodyLimit::max(MOST_BODY))
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

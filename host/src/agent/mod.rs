//! What an agent may ask of the host, on its run's socket.
//!
//! The socket says who calls. No request carries an identity, and none would be believed.

mod capability;
mod tool_calls;

use std::sync::Arc;

use axum::{
    Extension, Router, middleware,
    routing::{get, post},
};
use tokio::sync::Semaphore;

use mercury_protocol::socket::{CAPABILITIES, TOOL_CALLS};

use crate::{
    approvals::Approvals,
    callers::{self, Agent, Caller as Person, Callers},
    domain::{
        confinement::Confinement,
        ids::{RunId, SpaceId},
        task::Place,
    },
    gateway::Access,
    http::{ApiError, most_body},
    media::Folder,
    plugins::{Plugins, types::Caller},
};

/// Arguments of a tool call may be a whole file that the agent writes: 8 MiB.
const MOST_BODY: usize = 8 << 20;

/// Who is at the other end of a run's socket.
#[derive(Clone, Debug)]
pub struct Identity {
    pub run: RunId,
    pub caller: String,
    pub role: String,
    pub space: SpaceId,
    /// `None`: a task that answers to nobody.
    pub conversation: Option<String>,
    /// Where tasks that it makes answer to.
    pub place: Place,
    /// What its run is denied.
    pub confinement: Confinement,
}

impl Identity {
    pub fn for_plugins(&self) -> Caller {
        Caller {
            person: self.caller.clone(),
            role: self.role.clone(),
            space: self.space.to_string(),
            conversation: self.conversation.clone(),
        }
    }
}

#[derive(Clone)]
struct Context {
    identity: Arc<Identity>,
    approvals: Arc<Approvals>,
    plugins: Arc<Plugins>,
    /// Takes files of plugins' answers.
    outbox: Folder,
    tool_calls: Arc<Semaphore>,
    looks: Arc<Semaphore>,
    capabilities: Arc<Semaphore>,
}

/// The routes of one run's socket, with the model gateway under `/model`.
pub fn router(
    identity: Identity,
    approvals: Arc<Approvals>,
    plugins: Arc<Plugins>,
    outbox: Folder,
    models: &Access,
    callers: Callers,
) -> Router {
    let person = Person {
        id: identity.caller.clone(),
        role: identity.role.clone(),
        space: identity.space.clone(),
        agent: Some(Agent::of(identity.conversation.clone(), identity.place.clone())),
    };
    let asked = callers::routes(callers.clone()).merge(callers::shared_routes(callers)).layer(Extension(person));
    let context = Context {
        identity: Arc::new(identity),
        approvals,
        plugins,
        outbox,
        capabilities: Arc::new(Semaphore::new(capability::MOST_CALLS)),
        tool_calls: Arc::new(Semaphore::new(tool_calls::MOST_TOOL_CALLS)),
        looks: Arc::new(Semaphore::new(tool_calls::MOST_LOOKS)),
    };
    let invoke = post(capability::invoke)
        .layer(most_body(capability::MOST_ARGUMENTS))
        .layer(middleware::from_fn_with_state(context.clone(), capability::bound));
    Router::new()
        .route(
            TOOL_CALLS,
            post(tool_calls::check).layer(middleware::from_fn_with_state(context.clone(), tool_calls::bound)),
        )
        .route(&format!("{TOOL_CALLS}/{{question}}"), get(tool_calls::look))
        .route(CAPABILITIES, get(capability::list))
        .route(&format!("{CAPABILITIES}/{{capability}}/{{action}}"), invoke)
        .fallback(|| async { ApiError::not_found() })
        .layer(most_body(MOST_BODY))
        .with_state(context)
        .merge(asked)
        .merge(models.routes())
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
}

//! HTTP on TCP: `/chat`, webhooks, health, and the operator's routes. Before the host is ready only
//! `/health` answers.

mod access;
mod adapters;
mod addressed;
mod approvals;
mod chat;
mod config;
mod console;
mod conversations;
mod deliveries;
mod files;
mod guard;
mod health;
mod live;
mod login;
mod openapi;
mod plugins;
mod prebuild;
mod recording;
mod spaces;
mod tasks;
mod webhooks;

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Instant,
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{any, delete, get, patch, post, put},
};
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use live::Live;
pub use openapi::document;

use crate::{
    app::Rooms,
    callers,
    config::Config,
    domain::session::Guesses,
    http::{ApiError, Bodies, most_body},
    project::Project,
};

/// The largest request body, as in the replaced system: 50 MiB.
pub const MOST_BODY: usize = 50 << 20;
/// Bytes of all large bodies that are received at once: 256 MiB.
pub const MOST_BODIES: usize = 256 << 20;

#[derive(Clone)]
pub struct Api {
    pub config: Arc<Config>,
    /// Set when the host is ready; until then it is warming up.
    pub rooms: Arc<OnceLock<Rooms>>,
    pub metrics: PrometheusHandle,
    pub began: Instant,
    pub bodies: Bodies,
    pub live: Live,
    /// Wrong ones, at the dashboard's login.
    pub guesses: Arc<Mutex<Guesses>>,
    /// Whose files are the configuration, where the host may change them.
    pub project: Option<Arc<Project>>,
    /// Cancelled when the host stops: whoever waits is told.
    pub stopping: CancellationToken,
    /// What the operator changes at present.
    pub changes: TaskTracker,
}

impl Api {
    pub fn router(self) -> Router {
        let operator =
            self.operator_routes().route_layer(middleware::from_fn_with_state(self.clone(), access::operator));
        let console = self.console_routes().route_layer(middleware::from_fn_with_state(self.clone(), access::console));
        Router::new()
            .route("/health", get(health::health))
            .route("/chat", post(chat::chat))
            .route("/dashboard/login", get(login::by_link).post(login::login).layer(most_body(login::MOST_BODY)))
            .route("/webhooks/{platform}", any(webhooks::take))
            .route("/webhooks/{platform}/{*path}", any(webhooks::take))
            .merge(operator)
            .merge(console)
            .fallback(elsewhere)
            .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard))
            .with_state(self)
    }

    fn operator_routes(&self) -> Router<Self> {
        Router::new()
            .route("/metrics", get(health::metrics))
            .route("/approvals", get(approvals::list))
            .route("/approvals/decisions", get(approvals::decisions))
            .route("/approvals/{question}", post(approvals::answer))
            .route("/dashboard/session", get(login::session))
            .route("/dashboard/logout", post(login::logout))
            .route("/dashboard/events", get(live::events))
            .route("/api/events", get(live::events))
            .route("/api/openapi.json", get(openapi::show))
            .route("/api/runs", get(spaces::runs))
            .route("/api/spaces/{space}/stop", post(spaces::stop))
            .route("/api/plugins/{name}/purge", post(plugins::purge))
            .route("/api/plugins", get(plugins::list))
            .route("/api/plugins/reload", post(plugins::reload))
            .route("/api/plugins/jobs", get(plugins::jobs))
            .route("/api/plugins/widgets", get(plugins::widgets))
            .route("/api/plugins/{name}/log", get(plugins::log))
            .route("/api/plugins/{name}/recording", post(recording::record))
            .route("/api/adapters", get(adapters::list))
            .route("/api/adapters/{platform}/restart", post(adapters::restart))
            .route("/api/conversations", get(conversations::list))
            .route("/api/conversations/{id}", put(conversations::link))
            .route("/api/deliveries", get(deliveries::list))
            .route("/api/deliveries/{id}/retry", post(deliveries::retry))
            .route("/api/tasks", get(tasks::list).post(tasks::create))
            .route("/api/config", get(config::list).put(config::set).delete(config::unset))
    }

    fn console_routes(&self) -> Router<Self> {
        Router::new()
            .route("/pre-build-ext-image", post(prebuild::prebuild))
            .route("/api/console/spaces", get(spaces::list).post(spaces::create))
            .route("/api/console/spaces/{space}", patch(spaces::rename).delete(spaces::remove))
            .route("/api/console/spaces/{space}/messages", get(spaces::messages))
            .route("/api/console/spaces/{space}/tasks", post(tasks::create_own))
            .route("/api/console/usage", get(spaces::usage))
            .route("/api/console/storage", get(spaces::storage))
            .route("/api/console/spaces/{space}/config", get(console::space_settings).put(console::set_space_setting))
            .route("/api/console/restart", post(console::restart))
            .route("/api/console/credentials", post(console::set_credential))
            .route("/api/console/adapters", get(console::adapters))
            .route("/api/console/adapters/configure", post(console::configure_adapters))
            .route("/api/console/adapters/whatsapp/purge", post(console::purge_whatsapp))
            .route("/api/console/connections", get(console::connections))
            .route("/api/console/extensions", get(console::extensions))
            .route("/api/console/extensions/catalog", get(console::catalog))
            .route("/api/console/extensions/install", post(console::install_extension))
            .route("/api/console/extensions/{name}", delete(console::remove_extension))
    }

    fn rooms(&self) -> Result<&Rooms, ApiError> {
        self.rooms.get().ok_or_else(|| {
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "warming",
                "Starting…",
                "Ask again in a second; /health says when it is ready",
            )
            .retry_after(1)
        })
    }
}

/// What a caller may ask, whom the operator names, and nothing else. What is not there is told to the
/// operator alone.
async fn elsewhere(State(api): State<Api>, mut request: Request) -> Result<Response, ApiError> {
    if !request.uri().path().starts_with("/api/") {
        return Err(ApiError::not_found());
    }
    api.admit(&mut request).await?;
    let routes = callers::routes(api.rooms()?.runs.callers())
        .fallback(|| async { ApiError::not_found() })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() });
    Ok(hyper::service::Service::call(&TowerToHyperService::new(routes), request).await.into_response())
}

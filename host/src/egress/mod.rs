//! The way out for agents without a network of their own: a forward proxy on the run's socket.
//!
//! Owns lookups, connections and their bounds; what is allowed is decided in `domain::egress` and by
//! the guards. An address is connected to only after it was checked, and nothing is looked up in
//! between, so a name that changes its address gains nothing. Never logs a path, a query or a body.

mod connect;
mod error;
mod forward;
mod meter;
mod run;
mod tunnel;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::Method,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

pub use crate::resolve::{Resolve, SystemResolver};

use crate::{
    config::{Config, Network},
    domain::{
        egress::{Refusal, Rules},
        ids::RunId,
    },
    http::Closing,
    plugins::{Interface, Plugins, types::Caller},
};
use run::Run;

/// Bounds of the proxy. The time of a connection is bounded by its run's.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of one run, at once.
    pub connections: usize,
    /// How long a request waits for one of them to end.
    pub queue: Duration,
    pub lookup: Duration,
    /// For each address of a name; three times that for all together.
    pub connect: Duration,
    /// A connection on which nothing passes for so long is closed. The same as pi's own.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            queue: Duration::from_secs(10),
            lookup: Duration::from_secs(5),
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(300),
        }
    }
}

/// The proxy, before it knows whose requests it carries. Cheap to clone.
#[derive(Clone)]
pub struct Egress {
    shared: Arc<Shared>,
}

struct Shared {
    /// Why nothing is carried at all, if so.
    off: Option<Refusal>,
    rules: Rules,
    plugins: Arc<Plugins>,
    resolver: Arc<dyn Resolve>,
    limits: Limits,
}

impl Egress {
    pub fn new(config: &Config, plugins: Arc<Plugins>) -> Self {
        for name in &config.egress.plugins {
            let guard = plugins.loaded().iter().find(|plugin| plugin.name() == name);
            if !guard.is_some_and(|plugin| plugin.manifest().provides(Interface::EgressGuard)) {
                tracing::warn!(
                    "agent.egress_plugins names `{name}`, which is no loaded plugin that provides egress-guard"
                );
            }
        }
        let off = match &config.network {
            Network::Filtered => None,
            Network::None => Some(Refusal::Off { network: "none" }),
            Network::Bridge | Network::Named(_) => Some(Refusal::Off { network: "open" }),
        };
        Self::with(off, config.egress.clone(), plugins, Arc::new(SystemResolver), Limits::default())
    }

    fn with(
        off: Option<Refusal>,
        rules: Rules,
        plugins: Arc<Plugins>,
        resolver: Arc<dyn Resolve>,
        limits: Limits,
    ) -> Self {
        Self { shared: Arc::new(Shared { off, rules, plugins, resolver, limits }) }
    }

    /// Puts the proxy in front of the routes of one run. It takes what is meant for a proxy and
    /// nothing else: CONNECT, and requests whose target is a whole URL.
    pub fn in_front_of(&self, router: Router, run: &RunId, caller: Caller) -> Router {
        let run = Arc::new(Run::new(self.shared.clone(), run.clone(), caller));
        router.layer(middleware::from_fn_with_state(run, intercept))
    }
}

async fn intercept(State(run): State<Arc<Run>>, mut request: Request, next: Next) -> Response {
    // A whole URL is never taken for a route, whatever its host: it would slip past the list.
    let for_proxy = request.method() == Method::CONNECT || request.uri().authority().is_some();
    if !for_proxy {
        return next.run(request).await;
    }
    let closing = request.extensions_mut().remove::<Closing>().unwrap_or_default();
    run.carry(request, closing).await.unwrap_or_else(IntoResponse::into_response)
}

#[cfg(test)]
mod tests;

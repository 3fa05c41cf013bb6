//! Chat platforms: each has an adapter, a component that this room keeps at work.
//!
//! Owns the adapters' lives (start, long poll, sockets, restart, silence), what they bring in, and what
//! they carry out. Never decides what becomes of a message: that is the intake's.

mod backoff;
mod delivery;
mod inbox;
mod messenger;
mod presence;
mod questions;
mod standing;
mod supervisor;
mod timers;
mod webhook;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use standing::{Condition, Standing};
pub use webhook::{WebhookError, WebhookRequest};

use crate::{
    config::Config,
    delivery::Delivery,
    intake::Intake,
    plugins::{Plugins, Services, adapter::Adapter},
    sandbox::Sandbox,
    store::Store,
};
use standing::Watched;

/// How long the adapters may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(6);

/// One platform.
struct Line {
    adapter: Adapter,
    watched: Watched,
}

pub struct Adapters {
    store: Store,
    plugins: Arc<Plugins>,
    services: Arc<Services>,
    delivery: Delivery,
    config: Arc<Config>,
    /// By platform.
    lines: BTreeMap<String, Arc<Line>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Adapters {
    /// Takes the adapters of the loaded plugins, and becomes what they hand events to.
    pub fn new(services: Arc<Services>, intake: Intake, sandbox: Arc<Sandbox>) -> Arc<Self> {
        let mut lines = BTreeMap::new();
        for adapter in intake.plugins.adapters() {
            let platform = adapter.platform().to_owned();
            if platform == "api" || lines.contains_key(&platform) {
                tracing::error!(
                    plugin = adapter.plugin(),
                    platform,
                    "the platform has an adapter already; this one is left alone. Switch one of them off"
                );
                continue;
            }
            let watched = Watched::new();
            lines.insert(platform, Arc::new(Line { adapter, watched }));
        }
        let this = Arc::new(Self {
            store: intake.store.clone(),
            plugins: intake.plugins.clone(),
            services: services.clone(),
            delivery: intake.delivery.clone(),
            config: intake.config.clone(),
            lines,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let platforms = this.lines.keys().cloned().collect();
        let inbox = inbox::AdapterInbox::new(intake, sandbox, services.media.clone());
        let _ = services.inbox.set(Arc::new(inbox));
        let messenger = messenger::PluginMessenger::new(this.store.clone(), this.delivery.clone(), platforms);
        let _ = services.messenger.set(Arc::new(messenger));
        this
    }

    /// Starts everything. Never fails: an adapter that does not start is tried again.
    pub fn start(self: &Arc<Self>) {
        for line in self.lines.values() {
            self.spawn(self.clone().supervise(line.clone()));
            self.spawn(self.clone().show_presence(line.clone()));
        }
        for plugin in self.plugins.with_timers() {
            self.spawn(self.clone().fire_timers(plugin));
        }
        self.spawn(self.clone().deliver_all());
        self.spawn(self.clone().ask_questions());
    }

    /// Ends the adapters' work; what is not sent stays on disk.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("adapters did not stop within {} s; what they were doing is left", STOP_WITHIN.as_secs());
        }
    }

    /// How each adapter stands, by platform.
    pub fn standings(&self) -> Vec<Standing> {
        self.lines.values().map(|line| line.watched.standing(&line.adapter)).collect()
    }

    /// Starts an adapter anew, one that stands still as well. `false` where there is none.
    pub fn restart(&self, platform: &str) -> bool {
        let line = self.lines.get(platform);
        if let Some(line) = line {
            line.watched.restart.notify_one();
        }
        line.is_some()
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }
}

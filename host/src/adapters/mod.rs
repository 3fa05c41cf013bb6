//! Chat platforms: each has an adapter, a component that this room keeps at work.
//!
//! Owns the adapters' lives (start, long poll, sockets, restart, silence), what they bring in, and what
//! they carry out. Never decides what becomes of a message: that is the intake's.

mod backoff;
mod delivery;
mod identities;
mod inbox;
mod messenger;
mod presence;
mod questions;
mod standing;
mod supervisor;
mod timers;
mod webhook;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::watch;
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

/// One platform, with the adapter that it has until the plugin is exchanged.
/// Waits for a change, or until `wait` is over where something is due by itself. `false`: it is over
/// altogether.
async fn until_due(wait: Option<Duration>, changes: &mut watch::Receiver<()>, stop: &CancellationToken) -> bool {
    let due = async {
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop.cancelled() => false,
        changed = changes.changed() => changed.is_ok(),
        () = due => true,
    }
}

struct Line {
    adapter: Adapter,
    watched: Watched,
    /// Ends with the adapter: at the host's stop, or when another takes its place.
    stop: CancellationToken,
}

pub struct Adapters {
    store: Store,
    plugins: Arc<Plugins>,
    services: Arc<Services>,
    delivery: Delivery,
    config: Arc<Config>,
    /// By platform. Never held while something is awaited: who needs one takes a copy.
    lines: RwLock<BTreeMap<String, Arc<Line>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Adapters {
    /// Takes the adapters of the loaded plugins, and becomes what they hand events to.
    pub fn new(services: Arc<Services>, intake: Intake, sandbox: Arc<Sandbox>) -> Arc<Self> {
        let this = Arc::new(Self {
            store: intake.store.clone(),
            plugins: intake.plugins.clone(),
            services: services.clone(),
            delivery: intake.delivery.clone(),
            config: intake.config.clone(),
            lines: RwLock::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        this.exchange();
        let identities = identities::AdapterIdentities::new(this.store.clone());
        let inbox = inbox::AdapterInbox::new(intake, sandbox, services.media.clone(), identities.clone());
        let _ = services.inbox.set(Arc::new(inbox));
        let _ = services.identities.set(Arc::new(identities));
        let plugins = this.plugins.clone();
        let reaches = move |platform: &str| plugins.reaches(platform);
        let messenger = messenger::PluginMessenger::new(this.store.clone(), this.delivery.clone(), reaches);
        let _ = services.messenger.set(Arc::new(messenger));
        this
    }

    /// Takes the adapters that the plugins have now. Returns those that are new; those that are gone or
    /// replaced are told to stop.
    fn exchange(&self) -> Vec<Arc<Line>> {
        let mut present = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *present);
        let mut begun = Vec::new();
        for adapter in self.plugins.adapters() {
            let platform = adapter.platform().to_owned();
            if platform == "api" || present.contains_key(&platform) {
                tracing::error!(
                    plugin = adapter.plugin(),
                    platform,
                    "the platform has an adapter already; this one is left alone. Switch one of them off"
                );
                continue;
            }
            let line = match before.remove(&platform) {
                Some(line) if line.adapter.is_same_as(&adapter) => line,
                replaced => {
                    if let Some(line) = replaced {
                        line.stop.cancel();
                    }
                    let line = Arc::new(Line { adapter, watched: Watched::new(), stop: self.stop.child_token() });
                    begun.push(line.clone());
                    line
                }
            };
            present.insert(platform, line);
        }
        for line in before.into_values() {
            line.stop.cancel();
        }
        begun
    }

    /// Starts everything. Never fails: an adapter that does not start is tried again.
    pub fn start(self: &Arc<Self>) {
        for line in self.all() {
            self.begin(line);
        }
        self.spawn(self.clone().follow_plugins());
        self.spawn(self.clone().deliver_all());
        self.spawn(self.clone().ask_questions());
    }

    fn begin(self: &Arc<Self>, line: Arc<Line>) {
        self.spawn(self.clone().supervise(line.clone()));
        self.spawn(self.clone().show_presence(line));
    }

    /// Keeps the adapters and the timers those of the plugins that there are. What an old one is doing
    /// ends where it began; what arrives meanwhile goes to the new one.
    async fn follow_plugins(self: Arc<Self>) {
        let mut changes = self.plugins.changes();
        let mut timed = HashSet::new();
        loop {
            changes.borrow_and_update();
            for line in self.exchange() {
                self.begin(line);
            }
            for plugin in self.plugins.with_timers() {
                // A plugin that went and came back has its timers still.
                if timed.insert(plugin.clone()) {
                    self.spawn(self.clone().fire_timers(plugin));
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    fn all(&self) -> Vec<Arc<Line>> {
        self.lines.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn line(&self, platform: &str) -> Option<Arc<Line>> {
        self.lines.read().unwrap_or_else(PoisonError::into_inner).get(platform).cloned()
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
        self.all().iter().map(|line| line.watched.standing(&line.adapter)).collect()
    }

    /// Starts an adapter anew, one that stands still as well. `false` where there is none.
    pub fn restart(&self, platform: &str) -> bool {
        let line = self.line(platform);
        if let Some(line) = &line {
            line.watched.restart.notify_one();
        }
        line.is_some()
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }
}

//! One loaded plugin, and the nets around every call of it.
//!
//! Three nets: the epoch for the spinning guest, a timeout for the parked host call, a limiter over
//! all its memories and tables. After a trap or a timeout the store is dropped.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use wasmtime::{
    Store as WasmStore, UpdateDeadline,
    component::{Instance, InstancePre},
};

use super::{
    access::Access,
    breaker::{BREAK, Breaker, FAULTS_TO_BREAK},
    capabilities::folders,
    contract::Declaration,
    exports::{Exports, Interface},
    fault::{Fault, explain},
    lanes::{Lane, Lanes},
    manifest::Manifest,
    meter::Meter,
    packages::Origin,
    services::Services,
    state::State,
    stats::{LogLine, Seen, Stats},
};

/// Resource handles that a guest may hold at once.
const MOST_HANDLES: usize = 1_000;
/// A plugin whose last call computed no longer begins in the quick lane.
const QUICK: Duration = Duration::from_millis(2);

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{plugin}: {export} failed: {message}")]
    Trap { plugin: String, export: &'static str, fault: Fault, message: String },
    #[error("{plugin}: {export} did not answer within {} ms", within.as_millis())]
    Timeout { plugin: String, export: &'static str, within: Duration },
    #[error("{plugin}: {export} is not called for {} s after {FAULTS_TO_BREAK} faults in a row", BREAK.as_secs())]
    Broken { plugin: String, export: &'static str },
    #[error("{plugin}: {export} exports nothing that the manifest says it provides")]
    NotExported { plugin: String, export: &'static str },
}

impl CallError {
    /// What ended the call, where the guest did.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Trap { fault, .. } => Some(*fault),
            Self::Timeout { .. } | Self::Broken { .. } | Self::NotExported { .. } => None,
        }
    }
}

pub struct Plugin {
    pub(super) manifest: Arc<Manifest>,
    pub(super) declaration: Declaration,
    pub(super) origin: Origin,
    /// The same for the same manifest and the same component.
    pub(super) identity: String,
    /// Where it was loaded from, unless it is built in.
    pub(super) folder: Option<PathBuf>,
    pub(super) exports: Exports,
    pub(super) settings: Arc<BTreeMap<String, String>>,
    pub(super) pre: InstancePre<State>,
    pub(super) services: Arc<Services>,
    pub(super) access: Arc<Access>,
    pub(super) breaker: Breaker,
    /// Calls of this plugin at once, so that one plugin cannot take all that the host allows.
    pub(super) permits: Semaphore,
    pub(super) stats: Arc<Stats>,
    /// Its last call computed long.
    pub(super) heavy: AtomicBool,
}

impl Plugin {
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What its component says of itself.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    pub fn seen(&self) -> Seen {
        self.stats.seen()
    }

    /// Its last lines of log, oldest first, at most `count`.
    pub fn log_lines(&self, count: usize) -> Vec<LogLine> {
        self.stats.log_lines(count)
    }

    /// Whether it is left alone after faults.
    pub fn is_resting(&self) -> bool {
        self.breaker.is_open()
    }

    /// Guards and required processors are always asked: what makes one fail may be one person's text,
    /// and what is not called closes everything for everybody.
    fn may_rest(&self, interface: Interface) -> bool {
        !interface.is_guard() && !self.manifest.required
    }

    /// A store for one call, or for an instance that stays, with the grants of `manifest`. Whoever is
    /// called with another's grants than the plugin's own reaches nobody.
    pub(super) fn new_store(&self, interface: Interface, manifest: Arc<Manifest>) -> WasmStore<State> {
        let access = if Arc::ptr_eq(&manifest, &self.manifest) {
            self.access.clone()
        } else {
            Arc::new(Access::nothing(self.name(), &self.services))
        };
        let state =
            State::new(interface, manifest, self.settings.clone(), self.services.clone(), access, self.stats.clone());
        let meter = state.meter.clone();
        let mut store = WasmStore::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(self.manifest.limits.result_bytes());
        store.set_max_component_handles(MOST_HANDLES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if meter.tick() {
                return Ok(UpdateDeadline::Interrupt);
            }
            // A plain yield would wake itself at once and starve the runtime's timers.
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store
    }

    /// Calls one export in a fresh instance, on the guests' threads.
    pub(super) async fn call<R: Send + 'static>(
        self: &Arc<Self>,
        lanes: &Lanes,
        interface: Interface,
        patience: Duration,
        call: impl for<'a> FnOnce(&'a mut WasmStore<State>, &'a Instance, &'a Exports) -> BoxFuture<'a, wasmtime::Result<R>>
        + Send
        + 'static,
    ) -> Result<R, CallError> {
        let name = self.manifest.name.clone();
        let export = interface.name();
        if self.may_rest(interface) && self.breaker.is_open() {
            self.stats.skip();
            return Err(CallError::Broken { plugin: name, export });
        }
        let began = Instant::now();
        let plugin = self.clone();
        let mut store = self.new_store(interface, self.manifest.clone());
        let (stderr, meter) = (store.data().stderr.clone(), store.data().meter.clone());
        let task = lanes.run(self.lane(), meter.clone(), async move {
            store.data_mut().open_folders().await?;
            let instance = plugin.pre.instantiate_async(&mut store).await?;
            call(&mut store, &instance, &plugin.exports).await
        });
        // A host call that never returns is no guest code: no epoch ends it, dropping the task does.
        let outcome = match tokio::time::timeout(patience, task).await {
            Err(_) => Err(CallError::Timeout { plugin: name, export, within: patience }),
            Ok(Err(panic)) => Err(CallError::Trap {
                plugin: name,
                export,
                fault: Fault::Host,
                message: format!("the host itself failed: {panic}"),
            }),
            Ok(Ok(Err(trap))) => {
                let (fault, message) = explain(&trap, &meter, &self.manifest.limits, &stderr.contents());
                Err(CallError::Trap { plugin: name, export, fault, message })
            }
            Ok(Ok(Ok(answer))) => Ok(answer),
        };
        self.record(interface, began.elapsed(), &meter, outcome.as_ref().err());
        self.hand_over_folders().await;
        outcome
    }

    /// Gives agents what the component made in their folders, however its call ended.
    pub(super) async fn hand_over_folders(&self) {
        let Some(spaces) = self.services.spaces.clone() else { return };
        if self.manifest.folders.iter().any(|grant| grant.write) {
            let manifest = self.manifest.clone();
            let _ = tokio::task::spawn_blocking(move || folders::hand_over(&manifest.folders, &spaces)).await;
        }
    }

    /// Where its next call begins.
    pub(super) fn lane(&self) -> Lane {
        if self.heavy.load(Ordering::Relaxed) { Lane::Long } else { Lane::Quick }
    }

    pub(super) fn record(&self, interface: Interface, took: Duration, meter: &Meter, failed: Option<&CallError>) {
        self.heavy.store(meter.spent() > QUICK, Ordering::Relaxed);
        let (plugin, export) = (self.manifest.name.clone(), interface.name());
        let word = match failed {
            None => "ok",
            Some(CallError::Timeout { .. }) => "timeout",
            Some(_) => "fault",
        };
        metrics::counter!("mercury_plugin_calls_total", "plugin" => plugin.clone(), "export" => export, "outcome" => word).increment(1);
        metrics::histogram!("mercury_plugin_call_seconds", "plugin" => plugin.clone(), "export" => export)
            .record(took.as_secs_f64());
        self.stats.book(took, meter, failed);
        metrics::gauge!("mercury_plugin_cpu_seconds", "plugin" => plugin.clone())
            .increment(meter.spent().as_secs_f64());
        metrics::gauge!("mercury_plugin_memory_bytes", "plugin" => plugin.clone()).set(meter.memory() as f64);
        for (name, count) in
            [("mercury_plugin_host_calls_total", meter.host_calls()), ("mercury_plugin_denials_total", meter.denials())]
        {
            if count > 0 {
                metrics::counter!(name, "plugin" => plugin.clone()).increment(count.into());
            }
        }
        let Some(error) = failed else {
            self.breaker.close();
            return;
        };
        if let Some(fault) = error.fault() {
            metrics::counter!("mercury_plugin_faults_total", "plugin" => plugin.clone(), "fault" => fault.name())
                .increment(1);
        }
        tracing::warn!(plugin, export, %error, "a plugin's call failed");
        if self.may_rest(interface) && self.breaker.count_fault() {
            tracing::error!(
                plugin,
                "the plugin failed {FAULTS_TO_BREAK} times in a row: it is not called for {} s",
                BREAK.as_secs()
            );
        }
    }
}

//! One loaded plugin, and the nets around every call of it.
//!
//! Three nets: the epoch for the spinning guest, a timeout for the parked host call, a limiter over
//! all its memories and tables. After a trap or a timeout the store is dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use wasmtime::{
    Store as WasmStore, UpdateDeadline,
    component::{Instance, InstancePre},
};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

use super::{
    access::Access,
    breaker::{BREAK, Breaker, FAULTS_TO_BREAK},
    capabilities::folders,
    contract::{ContractError, Declaration},
    exports::{Exports, Interface},
    fault::{Fault, explain},
    lanes::{Habit, Lanes},
    manifest::Manifest,
    meter::Meter,
    pace::Pace,
    packages::Origin,
    services::Services,
    state::State,
    stats::{LogLine, Seen, Stats},
};

/// Resource handles that a guest may hold at once, beside its folders.
pub(super) const MOST_HANDLES: usize = 1_000;
/// How long a component may take to start when it is loaded.
const PROBE_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{plugin}: {export} failed: {message}")]
    Trap { plugin: String, export: &'static str, fault: Fault, message: String },
    #[error("{plugin}: {export} did not answer within {} ms", within.as_millis())]
    Timeout { plugin: String, export: &'static str, within: Duration },
    /// Nothing was called: earlier calls took all the time.
    #[error("{plugin}: {export} was not called, since earlier calls took more than {} ms", within.as_millis())]
    Busy { plugin: String, export: &'static str, within: Duration },
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
            Self::Timeout { .. } | Self::Busy { .. } | Self::Broken { .. } | Self::NotExported { .. } => None,
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
    /// As configured, over the manifest's defaults.
    pub(super) settings: Arc<BTreeMap<String, String>>,
    /// The settings that the configuration names.
    pub(super) configured: BTreeSet<String>,
    pub(super) pre: InstancePre<State>,
    pub(super) services: Arc<Services>,
    pub(super) access: Arc<Access>,
    pub(super) breaker: Breaker,
    pub(super) pace: Pace,
    /// Calls of this plugin at once, so that one plugin cannot take all that the host allows.
    pub(super) permits: Semaphore,
    pub(super) stats: Arc<Stats>,
    pub(super) habit: Habit,
}

/// What is read of a call from outside of its store, which is gone when it fails.
pub(super) struct Watched {
    meter: Arc<Meter>,
    stderr: MemoryOutputPipe,
}

impl Watched {
    pub(super) fn of(store: &WasmStore<State>) -> Self {
        Self { meter: store.data().meter.clone(), stderr: store.data().stderr.clone() }
    }
}

impl Plugin {
    /// One that is loaded for its author's tests, not by a host.
    pub(super) fn for_author(
        manifest: Arc<Manifest>,
        declaration: Declaration,
        exports: Exports,
        settings: BTreeMap<String, String>,
        pre: InstancePre<State>,
        services: Arc<Services>,
        access: Arc<Access>,
    ) -> Self {
        Self {
            permits: Semaphore::new(manifest.limits.concurrency as usize),
            manifest,
            declaration,
            origin: Origin::Folder,
            identity: String::new(),
            folder: None,
            exports,
            settings: Arc::new(settings),
            configured: BTreeSet::new(),
            pre,
            access,
            services,
            breaker: Breaker::new(),
            pace: Pace::default(),
            stats: Arc::new(Stats::new()),
            habit: Habit::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub fn built_in(&self) -> bool {
        self.origin == Origin::BuiltIn
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

    /// Guards, required processors and run hooks that are not optional are always asked: what makes one fail may be
    /// one person's text, and what is not called closes everything for everybody.
    fn may_rest(&self, interface: Interface) -> bool {
        let closes = interface == Interface::RunHook && !self.manifest.run_hook.optional;
        !interface.is_guard() && !self.manifest.required && !closes
    }

    /// A store for one call, or for an instance that stays, with the grants of `manifest`. Whoever is
    /// called with another's grants than the plugin's own reaches nobody.
    pub(super) fn new_store(&self, manifest: &Arc<Manifest>, interface: Interface) -> WasmStore<State> {
        let access = if Arc::ptr_eq(manifest, &self.manifest) {
            self.access.clone()
        } else {
            Arc::new(Access::nothing(self.name(), &self.services))
        };
        let state = State::new(
            interface,
            manifest.clone(),
            self.settings.clone(),
            self.services.clone(),
            access,
            self.stats.clone(),
        );
        let meter = state.meter.clone();
        let mut store = WasmStore::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(manifest.limits.result_bytes());
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
        let plugin = self.clone();
        let mut store = self.new_store(&self.manifest, interface);
        let watched = Watched::of(&store);
        let work = async move {
            open_folders(&mut store).await?;
            let instance = plugin.pre.instantiate_async(&mut store).await?;
            call(&mut store, &instance, &plugin.exports).await
        };
        self.watch(lanes, interface, patience, watched, work).await
    }

    /// Runs what calls into a store of this plugin, within all nets and on the guests' threads, and
    /// books it.
    pub(super) async fn watch<T: Send + 'static>(
        &self,
        lanes: &Lanes,
        interface: Interface,
        patience: Duration,
        watched: Watched,
        work: impl Future<Output = wasmtime::Result<T>> + Send + 'static,
    ) -> Result<T, CallError> {
        if self.may_rest(interface) && self.breaker.is_open() {
            self.stats.skip();
            return Err(CallError::Broken { plugin: self.manifest.name.clone(), export: interface.name() });
        }
        let began = Instant::now();
        let outcome = self.within_nets(lanes, interface.name(), patience, &watched, work).await;
        self.habit.book(outcome.is_err(), watched.meter.spent());
        self.record(interface, began.elapsed(), &watched.meter, outcome.as_ref().err());
        self.hand_over_folders().await;
        outcome
    }

    async fn within_nets<T: Send + 'static>(
        &self,
        lanes: &Lanes,
        export: &'static str,
        patience: Duration,
        watched: &Watched,
        work: impl Future<Output = wasmtime::Result<T>> + Send + 'static,
    ) -> Result<T, CallError> {
        let plugin = self.manifest.name.clone();
        let (manifest, meter, stderr) = (self.manifest.clone(), watched.meter.clone(), watched.stderr.clone());
        // In the guest's lane: what its faults cost is its own time.
        let work =
            async move { work.await.map_err(|trap| explain(&trap, &meter, &manifest.limits, &stderr.contents())) };
        // A host call that never returns is no guest code: no epoch ends it, dropping the task does.
        match tokio::time::timeout(patience, lanes.run(self.habit.lane(), watched.meter.clone(), work)).await {
            Err(_) => Err(CallError::Timeout { plugin, export, within: patience }),
            Ok(Err(panic)) => {
                let message = format!("the host itself failed: {panic}");
                Err(CallError::Trap { plugin, export, fault: Fault::Host, message })
            }
            Ok(Ok(Err((fault, message)))) => Err(CallError::Trap { plugin, export, fault, message }),
            Ok(Ok(Ok(answer))) => Ok(answer),
        }
    }

    /// Makes one instance and looks at the types of what it exports, which no earlier step can. It runs
    /// what a component does when it starts, and calls nothing of it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) async fn probe(self: &Arc<Self>, lanes: &Lanes) -> Result<(), String> {
        let Some(&interface) = self.manifest.provides.first() else { return Ok(()) };
        let plugin = self.clone();
        let mut store = self.new_store(&self.manifest, interface);
        let watched = Watched::of(&store);
        let work = async move {
            let instance = plugin.pre.instantiate_async(&mut store).await?;
            Ok(plugin.exports.check(&mut store, &instance))
        };
        let checked = self.within_nets(lanes, "start", PROBE_PATIENCE, &watched, work).await;
        checked.map_err(|error| error.to_string())?.map_err(|detail| {
            let (version, spoken) = (self.declaration.version.clone(), self.declaration.contract.version());
            ContractError::Misfit { version, spoken, detail }.to_string()
        })
    }

    /// Gives agents what the component made in their folders, however its call ended.
    async fn hand_over_folders(&self) {
        let Some(spaces) = self.services.spaces.clone() else { return };
        if self.manifest.folders.iter().any(|grant| grant.write) {
            let manifest = self.manifest.clone();
            let _ = tokio::task::spawn_blocking(move || folders::hand_over(&manifest.folders, &spaces)).await;
        }
    }

    fn record(&self, interface: Interface, took: Duration, meter: &Meter, failed: Option<&CallError>) {
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

/// Opens the folders of the grants, before the component is instantiated. Each is a handle, for which there is a place
/// however many spaces there are.
pub(super) async fn open_folders(store: &mut WasmStore<State>) -> wasmtime::Result<()> {
    let opened = store.data_mut().open_folders().await?;
    store.set_max_component_handles(MOST_HANDLES + opened);
    Ok(())
}

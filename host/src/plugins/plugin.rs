//! One loaded plugin, and the nets around every call of it.
//!
//! Three nets: the epoch for the spinning guest, a timeout for the parked host call, a limiter over
//! all its memories and tables. After a trap or a timeout the store is dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use wasmtime::{
    Engine, Store as WasmStore, UpdateDeadline,
    component::{Instance, InstancePre},
};

use super::{
    access::Access,
    capabilities::folders,
    exports::{Exports, Interface},
    manifest::Manifest,
    services::Services,
    state::State,
};

/// Bytes that a guest may hand over in one host call or return value: 16 MiB.
const MOST_HANDED_OVER: usize = 16 << 20;
/// The most of a guest's error that is shown: 4 KiB.
const MOST_ERROR: usize = 4 << 10;
/// Faults in a row after which a processor is left alone for [`BREAK`]. Guards never are: what
/// makes one fail may be one person's text, and a guard that is not called denies everybody.
const FAULTS_TO_BREAK: u32 = 5;
const BREAK: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{plugin}: {export} failed: {message}")]
    Trap { plugin: String, export: &'static str, message: String },
    #[error("{plugin}: {export} did not answer within {} ms", within.as_millis())]
    Timeout { plugin: String, export: &'static str, within: Duration },
    #[error("{plugin}: {export} is not called for {} s after {FAULTS_TO_BREAK} faults in a row", BREAK.as_secs())]
    Broken { plugin: String, export: &'static str },
    #[error("{plugin}: {export} exports nothing that the manifest says it provides")]
    NotExported { plugin: String, export: &'static str },
}

pub struct Plugin {
    pub(super) manifest: Arc<Manifest>,
    pub(super) built_in: bool,
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
}

impl Plugin {
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn built_in(&self) -> bool {
        self.built_in
    }

    fn new_store(&self, engine: &Engine, interface: Interface, budget: Duration) -> WasmStore<State> {
        let state = State::new(
            interface,
            self.manifest.clone(),
            self.settings.clone(),
            self.services.clone(),
            self.access.clone(),
        );
        let mut store = WasmStore::new(engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(MOST_HANDED_OVER);
        store.set_epoch_deadline(1);
        let end = Instant::now() + budget;
        store.epoch_deadline_callback(move |_| {
            if Instant::now() >= end {
                return Ok(UpdateDeadline::Interrupt);
            }
            // A plain yield would wake itself at once and starve the runtime's timers.
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store
    }

    /// Calls one export in a fresh instance, on the guests' runtime.
    pub(super) async fn call<R: Send + 'static>(
        self: &Arc<Self>,
        guests: &tokio::runtime::Handle,
        interface: Interface,
        patience: Duration,
        call: impl for<'a> FnOnce(&'a mut WasmStore<State>, &'a Instance, &'a Exports) -> BoxFuture<'a, wasmtime::Result<R>>
        + Send
        + 'static,
    ) -> Result<R, CallError> {
        let name = self.manifest.name.clone();
        let export = interface.name();
        if !self.manifest.is_essential() && self.breaker.is_open() {
            return Err(CallError::Broken { plugin: name, export });
        }
        let began = Instant::now();
        let plugin = self.clone();
        let mut store = self.new_store(self.pre.engine(), interface, self.manifest.limits.deadline());
        let stderr = store.data().stderr.clone();
        let task = guests.spawn(async move {
            store.data_mut().open_folders().await?;
            let instance = plugin.pre.instantiate_async(&mut store).await?;
            let answer = call(&mut store, &instance, &plugin.exports).await?;
            let memory = store.data().limits.high_water;
            Ok::<_, wasmtime::Error>((answer, memory))
        });
        // A host call that never returns is no guest code: no epoch ends it, dropping the task does.
        let aborter = task.abort_handle();
        let outcome = match tokio::time::timeout(patience, task).await {
            Err(_) => {
                aborter.abort();
                Err(CallError::Timeout { plugin: name.clone(), export, within: patience })
            }
            Ok(Err(panic)) => Err(CallError::Trap {
                plugin: name.clone(),
                export,
                message: format!("the host itself failed: {panic}"),
            }),
            Ok(Ok(Err(trap))) => {
                Err(CallError::Trap { plugin: name.clone(), export, message: explain(&trap, &stderr.contents()) })
            }
            Ok(Ok(Ok(answer))) => Ok(answer),
        };
        self.record(export, began.elapsed(), &outcome);
        self.hand_over_folders().await;
        outcome.map(|(answer, _)| answer)
    }

    /// Gives agents what the component made in their folders, however its call ended.
    pub(super) async fn hand_over_folders(&self) {
        let Some(spaces) = self.services.spaces.clone() else { return };
        if self.manifest.folders.iter().any(|grant| grant.write) {
            let manifest = self.manifest.clone();
            let _ = tokio::task::spawn_blocking(move || folders::hand_over(&manifest.folders, &spaces)).await;
        }
    }

    fn record<R>(&self, export: &'static str, took: Duration, outcome: &Result<(R, usize), CallError>) {
        let plugin = self.manifest.name.clone();
        let word = match outcome {
            Ok(_) => "ok",
            Err(CallError::Timeout { .. }) => "timeout",
            Err(_) => "fault",
        };
        metrics::counter!("mercury_plugin_calls_total", "plugin" => plugin.clone(), "export" => export, "outcome" => word).increment(1);
        metrics::histogram!("mercury_plugin_call_seconds", "plugin" => plugin.clone(), "export" => export)
            .record(took.as_secs_f64());
        match outcome {
            Ok((_, memory)) => {
                metrics::gauge!("mercury_plugin_memory_bytes", "plugin" => plugin).set(*memory as f64);
                self.breaker.close();
            }
            Err(error) => {
                tracing::warn!(plugin, export, %error, "a plugin's call failed");
                if !self.manifest.is_essential() && self.breaker.count_fault() {
                    tracing::error!(
                        plugin,
                        "the plugin failed {FAULTS_TO_BREAK} times in a row: it is not called for {} s",
                        BREAK.as_secs()
                    );
                }
            }
        }
    }
}

/// What the author needs: the trap, and what the guest itself said last.
fn explain(trap: &wasmtime::Error, stderr: &[u8]) -> String {
    let mut text = trap.root_cause().to_string();
    let said = String::from_utf8_lossy(stderr);
    let said = said.trim();
    if !said.is_empty() {
        let tail: String = said.chars().rev().take(MOST_ERROR / 2).collect::<Vec<_>>().into_iter().rev().collect();
        text = format!("{text}; it said: {tail}");
    }
    match text.char_indices().nth(MOST_ERROR) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Leaves a plugin alone that fails again and again.
#[derive(Debug)]
pub(super) struct Breaker {
    began: Instant,
    faults: AtomicU32,
    /// Milliseconds after `began` until which it is open.
    open_until: AtomicU64,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), faults: AtomicU32::new(0), open_until: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    pub(super) fn is_open(&self) -> bool {
        self.now() < self.open_until.load(Ordering::Relaxed)
    }

    fn close(&self) {
        self.faults.store(0, Ordering::Relaxed);
    }

    /// Tells whether this fault opened it.
    fn count_fault(&self) -> bool {
        let opens = (self.faults.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(FAULTS_TO_BREAK);
        if opens {
            self.open_until.store(self.now() + BREAK.as_millis() as u64, Ordering::Relaxed);
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breaker_opens_after_faults_in_a_row() {
        let breaker = Breaker::new();
        for _ in 0..FAULTS_TO_BREAK - 1 {
            assert!(!breaker.count_fault());
        }
        breaker.close();
        for _ in 0..FAULTS_TO_BREAK - 1 {
            assert!(!breaker.count_fault() && !breaker.is_open());
        }
        assert!(breaker.count_fault() && breaker.is_open());
    }
}

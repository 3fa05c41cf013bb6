//! An instance that stays between calls, as the actor behind one kind of an adapter's work.
//!
//! Calls wait for each other. After a trap or a time-out the instance is dropped, and the next call
//! makes a new one: memory is only a cache. The deadline of the manifest counts the time that the guest
//! computes, so that a long poll may wait for minutes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use wasmtime::{Store as WasmStore, component::Instance};

use super::{
    exports::{Exports, Interface},
    lanes::Lanes,
    manifest::Manifest,
    plugin::{CallError, Plugin, Watched},
    state::State,
};
use crate::media::Lent;

/// An instance that has written this much to its standard error is replaced, so that what it says later
/// is not lost: half of what is kept.
const MOST_SAID: usize = 32 << 10;

pub(super) struct Resident {
    plugin: Arc<Plugin>,
    lanes: Lanes,
    manifest: Arc<Manifest>,
    living: tokio::sync::Mutex<Option<Living>>,
}

struct Living {
    store: WasmStore<State>,
    /// Made by the first call.
    instance: Option<Instance>,
}

impl Resident {
    pub(super) fn new(plugin: &Arc<Plugin>, lanes: &Lanes) -> Self {
        Self::with_manifest(plugin, lanes, plugin.manifest.clone())
    }

    /// With the grants of `manifest` in place of the plugin's own.
    pub(super) fn with_manifest(plugin: &Arc<Plugin>, lanes: &Lanes, manifest: Arc<Manifest>) -> Self {
        Self { plugin: plugin.clone(), lanes: lanes.clone(), manifest, living: tokio::sync::Mutex::default() }
    }

    /// Calls one export. `patience` is for everything, the waiting for earlier calls as well.
    pub(super) async fn call<R: Send + 'static>(
        &self,
        interface: Interface,
        patience: Duration,
        call: impl for<'a> FnOnce(&'a mut WasmStore<State>, &'a Instance, &'a Exports) -> BoxFuture<'a, wasmtime::Result<R>>
        + Send
        + 'static,
    ) -> Result<R, CallError> {
        self.call_with(Vec::new(), interface, patience, call).await
    }

    /// The same with files of others that the call may read.
    pub(super) async fn call_with<R: Send + 'static>(
        &self,
        files: Vec<Lent>,
        interface: Interface,
        patience: Duration,
        call: impl for<'a> FnOnce(&'a mut WasmStore<State>, &'a Instance, &'a Exports) -> BoxFuture<'a, wasmtime::Result<R>>
        + Send
        + 'static,
    ) -> Result<R, CallError> {
        let began = Instant::now();
        let busy =
            || CallError::Busy { plugin: self.plugin.name().to_owned(), export: interface.name(), within: patience };
        let mut place = tokio::time::timeout(patience, self.living.lock()).await.map_err(|_| busy())?;
        let mut living = place
            .take()
            .unwrap_or_else(|| Living { store: self.plugin.new_store(&self.manifest, interface), instance: None });
        living.begin(interface, files, self.manifest.limits.result_bytes());
        let (watched, stderr) = (Watched::of(&living.store), living.store.data().stderr.clone());
        let plugin = self.plugin.clone();
        // Dropped with the call: what nobody waits for does not go on.
        let work = async move {
            let instance = match living.instance {
                Some(instance) => instance,
                None => {
                    living.store.data_mut().open_folders().await?;
                    plugin.pre.instantiate_async(&mut living.store).await?
                }
            };
            let answer = call(&mut living.store, &instance, &plugin.exports).await?;
            living.instance = Some(instance);
            Ok((answer, living))
        };
        let left = patience.saturating_sub(began.elapsed());
        let (answer, living) = self.plugin.watch(&self.lanes, interface, left, watched, work).await?;
        if stderr.contents().len() < MOST_SAID {
            *place = Some(living);
        }
        Ok(answer)
    }
}

impl Living {
    /// All allowances are there again.
    fn begin(&mut self, interface: Interface, files: Vec<Lent>, result_bytes: usize) {
        self.store.data_mut().begin(interface);
        self.store.data_mut().lend(files);
        self.store.set_hostcall_fuel(result_bytes);
        self.store.set_epoch_deadline(1);
    }
}

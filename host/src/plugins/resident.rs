//! An instance that stays between calls, as the actor behind one kind of an adapter's work.
//!
//! Calls wait for each other. After a trap or a time-out the instance is dropped, and the next call
//! makes a new one: memory is only a cache. The deadline of the manifest counts the time that the guest
//! computes, so that a long poll may wait for minutes.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use wasmtime::{Store as WasmStore, component::Instance};

use super::{
    exports::{Exports, Interface},
    lanes::Lanes,
    manifest::Manifest,
    plugin::{CallError, Plugin, Watched, open_folders},
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

    /// Calls one export. `patience` is for the wait behind earlier calls, and then once more for the call:
    /// one that begins is not cut off for what others took.
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
                    open_folders(&mut living.store).await?;
                    plugin.pre.instantiate_async(&mut living.store).await?
                }
            };
            let answer = call(&mut living.store, &instance, &plugin.exports).await?;
            living.instance = Some(instance);
            Ok((answer, living))
        };
        let (answer, living) = self.plugin.watch(&self.lanes, interface, patience, watched, work).await?;
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

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        plugins::{Compiler, Plugins, Services},
        store::Store,
    };

    const LONG: Duration = Duration::from_secs(60);

    /// Cut off for what others took, it would lose what it did, and its plugin would be blamed for it.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_that_begins_has_its_whole_time() {
        let folder = tempfile::tempdir().unwrap();
        let services = Arc::new(Services::new(Store::open(&folder.path().join("state.db")).unwrap()));
        let plugins = Plugins::load(folder.path(), &Default::default(), Compiler::InProcess, services).await.unwrap();
        let plugin = plugins.loaded().into_iter().find(|plugin| plugin.name() == "redact").unwrap();
        let resident = Arc::new(Resident::new(&plugin, &plugins.guests.lanes()));

        let ((begin, begun), (release, released)) = (oneshot::channel(), oneshot::channel());
        let first = tokio::spawn({
            let resident = resident.clone();
            async move {
                let call = resident.call(Interface::ResultProcessor, LONG, move |_, _, _| {
                    Box::pin(async move {
                        begin.send(()).unwrap();
                        Ok(released.await?)
                    })
                });
                call.await
            }
        });
        begun.await.unwrap();
        let patience = Duration::from_secs(2);
        let mut second = pin!(resident.call(Interface::ResultProcessor, patience, |_, _, _| {
            Box::pin(std::future::pending::<wasmtime::Result<()>>())
        }));
        assert!(futures_util::poll!(&mut second).is_pending());
        let third =
            resident.call(Interface::ResultProcessor, Duration::from_millis(1), |_, _, _| Box::pin(async { Ok(()) }));
        let busy = third.await;
        assert!(matches!(busy, Err(CallError::Busy { .. })), "{busy:?}");
        release.send(()).unwrap();
        first.await.unwrap().unwrap();
        let cut = second.await;
        assert!(matches!(cut, Err(CallError::Timeout { within, .. }) if within == patience), "{cut:?}");
    }
}

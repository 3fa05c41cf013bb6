//! An instance that stays between calls, as the actor behind one kind of an adapter's work.
//!
//! Calls wait for each other. After a trap or a time-out the instance is dropped, and the next call
//! makes a new one: memory is only a cache. The deadline of the manifest counts the time that the guest
//! computes, so that a long poll may wait for minutes.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::{Store as WasmStore, UpdateDeadline, component::Instance};

use super::{
    access::Access,
    exports::{Exports, Interface},
    manifest::Manifest,
    plugin::{CallError, Plugin, explain},
    state::State,
};
use crate::media::Lent;

/// Bytes that a guest may hand over in one host call or return value: 16 MiB.
const MOST_HANDED_OVER: usize = 16 << 20;
/// An instance that has written this much to its standard error is replaced, so that what it says later
/// is not lost: half of what is kept.
const MOST_SAID: usize = 32 << 10;

pub(super) struct Resident {
    plugin: Arc<Plugin>,
    guests: tokio::runtime::Handle,
    manifest: Arc<Manifest>,
    living: tokio::sync::Mutex<Option<Living>>,
}

struct Living {
    store: WasmStore<State>,
    instance: Instance,
    meter: Arc<Meter>,
}

impl Resident {
    pub(super) fn new(plugin: &Arc<Plugin>, guests: &tokio::runtime::Handle) -> Self {
        Self::with_manifest(plugin, guests, plugin.manifest.clone())
    }

    /// With the grants of `manifest` in place of the plugin's own.
    pub(super) fn with_manifest(
        plugin: &Arc<Plugin>,
        guests: &tokio::runtime::Handle,
        manifest: Arc<Manifest>,
    ) -> Self {
        Self { plugin: plugin.clone(), guests: guests.clone(), manifest, living: tokio::sync::Mutex::default() }
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
        let (name, export) = (self.plugin.name().to_owned(), interface.name());
        let late = CallError::Timeout { plugin: name.clone(), export, within: patience };
        let Ok(mut place) = tokio::time::timeout(patience, self.living.lock()).await else { return Err(late) };
        let living = place.take();
        let meter = living.as_ref().map_or_else(Arc::default, |living| living.meter.clone());
        meter.reset();
        let (plugin, manifest, metered) = (self.plugin.clone(), self.manifest.clone(), meter.clone());
        let work = async move {
            let mut living = match living {
                Some(living) => living,
                None => Living::new(&plugin, manifest, metered).await.map_err(|error| (error, Vec::new()))?,
            };
            living.store.data_mut().begin(interface);
            living.store.data_mut().lend(files);
            living.store.set_hostcall_fuel(MOST_HANDED_OVER);
            living.store.set_epoch_deadline(1);
            match call(&mut living.store, &living.instance, &plugin.exports).await {
                Ok(answer) => Ok((answer, living)),
                Err(trap) => Err((trap, living.store.data().stderr.contents().to_vec())),
            }
        };
        // Dropped with the call: what nobody waits for does not go on.
        let task = AbortOnDropHandle::new(self.guests.spawn(Metered { work: Box::pin(work), meter }));
        let left = patience.saturating_sub(began.elapsed());
        let fault = |message| Err(CallError::Trap { plugin: name.clone(), export, message });
        let outcome = match tokio::time::timeout(left, task).await {
            Err(_) => Err(late),
            Ok(Err(panic)) => fault(format!("the host itself failed: {panic}")),
            Ok(Ok(Err((trap, stderr)))) => fault(explain(&trap, &stderr)),
            Ok(Ok(Ok((answer, living)))) => {
                let memory = living.store.data().limits.high_water;
                if living.store.data().stderr.contents().len() < MOST_SAID {
                    *place = Some(living);
                }
                Ok((answer, memory))
            }
        };
        self.plugin.record(export, began.elapsed(), &outcome);
        outcome.map(|(answer, _)| answer)
    }
}

impl Living {
    async fn new(plugin: &Plugin, manifest: Arc<Manifest>, meter: Arc<Meter>) -> wasmtime::Result<Self> {
        let budget = manifest.limits.deadline();
        // Whoever is called without grants reaches nobody.
        let access = if Arc::ptr_eq(&manifest, &plugin.manifest) {
            plugin.access.clone()
        } else {
            Arc::new(Access::new(&manifest, None, &plugin.services).map_err(wasmtime::Error::msg)?)
        };
        let state =
            State::new(Interface::ChatAdapter, manifest, plugin.settings.clone(), plugin.services.clone(), access);
        let mut store = WasmStore::new(plugin.pre.engine(), state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(MOST_HANDED_OVER);
        store.set_epoch_deadline(1);
        let clock = meter.clone();
        store.epoch_deadline_callback(move |_| {
            if clock.computed() >= budget {
                return Ok(UpdateDeadline::Interrupt);
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        let instance = plugin.pre.instantiate_async(&mut store).await?;
        Ok(Self { store, instance, meter })
    }
}

/// How long a guest has computed: the time inside its polls, without what it waited in between.
struct Meter {
    base: Instant,
    /// Nanoseconds of the polls that are over.
    spent: AtomicU64,
    /// When the present poll began, in nanoseconds after `base`.
    began: AtomicU64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { base: Instant::now(), spent: AtomicU64::new(0), began: AtomicU64::new(0) }
    }
}

impl Meter {
    fn now(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }

    fn reset(&self) {
        self.spent.store(0, Ordering::Relaxed);
        self.began.store(self.now(), Ordering::Relaxed);
    }

    /// To be asked during a poll.
    fn computed(&self) -> Duration {
        let present = self.now().saturating_sub(self.began.load(Ordering::Relaxed));
        Duration::from_nanos(self.spent.load(Ordering::Relaxed) + present)
    }
}

struct Metered<T> {
    work: Pin<Box<dyn Future<Output = T> + Send>>,
    meter: Arc<Meter>,
}

impl<T> Future for Metered<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let meter = self.meter.clone();
        meter.began.store(meter.now(), Ordering::Relaxed);
        let polled = self.work.as_mut().poll(context);
        let took = meter.now().saturating_sub(meter.began.load(Ordering::Relaxed));
        meter.spent.fetch_add(took, Ordering::Relaxed);
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_is_not_computing() {
        let meter = Arc::new(Meter::default());
        let seen = meter.clone();
        let began = Instant::now();
        let work = Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            seen.computed()
        });
        let computed = Metered { work, meter: meter.clone() }.await;
        assert!(computed < began.elapsed() / 2, "{computed:?}");
        meter.reset();
        assert_eq!(meter.spent.load(Ordering::Relaxed), 0);
    }
}

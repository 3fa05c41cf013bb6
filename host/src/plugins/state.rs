//! What one call of a guest may see and use. Made for the call, dropped with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, p2::pipe::MemoryOutputPipe};

use super::{
    access::Access, capabilities::folders, exports::Interface, fault::Exceeded, manifest::Manifest, meter::Meter,
    plugin::MOST_HANDLES, replay::recorder::Tape, services::Services, stats::Stats,
};
use crate::media::Lent;

/// Bytes of standard error that are kept for the author.
const STDERR_KEPT: usize = 64 << 10;
/// Bytes that a guest may log in one call, as `wit/capabilities.wit` says.
pub(super) const MOST_LOG_BYTES: usize = 1 << 20;
/// Table elements over all tables of a guest.
const MOST_TABLE_ELEMENTS: usize = 200_000;
/// What one of them takes: a pointer.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();
/// Random bytes that one host call makes for a guest.
const MOST_RANDOM_BYTES: u64 = 1 << 20;

pub(super) struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) manifest: Arc<Manifest>,
    pub(super) settings: Arc<BTreeMap<String, String>>,
    pub(super) services: Arc<Services>,
    pub(super) access: Arc<Access>,
    pub(super) stats: Arc<Stats>,
    pub(super) meter: Arc<Meter>,
    /// What is called: a processor may send nowhere, whatever was granted.
    pub(super) interface: Interface,
    /// Files of others that the present call may read, by handle.
    pub(super) lent: BTreeMap<String, Lent>,
    /// Handles of the files that the present call made.
    pub(super) made: BTreeSet<String>,
    /// Comparisons with secrets in the present call that did not match.
    pub(super) mismatches: u32,
    /// Requests of the present call that were not granted.
    pub(super) refusals: u32,
    pub(super) limits: MemoryLimits,
    pub(super) stderr: MemoryOutputPipe,
    /// The call that is at work, where the plugin is being recorded.
    pub(super) tape: Option<Tape>,
    log_bytes: usize,
}

impl State {
    pub(super) fn new(
        interface: Interface,
        manifest: Arc<Manifest>,
        settings: Arc<BTreeMap<String, String>>,
        services: Arc<Services>,
        access: Arc<Access>,
        stats: Arc<Stats>,
    ) -> Self {
        let stderr = MemoryOutputPipe::new(STDERR_KEPT);
        let wasi = wasi(&stderr).build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_HANDLES);
        let meter = Meter::new(manifest.limits.deadline());
        let limits = MemoryLimits { most: manifest.limits.memory_bytes(), bytes: 0, elements: 0, meter: meter.clone() };
        Self {
            wasi,
            table,
            manifest,
            settings,
            services,
            access,
            stats,
            meter,
            interface,
            lent: BTreeMap::new(),
            made: BTreeSet::new(),
            mismatches: 0,
            refusals: 0,
            limits,
            stderr,
            tape: None,
            log_bytes: 0,
        }
    }

    /// Opens the folders of the grants; how many.
    pub(super) async fn open_folders(&mut self) -> wasmtime::Result<usize> {
        let (manifest, stderr) = (self.manifest.clone(), self.stderr.clone());
        let Some(spaces) = self.services.spaces.clone().filter(|_| !manifest.folders.is_empty()) else { return Ok(0) };
        let open = move || {
            let mut wasi = wasi(&stderr);
            let opened = folders::open(&mut wasi, &manifest.folders, &spaces);
            (wasi.build(), opened)
        };
        let opened;
        (self.wasi, opened) = tokio::task::spawn_blocking(open).await?;
        self.table.set_max_capacity(MOST_HANDLES + opened);
        Ok(opened)
    }

    /// Before each call of an instance that lives for several: it may read these files of others, and
    /// no longer those of the call before.
    pub(super) fn lend(&mut self, files: impl IntoIterator<Item = Lent>) {
        self.lent = files.into_iter().map(|file| (file.handle().to_owned(), file)).collect();
        self.made.clear();
        (self.mismatches, self.refusals) = (0, 0);
    }

    /// A further call in an instance that stays: it has all its allowances again.
    pub(super) fn begin(&mut self, interface: Interface) {
        self.interface = interface;
        self.lend([]);
        self.meter.reset();
        self.log_bytes = 0;
    }

    /// Lets the guest believe that it is that long after the Unix epoch.
    pub(super) fn set_clock(&mut self, since_epoch: Duration) {
        self.wasi = wasi(&self.stderr).wall_clock(StoppedClock(since_epoch)).build();
    }

    /// Begins to note a call of the guest, where an operator has asked for it.
    pub(super) fn begin_tape(&mut self, function: &str, arguments: &impl Serialize) {
        let recorders = &self.services.recorders;
        let tape = recorders.tape(&self.manifest.name, self.interface, function, arguments);
        self.tape = tape.map(|tape| tape.without(self.access.secrets.redactor_of_all(), &self.manifest));
    }

    pub(super) fn end_tape(&mut self, result: &impl Serialize) {
        if let Some(tape) = self.tape.take() {
            tape.finish(result);
        }
    }

    /// Counts a host call.
    ///
    /// # Errors
    /// Traps the guest that makes too many.
    pub(super) fn count_call(&mut self) -> wasmtime::Result<()> {
        if self.meter.count_host_call() > self.manifest.limits.host_calls {
            return Err(Exceeded::HostCalls.into());
        }
        Ok(())
    }

    pub(super) fn count_log(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.count_call()?;
        self.log_bytes += bytes;
        if self.log_bytes > MOST_LOG_BYTES {
            return Err(Exceeded::Log.into());
        }
        Ok(())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// No folder, no network, no variable, no argument: what a guest gets comes from its grants.
fn wasi(stderr: &MemoryOutputPipe) -> WasiCtxBuilder {
    let mut builder = WasiCtx::builder();
    builder.stderr(stderr.clone()).max_random_size(MOST_RANDOM_BYTES);
    builder
}

/// A recorded call sees the time of its recording.
struct StoppedClock(Duration);

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

/// Bounds over all memories and all tables of a guest together.
pub(super) struct MemoryLimits {
    most: usize,
    /// Of memories and tables that exist or were allowed.
    bytes: usize,
    elements: usize,
    meter: Arc<Meter>,
}

impl MemoryLimits {
    fn take(&mut self, bytes: usize) -> bool {
        let total = self.bytes.saturating_add(bytes);
        if total > self.most {
            self.meter.refuse_memory();
            return false;
        }
        self.bytes = total;
        self.meter.saw_memory(total);
        true
    }
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.take(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if self.elements.saturating_add(more) > MOST_TABLE_ELEMENTS
            || !self.take(more.saturating_mul(TABLE_ELEMENT_BYTES))
        {
            return Ok(false);
        }
        self.elements += more;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn memories_and_tables_share_one_bound() {
        let meter = Meter::new(Duration::ZERO);
        let mut limits = MemoryLimits { most: 1 << 20, bytes: 0, elements: 0, meter: meter.clone() };
        assert!(limits.memory_growing(0, 600 << 10, None).unwrap());
        assert!(limits.memory_growing(0, 300 << 10, None).unwrap(), "a second memory");
        assert!(!limits.memory_growing(300 << 10, 500 << 10, None).unwrap());
        assert!(limits.table_growing(0, 15_000, None).unwrap(), "120 of 124 KiB that are left");
        assert!(!limits.table_growing(15_000, 16_000, None).unwrap());
        assert_eq!(meter.memory(), (900 << 10) + 120_000);
        let mut large = MemoryLimits { most: 1 << 30, bytes: 0, elements: 0, meter };
        assert!(!large.table_growing(0, MOST_TABLE_ELEMENTS + 1, None).unwrap());
        assert!(!large.memory_growing(0, usize::MAX, None).unwrap());
    }
}

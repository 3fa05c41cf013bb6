//! What one call of a guest may see and use. Made for the call, dropped with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, p2::pipe::MemoryOutputPipe};

use super::{access::Access, capabilities::folders, exports::Interface, manifest::Manifest, services::Services};
use crate::media::Lent;

/// Bytes of standard error that are kept for the author.
const STDERR_KEPT: usize = 64 << 10;
/// Host calls that one guest call may make.
const MOST_HOST_CALLS: u32 = 100_000;
/// Bytes that a guest may log in one call.
const MOST_LOG_BYTES: usize = 1 << 20;
/// Table elements over all tables of a guest.
const MOST_TABLE_ELEMENTS: usize = 200_000;

pub(super) struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) manifest: Arc<Manifest>,
    pub(super) settings: Arc<BTreeMap<String, String>>,
    pub(super) services: Arc<Services>,
    pub(super) access: Arc<Access>,
    /// What is called: a processor may send nowhere, whatever was granted.
    pub(super) interface: Interface,
    /// Files of others that the present call may read, by handle.
    pub(super) lent: BTreeMap<String, Lent>,
    /// Handles of the files that the present call made.
    pub(super) made: BTreeSet<String>,
    /// Comparisons with secrets in the present call that did not match.
    pub(super) mismatches: u32,
    pub(super) limits: MemoryLimits,
    pub(super) stderr: MemoryOutputPipe,
    host_calls: u32,
    log_bytes: usize,
}

impl State {
    pub(super) fn new(
        interface: Interface,
        manifest: Arc<Manifest>,
        settings: Arc<BTreeMap<String, String>>,
        services: Arc<Services>,
        access: Arc<Access>,
    ) -> Self {
        let stderr = MemoryOutputPipe::new(STDERR_KEPT);
        // No folder, no network, no variable, no argument: what a guest gets comes from its grants.
        let wasi = WasiCtx::builder().stderr(stderr.clone()).build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(1_000);
        let limits = MemoryLimits { most: manifest.limits.memory_bytes(), memory: 0, elements: 0, high_water: 0 };
        Self {
            wasi,
            table,
            manifest,
            settings,
            services,
            access,
            interface,
            lent: BTreeMap::new(),
            made: BTreeSet::new(),
            mismatches: 0,
            limits,
            stderr,
            host_calls: 0,
            log_bytes: 0,
        }
    }

    /// Opens the folders of the grants, before the component is instantiated.
    pub(super) async fn open_folders(&mut self) -> wasmtime::Result<()> {
        let (manifest, stderr) = (self.manifest.clone(), self.stderr.clone());
        let Some(spaces) = self.services.spaces.clone().filter(|_| !manifest.folders.is_empty()) else { return Ok(()) };
        let open = move || {
            let mut wasi = WasiCtx::builder();
            folders::open(wasi.stderr(stderr), &manifest.folders, &spaces);
            wasi.build()
        };
        self.wasi = tokio::task::spawn_blocking(open).await?;
        Ok(())
    }

    /// Before each call of an instance that lives for several: it may read these files of others, and
    /// no longer those of the call before.
    pub(super) fn lend(&mut self, files: impl IntoIterator<Item = Lent>) {
        self.lent = files.into_iter().map(|file| (file.handle().to_owned(), file)).collect();
        self.made.clear();
        self.mismatches = 0;
    }

    /// Counts a host call.
    ///
    /// # Errors
    /// Traps the guest that makes too many.
    pub(super) fn count_call(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        if self.host_calls > MOST_HOST_CALLS {
            wasmtime::bail!("too many host calls (limit {MOST_HOST_CALLS} in one call)");
        }
        Ok(())
    }

    pub(super) fn count_log(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.count_call()?;
        self.log_bytes += bytes;
        if self.log_bytes > MOST_LOG_BYTES {
            wasmtime::bail!("log quota of {MOST_LOG_BYTES} bytes in one call used up");
        }
        Ok(())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Bounds over all memories and all tables of a guest together.
pub(super) struct MemoryLimits {
    most: usize,
    memory: usize,
    elements: usize,
    pub(super) high_water: usize,
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory + desired.saturating_sub(current);
        if total > self.most {
            return Ok(false);
        }
        self.memory = total;
        self.high_water = self.high_water.max(total);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.elements + desired.saturating_sub(current);
        if total > MOST_TABLE_ELEMENTS {
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }
}

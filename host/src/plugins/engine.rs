//! The one wasmtime engine, its clock and its linker.

use std::time::Duration;

use mercury_bindings::mercury::plugin as imports;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{HasSelf, Linker},
};

use super::{contract, state::State};

/// How often the clock ticks that ends runaway guests.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// Instances that may live at once: guests, and the parked ones among them.
const POOL: u32 = 256;
/// The most memory that any manifest may ask for.
const MOST_MEMORY: usize = 256 << 20;

/// An engine as both the host and its compiling child need it: compiled code is only accepted by
/// an engine with the same settings.
pub(super) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.max_wasm_stack(512 << 10);
    config.async_stack_size(2 << 20);
    config.memory_init_cow(true);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(POOL)
        .total_core_instances(POOL * 8)
        .total_memories(POOL * 2)
        .total_tables(POOL * 8)
        .total_stacks(POOL)
        .max_memory_size(MOST_MEMORY)
        .max_core_instances_per_component(64)
        .max_memories_per_component(8)
        .max_tables_per_component(32)
        .table_elements(100_000)
        .max_component_instance_size(8 << 20)
        .max_core_instance_size(4 << 20)
        .linear_memory_keep_resident(1 << 20)
        .max_unused_warm_slots(16);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).or_else(|error| {
        // The pool reserves terabytes of address space, which some machines do not allow.
        tracing::warn!(%error, "the instance pool cannot be reserved; instances are made on demand, which is slower");
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config)
    })
}

/// Ticks until the engine is gone. A thread of its own, so that no busy runtime can hold it up.
#[allow(clippy::disallowed_methods, reason = "the ticker's own thread")]
pub(super) fn start_clock(engine: &Engine) -> std::io::Result<()> {
    let weak = engine.weak();
    std::thread::Builder::new().name("guest-clock".into()).spawn(move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(())
}

/// Links everything for everybody; what a manifest was not granted is refused at the call, with an
/// error that names the missing line.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    imports::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::credentials::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::signatures::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::http::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::kv::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::settings::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::permissions::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::media::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::timers::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::messenger::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::history::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::tasks::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::inbox::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::sockets::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::types::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::verdicts::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::deliveries::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::trouble::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    contract::link_old_lines(&mut linker)?;
    Ok(linker)
}

//! The one wasmtime engine, its clock and its linker.

use std::time::Duration;

use mercury_bindings::mercury::plugin as imports;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
    component::{HasSelf, Linker},
};

use super::{
    contract,
    replay::observe::{Observing, observed},
    state::State,
};

/// How often the clock ticks that ends runaway guests.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// Instances that may live at once: guests, and the parked ones among them.
const POOL: u32 = 256;
/// What one component may be made of. The pool has room for as many instances of the largest kind: with
/// less, a few calls of one plugin could take all memories there are, and guards would have none.
const MOST_CORE_INSTANCES: u32 = 64;
const MOST_MEMORIES: u32 = 8;
const MOST_TABLES: u32 = 32;
/// What a slot keeps of its last instance, in bytes, to be put back by hand. A Rust guest's data begins behind
/// 1 MiB of stack: with less it would be given back to the kernel and faulted in anew at each call.
const KEPT_MEMORY: usize = 2 << 20;
const KEPT_TABLE: usize = 64 << 10;
/// The most memory that any manifest may ask for.
const MOST_MEMORY: usize = 256 << 20;

fn settings() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.max_wasm_stack(512 << 10);
    config.async_stack_size(2 << 20);
    config.memory_init_cow(true);
    config
}

/// For an author's own component on the author's machine: the same settings, and traps with the lines of
/// its source where it was built with debug information.
pub(super) fn engine_for_authors() -> wasmtime::Result<Engine> {
    let mut config = settings();
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    Engine::new(&config)
}

/// An engine as both the host and its compiling child need it: compiled code is only accepted by
/// an engine with the same settings.
pub(super) fn engine() -> wasmtime::Result<Engine> {
    let mut config = settings();
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(POOL)
        .total_core_instances(POOL * MOST_CORE_INSTANCES)
        .total_memories(POOL * MOST_MEMORIES)
        .total_tables(POOL * MOST_TABLES)
        .total_stacks(POOL)
        .max_memory_size(MOST_MEMORY)
        .max_core_instances_per_component(MOST_CORE_INSTANCES)
        .max_memories_per_component(MOST_MEMORIES)
        .max_tables_per_component(MOST_TABLES)
        .table_elements(100_000)
        .max_component_instance_size(8 << 20)
        .max_core_instance_size(4 << 20)
        .linear_memory_keep_resident(KEPT_MEMORY)
        .table_keep_resident(KEPT_TABLE)
        // Only what was changed is put back, where the kernel can tell (6.7).
        .pagemap_scan(Enabled::Auto)
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
    imports::log::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::credentials::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::signatures::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::http::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::kv::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::settings::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::permissions::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::media::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::timers::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::messenger::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::history::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::tasks::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::identities::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::inbox::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::sockets::add_to_linker::<_, Observing>(&mut linker, observed)?;
    imports::types::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::verdicts::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::deliveries::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    imports::trouble::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    contract::link_old_lines(&mut linker)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use wasmtime::{
        Store,
        component::{Component, Linker},
    };

    use super::*;
    use crate::plugins::permits::MOST_CALLS;

    /// As many core instances, memories and tables as one component may have: all calls of the other
    /// kinds at once leave room for the guards.
    #[tokio::test]
    async fn the_largest_components_leave_room_for_guards() {
        let engine = engine().unwrap();
        let mut parts = String::new();
        for index in 0..MOST_CORE_INSTANCES {
            let memory = if index < MOST_MEMORIES { "(memory 1)" } else { "" };
            let table = if index < MOST_TABLES { "(table 1 funcref)" } else { "" };
            parts += &format!("(core module $m{index} {memory} {table}) (core instance (instantiate $m{index}))\n");
        }
        let largest = Component::new(&engine, wat::parse_str(format!("(component {parts})")).unwrap()).unwrap();
        let linker = Linker::<()>::new(&engine);
        let mut held = Vec::new();
        for call in 0..3 * MOST_CALLS {
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(1);
            let instance = linker.instantiate_async(&mut store, &largest).await;
            assert!(instance.is_ok(), "call {call}: {:?}", instance.err());
            held.push(store);
        }
    }
}

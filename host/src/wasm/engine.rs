//! The engines: how components are compiled and where their instances live.

use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig};

use crate::domain::Metering;
use crate::domain::limits::DEFAULT_MEMORY_BYTES;

/// Address space per memory, the same in the pool and on demand, so that both run the same compiled code.
const MEMORY_RESERVATION: u64 = DEFAULT_MEMORY_BYTES;
/// A memory that outgrows its address space is moved, that is copied: with this much more each time, a few times at most.
/// Without, every page that it takes would copy all of it.
const MEMORY_RESERVATION_FOR_GROWTH: u64 = 1 << 30;
/// What a reset leaves resident of a memory or table, so that the next instance finds it without page faults.
const MEMORY_KEEP_RESIDENT: usize = 2 << 20;
const TABLE_KEEP_RESIDENT: usize = 64 << 10;
/// A Python interpreter as a component needs all of these.
const CORE_INSTANCES_PER_COMPONENT: u32 = 200;
const TABLES_PER_COMPONENT: u32 = 200;
const MEMORIES_PER_COMPONENT: u32 = 20;
pub(super) const TABLE_ELEMENTS: usize = 100_000;
const INSTANCE_BYTES: usize = 8 << 20;
/// What an ordinary component needs on average; the pool's totals are multiples of these. A component from the Rust
/// toolchain has three or four core instances, one or two memories and two tables.
const CORE_INSTANCES_EACH: u32 = 6;
const TABLES_EACH: u32 = 4;
const MEMORIES_EACH: u32 = 2;

/// Where instances live.
#[derive(Clone, Copy, Debug)]
pub enum Allocation {
    /// In places that are mapped once and reset after each use.
    Pool {
        instances: u32,
    },
    OnDemand,
}

/// An engine for one kind of metering.
///
/// # Errors
///
/// A pool cannot be had where the process may not reserve its address space (`ulimit -v`).
pub fn engine(metering: Metering, allocation: Allocation) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        // What two machines compute from the same input must be the same: this decides the compiled code.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // A shared memory would bypass the limiter; the engine is built without threads, too.
        .shared_memory(false)
        .concurrency_support(false)
        .memory_reservation(MEMORY_RESERVATION)
        .memory_reservation_for_growth(MEMORY_RESERVATION_FOR_GROWTH);
    match metering {
        Metering::Fuel => config.consume_fuel(true),
        Metering::Time => config.epoch_interruption(true),
    };
    if let Allocation::Pool { instances } = allocation {
        config.allocation_strategy(pool(instances));
    }
    Engine::new(&config)
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances * CORE_INSTANCES_EACH)
        .total_memories(instances * MEMORIES_EACH)
        .total_tables(instances * TABLES_EACH)
        .total_stacks(instances)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(MEMORY_RESERVATION as usize)
        // The fast reset: the kernel says which pages were written, and only these are put back.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT)
        .table_keep_resident(TABLE_KEEP_RESIDENT);
    pool
}

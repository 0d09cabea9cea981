//! Memory and tables of runs, as wasmtime allocates them.

use bootc_image_engine_config::structure::{DATA, ELEMENTS, GLOBALS, INSTANCES, MEMORIES, NAMES, TABLES};
use wasmtime::{Enabled, PoolingAllocationConfig, ResourceLimiter};

use crate::limits::{Budget, TABLE_ENTRIES};

/// The most bytes that wasmtime needs to describe one core instance. Because the limits on structure count what each instance takes,
/// all core instances of a component together need no more.
const CORE_INSTANCE: usize = 8 << 20;
/// The most bytes that it needs to describe the component's instance, of which a run has one.
const COMPONENT_INSTANCE: usize = 32 << 20;

/// wasmtime takes 32 bytes for each import, and for each function that an import, export, element or global names; 16 for each global;
/// 12 for each data segment.
const _: () = {
    let functions = NAMES.most + ELEMENTS.most + GLOBALS.most;
    assert!(32 * (NAMES.most + functions) + 16 * GLOBALS.most + 12 * DATA.most <= CORE_INSTANCE);
};

/// A memory pool for one run at a time.
pub(super) fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1)
        .total_core_instances(INSTANCES.count())
        .total_tables(TABLES.count())
        .total_memories(MEMORIES.count())
        // Whether they are in one module or in several makes no difference.
        .max_tables_per_module(TABLES.count())
        .max_memories_per_module(MEMORIES.count())
        .max_core_instance_size(CORE_INSTANCE)
        .max_component_instance_size(COMPONENT_INSTANCE)
        .table_elements(TABLE_ENTRIES)
        // This is only the reserved address space; the budget limits the memory of a run.
        .max_memory_size(4 << 30)
        // There are no asynchronous calls.
        .total_stacks(0)
        // Up to this size, changed memory is zeroed after a run instead of being returned to the kernel. Since Linux 6.7 the kernel
        // reports which pages were changed.
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(1 << 16)
        .pagemap_scan(Enabled::Auto);
    pool
}

impl ResourceLimiter for Budget {
    /// Returns an error instead of `false`: after `false` the component would continue and then panic, which would hide the cause.
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.memory(desired.saturating_sub(current))?;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.table_entries(desired.saturating_sub(current))?;
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES.most
    }

    fn tables(&self) -> usize {
        TABLES.most
    }

    fn memories(&self) -> usize {
        MEMORIES.most
    }
}

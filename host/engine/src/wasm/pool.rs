//! Memory and tables of runs, as wasmtime allocates them.

use wasmtime::{Enabled, PoolingAllocationConfig, ResourceLimiter};

use crate::limits::{Budget, TABLE_ENTRIES};

/// The most core instances, tables and memories of one run: a component consists of several core modules.
const INSTANCES: u32 = 16;
const TABLES: u32 = 16;
const MEMORIES: u32 = 4;

/// A memory pool for one run at a time.
pub(super) fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1)
        .total_core_instances(INSTANCES)
        .total_tables(TABLES)
        .total_memories(MEMORIES)
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
        INSTANCES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

//! Memory and tables of runs, as wasmtime asks for them.

use wasmtime::{Enabled, PoolingAllocationConfig, ResourceLimiter};

use crate::limits::{Budget, TABLE_ENTRIES};

/// Core instances, tables and memories of one run: a component is made of several modules.
const INSTANCES: u32 = 16;
const TABLES: u32 = 16;
const MEMORIES: u32 = 4;

/// Memory for one run after another, never for two at once: as much as one may have.
pub(super) fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1)
        .total_core_instances(INSTANCES)
        .total_tables(TABLES)
        .total_memories(MEMORIES)
        .table_elements(TABLE_ENTRIES)
        // As far as it is reserved; how much of it a run gets is the budget's business.
        .max_memory_size(4 << 30)
        // Nothing is asynchronous.
        .total_stacks(0)
        // So much of what a run has changed is overwritten instead of being given back to the kernel, which finds out what
        // it was (since Linux 6.7).
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(1 << 16)
        .pagemap_scan(Enabled::Auto);
    pool
}

impl ResourceLimiter for Budget {
    /// An error here stops the component, where a mere refusal would let it go on and look like a panic of its own.
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

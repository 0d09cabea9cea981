//! What one run may use (D6), and the account of what it has used.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Limits of one run.
#[derive(Debug)]
pub(super) struct Limits {
    /// Bytes of linear memory, all memories of the component together.
    pub(super) memory: usize,
    /// How long the run may take.
    pub(super) time: Duration,
    /// Bytes that cross the boundary in either direction, results included: in one call, and in the whole run.
    pub(super) transfer: usize,
    /// Resources, and handles to them.
    pub(super) handles: usize,
    /// Bytes of text for people and of the plan.
    pub(super) output: usize,
}

/// The column for commands. The wall clock would allow 30 s, of which the guest itself 2 s. No function that a command may
/// import waits for anything, so there is nothing that the difference could be spent on: one clock serves both, and it is
/// the shorter. A function that waits will have to stop this one and bring the other.
pub(super) const COMMAND: Limits = Limits {
    memory: 64 << 20,
    time: Duration::from_secs(2),
    transfer: 4 << 20,
    handles: 1024,
    output: 1 << 20,
};

/// What a text costs beyond its bytes, so that a great many empty ones cost something.
const PER_TEXT: usize = 16;

/// Entries of all tables together: far above what a compiler makes for a plugin, far below what would hurt.
const TABLE_ENTRIES: usize = 10_000;

/// A limit that a run hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Exceeded {
    #[error("used more than {} MiB of memory", .0 >> 20)]
    Memory(usize),
    #[error("used more than {0} table entries")]
    Tables(usize),
    #[error("ran longer than {} s", .0.as_secs_f32())]
    Time(Duration),
    #[error("exchanged more than {} MiB with the host", .0 >> 20)]
    Transfer(usize),
    #[error("wrote more than {} MiB of log and plan", .0 >> 20)]
    Output(usize),
}

/// What one run has used.
#[derive(Debug)]
pub(super) struct Budget {
    limits: &'static Limits,
    memory: usize,
    table_entries: usize,
    transferred: usize,
    written: usize,
}

impl Budget {
    pub(super) fn new(limits: &'static Limits) -> Self {
        Self { limits, memory: 0, table_entries: 0, transferred: 0, written: 0 }
    }

    /// Pays for texts that cross the boundary.
    pub(super) fn transfer<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> Result<(), Exceeded> {
        self.transferred = self.transferred.saturating_add(cost(texts));
        if self.transferred > self.limits.transfer {
            Err(Exceeded::Transfer(self.limits.transfer))
        } else {
            Ok(())
        }
    }

    /// Pays for texts that the guest writes; they cross the boundary too.
    pub(super) fn write<'a>(
        &mut self,
        texts: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Result<(), Exceeded> {
        self.transfer(texts.clone())?;
        self.written = self.written.saturating_add(cost(texts));
        if self.written > self.limits.output { Err(Exceeded::Output(self.limits.output)) } else { Ok(()) }
    }
}

fn cost<'a>(texts: impl IntoIterator<Item = &'a str>) -> usize {
    texts.into_iter().map(|text| text.len() + PER_TEXT).sum()
}

impl ResourceLimiter for Budget {
    /// An error here stops the component, where a mere refusal would let it go on and look like a panic of its own.
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.memory = self.memory.saturating_add(desired.saturating_sub(current));
        if self.memory > self.limits.memory {
            Err(Exceeded::Memory(self.limits.memory).into())
        } else {
            Ok(true)
        }
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.table_entries = self.table_entries.saturating_add(desired.saturating_sub(current));
        if self.table_entries > TABLE_ENTRIES {
            Err(Exceeded::Tables(TABLE_ENTRIES).into())
        } else {
            Ok(true)
        }
    }

    fn instances(&self) -> usize {
        16
    }

    fn tables(&self) -> usize {
        16
    }

    fn memories(&self) -> usize {
        4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_ends_before_transfer() {
        let mut budget = Budget::new(&COMMAND);
        let line = "x".repeat((1 << 10) - PER_TEXT);
        for _ in 0..1 << 10 {
            budget.write([line.as_str()]).unwrap();
        }
        assert_eq!(budget.write([""]), Err(Exceeded::Output(1 << 20)));
    }

    #[test]
    fn the_transfer_of_a_whole_run_is_counted() {
        let mut budget = Budget::new(&COMMAND);
        let half = "x".repeat((2 << 20) - PER_TEXT);
        budget.transfer([half.as_str()]).unwrap();
        budget.transfer([half.as_str()]).unwrap();
        assert_eq!(budget.transfer([""]), Err(Exceeded::Transfer(4 << 20)));
    }

    #[test]
    fn memories_and_tables_are_counted_together() {
        let mut budget = Budget::new(&COMMAND);
        assert!(budget.memory_growing(0, 40 << 20, None).unwrap());
        assert!(budget.memory_growing(0, 24 << 20, None).unwrap());
        let error = budget.memory_growing(40 << 20, (40 << 20) + 1, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Exceeded::Memory(64 << 20)));
        assert!(budget.table_growing(0, TABLE_ENTRIES, None).unwrap());
        assert!(budget.table_growing(TABLE_ENTRIES, TABLE_ENTRIES + 1, None).is_err());
    }

    #[test]
    fn limits_are_told_in_plain_words() {
        assert_eq!(Exceeded::Memory(64 << 20).to_string(), "used more than 64 MiB of memory");
        assert_eq!(Exceeded::Time(Duration::from_secs(2)).to_string(), "ran longer than 2 s");
        assert_eq!(Exceeded::Time(Duration::from_millis(250)).to_string(), "ran longer than 0.25 s");
    }
}

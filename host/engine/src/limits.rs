//! The limits of one run, and the budget that counts what the run has used.

use std::time::Duration;

use bootc_image_engine_config::structure;
use bootc_image_manifest::PartialLimits;

/// Limits of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory, all memories of the component together.
    pub memory: usize,
    /// Processor time of the run.
    pub guest_time: Duration,
    /// Elapsed time of the run, which also passes while other processes use the processor.
    pub wall_time: Duration,
    /// Bytes that are passed between host and plugin in either direction, results included, in the whole run.
    pub(crate) transfer: usize,
    /// Bytes that are passed in one call.
    pub(crate) call: usize,
    /// Resources of the host, and handles to them.
    pub(crate) handles: usize,
    /// Bytes of log and answer.
    pub(crate) output: usize,
    /// Operations that the plugin may request from the host.
    pub(crate) operations: usize,
    /// The most memory that a plugin can request unless the configuration sets a ceiling. The ceilings of times are their defaults.
    memory_ceiling: usize,
}

impl Limits {
    /// Defaults for wrappers.
    pub const COMMAND: Self = Self {
        memory: 64 << 20,
        guest_time: Duration::from_secs(2),
        wall_time: Duration::from_secs(30),
        transfer: 4 << 20,
        call: 4 << 20,
        handles: 1024,
        output: 1 << 20,
        operations: 64,
        memory_ceiling: 256 << 20,
    };

    /// Defaults for policies.
    pub const POLICY: Self = Self {
        memory: 64 << 20,
        guest_time: Duration::from_millis(250),
        wall_time: Duration::from_secs(2),
        transfer: 4 << 20,
        call: 4 << 20,
        handles: 1024,
        output: 64 << 10,
        operations: 0,
        memory_ceiling: 256 << 20,
    };

    /// Defaults for formats. `transfer` grows with the rows that are read; `output` limits only what is written after the last row.
    pub const FORMAT: Self = Self {
        memory: 128 << 20,
        guest_time: Duration::from_secs(2),
        wall_time: Duration::from_secs(10),
        transfer: 16 << 20,
        call: 16 << 20,
        handles: 256,
        output: 1 << 20,
        operations: 0,
        memory_ceiling: 512 << 20,
    };

    /// The limits that a plugin gets: those that it requests, or the defaults, but never more than the ceiling.
    #[must_use]
    pub fn granted(self, requested: PartialLimits, ceiling: PartialLimits) -> Self {
        let memory = |mib: u32| usize::try_from(mib).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        let time = |ms: u32| Duration::from_millis(ms.into());
        let most = |default: Duration, ceiling: Option<u32>| ceiling.map_or(default, time);
        Self {
            memory: requested
                .memory_mib
                .map_or(self.memory, memory)
                .min(ceiling.memory_mib.map_or(self.memory_ceiling, memory)),
            guest_time: requested
                .guest_ms
                .map_or(self.guest_time, time)
                .min(most(self.guest_time, ceiling.guest_ms)),
            wall_time: requested
                .wall_ms
                .map_or(self.wall_time, time)
                .min(most(self.wall_time, ceiling.wall_ms)),
            ..self
        }
    }
}

/// Bytes that are counted for each text in addition to its length, so that many empty texts are limited too.
const PER_TEXT: usize = 16;

/// Entries of all tables together, also of those that are added during a run.
pub(crate) const TABLE_ENTRIES: usize = structure::TABLE_ENTRIES.most;

/// A limit that a run exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error("exceeded its memory limit ({} MiB)", .0 >> 20)]
    Memory(usize),
    #[error("exceeded its limit of {0} table entries")]
    Tables(usize),
    #[error("exceeded its processor time limit ({} s)", .0.as_secs_f32())]
    GuestTime(Duration),
    #[error("exceeded its time limit ({} s)", .0.as_secs_f32())]
    WallTime(Duration),
    #[error("exceeded its limit of {} MiB of data passed between plugin and host", .0 >> 20)]
    Transfer(usize),
    #[error("exceeded its limit of {0} host resources")]
    Handles(usize),
    #[error("exceeded its limit of {} KiB of log messages and results", .0 >> 10)]
    Output(usize),
    #[error("exceeded its limit of {0} requested operations")]
    Operations(usize),
}

/// What one run has used.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    memory: usize,
    table_entries: usize,
    transferred: usize,
    written: usize,
    operations: usize,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, memory: 0, table_entries: 0, transferred: 0, written: 0, operations: 0 }
    }

    /// The limits of the run.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Counts memory that is added.
    pub(crate) fn memory(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.memory = self.memory.saturating_add(bytes);
        if self.memory > self.limits.memory { Err(Exceeded::Memory(self.limits.memory)) } else { Ok(()) }
    }

    /// Counts table entries that are added.
    pub(crate) fn table_entries(&mut self, count: usize) -> Result<(), Exceeded> {
        self.table_entries = self.table_entries.saturating_add(count);
        if self.table_entries > TABLE_ENTRIES { Err(Exceeded::Tables(TABLE_ENTRIES)) } else { Ok(()) }
    }

    /// Counts texts that are passed between host and plugin.
    pub(crate) fn transfer<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> Result<(), Exceeded> {
        self.transfer_bytes(cost(texts))
    }

    /// Raises the limit for output before rows with this many bytes of cells are read: formatted, they can be many times as long.
    pub(crate) fn allow_output_of(&mut self, cells: usize) {
        self.limits.transfer = self.limits.transfer.saturating_add(cells.saturating_mul(32));
    }

    /// Counts an operation that the plugin requests.
    pub(crate) fn operation(&mut self) -> Result<(), Exceeded> {
        self.operations = self.operations.saturating_add(1);
        if self.operations > self.limits.operations {
            Err(Exceeded::Operations(self.limits.operations))
        } else {
            Ok(())
        }
    }

    /// Counts bytes that are passed between host and plugin.
    pub(crate) fn transfer_bytes(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.transferred = self.transferred.saturating_add(bytes);
        if self.transferred > self.limits.transfer {
            Err(Exceeded::Transfer(self.limits.transfer))
        } else {
            Ok(())
        }
    }

    /// Counts texts that the plugin writes, also as passed to the host.
    pub(crate) fn write<'a>(
        &mut self,
        texts: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Result<(), Exceeded> {
        self.transfer(texts.clone())?;
        self.write_bytes(cost(texts))
    }

    /// Counts bytes that the plugin writes. [`Budget::transfer_bytes`] has to be called as well.
    pub(crate) fn write_bytes(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.written = self.written.saturating_add(bytes);
        if self.written > self.limits.output { Err(Exceeded::Output(self.limits.output)) } else { Ok(()) }
    }
}

fn cost<'a>(texts: impl IntoIterator<Item = &'a str>) -> usize {
    texts.into_iter().map(|text| text.len() + PER_TEXT).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_ends_before_transfer() {
        let mut budget = Budget::new(Limits::COMMAND);
        let line = "x".repeat((1 << 10) - PER_TEXT);
        for _ in 0..1 << 10 {
            budget.write([line.as_str()]).unwrap();
        }
        assert_eq!(budget.write([""]), Err(Exceeded::Output(1 << 20)));
    }

    #[test]
    fn the_transfer_of_a_whole_run_is_counted() {
        let mut budget = Budget::new(Limits::COMMAND);
        let half = "x".repeat((2 << 20) - PER_TEXT);
        budget.transfer([half.as_str()]).unwrap();
        budget.transfer([half.as_str()]).unwrap();
        assert_eq!(budget.transfer([""]), Err(Exceeded::Transfer(4 << 20)));
    }

    #[test]
    fn memories_and_tables_are_counted_together() {
        let mut budget = Budget::new(Limits::COMMAND);
        budget.memory(40 << 20).unwrap();
        budget.memory(24 << 20).unwrap();
        assert_eq!(budget.memory(1), Err(Exceeded::Memory(64 << 20)));
        budget.table_entries(TABLE_ENTRIES).unwrap();
        assert_eq!(budget.table_entries(1), Err(Exceeded::Tables(TABLE_ENTRIES)));
    }

    /// The page has every limit as it is here.
    #[test]
    fn the_documentation_has_every_limit() {
        let page = format!("{}/../../docs/reference/limits.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(page).unwrap();
        for structure::Limit { what, most } in structure::ALL {
            assert!(page.contains(&format!("\n| {what} | {most} |")), "{what} {most}");
        }
        let kinds = [Limits::POLICY, Limits::FORMAT, Limits::COMMAND];
        let row = |cell: fn(&Limits) -> String| kinds.each_ref().map(cell).join(" | ");
        for row in [
            row(|limits| format!("{} MiB, up to {}", limits.memory >> 20, limits.memory_ceiling >> 20)),
            row(|limits| format!("{} s", limits.guest_time.as_secs_f32())),
            row(|limits| format!("{} s", limits.wall_time.as_secs_f32())),
            row(|limits| limits.handles.to_string()),
        ] {
            assert!(page.contains(&format!("| {row} |")), "{row}");
        }
    }

    #[test]
    fn messages_name_the_limit() {
        assert_eq!(Exceeded::Memory(64 << 20).to_string(), "exceeded its memory limit (64 MiB)");
        assert_eq!(Exceeded::WallTime(Duration::from_secs(2)).to_string(), "exceeded its time limit (2 s)");
        let time = Exceeded::GuestTime(Duration::from_millis(250)).to_string();
        assert_eq!(time, "exceeded its processor time limit (0.25 s)");
    }

    #[test]
    fn a_plugin_gets_what_it_requests_up_to_the_ceiling() {
        let limits = |memory, guest| PartialLimits { memory_mib: memory, guest_ms: guest, wall_ms: None };
        let none = PartialLimits::default();
        assert_eq!(Limits::POLICY.granted(none, none), Limits::POLICY);
        let more = Limits::POLICY.granted(limits(Some(1000), Some(1000)), none);
        assert_eq!((more.memory, more.guest_time), (256 << 20, Duration::from_millis(250)));
        let less = Limits::POLICY.granted(limits(Some(8), Some(10)), none);
        assert_eq!((less.memory, less.guest_time), (8 << 20, Duration::from_millis(10)));
        let raised = Limits::POLICY.granted(limits(Some(1000), Some(900)), limits(Some(512), Some(1000)));
        assert_eq!((raised.memory, raised.guest_time), (512 << 20, Duration::from_millis(900)));
        let lowered = Limits::POLICY.granted(none, limits(Some(16), Some(50)));
        assert_eq!((lowered.memory, lowered.guest_time), (16 << 20, Duration::from_millis(50)));
    }
}

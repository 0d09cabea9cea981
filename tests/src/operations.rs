//! Generated policies and operations: what a policy is shown must be what the storages and the registry hold afterwards, and
//! what is denied must change nothing.
//!
//! The guest `policy-does` puts all that it is shown into its verdict, so the audit record has it. Beside it the shipped
//! `registry-policy` judges by settings that are generated, too. What there is say podman, skopeo, tar and the registry's own
//! files, before and after; names are compared by a few lines here. Our own reader has no say in it.

mod check;
mod generate;
mod lab;
mod report;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use check::check;
use generate::generate;
use lab::Lab;
use report::Report;

/// How many operations share a world, one after the other.
const BATCH: u64 = 50;
/// At once: each waits for podman most of the time.
const WORKERS: u64 = 2;
/// What is generated, by turns: what has most spellings comes most often.
const KINDS: [Kind; 15] = [
    Kind::Pull,
    Kind::Push,
    Kind::Save,
    Kind::Tag,
    Kind::Pull,
    Kind::Remove,
    Kind::Untag,
    Kind::PullFromDefault,
    Kind::Copy,
    Kind::Prune,
    Kind::Pull,
    Kind::Inspect,
    Kind::Push,
    Kind::Remove,
    Kind::Pull,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Pull,
    Push,
    Save,
    Inspect,
    Tag,
    Untag,
    Remove,
    Prune,
    PullFromDefault,
    Copy,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It was allowed, and did what was shown.
    Done,
    /// Nothing was to be done.
    Nothing,
    /// By a policy or by the host.
    Denied,
    /// Before it was judged: a name that means two images, or none.
    Refused,
}

/// What came of the operations.
#[derive(Debug, Default)]
pub struct Counts {
    /// For each kind: how many were done, had nothing to do, were denied, and were refused before they were judged.
    kinds: BTreeMap<Kind, [u64; 4]>,
    /// How many images were shown.
    pub shown: u64,
    pub failed: u64,
}

impl Counts {
    fn add(&mut self, kind: Kind, judged: Result<Ended, String>, report: Option<Report>) {
        match judged {
            Ok(ended) => self.kinds.entry(kind).or_default()[ended as usize] += 1,
            Err(_) => self.failed += 1,
        }
        let shown = report.into_iter().flat_map(|report| report.shown);
        self.shown += shown.map(|shown| shown.images.len() as u64).sum::<u64>();
    }

    pub fn allowed(&self) -> u64 {
        self.kinds.values().map(|ended| ended[0]).sum()
    }

    pub fn denied(&self) -> u64 {
        self.kinds.values().map(|ended| ended[2]).sum()
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (kind, [done, nothing, denied, refused]) in &self.kinds {
            writeln!(
                f,
                "{kind:?}: {done} allowed and done, {nothing} with nothing to do, {denied} denied, {refused} refused unjudged"
            )?;
        }
        let (allowed, denied) = (self.allowed(), self.denied());
        write!(f, "{allowed} allowed, {denied} denied, {} images shown, {} failed", self.shown, self.failed)
    }
}

/// Runs these seeds and prints a line for each that fails; of a single one what it was in any case. `guest` is `policy-does` as
/// it is installed: its files, by name.
pub fn run(seeds: Range<u64>, guest: &[(String, Vec<u8>)]) -> Counts {
    let lab = Lab::prepare(guest);
    let number = seeds.end - seeds.start;
    let batch = BATCH.min(number.div_ceil(WORKERS)).max(1);
    let (next, counts) = (AtomicU64::new(seeds.start), Mutex::new(Counts::default()));
    let worker = || {
        loop {
            let first = next.fetch_add(batch, Ordering::Relaxed);
            if first >= seeds.end {
                return;
            }
            let world = lab.world.copy();
            for seed in first..seeds.end.min(first + batch) {
                let case = generate(&lab, seed);
                let report = Report::of(&world, &case);
                let judged =
                    report.as_ref().map_err(Clone::clone).and_then(|report| check(&lab, &case, report));
                if judged.is_err() || number == 1 {
                    let report = report.as_ref().map_or_else(|_| String::new(), ToString::to_string);
                    println!("seed {seed}: {}: {judged:?}{report}", case.command());
                }
                counts.lock().expect("no thread panics with it").add(case.kind, judged, report.ok());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(worker);
        }
    });
    counts.into_inner().expect("no thread panics with it")
}

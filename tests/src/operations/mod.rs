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
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use check::check;
use generate::{Case, generate};
use lab::Lab;
use report::Report;

/// How many operations share a world, one after the other.
const BATCH: usize = 50;
/// At once: each waits for podman most of the time.
const WORKERS: usize = 2;
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
pub fn run(seeds: &[u64], guest: &[(String, Vec<u8>)]) -> Counts {
    let lab = Lab::prepare(guest);
    let batches: Vec<&[u64]> = seeds.chunks(BATCH.min(seeds.len().div_ceil(WORKERS)).max(1)).collect();
    let (next, counts) = (AtomicUsize::new(0), Mutex::new(Counts::default()));
    let worker = || {
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            let world = lab.world.copy();
            for seed in *batch {
                let case = generate(&lab, *seed);
                let report = Report::of(&world, &case);
                let judged = report.as_ref().map_err(Clone::clone).and_then(|report| {
                    let ended = check(&lab, &case, report)?;
                    unnoticed(&lab, &case, report)
                        .map_or(Ok(ended), |what| Err(format!("not noticed: {what}")))
                });
                if judged.is_err() || seeds.len() == 1 {
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

/// Something that could be wrong and that [`check`] wouldn't notice, if there is such a thing: who finds no difference must be
/// able to find one.
fn unnoticed(lab: &Lab, case: &Case, report: &Report) -> Option<String> {
    let mut tampered = report.tampered_with().into_iter();
    tampered.find_map(|(what, tampered)| check(lab, case, &tampered).is_ok().then_some(what))
}

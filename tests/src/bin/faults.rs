//! Faults at every boundary of every operation that writes: `faults [OPERATION] [CLASS] [FAULT] [--every N]`. Goes on after
//! a failure; the exit code says whether there was one.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bootc_image_tests::faults::injector::{CLASSES, Class, FAULTS, Fault};
use bootc_image_tests::faults::sweep::{Interrupted, OPERATIONS};

const MAX_FAILURES: usize = 20;

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let every = words.iter().position(|word| word == "--every").map_or(1, |at| {
        let number = words.drain(at..).nth(1).and_then(|number| number.parse().ok());
        number.expect("--every takes a number")
    });
    let wanted = |name: &str, known: &dyn Fn(&str) -> bool| {
        let chosen: Vec<&String> = words.iter().filter(|word| known(word)).collect();
        chosen.is_empty() || chosen.iter().any(|word| *word == name)
    };
    let is_operation = |name: &str| OPERATIONS.iter().any(|known| known.name == name);
    let is_class = |name: &str| CLASSES.iter().any(|known| known.name == name);
    let is_fault = |name: &str| FAULTS.iter().any(|known| known.name() == name);
    let mut failures = 0;
    for operation in OPERATIONS.iter().filter(|known| wanted(known.name, &is_operation)) {
        for class in CLASSES.iter().filter(|known| wanted(known.name, &is_class)) {
            for fault in FAULTS.iter().filter(|known| wanted(known.name(), &is_fault)) {
                failures += sweep(operation, *class, *fault, every);
            }
        }
    }
    ExitCode::from(u8::from(failures > 0))
}

/// Hits every call in turn, until one is beyond the last. Returns how many times something was wrong.
fn sweep(operation: &Interrupted, class: Class, fault: Fault, every: usize) -> usize {
    let (next, hits, failures) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let worker = || {
        // Calls differ a little from run to run: only several misses in a row mean the end. And where everything goes wrong,
        // there is nothing to learn from more of it.
        let mut misses = 0;
        while misses < 3 && failures.lock().expect("no thread panics with it").len() < MAX_FAILURES {
            let index = next.fetch_add(every, Ordering::Relaxed);
            let run = std::panic::catch_unwind(|| operation.run(class, index, fault));
            match run {
                Ok(report) if report.hit.is_some() => {
                    hits.fetch_add(1, Ordering::Relaxed);
                    misses = 0;
                }
                Ok(_) => misses += 1,
                Err(_) => failures.lock().expect("no thread panics with it").push(index),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
    let mut failures = failures.into_inner().expect("no thread panics with it");
    failures.sort_unstable();
    println!(
        "{} {} {}: {} hit, {} wrong {failures:?}",
        operation.name,
        class.name,
        fault.name(),
        hits.load(Ordering::Relaxed) + failures.len(),
        failures.len()
    );
    failures.len()
}

//! Every operation is asked to end at points spread over its whole run: `signals [OPERATION...] [FAULT...] [--points N] [--seed N]`.
//! Goes on after a failure; the exit code says whether there was one.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bootc_image_tests::faults::injector::{Fault, SIGNALS};
use bootc_image_tests::faults::interruptions::{Ended, OPERATIONS, Operation, point};

/// For each signal: half of them to the command alone, half to all of its processes.
const POINTS: usize = 20;
const SEED: u64 = 17;

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let points = option(&mut words, "--points").map_or(POINTS, |points| points as usize);
    let seed = option(&mut words, "--seed").unwrap_or(SEED);
    let wanted = |name: &str, known: &dyn Fn(&str) -> bool| {
        let mut chosen = words.iter().filter(|word| known(word)).peekable();
        chosen.peek().is_none() || chosen.any(|word| word == name)
    };
    let is_operation = |name: &str| OPERATIONS.iter().any(|known| known.name == name);
    let is_fault = |name: &str| SIGNALS.iter().any(|known| known.name() == name);
    if let Some(unknown) = words.iter().find(|word| !is_operation(word) && !is_fault(word)) {
        eprintln!("there is no operation and no signal {unknown}");
        return ExitCode::from(2);
    }
    println!("seed {seed}, {points} points for each signal");
    let start = Instant::now();
    let (mut runs, mut failures) = (0, 0);
    for operation in OPERATIONS.iter().filter(|known| wanted(known.name, &is_operation)) {
        let faults: Vec<Fault> =
            SIGNALS.into_iter().filter(|known| wanted(known.name(), &is_fault)).collect();
        let (ran, failed) = sweep(operation, &faults, points, seed);
        (runs, failures) = (runs + ran, failures + failed);
    }
    println!("{runs} runs, {failures} wrong, {} s", start.elapsed().as_secs());
    ExitCode::from(u8::from(failures > 0))
}

fn option(words: &mut Vec<String>, name: &str) -> Option<u64> {
    let at = words.iter().position(|word| word == name)?;
    let number = words.drain(at..(at + 2).min(words.len())).nth(1).and_then(|number| number.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{name} takes a number")))
}

/// Returns how many runs there were, and how many of them were wrong.
fn sweep(operation: &Operation, faults: &[Fault], points: usize, seed: u64) -> (usize, usize) {
    let ready = operation.prepare().counted();
    // Each signal has a name for each of its two ways.
    let plan: Vec<(Fault, usize)> = faults
        .iter()
        .flat_map(|fault| (0..points).map(move |number| (*fault, number)))
        .filter(|(fault, number)| number % 2 == usize::from(fault.name().ends_with("-all")))
        .collect();
    let next = AtomicUsize::new(0);
    let (ended, failures) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let worker = || {
        while let Some((fault, number)) = plan.get(next.fetch_add(1, Ordering::Relaxed)) {
            let index = point(&ready, *fault, *number, points, seed);
            match std::panic::catch_unwind(|| ready.run(index, *fault)) {
                Ok(how) => ended.lock().expect("no thread panics with it").push(how),
                Err(_) => _ = failures.fetch_add(1, Ordering::Relaxed),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
    let (ended, failures) = (ended.into_inner().expect("no thread panics with it"), failures.into_inner());
    let count = |wanted| ended.iter().filter(|how| **how == wanted).count();
    println!(
        "{}: {} calls, {} runs: {} interrupted, {} done all the same, {} over before, {failures} wrong",
        operation.name,
        ready.calls,
        plan.len(),
        count(Ended::Interrupted),
        count(Ended::Done),
        count(Ended::NotHit)
    );
    (plan.len(), failures)
}

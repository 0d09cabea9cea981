//! Compares whole commands in the emulated host, in turn: `bench [ROUNDS]`. What is printed are ratios of one run; absolute
//! times differ from machine to machine and from day to day.

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use bootc_image_tests::{World, programs};

/// In the world, where the commands are run.
const INSIDE: &str = "/usr/libexec/bench";
/// podman on bootc's store; the mount is made once, around all of it, so that only podman itself is timed.
const WITH_STORE: &str = "
    cd /sysroot/ostree/bootc/storage
    mkdir -p /run/bootc/storage
    exec 3</run/bootc/storage
    exec unshare --mount sh -euc 'mount --bind . /run/bootc/storage; exec \"$@\"' with-store /usr/libexec/bench inside";

/// tests/launcher.c
const LAUNCHER: &str = "/usr/libexec/launcher";

struct Pair {
    name: &'static str,
    ours: &'static [&'static str],
    theirs: &'static [&'static str],
    /// What the ratio must not exceed.
    bar: f64,
}

const PAIRS: &[Pair] = &[
    Pair {
        name: "cmd list against a launcher that only mounts and runs podman",
        ours: &["bootc-image", "cmd", "list"],
        theirs: &[LAUNCHER, "list"],
        bar: 1.12,
    },
    Pair {
        name: "copy-to-storage with nothing to do against podman --version",
        ours: &["bootc-image", "copy-to-storage"],
        theirs: &["podman", "--version"],
        bar: 0.5,
    },
    Pair {
        name: "list against podman image list, as JSON, same store",
        ours: &["bootc-image", "list", "--format", "json"],
        theirs: &[
            "podman",
            "--root=/run/bootc/storage",
            "--runroot=/proc/self/fd/3",
            "image",
            "list",
            "--format=json",
        ],
        bar: 0.1,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = |text: Option<&String>| text.map_or(200, |text| text.parse().expect("a number of rounds"));
    if arguments.first().is_some_and(|first| first == "inside") {
        return compare(rounds(arguments.get(1)));
    }
    let launcher = programs::target().join("launcher");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/launcher.c");
    let compiled = Command::new("cc").args(["-O2", "-static", source, "-o"]).arg(&launcher).status();
    assert!(compiled.is_ok_and(|status| status.success()), "the C compiler failed");
    let world = World::new();
    let enter = world.enter().program(&programs::ours("bench"), INSIDE).program(&launcher, LAUNCHER);
    let script = format!("{WITH_STORE} {}", rounds(arguments.first()));
    ExitCode::from(enter.run_in_sight(&["sh", "-euc", &script]) as u8)
}

fn compare(rounds: usize) -> ExitCode {
    let mut missed = false;
    for pair in PAIRS {
        time(pair.ours);
        time(pair.theirs);
        let times: Vec<(f64, f64)> = (0..rounds).map(|_| (time(pair.ours), time(pair.theirs))).collect();
        let ratios = sorted(times.iter().map(|(ours, theirs)| ours / theirs));
        let (low, high) = interval_of_median(&ratios);
        let median = |values: Vec<f64>| values[values.len() / 2];
        let (ours, theirs) =
            (median(sorted(times.iter().map(|t| t.0))), median(sorted(times.iter().map(|t| t.1))));
        println!(
            "{}: {:.3} [95%: {low:.3} to {high:.3}], bar {}, {rounds} rounds, medians {ours:.2} and {theirs:.2} ms",
            pair.name,
            median(ratios),
            pair.bar
        );
        missed |= high > pair.bar;
    }
    ExitCode::from(u8::from(missed))
}

/// How long a command takes as a whole process, in ms.
fn time(command: &[&str]) -> f64 {
    let begun = Instant::now();
    let status =
        Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()).status().expect("it starts");
    let taken: Duration = begun.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    taken.as_secs_f64() * 1e3
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Ranks of a binomial distribution with p = 1/2: no assumption on how times are distributed.
fn interval_of_median(sorted: &[f64]) -> (f64, f64) {
    let count = sorted.len() as f64;
    let reach = 0.98 * count.sqrt();
    let rank = |rank: f64| sorted[(rank.max(0.0) as usize).min(sorted.len() - 1)];
    (rank((count / 2.0 - reach).floor()), rank((count / 2.0 + reach).ceil()))
}

//! Compares whole commands in the emulated host, in turn: `bench [ROUNDS [digests]]`. What is printed are ratios of one run; absolute
//! times differ from machine to machine and from day to day.

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use bootc_image_tests::hostile::Ending;
use bootc_image_tests::world::Enter;
use bootc_image_tests::{World, programs};
use sha2::{Digest as _, Sha256};

/// In the world, where the commands are run.
const INSIDE: &str = "/usr/libexec/bench";
/// podman on bootc's store; the mount is made once, around all of it, so that only podman itself is timed.
const WITH_STORE: &str = "
    cd /sysroot/ostree/bootc/storage
    mkdir -p /run/bootc/storage
    exec 3</run/bootc/storage
    exec unshare --mount sh -euc 'mount --bind . /run/bootc/storage; exec \"$@\"' with-store /usr/libexec/bench inside";

/// Tells how much memory a command takes.
const MEASURED: &str = "/usr/libexec/measured";

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
        name: "list against a dynamic program that does nothing",
        ours: &["bootc-image", "list"],
        theirs: &["/usr/bin/true"],
        bar: 2.0,
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

/// What plugins add to a command: the same one with and without them, or with others, in turn.
struct Addition {
    name: &'static str,
    command: &'static [&'static str],
    /// The directory that is `/etc/bootc-image` for the first.
    with: &'static str,
    /// The one for the second; none: there is none.
    instead_of: Option<&'static str>,
    /// What the difference must not exceed, as a part of what [`YARDSTICK`] takes.
    bar: f64,
}

/// What differences are parts of: a small program that people run without waiting for it.
const YARDSTICK: &[&str] = &["podman", "--version"];

const ADDITIONS: &[Addition] = &[
    Addition {
        name: "a policy that judges, ten rules, added to a copy that isn't run",
        command: &["bootc-image", "--dry-run", "copy-to-storage"],
        with: POLICY,
        instead_of: None,
        bar: 0.03,
    },
    Addition {
        name: "a hundred plugins whom it doesn't concern, added to a list",
        command: &["bootc-image", "list", "--format", "json"],
        with: HUNDRED,
        instead_of: None,
        bar: 0.10,
    },
    Addition {
        name: "a native policy that judges, one rule, instead of one in WASM",
        command: &["bootc-image", "--dry-run", "copy-to-storage"],
        with: NATIVE,
        instead_of: Some(ONE_RULE),
        bar: 0.10,
    },
];

const SITE: &str = "/etc/bootc-image";
/// As above, with the shipped policy and ten rules.
const POLICY: &str = "/etc/bootc-image.policy";
/// As above, with a rule that has ten digests, or ten thousand.
const TEN_DIGESTS: &str = "/etc/bootc-image.ten-digests";
const MANY_DIGESTS: &str = "/etc/bootc-image.many-digests";
/// As above, with one rule.
const ONE_RULE: &str = "/etc/bootc-image.one-rule";
/// As above, with the example of a native policy, which has the same rule.
const NATIVE: &str = "/etc/bootc-image.native";
/// As above, with a hundred policies that are about something else.
const HUNDRED: &str = "/etc/bootc-image.hundred";
/// As above, with the format `csv`.
const FORMATS: &str = "/etc/bootc-image.formats";
/// As above, but the format has the two columns that JSON has.
const SAME_COLUMNS: &str = "/etc/bootc-image.same-columns";

/// The shipped policy with ten rules, and a hundred copies of it that are about something else.
fn with_plugins(world: &World) -> Enter {
    let directory = programs::required("plugins").join("registry-policy");
    let read = |name: &str| std::fs::read(directory.join(name)).expect("make build has packaged it");
    let (component, manifest) = (read("registry_policy.wasm"), read("plugin.toml"));
    let manifest = String::from_utf8(manifest).expect("a manifest is text");
    let sha256 =
        manifest.split("sha256 = \"").nth(1).and_then(|rest| rest.get(..64)).expect("it names its component");
    let of = |id: &str| manifest.replace("\"registry-policy\"", &format!("{id:?}"));
    let grant = |id: &str| {
        let manifest = format!("{:x}", Sha256::digest(of(id)));
        format!("[[grant]]\nplugin = \"{id}\"\nsha256 = \"{sha256}\"\nmanifest = \"{manifest}\"\n")
    };
    let rule = |number: u32| {
        format!(
            "[[settings.registry-policy.rule]]\neffect = \"allow\"\nregistry = [\"r{number}.example.com\", \"*.r{number}.example\"]\nrepository = [\"a/**\"]\n"
        )
    };
    let rules: String = (0..9).map(rule).collect();
    let last = "[[settings.registry-policy.rule]]\neffect = \"allow\"\nregistry = [\"*\"]\n";
    let settings = format!("[settings.registry-policy]\ndefault = \"allow\"\n{rules}{last}");
    let one_rule = "[settings.registry-policy]\ndefault = \"deny\"\n[[settings.registry-policy.rule]]\neffect = \"allow\"\nregistry = [\"127.0.0.1:5000\"]\n[[settings.registry-policy.rule]]\neffect = \"allow\"\nroles = [\"target\"]\n";
    let digests = |count: usize| {
        let list: String = (0..count).map(|number| format!("    \"sha256:{number:064x}\",\n")).collect();
        format!(
            "[settings.registry-policy]\ndefault = \"allow\"\n[[settings.registry-policy.rule]]\neffect = \"allow\"\ndigest = [\n{list}]\n"
        )
    };
    let (ten, many) = (digests(10), digests(10_000));
    let mut enter = world.enter();
    for (place, settings) in [
        (POLICY, settings.as_str()),
        (ONE_RULE, one_rule),
        (TEN_DIGESTS, ten.as_str()),
        (MANY_DIGESTS, many.as_str()),
    ] {
        enter = enter
            .file(&format!("{place}/plugins/registry-policy/plugin.toml"), &manifest)
            .file(&format!("{place}/plugins/registry-policy/registry_policy.wasm"), &component)
            .file(&format!("{place}/grants.d/a.toml"), grant("registry-policy"))
            .file(&format!("{place}/config.d/a.toml"), settings);
    }
    enter = native(enter);
    let hundred = HUNDRED;
    let ids: Vec<String> = (0..100).map(|number| format!("policy-{number}")).collect();
    for id in &ids {
        enter = enter
            .file(&format!("{hundred}/plugins/{id}/plugin.toml"), of(id))
            .file(&format!("{hundred}/plugins/{id}/registry_policy.wasm"), &component);
    }
    let csv = programs::required("plugins").join("csv-format");
    let read = |name: &str| std::fs::read(csv.join(name)).expect("make build has packaged it");
    let (component, manifest) = (read("csv_format.wasm"), read("plugin.toml"));
    let manifest = String::from_utf8(manifest).expect("a manifest is text");
    let six = r#"["image", "image_type", "digest", "id", "size", "created"]"#;
    assert!(manifest.contains(six), "{manifest}");
    let two = manifest.replace(six, r#"["image_type", "image"]"#);
    for (place, manifest) in [(FORMATS, manifest), (SAME_COLUMNS, two)] {
        let grant = format!(
            "[[grant]]\nplugin = \"csv-format\"\nsha256 = \"{:x}\"\nmanifest = \"{:x}\"\n",
            Sha256::digest(&component),
            Sha256::digest(&manifest)
        );
        enter = enter
            .file(&format!("{place}/plugins/csv-format/plugin.toml"), manifest)
            .file(&format!("{place}/plugins/csv-format/csv_format.wasm"), &component)
            .file(&format!("{place}/grants.d/a.toml"), grant);
    }
    let grants: String = ids.iter().map(|id| grant(id)).collect();
    enter.file(&format!("{hundred}/grants.d/a.toml"), grants)
}

/// The example of a native policy, enabled.
fn native(enter: Enter) -> Enter {
    let library = programs::target().join("one_registry.so");
    let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/../extension-sdk");
    let compiled = Command::new("cc")
        .args(["-O2", "-fPIC", "-shared", &format!("-I{sdk}/include"), "-o"])
        .arg(&library)
        .arg(format!("{sdk}/examples/one-registry/one_registry.c"))
        .status();
    assert!(compiled.is_ok_and(|status| status.success()), "the C compiler failed");
    let library = std::fs::read(library).expect("it was compiled");
    let sha256 = format!("{:x}", Sha256::digest(&library));
    let manifest = format!(
        "schema = 1\nid = \"one-registry\"\nversion = \"1.0.0\"\napi = \"^1.0\"\n[[native]]\nfile = \"one_registry.so\"\n\
         sha256 = \"{sha256}\"\nrole = \"policy\"\n"
    );
    let grant = format!(
        "[[grant]]\nplugin = \"one-registry\"\nkind = \"native\"\nsha256 = \"{sha256}\"\nmanifest = \"{:x}\"\n",
        Sha256::digest(&manifest)
    );
    let settings = "[native]\nenabled = true\n[settings.one-registry]\nregistry = \"127.0.0.1:5000\"\n";
    enter
        .file(&format!("{NATIVE}/plugins/one-registry/plugin.toml"), manifest)
        .file(&format!("{NATIVE}/plugins/one-registry/one_registry.so"), library)
        .file(&format!("{NATIVE}/grants.d/a.toml"), grant)
        .file(&format!("{NATIVE}/config.d/a.toml"), settings)
}

/// Runs the same command with and without plugins, or with others; prints by how much it takes longer. Returns whether that is too much.
fn add(addition: &Addition, rounds: usize) -> bool {
    let with = |place: &str, run: &mut dyn FnMut() -> f64| {
        std::fs::rename(place, SITE).expect("the world is ours");
        let taken = run();
        std::fs::rename(SITE, place).expect("the world is ours");
        taken
    };
    let mut run = || time(addition.command);
    with(addition.with, &mut run);
    let differences = sorted((0..rounds).map(|round| {
        // Each is first as often as the other.
        let other = |run: &mut dyn FnMut() -> f64| match addition.instead_of {
            Some(place) => with(place, run),
            None => run(),
        };
        let first = if round % 2 == 0 { other(&mut run) } else { 0.0 };
        let longer = with(addition.with, &mut run);
        (longer - if round % 2 == 0 { first } else { other(&mut run) }) / time(YARDSTICK)
    }));
    misses(addition.name, &differences, addition.bar)
}

/// Prints what was measured, as parts of what [`YARDSTICK`] takes. Returns whether that is too much.
fn misses(what: &str, sorted: &[f64], bar: f64) -> bool {
    let (low, high) = interval_of_median(sorted);
    println!(
        "{what}: {:.4} of podman --version [95%: {low:.4} to {high:.4}], bar {bar}, {} rounds",
        sorted[sorted.len() / 2],
        sorted.len()
    );
    high > bar
}

/// What ten thousand digests in an allow-list cost in addition to ten, as a part of what podman needs to print its version.
fn digests(rounds: usize) -> bool {
    const BAR: f64 = 0.03;
    let judged = |place: &str| {
        std::fs::rename(place, SITE).expect("the world is ours");
        let taken = time(&["bootc-image", "--dry-run", "copy-to-storage"]);
        std::fs::rename(SITE, place).expect("the world is ours");
        taken
    };
    judged(TEN_DIGESTS);
    let pairs: Vec<(f64, f64)> = (0..rounds)
        .map(|round| {
            // Each is first as often as the other.
            let early = if round % 2 == 0 { judged(TEN_DIGESTS) } else { 0.0 };
            let many = judged(MANY_DIGESTS);
            let ten = if round % 2 == 0 { early } else { judged(TEN_DIGESTS) };
            (many - ten, time(&["podman", "--version"]))
        })
        .collect();
    let longer = sorted(pairs.iter().map(|pair| pair.0));
    let podman = sorted(pairs.iter().map(|pair| pair.1))[rounds / 2];
    let (low, high) = interval_of_median(&longer);
    println!(
        "ten thousand digests in an allow-list instead of ten, against podman --version: {:.4} [95%: {:.4} to {:.4}], bar {BAR}, {rounds} \
         rounds, {:.3} ms and {podman:.2} ms",
        longer[rounds / 2] / podman,
        low / podman,
        high / podman,
        longer[rounds / 2],
    );
    high / podman > BAR
}

/// What a policy costs once it is loaded: a table of many cases, judged with it and without it, in turn.
fn warm(rounds: usize) -> bool {
    const CASES: usize = 2000;
    let case = "[[case]]\nrun = [\"copy-to-storage\", \"--source\", \"docker://quay.io/a/b:1\"]\nexpect = \"allow\"\n";
    std::fs::write("/run/many.toml", case.repeat(CASES)).expect("the world is ours");
    let run = || time(&["bootc-image", "policy", "test", "/run/many.toml"]);
    let each = sorted((0..rounds.div_ceil(10)).map(|_| {
        let without = run();
        std::fs::rename(POLICY, SITE).expect("the world is ours");
        let with = run();
        std::fs::rename(SITE, POLICY).expect("the world is ours");
        (with - without) / CASES as f64 / time(YARDSTICK)
    }));
    misses("a verdict of a policy that is loaded, ten rules", &each, 0.002)
}

/// What a plugin's format costs: a short list, and one of 100,000 rows.
fn formats(rounds: usize) -> bool {
    const JSON: &[&str] = &["bootc-image", "list", "--format", "json"];
    const CSV: &[&str] = &["bootc-image", "list", "--format", "csv"];
    // What printing costs, then what is read for four columns more as well.
    let mut missed = false;
    for (what, place) in [("the same two columns", SAME_COLUMNS), ("its six columns", FORMATS)] {
        std::fs::rename(place, SITE).expect("the world is ours");
        time(CSV);
        let differences = sorted((0..rounds).map(|_| (-time(JSON) + time(CSV)) / time(YARDSTICK)));
        let what = format!("a plugin's format with {what} instead of JSON, a short list");
        missed |= misses(&what, &differences, 0.015);
        std::fs::rename(SITE, place).expect("the world is ours");
    }

    std::fs::rename(FORMATS, SITE).expect("the world is ours");
    time(CSV);
    let index = "/sysroot/ostree/bootc/storage/overlay-images/images.json";
    let before = std::fs::read(index).expect("there is a store");
    let image = |number: usize| {
        format!(
            "{{\"id\":\"{number:064x}\",\"names\":[\"registry.example/team-{}/image-{number}:1.0\"]}}",
            number % 97
        )
    };
    let images: Vec<String> = (0..100_000).map(image).collect();
    std::fs::write(index, format!("[{}]", images.join(","))).expect("the world is ours");
    let ratios = sorted((0..rounds.div_ceil(5)).map(|_| 1.0 / time(JSON) * time(CSV)));
    let (low, high) = interval_of_median(&ratios);
    println!(
        "a plugin's format against JSON, 100,000 rows: {:.3} [95%: {low:.3} to {high:.3}], bar 2.5",
        ratios[ratios.len() / 2]
    );
    missed |= high > 2.5;
    let (ours, theirs) = (memory(CSV), memory(JSON));
    println!("  and its memory: {ours:.1} MiB against {theirs:.1} MiB, bar 4 MiB more");
    std::fs::write(index, before).expect("the world is ours");
    std::fs::rename(SITE, FORMATS).expect("the world is ours");
    missed || ours - theirs > 4.0
}

/// The most memory that a command takes, in MiB.
fn memory(command: &[&str]) -> f64 {
    let output = Command::new(MEASURED).args(["60000", "60000"]).args(command).output().expect("it starts");
    let ending: Ending = serde_json::from_slice(&output.stdout).expect("what it tells is JSON");
    assert_eq!(ending.code, Some(0), "{ending:?}");
    ending.peak_kib as f64 / 1024.0
}

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
    let enter = with_plugins(&world)
        .program(&programs::ours("bench"), INSIDE)
        .program(&programs::ours("measured"), MEASURED)
        .program(&launcher, LAUNCHER);
    let only = arguments.get(1).map(String::as_str).unwrap_or_default();
    let script = format!("{WITH_STORE} {} {only}", rounds(arguments.first()));
    ExitCode::from(enter.run_in_sight(&["sh", "-euc", &script]) as u8)
}

fn compare(rounds: usize) -> ExitCode {
    let mut missed = false;
    // One measurement alone, for somebody who works on it.
    if std::env::args().nth(3).is_some_and(|only| only == "digests") {
        return ExitCode::from(u8::from(digests(rounds)));
    }
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
    for addition in ADDITIONS {
        missed |= add(addition, rounds);
    }
    missed |= digests(rounds);
    missed |= warm(rounds);
    missed |= formats(rounds);
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

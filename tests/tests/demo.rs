//! `make demo` and the README: what stands there is what is printed, and the machine stays as it was.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use bootc_image_tests::{machine, programs, world};

const README: &str = include_str!("../../README.md");

/// Runs the demo in a directory of its own; what it prints, and what is different on the machine afterwards.
fn demo(name: &str) -> (String, Vec<String>) {
    let directory = world::directory().join(name);
    let run = || {
        let mut demo = Command::new(programs::ours("demo"));
        let output = demo.arg("--transcript").arg(&directory).output().unwrap();
        assert!(output.status.success(), "{output:#?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run();
    let before = machine::snapshot();
    let again = run();
    let changes = machine::difference(&before, &machine::snapshot());
    std::fs::remove_dir_all(directory).unwrap();
    (again, changes)
}

/// Output by command. What differs from run to run is masked: digests, ids, ages, and the width of the space around them.
fn by_command(transcript: &str) -> BTreeMap<String, Vec<String>> {
    let mut commands = BTreeMap::new();
    for section in format!("\n{transcript}").split("\n# ").skip(1) {
        let mut lines = section.lines().map(masked);
        let command = lines.next().unwrap_or_default();
        commands.insert(command, lines.filter(|line| !line.is_empty()).collect());
    }
    commands
}

fn masked(line: &str) -> String {
    let word = |word: &str| -> String {
        let hexadecimal = |part: &str| part.len() >= 12 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        match word.rsplit_once(':') {
            Some((head, tail)) if hexadecimal(tail) => format!("{head}:HEX"),
            _ if hexadecimal(word) => "HEX".to_owned(),
            _ => word.trim_end_matches('"').to_owned(),
        }
    };
    let line =
        line.split_whitespace().map(|part| word(part.trim_end_matches('"'))).collect::<Vec<_>>().join(" ");
    let ago =
        line.find(" years ago").and_then(|at| Some((line.get(..at)?.rsplit_once(' ')?.0, line.get(at..)?)));
    match ago {
        Some((before, after)) => format!("{before} N{after}"),
        None => line,
    }
}

#[test]
fn the_readme_shows_what_the_demo_prints_and_nothing_else_changes() {
    let (transcript, changes) = demo("demo-of-the-readme");
    assert!(changes.is_empty(), "{changes:#?}");

    let printed = by_command(&transcript);
    let block = README.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let promised = by_command(block);
    assert!(promised.len() >= 5, "{promised:#?}");
    for (command, output) in &promised {
        assert_eq!(printed.get(command), Some(output), "{command}");
    }
}

#[test]
fn without_root_the_demo_says_what_it_needs() {
    // Where others may enter all directories above.
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("demo");
    std::fs::copy(programs::ours("demo"), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=1000", "--regid=1000", "--clear-groups", "--"])
        .arg(program)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.starts_with("The demo needs root"), "{output:#?}");
    assert_eq!(output.status.code(), Some(1));
}

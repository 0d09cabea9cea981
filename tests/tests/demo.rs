//! `make demo`, the page about it and the README: they show what is printed, and the machine stays as it was. And `make shell`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bootc_image_tests::guide::masked;
use bootc_image_tests::{machine, programs, world};

/// Each with how many commands it shows at least.
const PAGES: [(&str, usize); 2] = [("README.md", 3), ("docs/tutorial/demo.md", 14)];

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

/// Output by command, without what differs from run to run.
fn by_command(transcript: &str) -> BTreeMap<String, Vec<String>> {
    let mut commands = BTreeMap::new();
    for section in format!("\n{transcript}").split("\n# ").skip(1) {
        let mut lines = section.lines().map(masked);
        let command = lines.next().unwrap_or_default();
        commands.insert(command, lines.filter(|line| !line.is_empty()).collect());
    }
    commands
}

/// With `BLESS=1` the pages get what is printed.
#[test]
fn the_pages_show_what_the_demo_prints_and_nothing_else_changes() {
    let (transcript, changes) = demo("demo-of-the-readme");
    assert!(changes.is_empty(), "{changes:#?}");

    let printed = by_command(&transcript);
    for (name, least) in PAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, blessed(&std::fs::read_to_string(&path).unwrap(), &transcript)).unwrap();
        }
        let page = std::fs::read_to_string(&path).unwrap();
        let block = page.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let promised = by_command(block);
        assert!(promised.len() >= least, "{name}: {promised:#?}");
        for (command, output) in &promised {
            assert_eq!(printed.get(command), Some(output), "{name}: {command}");
        }
    }
}

/// The page with what the demo prints for each of its commands, where that differs.
fn blessed(page: &str, transcript: &str) -> String {
    let sections: Vec<&str> = transcript.split("\n\n").map(str::trim).collect();
    let (before, rest) = page.split_once("```console\n").unwrap();
    let (block, after) = rest.split_once("```").unwrap();
    let section = |shown: &str| {
        let command = shown.lines().next().unwrap_or_default();
        let printed = sections.iter().find(|section| section.lines().next() == Some(command));
        let printed = printed.copied().unwrap_or(shown);
        if by_command(printed) == by_command(shown) { shown.to_owned() } else { printed.to_owned() }
    };
    let sections: Vec<String> = block.trim().split("\n\n").map(section).collect();
    format!("{before}```console\n{}\n```{after}", sections.join("\n\n"))
}

/// What is typed there runs on a host with everything installed; each time it is a fresh one.
#[test]
fn a_shell_is_one_on_an_emulated_host() {
    let directory = world::directory().join("demo-shell");
    for _ in 0..2 {
        let command = format!("{} --shell {}", programs::ours("demo").display(), directory.display());
        let mut script = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut terminal = script.stdin.take().unwrap();
        terminal.write_all(b"test ! -e /etc/x && touch /etc/x && bootc-image list --type logical\n").unwrap();
        terminal.write_all(b"ls /usr/share/bootc-image/plugins /run/share; exit 7\n").unwrap();
        let output = script.wait_with_output().unwrap();
        drop(terminal);
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(7), "{shown}");
        for part in ["localhost/tool:1", "registry-policy", "What you put into"] {
            assert!(shown.contains(part), "{shown}");
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_shell_needs_a_terminal() {
    let output = Command::new(programs::ours("demo")).arg("--shell").output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(1), &b"A shell needs a terminal.\n"[..])
    );
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

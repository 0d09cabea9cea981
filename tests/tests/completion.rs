//! Completion in the shells themselves: what is typed at a terminal, with the Tab key, and what the shell then runs.

mod plugins;

use std::time::{Duration, Instant};

use bootc_image_tests::world::Enter;
use bootc_image_tests::{World, programs};
use plugins::{IMAGE, install, ship_in_image};

/// Runs nothing but what completes: everything else is written down, a line a command. In front of the real one on the `PATH`.
const RECORDER: &str = "#!/bin/sh\ncase ${1-} in complete) exec /usr/bin/bootc-image \"$@\" ;; esac\n\
                        printf '%s|' \"$@\" >>/tmp/ran; echo >>/tmp/ran\n";

/// What is typed, with a tab where the key is pressed, and what is run.
const TYPED: [(&str, &str); 12] = [
    ("exi\tabc", "exists|abc|"),
    ("copy-to-st\t--sou\tlocalhost/app:st\t", "copy-to-storage|--source|localhost/app:stable|"),
    // A colon and an equals sign end a word of bash.
    ("remove localhost/ap\t", "remove|localhost/app:stable|"),
    ("pull-from-default-storage 127.0.0.1:5\t", "pull-from-default-storage|127.0.0.1:5000/lab/app:1|"),
    ("list --format c\t", "list|--format|csv|"),
    ("list --format=c\t", "list|--format=csv|"),
    ("list --format temp\tx", "list|--format|template=x|"),
    ("plugin show podman-a\t", "plugin|show|podman-allowlist|"),
    ("cmd ins\tlocalhost/ap\t", "cmd|inspect|localhost/app:stable|"),
    ("cmd pull --tl\t", "cmd|pull|--tls-verify|"),
    ("help pol\tex\t", "help|policy|explain|"),
    ("--sysroot /sysr\t exi\tx", "--sysroot|/sysroot|exists|x|"),
];

/// `cmd inspect` is provided by podman-maintenance. Nothing can be loaded: the code is not code.
fn enter(world: &World) -> Enter {
    let shipped = ["csv-format", "template-format", "podman-maintenance"];
    let enter = shipped.into_iter().fold(world.enter(), ship_in_image);
    enter
        .file(&format!("{IMAGE}/csv-format/csv_format.wasm"), "not a component")
        .file_with_mode("/tmp/bin/bootc-image", RECORDER, 0o755)
        .env("PATH", "/tmp/bin:/usr/bin:/usr/sbin")
        .env("TERM", "dumb")
}

/// Types everything into an interactive shell, after the completion was set up in it.
fn type_into(shell: &str, set_up: &str) {
    let world = World::new();
    let lines: String = TYPED.iter().map(|(typed, _)| format!("bootc-image {typed}\n")).collect();
    let script = format!(
        "for shell in bash zsh fish; do /usr/bin/bootc-image completion $shell >/tmp/completion.$shell; done
        touch /tmp/ran
        cd /
        script -qec '{shell}' /tmp/terminal </tmp/typed >/dev/null 2>&1 || true
        cat /tmp/ran; cat /tmp/terminal >&2"
    );
    let output = enter(&world).file("/tmp/typed", format!("{set_up}\n{lines}exit\n")).sh(&script).ok();
    let expected: Vec<&str> = TYPED.iter().map(|(_, ran)| *ran).collect();
    // zsh takes the slash of a directory away again when the word ends.
    let ran = output.stdout.replace("/sysroot/|", "/sysroot|");
    assert_eq!(ran.lines().collect::<Vec<_>>(), expected, "{output:#?}");
}

#[test]
fn bash_completes() {
    type_into("bash --noprofile --norc -i", "source /tmp/completion.bash");
}

#[test]
fn zsh_completes() {
    type_into("zsh -f -i", "autoload -Uz compinit; compinit -u -D; source /tmp/completion.zsh");
}

#[test]
fn fish_completes() {
    type_into("fish --no-config --interactive", "source /tmp/completion.fish");
}

/// The words that the program offers, without their descriptions.
fn offered(enter: Enter, words: &[&str]) -> Vec<String> {
    let output = enter.run(&[&["/usr/bin/bootc-image", "complete", "--"], words].concat()).ok();
    assert_eq!(output.stderr, "", "nobody writes where somebody types");
    let mut lines = output.stdout.lines();
    let kind = lines.next().map(str::to_owned);
    kind.into_iter()
        .filter(|kind| kind != ":words")
        .chain(lines.map(|line| line.split('\t').next().unwrap().to_owned()))
        .collect()
}

#[test]
fn what_can_be_typed_is_offered() {
    let world = World::new();
    let offered = |words: &[&str]| offered(enter(&world), words);
    assert!(offered(&[""]).starts_with(&["list".into(), "exists".into()]));
    assert!(!offered(&[""]).contains(&"complete".to_owned()));
    assert_eq!(offered(&["list", "--format", ""]), ["table", "json", "csv", "template="]);
    assert_eq!(offered(&["list", "--type", "u"]), ["unified"]);
    assert_eq!(offered(&["list", "--format-f"]), ["--format-fallback"]);
    assert_eq!(offered(&["plugin", "list", "--format", ""]), ["table", "json"]);
    assert_eq!(offered(&["cmd", "pu"]), ["pull", "push"]);
    assert_eq!(offered(&["policy", "explain", "cmd", "pu"]), ["pull", "push"]);
    assert_eq!(offered(&["-q", "--sysroot", "/", "plugin", "show", "csv"]), ["csv-format"]);
    assert_eq!(offered(&["help", "plugin", "do"]), ["doctor"]);
    assert_eq!(offered(&["help", "remove", ""]), [] as [&str; 0]);
    assert_eq!(offered(&["--sysroot", ""]), [":directories"]);
    assert_eq!(offered(&["policy", "test", ""]), [":files"]);
    assert_eq!(offered(&["cmd", "build", ""]), [":files"]);
    assert_eq!(offered(&["cmd", "pull", "--arch", ""]), [] as [&str; 0]);
    assert_eq!(offered(&["remove", "--", "localhost/"]), ["localhost/app:stable"]);
    // The images of what is named, and in podman's storage, of podman.
    let mine = "localhost/mine:1".to_owned();
    assert!(offered(&["pull-from-default-storage", "localhost/"]).contains(&mine));
    assert!(!offered(&["remove", ""]).contains(&mine));
    let booted = world.facts().booted.image.clone();
    assert!(offered(&["exists", ""]).contains(&booted));
    assert!(offered(&["exists", "docker:"]).contains(&format!("docker://{booted}")));
    assert_eq!(offered(&["--sysroot", "/nowhere", "exists", ""]), [] as [&str; 0]);
}

/// Without root, without a plugin that runs, without a word, and quickly.
#[test]
fn nothing_is_shown_that_the_caller_cannot_read_and_nothing_runs() {
    let world = World::new();
    let before = world.record();
    // A policy that would deny the list, if it was asked, and that takes its time.
    let slow = || {
        install(enter(&world), "policy-does", IMAGE)
            .file("/usr/lib/bootc-image/grants.d/policy-does.toml", "[[grant]]\nplugin = \"policy-does\"\n")
            .file("/usr/lib/bootc-image/config.d/50-test.toml", "settings.policy-does.do = \"loop\"\n")
            .env("RUST_LOG", "trace")
    };
    let start = Instant::now();
    assert_eq!(offered(slow(), &["remove", "localhost/"]), ["localhost/app:stable"]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // A user cannot read the storages, and sees what is in the ostree repository.
    assert_eq!(offered(slow().as_uid(1000), &["remove", ""]), [] as [&str; 0]);
    assert_eq!(offered(slow().as_uid(1000), &["pull-from-default-storage", ""]), [] as [&str; 0]);
    assert!(!offered(slow().as_uid(1000), &["exists", ""]).is_empty());
    assert!(offered(slow().as_uid(1000), &["plugin", "show", ""]).contains(&"csv-format".to_owned()));
    // Who became root by delegation would read with root's rights what policies may keep from them.
    assert_eq!(offered(slow().env("SUDO_UID", "1000"), &["remove", ""]), [] as [&str; 0]);
    // Everything may be broken.
    let broken = slow().file("/etc/bootc-image/config.d/x.toml", "nonsense");
    assert_eq!(offered(broken, &["cmd", "pu"]), ["pull", "push"]);
    assert_eq!(offered(enter(&world).not_booted(), &["remove", ""]), [] as [&str; 0]);
    assert_eq!(world.record(), before);
}

/// Whoever chooses the names of images chooses no commands: bash inserts names as they are.
#[test]
fn a_name_that_a_shell_would_interpret_is_not_offered() {
    let world = World::new();
    let script = "cd /sysroot/ostree/bootc/storage/overlay-images
        jq -c '.[0].names += [\"localhost/a;reboot:1\", \"localhost/$(reboot):1\", \"localhost/b c:1\", \"localhost/fine:1\"]' images.json >/tmp/x
        cat /tmp/x >images.json; /usr/bin/bootc-image complete -- remove localhost/";
    let output = enter(&world).sh(script).ok();
    assert!(output.stdout.contains("localhost/fine:1"), "{output:#?}");
    assert!(!output.stdout.contains(['$', ';', ' ']), "{output:#?}");
    assert!(programs::lab("bootc-image").is_some());
}

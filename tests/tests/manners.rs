//! Manners: what every program does that people type and put into pipes. The transcript in `tests/golden/transcript.txt` shows it.

mod plugins;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use bootc_image_tests::World;
use bootc_image_tests::world::Enter;
use plugins::{IMAGE, install, install_in_image, ship_in_image};
use serde_json::Value;

/// Runs a command whose standard output is a pipe that nobody reads any more.
fn unread(command: &str) -> String {
    format!(
        "mkfifo /tmp/pipe; (exec 9</tmp/pipe; sleep 0.2) & exec 8>/tmp/pipe; wait; code=0; \
         {command} >&8 || code=$?; echo $code"
    )
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let world = World::new();
    for command in [
        "bootc-image list",
        "bootc-image list --format json",
        "bootc-image list --format csv",
        "bootc-image --help",
        "bootc-image help cmd pull",
        "bootc-image plugin list",
        "bootc-image plugin doctor",
        "bootc-image policy explain list",
        "bootc-image completion zsh",
    ] {
        let output = ship_in_image(world.enter(), "csv-format").sh(&unread(command)).ok();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("0\n", ""), "{command}: {output:#?}");
    }
    // Other exit codes stay, and their messages.
    let output = world.enter().as_uid(1000).sh(&unread("bootc-image list")).ok();
    assert!(output.stdout == "1\n" && output.stderr.starts_with("error: "), "{output:#?}");
    let output = world.enter().sh(&unread("bootc-image --dry-run cmd list --root /x")).ok();
    assert!(output.stdout == "77\n" && output.stderr.contains("denied: "), "{output:#?}");
}

#[test]
fn the_first_of_thousands_of_images_is_all_that_head_shows() {
    let world = World::new();
    let script = "set -o pipefail
        cd /sysroot/ostree/bootc/storage/overlay-images
        jq -c '.[0] as $one | [range(5000) as $n | $one * {names: [\"localhost/many/\\($n):1\"]}]' images.json >/tmp/x
        cat /tmp/x >images.json; cd /
        bootc-image list --type unified | head -1; echo ${PIPESTATUS[0]}
        bootc-image list --type unified | wc -l";
    let output = world.enter().run(&["bash", "-euc", script]).ok();
    let lines = output.lines();
    assert!(lines[0].starts_with("REPOSITORY") && lines[1..] == ["0", "5001"], "{output:#?}");
    assert_eq!(output.stderr, "");
}

/// What was done is done, and recorded, whoever reads about it.
#[test]
fn an_operation_is_done_and_recorded_although_nobody_reads_its_report() {
    let world = World::new();
    let output = world.enter().sh(&unread("bootc-image remove localhost/app:stable")).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("0\n", ""), "{output:#?}");
    let record = world.record();
    assert_eq!(record.last().unwrap()["result"], "done", "{record:#?}");
    world.enter().run(&["bootc-image", "exists", "localhost/app:stable"]).exits(1);
    // A full disk is an error, and the operation is done and recorded all the same.
    let output =
        world.enter().sh("bootc-image pull-from-default-storage localhost/mine:1 >/dev/full").exits(1);
    assert!(
        output.stderr.contains("cannot write to standard output: No space left on device"),
        "{output:#?}"
    );
    assert!(output.stderr.contains("  hint: free space where the output is written"), "{output:#?}");
    assert_eq!(world.record().last().unwrap()["result"], "done");
    world.enter().run(&["bootc-image", "exists", "localhost/mine:1"]).ok();
}

fn help(enter: Enter, words: &str) -> String {
    let output = enter.sh(&format!("bootc-image {words}")).ok();
    assert_eq!(output.stderr, "", "{words}");
    output.stdout
}

#[test]
fn help_is_the_same_however_it_is_asked_for() {
    let world = World::new();
    let enter = || ship_in_image(world.enter(), "csv-format").as_uid(1000);
    for ways in [
        &["--help", "help", "help help", "help --help"][..],
        &["list --help", "help list"],
        &["plugin --help", "help plugin", "plugin help"],
        &["policy explain --help", "help policy explain", "policy help explain"],
        &["cmd --help", "cmd help", "help cmd", "cmd", "cmd help help"],
        &[
            "cmd pull --help",
            "help cmd pull",
            "cmd help pull",
            "cmd pull -h",
            "policy explain cmd pull --help",
        ],
        &["prune --help", "help prune"],
    ] {
        let first = help(enter(), ways[0]);
        assert!(first.contains("Usage: bootc-image"), "{first}");
        for way in &ways[1..] {
            assert_eq!(help(enter(), way), first, "{way}");
        }
    }
    assert!(help(enter(), "help list").contains("[csv-format]"));
    for words in ["cmd help nonsense", "help cmd nonsense", "cmd nonsense --help"] {
        let output = world.enter().sh(&format!("bootc-image {words}")).exits(2);
        assert_eq!(
            output.stderr,
            "error: there is no subcommand `cmd nonsense`\n  hint: list the subcommands with: bootc-image cmd --help\n"
        );
    }
    let disabled = install(world.enter(), "command-asks", IMAGE).sh("bootc-image cmd diff --help").exits(2);
    assert!(disabled.stderr.contains("plugin command-asks provides it but is disabled"), "{disabled:#?}");
    assert_eq!(world.record(), [] as [Value; 0], "help is no operation");
}

/// Every command, at every width: no line is longer than the terminal, except for command lines to copy.
#[test]
fn help_fits_the_terminal() {
    let world = World::new();
    let commands = [
        "",
        "list",
        "exists",
        "copy-to-storage",
        "pull-from-default-storage",
        "set-unified",
        "remove",
        "prune",
        "repair",
        "cmd",
        "completion",
        "plugin",
        "plugin list",
        "plugin show",
        "plugin approve",
        "plugin revoke",
        "plugin doctor",
        "policy",
        "policy explain",
        "policy test",
        "cmd pull",
        "cmd build",
        "cmd list",
        "cmd push",
        "cmd inspect",
    ];
    let all: Vec<String> = commands.map(|command| format!("bootc-image help {command}; echo ===")).into();
    for (columns, widest) in [(40, 40), (80, 80), (250, 100)] {
        let script = format!("script -qec 'stty rows 40 cols {columns}; {}' /dev/null", all.join("; "));
        let output = world.enter().sh(&script).ok();
        assert_eq!(output.stdout.matches("===").count(), commands.len(), "{output:#?}");
        let mut longest = 0;
        for line in output.stdout.lines().map(str::trim_end) {
            // What clap does not break: an option with its value, and command lines.
            let is_one_word = line.split_whitespace().count() <= 2;
            let is_command = line.trim_start().starts_with("bootc-image ")
                || line.trim_start().starts_with("if bootc-image")
                || line.starts_with("Usage: ");
            if !is_one_word && !is_command {
                longest = longest.max(line.chars().count());
                assert!(line.chars().count() <= widest, "{columns}: {line}");
            }
        }
        assert!(longest > widest - 10, "{columns}: {longest}");
    }
}

const BOOTC: &str = "ln -s /usr/bin/bootc-image /tmp/bootc; ln -s /usr/bin/bootc-image /tmp/other-name";

#[test]
fn help_names_the_command_as_it_was_typed() {
    let world = World::new();
    for words in [
        "--help",
        "help list",
        "list --help",
        "help cmd pull",
        "cmd --help",
        "policy help explain",
        "help exists",
        "help prune",
    ] {
        let output = world.enter().sh(&format!("{BOOTC}; /tmp/bootc image {words}; /tmp/other-name {words} >/tmp/a; bootc-image {words} >/tmp/b; cmp /tmp/a /tmp/b")).ok();
        assert!(output.stdout.contains("Usage: bootc image"), "{output:#?}");
        let begins =
            |line: &str| line.trim_start().starts_with("bootc-image ") || line.contains("Usage: bootc-image");
        let known = ["List the images", "bootc-image works"];
        for line in output.stdout.lines().filter(|line| begins(line)) {
            assert!(known.iter().any(|known| line.contains(known)), "{words}: {line}");
        }
    }
    let output = world.enter().sh(&format!("{BOOTC}; /tmp/bootc image lst")).exits(2);
    assert!(output.stderr.contains("Usage: bootc image [OPTIONS] <COMMAND>"), "{output:#?}");
}

#[test]
fn a_typing_error_never_leads_to_a_removal() {
    let world = World::new();
    for (words, tip) in [
        ("upgrade", Some("this is a command of bootc: run `bootc upgrade`")),
        ("status", Some("this is a command of bootc: run `bootc status`")),
        ("policy explain upgrade", Some("this is a command of bootc: run `bootc upgrade`")),
        ("lst", Some("a similar subcommand exists: 'list'")),
        ("image list", Some("leave out `image`, for example: bootc-image list")),
        (
            "rmi x",
            Some(
                "podman's image commands run with `bootc-image cmd`; list them with: bootc-image cmd --help",
            ),
        ),
        ("prnue", None),
        ("remov x", None),
        ("plugin revok x", None),
        ("prune --al", None),
    ] {
        let output = world.enter().sh(&format!("bootc-image {words}")).exits(2);
        let tips = output.stderr.lines().filter_map(|line| line.trim_start().strip_prefix("tip: "));
        assert_eq!(tips.collect::<Vec<_>>(), tip.into_iter().collect::<Vec<_>>(), "{output:#?}");
    }
}

#[test]
fn the_log_says_what_is_read_decided_and_started() {
    let world = World::new();
    let enter = || {
        install_in_image(world.enter(), "policy-does")
            .file("/etc/bootc-image/config.d/50-a.toml", "settings.policy-does.do = \"allow\"\n")
    };
    assert_eq!(enter().run(&["bootc-image", "list"]).ok().stderr, "");
    for (arguments, filter) in [(&["-v"][..], None), (&[], Some("info"))] {
        let enter = filter.into_iter().fold(enter(), |enter, filter| enter.env("RUST_LOG", filter));
        let log = enter.run(&[&["bootc-image", "list"], arguments].concat()).ok().stderr;
        for expected in [
            "reading the configuration file=/etc/bootc-image/config.d/50-a.toml",
            "reading grants file=/usr/lib/bootc-image/grants.d/policy-does.toml",
            "found a plugin plugin=\"policy-does\"",
            "reading the ostree repository path=/sysroot/ostree/repo",
            "reading a container storage file=/sysroot/ostree/bootc/storage/overlay-images/images.json",
            "reading the list of bound images path=/usr/lib/bootc/bound-images.d",
            "allowed operation=\"list\" by=\"policy-does\"",
        ] {
            assert!(log.contains(expected), "{expected}: {log}");
        }
    }
    let denied = "settings.policy-does.do = \"deny\"\n";
    let output = enter()
        .file("/etc/bootc-image/config.d/50-a.toml", denied)
        .run(&["bootc-image", "-v", "remove", "localhost/app:stable"])
        .exits(77);
    assert!(output.stderr.contains("denied operation=\"remove\" by=\"policy-does\""), "{output:#?}");
}

/// Neither what is denied because it is a secret, nor what podman gets that often is one.
#[test]
fn the_log_has_no_secrets() {
    let world = World::new();
    let podman = "#!/bin/sh\nexit 0\n";
    let build = "cd /tmp; echo 'FROM scratch' >Containerfile; \
                 bootc-image -vvv cmd build --build-arg TOKEN=hunter2 --build-arg=OTHER=hunter2 --tag localhost/x:1 .";
    let output = world.enter().file_with_mode("/usr/bin/podman", podman, 0o755).sh(build);
    assert!(output.stderr.contains("starting") && output.stderr.contains("<hidden>"), "{output:#?}");
    assert!(!output.stderr.contains("hunter2"), "{output:#?}");
    for creds in ["--creds=user:hunter2", "--creds user:hunter2"] {
        let output = world.enter().sh(&format!("bootc-image -vvv cmd pull {creds} quay.io/x/y:1")).exits(77);
        assert!(!output.stderr.contains("hunter2"), "{output:#?}");
    }
}

#[test]
fn errors_are_json_where_the_log_is() {
    let world = World::new();
    let lines = |enter: Enter, words: &str, code: i32| {
        let output = enter.sh(&format!("bootc-image --log-format json {words}")).exits(code);
        let lines = output.stderr.lines().map(|line| {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        lines.collect::<Vec<_>>()
    };
    let last = |lines: Vec<Value>| {
        let line = lines.last().cloned().unwrap_or_default();
        let fields = line["fields"].clone();
        (line["level"].clone(), fields)
    };
    let (level, fields) = last(lines(world.enter(), "remove localhost/nothing:1", 1));
    assert_eq!(level, "ERROR");
    assert_eq!(fields["message"], "Source image not found: localhost/nothing:1");
    assert_eq!(fields["hint"], "to list images, run: bootc-image list --type unified");
    assert_eq!(fields["exit_code"], 1);
    let (_, fields) = last(lines(world.enter(), "cmd mount x", 77));
    assert!(fields["message"].as_str().unwrap().starts_with("denied: "), "{fields}");
    assert!(fields["hint"].is_string() && fields["exit_code"] == 77, "{fields}");
    let (_, fields) = last(lines(world.enter(), "nonsense", 2));
    assert!(
        fields["message"].as_str().unwrap().starts_with("unrecognized subcommand 'nonsense'"),
        "{fields}"
    );
    assert_eq!(fields["exit_code"], 2);
    let (_, fields) = last(lines(world.enter(), "list --format nothing", 2));
    assert_eq!(fields["hint"], "available formats: table, json");
    let (level, fields) =
        last(lines(install(world.enter(), "format-does", IMAGE), "list --format does --format-fallback", 79));
    assert!(level == "WARN" && fields["exit_code"] == 79, "{fields}");
    // Progress and notes as well, and nothing that a filter hides.
    let progress = lines(world.enter(), "copy-to-storage", 0);
    assert!(
        progress.iter().any(|line| line["level"] == "INFO"
            && line["fields"]["message"].as_str().unwrap().contains("exporting")),
        "{progress:?}"
    );
    let (_, fields) = last(lines(world.enter().env("RUST_LOG", "off"), "remove localhost/nothing:1", 1));
    assert_eq!(fields["exit_code"], 1);
    assert_eq!(lines(world.enter(), "list", 0), [] as [Value; 0]);
}

#[test]
fn what_is_missing_is_named_by_doctor_with_a_way_that_works_here() {
    let world = World::new();
    let doctor = |enter: Enter| enter.run(&["bootc-image", "plugin", "doctor"]);
    assert_eq!(doctor(world.enter()).ok().stdout, "no problems found\n");
    for program in ["podman", "skopeo"] {
        let output = doctor(world.enter().without(program)).exits(78);
        assert!(
            output.stdout.starts_with(&format!(
                "{program}: {program} is not installed (searched /usr/bin, /usr/sbin): "
            )),
            "{output:#?}"
        );
        let fix = format!(
            "  fix: add the package {program} to the OS image of this host, then update the host with: bootc upgrade\n"
        );
        assert!(output.stdout.ends_with(&fix), "{output:#?}");
        // On another machine, a package manager installs it.
        let output = doctor(world.enter().without(program).not_booted()).exits(78);
        assert!(output.stdout.ends_with(&format!("  fix: install the package {program}\n")), "{output:#?}");
        // It is no problem of a plugin.
        let one =
            world.enter().without(program).run(&["bootc-image", "plugin", "doctor", "podman-allowlist"]);
        assert_eq!(one.ok().stdout, "no problems found\n");
    }
    let output = world.enter().sh("rm -f /etc/containers/policy.json; bootc-image plugin doctor").exits(78);
    assert!(output.stdout.starts_with("policy.json: /etc/containers/policy.json or"), "{output:#?}");
    let output = doctor(world.enter().file("/etc/containers/policy.json", "{")).exits(78);
    assert!(
        output.stdout.starts_with("policy.json: /etc/containers/policy.json is damaged or incomplete: "),
        "{output:#?}"
    );
    assert!(output.stdout.contains("\n  fix: fix the file, without which podman and skopeo"), "{output:#?}");
}

#[test]
fn an_empty_storage_is_called_empty() {
    let world = World::new();
    let script = "echo '[]' >/sysroot/ostree/bootc/storage/overlay-images/images.json";
    for command in ["remove localhost/a:1", "repair localhost/a:1", "cmd push localhost/a:1 quay.io/a/b:1"] {
        let output = world.enter().sh(&format!("{script}; bootc-image {command}")).exits(1);
        assert!(output.stderr.contains("hint: bootc's storage has no images yet; "), "{output:#?}");
    }
}

/// Lines that people type. `name` is what the line shows, and `columns` the width of the terminal, if there is one.
struct Typed {
    note: &'static str,
    columns: Option<u32>,
    line: &'static str,
}

const fn typed(line: &'static str) -> Typed {
    Typed { note: "", columns: None, line }
}

const fn on_terminal(columns: u32, note: &'static str, line: &'static str) -> Typed {
    Typed { note, columns: Some(columns), line }
}

const TRANSCRIPT: &[Typed] = &[
    typed("bootc-image list | head -2"),
    typed("bootc-image lst"),
    typed("bootc-image upgrade"),
    typed("bootc-image images"),
    typed("bootc-image pull quay.io/example/app:1"),
    typed("bootc-image prnue --all"),
    typed("bootc-image list --formt json"),
    typed("bootc-image list --format jsno"),
    typed("bootc-image list --format csv | wc -l"),
    typed("bootc-image list --format csv --format-fallback"),
    typed("bootc-image list >/dev/full"),
    typed("bootc-image remove localhost/nothing:1"),
    typed("bootc-image --log-format json remove localhost/nothing:1"),
    typed("bootc-image -v list --type logical"),
    typed("bootc-image cmd help untagg"),
    typed("bootc-image help cmd list"),
    typed("/tmp/bootc image help set-unified"),
    Typed { note: "not root", ..typed("bootc-image remove localhost/app:1") },
    Typed { note: "not root", ..typed("bootc-image list") },
    Typed { note: "without podman", ..typed("bootc-image cmd list") },
    Typed { note: "without podman", ..typed("bootc-image plugin doctor") },
    on_terminal(40, "40 columns", "bootc-image help cmd pull"),
    on_terminal(40, "40 columns", "bootc-image remove localhost/nothing:1"),
    on_terminal(250, "250 columns", "bootc-image help policy explain"),
    on_terminal(80, "a terminal", "bootc-image list --format csv"),
    on_terminal(80, "NO_COLOR=1 on a terminal", "bootc-image list --format does"),
    typed("bootc-image complete -- cmd pu"),
    typed("bootc-image complete -- remove localhost/"),
    typed("bootc-image complete -- list --format ''"),
];

/// Without what differs from run to run.
fn normal(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(mut object)) => {
            object.remove("timestamp");
            Value::Object(object).to_string()
        }
        _ => line.trim_end().to_owned(),
    }
}

#[test]
fn what_people_type_is_answered_as_in_the_transcript() {
    let world = World::new();
    let mut text = String::new();
    for Typed { note, columns, line } in TRANSCRIPT {
        // Installed, and not approved.
        let enter = ship_in_image(world.enter(), "csv-format")
            .file("/usr/lib/bootc-image/grants.d/csv-format.toml", "");
        let enter = match *note {
            "not root" => enter.as_uid(1000),
            "without podman" => enter.without("podman"),
            "NO_COLOR=1 on a terminal" => install_in_image(world.enter(), "format-does")
                .file("/etc/bootc-image/config.d/a.toml", "settings.format-does.do = \"colour\"\n")
                .env("NO_COLOR", "1"),
            _ => enter,
        };
        let script = match columns {
            None => format!("{BOOTC}; set -o pipefail; {line}"),
            Some(columns) => format!("script -qec \"stty rows 40 cols {columns}; {line}\" /dev/null"),
        };
        let output = enter.run(&["bash", "-c", &script]);
        let note = if note.is_empty() { String::new() } else { format!("   # {note}") };
        writeln!(text, "$ {line}{note}").unwrap();
        for (mark, stream) in [("  ", &output.stdout), ("! ", &output.stderr)] {
            for line in stream.lines() {
                writeln!(text, "{}", format!("{mark}{}", normal(line)).trim_end()).unwrap();
            }
        }
        if output.code != 0 {
            writeln!(text, "exit code {}", output.code).unwrap();
        }
        text.push('\n');
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/transcript.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    for (number, (kept, now)) in kept.lines().zip(text.lines()).enumerate() {
        assert_eq!(
            kept,
            now,
            "line {} of tests/golden/transcript.txt: BLESS=1 cargo test --test manners",
            number + 1
        );
    }
    assert_eq!(kept.len(), text.len(), "tests/golden/transcript.txt: BLESS=1 cargo test --test manners");
}

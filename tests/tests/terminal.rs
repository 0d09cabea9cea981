//! `cmd` on a terminal, in pipes and under signals: as if podman itself had been started.

use bootc_image_tests::World;
use bootc_image_tests::faults::{EVENTUALLY, WAITS, podman_that_waits};
use bootc_image_tests::oracle::Store;

/// A script in which `ours` and `podmans` start the same.
fn both(script: &str) -> String {
    format!(
        "{}{EVENTUALLY}{WAITS}gone() {{ ! pgrep -x podman; }}
        ours() {{ bootc-image cmd \"$@\"; }}\npodmans() {{ store_podman image \"$@\"; }}\nset +e\n{script}",
        Store::Bootc.shell()
    )
}

/// Whatever podman makes of it: 4.3.1 ends with 0 after SIGTERM.
#[test]
fn a_signal_that_is_sent_to_us_alone_ends_podman_and_is_our_exit_code() {
    let world = World::new();
    let signals = [("INT", 2), ("TERM", 15), ("HUP", 1), ("QUIT", 3)];
    for (signal, number) in signals {
        // Jobs of their own, or the shell would have them ignore some signals.
        let script = both(&format!(
            "set -m
            bootc-image cmd --status-fd 3 list --quiet >/dev/null 2>&1 3>/tmp/status &
            eventually podman_waits
            kill -{signal} $!; eventually gone; wait $!; echo $?
            pgrep -x podman || echo none
            cat /tmp/status"
        ));
        let output = podman_that_waits(world.enter()).run(&["bash", "-c", &script]).ok();
        let code = 128 + number;
        let status = format!("{{\"origin\":\"host\",\"code\":{code}}}");
        assert_eq!(output.lines(), [&code.to_string(), "none", &status], "{signal}: {output:#?}");
    }
    let record = world.record();
    let outcomes: Vec<_> = record.iter().filter(|line| line["event"] == "outcome").collect();
    let told = outcomes.iter().map(|line| (line["result"].as_str(), line["signal"].as_i64()));
    let expected = signals.map(|(_, number)| (Some("interrupted"), Some(number)));
    assert_eq!(told.collect::<Vec<_>>(), expected, "{record:#?}");
}

#[test]
fn who_stops_us_stops_podman_and_who_lets_us_go_on_lets_it() {
    let world = World::new();
    // In a process group of its own: one whose parent has gone is never stopped by the kernel.
    let script = format!(
        "{EVENTUALLY}
        set -m
        state() {{ sed 's/.*) //; s/ .*//' /proc/$1/stat; }}
        bootc-image cmd list --quiet & ours=$!
        # As soon as it runs, and so perhaps before we know of it.
        runs() {{ podman=$(pgrep -x podman); }}
        eventually runs
        are() {{ [ \"$(state $ours) $(state $podman)\" = \"$1\" ]; }}
        kill -TSTP $ours; eventually are 'T T'
        kill -CONT $ours; eventually are 'S S'
        gone() {{ ! pgrep -x podman; }}
        kill -TERM $ours; eventually gone; wait $ours || true"
    );
    podman_that_waits(world.enter()).run(&["bash", "-c", &script]).ok();
}

/// Ctrl-C on a terminal goes to both of us at once.
#[test]
fn ctrl_c_ends_podman_once_and_is_recorded() {
    let world = World::new();
    let script = both(
        "interrupt() { eventually podman_waits; printf '\\003'; eventually gone; }
        interrupt | script -qec 'bootc-image cmd list --quiet' /dev/null >/dev/null; echo $?
        pgrep -x podman || echo none",
    );
    let output = podman_that_waits(world.enter()).sh(&script).ok();
    assert_eq!(output.lines(), ["130", "none"], "{output:#?}");
    assert_eq!(world.record().iter().filter(|line| line["result"] == "interrupted").count(), 1);
}

/// The same terminal, in the foreground, with its size.
#[test]
fn podman_has_the_terminal() {
    let world = World::new();
    let look = "#!/bin/sh\ntty; stty size; cut -d' ' -f5,8 /proc/$$/stat\n";
    let enter = world.enter().file_with_mode("/usr/bin/podman", look, 0o755);
    let output =
        enter.sh("script -qec 'stty rows 33 cols 77; bootc-image cmd list' /dev/null </dev/null").ok();
    let lines: Vec<String> = output.lines().iter().map(|line| line.trim().to_owned()).collect();
    assert!(lines[0].starts_with("/dev/pts/") && lines[1] == "33 77", "{output:#?}");
    let (group, foreground) = lines[2].split_once(' ').unwrap();
    assert_eq!(group, foreground, "podman is in the terminal's foreground group");
}

#[test]
fn streams_are_podmans_own() {
    let world = World::new();
    for (what, how) in [
        (
            "a large output",
            "WHO list --format '{{printf \"%2000000d\" 1}}' | sha256sum; echo ${PIPESTATUS[0]}",
        ),
        (
            "a reader that goes",
            "WHO list --format '{{printf \"%2000000d\" 1}}' | head -c 1; echo ${PIPESTATUS[0]}",
        ),
        ("no stdout", "WHO list --quiet >&- 2>/dev/null; echo $?"),
        ("a full disk", "WHO list --quiet >/dev/full 2>/dev/null; echo $?"),
        ("no stderr", "WHO list --sort nonsense 2>&-; echo $?"),
        ("no stdin", "WHO list --quiet <&-; echo $?"),
        ("nothing at all", "WHO list --quiet <&- >&- 2>&-; echo $?"),
    ] {
        let enter = |who| world.enter().run(&["bash", "-c", &both(&how.replace("WHO", who))]).ok();
        let (ours, podmans) = (enter("ours"), enter("podmans"));
        assert_eq!(ours.stdout, podmans.stdout, "{what}: {ours:#?} {podmans:#?}");
        assert!(!ours.stderr.contains("panicked"), "{what}: {ours:#?}");
    }
}

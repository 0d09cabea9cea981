//! Being asked to end: the exit code is 128 and the signal's number whatever podman says, the record says so, and nothing is
//! left behind. A fixed sample of `make signals` is in here, too.

mod plugins;

use bootc_image_tests::faults::injector::{Fault, SIGNALS};
use bootc_image_tests::faults::interruptions::{BUILDS, Ended, OPERATIONS};
use bootc_image_tests::faults::{EVENTUALLY, WAITS, podman_that_waits};
use bootc_image_tests::oracle::Store;
use bootc_image_tests::world::Enter;
use bootc_image_tests::{World, programs};
use plugins::ship_in_image;

/// An image of 8 MB in bootc's storage.
const LARGE: &str = "mkdir /tmp/context
    dd if=/dev/urandom of=/tmp/context/data bs=1M count=8 2>/dev/null
    printf 'FROM scratch\\nCOPY data /data\\n' >/tmp/context/Containerfile
    store_podman build --quiet --tag localhost/large:1 /tmp/context >&2
";

fn enter(world: &World) -> Enter {
    ship_in_image(world.enter(), "podman-maintenance")
}

fn shell() -> String {
    format!("{}{EVENTUALLY}{WAITS}gone() {{ ! pgrep -x podman; }}\n", Store::Bootc.shell())
}

/// A backup script goes by the exit code.
#[test]
fn a_save_that_is_cut_short_is_no_success() {
    let world = World::new();
    let script = format!(
        "{}{LARGE}
        mkfifo /tmp/pipe
        bootc-image cmd save --quiet localhost/large:1 >/tmp/pipe & ours=$!
        exec 5</tmp/pipe
        head -c 1000000 <&5 >/dev/null
        kill -TERM $ours; code=0; wait $ours || code=$?
        echo $code; ls -A /var/tmp",
        shell()
    );
    let output = enter(&world).run(&["bash", "-euc", &script]).ok();
    assert_eq!(output.stdout, "143\n", "{output:#?}");
    assert!(output.stderr.contains("error: interrupted by signal 15\n"), "{output:#?}");
    let outcome = world.record().pop().unwrap();
    assert_eq!((&outcome["result"], &outcome["signal"]), (&"interrupted".into(), &15.into()), "{outcome}");
}

#[test]
fn half_an_archive_doesnt_stay() {
    let world = World::new();
    let script = format!(
        "{}{LARGE}
        mkdir -p /var/lib/bootc-image/archives; cd /var/lib/bootc-image/archives
        save() {{
            code=0
            /run/faulty write 350 $1 /tmp/report -- bootc-image cmd save --quiet -o /var/lib/bootc-image/archives/$2 \
                localhost/large:1 >&2 || code=$?
            cat /tmp/report >&2
            grep -q 'podman write /var/lib/bootc-image/archives/' /tmp/report
            echo $code $(ls -A /var/lib/bootc-image/archives /var/tmp)
        }}
        save TERM new.tar; save INT-all new.tar; save ENOSPC new.tar",
        shell()
    );
    let enter = enter(&world).program(&programs::ours("faulty"), "/run/faulty");
    let output = enter.run(&["bash", "-euc", &script]).ok();
    let none = "/var/lib/bootc-image/archives: /var/tmp:";
    let expected = [format!("143 {none}"), format!("130 {none}"), format!("125 {none}")];
    assert_eq!(output.lines(), expected, "{output:#?}");
}

/// podman waits for ever for the pipe that it takes a directory for.
#[test]
fn a_directory_isnt_saved_to_a_pipe() {
    let world = World::new();
    let marking = "#!/bin/sh\ntouch /var/podman-ran\n";
    for words in ["docker-dir", "oci-dir", "oci-dir --multi-image-archive"] {
        let enter = enter(&world).file_with_mode("/usr/bin/podman", marking, 0o755);
        let output =
            enter.sh(&format!("bootc-image cmd save --format {words} app:stable | cat; exit 0")).ok();
        assert!(output.stderr.contains("cannot be written to standard output\n  hint: "), "{output:#?}");
        assert!(output.stdout.is_empty() && !world.outside("/var/podman-ran").exists());
    }
    enter(&world).run(&["bootc-image", "cmd", "save", "--format=docker-dir", "app:stable"]).exits(2);
    assert!(world.record().is_empty());
    let script = "mkdir -p /var/lib/bootc-image/archives
        for format in docker-dir oci-dir; do
            bootc-image cmd save --quiet --format $format -o /var/lib/bootc-image/archives/$format app:stable
            skopeo inspect ${format%-dir}:/var/lib/bootc-image/archives/$format || skopeo inspect dir:/var/lib/bootc-image/archives/$format
        done >&2
        bootc-image cmd save --quiet --format oci-archive app:stable | tar -t | grep '^index.json'";
    enter(&world).sh(script).ok();
}

/// Blocked by a caller, they would never arrive; and what podman is told must arrive there.
#[test]
fn signals_that_the_caller_blocks_end_us_all_the_same() {
    let world = World::new();
    let blocking = "perl -MPOSIX -e 'sigprocmask(SIG_BLOCK, POSIX::SigSet->new(1..31)); exec @ARGV'";
    let script = format!(
        "{}set -m
        for signal in INT TERM HUP QUIT; do
            {blocking} bootc-image cmd list >/dev/null 2>&1 & ours=$!
            eventually podman_waits
            kill -$signal $ours; eventually gone; code=0; wait $ours || code=$?; echo $code
        done",
        shell()
    );
    let output = podman_that_waits(world.enter()).run(&["bash", "-c", &script]).ok();
    assert_eq!(output.lines(), ["130", "143", "129", "131"], "{output:#?}");
    let looking = "#!/bin/sh\ngrep ^SigBlk /proc/self/status\n";
    let enter = world.enter().file_with_mode("/usr/bin/podman", looking, 0o755);
    assert_eq!(
        enter.sh(&format!("{blocking} bootc-image cmd list")).ok().stdout,
        "SigBlk:\t0000000000000000\n"
    );
}

/// A caller that starts us with nohup, or in the background of a script, means podman as well. What else a caller ignores would only
/// confuse it: a Go program that ignores SIGCHLD never hears how its processes ended.
#[test]
fn what_is_ignored_stays_ignored_and_nothing_else_is() {
    let world = World::new();
    let script = format!(
        "{}trap '' HUP INT
        set -m
        bootc-image cmd list >/dev/null 2>&1 & ours=$!
        eventually podman_waits
        # podman itself makes an exception of SIGINT.
        kill -HUP $ours $podman; kill -INT $ours
        podman_waits; kill -TERM $ours; eventually gone; wait $ours; echo $?",
        shell()
    );
    let output = podman_that_waits(world.enter()).run(&["bash", "-c", &script]).ok();
    assert_eq!(output.stdout, "143\n", "{output:#?}");
    let looking = "#!/bin/sh\nsed -n 's/^SigIgn:.*\\(.......\\)$/\\1/p' /proc/self/status\n";
    let enter = world.enter().file_with_mode("/usr/bin/podman", looking, 0o755);
    let ignoring = "$SIG{$_} = \"IGNORE\" for qw(HUP INT CHLD USR1 USR2 ALRM PIPE WINCH URG); exec @ARGV";
    let output = enter.sh(&format!("perl -e '{ignoring}' bootc-image cmd list")).ok();
    // SIGHUP and SIGINT; SIGQUIT is the shell's own.
    assert!(["0000003\n", "0000007\n"].contains(&&*output.stdout), "{output:#?}");
}

/// Neither one who doesn't hear what we are about to do, nor one who doesn't hear what we have done.
#[test]
fn a_reader_who_reads_no_more_doesnt_keep_us() {
    let world = World::new();
    let script = format!(
        "{EVENTUALLY}
        # 7 and 271 are poll and ppoll.
        writes() {{ grep -qs '^\\(7\\|271\\) ' /proc/$ours/syscall; }}
        mkfifo /tmp/full; exec 3<>/tmp/full; head -c 65536 /dev/zero >&3
        bootc-image pull-from-default-storage localhost/mine:1 2>&3 & ours=$!
        eventually writes; kill -TERM $ours; wait $ours; echo $?
        bootc-image --quiet pull-from-default-storage localhost/mine:1 >&3 & ours=$!
        is_done() {{ grep -q '\"done\"' /var/lib/bootc-image/audit/audit.jsonl; }}
        eventually is_done; kill -TERM $ours; wait $ours; echo $?"
    );
    let output = world.enter().run(&["bash", "-uc", &script]).ok();
    assert_eq!(output.stdout, "143\n143\n", "{output:#?}");
    let results: Vec<_> = world.record().iter().map(|line| line["result"].clone()).collect();
    assert_eq!(results[1], "interrupted");
}

/// Nor is a policy to blame, or a format replaced, that was still being compiled.
#[test]
fn who_is_asked_to_end_blames_no_plugin() {
    let world = World::new();
    let slow = "#!/bin/sh\nexec sleep 1000\n";
    let script = format!(
        "{EVENTUALLY}
        for command in 'list --format csv' 'plugin doctor' '--dry-run copy-to-storage' copy-to-storage; do
            bootc-image $command >/tmp/out 2>/tmp/err & ours=$!
            eventually pgrep -x sleep
            kill -TERM $ours; code=0; wait $ours || code=$?
            echo $code $(wc -c </tmp/out) $(head -n 1 /tmp/err)
        done"
    );
    let enter = ship_in_image(ship_in_image(world.enter(), "csv-format"), "registry-policy");
    let enter = enter.without("bootc-image-helper");
    let enter = enter.file_with_mode("/usr/libexec/bootc-image/bootc-image-helper", slow, 0o755);
    let output = enter.run(&["bash", "-euc", &script]).ok();
    assert_eq!(output.lines(), ["143 0 error: interrupted by signal 15"; 4], "{output:#?}");
}

#[test]
fn what_builds_keep_for_the_next_one_stays_and_nothing_else() {
    let world = World::new();
    let script = "
        for unified in $(awk '$3 == \"cgroup2\" { print $2 }' /proc/mounts); do umount $unified; done
        mkdir /tmp/context; cd /tmp/context; cp /bin/busybox .
        printf '%s\\n' 'FROM scratch' 'COPY busybox /bin/sh' \
            'RUN --mount=type=cache,target=/cache echo x >>/cache/file; cat /cache/file' >Containerfile
        for number in 1 2; do bootc-image cmd build --no-cache --tag localhost/built:$number . | grep '^x$'; done
        ls -A /var/tmp";
    let enter = world.enter().file("/etc/containers/containers.conf", BUILDS);
    let output = enter.sh(&format!("{}{script}", Store::Bootc.shell())).ok();
    assert_eq!(output.stdout, "x\nx\nx\n", "{output:#?}");
}

/// One point of the run of an operation, as `make signals` does it at twenty of each, for each signal.
fn sample(name: &str, fault: &str, index: usize) {
    let operation = OPERATIONS.iter().find(|operation| operation.name == name).unwrap();
    let fault: Fault = SIGNALS.into_iter().find(|known| known.name() == fault).unwrap();
    assert_ne!(operation.prepare().run(index, fault), Ended::NotHit, "{name}");
}

#[test]
fn a_pull_can_be_ended_anywhere() {
    sample("cmd-pull", "TERM-all", 1500);
}

#[test]
fn a_load_can_be_ended_anywhere() {
    sample("cmd-load", "HUP", 1200);
}

#[test]
fn a_build_can_be_ended_anywhere() {
    sample("cmd-build", "QUIT", 6000);
}

#[test]
fn an_approval_can_be_ended_anywhere() {
    sample("plugin-approve", "INT-all", 15);
}

/// podman 4.3 that is interrupted while it makes its locks leaves every later one to die of them.
#[test]
fn locks_that_were_half_made_dont_stay() {
    let world = World::new();
    let podman = "#!/bin/sh
        [ -e /tmp/once ] || { touch /tmp/once; : >/dev/shm/libpod_lock; kill -TERM $PPID; sleep 60; }
        exec /usr/libexec/itself/podman \"$@\"\n";
    let enter = world
        .enter()
        .program(&programs::machine().join("usr/bin/podman"), "/usr/libexec/itself/podman")
        .file_with_mode("/usr/bin/podman", podman, 0o755);
    let script = "code=0; bootc-image cmd list --quiet >&2 || code=$?; echo $code
        ! [ -e /dev/shm/libpod_lock ]
        bootc-image cmd list --quiet >/dev/null";
    assert_eq!(enter.sh(script).ok().lines(), ["143"]);
}

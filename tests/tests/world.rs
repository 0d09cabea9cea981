//! The harness itself: what it shows is there, and what it hides stays hidden.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use bootc_image_tests::faults::{EVENTUALLY, HeldLock, Strace, WAITS, busy_writer};
use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::sandbox::Sandbox;
use bootc_image_tests::{World, machine, programs, world};

#[test]
fn a_world_looks_booted() {
    let world = World::new();
    let script = "cat /etc/os-release; ls /run/ostree-booted; podman --version; touch /etc/x /var/x; ! touch /x /usr/x";
    let output = world.enter().sh(script).ok();
    assert!(output.stdout.contains("ID=lab"), "{output:#?}");
    let root = world.enter().sh("stat -c %d:%i / /sysroot/ostree/deploy/lab/deploy/*.0").ok();
    assert!(root.lines()[1..].contains(&root.lines()[0]), "libostree finds the booted deployment: {root:#?}");
}

#[test]
fn libostree_agrees_about_what_is_booted() {
    let world = World::new();
    let booted_line = |boot: usize| {
        let status = world.enter().boot(boot).sh("ostree admin status").ok();
        let line = status.lines().into_iter().find(|line| line.starts_with('*'));
        line.expect("a deployment is booted").to_owned()
    };
    let facts = world.facts();
    assert!(booted_line(0).contains(&facts.booted.commit));
    assert!(booted_line(1).contains(&facts.rollback.commit));
    assert_ne!(facts.booted.commit, facts.rollback.commit);
    assert_eq!((facts.booted.layers, facts.rollback.layers), (4, 3));
}

#[test]
fn podman_sees_both_stores() {
    let world = World::new();
    let digest = &world.facts().app2.digest;
    assert_eq!(
        world.facts().unified,
        [
            "127.0.0.1:5000/lab/app:1".into(),
            format!("127.0.0.1:5000/lab/app@{digest}"),
            "localhost/app:stable".into()
        ]
    );
    assert_eq!(oracle::podman_names(&world, Store::Bootc), world.facts().unified);
    assert_eq!(oracle::podman_names(&world, Store::Default), world.facts().default_store);
    assert_eq!(world.facts().default_store, ["127.0.0.1:5000/lab/app:1", "localhost/mine:1"]);

    let index = oracle::images_json(&world, Store::Bootc);
    let ids = index.as_array().unwrap().iter().map(|image| image["id"].as_str().unwrap());
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    assert_eq!(ids, oracle::podman_ids(&world, Store::Bootc));
}

#[test]
fn the_registry_answers_and_the_world_outside_does_not() {
    let world = World::new();
    let app = oracle::skopeo_inspect(&world, "docker://127.0.0.1:5000/lab/app:1");
    assert_eq!(app["Digest"], world.facts().app1.digest);
    let index = oracle::skopeo_manifest(&world, "docker://127.0.0.1:5000/lab/multi:1");
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(2));
    let interfaces = world.enter().sh("cat /proc/net/dev | tail -n +3 | cut -d: -f1").ok();
    assert_eq!(interfaces.stdout.trim(), "lo");
}

#[test]
fn a_stay_can_differ_from_a_booted_host() {
    let world = World::new();
    world.enter().not_booted().sh("test ! -e /run/ostree-booted").ok();
    world.enter().in_container().sh("test -e /run/.containerenv && test ! -e /run/ostree-booted").ok();
    world.enter().read_only_sysroot().sh("! touch /sysroot/x && touch /var/x").ok();
    world.enter().selinux().sh("test $(cat /sys/fs/selinux/enforce) = 1 && podman images").ok();
    world.enter().without("podman").run(&["podman", "images"]).exits(127);
    world
        .enter()
        .without("bootc-image-helper")
        .sh("test ! -e /usr/libexec/bootc-image/bootc-image-helper")
        .ok();
    world.enter().as_uid(1000).sh("test $(id -u):$(id -g) = 1000:1000 && ! ls /root && touch ~/x").ok();
    let file = world.enter().file("/usr/lib/bootc/x", "text").env("NAME", "value");
    assert_eq!(file.sh("cat /usr/lib/bootc/x; echo $NAME").ok().stdout, "textvalue\n");
    world
        .enter()
        .program(&programs::ours("world-enter"), "/usr/bin/brought")
        .run(&["brought", "x"])
        .exits(125);
}

#[test]
fn two_worlds_do_not_disturb_each_other() {
    let pull =
        "podman pull --quiet 127.0.0.1:5000/lab/app:2; podman rmi localhost/mine:1; sleep 0.2; podman images";
    let worlds = [World::new(), World::new(), World::new()];
    std::thread::scope(|scope| {
        for world in &worlds[..2] {
            scope.spawn(|| world.enter().registry(true).sh(pull).ok());
        }
    });
    let changed = ["127.0.0.1:5000/lab/app:1", "127.0.0.1:5000/lab/app:2"];
    assert_eq!(oracle::podman_names(&worlds[0], Store::Default), changed);
    assert_eq!(oracle::podman_names(&worlds[1], Store::Default), changed);
    assert_eq!(oracle::podman_names(&worlds[2], Store::Default), worlds[2].facts().default_store);
}

#[test]
fn the_time_limit_ends_everything() {
    let world = World::new();
    let script = "(trap '' TERM HUP; setsid sleep 1234.5 &) ; sleep 1234.5";
    let output = world.enter().limit(Duration::from_millis(500)).sh(script);
    assert!(output.timed_out, "{output:?}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let command_line =
        |process: std::fs::DirEntry| std::fs::read(process.path().join("cmdline")).unwrap_or_default();
    assert!(!processes.map(command_line).any(|command| command == b"sleep\x001234.5\0"));
}

#[test]
fn faults_reach_the_program() {
    let world = World::new();
    let strace = Strace::new().inject("openat:error=EIO:when=1").only_on("/etc/os-release");
    world.enter().run(&strace.command(&["cat", "/etc/os-release"])).exits(1);
    world.enter().run(&strace.command(&["cat", "/etc/passwd"])).ok();
    let killed = Strace::new().inject("write:signal=KILL:when=1");
    world.enter().run(&killed.command(&["cat", "/etc/passwd"])).exits(137);
    let log = Strace::new().calls("execve").log("/var/calls");
    world.enter().run(&log.command(&["sh", "-c", "podman --version; true"])).ok();
    let calls = std::fs::read_to_string(world.outside("/var/calls")).unwrap();
    assert!(calls.contains("execve(\"/usr/bin/podman\""), "{calls}");
}

#[test]
fn a_held_lock_makes_podman_wait() {
    let world = World::new();
    let lock = world.outside("/var/lib/containers/storage/overlay-images/images.lock");
    let held = HeldLock::on(&lock);
    world.enter().sh(&format!("{EVENTUALLY}{WAITS}podman images & eventually podman_waits")).ok();
    drop(held);
    world.enter().run(&["podman", "images"]).ok();
}

#[test]
fn a_writer_interferes_while_a_command_runs() {
    let world = World::new();
    let stay = world.enter().registry(true).alongside(&busy_writer(Store::Bootc));
    let index = "/sysroot/ostree/bootc/storage/overlay-images/images.json";
    let watch = format!(
        "{EVENTUALLY}several() {{
            sha256sum {index} >>/tmp/seen
            [ $(sort -u /tmp/seen | wc -l) -gt 2 ]
        }}
        eventually several"
    );
    stay.sh(&watch).ok();
}

#[test]
fn nothing_is_left_behind() {
    drop(World::new());
    let before = machine::snapshot();
    let world = World::new();
    world
        .enter()
        .registry(true)
        .sh("podman pull --quiet 127.0.0.1:5000/lab/app:2; podman images; ostree admin status")
        .ok();
    let kept = world::directory().join("kept");
    drop(World::kept_at(&kept));
    assert!(kept.join("phys/ostree/repo").exists());
    drop(World::kept_at(&kept));
    std::fs::remove_dir_all(&kept).unwrap();
    drop(world);
    assert_eq!(machine::difference(&before, &machine::snapshot()), [""; 0]);
}

#[test]
fn a_panicking_test_leaves_no_world() {
    let path = std::thread::spawn(|| {
        let world = World::new();
        std::panic::panic_any(world.sysroot());
    });
    let sysroot = *path.join().unwrap_err().downcast::<std::path::PathBuf>().unwrap();
    assert!(!sysroot.exists());
}

/// Under `nohup`, in the background, or as a service with a strict umask, tests are about the same program.
#[test]
fn a_stay_has_nothing_of_whoever_runs_the_tests() {
    let sandbox = Sandbox {
        command: [
            "bash",
            "-c",
            "grep -E '^Sig(Blk|Ign)' /proc/self/status; umask; ulimit -n; ls /proc/self/fd",
        ]
        .map(String::from)
        .into(),
        environment: vec![("PATH".to_owned(), "/usr/bin".to_owned())],
        ..Sandbox::default()
    };
    let prepare = "sigprocmask(SIG_BLOCK, POSIX::SigSet->new(1..31)); exec @ARGV";
    let script = format!(
        "umask 077; ulimit -S -n 100; trap '' HUP INT QUIT TERM CHLD USR1; exec 9</etc/passwd
        exec perl -MPOSIX -e '{prepare}' \"$0\""
    );
    let mut child = Command::new("bash")
        .args(["-c", &script])
        .arg(programs::ours("world-enter"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut request = serde_json::to_vec(&sandbox).unwrap();
    request.push(b'\n');
    // As long as that is open, the sandbox goes on.
    let mut life_line = child.stdin.take().unwrap();
    life_line.write_all(&request).unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    drop(life_line);
    let lines: Vec<&str> = said.lines().collect();
    // Two signals above the others are the C library's own.
    let ignored = lines[1].strip_prefix("SigIgn:\t").and_then(|mask| u64::from_str_radix(mask, 16).ok());
    assert_eq!(
        (lines[0], ignored.map(|mask| mask & 0x7fff_ffff)),
        ("SigBlk:\t0000000000000000", Some(0)),
        "{said}"
    );
    // 3 is the directory that is being read.
    assert_eq!(lines[2..], ["0022", "1024", "0", "1", "2", "3"], "{said}");
}

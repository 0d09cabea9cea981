//! `copy-to-storage` of the booted commit, with the real ostree, podman and skopeo.

use std::fs;

use bootc_image_tests::faults::{EVENTUALLY, HeldLock};
use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::{Output, World};
use serde_json::Value;

fn copy(world: &World, arguments: &[&str]) -> Output {
    world.enter().run(&[&["bootc-image", "copy-to-storage"], arguments].concat())
}

/// What an attempt that must leave nothing behind could have left.
fn traces(world: &World) -> (Vec<String>, Vec<String>) {
    let left = fs::read_dir(world.outside("/var/tmp")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    (oracle::podman_names(world, Store::Default), left)
}

#[test]
fn the_booted_image_is_copied_with_as_many_diff_ids_as_layers() {
    let world = World::new();
    let script = "bootc-image copy-to-storage; ls -A /var/tmp; cat /proc/self/mountinfo | grep -c bootc/storage || true";
    let output = world.enter().sh(script).ok();
    let lines = output.lines();
    assert!(lines[0].starts_with("Copied: containers-storage:localhost/bootc:latest sha256:"), "{output:#?}");
    assert_eq!(lines[1..], ["0"], "nothing is left in /var/tmp, nothing mounted");

    let image = oracle::podman_inspect(&world, Store::Default, "localhost/bootc:latest");
    let booted = &world.facts().booted;
    assert_eq!(image["RootFS"]["Layers"].as_array().unwrap().len(), booted.layers);
    let script = "skopeo copy --quiet containers-storage:localhost/bootc:latest dir:/tmp/copy; cat /tmp/copy/manifest.json";
    let manifest: Value = world.enter().sh(script).ok().json();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), booted.layers);
    // The files of the image are there: podman itself can read them.
    let script =
        "cd \"$(podman image mount localhost/bootc:latest)\"; cat usr/share/lab/third usr/lib/os-release";
    let files = world.enter().sh(script).ok().stdout;
    assert!(files.contains("third of 127.0.0.1:5000/lab/os:1") && files.contains("ID=lab"), "{files}");
}

/// Bootc copies what the ref points at now.
#[test]
fn what_is_copied_is_the_booted_commit_whatever_its_ref_says_by_now() {
    let world = World::new();
    let facts = world.facts();
    let refs = oracle::ostree_refs(&world);
    let of_booted = refs
        .iter()
        .find(|(name, commit)| name.starts_with("ostree/container/image/") && *commit == facts.booted.commit);
    let name = &of_booted.unwrap().0;
    fs::write(
        world.outside("/sysroot/ostree/repo/refs/heads").join(name),
        format!("{}\n", facts.rollback.commit),
    )
    .unwrap();
    copy(&world, &[]).ok();
    let canonical = &world.record()[0]["canonical"]["operation"];
    assert_eq!(canonical["source"]["commit"], facts.booted.commit.as_str());
    assert_eq!(canonical["source"]["manifest_digest"], facts.booted.digest.as_str());
    let script = "cat \"$(podman image mount localhost/bootc:latest)\"/usr/share/lab/third";
    assert!(
        world.enter().sh(script).ok().stdout.contains("third of"),
        "only the booted image has a third layer"
    );
}

#[test]
fn the_deployment_that_is_booted_is_copied_not_the_newest() {
    let world = World::new();
    world.enter().boot(1).run(&["bootc-image", "copy-to-storage", "--target", "old:1"]).ok();
    assert_eq!(
        world.record()[0]["canonical"]["operation"]["source"]["commit"],
        world.facts().rollback.commit.as_str()
    );
    let image = oracle::podman_inspect(&world, Store::Default, "localhost/old:1");
    assert_eq!(image["RootFS"]["Layers"].as_array().unwrap().len(), world.facts().rollback.layers);
}

#[test]
fn the_target_can_be_named() {
    let world = World::new();
    for (target, name) in [
        ("localhost/x:1", "localhost/x:1"),
        ("y", "localhost/y:latest"),
        ("quay.io/a/b", "quay.io/a/b:latest"),
    ] {
        let output = copy(&world, &["--target", target]).ok();
        assert!(output.stdout.contains(&format!("containers-storage:{name} ")), "{output:#?}");
        assert!(oracle::podman_names(&world, Store::Default).contains(&name.to_owned()));
    }
    let before = traces(&world);
    let digest = format!("a/b@sha256:{}", "a".repeat(64));
    for target in
        ["", "A", "dir:/etc/x", "oci:/tmp/x", "containers-storage:x", "[vfs@/tmp/x]y", "-x", "x y", &digest]
    {
        let output = copy(&world, &[&format!("--target={target}")]).exits(2);
        assert!(
            output.stderr.starts_with("error: ") && output.stderr.contains("hint: "),
            "{target}: {output:#?}"
        );
    }
    assert_eq!(traces(&world), before);
}

/// stdout is data, stderr is talk, and how much of it is the caller's choice.
#[test]
fn talk_is_quiet_or_verbose_as_asked() {
    let world = World::new();
    assert_eq!(copy(&world, &["--quiet"]).ok().stderr, "");
    let spoken = copy(&world, &["--target=1"]).ok().stderr;
    assert!(spoken.contains("exporting docker://127.0.0.1:5000/lab/os:1"), "{spoken}");
    for (filter, target) in [("debug", "localhost/2"), ("bootc_image_os=debug", "localhost/3")] {
        let enter = world.enter().env("RUST_LOG", filter);
        let log = enter.run(&["bootc-image", "copy-to-storage", "--target", target]).ok().stderr;
        assert!(log.contains("starting") && log.contains(&format!("containers-storage:{target}")), "{log}");
    }
    let log = copy(&world, &["--target=4", "-vv", "--quiet", "--log-format=json"]).ok().stderr;
    assert!(log.lines().count() >= 3);
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
}

#[test]
fn an_intent_and_an_outcome_are_recorded() {
    let world = World::new();
    copy(&world, &[]).ok();
    let lines = world.record();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["event"], &lines[1]["event"]), (&"intent".into(), &"outcome".into()));
    assert_eq!(lines[0]["id"], lines[1]["id"]);
    assert_eq!(lines[1]["result"], "done");
    assert_eq!(lines[0]["canonical"]["operation"]["kind"], "copy-to-storage");
    assert_eq!(lines[0]["canonical"]["subject"]["uid"], 0);
    assert!(lines[0]["verdicts"].as_array().unwrap().len() >= 4);
    let script = "stat -c %a /var/lib/bootc-image/audit /var/lib/bootc-image/audit/audit.jsonl";
    assert_eq!(world.enter().sh(script).ok().lines(), ["700", "600"]);
}

/// Without a record nothing runs.
#[test]
fn a_record_that_cant_be_written_stops_everything() {
    let world = World::new();
    let before = traces(&world);
    for prepare in [
        "mkdir -p /var/lib/bootc-image; touch /var/lib/bootc-image/audit",
        "rm /var/lib/bootc-image/audit; mkdir -p /var/lib/bootc-image/audit; chmod 755 /var/lib/bootc-image/audit",
        "chmod 700 /var/lib/bootc-image/audit; ln -s /dev/null /var/lib/bootc-image/audit/audit.jsonl",
        "cd /var/lib/bootc-image/audit; rm audit.jsonl; mkdir audit.jsonl",
    ] {
        let output = world.enter().sh(&format!("{prepare}; exec bootc-image copy-to-storage")).exits(78);
        assert!(
            output.stderr.starts_with("error: nothing was run because the audit record cannot be written"),
            "{output:#?}"
        );
        assert_eq!(traces(&world), before, "{prepare}");
    }
}

#[test]
fn a_dry_run_shows_what_would_be_judged_and_changes_nothing() {
    let world = World::new();
    let before = traces(&world);
    let output = world.enter().run(&["bootc-image", "--dry-run", "copy-to-storage"]).ok();
    let shown: Value = output.json();
    assert_eq!(shown["allowed"], true);
    assert_eq!(shown["canonical"]["operation"]["source"]["commit"], world.facts().booted.commit.as_str());
    assert_eq!(shown["canonical"]["operation"]["target"], "localhost/bootc:latest");
    assert_eq!((traces(&world), world.record()), (before, vec![]));
}

#[test]
fn it_needs_root_and_a_booted_host() {
    let world = World::new();
    let run = ["bootc-image", "copy-to-storage"];
    for (enter, why) in [
        (world.enter().as_uid(1000), "Permission denied: this command must be executed as the root user"),
        (world.enter().not_booted(), "System not booted via bootc"),
        (world.enter().in_container(), "Detected container; this command requires a booted host system."),
    ] {
        let output = enter.run(&run).exits(1);
        assert!(output.stderr.starts_with(&format!("error: {why}\n  hint: ")), "{output:#?}");
    }
    assert_eq!(world.record(), [] as [Value; 0]);
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    let world = World::new();
    let before = traces(&world);
    for program in ["podman", "skopeo"] {
        let output = world.enter().without(program).run(&["bootc-image", "copy-to-storage"]).exits(69);
        let named = output.stderr.contains(&format!("error: {program} is not installed"));
        assert!(
            named && output.stderr.contains(&format!("hint: add the package {program} to the OS image")),
            "{output:#?}"
        );
    }
    let output =
        world.enter().without("bootc-image-helper").run(&["bootc-image", "copy-to-storage"]).exits(69);
    assert!(output.stderr.contains("bootc-image-helper is not installed"), "{output:#?}");
    assert_eq!(traces(&world), before);
}

/// Real programs can't be made to fail at will: these stand in for one that does.
#[test]
fn a_child_that_fails_or_is_killed_leaves_nothing_behind() {
    let world = World::new();
    let before = traces(&world);
    for (program, script, why) in [
        (
            "podman",
            "echo trouble in podman >&2; exit 125",
            "podman failed (exit code 125): trouble in podman",
        ),
        ("podman", "kill -9 $$", "podman failed (killed by signal 9)"),
        ("skopeo", "echo no room >&2; exit 1", "skopeo failed (exit code 1): no room"),
        ("skopeo", "kill -9 $$", "skopeo failed (killed by signal 9)"),
        (
            "skopeo",
            "exit 0",
            "localhost/bootc:latest is not as expected: this name is missing in the storage at /var/lib/containers/storage",
        ),
        (
            "podman",
            "echo /elsewhere",
            "podman keeps its images in /elsewhere, but its configuration names /var/lib",
        ),
    ] {
        let fake = format!("#!/bin/sh\n{script}\n");
        let enter = world.enter().file_with_mode(&format!("/usr/bin/{program}"), fake, 0o755);
        let output = enter.run(&["bootc-image", "copy-to-storage"]).exits(1);
        assert!(output.stderr.contains(why), "{why}: {output:#?}");
        assert_eq!(traces(&world), before, "{program}: {script}");
    }
    let failed = world.record().iter().filter(|line| line["result"] == "failed").count();
    assert_eq!(failed, 6, "every failure is recorded");
}

/// Ctrl-C and SIGTERM end the child, or our waiting for it to be able to begin; we clean up and record.
#[test]
fn being_asked_to_end_leaves_nothing_behind() {
    let world = World::new();
    let before = traces(&world);
    // It would wait for the lock as well, without a word.
    let podman = "#!/bin/sh\necho /var/lib/containers/storage\n";
    let skopeo = "#!/bin/sh\ntouch /tmp/started\nexec sleep 1000\n";
    let lock = world.outside("/var/lib/containers/storage/overlay-layers/layers.lock");
    // To us and the child, as a terminal does; then to us alone.
    for (how, number) in [("-INT -- -", 2), ("-TERM ", 15), ("-HUP ", 1)] {
        for waiting in [false, true] {
            let held = waiting.then(|| HeldLock::on(&lock));
            let begun = if waiting { "grep 'note: waiting for' /tmp/said" } else { "[ -e /tmp/started ]" };
            let script = format!(
                "{EVENTUALLY}
                set -m
                bootc-image copy-to-storage 2>/tmp/said & ours=$!
                eventually {begun}
                kill {how}$ours
                code=0; wait $ours || code=$?
                cat /tmp/said >&2
                ! pgrep -x sleep || exit 99
                exit $code"
            );
            let enter = world.enter().file_with_mode("/usr/bin/podman", podman, 0o755);
            let enter = enter.file_with_mode("/usr/bin/skopeo", skopeo, 0o755);
            let output = enter.run(&["bash", "-euc", &script]).exits(128 + number);
            let error = format!("error: interrupted by signal {number}\n");
            assert!(output.stderr.contains(&error), "{how}: {output:#?}");
            drop(held);
            assert_eq!(traces(&world), before, "{how}");
        }
    }
    assert_eq!(world.record().iter().filter(|line| line["result"] == "interrupted").count(), 6);
}

/// Nothing of the caller's reaches the children.
#[test]
fn the_callers_environment_doesnt_reach_the_children() {
    let world = World::new();
    let spy = "#!/bin/sh\ntr '\\0' '\\n' </proc/self/environ >/var/environment\nls /proc/self/fd >/var/descriptors\nexit 1\n";
    let mut enter = world.enter().file_with_mode("/usr/bin/skopeo", spy, 0o755);
    for variable in [
        "CONTAINERS_CONF",
        "CONTAINER_HOST",
        "STORAGE_DRIVER",
        "BUILDAH_ISOLATION",
        "XDG_RUNTIME_DIR",
        "DOCKER_CONFIG",
        "GODEBUG",
        "SSL_CERT_FILE",
        "REGISTRY_AUTH_FILE",
        "LD_LIBRARY_PATH",
        "EVIL",
    ] {
        enter = enter.env(variable, "/tmp/evil");
    }
    enter
        .env("HTTPS_PROXY", "http://proxy")
        .sh("exec 7</etc/passwd; exec bootc-image copy-to-storage")
        .exits(1);
    let passed = fs::read_to_string(world.outside("/var/environment")).unwrap();
    let mut names: Vec<&str> = passed.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !["PWD", "SHLVL", "OLDPWD", "_"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["HOME", "HTTPS_PROXY", "LANG", "PATH", "TMPDIR"], "{passed}");
    assert!(!passed.contains("evil") && passed.contains("HOME=/run/bootc-image/home"), "{passed}");
    let descriptors = fs::read_to_string(world.outside("/var/descriptors")).unwrap();
    assert!(!descriptors.lines().any(|number| number == "7"), "{descriptors}");
}

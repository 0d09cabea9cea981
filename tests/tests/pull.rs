//! `pull-from-default-storage`, with the real podman, on a store that is shared with bootc.

use std::fs;

use bootc_image_tests::faults::HeldLock;
use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::{Output, World};
use serde_json::Value;

fn pull(world: &World, image: &str) -> Output {
    world.enter().run(&["bootc-image", "pull-from-default-storage", image])
}

fn canonical(world: &World) -> Value {
    world.record()[0]["canonical"]["operation"].clone()
}

#[test]
fn an_image_is_pulled_by_its_id_and_bootc_sees_it() {
    let world = World::new();
    let mine = &world.facts().mine;
    let script = "bootc-image pull-from-default-storage localhost/mine:1; ls -A /var/tmp; \
                  grep -c bootc/storage /proc/self/mountinfo || true";
    let output = world.enter().sh(script).ok();
    assert_eq!(output.lines(), [&format!("Pulled: localhost/mine:1 {}", mine.digest), "0"], "{output:#?}");
    let operation = canonical(&world);
    assert_eq!(
        (&operation["source"]["id"], &operation["source"]["manifest_digest"]),
        (&mine.id.as_str().into(), &mine.digest.as_str().into())
    );
    // podman with bootc's mount, argv and environment finds no other database, and the same image.
    assert!(oracle::podman_names(&world, Store::Bootc).contains(&"localhost/mine:1".to_owned()));
    assert_eq!(oracle::podman_inspect(&world, Store::Bootc, "localhost/mine:1")["Id"], mine.id.as_str());
    let listed = world.enter().run(&["bootc-image", "list", "--type=unified", "--format=json"]).ok();
    assert!(listed.stdout.contains("\"localhost/mine:1\""));
}

/// bootc hosts mount /sysroot read-only; only we and our children see it writable.
#[test]
fn a_read_only_sysroot_becomes_writable_for_us_alone() {
    let world = World::new();
    let script = "bootc-image --quiet pull-from-default-storage localhost/mine:1; bootc-image cmd list --quiet; \
                  bootc-image --quiet copy-to-storage; touch /sysroot/x 2>/dev/null || echo still read-only";
    let output = world.enter().read_only_sysroot().sh(script).ok();
    assert_eq!(output.lines().last(), Some(&"still read-only"), "{output:#?}");
    assert!(oracle::podman_names(&world, Store::Bootc).contains(&"localhost/mine:1".to_owned()));
    fs::remove_dir_all(world.outside("/sysroot/ostree/bootc")).unwrap();
    let pull = "bootc-image pull-from-default-storage localhost/mine:1";
    world.enter().read_only_sysroot().sh(pull).ok();
    assert_eq!(oracle::podman_names(&world, Store::Bootc), ["localhost/mine:1"]);
}

#[test]
fn a_short_name_is_found_and_recorded_in_full() {
    let world = World::new();
    pull(&world, "mine:1").ok();
    assert_eq!(canonical(&world)["name"], "localhost/mine:1");
}

#[test]
fn a_short_name_with_two_meanings_is_refused() {
    let world = World::new();
    let tag = "podman tag localhost/mine:1 docker.io/library/two:1; podman tag 127.0.0.1:5000/lab/app:1 localhost/two:1";
    world.enter().sh(tag).ok();
    let output = pull(&world, "two:1").exits(1);
    assert!(
        output.stderr.contains("ambiguous: it could be localhost/two:1 or docker.io/library/two:1"),
        "{output:#?}"
    );
    pull(&world, "docker.io/library/two:1").ok();
}

#[test]
fn unknown_and_malformed_names_are_clear_errors() {
    let world = World::new();
    let before = oracle::podman_names(&world, Store::Bootc);
    for name in ["localhost/none:1", "none", "quay.io/a/b:1"] {
        let output = pull(&world, name).exits(1);
        let expected = format!(
            "error: Source image not found: {name}\n  hint: to list images, run: podman image list\n"
        );
        assert_eq!(output.stderr, expected);
    }
    let digest = format!("localhost/mine@{}", world.facts().mine.digest);
    for name in ["", "A/b", "dir:/etc", "containers-storage:[overlay@/x]y", "--root=/x", "a b", &digest] {
        let output = world.enter().run(&["bootc-image", "pull-from-default-storage", "--", name]).exits(2);
        assert!(output.stderr.starts_with("error: "), "{name}: {output:#?}");
    }
    world.enter().run(&["bootc-image", "pull-from-default-storage"]).exits(2);
    assert_eq!(oracle::podman_names(&world, Store::Bootc), before);
}

#[test]
fn a_store_that_isnt_there_yet_is_created_as_bootc_would() {
    let world = World::new();
    fs::remove_dir_all(world.outside("/sysroot/ostree/bootc")).unwrap();
    let output = pull(&world, "localhost/mine:1").ok();
    assert!(output.stderr.contains("creating bootc's storage"), "{output:#?}");
    let store = world.outside("/sysroot/ostree/bootc");
    let entries: Vec<_> = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(entries, ["storage"], "nothing half-made stays");
    assert!(!store.join("storage/.bootc_labeled").exists(), "labels are bootc's business");
    assert_eq!(oracle::podman_names(&world, Store::Bootc), ["localhost/mine:1"]);
}

#[test]
fn a_half_made_store_of_an_earlier_run_is_replaced() {
    let world = World::new();
    let parent = world.outside("/sysroot/ostree/bootc");
    fs::remove_dir_all(parent.join("storage")).unwrap();
    fs::create_dir_all(parent.join("storage.tmp/overlay-images")).unwrap();
    fs::write(parent.join("storage.tmp/overlay-images/images.json"), "[{").unwrap();
    pull(&world, "localhost/mine:1").ok();
    assert!(!parent.join("storage.tmp").exists());
}

#[test]
fn with_selinux_no_store_is_created() {
    let world = World::new();
    fs::remove_dir_all(world.outside("/sysroot/ostree/bootc")).unwrap();
    let output = world
        .enter()
        .selinux()
        .run(&["bootc-image", "pull-from-default-storage", "localhost/mine:1"])
        .exits(1);
    assert!(output.stderr.contains("SELinux is enabled: bootc must create and label it"), "{output:#?}");
    assert!(
        output.stderr.contains("hint: let bootc create it")
            && !world.outside("/sysroot/ostree/bootc").exists()
    );
    // On a store that bootc has made it works, and its stamp is left alone.
    let world = World::new();
    world.enter().selinux().run(&["bootc-image", "pull-from-default-storage", "localhost/mine:1"]).ok();
    assert!(!world.outside("/sysroot/ostree/bootc/storage/.bootc_labeled").exists());
}

#[test]
fn it_needs_root_a_booted_host_and_skopeo() {
    let world = World::new();
    let run = ["bootc-image", "pull-from-default-storage", "localhost/mine:1"];
    let before = oracle::podman_names(&world, Store::Bootc);
    world.enter().as_uid(1000).run(&run).exits(1);
    world.enter().not_booted().run(&run).exits(1);
    world.enter().in_container().run(&run).exits(1);
    let output = world.enter().without("skopeo").run(&run).exits(69);
    assert!(output.stderr.contains("hint: add the package skopeo to the OS image"), "{output:#?}");
    assert_eq!(oracle::podman_names(&world, Store::Bootc), before);
}

#[test]
fn a_skopeo_that_fails_is_an_error_with_its_words() {
    let world = World::new();
    let before = oracle::podman_names(&world, Store::Bootc);
    for (script, why) in [
        ("echo broken >&2; exit 125", "skopeo failed (exit code 125): broken"),
        ("kill -9 $$", "killed by signal 9"),
        (
            "exit 0",
            "is not as expected: this name is missing in the storage at /sysroot/ostree/bootc/storage",
        ),
    ] {
        let enter = world.enter().file_with_mode("/usr/bin/skopeo", format!("#!/bin/sh\n{script}\n"), 0o755);
        let output = enter.run(&["bootc-image", "pull-from-default-storage", "localhost/mine:1"]).exits(1);
        assert!(output.stderr.contains(why), "{output:#?}");
    }
    assert_eq!(oracle::podman_names(&world, Store::Bootc), before);
}

#[test]
fn a_damaged_default_store_is_named() {
    let world = World::new();
    let index = world.outside("/var/lib/containers/storage/overlay-images/images.json");
    fs::write(&index, "[{").unwrap();
    let output = pull(&world, "localhost/mine:1").exits(1);
    assert!(output.stderr.contains("images.json is damaged or incomplete"), "{output:#?}");
}

#[test]
fn a_locked_default_store_is_waited_for_with_a_limit() {
    let world = World::new();
    let _lock = HeldLock::on(&world.outside("/var/lib/containers/storage/overlay-images/images.lock"));
    let output = pull(&world, "localhost/mine:1").exits(1);
    assert!(
        output.stderr.contains("note: waiting for") && output.stderr.contains("gave up waiting for"),
        "{output:#?}"
    );
}

#[test]
fn a_dry_run_pulls_nothing() {
    let world = World::new();
    let before = oracle::podman_names(&world, Store::Bootc);
    let output = world.enter().run(&["bootc-image", "--dry-run", "pull-from-default-storage", "mine:1"]).ok();
    assert_eq!(
        output.json::<Value>()["canonical"]["operation"]["source"]["id"],
        world.facts().mine.id.as_str()
    );
    assert_eq!(oracle::podman_names(&world, Store::Bootc), before);
}

/// Whoever ends us while we wait for another of us is heard: the record says how it ended, and what was still to come isn't
/// begun.
#[test]
fn being_asked_to_end_while_another_copies_is_recorded() {
    let world = World::new();
    let script = "mkdir -p /run/bootc-image; flock /run/bootc-image/bootc.lock sleep 1000 & \
                  until ! flock -n /run/bootc-image/bootc.lock true; do sleep 0.05; done 2>/dev/null
                  bootc-image pull-from-default-storage mine:1 127.0.0.1:5000/lab/app:1 2>/tmp/said & ours=$!
                  until grep -q 'note: waiting for' /tmp/said; do sleep 0.05; done
                  kill -TERM $ours; code=0; wait $ours || code=$?; cat /tmp/said >&2; pkill sleep; exit $code";
    let output = world.enter().run(&["bash", "-uc", script]).exits(143);
    assert_eq!(output.stderr.matches("error: interrupted by signal 15").count(), 1, "{output:#?}");
    let record = world.record();
    let events: Vec<&Value> = record.iter().map(|line| &line["event"]).collect();
    assert_eq!(events, ["intent", "outcome"]);
    assert_eq!((&record[1]["result"], &record[1]["signal"]), (&"interrupted".into(), &15.into()));
}

#[test]
fn what_several_have_in_common_is_the_exit_code() {
    let world = World::new();
    let pull = |names: &[&str]| {
        let words = [&["bootc-image", "pull-from-default-storage"], names].concat();
        world.enter().without("skopeo").run(&words)
    };
    world.enter().sh("podman tag localhost/mine:1 localhost/mine:2").ok();
    pull(&["localhost/mine:1", "localhost/mine:2"]).exits(69);
    // One that is there already needs no skopeo.
    world.enter().run(&["bootc-image", "--quiet", "pull-from-default-storage", "localhost/mine:1"]).ok();
    let output = pull(&["localhost/mine:1", "localhost/mine:2"]).exits(69);
    assert!(output.stdout.starts_with("Unchanged: localhost/mine:1 "), "{output:#?}");
}

/// A program that keeps something at home would keep the next one from starting.
#[test]
fn nobody_writes_into_the_empty_home() {
    let world = World::new();
    let podman = "#!/bin/sh\ntouch $HOME/x 2>/run/why || exit 3\n";
    let enter = world.enter().file_with_mode("/usr/bin/podman", podman, 0o755);
    let output = enter.sh("bootc-image cmd list || echo $?; cat /run/why; ls -A /run/bootc-image/home").ok();
    assert!(
        output.stdout.starts_with("3\n") && output.stdout.contains("Read-only file system"),
        "{output:#?}"
    );
    assert_eq!(output.stdout.lines().count(), 2, "{output:#?}");
}

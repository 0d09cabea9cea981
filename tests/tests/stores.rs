//! bootc's storage and podman's under others' hands: taking turns with bootc's way of calling podman, many at once, half-made
//! stores, other layouts, mounts, room.

use std::fs;
use std::os::unix::fs::symlink;

use bootc_image_tests::World;
use bootc_image_tests::faults::{EVENTUALLY, HeldLock, wait_for_text};
use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::turns::{Maker, take_turns};

#[test]
fn bootcs_podman_and_we_take_turns_on_one_store() {
    for maker in [Maker::World, Maker::Us, Maker::Bootc] {
        take_turns(2, maker);
    }
}

#[test]
fn many_at_once_wait_for_each_other_and_lose_nothing() {
    let world = World::new();
    // Each its own name, all of the same images; and a store that all of them find missing.
    let script = "
        rm -r /sysroot/ostree/bootc
        for n in 1 2 3 4 5; do
            podman tag localhost/mine:1 localhost/many:$n
            bootc-image --quiet copy-to-storage --target many:copy$n >/tmp/out.copy$n 2>&1 &
            bootc-image --quiet pull-from-default-storage many:$n >/tmp/out.pull$n 2>&1 &
            bootc-image list --format json >/tmp/out.list$n 2>&1 &
            bootc-image cmd list --quiet >/tmp/out.cmd$n 2>&1 &
        done
        failed=0
        for job in $(jobs -p); do wait $job || failed=$((failed + 1)); done
        cat /tmp/out.* >&2
        echo $failed";
    let output = world.enter().sh(script).ok();
    assert_eq!(output.stdout.trim(), "0", "{output:#?}");
    // podman lists an image that another is just writing as "may be corrupted", and ends with 0.
    let writing =
        |line: &str| line.starts_with("time=") && line.contains("in local storage but may be corrupted");
    for line in output.stderr.lines().filter(|line| !writing(line)) {
        let waits =
            !line.starts_with("note: ") || line.contains("waiting for") || line.contains("bootc upgrade");
        assert!(waits && !line.contains("error"), "{output:#?}");
    }
    let names = (1..=5).map(|n| format!("localhost/many:{n}"));
    let unified = oracle::podman_names(&world, Store::Bootc);
    let default = oracle::podman_names(&world, Store::Default);
    for (n, name) in names.enumerate() {
        assert!(unified.contains(&name), "{name}: {unified:?}");
        assert!(default.contains(&format!("localhost/many:copy{}", n + 1)), "{default:?}");
    }
    let parent = world.outside("/sysroot/ostree/bootc");
    assert_eq!(fs::read_dir(parent).unwrap().count(), 1, "one store, and nothing half-made");
    assert_eq!(fs::read_dir(world.outside("/var/tmp")).unwrap().count(), 0);
}

/// Skopeo itself would wait without a word.
#[test]
fn a_storage_that_somebody_holds_is_waited_for_with_a_word() {
    let world = World::new();
    let lock = world.outside("/var/lib/containers/storage/overlay-layers/layers.lock");
    world.enter().sh("podman images --quiet").ok();
    let held = HeldLock::on(&lock);
    let waiting = std::thread::scope(|scope| {
        let copy = scope.spawn(|| {
            // podman's own look at its storage waits as well, before skopeo gets there: it is left out.
            let fake = "#!/bin/sh\necho /var/lib/containers/storage\n";
            let enter = world.enter().file_with_mode("/usr/bin/podman", fake, 0o755);
            enter.sh("exec bootc-image copy-to-storage 2>/var/said")
        });
        let word = "note: waiting for /var/lib/containers/storage/overlay-layers/layers.lock, \
                    locked by a process in another PID namespace (at most 600 s)";
        wait_for_text(&world.outside("/var/said"), word);
        drop(held);
        copy.join().unwrap()
    });
    assert!(waiting.ok().stdout.starts_with("Copied: "));
}

/// One of us at a time; a holder that is killed holds nothing.
#[test]
fn another_of_us_is_waited_for_and_a_killed_one_isnt() {
    let world = World::new();
    let script = format!(
        "{EVENTUALLY}
        lock=/run/bootc-image/default.lock
        held() {{ ! /usr/bin/flock --nonblock $lock true; }}
        mkdir -p /run/bootc-image
        touch /tmp/said
        /usr/bin/flock --no-fork $lock sh -c 'until grep -q waiting /tmp/said; do sleep 0.1; done' &
        eventually held
        bootc-image copy-to-storage 2>/tmp/said
        /usr/bin/flock --no-fork $lock sleep 1000 & holder=$!
        eventually held
        kill -9 $holder
        bootc-image copy-to-storage
        cat /tmp/said >&2"
    );
    let output = world.enter().sh(&script).ok();
    let waited = output.stderr.matches("note: waiting for /run/bootc-image/default.lock").count();
    assert_eq!(waited, 1, "{output:#?}");
    assert!(output.stdout.contains("Copied: ") && output.stdout.contains("Unchanged: "));
}

#[test]
fn on_a_composefs_host_the_store_is_where_bootc_puts_it() {
    let world = World::new();
    let sysroot = world.sysroot();
    fs::remove_dir_all(sysroot.join("ostree/bootc")).unwrap();
    fs::rename(sysroot.join("ostree/repo"), sysroot.join("not-a-repo")).unwrap();
    fs::create_dir(sysroot.join("composefs")).unwrap();
    world.enter().run(&["bootc-image", "pull-from-default-storage", "localhost/mine:1"]).ok();
    assert_eq!(fs::read_link(sysroot.join("ostree/bootc")).unwrap().to_str(), Some("../composefs/bootc"));
    assert!(sysroot.join("composefs/bootc/storage/overlay-images").is_dir());
    let listed = world.enter().run(&["bootc-image", "list", "--type=unified", "--format=json"]).ok();
    assert!(listed.stdout.contains("localhost/mine:1"));
    world.enter().run(&["bootc-image", "copy-to-storage", "--source=mine:1", "--target=back"]).ok();
    // The link that bootc leaves, and nothing behind it yet.
    fs::remove_dir_all(sysroot.join("composefs/bootc/storage")).unwrap();
    assert!(symlink("x", sysroot.join("ostree/bootc")).is_err());
    world.enter().run(&["bootc-image", "pull-from-default-storage", "localhost/mine:1"]).ok();
}

#[test]
fn vfs_storages_are_written_as_overlay_ones() {
    let world = World::new();
    fs::remove_dir_all(world.outside("/sysroot/ostree/bootc")).unwrap();
    fs::remove_dir_all(world.outside("/var/lib/containers")).unwrap();
    let conf = "[storage]\ndriver = \"vfs\"\ngraphroot = \"/var/lib/elsewhere\"\nrunroot = \"/run/containers/storage\"\n";
    let script = "
        bootc-image copy-to-storage
        bootc-image copy-to-storage
        podman tag localhost/bootc localhost/again:1
        bootc-image pull-from-default-storage localhost/again:1
        bootc-image pull-from-default-storage localhost/again:1
        bootc-image list --type unified
        ls /var/lib/elsewhere /sysroot/ostree/bootc/storage";
    let output = world.enter().file("/etc/containers/storage.conf", conf).sh(script).ok();
    let lines = output.lines();
    for (line, beginning) in ["Copied: ", "Unchanged: ", "Pulled: ", "Unchanged: "].into_iter().enumerate() {
        assert!(lines[line].starts_with(beginning), "{output:#?}");
    }
    assert!(output.stdout.contains("localhost/again:1") && !output.stdout.contains("overlay"), "{output:#?}");
    assert_eq!(output.stdout.matches("vfs-images").count(), 2, "graphroot and bootc's store");
}

#[test]
fn nothing_stays_mounted() {
    let world = World::new();
    let script = "cat /proc/self/mountinfo >/tmp/before
        bootc-image --quiet copy-to-storage
        bootc-image --quiet pull-from-default-storage localhost/mine:1
        bootc-image --quiet set-unified
        bootc-image cmd list --quiet
        cmp /proc/self/mountinfo /tmp/before || { cat /proc/self/mountinfo; exit 1; }";
    world.enter().registry(true).sh(script).ok();
}

#[test]
fn too_little_room_is_found_before_anything_is_written() {
    let world = World::new();
    // A small file system in the place of scratch space; inside, mounts are nobody else's.
    let script = "
        mount -t tmpfs -o size=1m none /var/tmp
        bootc-image copy-to-storage && exit 1
        ls -A /var/tmp
        umount /var/tmp
        mount -t tmpfs -o size=1m none /var/lib/containers
        bootc-image copy-to-storage && exit 1
        ls -A /var/tmp /var/lib/containers";
    let output = world.enter().sh(script).ok();
    assert!(output.stderr.contains("error: not enough free space in /var/tmp/bootc-image."));
    assert!(output.stderr.contains("error: not enough free space in /var/lib/containers: "), "{output:#?}");
    assert!(!output.stdout.contains("bootc-image") && !output.stdout.contains("storage"), "{output:#?}");
}

/// A full disk that no estimate saw coming, and a device that fails: real ones are in the sweep of faults.
#[test]
fn a_damaged_object_isnt_copied() {
    let world = World::new();
    let objects = world.outside("/sysroot/ostree/repo/objects");
    let found =
        fs::read_dir(&objects).unwrap().flat_map(|entry| fs::read_dir(entry.unwrap().path()).unwrap());
    let file = found
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.extension().is_some_and(|extension| extension == "file")
                && fs::read(path).is_ok_and(|text| text.starts_with(b"ID=lab"))
        })
        .unwrap();
    // In place: links elsewhere show the same bits, as on a disk that lies.
    let damaged = fs::read_to_string(&file).unwrap().replace("ID=lab", "ID=bad");
    fs::write(&file, damaged).unwrap();
    let output = world.enter().run(&["bootc-image", "copy-to-storage"]).exits(1);
    assert!(
        output.stderr.contains("of the ostree repository is damaged: the checksum of its contents is"),
        "{output:#?}"
    );
    assert!(!oracle::podman_names(&world, Store::Default).iter().any(|name| name.contains("bootc")));
}

#[test]
fn layers_that_are_gone_from_the_repository_are_named() {
    let world = World::new();
    let refs = world.outside("/sysroot/ostree/repo/refs/heads/ostree/container/blob");
    fs::remove_dir_all(refs).unwrap();
    let output = world.enter().run(&["bootc-image", "copy-to-storage"]).exits(1);
    assert!(output.stderr.contains("is no longer in the ostree repository"), "{output:#?}");
}

#[test]
fn what_a_killed_process_left_goes_with_the_next_one() {
    let world = World::new();
    let script = "
        mkdir -m 700 /var/tmp/bootc-image.0123456789abcdef /var/tmp/bootc-image.1123456789abcdef
        mkdir -m 700 /var/tmp/bootc-image.backup
        mkdir -m 755 /var/tmp/bootc-image.2123456789abcdef
        echo x >/var/tmp/bootc-image.0123456789abcdef/file
        chown lab /var/tmp/bootc-image.1123456789abcdef
        ln -s /etc /var/tmp/bootc-image.3123456789abcdef
        bootc-image --quiet copy-to-storage
        ls /var/tmp /etc/passwd";
    let output = world.enter().sh(script).ok();
    assert_eq!(
        output.lines()[1..],
        [
            "/etc/passwd",
            "",
            "/var/tmp:",
            "bootc-image.1123456789abcdef",
            "bootc-image.2123456789abcdef",
            "bootc-image.3123456789abcdef",
            "bootc-image.backup"
        ],
        "{output:#?}"
    );
}

/// Whoever can read a file can lock it: an unprivileged user must not be able to keep everybody waiting.
#[test]
fn nobody_but_root_can_hold_our_locks() {
    let world = World::new();
    let script = "umask 0
        rm -r /sysroot/ostree/bootc
        bootc-image --quiet copy-to-storage; bootc-image --quiet pull-from-default-storage localhost/mine:1
        stat -c '%a %n' /run/bootc-image /run/bootc-image/*.lock /sysroot/ostree/bootc /sysroot/ostree/bootc/storage
        for lock in /run/bootc-image/*.lock; do
            ! /usr/bin/setpriv --reuid=1000 --regid=1000 --clear-groups /usr/bin/flock --nonblock $lock true
        done";
    let output = world.enter().sh(script).ok();
    let expected = "755 /run/bootc-image,600 /run/bootc-image/bootc.lock,600 /run/bootc-image/creation.lock,\
                    600 /run/bootc-image/default.lock,755 /sysroot/ostree/bootc,700 /sysroot/ostree/bootc/storage";
    assert_eq!(output.lines()[2..].join(","), expected, "{output:#?}");
}

/// What an archive doesn't say is made with the tools' umask, which they would have from us.
#[test]
fn the_callers_umask_isnt_in_the_images() {
    let modes = |umask: &str| {
        let world = World::new();
        let script = format!(
            "umask {umask}
            bootc-image --quiet copy-to-storage >/dev/null
            cd /var/lib/containers/storage/overlay; stat -c '%a %n' */diff */diff/* | sort"
        );
        world.enter().sh(&script).ok().stdout
    };
    assert_eq!(modes("077"), modes("022"));
}

/// A caller who ignores the end of children must not make us lose the outcome.
#[test]
fn ignored_children_are_waited_for_nevertheless() {
    let world = World::new();
    let ignoring = "$SIG{CHLD} = 'IGNORE'; exec @ARGV";
    let run = |command: &[&str]| world.enter().run(&[&["perl", "-e", ignoring], command].concat());
    assert!(run(&["bootc-image", "copy-to-storage"]).ok().stdout.starts_with("Copied: "));
    run(&["bootc-image", "cmd", "list", "--quiet"]).ok();
    run(&["bootc-image", "cmd", "list", "--sort=nonsense"]).exits(125);
    assert_eq!(world.record().iter().filter(|line| line["result"] == "failed").count(), 0);
}

#[test]
fn a_name_at_docker_hub_is_what_podman_makes_of_it() {
    let world = World::new();
    let script = "bootc-image copy-to-storage --target docker.io/foo
        bootc-image copy-to-storage --target docker.io/foo
        bootc-image pull-from-default-storage docker.io/foo
        podman image exists docker.io/library/foo:latest";
    let output = world.enter().sh(script).ok();
    assert!(
        output.stdout.contains("Unchanged: containers-storage:docker.io/library/foo:latest"),
        "{output:#?}"
    );
    assert!(output.stdout.contains("Pulled: docker.io/library/foo:latest"), "{output:#?}");
}

/// As on a live ISO: there is nothing to remount.
#[test]
fn a_read_only_device_is_named() {
    let world = World::new();
    let script = "
        mkdir /tmp/disk; mount -t tmpfs none /tmp/disk
        mkdir -p /tmp/disk/ostree/repo; mount -o remount,ro /tmp/disk
        mount --bind /tmp/disk /sysroot
        exec bootc-image pull-from-default-storage localhost/mine:1";
    let output = world.enter().sh(script).exits(1);
    let expected = "error: /sysroot is on a read-only block device (for example a live ISO)\n  hint: ";
    assert!(output.stderr.starts_with(expected), "{output:#?}");
}

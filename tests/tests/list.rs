//! `list`, complete: the true set in every situation, and what it doesn't do to get it.

use std::fs;

use bootc_image_tests::faults::{HeldLock, Strace, busy_writer, wait_for_text};
use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::{Output, World, programs};
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _, Symbol, SymbolKind};
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    image_type: String,
    image: String,
}

fn rows(image_type: &str, images: &[String]) -> Vec<Row> {
    images.iter().map(|image| Row { image_type: image_type.to_owned(), image: image.clone() }).collect()
}

/// What must be listed, by the real programs: podman's names, but a name with a digest only of an image without a tag.
fn expected(world: &World) -> (Vec<Row>, Vec<Row>, Vec<Row>) {
    let images: Vec<serde_json::Value> =
        oracle::podman(world, Store::Bootc, "image list --all --no-trunc --format json");
    let mut unified: Vec<String> = Vec::new();
    for image in &images {
        let names: Vec<&str> =
            image["Names"].as_array().into_iter().flatten().filter_map(|n| n.as_str()).collect();
        let tagged = names.iter().any(|name| !name.contains('@'));
        unified
            .extend(names.iter().filter(|name| !tagged || !name.contains('@')).map(|&name| name.to_owned()));
    }
    unified.sort();
    unified.dedup();
    let host = rows("host", &oracle::host_names(world));
    (host, rows("unified", &unified), rows("logical", &world.facts().logical))
}

fn list(world: &World, arguments: &[&str]) -> Output {
    world.enter().run(&[&["bootc-image", "list"], arguments].concat())
}

const INDEX: &str = "/sysroot/ostree/bootc/storage/overlay-images/images.json";
const LOCK: &str = "/sysroot/ostree/bootc/storage/overlay-images/images.lock";
const BOUND: &str = "/usr/lib/bootc/bound-images.d";

#[test]
fn json_is_the_true_set_and_no_row_twice() {
    let world = World::new();
    let (host, unified, logical) = expected(&world);
    assert!(host.len() >= 2 && unified.len() >= 3 && logical.len() >= 2, "{host:?} {unified:?} {logical:?}");
    let listed: Vec<Row> = list(&world, &["--format", "json"]).ok().json();
    assert_eq!(listed, [host.clone(), unified.clone(), logical.clone()].concat());
    for (image_type, expected) in [
        ("all", [&host[..], &unified, &logical].concat()),
        ("host", [&host[..], &unified].concat()),
        ("unified", unified),
        ("logical", logical),
    ] {
        let listed: Vec<Row> = list(&world, &["--type", image_type, "--format=json"]).ok().json();
        assert_eq!(listed, expected, "{image_type}");
    }
}

/// Bootc lists n * n rows for an image with n names.
#[test]
fn an_image_with_three_names_is_listed_three_times() {
    let world = World::new();
    let tag = format!(
        "{}store_podman image tag localhost/app:stable localhost/a:1 localhost/a:2",
        Store::Bootc.shell()
    );
    world.enter().sh(&tag).ok();
    let listed: Vec<Row> = list(&world, &["--type=unified", "--format=json"]).ok().json();
    let id = world.facts().app1.id.clone();
    let names = oracle::images_json(&world, Store::Bootc)
        .as_array()
        .unwrap()
        .iter()
        .find(|image| image["id"] == id.as_str())
        .unwrap()["names"]
        .as_array()
        .unwrap()
        .clone();
    let names: Vec<&str> = names.iter().filter_map(|n| n.as_str()).filter(|n| !n.contains('@')).collect();
    assert_eq!(names.len(), 4);
    for name in names {
        assert_eq!(listed.iter().filter(|row| row.image == name).count(), 1, "{name} in {listed:?}");
    }
}

#[test]
fn the_table_is_the_same_set_and_only_data_is_on_stdout() {
    let world = World::new();
    let (host, unified, logical) = expected(&world);
    let output = list(&world, &[]).ok();
    assert_eq!(output.stderr, "");
    let mut lines = output.stdout.lines();
    assert_eq!(lines.next().map(|line| line.split_whitespace().collect()), Some(vec!["REPOSITORY", "TYPE"]));
    let shown: Vec<Row> = lines
        .map(|line| {
            let (image, image_type) = line.split_once(' ').unwrap();
            Row { image_type: image_type.trim().to_owned(), image: image.to_owned() }
        })
        .collect();
    assert_eq!(shown, [host, unified, logical].concat());
    assert_eq!(list(&world, &[]).ok().stdout, output.stdout, "the order is stable");
}

#[test]
fn off_a_bootc_host_only_logical_images_are_listed() {
    let world = World::new();
    let logical = rows("logical", &world.facts().logical);
    let places: [fn(&World) -> bootc_image_tests::world::Enter; 3] = [
        |world| world.enter().not_booted(),
        |world| world.enter().in_container(),
        |world| world.enter().env("container", "oci"),
    ];
    for enter in places {
        for arguments in
            [&["--format=json"][..], &["--format=json", "--type=all"], &["--format=json", "--type=logical"]]
        {
            let listed: Vec<Row> =
                enter(&world).run(&[&["bootc-image", "list"], arguments].concat()).ok().json();
            assert_eq!(listed, logical, "{arguments:?}");
        }
        for image_type in ["--type=host", "--type=unified"] {
            let output = enter(&world).run(&["bootc-image", "list", image_type]).exits(1);
            let error = "error: Listing images: Listing host images requires a booted bootc system\n";
            assert!(output.stderr.starts_with(error) && output.stdout.is_empty(), "{output:#?}");
        }
    }
}

#[test]
fn another_system_is_listed_with_its_default_deployment() {
    let world = World::new();
    let all: Vec<Row> = list(&world, &["--format=json"]).ok().json();
    let enter = || world.enter().not_booted().file("/tmp/marker", "");
    let listed: Vec<Row> =
        enter().run(&["bootc-image", "--sysroot", "/sysroot", "list", "--format=json"]).ok().json();
    assert_eq!(listed, all);
    let output = enter().run(&["bootc-image", "--sysroot", "/nowhere", "list"]).exits(1);
    assert!(output.stderr.contains("error: cannot open /nowhere"), "{output:#?}");
    let output = enter().run(&["bootc-image", "--sysroot", "/tmp", "list"]).exits(1);
    assert!(
        output.stderr.contains("/tmp/ostree/repo") && output.stderr.contains("no deployment found in /tmp")
    );
}

/// A caller who is root through sudo stays on the booted system.
#[test]
fn a_delegated_caller_cant_name_another_system() {
    let world = World::new();
    for variable in ["SUDO_UID", "PKEXEC_UID", "DOAS_USER"] {
        let enter = || world.enter().env(variable, "1000");
        let output = enter().run(&["bootc-image", "--sysroot", "/sysroot", "list"]).exits(77);
        assert!(
            output.stdout.is_empty() && output.stderr.starts_with("bootc-image: denied: "),
            "{output:#?}"
        );
        enter().run(&["bootc-image", "list"]).ok();
    }
}

#[test]
fn without_root_the_rest_is_listed_and_the_store_is_named() {
    let world = World::new();
    let (host, _, logical) = expected(&world);
    let output = world.enter().as_uid(1000).run(&["bootc-image", "list", "--format=json"]).exits(1);
    assert_eq!(output.json::<Vec<Row>>(), [host.clone(), logical].concat());
    assert_eq!(output.stderr.matches("error: ").count(), 1, "{output:#?}");
    assert!(output.stderr.contains("overlay-images") && output.stderr.contains("sudo"), "{output:#?}");
    let output = world.enter().as_uid(1000).run(&["bootc-image", "list", "--type=unified"]).exits(1);
    assert!(output.stderr.contains("Permission denied"), "{output:#?}");
}

/// Bootc waits for the lock of the sysroot, which an upgrade holds for minutes.
#[test]
fn the_lock_of_the_sysroot_isnt_needed() {
    let world = World::new();
    let all: Vec<Row> = list(&world, &["--format=json"]).ok().json();
    let script = "touch /sysroot/ostree/lock; exec 9</sysroot/ostree/lock; /usr/bin/flock --exclusive 9; \
                  /usr/bin/timeout 60 bootc-image list --format json 9<&-";
    let output = world.enter().sh(script).ok();
    assert_eq!((output.json::<Vec<Row>>(), output.stderr.as_str()), (all, ""));
}

#[test]
fn without_a_store_there_are_no_unified_images() {
    let world = World::new();
    fs::remove_dir_all(world.outside("/sysroot/ostree/bootc")).unwrap();
    let listed: Vec<Row> = list(&world, &["--format=json", "--type=unified"]).ok().json();
    assert!(listed.is_empty());
    assert!(!world.outside("/sysroot/ostree/bootc").exists(), "a listing creates nothing");
}

#[test]
fn without_a_sysroot_the_bound_images_are_listed() {
    let world = World::new();
    let logical = rows("logical", &world.facts().logical);
    let script =
        "umount -l /sysroot; rmdir /sysroot 2>/dev/null || true; exec bootc-image list --format json";
    let output = world.enter().sh(script).exits(1);
    assert_eq!(output.json::<Vec<Row>>(), logical, "{output:#?}");
    assert!(output.stderr.contains("error: cannot open /sysroot"), "{output:#?}");
}

#[test]
fn a_store_that_cant_be_opened_is_named() {
    let world = World::new();
    let store = world.outside("/sysroot/ostree/bootc/storage");
    fs::remove_dir_all(&store).unwrap();
    fs::write(&store, "").unwrap();
    let output = list(&world, &["--format=json"]).exits(1);
    let error = "error: Bootc storage not available: /sysroot/ostree/bootc/storage: Not a directory";
    assert!(output.stderr.starts_with(error) && output.stderr.contains("hint: "), "{output:#?}");
    let listed: Vec<Row> = output.json();
    assert!(
        listed.iter().any(|row| row.image_type == "host")
            && listed.iter().all(|row| row.image_type != "unified")
    );
}

/// What ostree doesn't have isn't guessed.
#[test]
fn host_images_of_a_composefs_system_are_a_clear_error() {
    let world = World::new();
    let script = "mkdir -p /tmp/c/composefs/bootc /tmp/c/ostree; ln -s ../composefs/bootc /tmp/c/ostree/bootc; \
                  cp -a /sysroot/ostree/bootc/storage /tmp/c/composefs/bootc/; exec bootc-image --sysroot /tmp/c list";
    let output = world.enter().sh(&format!("{script} --type host --format json")).exits(1);
    assert!(
        output.stderr.contains("error: reading the images of a composefs host is not supported yet"),
        "{output:#?}"
    );
    let unified = output.json::<Vec<Row>>();
    assert!(unified.len() >= 3 && unified.iter().all(|row| row.image_type == "unified"), "{unified:?}");
}

#[test]
fn a_damaged_or_half_written_index_is_named_and_the_rest_is_listed() {
    let world = World::new();
    let (host, _, logical) = expected(&world);
    let rest = [host, logical].concat();
    let path = world.outside(INDEX);
    let whole = fs::read(&path).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"{}", b"\xff\xfe", b"[{\"id\": 3}]"] {
        fs::write(&path, damaged).unwrap();
        let output = list(&world, &["--format=json"]).exits(1);
        assert_eq!(output.json::<Vec<Row>>(), rest);
        let named = output.stderr.contains("overlay-images/images.json is damaged or incomplete");
        assert!(named && output.stderr.contains("hint: "), "{output:#?}");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(list(&world, &[]).exits(1).stderr.contains("it is not a regular file"));
}

#[test]
fn a_store_of_another_driver_is_an_error_that_names_podman() {
    let world = World::new();
    let store = world.outside("/sysroot/ostree/bootc/storage");
    fs::rename(store.join("overlay-images"), store.join("btrfs-images")).unwrap();
    let output = list(&world, &["--format=json"]).exits(1);
    assert!(output.stderr.contains("storage driver btrfs") && output.stderr.contains("bootc-image cmd list"));
}

/// The same images in a vfs store, made by podman itself.
#[test]
fn a_vfs_store_is_read() {
    let world = World::new();
    let remake = format!(
        "rm -rf /sysroot/ostree/bootc/storage\n{}export STORAGE_DRIVER=vfs\nstore_podman image pull --quiet 127.0.0.1:5000/lab/app:2",
        Store::Bootc.shell()
    );
    world.enter().registry(true).sh(&remake).ok();
    assert!(world.outside("/sysroot/ostree/bootc/storage/vfs-images/images.json").exists());
    let listed: Vec<Row> = list(&world, &["--type=unified", "--format=json"]).ok().json();
    assert_eq!(listed, rows("unified", &["127.0.0.1:5000/lab/app:2".to_owned()]));
}

#[test]
fn a_damaged_ref_is_named_and_the_rest_is_listed() {
    let world = World::new();
    let refs = world.outside("/sysroot/ostree/repo/refs/heads/ostree/container/image");
    let (host, ..) = expected(&world);
    for (name, content, hint) in [
        ("oci_3A_x", "deadbeef\n", "ostree fsck"),
        ("oci_3A_x", "", "ostree fsck"),
        ("oci_ZZ_x", &"a".repeat(64), "ostree refs"),
    ] {
        fs::write(refs.join(name), content).unwrap();
        let output = list(&world, &["--type=host", "--format=json"]).exits(1);
        let listed: Vec<Row> = output.json();
        assert_eq!(listed.iter().filter(|row| row.image_type == "host").cloned().collect::<Vec<_>>(), host);
        assert!(output.stderr.contains(name) && output.stderr.contains(hint), "{output:#?}");
        fs::remove_file(refs.join(name)).unwrap();
    }
}

/// With bootc's own words for each rule.
#[test]
fn a_broken_bound_image_is_reported_and_hides_nothing() {
    let world = World::new();
    let all: Vec<Row> = list(&world, &["--format=json"]).ok().json();
    let unit = "/usr/share/containers/systemd/x.image";
    for (name, content, why) in [
        ("x.conf", "[Image]\nImage=a\n", "Invalid file extension: x.conf"),
        ("x.image", "[Image]\nX=a\n", "Missing Image field"),
        ("x.image", "[Image]\nImage=a%\n", "Unterminated %"),
        (
            "x.image",
            "[Image]\nImage=a:%v\n",
            "Systemd specifiers are not supported by bound bootc images: a:%v",
        ),
        ("x.image", "[Image]\nImage=a\nAuthFile=/a\n", "AuthFile is not supported"),
    ] {
        // The link is made in the overlay of this stay, before /usr becomes read-only.
        let list = format!(
            "mount -o remount,rw /usr; ln -s {unit} {BOUND}/{name}; exec bootc-image list --format json"
        );
        let output = world.enter().file(unit, content).sh(&list).exits(1);
        assert_eq!(output.json::<Vec<Row>>(), all, "{name}");
        assert!(output.stderr.contains(why), "{why} in {output:#?}");
    }
    let plain = world.enter().file(&format!("{BOUND}/y.image"), "[Image]\nImage=a\n");
    assert!(plain.run(&["bootc-image", "list"]).exits(1).stderr.contains("Not a symlink: y.image"));
}

/// Waiting is said, and has a limit.
#[test]
fn a_locked_store_is_waited_for_with_a_word_and_a_limit() {
    let world = World::new();
    let all: Vec<Row> = list(&world, &["--format=json"]).ok().json();
    let lock = HeldLock::on(&world.outside(LOCK));
    let output = list(&world, &["--format=json"]).exits(1);
    assert!(
        output.stderr.contains("note: waiting for /sysroot/ostree/bootc/storage/overlay-images/images.lock")
    );
    assert!(output.stderr.contains("images.lock after 10 s: it is locked by another process"), "{output:#?}");
    assert!(output.json::<Vec<Row>>().iter().all(|row| row.image_type != "unified"));

    let waiting = std::thread::scope(|scope| {
        let script = "exec bootc-image list --format=json 2>/var/said";
        let waiting = scope.spawn(|| world.enter().sh(script));
        wait_for_text(&world.outside("/var/said"), "note: waiting for ");
        drop(lock);
        waiting.join().unwrap()
    });
    assert_eq!(waiting.ok().json::<Vec<Row>>(), all);
}

#[test]
fn a_listing_is_whole_while_podman_writes() {
    let world = World::new();
    let (_, steady, _) = expected(&world);
    // Until the writer has been seen to write.
    let script = "mkdir /tmp/sizes
        listings=0
        until [ $listings -ge 200 ] && [ $(ls /tmp/sizes | wc -l) -gt 1 ]; do
            bootc-image list --type unified --format json >/tmp/listing
            cat /tmp/listing; echo ,
            touch /tmp/sizes/$(grep -c image_type /tmp/listing)
            listings=$((listings + 1))
            sleep 0.02
        done";
    let output = world.enter().registry(true).alongside(&busy_writer(Store::Bootc)).sh(script).ok();
    let listings: Vec<Vec<Row>> =
        serde_json::from_str(&format!("[{}]", output.stdout.trim_end().trim_end_matches(','))).unwrap();
    for listing in listings {
        let missing: Vec<_> =
            steady.iter().filter(|row| !listing.contains(row) && !row.image.contains('@')).collect();
        assert!(missing.is_empty(), "{missing:?} missing in {listing:?}");
    }
}

/// No child, no thread, no libostree, no glib.
#[test]
fn a_listing_starts_nothing_and_opens_no_library_of_ostrees() {
    let world = World::new();
    let strace =
        Strace::new().calls("execve,execveat,fork,vfork,clone,clone3,openat,open,openat2").log("/tmp/log");
    let traced = |command: &[&str]| {
        let script = format!("{} >/tmp/out; cat /tmp/log", strace.command(command).join(" "));
        world.enter().sh(&script).ok().stdout
    };
    let calls = traced(&["bootc-image", "list", "--format", "json"]);
    assert_eq!(calls.matches("execve").count(), 1, "{calls}");
    assert!(!calls.contains("clone") && !calls.contains("fork("), "{calls}");
    assert!(
        !calls.contains("libostree") && !calls.contains("libglib") && !calls.contains("libgio"),
        "{calls}"
    );
    assert!(calls.contains("images.json") && calls.contains("refs/heads"), "it did read: {calls}");
    let control = traced(&["bootc-image", "cmd", "list"]);
    assert!(
        control.matches("execve").count() > 1 && control.contains("clone"),
        "the check can fail: {control}"
    );
}

/// The program, with a breakpoint instruction at the beginning of each function of wasmtime and tokio.
fn without_wasmtime() -> Vec<u8> {
    const INT3: u8 = 0xcc;
    let original = fs::read(programs::required("bootc-image")).unwrap();
    let program = object::File::parse(&*original).unwrap();
    let is_there = |symbol: &Symbol<'_, '_>| {
        let name = symbol.name().unwrap();
        symbol.kind() == SymbolKind::Text && (name.contains("wasmtime") || name.contains("tokio"))
    };
    let segments: Vec<_> =
        program.segments().map(|segment| (segment.address(), segment.file_range())).collect();
    let in_file = |address: u64| {
        let offset = |(start, (file, size)): &(u64, (u64, u64))| {
            let within = address.checked_sub(*start).filter(|within| within < size)?;
            Some(usize::try_from(file + within).unwrap())
        };
        segments.iter().find_map(offset).unwrap()
    };
    let functions: Vec<usize> =
        program.symbols().filter(is_there).map(|symbol| in_file(symbol.address())).collect();
    assert!(functions.len() > 300, "the executable has its symbols: {}", functions.len());
    let mut code = original.clone();
    for function in functions {
        code[function] = INT3;
    }
    code
}

#[test]
fn a_listing_runs_no_function_of_wasmtime() {
    const TRAPPED: i32 = 128 + 5;
    let world = World::new();
    let code = without_wasmtime();
    let run = |arguments: &str| {
        world
            .enter()
            .file_with_mode("/tmp/bootc-image", &code, 0o755)
            .sh(&format!("/tmp/bootc-image {arguments}"))
    };
    let listing: Vec<Row> = run("list --format json").ok().json();
    assert!(!listing.is_empty());
    // The check can fail.
    run("--dry-run cmd list").exits(TRAPPED);
}

#[test]
fn a_full_or_closed_stdout_is_an_error_and_not_a_panic() {
    let world = World::new();
    for (script, why) in [
        ("bootc-image list >/dev/full", "No space left on device"),
        ("bootc-image list --format json >&-", "Bad file descriptor"),
        ("bootc-image --help >&-", "Bad file descriptor"),
    ] {
        let output = world.enter().sh(script).exits(1);
        assert!(output.stderr.starts_with("error: cannot write to standard output"), "{script}: {output:#?}");
        assert!(output.stderr.contains(why) && !output.stderr.contains("panic"), "{script}: {output:#?}");
    }
    world.enter().sh("bootc-image list >/dev/null 2>&-").ok();
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let world = World::new();
    for arguments in [&["--type", "x"][..], &["--format", "x"], &["--nope"], &["extra"]] {
        let output = list(&world, arguments).exits(2);
        assert!(output.stdout.is_empty() && output.stderr.starts_with("error: "), "{output:#?}");
    }
}

/// Every file that is opened may fail to: an error with the path, never a panic, never a list that looks whole.
#[test]
fn failing_reads_are_named() {
    let world = World::new();
    let all: Vec<Row> = list(&world, &["--format=json"]).ok().json();
    // strace can't tell which file it is: paths are relative to directories that are open.
    let failing = |number: usize| {
        let strace =
            Strace::new().inject(&format!("openat2:error=EIO:when={number}")).log("/var/log-of-strace");
        let output = world.enter().run(&strace.command(&["bootc-image", "list", "--format=json"]));
        let calls = fs::read_to_string(world.outside("/var/log-of-strace")).unwrap();
        let failed = calls.lines().find(|call| call.ends_with("(INJECTED)")).map(str::to_owned);
        (output, failed)
    };
    let mut failures = 0;
    while let (output, Some(call)) = failing(failures + 1) {
        failures += 1;
        assert_eq!(output.code, 1, "{call}: {output:#?}");
        let error = output.stderr.lines().find(|line| line.starts_with("error: "));
        let path = call.split('"').nth(1).unwrap().trim_end_matches('/');
        // Which driver a store has is seen by what is in it.
        let name = match path {
            "overlay-images" => "storage",
            // The directory that is open, which the message names.
            "." => "/",
            path => path.rsplit('/').next().unwrap(),
        };
        // What lies on the way to a file isn't named, but the file is.
        let is_on_the_way = call.contains("O_PATH");
        assert!(error.is_some_and(|error| is_on_the_way || error.contains(name)), "{call}: {output:#?}");
        assert!(output.stderr.contains("Input/output error"), "{call}: {output:#?}");
        assert!(output.stdout.is_empty() || output.json::<Vec<Row>>() != all, "{call}: {output:#?}");
    }
    assert!(failures >= 10, "{failures}");
    assert_eq!(failing(failures + 1).0.ok().json::<Vec<Row>>(), all);
    let strace = Strace::new().inject("openat2:error=EIO");
    let output = world.enter().run(&strace.command(&["bootc-image", "list", "--format=json"])).exits(1);
    assert_eq!(output.json::<Vec<Row>>(), []);
    assert!(output.stderr.matches("Input/output error").count() >= 3, "{output:#?}");
}

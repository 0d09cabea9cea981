//! `copy-to-storage` with sources by name, `set-unified`, several images at once, and that nothing is done twice.

use std::fs;

use bootc_image_tests::faults::Strace;
use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World, programs};
use serde_json::Value;

fn run(world: &World, arguments: &[&str]) -> Output {
    world.enter().registry(true).run(&[&["bootc-image"], arguments].concat())
}

fn id(world: &World, store: Store, name: &str) -> String {
    oracle::podman_inspect(world, store, name)["Id"].as_str().unwrap().to_owned()
}

#[test]
fn a_bare_name_is_looked_up_among_host_images_then_in_bootcs_storage() {
    let world = World::new();
    let facts = world.facts();
    for (source, kind) in [
        ("127.0.0.1:5000/lab/os:0", "host"),
        ("docker://127.0.0.1:5000/lab/os:0", "host"),
        ("127.0.0.1:5000/lab/app:1", "unified"),
        ("localhost/app:stable", "unified"),
        ("app:stable", "unified"),
        ("containers-storage:localhost/app:stable", "unified"),
        ("containers-storage:app:stable", "unified"),
    ] {
        run(&world, &["copy-to-storage", "--source", source, "--target", "found:1"]).ok();
        let record = world.record();
        let last = record.iter().rfind(|line| line["event"] == "intent").unwrap();
        let operation = &last["canonical"]["operation"];
        assert_eq!(operation["source"]["store"], kind, "{source}");
        let found = &operation["source"];
        match kind {
            "host" => assert_eq!(found["commit"], facts.rollback.commit.as_str(), "{source}"),
            _ => assert_eq!(found["id"], facts.app1.id.as_str(), "{source}"),
        }
    }
    assert_eq!(id(&world, Store::Default, "localhost/found:1"), facts.app1.id);
}

#[test]
fn a_source_with_several_meanings_is_refused_with_the_spellings_that_select_one() {
    let world = World::new();
    // The name of the booted image, in bootc's storage too, but for something else.
    let tag = "store_podman image tag localhost/app:stable 127.0.0.1:5000/lab/os:1";
    world.enter().sh(&format!("{}{tag}", Store::Bootc.shell())).ok();
    let output = run(&world, &["copy-to-storage", "--source", "127.0.0.1:5000/lab/os:1"]).exits(1);
    let both = "docker://127.0.0.1:5000/lab/os:1 or containers-storage:127.0.0.1:5000/lab/os:1";
    assert!(output.stderr.contains(&format!("is ambiguous: it could be {both}")), "{output:#?}");
    for spelling in both.split(" or ") {
        run(&world, &["copy-to-storage", "--source", spelling, "--target", "x"]).ok();
    }
    assert_eq!(id(&world, Store::Default, "localhost/x:latest"), world.facts().app1.id);
}

#[test]
fn the_same_image_in_two_places_isnt_ambiguous() {
    let world = World::new();
    run(&world, &["set-unified"]).ok();
    run(&world, &["copy-to-storage", "--source", "127.0.0.1:5000/lab/os:1"]).ok();
    let intents = world.record();
    let last = intents.iter().rfind(|line| line["event"] == "intent").unwrap();
    assert_eq!(last["canonical"]["operation"]["source"]["store"], "host");
}

#[test]
fn an_unknown_source_is_a_clear_error() {
    let world = World::new();
    for name in ["nope", "quay.io/nope:1", "docker://quay.io/nope", "containers-storage:nope", "oci:/etc"] {
        let output = run(&world, &["copy-to-storage", "--source", name]).exits(1);
        let expected =
            format!("error: Source image not found: {name}\n  hint: to list images, run: bootc-image list\n");
        assert_eq!(output.stderr, expected);
    }
    run(&world, &["copy-to-storage", "--source", "a b"]).exits(2);
    assert_eq!(world.record(), [] as [Value; 0]);
}

/// The bar: no child, and the image is looked at, not only its name.
#[test]
fn what_is_copied_already_is_found_without_a_child() {
    let world = World::new();
    let copies: &[&[&str]] = &[
        &["copy-to-storage"],
        &["copy-to-storage", "--source=app:stable", "--target=app"],
        &["pull-from-default-storage", "localhost/mine:1"],
        &["set-unified"],
    ];
    for copy in copies {
        run(&world, copy).ok();
        let strace = Strace::new().calls("execve,clone,clone3,fork,vfork,openat2").log("/var/log.strace");
        let again = strace.command(&[&["bootc-image"], *copy].concat());
        let output = world.enter().run(&again).ok();
        assert!(output.stdout.starts_with("Unchanged: ") && output.stderr.is_empty(), "{output:#?}");
        let calls = fs::read_to_string(world.outside("/var/log.strace")).unwrap();
        let started = calls.lines().filter(|line| !line.contains("openat2(")).count();
        assert_eq!(started, 1, "only its own execve: {calls}");
        assert!(calls.contains("openat2("), "the calls are seen");
    }
}

#[test]
fn a_copy_that_isnt_whole_any_more_is_made_again() {
    let world = World::new();
    run(&world, &["copy-to-storage"]).ok();
    let store = world.outside("/var/lib/containers/storage");
    let image = id(&world, Store::Default, "localhost/bootc:latest");
    let again = || run(&world, &["copy-to-storage"]).ok().stdout;
    assert!(again().starts_with("Unchanged: "));
    // Somebody else has the name now.
    world.enter().sh("podman tag localhost/mine:1 localhost/bootc:latest").ok();
    assert!(again().starts_with("Copied: "));
    assert_eq!(id(&world, Store::Default, "localhost/bootc:latest"), image);
    // The configuration has been changed.
    let documents = fs::read_dir(store.join("overlay-images").join(&image)).unwrap();
    let configuration = documents
        .map(|entry| entry.unwrap().path())
        .find(|path| fs::read_to_string(path).unwrap().contains("\"diff_ids\""))
        .unwrap();
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, text.replace("amd64", "arm64")).unwrap();
    let output = run(&world, &["copy-to-storage"]);
    assert!(!output.stdout.starts_with("Unchanged: "), "{output:#?}");
    fs::write(&configuration, text).unwrap();
    assert!(again().starts_with("Unchanged: "));
    // The record is gone: the image is the same.
    fs::remove_dir_all(world.outside("/var/lib/bootc-image/copies")).unwrap();
    assert!(again().starts_with("Copied: "));
    assert_eq!(id(&world, Store::Default, "localhost/bootc:latest"), image);
    let dangling: Vec<Value> =
        oracle::podman(&world, Store::Default, "image list --filter dangling=true --format json");
    assert_eq!(dangling, [] as [Value; 0]);
}

/// Whenever, wherever, and whatever its layers are compressed to: the same commit gives the same image.
#[test]
fn the_same_commit_gives_the_same_image_in_another_world() {
    let copied = |world: &World| {
        run(world, &["copy-to-storage"]).ok();
        id(world, Store::Default, "localhost/bootc:latest")
    };
    let (one, other) = (World::new(), World::new());
    let image = copied(&one);
    world_is_elsewhere(&other);
    assert_eq!(copied(&other), image);
}

/// Another clock and other times on every file of the repository.
fn world_is_elsewhere(world: &World) {
    let touch = "find /sysroot/ostree/repo/refs -exec touch -d @1 {} +";
    world.enter().sh(touch).ok();
}

#[test]
fn a_copy_can_be_saved_loaded_and_is_what_was_booted() {
    let world = World::new();
    run(&world, &["copy-to-storage"]).ok();
    let image = id(&world, Store::Default, "localhost/bootc:latest");
    let script = "
        podman save --quiet --output /tmp/saved.tar localhost/bootc:latest
        podman save --quiet --format oci-archive --output /tmp/oci.tar localhost/bootc:latest
        for archive in saved oci; do
            podman rmi --force localhost/bootc:latest >/dev/null
            podman load --quiet --input /tmp/$archive.tar
            podman image inspect --format '{{.Id}} {{len .RootFS.Layers}}' localhost/bootc:latest
        done
        # /etc is where containers expect it.
        root=$(podman image mount localhost/bootc:latest)
        grep -q ^root: $root/etc/passwd && ! [ -e $root/usr/etc ]";
    let lines = world.enter().sh(script).ok();
    let expected = format!("{image} {}", world.facts().booted.layers);
    assert_eq!(lines.lines().iter().filter(|line| **line == expected).count(), 2, "{lines:#?}");
}

/// What leaves a host can be deployed to another: ostree's own importer finds the same commit in it.
#[test]
fn a_copy_can_be_imported_by_ostree_again() {
    let world = World::new();
    run(&world, &["copy-to-storage"]).ok();
    let labtool = programs::required("labtool");
    let script = "
        skopeo copy --quiet containers-storage:localhost/bootc:latest oci:/var/tmp/oci:1
        mkdir /var/tmp/repo
        ostree --repo=/var/tmp/repo init --mode=bare
        labtool container image pull /var/tmp/repo ostree-unverified-image:oci:/var/tmp/oci:1 >&2
        ostree --repo=/var/tmp/repo refs --list ostree/container/image | head -1 >/tmp/ref
        ostree --repo=/var/tmp/repo fsck --quiet >&2
        ostree --repo=/var/tmp/repo ls -R -C $(cat /tmp/ref) | sort >/tmp/imported
        ostree --repo=/sysroot/ostree/repo ls -R -C $COMMIT | sort >/tmp/original
        diff /tmp/original /tmp/imported";
    world
        .enter()
        .env("COMMIT", &world.facts().booted.commit)
        .program(&labtool, "/usr/bin/labtool")
        .sh(script)
        .ok();
}

#[test]
fn several_images_are_judged_together_and_copied_one_by_one() {
    let world = World::new();
    let before = oracle::podman_names(&world, Store::Bootc);
    // One that isn't there: nothing is copied.
    let output = run(&world, &["pull-from-default-storage", "mine:1", "nope:1"]).exits(1);
    assert!(output.stderr.contains("Source image not found: nope:1"), "{output:#?}");
    assert_eq!((oracle::podman_names(&world, Store::Bootc), world.record().len()), (before, 0));
    let output = run(&world, &["pull-from-default-storage", "mine:1", "127.0.0.1:5000/lab/app:1"]).ok();
    let facts = world.facts();
    assert_eq!(
        output.lines(),
        [
            format!("Pulled: localhost/mine:1 {}", facts.mine.digest),
            format!("Unchanged: 127.0.0.1:5000/lab/app:1 {}", facts.app1.digest)
        ]
    );
    assert_eq!(world.record().iter().filter(|line| line["result"] == "done").count(), 2);
    // One that fails doesn't stop the other.
    let world = World::new();
    let fake = "#!/bin/sh\ncase \"$*\" in *lab/x:1*) exit 1 ;; *) exec /usr/bin/skopeo.real \"$@\" ;; esac\n";
    let script = "podman tag localhost/mine:1 127.0.0.1:5000/lab/x:1
                  exec bootc-image pull-from-default-storage 127.0.0.1:5000/lab/x:1 mine:1";
    let enter = world.enter().program(&programs::machine().join("usr/bin/skopeo"), "/usr/bin/skopeo.real");
    let output = enter.file_with_mode("/usr/bin/skopeo", fake, 0o755).sh(script).exits(1);
    assert!(
        output.stderr.contains(": skopeo failed (exit code 1)")
            && output.stdout.contains("Pulled: localhost/mine:1")
    );
}

#[test]
fn a_dry_run_of_several_is_a_document_each() {
    let world = World::new();
    let output =
        run(&world, &["--dry-run", "pull-from-default-storage", "mine:1", "127.0.0.1:5000/lab/app:1"]);
    let documents = serde_json::Deserializer::from_str(&output.ok().stdout)
        .into_iter::<Value>()
        .map(|document| document.unwrap()["canonical"]["operation"]["name"].as_str().unwrap().to_owned())
        .collect::<Vec<_>>();
    assert_eq!(documents, ["localhost/mine:1", "127.0.0.1:5000/lab/app:1"]);
}

#[test]
fn the_booted_image_gets_into_bootcs_storage_by_its_digest() {
    let world = World::new();
    let booted = &world.facts().booted;
    // The tag means something else by now: what is booted is fetched.
    let retag = "skopeo copy --quiet docker://127.0.0.1:5000/lab/app:2 docker://127.0.0.1:5000/lab/os:1";
    world.enter().registry(true).sh(retag).ok();
    let output = run(&world, &["set-unified"]).ok();
    assert_eq!(output.stdout, format!("Pulled: {} {}\n", booted.image, booted.digest));
    let inspected = oracle::podman_inspect(&world, Store::Bootc, &booted.image);
    assert_eq!(inspected["Digest"], booted.digest.as_str());
    assert_eq!(inspected["RootFS"]["Layers"].as_array().unwrap().len(), booted.layers);
    let operation = &world.record()[0]["canonical"]["operation"];
    assert_eq!(operation["from"]["store"], "registry");
    assert_eq!(operation["from"]["reference"], format!("127.0.0.1:5000/lab/os@{}", booted.digest));
}

#[test]
fn what_podman_has_already_isnt_fetched_again() {
    let world = World::new();
    let booted = &world.facts().booted;
    world.enter().registry(true).sh(&format!("podman pull --quiet {}", booted.image)).ok();
    // No registry any more.
    let output = world.enter().run(&["bootc-image", "set-unified"]).ok();
    assert_eq!(output.stdout, format!("Pulled: {} {}\n", booted.image, booted.digest));
    assert_eq!(world.record()[0]["canonical"]["operation"]["from"]["store"], "default-store");
}

#[test]
fn without_its_registry_the_booted_image_cant_be_fetched_and_nothing_stays() {
    let world = World::new();
    let before = oracle::podman_names(&world, Store::Bootc);
    let output = world.enter().sh("bootc-image set-unified; ls -A /var/tmp").exits(1);
    assert!(
        output.stderr.contains(
            "error: cannot complete `set-unified` of docker://127.0.0.1:5000/lab/os:1: skopeo failed"
        ),
        "{output:#?}"
    );
    assert_eq!(oracle::podman_names(&world, Store::Bootc), before);
    assert_eq!(fs::read_dir(world.outside("/var/tmp")).unwrap().count(), 0);
}

/// A host that was installed from a local build has no registry to ask: the ostree repository has all of it.
#[test]
fn a_host_of_a_local_build_is_exported_to_bootcs_storage() {
    let world = World::new();
    let origin =
        world.sysroot().join(format!("ostree/deploy/lab/deploy/{}.0.origin", world.facts().booted.commit));
    let text =
        "[origin]\ncontainer-image-reference=ostree-unverified-image:containers-storage:localhost/built:1\n";
    fs::write(origin, text).unwrap();
    let output = world.enter().run(&["bootc-image", "set-unified"]).ok();
    assert!(output.stdout.starts_with("Pulled: localhost/built:1 sha256:"), "{output:#?}");
    assert!(world.enter().run(&["bootc-image", "set-unified"]).ok().stdout.starts_with("Unchanged: "));
    let layers =
        oracle::podman_inspect(&world, Store::Bootc, "localhost/built:1")["RootFS"]["Layers"].clone();
    assert_eq!(layers.as_array().unwrap().len(), world.facts().booted.layers);
}

/// The name in the origin is where updates come from, which need not be where the booted image came from.
#[test]
fn what_its_registry_does_not_have_is_exported_to_bootcs_storage() {
    for (reference, is_known) in
        [("127.0.0.1:5000/lab/elsewhere:1", false), ("127.0.0.1:5000/lab/app:1", true)]
    {
        let world = World::new();
        let booted = &world.facts().booted;
        let origin = world.sysroot().join(format!("ostree/deploy/lab/deploy/{}.0.origin", booted.commit));
        let text = format!("[origin]\ncontainer-image-reference=ostree-unverified-registry:{reference}\n");
        fs::write(origin, text).unwrap();
        let output = run(&world, &["set-unified"]).ok();
        let note = format!(
            "note: the registry does not have {}@{}, the booted image; it is copied from the ostree repository instead",
            reference.rsplit_once(':').unwrap().0,
            booted.digest
        );
        assert!(output.stderr.contains(&note), "{is_known}: {output:#?}");
        assert!(output.stdout.starts_with(&format!("Pulled: {reference} sha256:")), "{output:#?}");
        assert_eq!(world.record()[0]["canonical"]["operation"]["from"]["store"], "registry");
        // No registry is needed to find out that nothing is to be done.
        let again = world.enter().run(&["bootc-image", "set-unified"]).ok();
        assert!(again.stdout.starts_with("Unchanged: ") && again.stderr.is_empty(), "{again:#?}");
    }
}

/// Nobody contacts a registry with root's credentials before it is judged and recorded.
#[test]
fn a_registry_is_not_asked_for_the_booted_image_before_it_is_judged() {
    let world = World::new();
    let asked = world.outside("/var/asked");
    let fake = "#!/bin/sh\ntouch /var/asked\nexec /usr/bin/skopeo.real \"$@\"\n";
    let enter = || {
        let real = programs::machine().join("usr/bin/skopeo");
        let enter = world.enter().registry(true).program(&real, "/usr/bin/skopeo.real");
        enter.file_with_mode("/usr/bin/skopeo", fake, 0o755)
    };
    enter().run(&["bootc-image", "--dry-run", "set-unified"]).ok();
    enter().run(&["bootc-image", "policy", "explain", "set-unified"]).ok();
    assert!(!asked.exists());
    enter().run(&["bootc-image", "set-unified"]).ok();
    assert!(asked.exists());
}

/// A registry that lets nobody in, on another port.
const CLOSED: &str = "version: 0.1
storage:
  filesystem:
    rootdirectory: /tmp/closed
http:
  addr: 127.0.0.1:5001
auth:
  htpasswd:
    realm: lab
    path: /tmp/htpasswd
";

#[test]
fn who_is_not_let_in_learns_which_credentials_are_used() {
    let world = World::new();
    let open = "[[registry]]\nlocation = \"127.0.0.1:5001\"\ninsecure = true\n";
    let pull = |enter: Enter| {
        let script = "
            until (exec 3<>/dev/tcp/127.0.0.1/5001) 2>/dev/null; do sleep 0.1; done
            exec bootc-image cmd pull --quiet 127.0.0.1:5001/a:1";
        let enter = enter.file("/tmp/closed.yml", CLOSED).file("/etc/containers/registries.conf", open);
        enter.alongside("docker-registry serve /tmp/closed.yml").run(&["bash", "-euc", script]).exits(1)
    };
    let files = "/run/ostree/auth.json, /etc/ostree/auth.json, /usr/lib/ostree/auth.json";
    let login = "podman login --authfile /etc/ostree/auth.json REGISTRY";
    // The caller's own are not used.
    let own = r#"{"auths": {"127.0.0.1:5001": {"auth": "bGFiOmxhYg=="}}}"#;
    let output = pull(world.enter().file("/run/containers/0/auth.json", own));
    let none = format!("no credentials were used, because none of these files exists: {files}; ");
    assert!(output.stderr.contains(&none) && output.stderr.contains(login), "{output:#?}");
    let output = pull(world.enter().file("/usr/lib/ostree/auth.json", own));
    let used =
        format!("the credentials are those in /usr/lib/ostree/auth.json, the first that exists of {files}; ");
    assert!(output.stderr.contains(&used) && output.stderr.contains(login), "{output:#?}");
    // A credential helper has no home directory.
    let helper = "#!/bin/sh\n[ -e ~/.lab ] || { echo 'no ~/.lab in '$HOME; exit 1; }\n";
    let by_helper = r#"{"credHelpers": {"127.0.0.1:5001": "lab"}}"#;
    let enter = world.enter().file_with_mode("/usr/bin/docker-credential-lab", helper, 0o755);
    let output = pull(enter.file("/usr/lib/ostree/auth.json", by_helper));
    let home = "a credential helper is started with an empty home directory";
    assert!(output.stderr.contains(home), "{output:#?}");
}

/// bootc imports from its storage when it updates the host. Debian 12's skopeo can't do that; with Debian 13's
/// (BOOTC_IMAGE_MACHINE) it works.
#[test]
fn what_set_unified_leaves_can_be_imported_by_a_newer_skopeo() {
    let world = World::new();
    let script = "
        bootc-image --quiet set-unified >/dev/null
        mkdir /var/tmp/repo; ostree --repo=/var/tmp/repo init --mode=bare
        skopeo --version
        code=0
        STORAGE_OPTS=additionalimagestore=/usr/lib/bootc/storage labtool container image pull /var/tmp/repo \
            ostree-unverified-image:containers-storage:127.0.0.1:5000/lab/os:1 >&2 || code=$?
        echo $code";
    let labtool = programs::required("labtool");
    let output = world.enter().registry(true).program(&labtool, "/usr/bin/labtool").sh(script).ok();
    let (version, code) = (output.lines()[0].to_owned(), output.lines()[1].to_owned());
    let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
    if minor < 11 {
        assert!(output.stderr.contains("skopeo too old to pull from containers-storage"), "{output:#?}");
    } else {
        assert_eq!(code, "0", "{output:#?}");
    }
}

/// What policies judge is what podman gets: it would keep capital letters, and the second name of a registry.
#[test]
fn names_that_are_given_are_written_as_they_are_judged() {
    let world = World::new();
    let words =
        ["--dry-run", "cmd", "build", "-t", "Quay.io/z:1", "--tag=INDEX.docker.io/q", "-t", "a", "/tmp"];
    let judged = run(&world, &words).ok().json::<Value>();
    let flags = judged["canonical"]["operation"]["command"]["flags"].as_array().unwrap();
    let tags: Vec<&str> = flags.iter().filter_map(|flag| flag["value"].as_str()).collect();
    assert_eq!(tags, ["quay.io/z:1", "docker.io/library/q:latest", "localhost/a:latest"]);
}

#[test]
fn in_a_directory_that_is_gone_nothing_is_built() {
    let world = World::new();
    let script = "mkdir /tmp/gone; cd /tmp/gone; rmdir /tmp/gone; exec bootc-image --dry-run cmd build .";
    let output = world.enter().run(&["bash", "-euc", script]).exits(1);
    assert!(output.stderr.starts_with("error: the current directory no longer exists"), "{output:#?}");
}

//! `remove` and `prune`, with the real podman, on a store that is shared with bootc; and the ways to take what is needed.

mod plugins;

use std::fs;

use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::{Output, World, programs, stock};
use serde_json::Value;

fn run(world: &World, words: &[&str]) -> Output {
    let words: Vec<&str> = std::iter::once("bootc-image").chain(words.iter().copied()).collect();
    world.enter().run(&words)
}

/// The events and kinds of the record.
fn record(world: &World) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    world
        .record()
        .iter()
        .map(|line| (text(&line["event"]), text(&line["canonical"]["operation"]["kind"])))
        .collect()
}

#[test]
fn a_name_goes_first_and_the_image_with_its_last_one() {
    let world = World::new();
    stock::mine(&world, &["localhost/mine:2", "quay.io/x/y:1"]);
    let id = &world.facts().mine.id;
    let output = run(&world, &["remove", "mine:2"]).ok();
    assert_eq!(output.stdout, format!("Untagged: localhost/mine:2 of {id}\n"));
    assert!(oracle::podman_ids(&world, Store::Bootc).contains(id));
    // By id it would have to be told which name is meant.
    let output = run(&world, &["remove", id]).exits(1);
    assert!(
        output.stderr.contains("is ambiguous: it could be localhost/mine:1 or quay.io/x/y:1"),
        "{output:#?}"
    );
    // Two names of one image are one removal.
    let output = run(&world, &["remove", "mine:1", "quay.io/x/y:1"]).ok();
    assert_eq!(output.stdout, format!("Removed: localhost/mine:1 quay.io/x/y:1 {id}\n"));
    assert!(!oracle::podman_ids(&world, Store::Bootc).contains(id));
    let acts: Vec<_> = record(&world).into_iter().skip(2).collect();
    let of = |event: &str, kind: &str| (event.to_owned(), kind.to_owned());
    let (intent, outcome) = (of("intent", "remove"), of("outcome", ""));
    assert_eq!(acts, [intent.clone(), outcome.clone(), intent, outcome]);
    let canonical = &world.record()[2]["canonical"]["operation"]["image"];
    assert_eq!((&canonical["id"], &canonical["whole"]), (&id.as_str().into(), &false.into()));
    assert_eq!(canonical["manifest_digest"], world.facts().mine.digest.as_str());
}

#[test]
fn what_is_bound_and_what_a_deployment_was_made_from_stays() {
    let world = World::new();
    let bound = "127.0.0.1:5000/lab/app:1";
    let denied = |words: &[&str], why: &str| {
        let output = run(&world, words).exits(77);
        assert!(output.stderr.contains(why), "{output:#?}");
        assert!(oracle::podman_names(&world, Store::Bootc).contains(&bound.to_owned()));
    };
    denied(&["remove", bound], "is needed by the running system, to which it is bound");
    denied(&["remove", "app:stable", bound], "is needed by the running system");
    // All are judged before the first one goes.
    assert!(oracle::podman_names(&world, Store::Bootc).contains(&"localhost/app:stable".to_owned()));
    assert!(run(&world, &["remove", "app:stable"]).ok().stdout.starts_with("Untagged: "));
    // The images of deployments, once they are in this store: by name, and by manifest under whichever name.
    world.enter().registry(true).run(&["bootc-image", "--quiet", "set-unified"]).ok();
    let booted = &world.facts().booted.image;
    let output = run(&world, &["remove", booted]).exits(77);
    assert!(output.stderr.contains("which was made from it"), "{output:#?}");
    let rollback = &world.facts().rollback.image;
    let other_name = format!(
        "bootc_mount skopeo copy -q --src-tls-verify=false docker://{rollback} \
        containers-storage:[overlay@/run/bootc/storage+/proc/self/fd/3]localhost/before:1"
    );
    world.enter().registry(true).sh(&format!("{}{other_name}", Store::Bootc.shell())).ok();
    let output = run(&world, &["remove", "before:1"]).exits(77);
    assert!(output.stderr.contains("localhost/before:1 is needed by deployment "), "{output:#?}");
    let pruned = run(&world, &["prune", "--all"]).ok();
    assert_eq!(pruned.stdout.lines().count(), 1, "{pruned:#?}");
    let names = oracle::podman_names(&world, Store::Bootc);
    for kept in [bound, booted.as_str(), "localhost/before:1"] {
        assert!(names.contains(&kept.to_owned()), "{kept}: {names:?}");
    }
    assert_eq!(
        run(&world, &["prune", "--all"]).ok().stderr,
        "note: nothing to remove: every image is needed\n"
    );
}

#[test]
fn prune_takes_what_has_no_name_and_with_all_what_nobody_needs() {
    let world = World::new();
    stock::mine(&world, &[]);
    let id = &world.facts().mine.id;
    let untag = format!("{}store_podman image untag localhost/mine:1", Store::Bootc.shell());
    world.enter().sh(&untag).ok();
    let judged = run(&world, &["--dry-run", "prune"]).ok().json::<Value>();
    assert_eq!(judged["canonical"]["operation"]["image"]["id"], id.as_str());
    assert!(oracle::podman_ids(&world, Store::Bootc).contains(id));
    assert_eq!(run(&world, &["prune"]).ok().stdout, format!("Removed: {id}\n"));
    assert!(!oracle::podman_ids(&world, Store::Bootc).contains(id));
    // In the store by its digest alone, and of no use to anybody.
    let app2 = &world.facts().app2;
    assert!(oracle::podman_ids(&world, Store::Bootc).contains(&app2.id));
    assert!(run(&world, &["prune"]).ok().stdout.is_empty());
    assert!(run(&world, &["prune", "-a"]).ok().stdout.ends_with(&format!(" {}\n", app2.id)));
    assert_eq!(oracle::podman_ids(&world, Store::Bootc), [world.facts().app1.id.clone()]);
}

#[test]
fn what_a_container_was_made_from_stays() {
    let world = World::new();
    stock::mine(&world, &[]);
    let create = format!("{}store_podman create --name keeper localhost/mine:1 /x", Store::Bootc.shell());
    world.enter().sh(&create).ok();
    let output = run(&world, &["remove", "mine:1"]).exits(77);
    assert!(output.stderr.contains("localhost/mine:1 is needed by container "), "{output:#?}");
    run(&world, &["prune", "--all"]).ok();
    assert!(oracle::podman_names(&world, Store::Bootc).contains(&"localhost/mine:1".to_owned()));
}

/// A podman that is killed in the middle of its first build, with bootc-image.
const KILLED_PODMAN: &str = r#"#!/bin/sh
if [ -e /var/killed ] || ! echo "$*" | grep -q ' image build '; then
    exec /usr/libexec/podman-itself "$@"
fi
touch /var/killed
in_store() { buildah --root /run/bootc/storage --runroot /proc/self/fd/3 "$@" >&2; }
in_store from localhost/mine:1
in_store mount mine-working-container
until [ -s "$(echo /var/lib/bootc-image/builds/*/layers)" ]; do sleep 0.1; done
kill -KILL $PPID
exec sleep 1000
"#;

/// A build that is killed cleans up nothing. What it leaves must not keep its base image for ever, and others keep theirs.
#[test]
fn the_container_of_a_killed_build_is_named_and_removed_by_the_next_one() {
    let world = World::new();
    stock::mine(&world, &[]);
    let build = "mkdir /tmp/context; cd /tmp/context; printf 'FROM scratch\nLABEL a=b\n' >Containerfile
        bootc-image cmd build --quiet -t next:1 . >/dev/null";
    let real = programs::machine().join("usr/bin/podman");
    let enter = world.enter().program(&real, "/usr/libexec/podman-itself");
    enter
        .file_with_mode("/usr/bin/podman", KILLED_PODMAN, 0o755)
        .sh(&format!("{build} || exit $?"))
        .exits(137);
    let output = run(&world, &["remove", "mine:1"]).exits(77);
    assert!(output.stderr.contains("localhost/mine:1 is needed by the working container "), "{output:#?}");
    let next = "(mine-working-container) of a build (it can be removed";
    assert!(output.stderr.contains(next), "{output:#?}");
    assert!(output.stderr.contains("the next `bootc-image cmd build` removes its container"), "{output:#?}");
    // Somebody else's, in whose container no process works now.
    let from =
        "bootc_mount buildah --root /run/bootc/storage --runroot /proc/self/fd/3 from localhost/app:stable";
    world.enter().sh(&format!("{}{from}", Store::Bootc.shell())).ok();
    let output = world.enter().sh(&format!("{build}; exec bootc-image remove mine:1")).ok();
    assert!(output.stdout.starts_with("Removed: localhost/mine:1 "), "{output:#?}");
    assert!(
        output.stderr.contains("note: removing the containers that a killed build has left: "),
        "{output:#?}"
    );
    let containers = world.sysroot().join("ostree/bootc/storage/overlay-containers");
    let read = |index: &str| fs::read_to_string(containers.join(index)).unwrap_or_default();
    let all = read("containers.json") + &read("volatile-containers.json");
    assert!(all.contains("127.0.0.1-working-container") && !all.contains("mine-working-container"), "{all}");
    // podman's own storage has its own builds.
    let from =
        "buildah --storage-opt additionalimagestore=/sysroot/ostree/bootc/storage from localhost/next:1";
    world.enter().sh(from).ok();
    let output = run(&world, &["remove", "next:1"]).exits(77);
    assert!(output.stderr.contains("(next-working-container) of a build with podman"), "{output:#?}");
    assert!(output.stderr.contains("remove it with: podman rm ID"), "{output:#?}");
}

/// podman's own storage sees bootc's beside its own: bound images run like that.
#[test]
fn what_podmans_own_storage_stands_on_stays() {
    let world = World::new();
    let id = &world.facts().app2.id;
    let podman = "podman --storage-opt additionalimagestore=/sysroot/ostree/bootc/storage";
    let stays = |why: &str| {
        let output = run(&world, &["remove", id]).exits(77);
        assert!(output.stderr.contains(why), "{output:#?}");
        run(&world, &["prune", "--all"]).ok();
        assert!(oracle::podman_ids(&world, Store::Bootc).contains(id), "{why}");
    };
    world.enter().sh(&format!("{podman} create --name keeper {id} /x")).ok();
    stays("is needed by container ");
    world
        .enter()
        .sh(&format!("podman rm keeper; printf 'FROM {id}\\nLABEL a=b\\n' | {podman} build -q -"))
        .ok();
    stays("is needed by podman's own storage, which stands on its layers");
    // From outside, podman's storage is where that system's configuration says, and a link leads where it would lead there.
    let elsewhere = ["--sysroot", "/sysroot", "remove", id];
    let output = run(&world, &elsewhere).exits(77);
    assert!(output.stderr.contains("podman's own storage"), "{output:#?}");
    world.enter().sh("mv /var/lib/containers /var/moved; ln -s /var/moved /var/lib/containers").ok();
    let output = run(&world, &elsewhere).exits(77);
    assert!(output.stderr.contains("podman's own storage"), "{output:#?}");
    stays("is needed by podman's own storage, which stands on its layers");
    world.enter().sh("podman rmi --all --force").ok();
    run(&world, &["remove", id]).ok();
    assert!(!oracle::podman_ids(&world, Store::Bootc).contains(id));
}

/// podman finds an image by the name of the list that names it. With one that it has made itself podman 4.3 can't list images
/// any more, so the storage's index is read.
#[test]
fn what_a_manifest_list_names_stays_as_long_as_that() {
    let world = World::new();
    let index = world.sysroot().join("ostree/bootc/storage/overlay-images/images.json");
    let stored = || serde_json::from_slice::<Vec<Value>>(&fs::read(&index).unwrap()).unwrap();
    let ids = || stored().iter().map(|image| image["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let before = ids();
    let build = "printf 'FROM scratch\nLABEL a=b\n' | \
                 store_podman build --quiet --manifest quay.io/x/list:1 - >/dev/null";
    world.enter().sh(&format!("{}{build}", Store::Bootc.shell())).ok();
    let (list, instance): (Vec<Value>, Vec<Value>) = stored()
        .into_iter()
        .filter(|image| !before.contains(&image["id"].as_str().unwrap().to_owned()))
        .partition(|image| image["names"].as_array().is_some_and(|names| !names.is_empty()));
    let id = |images: &[Value]| images[0]["id"].as_str().unwrap().to_owned();
    let (list, instance) = (id(&list), id(&instance));
    assert!(run(&world, &["prune"]).ok().stdout.is_empty());
    // Bound, it keeps what it names from whoever wants that removed, too.
    let unit = "[Image]\nImage=quay.io/x/list:1\n";
    let bound = |command: &str| {
        let script = format!(
            "mount -t tmpfs none /usr/lib/bootc/bound-images.d
             ln -s /run/list.image /usr/lib/bootc/bound-images.d/list.image; exec bootc-image {command}"
        );
        world.enter().file("/run/list.image", unit).sh(&script)
    };
    let output = bound(&format!("remove {instance}")).exits(77);
    assert!(output.stderr.contains("to which it is bound"), "{output:#?}");
    bound("prune --all").ok();
    assert!(ids().contains(&instance) && ids().contains(&list), "{:?}", ids());
    run(&world, &["prune", "--all"]).ok();
    assert!(!ids().contains(&instance) && !ids().contains(&list), "{:?}", ids());
}

/// podman keeps capital letters in the names of registries; lists show them so.
#[test]
fn a_name_with_capital_letters_is_found_as_it_is_listed() {
    let world = World::new();
    stock::mine(&world, &["Quay.io/x/y:1"]);
    let id = &world.facts().mine.id;
    for name in ["Quay.io/x/y:1", "quay.io/x/y:1"] {
        let judged = run(&world, &["--dry-run", "remove", name]).ok().json::<Value>();
        let image = &judged["canonical"]["operation"]["image"];
        assert_eq!(image["names"], serde_json::json!(["Quay.io/x/y:1"]), "{name}");
    }
    // The one that is written just so is meant, if there are two.
    let tag =
        format!("{}store_podman image tag {} quay.io/x/y:1", Store::Bootc.shell(), world.facts().app2.id);
    world.enter().sh(&tag).ok();
    let output = run(&world, &["remove", "Quay.io/x/y:1"]).ok();
    assert_eq!(output.stdout, format!("Untagged: Quay.io/x/y:1 of {id}\n"));
    assert!(oracle::podman_names(&world, Store::Bootc).contains(&"quay.io/x/y:1".to_owned()));
}

/// What can't be told in full might be what is about to go.
#[test]
fn if_it_cant_be_told_what_is_needed_nothing_goes() {
    let world = World::new();
    let before = oracle::podman_ids(&world, Store::Bootc);
    let refused = |words: &[&str], why: &str| {
        let output = run(&world, words).exits(1);
        assert!(
            output
                .stderr
                .contains("nothing was removed: the images that this host needs cannot be determined"),
            "{output:#?}"
        );
        assert!(output.stderr.contains(why), "{output:#?}");
        assert_eq!(oracle::podman_ids(&world, Store::Bootc), before);
    };
    let rollback =
        world.sysroot().join(format!("ostree/deploy/lab/deploy/{}.0", world.facts().rollback.commit));
    let bound = rollback.join("usr/lib/bootc/bound-images.d");
    world
        .enter()
        .sh(&format!(
            "chattr -i /sysroot/ostree/deploy/lab/deploy/{}.0 || true",
            world.facts().rollback.commit
        ))
        .ok();
    fs::create_dir_all(&bound).unwrap();
    fs::write(bound.join("odd.image"), "[Image]\nImage=localhost/app:stable\n").unwrap();
    for words in [&["prune", "-a"][..], &["prune"], &["remove", "app:stable"]] {
        refused(words, "Not a symlink: odd.image");
    }
    fs::remove_file(bound.join("odd.image")).unwrap();
    let origin = rollback.with_extension("0.origin");
    let text = fs::read(&origin).unwrap();
    fs::remove_file(&origin).unwrap();
    refused(&["prune", "-a"], ".origin");
    fs::write(&origin, text).unwrap();
    run(&world, &["remove", "app:stable"]).ok();
}

/// However a unit names an image, it is that image which stays, or nothing goes.
#[test]
fn what_is_bound_stays_however_it_is_written() {
    for (bound, stored) in [
        // As opposed to another one.
        ("quay.io/x/z:1", "quay.io/x/y:1"),
        ("nginx:1", "docker.io/library/nginx:1"),
        ("nginx", "registry.example/web/nginx:latest"),
        ("quay.io/x/y", "quay.io/x/y:latest"),
        ("docker://quay.io/x/y:1", "quay.io/x/y:1"),
        ("containers-storage:quay.io/x/y:1", "quay.io/x/y:1"),
        ("quay.io:443/x/y", "quay.io/x/y:latest"),
        ("QUAY.io/x/y", "quay.io/x/y:latest"),
        ("Quay.io/x/y:1", "Quay.io/x/y:1"),
        ("nginx:1@{digest}", "docker.io/library/nginx:2"),
        ("\"quay.io/x/y:1\"", "quay.io/x/y:1"),
        ("{start of id}", "localhost/mine:1"),
        ("{id}", "localhost/mine:1"),
    ] {
        let world = World::new();
        stock::mine(&world, &[stored]);
        let id = &world.facts().mine.id;
        let unit = format!("[Image]\nImage={}\n", bound.replace("{id}", id));
        let unit = unit.replace("{digest}", &world.facts().mine.digest).replace("{start of id}", &id[..6]);
        let enter = || {
            let link = "ln -sfn /run/unit.image /usr/lib/bootc/bound-images.d/odd.image";
            world.enter().file("/run/unit.image", &unit).file("/run/link", link)
        };
        let script = format!(
            "mount -t tmpfs none /usr/lib/bootc/bound-images.d; . /run/link
             bootc-image prune --all; bootc-image remove {stored}; true"
        );
        let output = enter().sh(&script);
        let stays = bound != "quay.io/x/z:1";
        assert_eq!(oracle::podman_ids(&world, Store::Bootc).contains(id), stays, "{bound}: {output:#?}");
        let names = oracle::podman_names(&world, Store::Bootc);
        assert_eq!(names.contains(&stored.to_owned()), stays, "{bound}: {output:#?}");
    }
}

#[test]
fn the_manifest_of_a_deployment_stays_whatever_its_origin_says() {
    let world = World::new();
    let rollback = &world.facts().rollback;
    let copy = format!(
        "bootc_mount skopeo copy -q --src-tls-verify=false docker://{} \
         containers-storage:[overlay@/run/bootc/storage+/proc/self/fd/3]localhost/before:1",
        rollback.image
    );
    world.enter().registry(true).sh(&format!("{}{copy}", Store::Bootc.shell())).ok();
    let origin = world.sysroot().join(format!("ostree/deploy/lab/deploy/{}.0.origin", rollback.commit));
    for text in ["[origin]\ncontainer-image-reference=ostree-future-registry:x\n", "[origin]\nrefspec=x\n"] {
        fs::write(&origin, text).unwrap();
        let output = run(&world, &["remove", "before:1"]).exits(77);
        assert!(output.stderr.contains("is needed by deployment"), "{output:#?}");
    }
}

#[test]
fn a_damaged_image_can_be_removed() {
    let world = World::new();
    let store = "/sysroot/ostree/bootc/storage";
    let id = &world.facts().mine.id;
    for damage in [
        format!("rm {store}/overlay-images/{id}/=*"),
        format!("rm -r {store}/overlay-images/{id}"),
        format!("cd {store}/overlay; for layer in $(ls -t | grep -v '^l$' | head -1); do rm -r $layer; done"),
    ] {
        stock::mine(&world, &[]);
        world.enter().sh(&damage).ok();
        let output = run(&world, &["remove", "mine:1"]).ok();
        assert_eq!(output.stdout, format!("Removed: localhost/mine:1 {id}\n"), "{damage}");
        assert!(!oracle::podman_ids(&world, Store::Bootc).contains(id), "{damage}");
    }
}

#[test]
fn bad_names_and_bad_places_are_clear_errors() {
    let world = World::new();
    let error = |words: &[&str], code: i32, why: &str| {
        let output = run(&world, words).exits(code);
        assert!(output.stderr.contains(why), "{output:#?}");
        assert!(output.stdout.is_empty(), "{output:#?}");
    };
    error(&["remove", "nothing:here"], 1, "Source image not found: nothing:here");
    error(&["remove", "A B"], 2, "A B");
    error(&["remove"], 2, "<IMAGE>...");
    error(&["prune", "x"], 2, "unexpected argument 'x'");
    let output = world.enter().as_uid(1000).run(&["bootc-image", "prune"]).exits(1);
    assert!(output.stderr.contains("Permission denied"), "{output:#?}");
    fs::remove_dir_all(world.outside("/sysroot/ostree/bootc")).unwrap();
    error(&["remove", "app:stable"], 1, "Source image not found: app:stable");
    assert!(run(&world, &["prune"]).ok().stdout.is_empty());
    assert!(
        !world.outside("/sysroot/ostree/bootc").exists(),
        "nothing is made where nothing is to be removed"
    );
}

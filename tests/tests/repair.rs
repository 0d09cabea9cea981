//! Stored images that are damaged: found, said, and healed by whatever fetches them again, with the real podman and skopeo.

mod plugins;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use bootc_image_tests::damage::Sweep;
use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World};
use plugins::ship_in_image;
use serde_json::Value;

const APP: &str = "127.0.0.1:5000/lab/app:1";
const STORAGE: &str = "/sysroot/ostree/bootc/storage";

/// Shell functions: `layers IMAGE`, the ids of an image's layers in bootc's storage, the lowest first; `whole IMAGE` succeeds if
/// podman mounts it and skopeo's digests are right.
const SHELL: &str = r#"
storage=/sysroot/ostree/bootc/storage
layers() {
    bootc_mount bash -euc '
        id=$(podman --root /run/bootc/storage --runroot /proc/self/fd/3 image inspect --format "{{.Id}}" "$0")
        grep -o "\"id\":\"$id\"[^}]*" /run/bootc/storage/overlay-images/images.json | grep -o "\"layer\":\"[0-9a-f]*" | cut -d\" -f4 |
            while read -r layer; do
                while [ -n "$layer" ]; do
                    echo $layer
                    layer=$(grep -o "{\"id\":\"$layer\"[^}]*" /run/bootc/storage/overlay-layers/layers.json |
                        grep -o "\"parent\":\"[0-9a-f]*" | cut -d\" -f4)
                done
            done | tac' "$1"
}
whole() {
    bootc_mount bash -euc '
        podman --root /run/bootc/storage --runroot /proc/self/fd/3 image mount "$0" >/dev/null
        podman --root /run/bootc/storage --runroot /proc/self/fd/3 image umount "$0" >/dev/null
        rm -rf /tmp/blobs
        skopeo copy --quiet "containers-storage:[overlay@/run/bootc/storage+/proc/self/fd/3]$0" dir:/tmp/blobs' "$1"
    for blob in /tmp/blobs/*; do
        case ${blob##*/} in manifest.json|version) continue ;; esac
        [ "$(sha256sum <"$blob")" = "${blob##*/}  -" ]
    done
}
"#;

fn enter(world: &World) -> Enter {
    ship_in_image(world.enter().registry(true), "podman-maintenance")
}

fn bash(enter: Enter, script: &str) -> Output {
    let script = format!("{}{SHELL}{script}", Store::Bootc.shell());
    enter.run(&["bash", "-euo", "pipefail", "-c", &script])
}

/// The directories of the layers of [`APP`], the lowest first.
fn layers(world: &World) -> Vec<PathBuf> {
    let output = bash(enter(world), &format!("layers {APP}")).ok();
    let storage = world.outside(STORAGE).join("overlay");
    output.stdout.lines().map(|id| storage.join(id)).collect()
}

/// Who changed what of it, and what became of that.
fn outcomes(world: &World) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let record = world.record();
    let intents = record.iter().filter(|line| line["event"] == "intent");
    let outcome = |intent: &Value| {
        let line = record.iter().find(|line| line["event"] == "outcome" && line["id"] == intent["id"]);
        line.map(|line| text(&line["result"])).unwrap_or_default()
    };
    intents.map(|intent| (text(&intent["canonical"]["operation"]["kind"]), outcome(intent))).collect()
}

/// As it was reported: a bound image's layer is gone.
#[test]
fn a_bound_image_without_a_layer_is_pulled_again() {
    for (name, command) in [
        ("podman's storage", "bootc-image pull-from-default-storage 127.0.0.1:5000/lab/app:1"),
        ("the registry", "bootc-image cmd pull 127.0.0.1:5000/lab/app:1"),
        ("its digest", "bootc-image cmd pull 127.0.0.1:5000/lab/app@$digest"),
        ("an archive", "bootc-image cmd load --input /var/lib/bootc-image/archives/app.tar"),
        ("stdin", "bootc-image cmd load </var/lib/bootc-image/archives/app.tar"),
        ("a pipe", "cat /var/lib/bootc-image/archives/app.tar | bootc-image cmd load --quiet"),
        ("repair", "bootc-image repair 127.0.0.1:5000/lab/app:1"),
    ] {
        let world = World::new();
        let digest = &world.facts().app1.digest;
        let script = format!(
            "digest={digest}
            mkdir -p /var/lib/bootc-image/archives; chmod 0755 /var/lib/bootc-image/archives
            podman image save --quiet --output /var/lib/bootc-image/archives/app.tar {APP}
            layer=$(layers {APP} | head -n 1)
            rm -rf $storage/overlay/$layer
            ! whole {APP} 2>/dev/null
            {command} >&2
            whole {APP}
            whole localhost/app:stable
            ls -A /var/tmp; ls $storage | grep bootc-image || true"
        );
        let output = bash(enter(&world), &script).ok();
        assert_eq!(output.stdout, "", "{name}: {output:#?}");
        assert!(!output.stderr.contains("another process is changing"), "{name}: {output:#?}");
        assert!(
            output.stderr.contains(": its directory is missing") || name == "repair",
            "{name}: {output:#?}"
        );
    }
}

/// As it was reported: an image that shares the layer couldn't be pulled, and the name went to it all the same.
#[test]
fn an_image_that_shares_a_damaged_layer_is_pulled_and_heals_the_other() {
    let publish = "
        mkdir -p /tmp/context; cd /tmp/context
        echo more >more
        printf 'FROM 127.0.0.1:5000/lab/app:1\\nCOPY more /more\\n' >Containerfile
        podman build --quiet --tag 127.0.0.1:5000/lab/shares:1 . >/dev/null
        podman push --quiet --tls-verify=false 127.0.0.1:5000/lab/shares:1";
    for damage in [
        "rm -rf $storage/overlay/$layer/diff",
        "rm $storage/overlay-layers/$layer.tar-split.gz",
        ": >$storage/overlay/$layer/diff/usr/share/lab/program",
        "sed -i 's/\"compression\":2/\"compression\":2,\"flags\":{\"incomplete\":true}/' $storage/overlay-layers/layers.json",
    ] {
        let world = World::new();
        let script = format!(
            "{publish}
            layer=$(layers {APP} | head -n 1)
            {damage}
            bootc-image cmd pull 127.0.0.1:5000/lab/shares:1 >&2
            whole 127.0.0.1:5000/lab/shares:1
            whole {APP}"
        );
        let output = bash(enter(&world), &script).ok();
        assert!(output.stderr.contains("are being replaced: layer "), "{damage}: {output:#?}");
    }
}

/// Without the registry nothing can be replaced, and then no name goes to what isn't whole.
#[test]
fn a_name_stays_where_it_is_if_the_image_cant_be_made_whole() {
    let world = World::new();
    let script = format!(
        "podman tag 127.0.0.1:5000/lab/app:1 localhost/other:1
        bootc-image --quiet pull-from-default-storage localhost/mine:1 >/dev/null
        bootc_podman image tag localhost/mine:1 localhost/other:1
        mine=$(bootc_podman image inspect --format '{{{{.Id}}}}' localhost/other:1)
        layer=$(layers {APP} | head -n 1)
        rm -rf $storage/overlay/$layer /var/lib/containers/storage/overlay/$layer
        code=0
        bootc-image pull-from-default-storage localhost/other:1 || code=$?
        [ $code = 1 ]
        bootc-image cmd tag {APP} localhost/other:1 || code=$?
        [ $code = 1 ]
        [ \"$(bootc_podman image inspect --format '{{{{.Id}}}}' localhost/other:1)\" = $mine ]"
    );
    let output = bash(ship_in_image(world.enter(), "podman-maintenance"), &script).ok();
    let layer = layers(&world)[0].file_name().unwrap().to_string_lossy()[..12].to_owned();
    let said =
        |image: &str| format!("error: image {image} is damaged: layer {layer}: its directory is missing");
    assert!(output.stderr.contains(&said("localhost/other:1")), "{output:#?}");
    assert!(
        output.stderr.contains("Remove the images that use this layer with: podman image rm "),
        "{output:#?}"
    );
    let repair = format!("hint: replace its layers with: bootc-image repair {APP}");
    assert!(output.stderr.contains(&said(APP)) && output.stderr.contains(&repair), "{output:#?}");
}

#[test]
fn what_is_built_on_a_damaged_image_keeps_no_name() {
    let world = World::new();
    let script = format!(
        "mkdir -p /tmp/context; cd /tmp/context
        printf 'FROM {APP}\\nCOPY Containerfile /\\n' >Containerfile
        rm $storage/overlay/$(layers {APP} | head -n 1)/diff/usr/share/lab/program
        before=$(bootc_podman image inspect --format '{{{{.Id}}}}' localhost/app:stable)
        for name in localhost/app:stable localhost/new:1; do
            code=0
            bootc-image cmd build --pull=never --tag $name . >&2 || code=$?
            [ $code = 1 ]
        done
        [ \"$(bootc_podman image inspect --format '{{{{.Id}}}}' localhost/app:stable)\" = $before ]
        ! bootc_podman image exists localhost/new:1
        bootc-image --quiet repair {APP} >&2
        bootc-image cmd build --pull=never --tag localhost/new:1 . >&2
        whole localhost/new:1"
    );
    let output = bash(enter(&world), &script).ok();
    assert!(output.stderr.contains("has no file /usr/share/lab/program"), "{output:#?}");
    let repair = |name: &str| output.stderr.contains(&format!("bootc-image repair {name}; then build again"));
    assert!(repair(APP) || repair("localhost/app:stable"), "{output:#?}");
}

#[test]
fn repair_takes_the_image_from_where_it_is_whole_and_moves_no_name() {
    let world = World::new();
    let names = oracle::podman_names(&world, Store::Bootc);
    let inode = |world: &World| fs::metadata(layers(world)[0].join("diff")).unwrap().ino();
    let before = inode(&world);
    // Whole or not, everything is replaced.
    let output = world.enter().run(&["bootc-image", "repair", "app:stable"]).ok();
    // Which of its names comes first is podman's.
    let done = format!(" {} (2 layers)\n", world.facts().app1.digest);
    let name = output.stdout.strip_prefix("Repaired: ").and_then(|rest| rest.strip_suffix(&done));
    assert!([Some(APP), Some("localhost/app:stable")].contains(&name), "{output:#?}");
    assert_ne!(inode(&world), before);
    let operation = world.record()[0]["canonical"]["operation"].clone();
    assert_eq!(
        (&operation["kind"], &operation["from"]["store"]),
        (&"repair".into(), &"default-store".into())
    );
    assert_eq!(operation["image"]["id"], world.facts().app1.id.as_str());
    assert_eq!(operation["image"]["names"].as_array().map(Vec::len), Some(2));
    assert_eq!(world.record()[1]["image"]["id"], world.facts().app1.id.as_str());
    // Without podman's, from the registry, by digest.
    let script = format!(
        "podman image rm --force {APP} >/dev/null 2>&1
        rm $storage/overlay-images/*/manifest $storage/overlay/*/link
        bootc-image repair {APP} >&2
        bootc-image repair {} >&2
        whole {APP}
        bootc-image --dry-run repair {APP}",
        world.facts().app2.id
    );
    let output = bash(enter(&world), &script).ok();
    let from = &output.json::<Value>()["canonical"]["operation"]["from"];
    let pinned = format!("127.0.0.1:5000/lab/app@{}", world.facts().app1.digest);
    assert_eq!(*from, serde_json::json!({"store": "registry", "references": [pinned]}));
    assert_eq!(oracle::podman_names(&world, Store::Bootc), names);
    assert!(outcomes(&world).iter().all(|(kind, result)| kind == "repair" && result == "done"));
}

/// The image of a host whose name is of no registry comes from the ostree repository again.
#[test]
fn repair_takes_a_host_image_from_the_ostree_repository() {
    let world = World::new();
    let script = "
        origin=$(ls /sysroot/ostree/deploy/lab/deploy/*.origin | head -n 1)
        for origin in /sysroot/ostree/deploy/lab/deploy/*.origin; do
            sed -i 's|ostree-unverified-registry:127.0.0.1:5000/lab/os:1|ostree-unverified-image:containers-storage:localhost/os:1|' $origin
        done
        bootc-image set-unified >&2
        rm -rf $storage/overlay/$(layers localhost/os:1 | tail -n 1)/diff
        bootc-image repair localhost/os:1 >&2
        whole localhost/os:1
        bootc-image --dry-run repair localhost/os:1";
    let output = bash(world.enter(), script).ok();
    let from = &output.json::<Value>()["canonical"]["operation"]["from"];
    assert_eq!(
        (&from["store"], &from["commit"]),
        (&"host".into(), &world.facts().booted.commit.as_str().into())
    );
}

#[test]
fn all_images_are_repaired_and_one_that_fails_stops_no_other() {
    let world = World::new();
    let script = format!(
        "mkdir -p /tmp/context; cd /tmp/context
        printf 'FROM scratch\\nCOPY Containerfile /\\n' >Containerfile
        bootc_podman image build --quiet --tag localhost/only-here:1 . >/dev/null
        rm -rf $storage/overlay/*/diff/usr
        code=0
        bootc-image repair --all || code=$?
        [ $code = 1 ]
        whole {APP}
        whole {}",
        world.facts().app2.id
    );
    let output = bash(enter(&world), &script).ok();
    assert_eq!(output.stdout.lines().filter(|line| line.starts_with("Repaired: ")).count(), 2, "{output:#?}");
    assert!(output.stderr.contains("error: no source to repair localhost/only-here:1 from"), "{output:#?}");
    assert!(output.stderr.contains("pull-from-default-storage localhost/only-here:1"), "{output:#?}");
    assert_eq!(outcomes(&world).len(), 2);
    // By name nothing is begun if one can't be.
    let output = enter(&world).run(&["bootc-image", "repair", APP, "localhost/only-here:1"]).exits(1);
    assert_eq!(output.stdout, "");
    assert_eq!(outcomes(&world).len(), 2);
}

#[test]
fn who_may_repair_and_what_policies_see_of_it() {
    let world = World::new();
    let run = ["bootc-image", "repair", APP];
    world.enter().as_uid(1000).run(&run).exits(1);
    world.enter().not_booted().run(&run).exits(1);
    world.enter().without("skopeo").run(&run).exits(69);
    world.enter().run(&["bootc-image", "repair"]).exits(2);
    world.enter().run(&["bootc-image", "repair", "--all", APP]).exits(2);
    let output = world.enter().run(&["bootc-image", "repair", "localhost/none:1"]).exits(1);
    assert!(output.stderr.contains("Source image not found: localhost/none:1"), "{output:#?}");
    // Behind sudo as for a pull.
    world.enter().env("SUDO_UID", "1000").run(&run).ok();
    // A policy on registries is asked what it is fetched from, and denies that.
    let rules = "[settings.registry-policy]\ndefault = \"allow\"\n\
                 [[settings.registry-policy.rule]]\neffect = \"deny\"\noperations = [\"repair\"]\nregistry = [\"127.0.0.1:5000\"]\n";
    let policy = || {
        let enter = ship_in_image(world.enter().registry(true), "registry-policy");
        enter.file("/etc/bootc-image/config.d/10-rules.toml", rules)
    };
    let output = policy().run(&run).exits(77);
    assert!(output.stderr.contains("policy registry-policy: "), "{output:#?}");
    let explained = policy().run(&["bootc-image", "policy", "explain", "repair", APP]).exits(77);
    assert!(explained.stdout.starts_with("repair: denied (operation sha256:"), "{explained:#?}");
    let cases = "[[case]]\nrun = [\"repair\", \"127.0.0.1:5000/lab/app:1\"]\nexpect = \"deny\"\nby = \"registry-policy\"\n\
                 [[case]]\nrun = [\"repair\", \"--all\"]\nexpect = \"allow\"\n";
    policy().file("/tmp/cases.toml", cases).run(&["bootc-image", "policy", "test", "/tmp/cases.toml"]).ok();
}

#[test]
fn without_a_network_it_is_an_error_and_nothing_changes() {
    let world = World::new();
    world.enter().sh(&format!("podman image rm --force {APP}")).ok();
    let file = layers(&world)[0].join("diff/usr/share/lab/program");
    fs::remove_file(&file).unwrap();
    let output = world.enter().run(&["bootc-image", "repair", APP]).exits(1);
    assert!(output.stderr.contains("skopeo failed"), "{output:#?}");
    assert!(!file.exists());
    let left = format!("ls -A /var/tmp; ls {STORAGE} | grep bootc-image || true");
    assert_eq!(world.enter().sh(&left).ok().stdout, "");
    world.enter().registry(true).run(&["bootc-image", "repair", APP]).ok();
    assert!(file.exists());
}

#[test]
fn podmans_storage_heals_too_when_it_is_copied_to() {
    let world = World::new();
    let store = "/var/lib/containers/storage";
    let script = format!(
        "bootc-image --quiet copy-to-storage
        rm -rf {store}/overlay/*/diff/usr
        rm {store}/overlay-layers/$(ls {store}/overlay-layers | grep -m 1 tar-split)
        bootc-image copy-to-storage
        bootc-image copy-to-storage
        bootc-image copy-to-storage --source containers-storage:{APP} --target {APP}
        for image in localhost/bootc {APP}; do
            podman image mount $image >/dev/null
            rm -rf /tmp/blobs; skopeo copy --quiet containers-storage:$image dir:/tmp/blobs >&2
        done"
    );
    let output = bash(world.enter(), &script).ok();
    let words: Vec<&str> = output.lines().into_iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(words, ["Copied:", "Copied:", "Unchanged:", "Copied:"], "{output:#?}");
    assert!(
        output.stderr.contains("note: podman's storage is damaged; the damaged parts are being replaced"),
        "{output:#?}"
    );
}

/// As bootc hosts have it, and where there is no podman of its own.
#[test]
fn a_read_only_sysroot_and_another_system_are_repaired() {
    let world = World::new();
    let script = format!(
        "rm -rf $storage/overlay/$(layers {APP} | head -n 1)
        mount -o remount,ro,bind /sysroot
        bootc-image repair {APP} >&2
        mount -o remount,rw,bind /sysroot
        whole {APP}
        rm -rf $storage/overlay/$(layers {APP} | head -n 1)
        podman image rm --force {APP} >/dev/null 2>&1
        bootc-image --sysroot /sysroot pull-from-default-storage {APP} || bootc-image --sysroot /sysroot repair {APP} >&2
        whole {APP}"
    );
    bash(world.enter().registry(true), &script).ok();
}

/// Of an index there is the image for one machine, and the index itself.
#[test]
fn an_image_for_another_machine_heals_as_it_was_pulled() {
    let world = World::new();
    let script = "
        name=127.0.0.1:5000/lab/multi:1
        bootc-image --quiet cmd pull --arch arm64 $name >&2
        id=$(bootc_podman image inspect --format '{{.Id}}' $name)
        rm $storage/overlay/$(layers $name | head -n 1)/diff/architecture $storage/overlay-images/$id/*
        bootc-image cmd pull --arch arm64 $name >&2
        whole $name
        : >$storage/overlay/$(layers $name | head -n 1)/diff/architecture
        for document in $storage/overlay-images/$id/*; do : >$document; done
        bootc-image repair $name >&2
        whole $name
        bootc_podman image inspect --format '{{.Architecture}}' $name
        bootc-image --dry-run repair $name >/dev/null";
    let output = bash(enter(&world), script).ok();
    assert_eq!(output.stdout, "arm64\n", "{output:#?}");
}

/// Who has a layer mounted keeps its files, and what was there before goes once nobody has it mounted.
#[test]
fn what_is_mounted_stays_readable_while_it_is_repaired() {
    let world = World::new();
    let script = format!(
        "bootc_mount bash -euc '
            on() {{ podman --root /run/bootc/storage --runroot /proc/self/fd/3 image \"$@\"; }}
            cd $(on mount {APP})
            bootc-image --quiet repair {APP} >&2
            cat usr/share/lab/program usr/share/lab/data
            ls /run/bootc/storage | grep -c ^bootc-image
            cd /
            on umount {APP} >/dev/null
            bootc-image --quiet repair {APP} >&2
            ls /run/bootc/storage | grep -c ^bootc-image || true'"
    );
    let output = bash(world.enter(), &script).ok();
    let lines = output.lines();
    assert!(lines[0].starts_with("program of ") && lines[1].starts_with("data of "), "{output:#?}");
    assert_eq!(lines[2..], ["1", "0"], "{output:#?}");
}

#[test]
fn several_at_once_wait_for_each_other() {
    let world = World::new();
    let script = format!(
        "rm -rf $storage/overlay/$(layers {APP} | head -n 1)
        for n in 1 2; do
            bootc-image --quiet repair {APP} >/tmp/out.repair$n 2>&1 &
            bootc-image --quiet pull-from-default-storage {APP} >/tmp/out.copy$n 2>&1 &
            bootc-image --quiet cmd pull {APP} >/tmp/out.pull$n 2>&1 &
        done
        failed=0
        for job in $(jobs -p); do wait $job || failed=$((failed + 1)); done
        cat /tmp/out.* >&2
        echo $failed
        whole {APP}
        ls -A /var/tmp; ls $storage | grep bootc-image || true"
    );
    assert_eq!(bash(world.enter().registry(true), &script).ok().stdout, "0\n");
}

/// SELinux's label of what was there before, as far as that can be seen without SELinux.
#[test]
fn what_is_replaced_has_the_label_of_what_was_there() {
    let world = World::new();
    let layer = layers(&world)[0].join("diff");
    let label = "lab_u:object_r:lab_t:s0";
    rustix::fs::setxattr(&layer, "security.selinux", label.as_bytes(), rustix::fs::XattrFlags::empty())
        .unwrap();
    fs::remove_dir_all(layer.join("usr")).unwrap();
    world.enter().run(&["bootc-image", "repair", APP]).ok();
    let mut found = [0; 64];
    let length =
        rustix::fs::getxattr(layer.join("usr/share/lab/program"), "security.selinux", &mut found[..])
            .unwrap();
    assert_eq!(std::str::from_utf8(&found[..length]).unwrap(), label);
}

/// A sample of what `make damage` does; the whole of it takes a quarter of an hour a driver.
#[test]
fn a_sample_of_all_damage_heals() {
    for (driver, every) in [("overlay", 47), ("vfs", 53)] {
        let found = Sweep { driver, every, first: 0, heals: &["repair", "pull", "copy"] }.run();
        assert!(found.wrong.is_empty() && found.tried > 2, "{driver}: {found:#?}");
    }
}

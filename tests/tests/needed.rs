//! What is needed stays: by whatever podman's configuration, units and deployments say it is needed. podman and Quadlet start
//! from what is left.

use std::fs;

use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World, stock};

const MINE: &str = "localhost/mine:1";
const BOOTC_STORE: &str = "/sysroot/ostree/bootc/storage";
const NOTHING_BOUND: &str = "mount -t tmpfs none /usr/lib/bootc/bound-images.d\n";

fn is_there(world: &World, name: &str) -> bool {
    oracle::podman_names(world, Store::Bootc).contains(&name.to_owned())
}

/// Runs `prune --all`, then `remove`, where a host is set up by this script; whether the image is still there.
fn stays(world: &World, name: &str, enter: impl Fn() -> Enter, set_up: &str) -> bool {
    let script = format!("{set_up}\nbootc-image prune --all || true\nbootc-image remove {name} || true");
    let output = enter().sh(&script).ok();
    let stays = is_there(world, name);
    let says_so = output.stderr.contains("is needed by") || output.stderr.contains("nothing was removed");
    assert_eq!(stays, says_so, "{output:#?}");
    stays
}

/// The report as it was given: podman's configuration has drop-in files, and a container is where they say.
#[test]
fn the_image_of_a_container_stays_wherever_a_drop_in_puts_podmans_storage() {
    let world = World::new();
    stock::mine(&world, &[]);
    let script = format!(
        "mkdir -p /etc/containers/storage.rootful.conf.d
        printf '[storage]\\ndriver=\"overlay\"\\ngraphroot=\"/var/data/c\"\\nrunroot=\"/run/data/c\"\\n' \
            >/etc/containers/storage.rootful.conf.d/10-site.conf
        podman --root /var/data/c --runroot /run/data/c --storage-opt additionalimagestore={BOOTC_STORE} \
            create --name keep {MINE} true"
    );
    assert!(stays(&world, MINE, || world.enter(), &script));
    // It is the drop-in that says where.
    assert!(!stays(&world, MINE, || world.enter(), "rm -r /etc/containers/storage.rootful.conf.d"));
}

/// The same for every part of the configuration that says where containers are.
#[test]
fn every_part_of_podmans_configuration_is_looked_into() {
    for (file, text) in [
        (
            "/etc/containers/storage.conf",
            "[storage]\ndriver=\"overlay\"\ngraphroot=\"/var/data/c\"\nrunroot=\"/run/c\"\n",
        ),
        ("/etc/containers/storage.conf.d/9.conf", "[storage]\ngraphroot=\"/var/data/c\"\n"),
        ("/usr/share/containers/storage.conf.d/9.conf", "[storage]\ngraphroot=\"/var/data/c\"\n"),
        ("/root/.config/containers/storage.conf", "[storage]\ngraphroot=\"/var/data/c\"\n"),
        ("/root/.config/containers/storage.conf.d/9.conf", "[storage]\ngraphroot=\"/var/data/$UID/../c\"\n"),
        // A transient storage has its containers in the run directory.
        ("/etc/containers/storage.conf.d/9.conf", "[storage]\nrunroot=\"/var/data/c\"\n"),
        ("/etc/containers/storage.conf.d/9.conf", "[storage]\nimagestore=\"/var/data/c\"\n"),
        (
            "/etc/containers/storage.conf.d/9.conf",
            "[storage.options]\nadditionalimagestores=[\"/var/data/c\"]\n",
        ),
        // Nothing of what is configured now, but podman's own default.
        (
            "/etc/containers/storage.conf",
            "[storage]\ndriver=\"overlay\"\ngraphroot=\"/var/elsewhere\"\nrunroot=\"/run/c\"\n",
        ),
    ] {
        let world = World::new();
        stock::mine(&world, &[]);
        let (place, run) = match text.contains("elsewhere") {
            true => ("/var/lib/containers/storage", "/run/containers/storage"),
            false => ("/var/data/c", "/run/c"),
        };
        let script = format!(
            "podman --root {place} --runroot {run} --storage-driver overlay \
                --storage-opt additionalimagestore={BOOTC_STORE} create --name keep {MINE} true"
        );
        assert!(stays(&world, MINE, || world.enter().file(file, text), &script), "{file}: {text}");
    }
}

/// A unit may have podman keep its container somewhere else.
#[test]
fn the_storage_that_a_unit_names_is_looked_into() {
    let world = World::new();
    stock::mine(&world, &[]);
    let script = format!(
        "podman --root /var/data/c --runroot /run/c --storage-opt additionalimagestore={BOOTC_STORE} \
            create --name keep {MINE} true"
    );
    for (says, script) in [
        ("GlobalArgs=--root /var/data/c --runroot=/run/c", script.as_str()),
        ("PodmanArgs=--root=/var/data/c --runroot=/run/c", ""),
        ("[Service]\nEnvironment=CONTAINERS_STORAGE_CONF=/etc/site/storage.conf", ""),
    ] {
        let unit = format!("[Container]\nImage=quay.io/newer/one:1\n{says}\n");
        let configuration = "[storage]\ngraphroot=\"/var/data/c\"\nrunroot=\"/run/c\"\n";
        let enter = || {
            let enter = world.enter().file("/etc/site/storage.conf", configuration);
            enter.file("/etc/containers/systemd/a.container", &unit)
        };
        assert!(stays(&world, MINE, enter, script), "{says}");
    }
    world.enter().sh("rm /etc/containers/systemd/a.container").ok();
    assert!(!stays(&world, MINE, || world.enter(), ""));
}

/// What podman makes of a configuration isn't known if its environment says a part of it.
#[test]
fn a_configuration_that_isnt_known_in_full_keeps_everything() {
    let world = World::new();
    stock::mine(&world, &[]);
    let configuration = "[storage]\ngraphroot=\"/var/$SITE/c\"\n";
    let enter = || world.enter().file("/etc/containers/storage.conf.d/9.conf", configuration);
    assert!(stays(&world, MINE, enter, ""));
    let output = enter().run(&["bootc-image", "prune", "--all"]).exits(1);
    assert!(
        output.stderr.contains("/etc/containers/storage.conf.d/9.conf") && output.stderr.contains("$SITE"),
        "{output:#?}"
    );
}

/// The report as it was given: a bound unit names another unit, and only the first is bound.
#[test]
fn a_bound_unit_may_name_another_unit() {
    let world = World::new();
    stock::mine(&world, &["registry.example.com/db:1", "registry.example.com/tag:1", "localhost/built:1"]);
    let directory = "/usr/share/containers/systemd";
    let unit = |name: &str, text: &str| (format!("{directory}/{name}"), text.to_owned());
    let enter = |files: &[(String, String)]| {
        files.iter().fold(world.enter(), |enter, (path, text)| enter.file(path, text))
    };
    let bind = format!(
        "{NOTHING_BOUND}ln -s {directory}/web.container /usr/lib/bootc/bound-images.d/web.container\n"
    );
    let logical = |files: &[(String, String)]| {
        enter(files).sh(&format!("{bind}bootc-image list --type logical --format json"))
    };
    let web = unit("web.container", "[Container]\nImage=db.image\n");
    for (other, name) in [
        (unit("db.image", "[Image]\nImage=registry.example.com/db:1\n"), "registry.example.com/db:1"),
        (
            unit(
                "db.image",
                "[Image]\nImage=registry.example.com/db:1\nImageTag=registry.example.com/tag:1\n",
            ),
            "registry.example.com/tag:1",
        ),
        (unit("below/db.image", "[Image]\nImage=registry.example.com/db:1\n"), "registry.example.com/db:1"),
    ] {
        let files = [web.clone(), other];
        assert!(logical(&files).ok().stdout.contains(&format!("\"image\": \"{name}\"")), "{name}");
        assert!(stays(&world, name, || enter(&files), &bind), "{name}");
    }
    let built = [
        unit("web.container", "[Container]\nImage=my.build\n"),
        unit("my.build", "[Build]\nImageTag=localhost/built:1\nFile=/x\n"),
    ];
    assert!(logical(&built).ok().stdout.contains("\"image\": \"localhost/built:1\""));
    assert!(stays(&world, "localhost/built:1", || enter(&built), &bind));
    // What can't be resolved is named, is no row, and may be anything.
    let listed = logical(std::slice::from_ref(&web)).exits(1);
    assert!(
        listed.stderr.contains("Image=db.image names a unit") && !listed.stdout.contains("db.image"),
        "{listed:#?}"
    );
    assert!(stays(&world, MINE, || enter(std::slice::from_ref(&web)), &bind));
}

/// A unit that starts a container needs its image, bound or not.
#[test]
fn what_units_start_stays_bound_or_not() {
    let world = World::new();
    let name = "quay.io/x/y:1";
    for (path, unit, expected) in [
        ("/etc/containers/systemd/a.container", "[Container]\nImage=quay.io/x/y:1\n", true),
        ("/etc/containers/systemd/a.container", "[Container]\nImage=quay.io/x/z:1\n", false),
        (
            "/etc/containers/systemd/deep/er/a.container",
            "[Container]\nImage=quay.io/x/\\\n# words\n\n  y:1\n",
            true,
        ),
        ("/run/containers/systemd/a.image", "[Image]\nImage=\"quay.io/x/y:1\"\n", true),
        ("/usr/share/containers/systemd/a.build", "[Build]\nImageTag=quay.io/x/y:1\n", true),
        ("/etc/containers/systemd/a.volume", "[Volume]\nDriver=image\nImage=quay.io/x/y:1\n", true),
        ("/etc/containers/systemd/a@.container", "[Container]\nImage=quay.io/x/y:%i\n", true),
        (
            "/etc/containers/systemd/a.container",
            "[Service]\nEnvironment=T=1\n[Container]\nImage=quay.io/x/y:${T}\n",
            true,
        ),
        (
            "/etc/containers/systemd/a.container",
            "[Container]\nImage=quay.io/z:1\nMount=type=image,source=quay.io/x/y:1,destination=/y\n",
            true,
        ),
        ("/etc/containers/systemd/app.container.d/1.conf", "[Container]\nImage=quay.io/x/y:1\n", true),
        (
            "/etc/containers/systemd/a.container",
            "[Container]\nImage=quay.io/z:1\nMount=type=image,\"source=quay.io/x/y:1\",destination=/y\n",
            true,
        ),
        ("/etc/containers/systemd/a.kube", "[Kube]\nYaml=../a.yaml\n", true),
        ("/etc/containers/systemd/a@.kube", "[Kube]\nYaml=/etc/containers/%i.yaml\n", true),
        ("/etc/containers/systemd/users/a.container", "[Container]\nImage=quay.io/x/y:1\n", true),
        ("/etc/containers/systemd/users/0/a.container", "[Container]\nImage=quay.io/x/y:1\n", true),
        ("/etc/containers/systemd/users/1000/a.container", "[Container]\nImage=quay.io/x/y:1\n", false),
        ("/etc/containers/systemd/a.container", "not a unit\n[Container]\nImage=quay.io/x/y:1\n", false),
    ] {
        stock::mine(&world, &[name]);
        let enter = || {
            let pod = "spec:\n  containers:\n  - {name: a, image: \"quay.io/x/y:1\"}\n";
            world.enter().file(path, unit).file("/etc/containers/a.yaml", pod)
        };
        let result = stays(&world, name, enter, "");
        world.enter().sh("rm -rf /etc/containers/systemd").ok();
        assert_eq!(result, expected, "{path}: {unit}");
    }
}

/// Makes the deployment of this commit one with layered packages, as rpm-ostree does it: a commit of its own on top.
fn layer_on(world: &World, commit: &str) {
    let script = format!(
        "cd /sysroot/ostree/deploy/lab/deploy
        chattr -i {commit}.0 || true
        layered=$(ostree --repo=/sysroot/ostree/repo commit --orphan --parent={commit} --tree=ref={commit} \
            --add-metadata-string=rpmostree.clientlayer=true -s layered)
        mv {commit}.0 $layered.0
        mv {commit}.0.origin $layered.0.origin
        for link in /sysroot/ostree/boot.*/lab/*/*; do
            case $(readlink $link) in *{commit}.0) ln -sfn ../../../deploy/lab/deploy/$layered.0 $link ;; esac
        done"
    );
    world.enter().sh(&script).ok();
}

/// The report as it was given: a deployment whose commit isn't an image's blocked every removal.
#[test]
fn a_deployment_with_layered_packages_needs_the_image_below() {
    let world = World::new();
    stock::mine(&world, &[]);
    let rollback = &world.facts().rollback;
    let copy = format!(
        "bootc_mount skopeo copy -q --src-tls-verify=false docker://{} \
         containers-storage:[overlay@/run/bootc/storage+/proc/self/fd/3]localhost/before:1",
        rollback.image
    );
    world.enter().registry(true).sh(&format!("{}{copy}", Store::Bootc.shell())).ok();
    layer_on(&world, &rollback.commit);
    let output = world.enter().run(&["bootc-image", "prune", "--all"]).ok();
    assert!(is_there(&world, "localhost/before:1") && !is_there(&world, MINE), "{output:#?}");
}

/// What is booted then is no image; the one below can be copied, and updates build on it.
#[test]
fn what_is_booted_with_layered_packages_is_told_from_its_image() {
    let world = World::new();
    let booted = &world.facts().booted;
    layer_on(&world, &booted.commit);
    let output = world.enter().run(&["bootc-image", "copy-to-storage"]).exits(1);
    let source = format!("docker://{}", booted.image);
    assert!(
        output.stderr.contains("has packages layered on top of the image")
            && output.stderr.contains(&format!("bootc-image copy-to-storage --source {source}")),
        "{output:#?}"
    );
    world.enter().run(&["bootc-image", "--quiet", "copy-to-storage", "--source", &source]).ok();
    let output = world.enter().registry(true).run(&["bootc-image", "--quiet", "set-unified"]).ok();
    assert!(output.stdout.starts_with("Pulled: ") && is_there(&world, &booted.image), "{output:#?}");
}

/// Links that lead nowhere block nothing, and mean what a shell would have made of them.
#[test]
fn a_bound_link_that_leads_nowhere_blocks_nothing() {
    let world = World::new();
    let name = "quay.io/x/y:1";
    for (target, file, unit, expected) in [
        ("/etc/containers/systemd/gone.container", "/etc/other", "", false),
        ("/etc/site/*.container", "/etc/site/a.container", "[Container]\nImage=quay.io/x/y:1\n", true),
        ("/etc/site/*.container", "/etc/site/a.conf", "[Container]\nImage=quay.io/x/y:1\n", false),
        ("/etc/site/a.container", "/etc/site/a.container", "[Container]\nImage=quay.io/x/y:1\n", true),
    ] {
        stock::mine(&world, &[name]);
        let bind = format!(
            "{NOTHING_BOUND}ln -s '{target}' '/usr/lib/bootc/bound-images.d/{}'\n",
            target.rsplit('/').next().unwrap()
        );
        let listed = world.enter().file(file, unit).sh(&format!("{bind}bootc-image list --type logical"));
        assert_eq!(listed.code != 0, target.contains('*') || target.contains("gone"), "{listed:#?}");
        assert_eq!(
            stays(&world, name, || world.enter().file(file, unit), &bind),
            expected,
            "{target} {file}"
        );
        world.enter().sh("rm -rf /etc/site /etc/other").ok();
    }
}

/// A composefs host has no `/run/ostree-booted`. Its host images can't be read yet, which is said and not passed over.
#[test]
fn a_composefs_host_is_recognised() {
    let world = World::new();
    let sysroot = world.sysroot();
    fs::rename(sysroot.join("ostree/repo"), sysroot.join("not-a-repo")).unwrap();
    fs::create_dir(sysroot.join("composefs")).unwrap();
    let on_composefs = |command: &str| -> Output {
        let script = format!(
            "printf 'root=/dev/vda rw composefs=abc quiet\\n' >/tmp/cmdline
            mount --bind /tmp/cmdline /proc/cmdline
            exec bootc-image {command}"
        );
        world.enter().not_booted().sh(&script)
    };
    for command in
        ["list", "list --type host", "copy-to-storage", "set-unified", "prune --all", "remove app:stable"]
    {
        let output = on_composefs(command).exits(1);
        assert!(
            output.stderr.contains("reading the images of a composefs host is not supported yet"),
            "{command}: {output:#?}"
        );
    }
    let listed = on_composefs("list").exits(1);
    assert!(listed.stdout.contains("unified") && listed.stdout.contains("logical"), "{listed:#?}");
    on_composefs("list --type unified").ok();
    world.enter().not_booted().run(&["bootc-image", "list", "--type=host"]).exits(1);
}

/// Every name that podman stores is listed, compared and removed as it stands.
#[test]
fn every_name_that_podman_stores_is_a_name() {
    let world = World::new();
    for name in [
        "registry.example.com:443/app:1",
        "registry.example.com:05000/app:1",
        "127.0.0.1:99999/app:1",
        "registry.example.com/a__b/c-d.e:T_1",
        "docker.io/library/app:1",
    ] {
        stock::mine(&world, &[name]);
        if !is_there(&world, name) {
            panic!(
                "podman stores {name} under another name: {:?}",
                oracle::podman_names(&world, Store::Bootc)
            );
        }
        let listed = world.enter().run(&["bootc-image", "list", "--type=unified"]).ok();
        assert!(listed.stdout.contains(&format!("{name} ")), "{listed:#?}");
        let unit = format!("[Container]\nImage={name}\n");
        let path = "/etc/containers/systemd/a.container";
        assert!(stays(&world, name, || world.enter().file(path, &unit), ""), "{name}");
        world.enter().sh(&format!("rm {path}")).ok();
        let output = world.enter().run(&["bootc-image", "remove", name]).ok();
        assert_eq!(output.stdout, format!("Untagged: {name} of {}\n", world.facts().mine.id), "{name}");
        assert!(!is_there(&world, name), "{name}");
    }
}

/// A name by a digest of another kind is a name that nothing here has, and blocks nothing.
#[test]
fn a_unit_that_names_another_kind_of_digest_blocks_nothing() {
    let world = World::new();
    stock::mine(&world, &[]);
    let unit =
        format!("[Container]\nImage=registry.example.com/app@sha512:{}\n", "0123456789abcdef".repeat(8));
    let enter = || world.enter().file("/run/unit.container", &unit);
    let bind =
        format!("{NOTHING_BOUND}ln -s /run/unit.container /usr/lib/bootc/bound-images.d/unit.container\n");
    let listed = enter().sh(&format!("{bind}bootc-image list --type logical")).ok();
    assert!(listed.stdout.contains("@sha512:"), "{listed:#?}");
    assert!(!stays(&world, MINE, enter, &bind));
}

/// The report as it was given: podman shows an image of an additional storage, and so it can be copied.
#[test]
fn images_of_additional_storages_are_found() {
    let world = World::new();
    let configuration = "[storage]\ndriver=\"overlay\"\ngraphroot=\"/var/lib/containers/storage\"\n\
                         runroot=\"/run/containers/storage\"\n[storage.options]\nadditionalimagestores=[\"/var/ais\"]\n";
    let enter = || world.enter().file("/etc/containers/storage.conf", configuration);
    let script = "mkdir -p /var/ais /tmp/c; echo extra >/tmp/c/f; printf 'FROM scratch\\nCOPY f /f\\n' >/tmp/c/Containerfile
        podman --root /var/ais --runroot /run/ais build --quiet --tag localhost/extra:1 /tmp/c
        podman image exists localhost/extra:1
        bootc-image --quiet pull-from-default-storage localhost/extra:1 extra:1 mine:1";
    let output = enter().sh(script).ok();
    assert!(output.stdout.contains("Pulled: localhost/extra:1"), "{output:#?}");
    assert!(is_there(&world, "localhost/extra:1") && is_there(&world, MINE));
    let script = "bootc-image pull-from-default-storage localhost/nowhere:1";
    assert!(enter().sh(script).exits(1).stderr.contains("Source image not found: localhost/nowhere:1"));
}

/// With bootc's own store as the additional one a copy reuses its layers, and is whole all the same.
#[test]
fn a_copy_may_stand_on_layers_of_an_additional_storage() {
    let world = World::new();
    stock::mine(&world, &[]);
    let configuration = format!(
        "[storage]\ndriver=\"overlay\"\ngraphroot=\"/var/lib/containers/storage\"\nrunroot=\"/run/containers/storage\"\n\
         [storage.options]\nadditionalimagestores=[\"{BOOTC_STORE}\"]\n"
    );
    let script = "podman rmi --force localhost/mine:1 >/dev/null
        bootc-image copy-to-storage --source containers-storage:localhost/mine:1 --target copied:1
        bootc-image copy-to-storage --source containers-storage:localhost/mine:1 --target copied:1
        podman create --name copied localhost/copied:1 /x >/dev/null; podman rm copied >/dev/null";
    let output = world.enter().file("/etc/containers/storage.conf", configuration).sh(script).ok();
    assert!(output.stdout.contains("Copied: ") && output.stdout.contains("Unchanged: "), "{output:#?}");
    // It stands on them from now on.
    assert!(stays(&world, MINE, || world.enter(), ""));
}

/// The report as it was given: what another driver has left beside isn't what podman has.
#[test]
fn what_another_driver_has_left_isnt_read() {
    let world = World::new();
    let with = |driver: &str, command: &str| {
        let configuration =
            format!("[storage]\ndriver=\"{driver}\"\ngraphroot=\"/var/lib/c2\"\nrunroot=\"/run/c2\"\n");
        world.enter().file("/etc/containers/storage.conf", configuration).sh(command)
    };
    let pull = "bootc-image pull-from-default-storage localhost/mine:1";
    let left = "podman images --quiet >/dev/null; cp -a /var/lib/containers/storage/overlay* /var/lib/c2/
        ! podman image exists localhost/mine:1";
    with("vfs", left).ok();
    assert!(with("vfs", pull).exits(1).stderr.contains("Source image not found"));
    // bootc's store with two of them: what podman would take.
    let copy = format!(
        "cp -a {BOOTC_STORE}/overlay-images {BOOTC_STORE}/vfs-images; echo '[]' >{BOOTC_STORE}/vfs-images/images.json"
    );
    with("overlay", &copy).ok();
    let list = "bootc-image list --type unified";
    assert!(with("overlay", list).ok().stdout.contains("localhost/app:stable"));
    assert!(!with("vfs", list).ok().stdout.contains("localhost/app:stable"));
    let output = with("zfs", list).exits(1);
    assert!(output.stderr.contains("has images of more than one storage driver"), "{output:#?}");
    with(
        "overlay",
        &format!(
            "mv {BOOTC_STORE}/vfs-images {BOOTC_STORE}/btrfs-images; rm -r {BOOTC_STORE}/overlay-images"
        ),
    )
    .ok();
    let output = with("overlay", list).exits(1);
    assert!(output.stderr.contains("uses the storage driver btrfs"), "{output:#?}");
}

/// What is neither bound nor a deployment's is removed by bootc with the next upgrade, and a copy to that storage says so.
#[test]
fn what_an_upgrade_removes_is_said_where_images_get_there() {
    let world = World::new();
    let removes = |output: Output| output.ok().stderr.contains("the next `bootc upgrade` will remove ");
    let run =
        |command: &[&str]| world.enter().registry(true).run(&[&["bootc-image", "--quiet"], command].concat());
    assert!(removes(run(&["pull-from-default-storage", "localhost/mine:1"])));
    assert!(removes(run(&["cmd", "pull", "--quiet", "127.0.0.1:5000/lab/app:3"])));
    // Bound, or a deployment's.
    assert!(!removes(run(&["cmd", "pull", "--quiet", "127.0.0.1:5000/lab/app:1"])));
    assert!(!removes(run(&["set-unified"])));
    // A unit that isn't bound is no reason for bootc.
    let unit = "[Container]\nImage=localhost/mine:1\n";
    let enter = world.enter().file("/etc/containers/systemd/a.container", unit);
    let again = "podman tag localhost/mine:1 mine:2; bootc-image pull-from-default-storage mine:2";
    assert!(removes(enter.sh(again)));
}

/// With `--sysroot`, where that system's `/boot` is a partition of its own; and of boot entries only those that a boot loader reads.
#[test]
fn the_deployment_of_another_system_is_found_by_its_boot_entries() {
    let world = World::new();
    let list = "bootc-image --sysroot /sysroot list --type logical";
    let backup = "cd /sysroot/boot/loader/entries; cp $(ls | head -1) zz.conf.rpmsave
        sed -i 's/^version .*/version 99/; s#ostree=[^ ]*#ostree=/nowhere#' zz.conf.rpmsave";
    world.enter().sh(&format!("{backup}; {list}")).ok();
    let output = world.enter().sh(&format!("mount -t tmpfs none /sysroot/boot; {list}")).exits(1);
    assert!(
        output.stderr.contains("cannot determine which of 2 deployments would be started")
            && output.stderr.contains("mount it at /sysroot/boot"),
        "{output:#?}"
    );
    let single = format!(
        "chattr -i /sysroot/ostree/deploy/lab/deploy/{0}.0 || true; rm -r /sysroot/ostree/deploy/lab/deploy/{0}.0*",
        world.facts().rollback.commit
    );
    world.enter().sh(&format!("{single}; mount -t tmpfs none /sysroot/boot; {list}")).ok();
}

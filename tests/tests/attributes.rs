//! Extended attributes and hard links of files in copies of this host's images.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bootc_image_tests::{World, programs};
use rustix::fs::{XattrFlags, fsetxattr, getxattr};

/// `cap_net_raw+ep`, as in linux/capability.h: the revision with the flag for "effective", and two pairs of sets.
const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const BASE: &str = "127.0.0.1:5000/lab/attributes:base";
const DERIVED: &str = "127.0.0.1:5000/lab/attributes:derived";

fn set(path: &Path, name: &str, value: &[u8]) {
    fsetxattr(File::open(path).unwrap(), name, value, XattrFlags::empty()).unwrap();
}

fn get(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 64];
    getxattr(path, name, &mut value[..]).ok().map(|size| value[..size].to_vec())
}

/// A host that has an image with attributes in its base, and on top of it a layer with hard links.
fn world_with_attributes() -> World {
    let world = World::new();
    let labtool = programs::required("labtool");
    let checkout = "ostree --repo=/sysroot/ostree/repo checkout --force-copy $COMMIT /var/tmp/root
        echo some >/var/tmp/root/usr/lib/some; : >/var/tmp/root/usr/lib/empty";
    world.enter().env("COMMIT", &world.facts().booted.commit).sh(checkout).ok();
    let root = world.outside("/var/tmp/root");
    set(&root.join("usr/bin/busybox"), "security.capability", &NET_RAW);
    set(&root.join("usr/lib/some"), "user.x", b"of a file");
    set(&root.join("usr/lib/empty"), "user.x", b"of an empty file");
    set(&root.join("usr/lib/modules"), "user.x", b"of a directory");
    let script = format!(
        "ostree --repo=/var/tmp/repo init --mode=bare
        ostree --repo=/var/tmp/repo commit --branch=lab/base --tree=dir=/var/tmp/root --owner-uid=0 --owner-gid=0 \\
            --add-metadata-string=version=1 --bootable >&2
        labtool container encapsulate --repo=/var/tmp/repo --label ostree.bootable=1 lab/base docker://{BASE} >&2
        mkdir -p /var/tmp/context/links /var/tmp/context/etc; cd /var/tmp/context/links
        echo linked >one; ln one two; echo 'other' >other; : >empty; ln empty empty2; cd ..
        echo conf >etc/a.conf; ln etc/a.conf etc/b.conf
        tar -cf links.tar links; tar -cf etc.tar etc
        printf 'FROM {BASE}\\nADD links.tar /usr/share/\\nADD etc.tar /\\n' >Containerfile
        podman build --quiet --tag {DERIVED} . >&2
        podman push --quiet {DERIVED} >&2
        for image in {BASE} {DERIVED}; do
            labtool container image pull /sysroot/ostree/repo ostree-unverified-registry:$image \\
                --insecure-skip-tls-verification >&2
        done
        podman image rm --force {DERIVED} {BASE} >&2; rm -r /var/tmp/root /var/tmp/repo /var/tmp/context"
    );
    world.enter().registry(true).program(&labtool, "/usr/bin/labtool").sh(&script).ok();
    world
}

/// Where the layers of podman's storage have this file.
fn in_layers(world: &World, path: &str) -> Vec<PathBuf> {
    let layers = fs::read_dir(world.outside("/var/lib/containers/storage/overlay")).unwrap();
    let files = layers.map(|layer| layer.unwrap().path().join("diff").join(path));
    files.filter(|file| file.exists()).collect()
}

#[test]
fn capabilities_and_other_attributes_of_the_base_are_in_a_copy() {
    let world = world_with_attributes();
    world.enter().run(&["bootc-image", "copy-to-storage", "--source", BASE]).ok();
    for (path, name, value) in [
        ("usr/bin/busybox", "security.capability", &NET_RAW[..]),
        ("usr/lib/some", "user.x", b"of a file"),
        ("usr/lib/empty", "user.x", b"of an empty file"),
        ("usr/lib/modules", "user.x", b"of a directory"),
    ] {
        let found: Vec<_> = in_layers(&world, path).iter().filter_map(|file| get(file, name)).collect();
        assert!(!found.is_empty() && found.iter().all(|found| found == value), "{path}: {found:?}");
    }
    // ostree finds the same commit in it.
    let script = "
        skopeo copy --quiet containers-storage:localhost/bootc:latest oci:/var/tmp/oci:1
        mkdir /var/tmp/repo; ostree --repo=/var/tmp/repo init --mode=bare
        labtool container image pull /var/tmp/repo ostree-unverified-image:oci:/var/tmp/oci:1 >&2
        ostree --repo=/var/tmp/repo fsck --quiet >&2
        of() { ostree --repo=$1 ls -R -C -X $(ostree --repo=$1 refs --list ostree/container/image | grep \"$2\" | head -1) | sort; }
        of /var/tmp/repo . >/tmp/imported
        of /sysroot/ostree/repo attributes_3A_base >/tmp/original
        diff /tmp/original /tmp/imported; wc -l </tmp/original";
    let labtool = programs::required("labtool");
    let output = world.enter().program(&labtool, "/usr/bin/labtool").sh(script).ok();
    assert_ne!(output.stdout.trim(), "0", "{output:#?}");
}

#[test]
fn hard_links_of_a_derived_layer_are_links_in_a_copy() {
    let world = world_with_attributes();
    world.enter().run(&["bootc-image", "copy-to-storage", "--source", DERIVED]).ok();
    let inode = |path: &str| {
        let [file] = <[PathBuf; 1]>::try_from(in_layers(&world, path)).unwrap();
        let metadata = fs::metadata(file).unwrap();
        (metadata.ino(), metadata.nlink())
    };
    let (one, links) = inode("usr/share/links/one");
    assert_eq!((one, links), inode("usr/share/links/two"));
    assert_eq!(links, 2);
    assert_eq!(inode("usr/share/links/other").1, 1);
    // Programs write to these.
    for path in ["usr/share/links/empty", "usr/share/links/empty2", "etc/a.conf", "etc/b.conf"] {
        assert_eq!(inode(path).1, 1, "{path}");
    }
    let again = world.enter().run(&["bootc-image", "copy-to-storage", "--source", DERIVED]).ok();
    assert!(again.stdout.starts_with("Unchanged: "), "{again:#?}");
}

/// Somebody ran `setcap` on a file of `/usr`, which is a hard link to the object.
#[test]
fn an_object_whose_attributes_changed_is_named_by_its_file() {
    let world = World::new();
    let file = world.outside("/usr/share/lab/third");
    let object = fs::metadata(&file).unwrap();
    set(&file, "user.x", b"new");
    assert!(object.nlink() > 1, "the file is a hard link to its object");
    let output = world.enter().run(&["bootc-image", "copy-to-storage"]).exits(1);
    assert!(output.stderr.contains("cannot export the file usr/share/lab/third: object "), "{output:#?}");
    assert!(output.stderr.contains("extended attribute of this file was changed, undo that"), "{output:#?}");
}

//! The guide's three workflows as they are written there, but for `bootc switch`, which is bootc's own.

use bootc_image_tests::World;
use bootc_image_tests::oracle::{self, Store};

/// The guide's registry, served by the world's.
const REGISTRIES: &str = "
[[registry]]
location = '127.0.0.1:5000'
insecure = true
[[registry]]
prefix = 'quay.io/myorg'
location = '127.0.0.1:5000/lab'
insecure = true
";

#[test]
fn development_build_and_copy() {
    let world = World::new();
    let script = "
        cd /tmp; printf 'FROM scratch\\nLABEL a=b\\n' >Containerfile
        bootc-image cmd build --quiet -t myimage:latest . >/dev/null
        bootc-image copy-to-storage --source=myimage:latest
        podman image inspect --format '{{.Labels}}' localhost/bootc";
    let output = world.enter().sh(script).ok();
    assert!(output.stdout.contains("a:b"), "{output:#?}");
}

#[test]
fn production_pull_and_copy() {
    let world = World::new();
    let script = "
        skopeo copy --quiet docker://127.0.0.1:5000/lab/app:3 docker://127.0.0.1:5000/lab/debian-bootc:v2.0
        bootc-image cmd pull --quiet quay.io/myorg/debian-bootc:v2.0 >/dev/null
        bootc-image copy-to-storage --source=quay.io/myorg/debian-bootc:v2.0
        podman image inspect --format '{{.Id}}' localhost/bootc";
    let enter = world.enter().registry(true).file("/etc/containers/registries.conf", REGISTRIES);
    let output = enter.sh(script).ok();
    assert_eq!(output.lines().last(), Some(&world.facts().app3.id.as_str()), "{output:#?}");
}

/// Without `--target` the second copy takes the name `localhost/bootc` from the first, as in the guide.
#[test]
fn backup_and_migration_list_copy_and_save() {
    let world = World::new();
    let script = "
        cd /tmp
        bootc-image list --format=json > images.json
        bootc-image copy-to-storage --source=127.0.0.1:5000/lab/os:0
        bootc-image copy-to-storage --source=127.0.0.1:5000/lab/os:1
        podman save --quiet -o backup.tar localhost/bootc
        # On another machine:
        podman rmi --all --force >/dev/null
        podman load --quiet -i backup.tar >/dev/null
        podman image inspect --format '{{len .RootFS.Layers}}' localhost/bootc
        cat images.json";
    let output = world.enter().sh(script).ok();
    assert!(output.stdout.contains("docker://127.0.0.1:5000/lab/os:1"), "{output:#?}");
    assert_eq!(output.lines()[2], world.facts().booted.layers.to_string(), "{output:#?}");
    assert!(oracle::podman_names(&world, Store::Default).contains(&"localhost/bootc:latest".to_owned()));
}

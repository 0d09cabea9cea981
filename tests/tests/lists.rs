//! Manifest lists in the storages: this host's image is copied.

use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::{Output, World};

/// Builds a manifest list for these architectures, each image of which has a file of its own.
const BUILD: &str = "
    build() {
        name=$1; shift
        for architecture; do
            mkdir -p /tmp/list; echo $name $architecture >/tmp/list/data
            printf 'FROM scratch\\nCOPY data /data\\n' >/tmp/list/Containerfile
            store_podman build --quiet --platform linux/$architecture --manifest $name /tmp/list
        done
    }
";

fn build(world: &World, store: Store, lists: &str) {
    world.enter().sh(&format!("{}{BUILD}{lists}", store.shell())).ok();
}

fn here() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The architecture of the image with this name.
fn architecture(world: &World, store: Store, name: &str) -> String {
    oracle::podman_inspect(world, store, name)["Architecture"].as_str().unwrap().to_owned()
}

fn run(world: &World, arguments: &[&str]) -> Output {
    world.enter().run(&[&["bootc-image"], arguments].concat())
}

#[test]
fn of_a_manifest_list_this_hosts_image_is_pulled() {
    let world = World::new();
    build(&world, Store::Default, "build localhost/list:1 amd64 arm64 s390x");
    let output = run(&world, &["pull-from-default-storage", "list:1"]).ok();
    assert!(output.stdout.starts_with("Pulled: localhost/list:1 sha256:"), "{output:#?}");
    assert_eq!(architecture(&world, Store::Bootc, "localhost/list:1"), here());
    let operation = &world.record()[0]["canonical"]["operation"];
    let id = oracle::podman_inspect(&world, Store::Bootc, "localhost/list:1")["Id"].clone();
    assert_eq!(operation["source"]["id"], id, "what is judged is what is copied");
    assert!(run(&world, &["pull-from-default-storage", "list:1"]).ok().stdout.starts_with("Unchanged: "));
}

#[test]
fn of_a_manifest_list_this_hosts_image_is_copied() {
    let world = World::new();
    build(&world, Store::Bootc, "build localhost/list:1 amd64 arm64");
    run(&world, &["copy-to-storage", "--source=list:1", "--target=copied:1"]).ok();
    assert_eq!(architecture(&world, Store::Default, "localhost/copied:1"), here());
}

#[test]
fn a_list_without_an_image_for_this_host_names_those_that_it_has() {
    let world = World::new();
    build(&world, Store::Default, "build localhost/other:1 s390x ppc64le");
    let output = run(&world, &["pull-from-default-storage", "other:1"]).exits(1);
    let expected = format!(
        "localhost/other:1 is a manifest list without exactly one image for this host ({}): s390x: ",
        here()
    );
    assert!(output.stderr.contains(&expected) && output.stderr.contains(", ppc64le: "), "{output:#?}");
    let id = output.stderr.split("s390x: ").nth(1).unwrap().split(',').next().unwrap();
    let tag = format!("podman image tag {id} localhost/named:1");
    assert!(output.stderr.contains("podman image tag ID localhost/NAME:TAG"), "{output:#?}");
    world.enter().sh(&tag).ok();
    run(&world, &["pull-from-default-storage", "named:1"]).ok();
}

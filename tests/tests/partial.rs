//! Images that podman has pulled in part, by the tables of contents of their layers.

use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World};

const NAME: &str = "127.0.0.1:5000/lab/partial:1";
const STORAGE: &str = "[storage]\ndriver = \"overlay\"\n\
                       graphroot = \"/var/lib/containers/storage\"\nrunroot = \"/run/containers/storage\"\n\
                       [storage.options.pull_options]\nenable_partial_images = \"true\"\n\
                       insecure_allow_unpredictable_image_contents = \"true\"\n";
/// Builds an image and pushes it so that it can be pulled in part.
const PUSH: &str = "mkdir /tmp/partial; cd /tmp/partial; seq 200000 >data
    printf 'FROM scratch\\nCOPY data /data\\n' >Containerfile
    podman build --quiet --tag localhost/built:1 . >/dev/null
    podman push --quiet --compression-format zstd:chunked localhost/built:1 127.0.0.1:5000/lab/partial:1
    podman rmi --force localhost/built:1 >/dev/null
    podman version --format '{{.Client.Version}}'";

/// Removes the digests of the archives of layers that were pulled in part.
const WITHOUT_ARCHIVES: &str = "index=/var/lib/containers/storage/overlay-layers/layers.json
    jq 'map(if .[\"toc-digest\"] then .flags[\"expected-layer-diffid\"] = .[\"diff-digest\"]
        | del(.[\"diff-digest\"]) else . end)' $index >$index.new
    mv $index.new $index";

fn enter(world: &World) -> Enter {
    world.enter().registry(true).file("/etc/containers/storage.conf", STORAGE)
}

fn run(world: &World, arguments: &[&str]) -> Output {
    enter(world).run(&[&["bootc-image"], arguments].concat())
}

/// Whether the store has a layer that was pulled in part.
fn is_partial(world: &World, directory: &str) -> bool {
    let path = world.outside(&format!("{directory}/overlay-layers/layers.json"));
    let layers: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut layers = layers.as_array().unwrap().iter();
    layers.any(|layer| layer["big-data-names"].as_array().is_some_and(|names| !names.is_empty()))
}

#[test]
fn an_image_that_was_pulled_by_its_tables_of_contents_is_whole() {
    let world = World::new();
    let version = enter(&world).sh(PUSH).ok().stdout;
    run(&world, &["cmd", "pull", "--quiet", NAME]).ok();
    assert!(is_partial(&world, "/sysroot/ostree/bootc/storage"), "podman {version}");
    if version.starts_with('4') {
        // The skopeo of that time cannot read such layers.
        run(&world, &["remove", NAME]).ok();
        return;
    }
    run(&world, &["copy-to-storage", "--source", NAME, "--target", "copied:1"]).ok();
    assert!(oracle::podman_names(&world, Store::Default).contains(&"localhost/copied:1".to_owned()));
    run(&world, &["remove", NAME]).ok();
    // The same from podman's storage into bootc's, and once more as older versions of podman 5 store it: without the digest of the
    // archive.
    enter(&world).sh(&format!("podman rmi localhost/copied:1; podman pull --quiet {NAME}")).ok();
    assert!(is_partial(&world, "/var/lib/containers/storage"), "podman {version}");
    for prepare in ["true", WITHOUT_ARCHIVES] {
        enter(&world).sh(prepare).ok();
        let output = run(&world, &["pull-from-default-storage", NAME]).ok();
        assert!(!output.stderr.contains("damaged"), "{output:#?}");
        assert!(oracle::podman_names(&world, Store::Bootc).contains(&NAME.to_owned()));
        let again = run(&world, &["pull-from-default-storage", NAME]).ok();
        assert!(again.stdout.starts_with("Unchanged: "), "{again:#?}");
        run(&world, &["remove", NAME]).ok();
    }
}

//! The house is kept: the sources as they are today (CONTRIBUTING.md says the rules). `bootc_image_tests::house` reads
//! them, and its own tests show that each check can fail.

use std::path::Path;

use bootc_image_tests::house::{self, House, Row};
use bootc_image_tests::pages::files;

/// Which crate may depend on which of ours, as it's built, its build script included. Whoever adds an edge here says with it
/// that it runs downwards.
const EDGES: &[Row] = &[
    ("bootc-image-plugin-model", &[]),
    ("bootc-image-model", &["bootc-image-plugin-model"]),
    ("bootc-image-os", &["bootc-image-model"]),
    ("bootc-image-grammar", &[]),
    ("bootc-image-places", &["bootc-image-os"]),
    ("bootc-image-journal", &["bootc-image-os"]),
    (
        "bootc-image-manifest",
        &["bootc-image-core", "bootc-image-extension", "bootc-image-grammar", "bootc-image-model"],
    ),
    ("bootc-image-containers-storage", &["bootc-image-os", "bootc-image-model"]),
    ("bootc-image-stores", &["bootc-image-containers-storage", "bootc-image-os", "bootc-image-model"]),
    (
        "bootc-image-core",
        &[
            "bootc-image-stores",
            "bootc-image-containers-storage",
            "bootc-image-journal",
            "bootc-image-os",
            "bootc-image-grammar",
            "bootc-image-model",
        ],
    ),
    ("bootc-image-engine-config", &[]),
    ("bootc-image-native-protocol", &["bootc-image-plugin-model"]),
    ("bootc-image-extension", &["bootc-image-plugin-model"]),
    ("bootc-image-plugin-sdk", &[]),
    ("bootc-image-plugin-builder", &["bootc-image-engine-config"]),
    (
        "bootc-image-engine",
        &[
            "bootc-image-core",
            "bootc-image-engine-config",
            "bootc-image-extension",
            "bootc-image-grammar",
            "bootc-image-manifest",
            "bootc-image-model",
            "bootc-image-native-protocol",
            "bootc-image-os",
            "bootc-image-places",
            "bootc-image-plugin-model",
            "bootc-image-stores",
            // Its build script.
            "bootc-image-plugin-builder",
        ],
    ),
    (
        "bootc-image",
        &[
            "bootc-image-engine",
            "bootc-image-core",
            "bootc-image-stores",
            "bootc-image-os",
            "bootc-image-grammar",
            "bootc-image-model",
        ],
    ),
    ("bootc-image-helper", &["bootc-image-engine-config"]),
    ("bootc-image-packager", &["bootc-image-engine", "bootc-image-plugin-builder"]),
    (
        "bootc-image-native",
        &["bootc-image-extension", "bootc-image-native-protocol", "bootc-image-plugin-model"],
    ),
    ("plugins/*", &["bootc-image-plugin-sdk"]),
];

fn project() -> House {
    House::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
}

fn assert_none(what: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{what}:\n  {}\n", complaints.join("\n  "));
}

#[test]
fn files_of_different_folders_take_nothing_from_each_other_in_a_circle() {
    assert_none("circles of imports", &house::circles(&project()));
}

#[test]
fn no_file_and_no_crate_is_too_long() {
    assert_none("too long", &house::sizes(&project()));
}

#[test]
fn a_module_with_modules_below_it_is_in_their_folder() {
    assert_none("modules beside their folders", &house::style(&project()));
}

#[test]
fn crates_depend_on_those_below_them_alone() {
    assert_none("edges between crates", &house::edges(&project(), EDGES));
}

#[test]
fn the_walk_through_the_code_leads_where_it_says() {
    assert_none("the walk", &house::walk(&project()));
}

/// What works on storages is public for core alone: whoever judges nothing may know errors, settings and deployments of `stores`.
#[test]
fn nothing_above_core_works_on_storages() {
    let allowed = ["error", "host", "sysroot"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = ["host/cli/src", "host/engine/src"];
    let sources: Vec<_> = folders.iter().flat_map(|folder| files(&root.join(folder), ".rs")).collect();
    assert!(sources.len() > 50, "{}", sources.len());
    for file in sources {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("bootc_image_containers_storage"), "{}", file.display());
        for taken in text.split("bootc_image_stores::").skip(1) {
            let module = taken.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            assert!(allowed.contains(&module), "{} takes {module} of stores", file.display());
        }
    }
}

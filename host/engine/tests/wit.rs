//! What holds for every file of `wit/`.

// Clippy's leave for tests covers only functions that are tests themselves.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bootc_image_engine::API_VERSION;
use wit_parser::{Docs, Resolve, TypeDefKind};

/// Packages, each after those that it uses.
const PACKAGES: &[&str] = &["types", "host", "policy", "format", "command"];

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

fn resolve() -> Resolve {
    let mut resolve = Resolve::default();
    for package in PACKAGES {
        resolve.push_dir(wit().join(package)).unwrap();
    }
    resolve
}

#[test]
fn every_folder_is_a_package() {
    let folders: BTreeSet<_> =
        fs::read_dir(wit()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(folders, PACKAGES.iter().map(ToString::to_string).collect());
}

#[test]
fn all_packages_have_the_version_that_the_host_offers() {
    for (_, package) in &resolve().packages {
        assert_eq!(package.name.version.as_ref(), Some(&API_VERSION), "{}", package.name);
    }
}

#[test]
fn a_file_holds_one_interface_or_world_of_its_name() {
    for package in PACKAGES {
        for entry in fs::read_dir(wit().join(package)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let items: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("interface ").or(line.strip_prefix("world ")))
                .map(|rest| rest.trim_end_matches(" {"))
                .collect();
            assert_eq!(items, [path.file_stem().unwrap().to_str().unwrap()], "{}", path.display());
        }
    }
}

#[test]
fn every_item_has_prose() {
    let bare = undocumented(&resolve());
    assert!(bare.is_empty(), "without documentation: {bare:#?}");
}

/// Names of all items that nobody has described.
fn undocumented(resolve: &Resolve) -> Vec<String> {
    let mut bare = Vec::new();
    let mut look = |name: String, docs: &Docs| {
        if docs.contents.as_deref().is_none_or(|text| text.trim().is_empty()) {
            bare.push(name);
        }
    };
    for (_, package) in &resolve.packages {
        look(package.name.to_string(), &package.docs);
    }
    for (_, world) in &resolve.worlds {
        look(world.name.clone(), &world.docs);
    }
    for (id, interface) in &resolve.interfaces {
        let at = resolve.id_of(id).unwrap();
        look(at.clone(), &interface.docs);
        for (name, function) in &interface.functions {
            look(format!("{at}.{name}"), &function.docs);
        }
        for (name, id) in &interface.types {
            let kind = &resolve.types[*id].kind;
            // What `use` brings in is described where it comes from.
            if !matches!(kind, TypeDefKind::Type(_)) {
                look(format!("{at}.{name}"), &resolve.types[*id].docs);
            }
            for (part, docs) in parts(kind) {
                look(format!("{at}.{name}.{part}"), docs);
            }
        }
    }
    bare
}

fn parts(kind: &TypeDefKind) -> Vec<(&str, &Docs)> {
    match kind {
        TypeDefKind::Record(record) => {
            record.fields.iter().map(|field| (field.name.as_str(), &field.docs)).collect()
        }
        TypeDefKind::Variant(variant) => {
            variant.cases.iter().map(|case| (case.name.as_str(), &case.docs)).collect()
        }
        TypeDefKind::Enum(cases) => cases.cases.iter().map(|case| (case.name.as_str(), &case.docs)).collect(),
        TypeDefKind::Flags(flags) => {
            flags.flags.iter().map(|flag| (flag.name.as_str(), &flag.docs)).collect()
        }
        _ => Vec::new(),
    }
}

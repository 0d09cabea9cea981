//! How the house is kept, read from the sources themselves: [`circles`] of imports, [`sizes`], the [`style`] of modules,
//! the [`edges`] between crates, and the [`walk`] through the code in docs/explanation/architecture.md.
//!
//! Each check takes a [`House`] and gives complaints: none, if all is well. `tests/tests/house.rs` has the limits that are
//! data, and asks for the project; the tests below ask for small invented houses.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

mod circles;
mod code;
mod edges;
mod modules;
mod names;
mod shipped;
mod sizes;
mod style;
#[cfg(test)]
mod tests;
mod texts;
mod walk;

pub use circles::circles;
pub use edges::{Row, edges};
pub use sizes::sizes;
pub use style::style;
pub use texts::{Text, expectations, texts};
pub use walk::walk;

/// Below these are crates of ours.
const FOLDERS: [&str; 5] = ["host", "plugin-sdk", "extension-sdk", "plugins", "tests"];
const ARCHITECTURE: &str = "docs/explanation/architecture.md";

/// What is read of the project. All paths are from its root.
#[derive(Default)]
pub struct House {
    /// Rust sources and docs/explanation/architecture.md: path and text.
    pub files: BTreeMap<String, String>,
    pub packages: Vec<Package>,
}

/// A crate, or what cargo calls a package: its library, its programs and its build script.
#[derive(Default)]
pub struct Package {
    pub name: String,
    pub folder: String,
    /// The first files of the library, the programs and the build script.
    pub roots: Vec<String>,
    /// The first files of tests and examples, which aren't shipped.
    pub other_roots: Vec<String>,
    /// The packages of the workspace that it's built with; not those that only its tests are built with.
    pub dependencies: Vec<String>,
}

impl House {
    /// The project at `root`.
    pub fn at(root: &Path) -> Self {
        let root = &root.canonicalize().unwrap();
        let mut house = Self { packages: packages(root), ..Self::default() };
        for folder in FOLDERS {
            house.read_below(root, folder);
        }
        if let Ok(text) = fs::read_to_string(root.join(ARCHITECTURE)) {
            house.files.insert(ARCHITECTURE.to_owned(), text);
        }
        house
    }

    fn read_below(&mut self, root: &Path, folder: &str) {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = format!("{folder}/{name}");
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && name != "target" && !name.starts_with('.') {
                self.read_below(root, &path);
            } else if kind.is_file() && name.ends_with(".rs") {
                // Nothing if it was removed meanwhile.
                let Ok(text) = fs::read_to_string(entry.path()) else { continue };
                self.files.insert(path, text);
            }
        }
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<OfCargo>,
}

#[derive(Deserialize)]
struct OfCargo {
    name: String,
    manifest_path: String,
    targets: Vec<Target>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: String,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    /// Those of the workspace have one.
    path: Option<String>,
}

/// Cargo itself knows best what its manifests say.
fn packages(root: &Path) -> Vec<Package> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version=1"]).current_dir(root);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    let below = |path: &str| Path::new(path).strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let package = |of_cargo: OfCargo| {
        let shipped = |target: &&Target| {
            !target.kind.iter().any(|kind| ["test", "example", "bench"].contains(&kind.as_str()))
        };
        let (roots, other_roots): (Vec<_>, Vec<_>) =
            of_cargo.targets.iter().partition(|target| shipped(target));
        let files = |targets: Vec<&Target>| targets.iter().map(|target| below(&target.src_path)).collect();
        let dependencies = of_cargo.dependencies.into_iter();
        let dependencies = dependencies.filter(|on| on.path.is_some() && on.kind.as_deref() != Some("dev"));
        Package {
            name: of_cargo.name,
            folder: folder(&below(&of_cargo.manifest_path)).to_owned(),
            roots: files(roots),
            other_roots: files(other_roots),
            dependencies: dependencies.map(|on| on.name).collect(),
        }
    };
    metadata.packages.into_iter().map(package).collect()
}

/// The folder that a file is in; `x/mod.rs` is in `x`.
fn folder(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Nothing of it is shipped.
fn is_for_tests(path: &str) -> bool {
    path == "tests" || path.starts_with("tests/")
}

//! What there is in the base world, as the real programs reported it when it was made.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::oracle::{self, Store};
use super::{World, base, enter};

/// The base world, in figures. Names are written as in [`crate::oracle`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Facts {
    /// `127.0.0.1:5000/lab/os:1`: an encapsulated base and three derived layers.
    pub booted: Deployment,
    /// `127.0.0.1:5000/lab/os:0`, deployed before it.
    pub rollback: Deployment,
    /// `127.0.0.1:5000/lab/app:1`: two layers; in the default store and in bootc's, where it is `localhost/app:stable`
    /// too; a bound image.
    pub app1: Image,
    /// `127.0.0.1:5000/lab/app:2`: one layer; in bootc's store by its digest alone.
    pub app2: Image,
    /// `127.0.0.1:5000/lab/app:3`: three layers; in the registry only.
    pub app3: Image,
    /// `localhost/mine:1`, in the default store only.
    pub mine: Image,
    /// `127.0.0.1:5000/lab/multi:1`: an index of two architectures, in the registry only.
    pub multi: Image,
    /// The names among host images, with their transport.
    pub host: Vec<String>,
    /// The names in bootc's store.
    pub unified: Vec<String>,
    /// The names in the default store.
    pub default_store: Vec<String>,
    /// The bound images.
    pub logical: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Deployment {
    /// The name of its image, without a transport.
    pub image: String,
    /// The manifest digest of its image.
    pub digest: String,
    pub commit: String,
    /// As many as `rootfs.diff_ids` must have entries.
    pub layers: usize,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Image {
    pub name: String,
    /// The digest of its manifest, or of its index if that is what the name stands for.
    pub digest: String,
    /// The digest of its configuration, without `sha256:`; empty for an index.
    pub id: String,
}

impl Facts {
    pub(super) fn read(world: &Path) -> Self {
        let facts = fs::read(world.join(base::FACTS)).expect("a complete world has its facts");
        serde_json::from_slice(&facts).expect("facts are written by this crate")
    }
}

pub(super) fn gather(world: &World) -> Facts {
    let deployments = enter::deployments(&world.sysroot());
    Facts {
        booted: deployment(world, "127.0.0.1:5000/lab/os:1", &deployments[0]),
        rollback: deployment(world, "127.0.0.1:5000/lab/os:0", &deployments[1]),
        app1: in_registry(world, "127.0.0.1:5000/lab/app:1"),
        app2: in_registry(world, "127.0.0.1:5000/lab/app:2"),
        app3: in_registry(world, "127.0.0.1:5000/lab/app:3"),
        multi: in_registry(world, "127.0.0.1:5000/lab/multi:1"),
        mine: in_default_store(world, "localhost/mine:1"),
        host: oracle::host_names(world),
        unified: oracle::podman_names(world, Store::Bootc),
        default_store: oracle::podman_names(world, Store::Default),
        logical: vec!["127.0.0.1:5000/lab/app:1".into(), "localhost/tool:1".into()],
    }
}

fn deployment(world: &World, image: &str, directory: &Path) -> Deployment {
    let name = directory.file_name().expect("a deployment has a name").to_string_lossy();
    let (commit, _serial) = name.split_once('.').expect("a deployment is named COMMIT.SERIAL");
    let inspected = oracle::skopeo_inspect(world, &format!("docker://{image}"));
    Deployment {
        image: image.into(),
        digest: text(&inspected["Digest"]),
        commit: commit.into(),
        layers: inspected["Layers"].as_array().expect("an image has layers").len(),
    }
}

fn in_registry(world: &World, name: &str) -> Image {
    let reference = format!("docker://{name}");
    let digest = oracle::skopeo_digest(world, &reference);
    let manifest = oracle::skopeo_manifest(world, &reference);
    let id = manifest["config"]["digest"].as_str().unwrap_or_default();
    Image { name: name.into(), digest, id: id.trim_start_matches("sha256:").into() }
}

fn in_default_store(world: &World, name: &str) -> Image {
    let inspected = &oracle::podman_inspect(world, Store::Default, name);
    Image { name: name.into(), digest: text(&inspected["Digest"]), id: text(&inspected["Id"]) }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a string").to_owned()
}

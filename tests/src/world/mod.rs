//! A small bootc host on disk, with a registry: see [`Facts`] for what there is in it.
//!
//! A world's directory holds `phys` (the physical root: ostree repository, deployments, boot entries, and in the
//! state's `var` the default podman store), `registry` (what the registry serves) and `facts.json`.

use std::path::{Path, PathBuf};
use std::process::Command;

mod base;
mod enter;
mod facts;
pub mod oracle;
mod worlds;

pub use enter::Enter;
pub use facts::{Deployment, Facts, Image};
pub use worlds::directory;

/// A private copy of the base world; gone when it is dropped.
pub struct World {
    path: PathBuf,
    facts: Facts,
    /// Held for as long as the copy is in use, so that what a killed test leaves is told from what is needed.
    in_use: Option<std::fs::File>,
}

impl World {
    /// A fresh copy of the base world, which is made first if there is none yet.
    pub fn new() -> Self {
        let (path, lock) = worlds::copy_of_base();
        Self { facts: Facts::read(&path), path, in_use: Some(lock) }
    }

    /// A copy of this one as it is now, gone when it is dropped.
    pub fn copy(&self) -> Self {
        let (path, lock) = worlds::copy_of(&self.path);
        Self { facts: self.facts.clone(), path, in_use: Some(lock) }
    }

    /// A copy in a directory of the caller's choice, which stays there. A world that was in it is replaced.
    pub fn kept_at(path: &Path) -> Self {
        worlds::copy_base_to(path);
        Self::at(path)
    }

    /// A world that [`World::kept_at`] has made.
    pub fn at(path: &Path) -> Self {
        Self { facts: Facts::read(path), path: path.to_owned(), in_use: None }
    }

    /// What is in the base world, as the real tools reported when it was made.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Describes a stay in the world, as the booted system or as what the builder's methods make of it.
    pub fn enter(&self) -> Enter {
        Enter::new(&self.path)
    }

    /// The physical root, `/sysroot` for those inside.
    pub fn sysroot(&self) -> PathBuf {
        self.path.join("phys")
    }

    /// Where a path of the booted system is for those outside; overlays and files of one stay aren't there.
    pub fn outside(&self, inside: &str) -> PathBuf {
        let inside = Path::new(inside.trim_start_matches('/'));
        match inside.strip_prefix("sysroot") {
            Ok(below) => self.sysroot().join(below),
            Err(_) if inside.starts_with("var") => self.sysroot().join("ostree/deploy/lab").join(inside),
            Err(_) => enter::deployments(&self.sysroot())[0].join(inside),
        }
    }

    /// The lines of the audit record, none if nothing has been recorded.
    pub fn record(&self) -> Vec<serde_json::Value> {
        let path = self.outside("/var/lib/bootc-image/audit/audit.jsonl");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of the record is JSON")).collect()
    }

    /// How much the world takes on disk, in bytes.
    pub fn size(&self) -> u64 {
        let usage =
            Command::new("du").args(["--summarize", "--bytes"]).arg(&self.path).output().expect("du runs");
        let usage = String::from_utf8_lossy(&usage.stdout);
        usage
            .split_whitespace()
            .next()
            .and_then(|bytes| bytes.parse().ok())
            .expect("du prints a number first")
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.in_use.is_some() {
            worlds::remove(&self.path);
        }
    }
}

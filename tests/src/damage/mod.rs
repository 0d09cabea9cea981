//! Every part of a stored image damaged, one at a time; whatever heals it must give an image that podman and skopeo call whole.

use std::time::Duration;

use crate::oracle::Store;
use crate::world::World;

/// Nothing here takes that long; it is there to end what hangs.
const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// Drivers that a storage may have.
pub const DRIVERS: [&str; 2] = ["overlay", "vfs"];

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub struct Sweep<'a> {
    pub driver: &'a str,
    /// One of so many cases; which one is said by `first`.
    pub every: usize,
    pub first: usize,
    /// `repair`, `pull` (by podman, from the registry) and `copy` (from podman's storage), one after the other.
    pub heals: &'a [&'a str],
}

/// What came of it.
#[derive(Debug)]
pub struct Found {
    pub tried: usize,
    /// What wasn't whole afterwards, a line each.
    pub wrong: Vec<String>,
    /// The whole story.
    pub story: String,
}

impl Sweep<'_> {
    /// Tries it in a world of its own.
    pub fn run(&self) -> Found {
        let world = World::new();
        let script = format!(
            "driver={} every={} first={} heals='{}'\n{}{}",
            self.driver,
            self.every,
            self.first,
            self.heals.join(" "),
            Store::Bootc.shell(),
            include_str!("sweep.sh")
        );
        let output =
            world.enter().registry(true).limit(LIMIT).run(&["bash", "-euo", "pipefail", "-c", &script]).ok();
        let mut wrong: Vec<String> = output.stdout.lines().map(str::to_owned).collect();
        let tried =
            wrong.pop().and_then(|last| last.parse().ok()).expect("the last line is how many were tried");
        Found { tried, wrong, story: output.stderr }
    }
}

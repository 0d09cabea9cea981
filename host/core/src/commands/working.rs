//! The working containers of builds. podman 4.3.1 leaves them in the storage when it is interrupted, with the files copied into
//! them, and then their base images could never be removed.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use bootc_image_os::lock::INTERVAL;
use bootc_image_stores::bootc_store::{ALIAS, BootcStore};
use bootc_image_stores::podman;

use crate::context::Context;
use crate::error::Error;

/// The working containers that existed before a build.
pub(crate) struct Working(HashSet<String>);

impl Working {
    /// # Errors
    /// As [`Store::images`].
    pub(crate) fn before(store: &BootcStore) -> Result<Self, Error> {
        Ok(Self(podman::open_store(store.root())?.working_containers()?))
    }

    /// Runs a build, and removes the containers that it leaves if it fails.
    ///
    /// # Errors
    /// Those of `build`.
    pub(crate) fn watch(
        &self,
        context: &Context<'_>,
        store: &BootcStore,
        build: impl FnOnce() -> Result<u8, Error>,
    ) -> Result<u8, Error> {
        let code = build();
        if !matches!(code, Ok(0)) {
            self.remove_new(context, store);
        }
        code
    }

    /// Removes containers created since then. The build has ended, so if no other process uses the storage they are unused.
    fn remove_new(&self, context: &Context<'_>, store: &BootcStore) {
        let removed = self.new_ones(store).and_then(|new| {
            if new.is_empty() {
                return Ok(());
            }
            if is_used_for_long() {
                context.host.reporter.note(&format!(
                    "these containers may be left from the build; they were not removed because another process uses bootc's storage: {}",
                    new.join(" ")
                ));
                return Ok(());
            }
            let mut podman = store.podman(context.host.settings, context.host.reporter)?;
            podman.args(["rm", "--force"]).args(new);
            Ok(podman.clean_up()?)
        });
        if let Err(error) = removed {
            let error = error.with_causes();
            context
                .host
                .reporter
                .note(&format!("cannot remove containers that the build left behind: {error}"));
        }
    }

    fn new_ones(&self, store: &BootcStore) -> Result<Vec<String>, Error> {
        let mut now = podman::open_store(store.root())?.working_containers()?;
        now.retain(|id| !self.0.contains(id));
        let mut new: Vec<String> = now.into_iter().collect();
        new.sort_unstable();
        Ok(new)
    }
}

/// How long processes started by podman may outlive it.
const LINGER: Duration = Duration::from_secs(5);

fn is_used_for_long() -> bool {
    let end = Instant::now() + LINGER;
    while is_used() {
        if Instant::now() >= end {
            return true;
        }
        std::thread::sleep(INTERVAL);
    }
    false
}

/// Whether bootc's storage is mounted in any process at the path at which podman must see it, whether bootc or we started podman. Our
/// own process does not mount it.
fn is_used() -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let sees = |mounts: String| mounts.lines().any(|mount| mount.split(' ').nth(4) == Some(ALIAS));
    processes
        .filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .any(|process| fs::read_to_string(process.path().join("mountinfo")).is_ok_and(sees))
}

//! The working containers of builds. podman 4.3.1 leaves them in the storage when it is interrupted, with the files copied into
//! them, and then their base images could never be removed.

use std::collections::HashSet;

use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::builds::{self, BuildRecord};
use bootc_image_stores::podman;

use crate::context::Context;
use crate::error::Error;

/// The working containers that existed before a build, and the record of those that it makes.
pub(crate) struct Working {
    before: HashSet<String>,
    record: BuildRecord,
}

impl Working {
    /// First removes containers that our own killed builds have left. Those of others stay: somebody may still work in them.
    ///
    /// # Errors
    /// As [`Store::images`]; any I/O error.
    pub(crate) fn before(context: &Context<'_>, store: &BootcStore) -> Result<Self, Error> {
        let state = &context.host.settings.state;
        builds::remove_left(state, &|layers| is_gone(context, remove_left(context, store, &layers)));
        let before = podman::open_store(store.root())?.working_containers()?;
        let record = BuildRecord::begin(state, before.values().cloned().collect())?;
        Ok(Self { before: before.into_keys().collect(), record })
    }

    /// Runs a build, which calls the function that it gets with podman's process id while podman runs, and removes the containers that
    /// the build leaves if it fails.
    ///
    /// # Errors
    /// Those of `build`.
    pub(crate) fn watch(
        mut self,
        context: &Context<'_>,
        store: &BootcStore,
        build: impl FnOnce(&mut dyn FnMut(u32)) -> Result<u8, Error>,
    ) -> Result<u8, Error> {
        let code = build(&mut |podman| self.record.look(podman));
        if !matches!(code, Ok(0)) && !self.remove_new(context, store) {
            self.record.leave();
        }
        code
    }

    /// Removes containers created since then, and returns whether they are gone. The build has ended, so if no other process uses the
    /// storage they are unused.
    fn remove_new(&self, context: &Context<'_>, store: &BootcStore) -> bool {
        let removed = self.new_ones(store).and_then(|new| {
            if new.is_empty() {
                return Ok(true);
            }
            if builds::is_used_for_long() {
                context.host.reporter.note(&format!(
                    "these containers may be left from the build; they were not removed because another process uses bootc's storage: {}",
                    new.join(" ")
                ));
                return Ok(false);
            }
            remove(context, store, new)
        });
        is_gone(context, removed)
    }

    fn new_ones(&self, store: &BootcStore) -> Result<Vec<String>, Error> {
        let mut new: Vec<String> = working_containers(store)?.difference(&self.before).cloned().collect();
        new.sort_unstable();
        Ok(new)
    }
}

fn working_containers(store: &BootcStore) -> Result<HashSet<String>, Error> {
    Ok(podman::open_store(store.root())?.working_containers()?.into_keys().collect())
}

/// Removes the containers that write to these layers.
fn remove_left(context: &Context<'_>, store: &BootcStore, layers: &HashSet<String>) -> Result<bool, Error> {
    let mut left = podman::open_store(store.root())?.working_containers()?;
    left.retain(|_, layer| layers.contains(layer));
    let mut left: Vec<String> = left.into_keys().collect();
    left.sort_unstable();
    if left.is_empty() {
        return Ok(true);
    }
    let note = format!("removing the containers that a killed build has left: {}", left.join(" "));
    context.host.reporter.note(&note);
    remove(context, store, left)
}

fn remove(context: &Context<'_>, store: &BootcStore, containers: Vec<String>) -> Result<bool, Error> {
    let mut podman = store.podman(context.host.settings, context.host.reporter)?;
    podman.args(["rm", "--force"]).args(containers);
    podman.clean_up()?;
    Ok(true)
}

/// Whether containers were removed. Notes why they could not be.
fn is_gone(context: &Context<'_>, removed: Result<bool, Error>) -> bool {
    removed.unwrap_or_else(|error| {
        let error = error.with_causes();
        context.host.reporter.note(&format!("cannot remove containers that a build left behind: {error}"));
        false
    })
}

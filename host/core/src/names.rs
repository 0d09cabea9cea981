//! The names of images, for completing command lines.
//!
//! This is not an operation: nothing is judged or recorded, because a Tab key must not run policies. So it shows only what the
//! process may read anyway. A delegated caller gets nothing: such a process reads with the rights of root, and what its caller may
//! list is for policies to decide.

use std::collections::BTreeSet;
use std::time::Duration;

use bootc_image_model::columns::ListType;
use bootc_image_model::settings::Settings;
use bootc_image_os::reporter::Reporter;
use bootc_image_os::root::RootDir;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::podman;
use bootc_image_stores::system::System;

use crate::ops::list::List;

/// How long to wait for a lock: somebody waits at the prompt.
const LOCK_LIMIT: Duration = Duration::from_millis(200);

struct Silent;

impl Reporter for Silent {
    fn note(&self, _: &str) {}
    fn progress(&self, _: &str) {}
    fn advance(&self, _: u64, _: u64) {}
}

/// The names that `list` shows for this type. What cannot be read is left out.
pub fn listed(settings: &Settings, image_type: ListType) -> BTreeSet<String> {
    if settings.subject.delegation.is_some() {
        return BTreeSet::new();
    }
    let settings = Settings { lock_limit: LOCK_LIMIT, ..settings.clone() };
    let listing = List { image_type, details: false }.list(&settings, &Silent);
    listing.map(|listing| listing.rows.into_iter().map(|row| row.image).collect()).unwrap_or_default()
}

/// The names of images in podman's storage, as its configuration files name it.
pub fn in_podmans_storage(settings: &Settings) -> BTreeSet<String> {
    if settings.subject.delegation.is_some() {
        return BTreeSet::new();
    }
    read_podmans_storage().unwrap_or_default()
}

fn read_podmans_storage() -> Result<BTreeSet<String>, StoresError> {
    let mut names = BTreeSet::new();
    for configuration in podman::started_by_us(&System::running()?)? {
        let Ok(root) = RootDir::open(configuration.images()) else { continue };
        let contents = podman::open_store(&root)?;
        let images = contents.images(LOCK_LIMIT, &Silent)?;
        names.extend(images.iter().flat_map(|image| image.listed_names()).map(str::to_owned));
    }
    Ok(names)
}

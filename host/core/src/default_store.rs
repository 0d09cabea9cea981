//! podman's own containers-storage.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::bootc_store::ALIAS;
use crate::children::{self, Child, Program};
use crate::error::Error;
use crate::lock_watch::LockWatch;
use crate::settings::Settings;
use crate::storage::default_store::{self, Places};
use crate::storage::root::RootDir;
use crate::talk::Talk;

/// Where it is.
#[derive(Debug)]
pub(crate) struct DefaultStore {
    path: PathBuf,
    /// Where it keeps what doesn't outlive a boot: containers and their layers, if it is transient.
    volatile: PathBuf,
}

impl DefaultStore {
    /// The storage that podman's configuration on this system names.
    ///
    /// # Errors
    /// As [`default_store::find`].
    pub(crate) fn find() -> Result<Self, Error> {
        let Places { graphroot, runroot } = configured()?;
        Ok(Self { path: graphroot, volatile: runroot })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The storage, none if nothing has been kept in it yet.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(&self) -> Result<Option<RootDir>, Error> {
        match RootDir::open(&self.path) {
            Ok(root) => Ok(Some(root)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open", &self.path)(error)),
        }
    }

    /// All that there is of it: the storage, and what doesn't outlive a boot.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open_all(&self) -> Result<Vec<RootDir>, Error> {
        let volatile = Self { path: self.volatile.clone(), volatile: PathBuf::new() };
        Ok([self.open()?, volatile.open()?].into_iter().flatten().collect())
    }

    /// podman must touch its storage before skopeo does: it decides on the network then. It also says where it keeps its
    /// images, which must be where we look for them.
    ///
    /// # Errors
    /// podman's; [`Error::Locked`]; [`Error::OtherStore`].
    pub(crate) fn touch(&self, settings: &Settings, talk: &dyn Talk) -> Result<(), Error> {
        // It would wait for its locks without a word.
        LockWatch::new([&self.path], settings.change_limit).wait(talk)?;
        let mut podman = Child::new(Program::Podman, &settings.proxies)?;
        podman.args(["system", "info", "--format", "{{.Store.GraphRoot}}"]);
        let said = podman.run_for_output()?;
        children::check_not_asked_to_end()?;
        let podman = PathBuf::from(String::from_utf8_lossy(&said).trim_end());
        let same = podman == self.path
            || fs::canonicalize(&podman)
                .ok()
                .is_some_and(|there| Some(there) == fs::canonicalize(&self.path).ok());
        if same { Ok(()) } else { Err(Error::OtherStore { podman, configured: self.path.clone() }) }
    }
}

fn configured() -> Result<default_store::Places, Error> {
    default_store::find(&RootDir::open("/").map_err(Error::io("open", "/"))?)
}

/// The storage tools remember in their run directory what the kernel can't do. After a failure they may have learnt that from
/// the failure itself, and would refuse to work until the next boot: so they forget it, in both storages, and look again.
pub(crate) fn forget_missing_features() {
    let default = configured().map(|places| places.runroot);
    for runroot in std::iter::once(PathBuf::from(ALIAS)).chain(default) {
        let features = fs::read_dir(runroot.join("overlay")).into_iter().flatten().flatten();
        for feature in features.filter(|entry| entry.file_name().as_encoded_bytes().ends_with(b"-false")) {
            // If it can't be removed, it isn't forgotten.
            let _ = fs::remove_file(feature.path());
        }
    }
}

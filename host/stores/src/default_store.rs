//! podman's storage.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bootc_image_containers_storage::{Store, drivers};
use bootc_image_model::settings::Settings;
use bootc_image_os::lock_watch::LockWatch;
use bootc_image_os::processes::{self, Process, Program};
use bootc_image_os::reporter::Reporter;
use bootc_image_os::root::RootDir;

use crate::bootc_store::ALIAS;
use crate::error::Error;
use crate::podman::{self, Configuration};
use crate::system::System;

/// podman's storage, as configured.
#[derive(Debug)]
pub struct DefaultStore {
    configuration: Configuration,
}

impl DefaultStore {
    /// The storage that podman uses on this host. If versions of podman would read its configuration differently, runs podman to
    /// find out.
    ///
    /// # Errors
    /// As [`podman::started_by_us`]; errors of podman; [`Error::OtherStore`].
    pub fn find() -> Result<Self, Error> {
        let mut readings = podman::started_by_us(&System::running()?)?;
        let configuration = if readings.len() > 1 {
            let graphroot = ask_podman("{{.Store.GraphRoot}}")?;
            let which = readings.iter().position(|reading| is_same(&graphroot, &reading.graphroot));
            match which {
                Some(which) => readings.swap_remove(which),
                None => {
                    let configured = readings.swap_remove(0).graphroot;
                    return Err(Error::OtherStore { podman: graphroot, configured });
                }
            }
        } else {
            readings.pop().unwrap_or_default()
        };
        Ok(Self { configuration })
    }

    /// The storage with this configuration.
    #[cfg(test)]
    pub fn configured_in_tests(configuration: Configuration) -> Self {
        Self { configuration }
    }

    /// The directory to which images are written.
    pub fn path(&self) -> &Path {
        self.configuration.images()
    }

    /// The storage; `None` if it does not exist yet.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open(&self) -> Result<Option<RootDir>, Error> {
        match RootDir::open(self.path()) {
            Ok(root) => Ok(Some(root)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open", self.path())(error)),
        }
    }

    /// The storage in `root`, which is this one, with podman's driver. If the configured driver is not the one that has stored
    /// images there, runs podman to find out, because its database has precedence over its configuration.
    ///
    /// # Errors
    /// As [`Store::open`]; errors of podman.
    pub fn store<'a>(&self, root: &'a RootDir) -> Result<Store<'a>, Error> {
        let configured = self.configuration.driver.as_ref();
        let found = drivers(root)?;
        if found.is_empty() || configured.is_none_or(|driver| found == [driver.as_str()]) && found.len() == 1
        {
            return podman::open_store(root);
        }
        let driver = ask_podman("{{.Store.GraphDriverName}}")?;
        Ok(Store::with_driver(root, &driver.to_string_lossy())?)
    }

    /// Additional storages whose layers its images may use.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn others(&self) -> Result<Vec<RootDir>, Error> {
        let others = self.configuration.additional.iter().chain([&self.configuration.graphroot]);
        let mut open = Vec::new();
        for path in others.filter(|path| path.as_path() != self.path()) {
            match RootDir::open(path.as_path()) {
                Ok(root) => open.push(root),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("open", path)(error)),
            }
        }
        Ok(open)
    }

    /// Runs podman on its storage before skopeo does, because podman chooses its network backend when it first uses a storage. Also
    /// checks that podman keeps its images where its configuration says.
    ///
    /// # Errors
    /// Errors of podman; [`OsError::Locked`](bootc_image_os::error::Error::Locked); [`Error::OtherStore`].
    pub fn touch(&self, settings: &Settings, reporter: &dyn Reporter) -> Result<(), Error> {
        // podman would wait for its locks silently.
        LockWatch::new([self.path()], settings.change_limit).wait(reporter)?;
        let podman = ask_podman("{{.Store.GraphRoot}}")?;
        processes::check_interrupted()?;
        let configured = &self.configuration.graphroot;
        if is_same(&podman, configured) {
            Ok(())
        } else {
            Err(Error::OtherStore { podman, configured: configured.clone() })
        }
    }
}

/// The result of `podman system info` with this template.
fn ask_podman(what: &str) -> Result<PathBuf, Error> {
    let mut podman = Process::new(Program::Podman, &[])?;
    podman.args(["system", "info", "--format", what]);
    let answer = podman.run_for_output()?;
    Ok(PathBuf::from(String::from_utf8_lossy(&answer).trim_end()))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let canonical = |path: &Path| fs::canonicalize(path).ok();
    one == other || canonical(one).is_some_and(|one| Some(one) == canonical(other))
}

/// podman's locks, which all its storages share.
const LOCKS: &str = "/dev/shm/libpod_lock";
/// How long to wait for a podman that may be creating them, which takes less than a millisecond.
const MAKING: Duration = Duration::from_millis(100);

/// If podman is interrupted while it creates its locks, every later podman fails until the next boot (podman 4.3 with a bus error). So
/// this removes incomplete locks, and the next podman creates them again.
pub fn remove_half_made_locks() {
    if !is_half_made() {
        return;
    }
    // Another podman may be creating them now.
    std::thread::sleep(MAKING);
    if is_half_made() {
        tracing::info!(
            path = LOCKS,
            "removed podman's incomplete locks: podman was interrupted while creating them"
        );
        // If they cannot be removed, podman reports an error.
        let _ = fs::remove_file(LOCKS);
    }
}

/// podman first writes a magic number, which is not zero.
fn is_half_made() -> bool {
    let Ok(file) = fs::File::open(LOCKS) else { return false };
    let mut begins = [0; 2];
    match file.take(2).read_exact(&mut begins) {
        Ok(()) => begins == [0, 0],
        Err(error) => error.kind() == io::ErrorKind::UnexpectedEof,
    }
}

/// podman and skopeo cache in their run directory which features the kernel lacks. After a failure on a full disk that cache may be
/// wrong, and they would fail until the next boot. So this removes negative entries from the cache of both storages.
pub fn forget_missing_features() {
    let configured = System::running().and_then(|system| podman::started_by_us(&system)).unwrap_or_default();
    let runroots = configured.into_iter().map(|configuration| configuration.runroot);
    for runroot in std::iter::once(PathBuf::from(ALIAS)).chain(runroots) {
        let features = fs::read_dir(runroot.join("overlay")).into_iter().flatten().flatten();
        for feature in features.filter(|entry| entry.file_name().as_encoded_bytes().ends_with(b"-false")) {
            // Failures are ignored: the entry stays.
            let _ = fs::remove_file(feature.path());
        }
    }
}

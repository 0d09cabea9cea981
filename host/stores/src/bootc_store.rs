//! bootc's storage. podman records the paths with which it was called and refuses others, so it must be called with the same paths as
//! bootc uses: the storage bind-mounted in a private mount namespace, and the run directory as a descriptor.
//!
//! On a composefs host the storage is below `composefs/bootc`, and `ostree/bootc` is a link to that; so every host has it at
//! [`SUBPATH`].

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use bootc_image_model::reference::CONTAINERS_STORAGE;
use bootc_image_model::settings::Settings;
use bootc_image_os::lock;
use bootc_image_os::lock_watch::LockWatch;
use bootc_image_os::processes::{Process, Program};
use bootc_image_os::reporter::Reporter;
use bootc_image_os::root::RootDir;
use rustix::fs::{Mode, fchmod, fstat};
use rustix::io::Errno;

use crate::error::Error;
use crate::podman;

/// The path of the storage in a physical root.
pub const SUBPATH: &str = "ostree/bootc/storage";
/// Its parent directory, its name there, and the temporary name under which it is created.
pub const PARENT: &str = "ostree/bootc";
const NAME: &str = "storage";
const TEMPORARY: &str = "storage.tmp";
/// The mode of the storage's directory: a user who can open a lock file in it could lock it, and keep root waiting.
const CLOSED: Mode = Mode::RWXU;
/// The path under which podman uses it, which is recorded in podman's database.
pub const ALIAS: &str = "/run/bootc/storage";
/// podman's `--runroot`, which is recorded as well.
const RUNROOT: &str = "/proc/self/fd/3";
const RUNROOT_FD: i32 = 3;
const AUTH_FD: i32 = 4;
/// The host's registry credentials: the first file that exists. Never those of the caller.
const CREDENTIALS: [&str; 3] = ["run/ostree/auth.json", "etc/ostree/auth.json", "usr/lib/ostree/auth.json"];
/// The maximum size of a credentials file.
const MAX_CREDENTIALS: u64 = 1 << 20;

/// The open storage.
#[derive(Debug)]
pub struct BootcStore {
    root: RootDir,
}

impl BootcStore {
    /// The storage of a physical root; `None` if it does not exist yet.
    ///
    /// # Errors
    /// [`Error::StorageUnavailable`].
    pub fn open(physical: &RootDir) -> Result<Option<Self>, Error> {
        match physical.open_root(SUBPATH) {
            Ok(root) => Ok(Some(Self { root })),
            // A link that leads out of the root, or nowhere, is not a missing storage: it must not be replaced.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link(physical) => Ok(None),
            Err(source) => Err(Error::StorageUnavailable { path: physical.path(SUBPATH), source }),
        }
    }

    /// The storage of a physical root, which is created if it is missing: under a temporary name, initialised by podman, then
    /// renamed, so that an incomplete one is never used.
    ///
    /// # Errors
    /// [`Error::SelinuxCreate`]; errors of podman; any I/O error.
    pub fn open_or_create(
        physical: &RootDir,
        settings: &Settings,
        reporter: &dyn Reporter,
    ) -> Result<Self, Error> {
        if let Some(store) = Self::open(physical)? {
            return Ok(store);
        }
        if Path::new("/sys/fs/selinux/enforce").exists() {
            return Err(Error::SelinuxCreate);
        }
        let parent = make_parent(physical)?;
        let _alone = lock::own("creation", settings.change_limit, reporter)?;
        if let Some(store) = Self::open(physical)? {
            return Ok(store);
        }
        reporter.progress("creating bootc's storage");
        let created = Self::create(&parent, settings, reporter);
        // bootc does not use our lock, so it may have created the storage meanwhile.
        match (Self::open(physical)?, created) {
            (Some(store), _) => Ok(store),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(Error::StorageUnavailable {
                path: physical.path(SUBPATH),
                source: io::ErrorKind::NotFound.into(),
            }),
        }
    }

    fn create(parent: &RootDir, settings: &Settings, reporter: &dyn Reporter) -> Result<(), Error> {
        let temporary = parent.path(TEMPORARY);
        match fs::remove_dir_all(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &temporary)(error));
            }
            _ => {}
        }
        rustix::fs::mkdirat(parent, TEMPORARY, CLOSED)
            .map_err(|error| Error::io("create", &temporary)(error.into()))?;
        let half = Self { root: parent.open_root(TEMPORARY).map_err(parent.error("open", TEMPORARY))? };
        let mut podman = half.podman(settings, reporter)?;
        podman.arg("images");
        podman.run_quietly()?;
        rustix::fs::syncfs(half.root.open_file(".").map_err(parent.error("open", TEMPORARY))?)
            .map_err(|error| Error::io("sync", &temporary)(error.into()))?;
        rustix::fs::renameat(parent, TEMPORARY, parent, NAME)
            .map_err(|error| Error::io("rename", &temporary)(error.into()))?;
        let directory = parent.open_file(".").map_err(parent.error("open", "."))?;
        directory.sync_all().map_err(Error::io("sync", parent.path(".")))
    }

    /// Its directory, for reading.
    pub fn root(&self) -> &RootDir {
        &self.root
    }

    /// podman on this storage, with bootc's mount, paths and credentials. podman waits for locks silently and without a limit, so
    /// this waits for them first.
    ///
    /// # Errors
    /// [`OsError::MissingProgram`](bootc_image_os::error::Error::MissingProgram);
    /// [`OsError::Locked`](bootc_image_os::error::Error::Locked);
    /// [`OsError::Interrupted`](bootc_image_os::error::Error::Interrupted); any I/O error.
    pub fn podman(&self, settings: &Settings, reporter: &dyn Reporter) -> Result<Process, Error> {
        LockWatch::new([self.root.path(".")], settings.change_limit).wait(reporter)?;
        let mut podman = self.process(Program::Podman, settings)?;
        podman.args(["--root", ALIAS, "--runroot", RUNROOT]);
        Ok(podman)
    }

    /// skopeo, for which [`BootcStore::reference`] names images of this storage.
    ///
    /// # Errors
    /// [`OsError::MissingProgram`](bootc_image_os::error::Error::MissingProgram); any I/O error.
    pub fn skopeo(&self, settings: &Settings) -> Result<Process, Error> {
        self.process(Program::Skopeo, settings)
    }

    /// The reference of an image in this storage for [`BootcStore::skopeo`], from a name, or an id with `@` in front.
    ///
    /// # Errors
    /// As [`Store::open`](bootc_image_containers_storage::Store::open).
    pub fn reference(&self, image: &str) -> Result<String, Error> {
        let driver = podman::open_store(&self.root)?.driver();
        Ok(format!("{CONTAINERS_STORAGE}[{driver}@{ALIAS}+{RUNROOT}]{image}"))
    }

    fn process(&self, program: Program, settings: &Settings) -> Result<Process, Error> {
        self.restrict_access()?;
        let runroot = make_directory(Path::new(ALIAS))?;
        let mut process = with_credentials(program, settings)?;
        process.bind(&self.root, Path::new(ALIAS))?.descriptor(runroot, RUNROOT_FD)?;
        Ok(process)
    }

    /// Makes the storage accessible to root only. bootc creates it with wider permissions.
    fn restrict_access(&self) -> Result<(), Error> {
        let failed = |what| move |error: Errno| Error::io(what, self.root.path("."))(error.into());
        let mode = Mode::from_raw_mode(fstat(&self.root).map_err(failed("examine"))?.st_mode);
        if (mode & Mode::from_raw_mode(0o077)).is_empty() {
            return Ok(());
        }
        let directory = self.root.open_file(".").map_err(self.root.error("open", "."))?;
        fchmod(directory, CLOSED).map_err(failed("change the mode of"))
    }
}

/// A program with the host's registry credentials, and no others.
///
/// # Errors
/// [`OsError::MissingProgram`](bootc_image_os::error::Error::MissingProgram); any I/O error.
pub fn with_credentials(program: Program, settings: &Settings) -> Result<Process, Error> {
    let mut process = Process::new(program, &settings.proxies)?;
    process.credentials(&system_credentials()?, AUTH_FD)?;
    Ok(process)
}

fn is_link(physical: &RootDir) -> bool {
    fs::symlink_metadata(physical.path(SUBPATH)).is_ok_and(|metadata| metadata.is_symlink())
}

/// The parent directory of the storage, which is created if it is missing.
fn make_parent(physical: &RootDir) -> Result<RootDir, Error> {
    let exists = |path: &str| physical.exists(path).map_err(physical.error("examine", path));
    if !exists(PARENT)? {
        let make = |path: &str| {
            let path = physical.path(path);
            DirBuilder::new().recursive(true).mode(0o755).create(&path).map_err(Error::io("create", &path))
        };
        if exists("composefs")? && !exists("ostree/repo")? {
            make("composefs/bootc")?;
            make("ostree")?;
            match rustix::fs::symlinkat("../composefs/bootc", physical, PARENT) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(Error::io("create the link", physical.path(PARENT))(error.into())),
            }
        } else {
            make(PARENT)?;
        }
    }
    Ok(physical.open_root(PARENT).map_err(physical.error("open", PARENT))?)
}

fn make_directory(path: &Path) -> Result<OwnedFd, Error> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(Error::io("create", path))?;
    Ok(File::open(path).map_err(Error::io("open", path))?.into())
}

/// Which of the files with the host's credentials is used, in words, for errors of registries.
pub fn credentials_in_words() -> String {
    let path = |name: &str| Path::new("/").join(name);
    let files = CREDENTIALS.map(|name| path(name).display().to_string()).join(", ");
    match CREDENTIALS.into_iter().map(path).find(|path| path.exists()) {
        Some(used) => {
            format!("the credentials are those in {}, the first that exists of {files}", used.display())
        }
        None => format!("no credentials were used, because none of these files exists: {files}"),
    }
}

/// The host's credentials, or an empty file: podman must not fall back to the caller's.
fn system_credentials() -> Result<Vec<u8>, Error> {
    let root = RootDir::open("/").map_err(Error::io("open", "/"))?;
    for path in CREDENTIALS {
        match root.read(path, MAX_CREDENTIALS) {
            Ok(contents) => return Ok(contents),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(root.error("read", path)(error).into()),
        }
    }
    Ok(b"{}".to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read-only mounts that only the thread sees. Only root can make them.
    #[test]
    fn on_a_read_only_file_system_neither_its_mode_nor_its_link_can_be_changed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let (storage, links) = (path(SUBPATH), path("composefs-host/ostree"));
        DirBuilder::new().recursive(true).mode(0o755).create(&storage).unwrap();
        fs::create_dir_all(path("composefs-host/composefs")).unwrap();
        fs::create_dir(&links).unwrap();
        let composefs = path("composefs-host");
        let tested = std::thread::spawn(move || {
            let is_read_only = bootc_image_os::mounts::be_private().is_ok();
            if is_read_only {
                for directory in [&storage, &links] {
                    bootc_image_os::mounts::protect(directory.to_str().unwrap()).unwrap();
                }
            }
            let store = BootcStore::open(&RootDir::open(scratch.path()).unwrap()).unwrap().unwrap();
            let composefs = RootDir::open(composefs).unwrap();
            let results = [store.restrict_access(), make_parent(&composefs).map(drop)]
                .map(|result| result.map_err(|error| error.to_string()));
            let (of_mode, of_link) = (storage.display(), links.join("bootc"));
            let expected = if is_read_only {
                [
                    Err(format!("cannot change the mode of {of_mode}")),
                    Err(format!("cannot create the link {}", of_link.display())),
                ]
            } else {
                [Ok(()), Ok(())]
            };
            assert_eq!(results, expected);
        });
        tested.join().unwrap();
    }
}

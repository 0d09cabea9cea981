//! bootc's own containers-storage. podman records the paths that it was called with and refuses others, so we call it with
//! exactly bootc's: the store bind-mounted in a private namespace, and the run directory as a descriptor.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode};

use crate::children::{Child, Program, Scratch};
use crate::error::Error;
use crate::settings::Settings;
use crate::storage::lock;
use crate::storage::root::RootDir;
use crate::talk::Talk;

/// Where the store is, in a physical root.
pub const SUBPATH: &str = "ostree/bootc/storage";
/// Where podman sees it, and what podman's database says.
const ALIAS: &str = "/run/bootc/storage";
/// podman's `--runroot`, likewise.
const RUNROOT: &str = "/proc/self/fd/3";
const RUNROOT_FD: i32 = 3;
const AUTH_FD: i32 = 4;
/// Where credentials of the system are, the first that is there; never the caller's.
const CREDENTIALS: [&str; 3] = ["run/ostree/auth.json", "etc/ostree/auth.json", "usr/lib/ostree/auth.json"];
/// Largest credentials file.
const MAX_CREDENTIALS: u64 = 1 << 20;

/// The store, open.
#[derive(Debug)]
pub struct BootcStore {
    root: RootDir,
}

impl BootcStore {
    /// The store of a physical root, none if it hasn't been made yet.
    ///
    /// # Errors
    /// [`Error::StorageUnavailable`].
    pub fn open(physical: &RootDir) -> Result<Option<Self>, Error> {
        match physical.open_root(SUBPATH) {
            Ok(root) => Ok(Some(Self { root })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::StorageUnavailable { path: physical.path(SUBPATH), source }),
        }
    }

    /// The store of a physical root, made first if need be: under another name, set up by podman, then renamed, so that a
    /// half-made one never counts.
    ///
    /// # Errors
    /// [`Error::SelinuxCreate`]; podman's; the system's.
    pub fn open_or_create(physical: &RootDir, settings: &Settings, talk: &dyn Talk) -> Result<Self, Error> {
        if let Some(store) = Self::open(physical)? {
            return Ok(store);
        }
        if Path::new("/sys/fs/selinux/enforce").exists() {
            return Err(Error::SelinuxCreate);
        }
        let parent = physical.path("ostree/bootc");
        fs::create_dir_all(&parent).map_err(Error::io("create", &parent))?;
        let guard = File::open(&parent).map_err(Error::io("open", &parent))?;
        let try_lock = || rustix::fs::flock(&guard, FlockOperation::NonBlockingLockExclusive);
        lock::wait(try_lock, &parent, settings.lock_limit, talk)?;
        if let Some(store) = Self::open(physical)? {
            return Ok(store);
        }
        talk.progress("creating bootc's container storage");
        Self::create(physical, &guard, settings)?;
        Self::open(physical)?.ok_or_else(|| Error::StorageUnavailable {
            path: physical.path(SUBPATH),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    fn create(physical: &RootDir, parent: &File, settings: &Settings) -> Result<(), Error> {
        let temporary = physical.path("ostree/bootc/storage.tmp");
        match fs::remove_dir_all(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &temporary)(error));
            }
            _ => {}
        }
        rustix::fs::mkdirat(parent, "storage.tmp", Mode::from_raw_mode(0o755))
            .map_err(|error| Error::io("create", &temporary)(error.into()))?;
        let half = Self { root: RootDir::open(&temporary).map_err(Error::io("open", &temporary))? };
        let mut podman = half.podman(settings)?;
        podman.arg("images");
        podman.run_quietly()?;
        rustix::fs::renameat(parent, "storage.tmp", parent, "storage")
            .map_err(|error| Error::io("rename", &temporary)(error.into()))?;
        parent.sync_all().map_err(Error::io("sync", physical.path("ostree/bootc")))
    }

    /// The store itself, for reading.
    pub fn root(&self) -> &RootDir {
        &self.root
    }

    /// podman on this store, with bootc's mount, roots and credentials.
    ///
    /// # Errors
    /// [`Error::MissingProgram`]; the system's.
    pub fn podman(&self, settings: &Settings) -> Result<Child, Error> {
        let runroot = make_directory(Path::new(ALIAS))?;
        let mut child = Child::new(Program::Podman, &settings.proxies)?;
        self.attach(&mut child, runroot)?;
        child.credentials(&system_credentials()?, AUTH_FD)?;
        child.args(["--root", ALIAS, "--runroot", RUNROOT]);
        Ok(child)
    }

    /// podman on its own store, which sees this one as the target that [`BootcStore::destination`] names. `runroot` keeps
    /// what lasts for this run only.
    ///
    /// # Errors
    /// [`Error::MissingProgram`]; the system's.
    pub fn podman_of_default_store(&self, settings: &Settings, runroot: &Scratch) -> Result<Child, Error> {
        make_directory(Path::new(ALIAS))?;
        let runroot = File::open(runroot.path()).map_err(Error::io("open", runroot.path()))?;
        let mut child = Child::new(Program::Podman, &settings.proxies)?;
        self.attach(&mut child, runroot)?;
        Ok(child)
    }

    /// This store as a target, for a child with [`BootcStore::attach`]ed directories.
    pub fn destination(driver: &str, name: &str) -> String {
        format!("containers-storage:[{driver}@{ALIAS}+{RUNROOT}]{name}")
    }

    fn attach(&self, child: &mut Child, runroot: impl AsFd) -> Result<(), Error> {
        child.bind(&self.root, Path::new(ALIAS))?.descriptor(runroot, RUNROOT_FD)?;
        Ok(())
    }
}

fn make_directory(path: &Path) -> Result<OwnedFd, Error> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(Error::io("create", path))?;
    Ok(File::open(path).map_err(Error::io("open", path))?.into())
}

/// The system's credentials, or none at all: podman must not fall back to the caller's.
fn system_credentials() -> Result<Vec<u8>, Error> {
    let root = RootDir::open("/").map_err(Error::io("open", "/"))?;
    for path in CREDENTIALS {
        match root.read(path, MAX_CREDENTIALS) {
            Ok(contents) => return Ok(contents),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(root.error("read", path)(error)),
        }
    }
    Ok(b"{}".to_vec())
}

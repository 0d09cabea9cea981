//! A program about to be started, and all that it is given: environment, descriptors, mounts, a place for temporary files.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::programs::{Own, Program, SEARCH};
use crate::error::Error;
use crate::files::{in_memory, private_directory};
use crate::trust::Policy;

/// An empty directory of root's: no program finds settings of the caller in it.
const HOME: &str = "/run/bootc-image/home";
/// Where programs put temporary files. podman writes to it whatever `TMPDIR` says: what it loads is unpacked there.
pub(super) const TEMPORARY: &str = "/var/tmp";
/// Where podman puts little ones. In its own mount namespace that is in memory, and ends with it: when it is interrupted it leaves
/// something behind whatever it does.
pub(super) const IN_MEMORY: &str = "/run/bootc-image/tmp";
/// Proxy variables that pass.
pub const PROXY_VARIABLES: [&str; 6] =
    ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// A program about to be started.
#[derive(Debug)]
pub struct Child {
    pub(super) name: &'static str,
    pub(super) command: Command,
    pub(super) descriptors: Vec<(OwnedFd, RawFd)>,
    pub(super) mounts: Mounts,
    /// What it can't write to, so that it is empty for the next one as well.
    pub(super) home: Option<&'static str>,
    pub(super) temporary: Temporary,
}

/// Where a child's temporary files are.
#[derive(Debug)]
pub(super) enum Temporary {
    /// Where its `TMPDIR` says.
    AsTold,
    /// At [`IN_MEMORY`].
    InMemory,
    /// In this directory, which it finds as [`TEMPORARY`].
    Directory(PathBuf),
}

/// What of our mounts a child shares.
#[derive(Debug)]
pub(super) enum Mounts {
    /// All of them.
    Ours,
    /// Whatever it mounts ends with it: tools that use a storage leave mounts behind otherwise.
    Private,
    /// As `Private`, and it sees the directory at this path.
    Bound(OwnedFd, PathBuf),
}

impl Child {
    /// `program` with the environment that every child gets, and nothing on stdin. podman's temporary files
    /// are in memory: what needs more room is given a directory.
    ///
    /// # Errors
    /// [`Error::MissingProgram`]; the system's.
    pub fn new(program: Program, proxies: &[(&'static str, OsString)]) -> Result<Self, Error> {
        let mut child = Self::with_path(program.name(), &program.find()?, proxies)?;
        let home = empty_home()?;
        child.command.env("HOME", home);
        child.home = Some(home);
        child.mounts = Mounts::Private;
        if program == Program::Podman {
            private_directory(Path::new(IN_MEMORY)).map_err(Error::io("create", IN_MEMORY))?;
            child.command.env("TMPDIR", IN_MEMORY);
            child.temporary = Temporary::InMemory;
        }
        Ok(child)
    }

    /// As [`Child::new`], for our helper, which has no use for a home.
    ///
    /// # Errors
    /// As [`Own::find`]; the system's.
    pub fn helper(directories: &[PathBuf]) -> Result<Self, Error> {
        Self::with_path(Own::Helper.name(), &Own::Helper.find(directories)?, &[])
    }

    pub(super) fn with_path(
        name: &'static str,
        path: &Path,
        proxies: &[(&'static str, OsString)],
    ) -> Result<Self, Error> {
        let mut command = Command::new(path);
        command
            .env_clear()
            .env("PATH", SEARCH.join(":"))
            .env("LANG", "C.UTF-8")
            .env("TMPDIR", TEMPORARY)
            .envs(proxies.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null());
        Ok(Self {
            name,
            command,
            descriptors: Vec::new(),
            mounts: Mounts::Ours,
            home: None,
            temporary: Temporary::AsTold,
        })
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl Into<OsString>) -> &mut Self {
        self.command.arg(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(&mut self, args: impl IntoIterator<Item = A>) -> &mut Self {
        for arg in args {
            self.arg(arg);
        }
        self
    }

    /// Has it put its temporary files here: what it leaves when it is killed goes with the directory.
    pub fn temporary(&mut self, directory: &Path) -> &mut Self {
        self.command.env("TMPDIR", directory);
        self.temporary = Temporary::AsTold;
        self
    }

    /// Shows it this directory in the place of `/var/tmp`: whatever it leaves there when it ends goes with the directory. Only
    /// for a program with mounts of its own, and one that isn't to find there what others have.
    pub fn temporary_instead(&mut self, directory: &Path) -> &mut Self {
        self.command.env("TMPDIR", TEMPORARY);
        self.temporary = Temporary::Directory(directory.to_owned());
        self
    }

    /// Gives it an open file under this number.
    ///
    /// # Errors
    /// The system's.
    pub fn descriptor(&mut self, file: impl AsFd, number: RawFd) -> Result<&mut Self, Error> {
        // Far from the numbers that are given out, so that none overwrites another.
        let copy = rustix::io::fcntl_dupfd_cloexec(file.as_fd(), 64)
            .map_err(|error| Error::io("duplicate", format!("descriptor {number}"))(error.into()))?;
        self.descriptors.push((copy, number));
        Ok(self)
    }

    /// Gives it these credentials, in memory, as its only ones.
    ///
    /// # Errors
    /// The system's.
    pub fn credentials(&mut self, json: &[u8], number: RawFd) -> Result<&mut Self, Error> {
        let mut memory = in_memory("auth.json").map_err(Error::io("create", "a file in memory"))?;
        memory.write_all(json).map_err(Error::io("write", "a file in memory"))?;
        self.command.env("REGISTRY_AUTH_FILE", format!("/proc/self/fd/{number}"));
        self.descriptor(memory, number)
    }

    /// Shows it `directory` at `target`, in a mount namespace of its own: nothing stays mounted.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(&mut self, directory: impl AsFd, target: &Path) -> Result<&mut Self, Error> {
        let copy = rustix::io::fcntl_dupfd_cloexec(directory.as_fd(), 64)
            .map_err(|error| Error::io("duplicate", target)(error.into()))?;
        self.mounts = Mounts::Bound(copy, target.to_owned());
        Ok(self)
    }
}

/// The empty home directory, made if need be. What somebody has put there would be read by podman, so it must be empty.
fn empty_home() -> Result<&'static str, Error> {
    DirBuilder::new().recursive(true).mode(0o755).create(HOME).map_err(Error::io("create", HOME))?;
    let metadata = fs::symlink_metadata(HOME).map_err(Error::io("examine", HOME))?;
    let entries = fs::read_dir(HOME).map_err(Error::io("read", HOME))?.count();
    let trusted = Policy::ROOTS_ALONE.look(Path::new(HOME), &metadata);
    if !metadata.is_dir() || trusted.is_err() || entries != 0 {
        let source = io::Error::other("it must be an empty directory that only root can write to");
        return Err(Error::Io { what: "use", path: HOME.into(), source });
    }
    Ok(HOME)
}

//! A program about to be started, with its environment, descriptors, mounts and directory for temporary files.

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

/// The `HOME` of every process: an empty directory owned by root, so that no program reads settings of the caller.
const HOME: &str = "/run/bootc-image/home";
/// Where programs put temporary files. `podman load` unpacks archives there whatever `TMPDIR` is.
pub(super) const TEMPORARY: &str = "/var/tmp";
/// Where podman puts small temporary files: a tmpfs in its own mount namespace, which disappears with the process. An interrupted
/// podman always leaves some files behind.
pub(super) const IN_MEMORY: &str = "/run/bootc-image/tmp";
/// The proxy variables that are passed on.
pub const PROXY_VARIABLES: [&str; 6] =
    ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// A program about to be started.
#[derive(Debug)]
pub struct Process {
    pub(super) name: &'static str,
    pub(super) command: Command,
    pub(super) descriptors: Vec<(OwnedFd, RawFd)>,
    pub(super) mounts: Mounts,
    /// A directory that it sees read-only, so that it stays empty for the next process.
    pub(super) home: Option<&'static str>,
    pub(super) temporary: Temporary,
}

/// Where a process puts its temporary files.
#[derive(Debug)]
pub(super) enum Temporary {
    /// In the directory that its `TMPDIR` names.
    FromEnvironment,
    /// In a tmpfs at [`IN_MEMORY`].
    InMemory,
    /// In this directory, which is mounted at [`TEMPORARY`].
    Directory(PathBuf),
}

/// The mount namespace of a process.
#[derive(Debug)]
pub(super) enum Mounts {
    /// Ours.
    Inherited,
    /// Its own, so that its mounts disappear with it: tools that use a containers-storage leave mounts behind otherwise.
    Private,
    /// Its own, with the directory mounted at this path.
    Bound(OwnedFd, PathBuf),
}

impl Process {
    /// `program` with the environment that every process gets, and no stdin. podman's temporary files are in memory, unless
    /// [`Process::temporary`] gives it a directory because it needs more space.
    ///
    /// # Errors
    /// [`Error::MissingProgram`]; [`Error::Io`].
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

    /// As [`Process::new`], for bootc-image-helper, which needs no `HOME`.
    ///
    /// # Errors
    /// As [`Own::find`]; [`Error::Io`].
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
            mounts: Mounts::Inherited,
            home: None,
            temporary: Temporary::FromEnvironment,
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

    /// Sets its `TMPDIR` to this directory, so that whatever it leaves when it is killed is removed with the directory.
    pub fn temporary(&mut self, directory: &Path) -> &mut Self {
        self.command.env("TMPDIR", directory);
        self.temporary = Temporary::FromEnvironment;
        self
    }

    /// Mounts this directory at `/var/tmp` for it, so that whatever it leaves there is removed with the directory. Only for a
    /// program in its own mount namespace that needs no files of others in `/var/tmp`.
    pub fn temporary_instead(&mut self, directory: &Path) -> &mut Self {
        self.command.env("TMPDIR", TEMPORARY);
        self.temporary = Temporary::Directory(directory.to_owned());
        self
    }

    /// Gives it an open file as the descriptor with this number.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn descriptor(&mut self, file: impl AsFd, number: RawFd) -> Result<&mut Self, Error> {
        // Numbers from 64 cannot collide with those that the process gets, so that no `dup2` overwrites another file.
        let copy = rustix::io::fcntl_dupfd_cloexec(file.as_fd(), 64)
            .map_err(|error| Error::io("duplicate", format!("descriptor {number}"))(error.into()))?;
        self.descriptors.push((copy, number));
        Ok(self)
    }

    /// Gives it these registry credentials, as a file in memory, and no others.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn credentials(&mut self, json: &[u8], number: RawFd) -> Result<&mut Self, Error> {
        self.command.env("REGISTRY_AUTH_FILE", format!("/proc/self/fd/{number}"));
        self.file_in_memory("auth.json", json, number)
    }

    /// Gives it a file in memory with these contents as the descriptor with this number.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn file_in_memory(&mut self, name: &str, bytes: &[u8], number: RawFd) -> Result<&mut Self, Error> {
        let mut memory = in_memory(name).map_err(Error::io("create", "a file in memory"))?;
        memory.write_all(bytes).map_err(Error::io("write", "a file in memory"))?;
        self.descriptor(memory, number)
    }

    /// Lets it sign with the keys in this directory of GnuPG, which only root can write to. Its `HOME` has none.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory does not exist, or others could change it.
    pub fn key_ring(&mut self, directory: &Path) -> Result<&mut Self, Error> {
        let real = fs::canonicalize(directory).map_err(Error::io("find the key ring", directory))?;
        let trusted = Policy::ROOT_ONLY.walk(&real).map_err(io::Error::other);
        trusted.map_err(Error::io("use the key ring", directory))?;
        self.command.env("GNUPGHOME", real);
        Ok(self)
    }

    /// Mounts `directory` at `target` for it, in its own mount namespace, so that nothing stays mounted.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn bind(&mut self, directory: impl AsFd, target: &Path) -> Result<&mut Self, Error> {
        let copy = rustix::io::fcntl_dupfd_cloexec(directory.as_fd(), 64)
            .map_err(|error| Error::io("duplicate", target)(error.into()))?;
        self.mounts = Mounts::Bound(copy, target.to_owned());
        Ok(self)
    }
}

/// Creates the empty home directory if necessary. podman would read any files in it, so it must be empty.
fn empty_home() -> Result<&'static str, Error> {
    DirBuilder::new().recursive(true).mode(0o755).create(HOME).map_err(Error::io("create", HOME))?;
    let metadata = fs::symlink_metadata(HOME).map_err(Error::io("examine", HOME))?;
    let entries = fs::read_dir(HOME).map_err(Error::io("read", HOME))?.count();
    let trusted = Policy::ROOT_ONLY.look(Path::new(HOME), &metadata);
    if !metadata.is_dir() || trusted.is_err() || entries != 0 {
        let source = io::Error::other("it must be an empty directory that only root can write to");
        return Err(Error::Io { what: "use", path: HOME.into(), source });
    }
    Ok(HOME)
}

//! Which programs are started, and the fixed directories in which they are searched, whatever the caller's `PATH` is.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::trust::{Leeway, Policy, Untrusted};

/// The directories in which programs are searched, whatever the caller's `PATH` is.
pub(super) const SEARCH: [&str; 2] = ["/usr/bin", "/usr/sbin"];

/// A program that belongs to the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// podman, 4.3 or later.
    Podman,
    /// skopeo, 1.9 or later.
    Skopeo,
}

impl Program {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Skopeo => "skopeo",
        }
    }

    /// Its path.
    ///
    /// # Errors
    /// [`Error::MissingProgram`].
    pub fn find(self) -> Result<PathBuf, Error> {
        let mut candidates = SEARCH.iter().map(|directory| Path::new(directory).join(self.name()));
        candidates.find(|path| is_executable(path)).ok_or_else(|| Error::MissingProgram {
            program: self.name(),
            package: self.name(),
            searched: SEARCH.join(", "),
        })
    }
}

/// Directories and files that only image-based hosts have.
const IMAGE_BASED: [&str; 2] = ["/run/ostree-booted", "/sysroot/composefs"];

/// What to do about a missing program. On an image-based host, a package manager cannot change `/usr`, or its changes are lost.
pub fn how_to_install(package: &str) -> String {
    if IMAGE_BASED.iter().any(|path| Path::new(path).exists()) {
        format!(
            "add the package {package} to the OS image of this host, then update the host with: bootc upgrade"
        )
    } else {
        format!("install the package {package}")
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}

/// A program that is part of bootc-image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Contains libostree and the WebAssembly compiler, which would make bootc-image itself large and slow to start.
    Helper,
    /// Runs native extensions.
    Native,
}

impl Own {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Helper => "bootc-image-helper",
            Self::Native => "bootc-image-native",
        }
    }

    /// Its path in the first of these directories that has it, if only root can replace it.
    ///
    /// # Errors
    /// [`Error::MissingProgram`]; [`Error::UnsafeProgram`].
    pub fn find(self, directories: &[PathBuf]) -> Result<PathBuf, Error> {
        let candidates: Vec<PathBuf> =
            directories.iter().map(|directory| directory.join(self.name())).collect();
        let Some(path) = candidates.iter().find(|path| is_executable(path)) else {
            let searched = candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
            return Err(Error::MissingProgram {
                program: self.name(),
                package: "bootc-image",
                searched: searched.join(", "),
            });
        };
        let path = fs::canonicalize(path).map_err(Error::io("examine", path))?;
        match (Policy { leeway: Leeway::Sticky, ..Policy::ROOT_ONLY }).walk(&path) {
            Ok(()) => Ok(path),
            Err(Untrusted::Broken { .. }) => Err(Error::UnsafeProgram(path)),
            Err(Untrusted::Unknown { part, source }) => Err(Error::io("examine", part)(source)),
        }
    }
}

/// Where bootc is.
const BOOTC: &str = "/usr/bin/bootc";

/// Replaces this process with bootc, in the caller's environment, as if the caller had run it. Returns only if that fails.
pub fn become_bootc(arguments: impl Iterator<Item = OsString>) -> Error {
    let path = Path::new(BOOTC);
    let file = |path: &str| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    if !is_executable(path) || file(BOOTC) == file("/proc/self/exe") {
        return Error::MissingProgram { program: "bootc", package: "bootc", searched: BOOTC.to_owned() };
    }
    let source = Command::new(path).arg0("bootc").args(arguments).exec();
    Error::Io { what: "run", path: path.to_owned(), source }
}

//! Copies an image from one place to another with skopeo, uncompressed. skopeo verifies every digest.
//!
//! skopeo first writes each layer to a temporary file. So the parts of an OCI directory that it has read are freed by punching holes,
//! and together they never need more space than the image. The size of the temporary files is the progress of the transfer. See
//! `docs/adr/0004-transfers.md`.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bootc_image_containers_storage::TemporaryStore;
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER, Reference};
use bootc_image_model::settings::Settings;
use bootc_image_os::lock_watch::LockWatch;
use bootc_image_os::processes::{Process, Program};
use bootc_image_os::reporter::Reporter;
use bootc_image_os::scratch::Scratch;
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::bootc_store::{BootcStore, with_credentials};
use crate::default_store::DefaultStore;
use crate::error::Error;
use crate::signatures::{self, Required};

/// The name of the only image in a temporary storage.
const TEMPORARY_NAME: &str = "localhost/fetched:latest";
/// Holes are punched in steps of this size, in bytes, a multiple of file systems' block sizes.
const STEP: u64 = 1 << 20;
/// The descriptor of the signature policy for a copy on this host. Lower ones are in use for bootc's storage.
const POLICY_FD: i32 = 5;

/// An endpoint of a transfer: its source or destination.
pub enum Endpoint<'a> {
    /// An OCI directory that is not needed afterwards. The free space was checked before the export.
    Exported(&'a Path),
    /// An OCI directory that is read again later.
    Kept(&'a Path),
    /// A registry: the reference, options of podman for contacting it, and options of skopeo that select the platform.
    Registry(&'a Reference, &'a [String], &'a [String]),
    /// podman's storage.
    Default(&'a DefaultStore, Name<'a>),
    /// bootc's storage.
    Bootc(&'a BootcStore, Name<'a>),
    /// A temporary storage with this driver and this run directory.
    Temporary(&'a TemporaryStore, &'static str, &'a Path),
}

/// An image in a containers-storage.
pub enum Name<'a> {
    /// By its id, only as a source.
    Id(&'a str),
    /// By its id, only as a source, with the name for which its signatures are verified.
    Signed(&'a Reference, &'a str),
    /// By a name.
    Reference(&'a Reference),
}

impl Name<'_> {
    fn skopeo_reference(&self) -> String {
        match self {
            Self::Id(id) => format!("@{id}"),
            Self::Signed(reference, id) => format!("{reference}@{id}"),
            Self::Reference(reference) => reference.to_string(),
        }
    }
}

impl Endpoint<'_> {
    fn skopeo_reference(&self) -> Result<String, Error> {
        Ok(match self {
            Self::Exported(directory) | Self::Kept(directory) => format!("oci:{}", directory.display()),
            Self::Registry(reference, ..) => format!("{DOCKER}{reference}"),
            Self::Default(_, name) => format!("{CONTAINERS_STORAGE}{}", name.skopeo_reference()),
            Self::Bootc(store, name) => store.reference(&name.skopeo_reference())?,
            Self::Temporary(store, driver, runroot) => {
                let (root, runroot) = (store.root().path("."), runroot.display());
                format!("{CONTAINERS_STORAGE}[{driver}@{}+{runroot}]{TEMPORARY_NAME}", root.display())
            }
        })
    }

    /// skopeo's name of the source's transport, unless the source is a registry.
    fn local_transport(&self) -> Option<&'static str> {
        match self {
            Self::Registry(..) => None,
            Self::Exported(_) | Self::Kept(_) => Some("oci"),
            Self::Default(..) | Self::Bootc(..) | Self::Temporary(..) => Some("containers-storage"),
        }
    }

    fn storage(&self) -> Option<PathBuf> {
        match self {
            Self::Exported(_) | Self::Kept(_) | Self::Registry(..) => None,
            Self::Default(store, _) => Some(store.path().to_owned()),
            Self::Bootc(store, _) => Some(store.root().path(".")),
            Self::Temporary(store, ..) => Some(store.root().path(".")),
        }
    }

    fn bootc_store(&self) -> Option<&BootcStore> {
        match self {
            Self::Bootc(store, _) => Some(store),
            _ => None,
        }
    }
}

/// A copy by skopeo.
pub struct Transfer<'a> {
    /// The source.
    pub from: Endpoint<'a>,
    /// The destination.
    pub to: Endpoint<'a>,
    /// The directory for skopeo's temporary files.
    pub scratch: &'a Scratch,
    /// The size of the image in bytes; 0 if unknown.
    pub bytes: u64,
    /// The signatures that a source on this host must have; none if it needs none. For a registry, skopeo applies `policy.json`.
    pub required: Option<&'a Required>,
}

impl Transfer<'_> {
    /// Runs it.
    ///
    /// # Errors
    /// Errors of skopeo; [`Error::NoRoom`]; [`OsError::Locked`](bootc_image_os::error::Error::Locked); any I/O error.
    pub fn run(self, settings: &Settings, reporter: &dyn Reporter) -> Result<(), Error> {
        let expendable = match &self.from {
            Endpoint::Exported(directory) => Some(*directory),
            _ => None,
        };
        if let (None, Some(target)) = (expendable, self.to.storage()) {
            check_room(self.scratch.path(), &target, self.bytes)?;
        }
        let name = if matches!(self.to, Endpoint::Temporary(..)) { "fetching" } else { "skopeo" };
        let temporary = self.scratch.directory(name)?;
        let mut skopeo = match (self.from.bootc_store().or(self.to.bootc_store()), &self.from) {
            (Some(store), _) => store.skopeo(settings)?,
            (None, Endpoint::Registry(..)) => with_credentials(Program::Skopeo, settings)?,
            (None, _) => Process::new(Program::Skopeo, &settings.proxies)?,
        };
        if let Endpoint::Registry(_, _, platform) = &self.from {
            skopeo.args(platform.iter().cloned());
        }
        if let Some(transport) = self.from.local_transport() {
            let policy = signatures::policy(transport, self.required);
            skopeo.file_in_memory("policy.json", policy.as_bytes(), POLICY_FD)?;
            skopeo.args(["--policy", &format!("/proc/self/fd/{POLICY_FD}")]);
        }
        skopeo.arg("--tmpdir").arg(&temporary).arg("copy");
        // Replacement parts of a damaged image include its signatures.
        if !matches!((&self.from, &self.to), (Endpoint::Registry(..), Endpoint::Temporary(..))) {
            skopeo.arg("--remove-signatures");
        }
        if let Endpoint::Registry(_, options, _) = &self.from {
            skopeo.args(options.iter().map(|option| option.replacen("--", "--src-", 1)));
        }
        skopeo.args([self.from.skopeo_reference()?, self.to.skopeo_reference()?]);
        let storages = [self.from.storage(), self.to.storage()];
        let mut locks = LockWatch::new(storages.into_iter().flatten(), settings.change_limit);
        let copied = skopeo.run_watched(&mut |pid| {
            let done = size_below(&temporary);
            reporter.advance(done, self.bytes);
            if let Some(directory) = expendable {
                punch_holes(pid, directory);
            }
            Ok(locks.look(pid, done, reporter)?)
        });
        copied.map_err(|error| match self.required {
            Some(required) => required.rejected(error),
            None => error,
        })
    }
}

/// Checks that there is enough free space for an image of this size both in the temporary directory and at the destination, which may
/// be on the same file system.
///
/// # Errors
/// [`Error::NoRoom`]; any I/O error.
pub fn check_room(scratch: &Path, target: &Path, bytes: u64) -> Result<(), Error> {
    let target = target.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let device = |path: &Path| rustix::fs::stat(path).map(|stat| stat.st_dev).ok();
    let needs = if device(scratch) == device(target) {
        vec![(scratch, bytes.saturating_mul(2))]
    } else {
        vec![(scratch, bytes), (target, bytes)]
    };
    for (path, need) in needs {
        let system = statvfs(path).map_err(|error| Error::io("examine", path)(error.into()))?;
        let available = system.f_bavail.saturating_mul(system.f_frsize);
        if available < need {
            return Err(Error::NoRoom { path: path.to_owned(), need, available });
        }
    }
    Ok(())
}

fn size_below(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_below(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Frees the parts of files below a directory that a process has read already. skopeo reads layers once, from beginning to end; if a
/// later version did not, the digest would be wrong and the transfer would fail.
fn punch_holes(pid: u32, directory: &Path) {
    let process = PathBuf::from(format!("/proc/{pid}"));
    for descriptor in fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
        let Ok(path) = fs::read_link(descriptor.path()) else { continue };
        if !path.starts_with(directory) {
            continue;
        }
        let info =
            fs::read_to_string(process.join("fdinfo").join(descriptor.file_name())).unwrap_or_default();
        let position: Option<u64> =
            info.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok());
        let read = position.unwrap_or(0) / STEP * STEP;
        if read > 0
            && let Ok(file) = File::options().write(true).open(&path)
        {
            // A file system without hole punching needs the additional space.
            let _ = fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, read);
        }
    }
}

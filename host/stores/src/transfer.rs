//! From one storage to another, with skopeo: not compressed, every digest checked by it.
//!
//! skopeo writes each layer to a temporary file of its own first. What has been read of an OCI directory is therefore taken
//! away behind it, so that the two together are never larger than the image; and how large these files are is how far the
//! transfer is.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bootc_image_containers_storage::TemporaryStore;
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER, Reference};
use bootc_image_model::settings::Settings;
use bootc_image_os::children::{Child, Program};
use bootc_image_os::lock_watch::LockWatch;
use bootc_image_os::scratch::Scratch;
use bootc_image_os::talk::Talk;
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::bootc_store::{BootcStore, with_credentials};
use crate::default_store::DefaultStore;
use crate::error::Error;

/// What an image is called in a storage where it is the only one.
const TEMPORARY_NAME: &str = "localhost/fetched:latest";
/// Holes are made in steps of this size, in bytes: a file system's blocks and more.
const STEP: u64 = 1 << 20;

/// One end of a transfer: where an image is, or where it goes.
pub enum End<'a> {
    /// An OCI directory that nobody needs afterwards, made after a look at the room.
    Exported(&'a Path),
    /// The same, if it is read again.
    Kept(&'a Path),
    /// A registry, asked with these options of podman's, and for the machine that these options of skopeo's name.
    Registry(&'a Reference, &'a [String], &'a [String]),
    /// podman's storage.
    Default(&'a DefaultStore, Name<'a>),
    /// bootc's.
    Bootc(&'a BootcStore, Name<'a>),
    /// One of our own, with this driver, and with this directory for what doesn't outlive it.
    Temporary(&'a TemporaryStore, &'static str, &'a Path),
}

/// What an image is called in a containers-storage.
pub enum Name<'a> {
    /// Its id, for reading.
    Id(&'a str),
    /// One of its names.
    Reference(&'a Reference),
}

impl Name<'_> {
    fn in_skopeos_words(&self) -> String {
        match self {
            Self::Id(id) => format!("@{id}"),
            Self::Reference(reference) => reference.to_string(),
        }
    }
}

impl End<'_> {
    fn in_skopeos_words(&self) -> Result<String, Error> {
        Ok(match self {
            Self::Exported(directory) | Self::Kept(directory) => format!("oci:{}", directory.display()),
            Self::Registry(reference, ..) => format!("{DOCKER}{reference}"),
            Self::Default(_, name) => format!("{CONTAINERS_STORAGE}{}", name.in_skopeos_words()),
            Self::Bootc(store, name) => store.reference(&name.in_skopeos_words())?,
            Self::Temporary(store, driver, runroot) => {
                let (root, runroot) = (store.root().path("."), runroot.display());
                format!("{CONTAINERS_STORAGE}[{driver}@{}+{runroot}]{TEMPORARY_NAME}", root.display())
            }
        })
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

/// One run of skopeo.
pub struct Transfer<'a> {
    /// Where the image is.
    pub from: End<'a>,
    /// Where it goes.
    pub to: End<'a>,
    /// Where skopeo may put temporary files.
    pub scratch: &'a Scratch,
    /// How much there is to transfer, in bytes; 0 if that isn't known.
    pub bytes: u64,
}

impl Transfer<'_> {
    /// Runs it.
    ///
    /// # Errors
    /// skopeo's; [`Error::NoRoom`]; [`OsError::Locked`](bootc_image_os::error::Error::Locked); the system's.
    pub fn run(self, settings: &Settings, talk: &dyn Talk) -> Result<(), Error> {
        let expendable = match &self.from {
            End::Exported(directory) => Some(*directory),
            _ => None,
        };
        if let (None, Some(target)) = (expendable, self.to.storage()) {
            check_room(self.scratch.path(), &target, self.bytes)?;
        }
        let name = if matches!(self.to, End::Temporary(..)) { "fetching" } else { "skopeo" };
        let temporary = self.scratch.directory(name)?;
        let mut skopeo = match (self.from.bootc_store().or(self.to.bootc_store()), &self.from) {
            (Some(store), _) => store.skopeo(settings)?,
            (None, End::Registry(..)) => with_credentials(Program::Skopeo, settings)?,
            (None, _) => Child::new(Program::Skopeo, &settings.proxies)?,
        };
        if let End::Registry(_, _, platform) = &self.from {
            skopeo.args(platform.iter().cloned());
        }
        skopeo.arg("--tmpdir").arg(&temporary).arg("copy");
        // What takes the place of an image's parts has its signatures as well.
        if !matches!((&self.from, &self.to), (End::Registry(..), End::Temporary(..))) {
            skopeo.arg("--remove-signatures");
        }
        if let End::Registry(_, options, _) = &self.from {
            skopeo.args(options.iter().map(|option| option.replacen("--", "--src-", 1)));
        }
        skopeo.args([self.from.in_skopeos_words()?, self.to.in_skopeos_words()?]);
        let storages = [self.from.storage(), self.to.storage()];
        let mut locks = LockWatch::new(storages.into_iter().flatten(), settings.change_limit);
        skopeo.run_watched(&mut |pid| {
            let done = size_below(&temporary);
            talk.advance(done, self.bytes);
            if let Some(directory) = expendable {
                take_away(pid, directory);
            }
            Ok(locks.look(pid, done, talk)?)
        })
    }
}

/// There must be room for an image of this size on its way and in its place, which may be on one file system.
///
/// # Errors
/// [`Error::NoRoom`]; the system's.
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

/// Frees what a process has read of the files below a directory. Layers are read once, from their beginning to their end;
/// if one day they weren't, the digest wouldn't fit any more, and the transfer would fail.
fn take_away(pid: u32, directory: &Path) {
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
            // A file system that can't do this needs the room.
            let _ = fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, read);
        }
    }
}

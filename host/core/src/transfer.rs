//! From one storage to another, with skopeo: not compressed, every digest checked by it.
//!
//! skopeo writes each layer to a temporary file of its own first. What has been read of an OCI directory is therefore taken
//! away behind it, so that the two together are never larger than the image; and how large these files are is how far the
//! transfer is.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use crate::children::Child;
use crate::error::Error;
use crate::lock_watch::LockWatch;
use crate::scratch::Scratch;
use crate::settings::Settings;
use crate::talk::Talk;

/// Holes are made in steps of this size, in bytes: a file system's blocks and more.
const STEP: u64 = 1 << 20;

/// One run of skopeo.
pub(crate) struct Transfer<'a> {
    /// skopeo, which sees both storages.
    pub(crate) skopeo: Child,
    /// An image in skopeo's words.
    pub(crate) source: String,
    /// Its place in skopeo's words.
    pub(crate) target: String,
    /// Where skopeo may put temporary files.
    pub(crate) scratch: &'a Scratch,
    /// An OCI directory that nobody needs afterwards.
    pub(crate) expendable: Option<&'a Path>,
    /// How much there is to transfer, in bytes.
    pub(crate) bytes: u64,
    /// The storages that take part.
    pub(crate) storages: Vec<PathBuf>,
}

impl Transfer<'_> {
    /// Runs it.
    ///
    /// # Errors
    /// skopeo's; [`Error::Locked`]; the system's.
    pub(crate) fn run(mut self, settings: &Settings, talk: &dyn Talk) -> Result<(), Error> {
        let temporary = self.scratch.directory("skopeo")?;
        self.skopeo.arg("--tmpdir").arg(&temporary).args(["copy", "--remove-signatures"]);
        self.skopeo.args([self.source, self.target]);
        let mut locks = LockWatch::new(&self.storages, settings.change_limit);
        let (expendable, bytes) = (self.expendable, self.bytes);
        self.skopeo.run_watched(&mut |pid| {
            let done = size_below(&temporary);
            talk.advance(done, bytes);
            if let Some(directory) = expendable {
                take_away(pid, directory);
            }
            locks.look(pid, done, talk)
        })
    }
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

//! Room on a file system that is full: what only takes something away must be possible then, and still needs some. So a
//! reserve is kept while there is room, and given up when there is none; behind it is the file system's own reserve.

mod lowered;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, StatVfs, fallocate, statvfs};
use rustix::io::Errno;

pub use lowered::Lowered;

/// The most that a reserve takes, in bytes: enough for the indexes of a storage with some hundred images.
const LARGEST: u64 = 1 << 20;
/// Nor does it take more than this part of the file system.
const PART: u64 = 64;
/// A reserve is made of so many files, so that it is one of inodes as well; of fewer where there are few of them. podman 4.3
/// needs 12 at once.
const PIECES: u64 = 32;
const FEWEST_PIECES: u64 = 4;
const PART_OF_INODES: u64 = 16;
/// It is made only where so many times as much is free: what is freed on a full disk is meant for something else.
const PLENTY: u64 = 4;

/// How much room a removal needs.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// In bytes.
    pub bytes: u64,
    /// Files and directories.
    pub inodes: u64,
}

impl Need {
    /// For podman to remove something from a storage in `directory`, whose indexes have `indexes` bytes: it writes them anew,
    /// and begins by trying out in a few directories what the kernel can do. XFS wants room for many inodes to make one.
    pub fn of_podman(directory: &Path, indexes: u64) -> Self {
        let small = statvfs(directory).map_or(u64::MAX, |system| total(&system) / 32);
        Self { bytes: small.min(512 << 10).saturating_add(indexes.saturating_mul(2)), inodes: 24 }
    }

    /// Whether it is there, for us, now. What can't be found out is taken for enough: podman will say so if it isn't.
    pub fn is_met(self, directory: &Path) -> bool {
        let Ok(system) = statvfs(directory) else { return true };
        // Some file systems make inodes as they are needed.
        if system.f_files != 0 && system.f_favail < self.inodes {
            return false;
        }
        // What the file system says may include what it keeps for itself: only an attempt tells.
        match allocate_for_a_moment(directory, self.bytes) {
            Ok(()) => true,
            Err(error) if is_full(&error) => false,
            Err(_) => system.f_bavail.saturating_mul(system.f_frsize) >= self.bytes,
        }
    }
}

fn total(system: &StatVfs) -> u64 {
    system.f_blocks.saturating_mul(system.f_frsize)
}

fn allocate_for_a_moment(directory: &Path, bytes: u64) -> io::Result<()> {
    let options = File::options()
        .write(true)
        .mode(0o600)
        .custom_flags(OFlags::TMPFILE.bits().cast_signed())
        .open(directory);
    Ok(fallocate(options?, FallocateFlags::empty(), 0, bytes)?)
}

/// Whether an error says that a file system or a quota is used up.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether a file system has room for contents only.
pub fn has_no_inodes(path: &Path) -> bool {
    statvfs(path).is_ok_and(|system| system.f_files != 0 && system.f_favail == 0)
}

/// Where the file system is mounted that has this path, or will have it.
pub fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    let mut there = path.ancestors().skip_while(|path| device(path).is_none());
    let Some(mut found) = there.next() else { return path.to_owned() };
    let system = device(found);
    for above in there.take_while(|above| device(above) == system) {
        found = above;
    }
    found.to_owned()
}

/// Files without contents that hold room for later.
#[derive(Debug)]
pub struct Reserve {
    directory: PathBuf,
}

impl Reserve {
    /// A reserve in `directory`, which is made for it in one that only root can write to.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Makes it, or fills it up, if there is plenty of room. Without it everything works as long as the disk isn't full.
    pub fn keep(&self) {
        self.say(self.fill(PLENTY));
    }

    /// Fills up again what was given up a moment ago, as far as there is room.
    pub fn take_back(&self) {
        self.say(self.fill(0));
    }

    fn say(&self, filled: io::Result<()>) {
        if let Err(error) = filled {
            tracing::debug!(reserve = %self.directory.display(), %error, "cannot refill the space reserve");
        }
    }

    fn fill(&self, plenty: u64) -> io::Result<()> {
        let parent = self.directory.parent().unwrap_or(Path::new("/"));
        let system = statvfs(parent)?;
        let (bytes, count) = shares(&system);
        let there = self.pieces().count();
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        let is_plenty =
            free >= plenty * bytes * count && (system.f_files == 0 || system.f_favail >= plenty * count);
        if there as u64 >= count || !is_plenty {
            return Ok(());
        }
        match DirBuilder::new().mode(0o700).create(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let path = |number: u64| self.directory.join(format!("{number:02}"));
        for path in (0..count).map(path).filter(|path| !path.exists()) {
            match allocate(&path, bytes) {
                // Where nothing can be kept, nothing is.
                Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => return Ok(()),
                allocated => allocated?,
            }
        }
        Ok(())
    }

    fn pieces(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| is_piece(path))
    }

    /// Gives some of it up. False: there is none left.
    pub fn give_up_some(&self) -> bool {
        let given_up = self.pieces().any(|path| give_up_piece(&path).is_ok());
        // What was freed is to be had once that is on disk.
        if given_up && let Ok(directory) = File::open(&self.directory) {
            let _ = directory.sync_all();
        }
        given_up
    }
}

/// How large a piece of a reserve is on this file system, and how many there are.
fn shares(system: &StatVfs) -> (u64, u64) {
    let is_dynamic = system.f_files == 0 || system.f_files > total(system) / 1024;
    let count =
        if is_dynamic { PIECES } else { (system.f_files / PART_OF_INODES).clamp(FEWEST_PIECES, PIECES) };
    let bytes = (total(system) / PART).min(LARGEST) / count;
    (bytes.max(1).next_multiple_of(system.f_frsize.max(1)), count)
}

/// Makes a file that has room and nothing in it; it is there whole or not at all.
fn allocate(path: &Path, bytes: u64) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let options =
        File::options().write(true).create(true).mode(0o600).custom_flags(nofollow).open(&unfinished);
    let made = fallocate(&options?, FallocateFlags::empty(), 0, bytes).map_err(io::Error::from);
    made.and_then(|()| fs::rename(&unfinished, path)).inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })
}

/// Whether a file has a name that [`Reserve::fill`] gives.
fn is_piece(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.len() == 2 && name.iter().all(u8::is_ascii_digit)
}

fn give_up_piece(path: &Path) -> io::Result<()> {
    // Some file systems free what an unlinked file had only later; that of a file which is cut is free now.
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    File::options().write(true).truncate(true).custom_flags(nofollow).open(path)?;
    fs::remove_file(path)
}

/// What to do on a file system that is full.
pub fn make_room_on(path: &Path) -> String {
    let mount = mount_point(path);
    let files = if has_no_inodes(&mount) { " (no inodes are left: remove files)" } else { "" };
    format!(
        "free space on the file system at {}{files}, for example with: bootc-image prune --all; or with: journalctl --vacuum-size=100M",
        mount.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_takes_room_and_gives_it_back_piece_by_piece() {
        let scratch = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(scratch.path().join("reserve"));
        assert!(!reserve.give_up_some());
        reserve.keep();
        let pieces = || fs::read_dir(scratch.path().join("reserve")).unwrap().flatten().collect::<Vec<_>>();
        let blocks = || pieces().iter().map(|piece| piece.metadata().unwrap().blocks() * 512).sum::<u64>();
        let all = pieces().len();
        assert!(all >= 4 && blocks() > 0, "{all}");
        assert!(blocks() <= LARGEST + PIECES * 4096);
        assert!(reserve.give_up_some());
        assert_eq!(pieces().len(), all - 1);
        // A file of another program.
        fs::write(scratch.path().join("reserve/other"), "x").unwrap();
        reserve.keep();
        assert_eq!(pieces().len(), all + 1);
        while reserve.give_up_some() {}
        assert_eq!(pieces().len(), 1);
    }

    #[test]
    fn a_file_system_is_named_by_where_it_is_mounted() {
        assert_eq!(mount_point(Path::new("/proc/self/status/not/there")), Path::new("/proc"));
        assert_eq!(mount_point(Path::new("/")), Path::new("/"));
    }
}

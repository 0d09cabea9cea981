//! Free space on a full file system. Removals must work even there, but podman needs some space for them. So a reserve is kept
//! while there is free space and given up when there is none; after that comes the file system's own reserve.

mod lowered;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, StatVfs, fallocate, statvfs};
use rustix::io::Errno;

pub use lowered::Lowered;

/// The maximum size of a reserve, in bytes: enough for the indexes of a storage with some hundred images.
const LARGEST: u64 = 1 << 20;
/// A reserve takes at most one part in so many of the file system.
const PART: u64 = 64;
/// The number of files in a reserve, so that it also reserves inodes; fewer on file systems that have few inodes. podman 4.3
/// needs 12 at once.
const PIECES: u64 = 32;
const FEWEST_PIECES: u64 = 4;
const PART_OF_INODES: u64 = 16;
/// It is created only if so many times its size is free, because space that was just freed on a full disk is needed elsewhere.
const PLENTY: u64 = 4;

/// How much free space a removal needs.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Space, in bytes.
    pub bytes: u64,
    /// Files and directories.
    pub inodes: u64,
}

impl Need {
    /// For podman to remove something from a storage in `directory`, whose indexes have `indexes` bytes: it rewrites them, after it
    /// has probed the kernel's features in a few directories. XFS allocates many inodes at once.
    pub fn of_podman(directory: &Path, indexes: u64) -> Self {
        let small = statvfs(directory).map_or(u64::MAX, |system| total(&system) / 32);
        Self { bytes: small.min(512 << 10).saturating_add(indexes.saturating_mul(2)), inodes: 24 }
    }

    /// Whether that much is free now. If it cannot be determined, it counts as enough, and podman fails if it is not.
    pub fn is_met(self, directory: &Path) -> bool {
        let Ok(system) = statvfs(directory) else { return true };
        // Some file systems have no fixed number of inodes.
        if system.f_files != 0 && system.f_favail < self.inodes {
            return false;
        }
        // The reported free space may include the file system's own reserve, so allocate it to be sure.
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

/// Whether an error means that a file system or a quota is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether a file system has no free inodes.
pub fn has_no_inodes(path: &Path) -> bool {
    statvfs(path).is_ok_and(|system| system.f_files != 0 && system.f_favail == 0)
}

/// The mount point of the file system that has this path, or would have it.
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

/// Files that allocate space for later.
#[derive(Debug)]
pub struct Reserve {
    directory: PathBuf,
}

impl Reserve {
    /// A reserve in `directory`, which is created if necessary. Only root may be able to write to its parent.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Creates or refills it if there is plenty of free space. Failures are ignored: it is only needed on a full disk.
    pub fn keep(&self) {
        self.log_failure(self.fill(PLENTY));
    }

    /// Refills what was given up before, as far as there is free space.
    pub fn take_back(&self) {
        self.log_failure(self.fill(0));
    }

    fn log_failure(&self, filled: io::Result<()>) {
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
                // The file system cannot allocate in advance, so there is no reserve.
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

    /// Gives up one of its files. False if there is none left.
    pub fn give_up_some(&self) -> bool {
        let given_up = self.pieces().any(|path| give_up_piece(&path).is_ok());
        // Some file systems free the space only once the removal is on disk.
        if given_up && let Ok(directory) = File::open(&self.directory) {
            let _ = directory.sync_all();
        }
        given_up
    }
}

/// The size and the number of a reserve's files on this file system.
fn shares(system: &StatVfs) -> (u64, u64) {
    let is_dynamic = system.f_files == 0 || system.f_files > total(system) / 1024;
    let count =
        if is_dynamic { PIECES } else { (system.f_files / PART_OF_INODES).clamp(FEWEST_PIECES, PIECES) };
    let bytes = (total(system) / PART).min(LARGEST) / count;
    (bytes.max(1).next_multiple_of(system.f_frsize.max(1)), count)
}

/// Creates a file with allocated space and no contents, atomically.
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

/// Whether a file has a name as [`Reserve::fill`] chooses them.
fn is_piece(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.len() == 2 && name.iter().all(u8::is_ascii_digit)
}

fn give_up_piece(path: &Path) -> io::Result<()> {
    // Some file systems free the space of an unlinked file later, but that of a truncated file at once.
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    File::options().write(true).truncate(true).custom_flags(nofollow).open(path)?;
    fs::remove_file(path)
}

/// The hint for a full file system.
pub fn make_room_on(path: &Path) -> String {
    let mount = mount_point(path);
    let files = if has_no_inodes(&mount) { " (no inodes are left: remove files)" } else { "" };
    let shown = mount.display();
    let ways: Vec<&str> =
        WAYS.iter().filter(|(directory, _)| is_on(directory, &mount)).map(|(_, way)| *way).collect();
    if ways.is_empty() {
        return format!(
            "free space on the file system at {shown}{files}; to see what is large there, run: \
             du --one-file-system --human-readable --max-depth=2 {shown}"
        );
    }
    format!("free space on the file system at {shown}{files}, for example with: {}", ways.join("; or with: "))
}

/// What frees space on the file system that has a directory.
const WAYS: [(&str, &str); 2] = [
    ("/sysroot/ostree/bootc/storage", "bootc-image prune --all"),
    ("/var/log/journal", "journalctl --vacuum-size=100M"),
];

/// Whether the directory exists and is on the file system that is mounted there.
fn is_on(directory: &str, mount: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    device(Path::new(directory)).is_some_and(|found| device(mount) == Some(found))
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

    /// A file system that only the thread sees. Only root can mount it.
    #[test]
    fn the_advice_for_a_file_system_without_inodes_is_to_remove_files() {
        let scratch = tempfile::tempdir().unwrap();
        let advice = |files: &str, path: &Path| {
            format!(
                "free space on the file system at {0}{files}; to see what is large there, run: \
                 du --one-file-system --human-readable --max-depth=2 {0}",
                path.display()
            )
        };
        assert_eq!(make_room_on(Path::new("/proc/self")), advice("", Path::new("/proc")));
        let tested = std::thread::spawn(move || {
            if let Err(error) = crate::mounts::be_private() {
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
                return;
            }
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount("tmpfs", scratch.path(), "tmpfs", flags, c"nr_inodes=1").unwrap();
            let expected = advice(" (no inodes are left: remove files)", scratch.path());
            assert_eq!(make_room_on(&scratch.path().join("storage")), expected);
        });
        tested.join().unwrap();
    }

    #[test]
    fn a_file_system_is_named_by_where_it_is_mounted() {
        assert_eq!(mount_point(Path::new("/proc/self/status/not/there")), Path::new("/proc"));
        assert_eq!(mount_point(Path::new("/")), Path::new("/"));
    }
}

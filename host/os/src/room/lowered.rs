//! The blocks that ext4 and XFS reserve for operations that must not fail halfway. Root may set their number: for a moment it is
//! halved, several times if necessary, but never to less than an eighth.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fstatfs};
use rustix::ioctl::{Getter, Updater, ioctl, opcode};

/// Where the original size of the reserve is noted until it is restored.
const NOTES: &str = "/run/bootc-image";
/// How long we wait for another process that has lowered it, before we give up.
const LIMIT: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_millis(5);
/// At least one part in so many of the reserve is kept.
const KEPT: u64 = 8;
/// The file systems' magic numbers.
const EXT4: i64 = 0xef53;
const XFS: i64 = 0x5846_5342;

/// A file system whose reserve is lowered until this is dropped. If this process is killed first, the next one restores it.
#[derive(Debug)]
pub struct Lowered {
    knob: Knob,
    /// Locked as long as this lives.
    note: File,
    before: u64,
}

impl Lowered {
    /// Halves the reserve of the file system that has this directory. `None` if it has no reserve that is supported here.
    pub fn below(directory: &Path) -> Option<Self> {
        let knob = Knob::of(directory)?;
        let attempt = || -> io::Result<Option<Self>> {
            let Some((mut note, noted)) = open_note(directory)? else { return Ok(None) };
            let before = match noted {
                Some(before) => before,
                None => knob.get()?,
            };
            if noted.is_none() {
                note.write_all(format!("{before}\n").as_bytes())?;
            }
            let mut lowered = Self { knob, note, before };
            Ok(lowered.further().then_some(lowered))
        };
        attempt().inspect_err(|error| log_failure(directory, error)).ok().flatten()
    }

    /// Halves it once more. False if it is at its minimum.
    pub fn further(&mut self) -> bool {
        let halve = || -> io::Result<bool> {
            let now = self.knob.get()?;
            if now / 2 < self.before / KEPT {
                return Ok(false);
            }
            self.knob.set(now / 2)?;
            Ok(self.knob.get()? < now)
        };
        halve()
            .inspect_err(|error| tracing::info!(%error, "cannot lower the file system's reserve"))
            .unwrap_or(false)
    }

    /// Restores the reserve of the file system with this directory if a killed bootc-image has left it lowered.
    pub fn restore(directory: &Path) {
        let is_noted = name(directory).is_ok_and(|path| fs::metadata(path).is_ok_and(|note| note.len() > 0));
        if !is_noted {
            return;
        }
        if let (Some(knob), Ok(Some((note, Some(before))))) = (Knob::of(directory), open_note(directory)) {
            drop(Self { knob, note, before });
        }
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        // On a file system that is full again, the kernel refills the reserve as space is freed. It is never lowered here, because
        // the administrator, or a process that does not see our note, may have changed it meanwhile.
        let restored = self
            .knob
            .get()
            .and_then(|now| if now < self.before { self.knob.set(self.before) } else { Ok(()) });
        if let Err(error) = restored {
            tracing::warn!(%error, "cannot restore the file system's reserve");
        }
        let _ = self.note.set_len(0);
    }
}

fn log_failure(directory: &Path, error: &io::Error) {
    tracing::info!(path = %directory.display(), %error, "cannot lower the file system's reserve");
}

fn name(directory: &Path) -> io::Result<PathBuf> {
    let device = fs::metadata(directory)?.dev();
    Ok(Path::new(NOTES).join(format!("reserve-{}-{}", rustix::fs::major(device), rustix::fs::minor(device))))
}

/// The locked note about a file system, and the size in it. `None` if another process has it locked.
fn open_note(directory: &Path) -> io::Result<Option<(File, Option<u64>)>> {
    fs::create_dir_all(NOTES)?;
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let options = File::options()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(nofollow)
        .open(name(directory)?);
    let mut note = options?;
    let start = Instant::now();
    loop {
        match note.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(error);
            }
            // A signal, or another process.
            Err(_) if start.elapsed() < LIMIT => std::thread::sleep(INTERVAL),
            Err(_) => return Ok(None),
        }
    }
    let mut text = String::new();
    note.rewind()?;
    note.read_to_string(&mut text)?;
    Ok(Some((note, text.trim().parse().ok())))
}

/// Where the size of the reserve is set.
#[derive(Debug)]
enum Knob {
    /// A file below `/sys/fs/ext4`, in clusters.
    Ext4(PathBuf),
    /// An open file on the file system, for an ioctl, in blocks.
    Xfs(File),
}

/// `struct xfs_fsop_resblks`.
#[repr(C)]
#[derive(Default)]
struct ReservedBlocks {
    wanted: u64,
    there: u64,
}

impl Knob {
    fn of(directory: &Path) -> Option<Self> {
        let open = File::open(directory).ok()?;
        match fstatfs(&open).ok()?.f_type {
            EXT4 => {
                let device = open.metadata().ok()?.dev();
                let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
                let device = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
                Some(Self::Ext4(
                    Path::new("/sys/fs/ext4").join(device.file_name()?).join("reserved_clusters"),
                ))
            }
            XFS => Some(Self::Xfs(open)),
            _ => None,
        }
    }

    #[allow(unsafe_code)]
    fn get(&self) -> io::Result<u64> {
        match self {
            Self::Ext4(path) => fs::read_to_string(path)?.trim().parse().map_err(io::Error::other),
            Self::Xfs(open) => {
                // SAFETY: XFS_IOC_GET_RESBLKS writes one `struct xfs_fsop_resblks`, and `open` is on XFS.
                let found: ReservedBlocks = unsafe {
                    ioctl(
                        open.as_fd(),
                        Getter::<{ opcode::read::<ReservedBlocks>(b'X', 115) }, ReservedBlocks>::new(),
                    )?
                };
                Ok(found.wanted)
            }
        }
    }

    #[allow(unsafe_code)]
    fn set(&self, wanted: u64) -> io::Result<()> {
        match self {
            Self::Ext4(path) => fs::write(path, format!("{wanted}\n")),
            Self::Xfs(open) => {
                let mut request = ReservedBlocks { wanted, there: 0 };
                // SAFETY: XFS_IOC_SET_RESBLKS reads and writes one `struct xfs_fsop_resblks`, and `open` is on XFS.
                unsafe {
                    ioctl(
                        open.as_fd(),
                        Updater::<{ opcode::read_write::<ReservedBlocks>(b'X', 114) }, ReservedBlocks>::new(
                            &mut request,
                        ),
                    )?;
                }
                Ok(())
            }
        }
    }
}

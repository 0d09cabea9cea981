//! Finds out which process keeps podman or skopeo waiting, because containers-storage waits for its locks silently and without a
//! time limit.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::error::Error;
use crate::lock::{INTERVAL, QUIET, holder, process, say_waiting};
use crate::processes;
use crate::reporter::Reporter;

/// The locks of a containers-storage, for both drivers, and how a process takes each when it opens the storage. It takes the first
/// one exclusively, for a moment.
const LOCKS: [(&str, FlockType); 7] = [
    ("storage.lock", FlockType::WriteLock),
    ("overlay-containers/containers.lock", FlockType::ReadLock),
    ("overlay-images/images.lock", FlockType::ReadLock),
    ("overlay-layers/layers.lock", FlockType::ReadLock),
    ("vfs-containers/containers.lock", FlockType::ReadLock),
    ("vfs-images/images.lock", FlockType::ReadLock),
    ("vfs-layers/layers.lock", FlockType::ReadLock),
];

/// Watches the locks for which a process waits that uses a containers-storage.
pub struct LockWatch {
    /// The locks, and how a process that opens the storage takes each.
    files: Vec<(PathBuf, FlockType)>,
    limit: Duration,
    /// Since when it has made no progress, how far it was then, and whether that was reported.
    stuck: Option<(Instant, u64, bool)>,
}

impl LockWatch {
    pub fn new<P: AsRef<Path>>(storages: impl IntoIterator<Item = P>, limit: Duration) -> Self {
        let files = storages
            .into_iter()
            .flat_map(|storage| LOCKS.map(|(lock, opening)| (storage.as_ref().join(lock), opening)));
        Self { files: files.collect(), limit, stuck: None }
    }

    /// Before a process is started: waits until nobody holds a lock that would keep it from opening the storages. A process that
    /// only reads images or layers does not block others.
    ///
    /// # Errors
    /// [`Error::Locked`]; [`Error::Interrupted`].
    pub fn wait(mut self, reporter: &dyn Reporter) -> Result<(), Error> {
        let ours = std::process::id();
        while let Some(holder) = self.holder(ours, |opening| opening) {
            processes::check_interrupted()?;
            self.note(Some(holder), 0, reporter)?;
            std::thread::sleep(INTERVAL);
        }
        Ok(())
    }

    /// Checks once; `done` is how much the process has written so far, in bytes.
    ///
    /// # Errors
    /// [`Error::Locked`] if it has waited for too long.
    pub fn look(&mut self, child: u32, done: u64, reporter: &dyn Reporter) -> Result<(), Error> {
        self.note(self.holder(child, |_| FlockType::WriteLock), done, reporter)
    }

    fn note(
        &mut self,
        holder: Option<(PathBuf, String)>,
        done: u64,
        reporter: &dyn Reporter,
    ) -> Result<(), Error> {
        let Some((path, holder)) = holder else {
            self.stuck = None;
            return Ok(());
        };
        match &mut self.stuck {
            Some((since, before, said)) if *before == done => {
                let waited = since.elapsed();
                if waited >= self.limit {
                    return Err(Error::Locked { path, holder, limit: self.limit });
                }
                if waited >= QUIET && !*said {
                    *said = true;
                    say_waiting(&path, &holder, self.limit, reporter);
                }
            }
            stuck => *stuck = Some((Instant::now(), done, false)),
        }
        Ok(())
    }

    /// A lock that the process cannot take in this mode, and the process that holds it.
    fn holder(&self, child: u32, way: impl Fn(FlockType) -> FlockType) -> Option<(PathBuf, String)> {
        self.files.iter().find_map(|(path, opening)| {
            let lock = fcntl_getlk(File::open(path).ok()?, &Flock::from(way(*opening))).ok()??;
            let holder = match lock.pid.map(|pid| pid.as_raw_nonzero().get()) {
                None => "a process in another PID namespace".to_owned(),
                Some(pid) if pid.unsigned_abs() == child => return None,
                // Open file description locks, which newer tools take, have no owner: they may be the process's own.
                Some(pid) if pid < 0 && child != std::process::id() && has_lock_of(child, path) => {
                    return None;
                }
                Some(pid) if pid < 0 => holder(path),
                Some(pid) => process(pid),
            };
            Some((path.clone(), holder))
        })
    }
}

/// Whether an open file of the process has a lock on this file, by `/proc/PID/fdinfo`.
fn has_lock_of(process: u32, path: &Path) -> bool {
    let Ok(file) = fs::metadata(path) else { return false };
    let inode = format!(":{} ", file.ino());
    let open = fs::read_dir(format!("/proc/{process}/fdinfo")).into_iter().flatten().flatten();
    let mut about = open.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    about.any(|text| text.lines().any(|line| line.starts_with("lock:") && line.contains(&inode)))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::reporter::doubles::Heard;

    /// A process that holds a lock on a file until it is killed.
    fn holder(file: &Path) -> Child {
        let program = "use Fcntl; open(F, '>', $ARGV[0]); $lock = pack('s s l! l! i', F_WRLCK, 0, 0, 0, 0); \
                       fcntl(F, F_SETLK, $lock) or die; $| = 1; print 1; sleep 60";
        let mut child =
            Command::new("perl").args(["-e", program]).arg(file).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        child
    }

    #[test]
    fn a_holder_is_named_and_waited_for_with_a_limit() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("overlay-layers")).unwrap();
        let lock = scratch.path().join("overlay-layers/layers.lock");
        let mut holder = holder(&lock);
        let heard = Heard::default();
        let mut watch = LockWatch::new([scratch.path()], Duration::from_secs(600));
        let mut look = |child, done| watch.look(child, done, &heard);
        look(1, 0).unwrap();
        // Nothing is reported for its own locks, or while it makes progress.
        std::thread::sleep(QUIET);
        look(holder.id(), 0).unwrap();
        look(1, 0).unwrap();
        std::thread::sleep(QUIET);
        look(1, 1).unwrap();
        assert_eq!(heard.0.borrow().len(), 0);
        std::thread::sleep(QUIET);
        look(1, 1).unwrap();
        look(1, 1).unwrap();
        let said = heard.0.borrow().join("");
        assert!(
            said.contains("layers.lock") && said.contains(&format!("process {} (perl", holder.id())),
            "{said}"
        );
        assert!(said.contains("at most 600 s") && heard.0.borrow().len() == 1, "{said}");
        let mut impatient = LockWatch::new([scratch.path()], Duration::ZERO);
        impatient.look(1, 1, &heard).unwrap();
        assert!(matches!(impatient.look(1, 1, &heard), Err(Error::Locked { .. })));
        holder.kill().unwrap();
        holder.wait().unwrap();
        look(1, 1).unwrap();
    }
}

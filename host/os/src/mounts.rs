//! Mounts in a private mount namespace, which disappear with the process.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};

use crate::error::Error;

/// Enters a new mount namespace. May be called between fork and exec.
#[allow(unsafe_code)]
pub fn be_private() -> io::Result<()> {
    // SAFETY: no memory is shared through a mount namespace.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)? };
    // With shared propagation our mounts would appear on the host and stay there.
    let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", downstream)?)
}

/// Mounts `directory` at `target` for this process only, in the same way as bootc: a bind mount from a descriptor's path fails in
/// the new namespace, but one from a working directory that was set before works. May be called between fork and exec.
pub fn bind_privately(directory: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    let before = rustix::fs::open(".", OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::fchdir(directory)?;
    be_private()?;
    rustix::mount::mount_bind(".", target)?;
    Ok(rustix::process::fchdir(before)?)
}

/// Mounts an empty tmpfs at `directory`. May be called between fork and exec, after [`be_private`].
pub fn mount_memory(directory: &str) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount("tmpfs", directory, "tmpfs", flags, c"mode=0700")?)
}

/// Makes `directory` read-only for this process. May be called between fork and exec, after [`be_private`].
pub fn protect(directory: &str) -> io::Result<()> {
    rustix::mount::mount_bind(directory, directory)?;
    // The restrictions of the mount below must be kept, because a user namespace may not lift them.
    let below = rustix::fs::statvfs(directory)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (of_system, flag) in [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ] {
        flags.set(flag, below.contains(of_system));
    }
    Ok(rustix::mount::mount_remount(directory, flags, c"")?)
}

/// bootc hosts mount `/sysroot` read-only. This makes it writable for this process and those that it starts, in the same way as
/// bootc. Descriptors that were opened before stay read-only.
pub fn make_writable(path: &Path) -> Result<(), Error> {
    if is_read_only(path)? {
        let failed = |error: io::Error| Error::io("make a writable mount of", path)(error);
        be_private().map_err(failed)?;
        rustix::mount::mount_remount(path, MountFlags::BIND, c"").map_err(|error| failed(error.into()))?;
        // The mount is writable now, but the device may be read-only.
        if is_read_only(path)? {
            return Err(Error::ReadOnlyDevice(path.to_owned()));
        }
    }
    Ok(())
}

fn is_read_only(path: &Path) -> Result<bool, Error> {
    let system = rustix::fs::statvfs(path).map_err(|error| Error::io("examine", path)(error.into()))?;
    Ok(system.f_flag.contains(StatVfsMountFlags::RDONLY))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Mounts that only the thread sees. Only root can do that.
    #[test]
    fn a_part_of_a_read_only_mount_cannot_be_made_writable() {
        let scratch = tempfile::tempdir().unwrap();
        let below = scratch.path().join("below");
        fs::create_dir(&below).unwrap();
        make_writable(&below).unwrap();
        let tested = std::thread::spawn(move || {
            if let Err(error) = be_private() {
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
                return;
            }
            protect(scratch.path().to_str().unwrap()).unwrap();
            assert!(fs::write(below.join("file"), "").is_err());
            let expected = format!("cannot make a writable mount of {}", below.display());
            assert_eq!(make_writable(&below).unwrap_err().to_string(), expected);
            make_writable(scratch.path()).unwrap();
            fs::write(below.join("file"), "").unwrap();
        });
        tested.join().unwrap();
    }
}

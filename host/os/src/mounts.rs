//! Mounts that nobody else sees, and that end with the process that made them.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};

use crate::error::Error;

/// Leaves the mount namespace of everybody else. Fit for a child before its exec.
#[allow(unsafe_code)]
pub fn be_private() -> io::Result<()> {
    // SAFETY: no memory is shared through a mount namespace.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)? };
    // Where the system's mounts are shared, ours would show up there and stay.
    let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", downstream)?)
}

/// Shows `directory` at `target` to this process alone. As bootc does it: the mount can't be made from a descriptor's path, but
/// from the working directory it can, if that was set before the namespace was left. Fit for a child before its exec.
pub fn bind_privately(directory: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    let before = rustix::fs::open(".", OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::fchdir(directory)?;
    be_private()?;
    rustix::mount::mount_bind(".", target)?;
    Ok(rustix::process::fchdir(before)?)
}

/// An empty directory in memory in the place of `directory`. Fit for a child before its exec, after [`be_private`].
pub fn mount_memory(directory: &str) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount("tmpfs", directory, "tmpfs", flags, c"mode=0700")?)
}

/// Nobody writes into `directory` by way of this process. Fit for a child before its exec, after [`be_private`].
pub fn protect(directory: &str) -> io::Result<()> {
    rustix::mount::mount_bind(directory, directory)?;
    // What the mount below forbids stays forbidden: in a user namespace nobody may lift that.
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

/// bootc hosts keep `/sysroot` read-only; for this process and its children it becomes writable, as bootc does it. What was
/// opened before stays as it was.
pub fn make_writable(path: &Path) -> Result<(), Error> {
    if is_read_only(path)? {
        let failed = |error: io::Error| Error::io("make a writable mount of", path)(error);
        be_private().map_err(failed)?;
        rustix::mount::mount_remount(path, MountFlags::BIND, c"").map_err(|error| failed(error.into()))?;
        // The mount isn't any more; what is mounted may be.
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

//! Between fork and exec: sets up the mounts, descriptors and signals of a process, and leaves it nothing else of ours.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;

use rustix::io::FdFlags;
use rustix::process::Signal;

use super::process::{IN_MEMORY, Mounts, Process, TEMPORARY, Temporary};
use super::signals;
use crate::error::Error;
use crate::mounts::{be_private, bind_privately, mount_memory, protect};

impl Process {
    pub(super) fn log(&self) {
        let argv = self.command.get_args().map(|arg| arg.to_string_lossy().into_owned());
        tracing::info!(program = self.name, argv = without_secrets(argv).join(" "), "starting");
    }

    /// Registers what runs between fork and exec.
    #[allow(unsafe_code)]
    pub(super) fn prepare(&mut self) -> Result<(), Error> {
        close_on_exec()?;
        let descriptors = std::mem::take(&mut self.descriptors);
        let mounts = std::mem::replace(&mut self.mounts, Mounts::Inherited);
        let (parent, home) = (rustix::process::getpid(), self.home);
        let temporary = std::mem::replace(&mut self.temporary, Temporary::FromEnvironment);
        let ignored = signals::ignored_by_mistake();
        let enter = move || -> io::Result<()> {
            signals::reset(ignored)?;
            // If we are killed, nobody cleans up after it, so it must die as well.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match &mounts {
                Mounts::Inherited => {}
                Mounts::Private => be_private()?,
                Mounts::Bound(directory, target) => bind_privately(directory.as_fd(), target)?,
            }
            if let Some(home) = home {
                protect(home)?;
            }
            match &temporary {
                Temporary::FromEnvironment => {}
                Temporary::InMemory => mount_memory(IN_MEMORY)?,
                Temporary::Directory(directory) => rustix::mount::mount_bind(directory, TEMPORARY)?,
            }
            for (file, number) in &descriptors {
                // SAFETY: the number is only written to; forgetting the wrapper leaves it open for the program.
                let mut slot = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(*number) });
                rustix::io::dup2(file, &mut slot)?;
            }
            Ok(())
        };
        // SAFETY: `enter` makes system calls on memory that exists already; it neither allocates nor locks.
        unsafe { self.command.pre_exec(enter) };
        Ok(())
    }
}

/// Options with a secret, or with a value that often is one. podman shows neither in its own log.
const SECRET: [&str; 9] = [
    "--creds",
    "--src-creds",
    "--dest-creds",
    "--password",
    "--src-password",
    "--dest-password",
    "--registry-token",
    "--build-arg",
    "--env",
];

/// Arguments for a log, which other people may read.
fn without_secrets(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut is_secret = false;
    let mut shown = Vec::new();
    for argument in arguments {
        let option = argument.split_once('=').map_or(argument.as_str(), |(option, _)| option);
        let has_secret = SECRET.contains(&option);
        shown.push(match argument.len() > option.len() {
            _ if is_secret => "<hidden>".to_owned(),
            true if has_secret => format!("{option}=<hidden>"),
            _ => argument.clone(),
        });
        is_secret = !is_secret && has_secret && argument.len() == option.len();
    }
    shown
}

/// The process must not inherit descriptors that our caller has left open.
#[allow(unsafe_code)]
fn close_on_exec() -> Result<(), Error> {
    const OPEN: &str = "/proc/self/fd";
    for entry in fs::read_dir(OPEN).map_err(Error::io("read", OPEN))? {
        let entry = entry.map_err(Error::io("read", OPEN))?;
        let number: Option<RawFd> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|&number| number > 2) {
            // SAFETY: the descriptor is borrowed for one call that only sets a flag; if it is gone, that fails.
            let open = unsafe { BorrowedFd::borrow_raw(number) };
            match rustix::io::fcntl_setfd(open, FdFlags::CLOEXEC) {
                Ok(()) | Err(rustix::io::Errno::BADF) => {}
                Err(error) => {
                    return Err(Error::io("set close-on-exec for the descriptors in", OPEN)(error.into()));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_logged() {
        let arguments =
            "build --creds user:pass --build-arg=TOKEN=x --dest-creds=u:p --tag a=b --env --creds .";
        assert_eq!(
            without_secrets(arguments.split(' ').map(str::to_owned)).join(" "),
            "build --creds <hidden> --build-arg=<hidden> --dest-creds=<hidden> --tag a=b --env <hidden> ."
        );
    }
}

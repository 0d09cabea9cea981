//! What a process inherits from the caller of the tests: under `nohup`, as a job in the background, with a strict umask or small
//! limits, a test is about the same program all the same.
//!
//! A nice value stays, as does an OOM score above 0: they are how somebody shares a machine, and change no result.

use std::fs;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid, umask};

/// As a login on Debian has it: the limit, and the least that it may be raised to; none: there is no limit.
const LIMITS: [(Resource, Option<u64>, Option<u64>); 10] = [
    (Resource::As, None, None),
    (Resource::Core, Some(0), None),
    (Resource::Cpu, None, None),
    (Resource::Data, None, None),
    (Resource::Fsize, None, None),
    (Resource::Locks, None, None),
    (Resource::Nofile, Some(1024), Some(4096)),
    (Resource::Nproc, None, None),
    (Resource::Rss, None, None),
    (Resource::Stack, Some(8 << 20), None),
];

/// Makes this process, and so all that it starts, one that nobody has prepared.
pub(super) fn reset() -> Result<()> {
    heed_all_signals().context("signals")?;
    umask(Mode::from_raw_mode(0o022));
    for (resource, current, least) in LIMITS {
        let given = getrlimit(resource);
        let maximum = given.maximum.zip(least).map(|(given, least)| given.max(least));
        // In a container root may not raise what it was given.
        let raised = setrlimit(resource, Rlimit { current, maximum });
        let at_most = |given: u64| Some(current.map_or(given, |current| current.min(given)));
        let lowered = Rlimit { current: given.maximum.map_or(current, at_most), ..given };
        raised.or_else(|_| setrlimit(resource, lowered)).with_context(|| format!("limit {resource:?}"))?;
    }
    for entry in fs::read_dir("/proc/self/fd").context("open files")?.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok()).unwrap_or(0);
        if number > 2 {
            match fcntl(number, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
                // The directory itself, which is closed by now.
                Ok(_) | Err(Errno::EBADF) => {}
                Err(error) => return Err(error).context("open files"),
            }
        }
    }
    let score = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    if score.starts_with('-') {
        // One that takes all memory in a test must not be the last to go.
        fs::write("/proc/self/oom_score_adj", "0").context("OOM score")?;
    }
    // No terminal: what is sent from there is for the caller of the tests, and ends this by way of them. That fails for the
    // first process of a group, which is already on its own.
    let _ = setsid();
    Ok(())
}

/// Nothing is ignored but what the standard library has us ignore and doesn't pass on, and nothing is held back.
fn heed_all_signals() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let fixed = [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGPIPE];
    for signal in Signal::iterator().filter(|signal| !fixed.contains(signal)) {
        // SAFETY: no handler is set.
        #[allow(unsafe_code)]
        unsafe {
            sigaction(signal, &default)?;
        }
    }
    SigSet::empty().thread_set_mask()
}

//! The first steps of the program. They make sure that a crash leaves no core file in the caller's directory: the file would belong
//! to root and contain text of the caller, and the directory could be `/etc/cron.d`.

use std::path::PathBuf;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Disables core files, and lets only root inspect this process. Returns the caller's limit.
#[inline(never)]
pub(crate) fn leave_no_core_file() -> Rlimit {
    let given = getrlimit(Resource::Core);
    // Lowering a limit is always allowed.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..given });
    // Other users could no longer read their own `/proc/self`.
    if rustix::process::geteuid().is_root() {
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    given
}

/// Restores the caller's limit, for the real bootc.
pub(crate) fn give_back(core_limit: Rlimit) {
    let _ = setrlimit(Resource::Core, core_limit);
}

/// Changes to `/`, where only root can create files. Returns the caller's directory, if it still exists.
pub(crate) fn leave_directory() -> Option<PathBuf> {
    let directory = std::env::current_dir().ok();
    std::env::set_current_dir("/").ok().and(directory)
}

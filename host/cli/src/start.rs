//! The first thing that this program does. Whatever ends it, nothing of it stays in the directory in which the caller started it:
//! a core file there would be root's, with text of the caller's in it, and `/etc/cron.d` is such a directory.

use std::path::PathBuf;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// No core file from here on, and nobody but root looks into this process. Returns the caller's limit.
#[inline(never)]
pub(crate) fn leave_no_core_file() -> Rlimit {
    let given = getrlimit(Resource::Core);
    // A smaller limit is always allowed.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..given });
    // For others it would take `/proc/self` away from us.
    if rustix::process::geteuid().is_root() {
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    given
}

/// For the real bootc, whose limits aren't ours to choose.
pub(crate) fn give_back(core_limit: Rlimit) {
    let _ = setrlimit(Resource::Core, core_limit);
}

/// Goes to `/`, where nobody but root has files. Returns the directory in which the caller started us, if it is still there.
pub(crate) fn leave_directory() -> Option<PathBuf> {
    let directory = std::env::current_dir().ok();
    std::env::set_current_dir("/").ok().and(directory)
}

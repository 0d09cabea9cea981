//! Replaces the resource limits that the caller set. With a small file size limit, a line of the audit record could be cut off, or a
//! signal could end the program before it prints an error.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The smallest limit of open files with which everything works.
const OPEN_FILES: u64 = 1024;

/// The smallest limit of pending signals: the timer for plugins needs one.
const SIGNALS: u64 = 64;

/// The smallest stack that is enough for components.
const STACK: u64 = 8 << 20;

/// As root, sets the limits that the host's own services have. Limits that cannot be changed stay; other users change nothing.
pub(crate) fn reset() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let none = Rlimit { current: None, maximum: None };
    for resource in [Resource::Fsize, Resource::Cpu, Resource::As, Resource::Data] {
        let given = getrlimit(resource);
        if given != none && setrlimit(resource, none).is_err() {
            // In a container, root may not be allowed to raise the hard limit.
            let _ = setrlimit(resource, Rlimit { current: given.maximum, ..given });
        }
    }
    bootc_image_os::processes::survive_file_limits();
    raise(Resource::Stack, STACK);
    raise(Resource::Nofile, OPEN_FILES);
    raise(Resource::Sigpending, SIGNALS);
}

fn raise(resource: Resource, least: u64) {
    let given = getrlimit(resource);
    if given.current.is_some_and(|current| current < least) {
        let maximum = given.maximum.map(|maximum| maximum.max(least));
        let _ = setrlimit(resource, Rlimit { current: Some(least), maximum });
    }
}

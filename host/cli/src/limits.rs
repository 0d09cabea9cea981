//! The caller's resource limits aren't ours: with few bytes to write the record would be cut off, and a signal would end us
//! before a word is said.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The fewest open files with which everything works.
const OPEN_FILES: u64 = 1024;

/// The fewest pending signals: the clock of plugins needs one.
const SIGNALS: u64 = 64;

/// The smallest stack that is enough for what components may use of it.
const STACK: u64 = 8 << 20;

/// As root, makes them what the host's own services have. What can't be changed stays: whoever isn't root changes nothing.
pub(crate) fn reset() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let none = Rlimit { current: None, maximum: None };
    for resource in [Resource::Fsize, Resource::Cpu, Resource::As, Resource::Data] {
        let given = getrlimit(resource);
        if given != none && setrlimit(resource, none).is_err() {
            // In a container root may not be allowed more than that.
            let _ = setrlimit(resource, Rlimit { current: given.maximum, ..given });
        }
    }
    bootc_image_os::children::survive_file_limits();
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

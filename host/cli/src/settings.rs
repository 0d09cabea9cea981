//! Reads the environment, once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bootc_image_core::error::Error;
use bootc_image_engine::configuration::Configuration;
use bootc_image_engine::places::Places;
use bootc_image_engine::{Builtin, Environment};
use bootc_image_model::settings::{Place, Settings};
use bootc_image_model::subject::{Caller, Subject, login_uid};
use bootc_image_os::processes::PROXY_VARIABLES;
use bootc_image_os::root::RootDir;
use bootc_image_stores::sysroot;

use crate::exit::Failure;
use crate::options::Global;

/// How long a read waits for another process's lock.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
/// How long a change waits for another process that copies.
const CHANGE_LIMIT: Duration = Duration::from_secs(600);
/// The directory of the audit record and of the list of copies.
pub(crate) const STATE: &str = "/var/lib/bootc-image";

/// `directory` is the caller's working directory.
pub(crate) fn resolve(
    global: &Global,
    builtins: Vec<Builtin>,
    directory: Option<PathBuf>,
    about: About,
) -> Result<(Settings, Environment), Failure> {
    let root = rustix::process::geteuid().is_root();
    let sysroot = global.sysroot.as_deref().map(|path| absolute(path, directory.as_deref())).transpose()?;
    let subject = subject();
    let (places, sysroot) = match sysroot {
        // Plugins of that system are judged as on that system itself. Delegated callers cannot do that: they may have created it.
        Some(sysroot) if about == About::Plugins && subject.delegation.is_none() => {
            (places_of(&sysroot)?, None)
        }
        sysroot => (Places::of_system(if root { None } else { user() }), sysroot),
    };
    // If it is broken, the pipeline refuses every operation that changes something.
    let configuration = Configuration::read(&places);
    let settings = Settings {
        place: place(),
        sysroot,
        root,
        configuration: configuration.judging.clone(),
        lock_limit: LOCK_LIMIT,
        change_limit: CHANGE_LIMIT,
        programs: own_programs(),
        state: STATE.into(),
        directory,
        proxies: proxies(&subject),
        subject,
        dry_run: global.dry_run,
    };
    let programs = settings.programs.clone();
    Ok((settings, Environment { builtins, places, configuration, programs }))
}

/// The log filter in `RUST_LOG`.
pub(crate) fn log_filter() -> Option<String> {
    std::env::var("RUST_LOG").ok()
}

/// The width of the terminal in `COLUMNS`, for when there is no terminal.
pub(crate) fn columns() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok()
}

/// Whether `NO_COLOR` is set.
pub(crate) fn wants_no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The subject of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// Images, with the plugins of the running system.
    Images,
    /// Plugins, with `--sysroot` those of that system.
    Plugins,
}

/// The plugin directories of another system's default deployment, the one that would be booted next.
fn places_of(sysroot: &str) -> Result<Places, Failure> {
    let physical = RootDir::open(sysroot).map_err(Error::io("open", sysroot))?;
    let deployment = sysroot::default(&physical)?;
    let root = physical.path(&deployment.path);
    let own = root.join("etc");
    let etc = if own.is_dir() { own } else { root.join("usr/etc") };
    Ok(Places::of_other_system(&root, &etc, &physical.path(deployment.stateroot().join("var"))))
}

/// The user's own directories. Not used for root, who must not be affected by files or variables of a caller.
fn user() -> Option<(u32, PathBuf, PathBuf)> {
    let directory = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = directory("HOME");
    let data = directory("XDG_DATA_HOME").or_else(|| Some(home.as_ref()?.join(".local/share")))?;
    let configuration = directory("XDG_CONFIG_HOME").or_else(|| Some(home?.join(".config")))?;
    Some((rustix::process::geteuid().as_raw(), data, configuration))
}

/// A delegated caller must not choose the proxy to which root's credentials are sent.
fn proxies(subject: &Subject) -> Vec<(&'static str, std::ffi::OsString)> {
    let passed = PROXY_VARIABLES.iter().filter(|_| subject.delegation.is_none());
    passed.filter_map(|&name| Some((name, std::env::var_os(name)?))).collect()
}

pub(crate) fn absolute(path: &Path, directory: Option<&Path>) -> Result<String, Failure> {
    if path.as_os_str().is_empty() {
        return Err(Error::io("find", path)(std::io::ErrorKind::NotFound.into()).into());
    }
    let path = from_directory(path, directory)?;
    let path = std::path::absolute(&path).map_err(Error::io("find", path))?;
    path.into_os_string().into_string().map_err(Failure::NotUtf8)
}

/// Resolves a relative path against the caller's working directory, which the program has left.
pub(crate) fn from_directory(path: &Path, directory: Option<&Path>) -> Result<PathBuf, Failure> {
    match directory {
        _ if path.is_absolute() => Ok(path.to_owned()),
        Some(directory) => Ok(directory.join(path)),
        None => Err(Error::NoDirectory.into()),
    }
}

/// Checks the same files and variables as bootc.
fn place() -> Place {
    let named = std::env::var_os("container").is_some_and(|value| !value.is_empty());
    if named || Path::new("/run/.containerenv").exists() || Path::new("/.dockerenv").exists() {
        Place::Container
    } else if Path::new("/run/ostree-booted").exists() || is_composefs_host() {
        Place::Booted
    } else {
        Place::NotBooted
    }
}

/// A composefs host has no `/run/ostree-booted`.
fn is_composefs_host() -> bool {
    let text = |path| std::fs::read_to_string(path).unwrap_or_default();
    Path::new("/sysroot/composefs").is_dir()
        && (boots_composefs(&text("/proc/cmdline")) || mounts_composefs(&text("/proc/self/mountinfo")))
}

/// `composefs=ID`, or `composefs=?ID` if verification is optional.
fn boots_composefs(command_line: &str) -> bool {
    command_line.split_ascii_whitespace().any(|argument| argument.starts_with("composefs="))
}

/// After a soft reboot the kernel arguments are outdated, and the source of `/` counts: `composefs:ID`, or
/// `transient:composefs=ID`.
fn mounts_composefs(mounts: &str) -> bool {
    let root = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/"));
    let source = root.and_then(|line| line.split_once(" - ")).and_then(|(_, rest)| rest.split(' ').nth(1));
    source
        .is_some_and(|source| source.starts_with("composefs:") || source.starts_with("transient:composefs="))
}

/// The files of user accounts. Image-based hosts have the accounts of their image in the second.
const USERS: [&str; 2] = ["/etc/passwd", "/usr/lib/passwd"];

fn subject() -> Subject {
    let doas_user = text("DOAS_USER");
    let read = |path: &&str| std::fs::read_to_string(path).unwrap_or_default();
    let users = if doas_user.is_some() { USERS.iter().map(read).collect() } else { Vec::new() };
    let mut caller = Caller {
        effective_uid: rustix::process::geteuid().as_raw(),
        real_uid: rustix::process::getuid().as_raw(),
        login_uid: None,
        sudo_uid: text("SUDO_UID"),
        pkexec_uid: text("PKEXEC_UID"),
        doas_user,
        users,
    };
    // Read only if a variable names another user: it is needed to check that claim.
    if caller.is_claimed() {
        caller.login_uid = login_uid();
    }
    Subject::of_caller(&caller)
}

/// A variable as text. Invalid UTF-8 counts as set, but matches no user.
fn text(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The directories of our helper programs: as installed, then as built (beside this program).
fn own_programs() -> Vec<PathBuf> {
    let Ok(program) = std::env::current_exe() else { return Vec::new() };
    let directory = program.parent().unwrap_or(Path::new("/"));
    let prefix = directory.parent().unwrap_or(Path::new("/"));
    vec![prefix.join("libexec/bootc-image"), directory.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composefs_host_is_known_by_its_kernel_arguments_or_its_root() {
        for (arguments, expected) in [
            ("rw composefs=abc quiet", true),
            ("composefs=?abc\n", true),
            ("ostree=/ostree/boot.1/x ostree.prepare-root.composefs=1", false),
            ("", false),
        ] {
            assert_eq!(boots_composefs(arguments), expected, "{arguments}");
        }
        let mounts = |source: &str| {
            format!("20 1 0:5 / /proc rw - proc proc rw\n21 1 0:6 / / ro shared:1 - overlay {source} ro,x\n")
        };
        for (source, expected) in [
            ("composefs:abc", true),
            ("transient:composefs=abc", true),
            // ostree's own use of composefs.
            ("composefs", false),
            ("/dev/vda1", false),
        ] {
            assert_eq!(mounts_composefs(&mounts(source)), expected, "{source}");
        }
        assert!(!mounts_composefs(""));
    }
}

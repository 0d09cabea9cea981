//! Quadlet's directories: for the system manager, and for root's user manager.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::file::is_missing;
use super::{KINDS, kind};
use crate::error::Error;
use crate::system::System;

/// The directories of the system manager. The first unit of a name counts.
const OF_SYSTEM: [&str; 3] =
    ["/run/containers/systemd", "/etc/containers/systemd", "/usr/share/containers/systemd"];
/// The directory of users' units, which Quadlet ignores for the system manager.
const USERS: &str = "/etc/containers/systemd/users";
/// Root's own directories, which have precedence over those for all users.
const OF_ROOT: [&str; 2] = ["/run/user/0/containers/systemd", "/root/.config/containers/systemd"];
/// The directories for all users, each with the one for root in it.
const OF_USERS: [(&str, &str); 2] = [
    (USERS, "/etc/containers/systemd/users/0"),
    ("/usr/share/containers/systemd/users", "/usr/share/containers/systemd/users/0"),
];
/// The maximum depth of unit directories.
const MAX_DEPTH: usize = 32;

/// The manager that starts units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    /// The system manager.
    System,
    /// Root's user manager.
    Root,
}

/// A manager's directories and their subdirectories, in Quadlet's search order, each once.
///
/// # Errors
/// Any I/O error.
pub(super) fn directories(system: &System, manager: Manager) -> Result<Vec<PathBuf>, Error> {
    let users = match system.canonical(USERS) {
        Err(error) if is_missing(&error) => PathBuf::from(USERS),
        users => users.map_err(system.error("resolve the path", USERS))?,
    };
    let mut found = Vec::new();
    let mut add = |path: &str, counts: &dyn Fn(&Path) -> bool| {
        add_directory(system, path.as_ref(), counts, 0, &mut found)
    };
    match manager {
        Manager::System => {
            for directory in OF_SYSTEM {
                add(directory, &|path| !path.starts_with(&users))?;
            }
        }
        Manager::Root => {
            for directory in OF_ROOT {
                add(directory, &|_| true)?;
            }
            // A directory whose name is a number is for the user with that id.
            let is_of_all = |path: &Path| {
                let below = path.strip_prefix(&users).ok().and_then(|below| below.iter().next());
                below.is_none_or(|first| !first.as_encoded_bytes().iter().all(u8::is_ascii_digit))
            };
            for (all, roots) in OF_USERS {
                add(all, &is_of_all)?;
                add(roots, &|_| true)?;
            }
        }
    }
    Ok(found)
}

fn add_directory(
    system: &System,
    path: &Path,
    counts: &dyn Fn(&Path) -> bool,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    let path = match system.canonical(path) {
        Ok(path) => path,
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(system.error("resolve the path", path)(error)),
    };
    let is_of_drop_ins = path.extension().is_some_and(|extension| extension == "d");
    if found.contains(&path) || is_of_drop_ins || !counts(&path) || !system.is_directory(&path) {
        return Ok(());
    }
    if depth > MAX_DEPTH {
        let source = io::Error::other("unit directories are nested too deeply");
        return Err(system.error("read", &path)(source));
    }
    found.push(path.clone());
    for name in names(system, &path)? {
        add_directory(system, &path.join(name), counts, depth + 1, found)?;
    }
    Ok(())
}

/// The names in a directory, sorted; empty if it does not exist.
///
/// # Errors
/// Any I/O error; `InvalidData` for a unit or directory whose name is not UTF-8.
pub(super) fn names(system: &System, directory: &Path) -> Result<Vec<String>, Error> {
    let entries = match system.entries(directory) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(system.error("read", directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        match entry.name.into_string() {
            Ok(name) => names.push(name),
            Err(name) if entry.file_type.is_file() && !ends_like_a_unit(&name) => {}
            Err(name) => {
                let source = io::Error::new(io::ErrorKind::InvalidData, "its name is not valid UTF-8");
                return Err(system.error("read", directory.join(name))(source));
            }
        }
    }
    Ok(names)
}

fn ends_like_a_unit(name: &OsStr) -> bool {
    let ending = Path::new(name).extension().and_then(OsStr::to_str);
    ending.is_none_or(|ending| ending == "conf" || KINDS.contains(&ending))
}

/// The drop-ins of a unit, sorted by name. Of two with the same name, the one in the more specific directory counts.
///
/// # Errors
/// As [`names`].
pub(super) fn drop_ins(system: &System, directories: &[PathBuf], unit: &str) -> Result<Vec<PathBuf>, Error> {
    let mut files = BTreeMap::new();
    for name in drop_in_directories(unit) {
        for directory in directories {
            let directory = directory.join(&name);
            for file in names(system, &directory)? {
                if kind(&file) == Some("conf") {
                    let path = directory.join(&file);
                    files.entry(file).or_insert(path);
                }
            }
        }
    }
    Ok(files.into_values().collect())
}

/// `web-app@1.container.d`, `web-app@.container.d`, `web-@.container.d`, `web-.container.d`, `container.d`.
fn drop_in_directories(unit: &str) -> Vec<String> {
    let Some((stem, kind)) = unit.rsplit_once('.') else { return Vec::new() };
    let (name, instance) = match stem.split_once('@') {
        Some((name, instance)) => (name, Some(instance)),
        None => (stem, None),
    };
    let mut broad_first = vec![format!("{kind}.d")];
    for (dash, _) in name.match_indices('-') {
        broad_first.push(format!("{}-.{kind}.d", &name[..dash]));
        if instance.is_some() {
            broad_first.push(format!("{}-@.{kind}.d", &name[..dash]));
        }
    }
    if instance.is_some_and(|instance| !instance.is_empty()) {
        broad_first.push(format!("{name}@.{kind}.d"));
    }
    broad_first.push(format!("{unit}.d"));
    broad_first.reverse();
    broad_first
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    fn found(directories_made: &[&str]) -> [Vec<String>; 2] {
        let scratch = tempfile::tempdir().unwrap();
        for directory in directories_made {
            fs::create_dir_all(scratch.path().join(directory.trim_start_matches('/'))).unwrap();
        }
        let system = System::in_directory(scratch.path()).unwrap();
        [Manager::System, Manager::Root].map(|manager| {
            let found = directories(&system, manager).unwrap();
            found.iter().map(|path| path.display().to_string()).collect()
        })
    }

    #[test]
    fn roots_own_manager_has_directories_of_its_own() {
        let etc = |name: &str| format!("/etc/containers/systemd{name}");
        let made = ["", "/users/0/deep", "/users/1000", "/users/site", "/x"].map(etc);
        let made: Vec<&str> = made.iter().map(String::as_str).chain(OF_ROOT).collect();
        let [system, root] = found(&made);
        assert_eq!(system, ["", "/x"].map(etc));
        let of_users = ["/users", "/users/site", "/users/0", "/users/0/deep"].map(etc);
        assert_eq!(root, [&OF_ROOT.map(str::to_owned)[..], &of_users].concat());
    }

    #[test]
    fn a_name_that_isnt_text_is_an_error_if_it_may_be_a_units() {
        let scratch = tempfile::tempdir().unwrap();
        let system = System::in_directory(scratch.path()).unwrap();
        let path = |name: &[u8]| scratch.path().join(OsStr::from_bytes(name));
        fs::write(path(b"\xff.txt"), "").unwrap();
        fs::write(path(b"a.container"), "").unwrap();
        assert_eq!(names(&system, Path::new("/")).unwrap(), ["a.container"]);
        fs::write(path(b"\xff.kube"), "").unwrap();
        assert!(names(&system, Path::new("/")).unwrap_err().with_causes().contains("is not valid UTF-8"));
        fs::remove_file(path(b"\xff.kube")).unwrap();
        fs::create_dir(path(b"\xff.txt2")).unwrap();
        assert!(names(&system, Path::new("/")).is_err());
    }

    #[test]
    fn directories_that_cannot_be_followed_are_named() {
        let scratch = tempfile::tempdir().unwrap();
        let system = System::in_directory(scratch.path()).unwrap();
        let failed = || directories(&system, Manager::System).unwrap_err().with_causes();
        let path = |name: &str| scratch.path().join(name.trim_start_matches('/'));
        fs::create_dir_all(path(OF_SYSTEM[1])).unwrap();
        let too_long = "x".repeat(300);
        let of_users = path(USERS);
        std::os::unix::fs::symlink(&too_long, &of_users).unwrap();
        let expected = format!("cannot resolve the path {}: ", of_users.display());
        assert!(failed().starts_with(&expected), "{}", failed());
        fs::remove_file(&of_users).unwrap();
        let deep: PathBuf = std::iter::repeat_n("x", MAX_DEPTH + 1).collect();
        fs::create_dir_all(path(OF_SYSTEM[1]).join(&deep)).unwrap();
        let expected = format!(
            "cannot read {}: unit directories are nested too deeply",
            path(OF_SYSTEM[1]).join(&deep).display()
        );
        assert_eq!(failed(), expected);
    }
}

//! Where configuration, grants and plugins are found, and which files there are trusted.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bootc_image_os::files::read_at_most;
use bootc_image_os::trust::{Leeway, Policy, Untrusted};
use rustix::fs::OFlags;

/// The location of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Shipped in the OS image.
    Image,
    /// Installed on this host.
    Installed,
    /// Added by the site in `/etc`.
    Site,
    /// In the user's home; never read for root.
    User,
}

impl Place {
    /// All locations.
    pub const ALL: &[Self] = &[Self::Image, Self::Installed, Self::Site, Self::User];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Installed => "installed",
            Self::Site => "site",
            Self::User => "user",
        }
    }
}

/// The directories, in the order in which they are read.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Directories of configuration: the OS image's, then the site's.
    pub configuration: Vec<PathBuf>,
    /// Directories of plugins.
    pub plugins: Vec<(Place, PathBuf)>,
    /// Directories of grants, each with the location that its grants belong to.
    pub grants: Vec<(Place, PathBuf)>,
    /// The directory of compiled components; none: they are compiled each time.
    pub cache: Option<PathBuf>,
    /// A user other than root who may own files in the user's location.
    pub user: Option<u32>,
}

impl Places {
    /// The directories of the running system. `user` is the caller's uid with their directories for data and configuration, if the
    /// caller is not root.
    pub fn of_system(user: Option<(u32, PathBuf, PathBuf)>) -> Self {
        let mut places = Self {
            configuration: vec!["/usr/lib/bootc-image/config.d".into(), "/etc/bootc-image/config.d".into()],
            plugins: vec![
                (Place::Image, "/usr/lib/bootc-image/plugins".into()),
                (Place::Installed, "/var/lib/bootc-image/plugins".into()),
                (Place::Site, "/etc/bootc-image/plugins".into()),
            ],
            grants: vec![
                (Place::Image, "/usr/lib/bootc-image/grants.d".into()),
                (Place::Site, "/etc/bootc-image/grants.d".into()),
            ],
            cache: Some("/var/cache/bootc-image".into()),
            user: None,
        };
        if let Some((uid, data, configuration)) = user {
            places.plugins.push((Place::User, data.join("bootc-image/plugins")));
            places.grants.push((Place::User, configuration.join("bootc-image/grants.d")));
            places.user = Some(uid);
        }
        places
    }

    /// The directories of another system that is not running, from the paths of its root, its `/etc` and its `/var`. Compiled
    /// components are not cached.
    pub fn of_other_system(root: &Path, etc: &Path, var: &Path) -> Self {
        let of_system = Self::of_system(None);
        let there = |path: PathBuf| {
            let below =
                |prefix, directory: &Path| path.strip_prefix(prefix).ok().map(|rest| directory.join(rest));
            below("/etc", etc).or_else(|| below("/var", var)).or_else(|| below("/", root)).unwrap_or_default()
        };
        Self {
            configuration: of_system.configuration.into_iter().map(there).collect(),
            plugins: of_system.plugins.into_iter().map(|(place, path)| (place, there(path))).collect(),
            grants: of_system.grants.into_iter().map(|(place, path)| (place, there(path))).collect(),
            cache: None,
            user: None,
        }
    }

    /// Who may own files in `place`.
    pub(crate) fn owner(&self, place: Place) -> Owner {
        Owner { user: self.user.filter(|_| place == Place::User) }
    }
}

/// Who may own a file and every directory above it: root, and possibly a user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) user: Option<u32>,
}

impl Owner {
    pub(crate) const ROOT: Self = Self { user: None };

    /// Directories above may be sticky (like `/tmp`): others can create files there, but cannot replace existing ones.
    fn policy(self) -> Policy {
        Policy { user: self.user, leeway: Leeway::Sticky }
    }
}

/// A path in a trusted directory.
#[derive(Debug, Clone)]
pub(crate) struct TrustedPath {
    /// The path for messages.
    pub(crate) named: PathBuf,
    /// The path to open: below the canonical path that was checked, so that no link can lead elsewhere.
    pub(crate) real: PathBuf,
}

impl TrustedPath {
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> Self {
        Self { named: self.named.join(&name), real: self.real.join(&name) }
    }
}

/// The canonical path of a directory, if it exists. Fails if others could change the directory or one above it.
pub(crate) fn trusted_directory(path: &Path, owner: Owner) -> io::Result<Option<PathBuf>> {
    // Most directories do not exist, which one system call shows.
    let real = fs::symlink_metadata(path).and_then(|_| fs::canonicalize(path));
    let path = match real {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // A home that cannot be resolved has no plugins.
        Err(_) if owner.user.is_some() => return Ok(None),
        Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    };
    owner.policy().walk(&path).map_err(explain)?;
    Ok(Some(path))
}

/// Fails unless an entry of a trusted directory is a directory, and no link, that others cannot change.
pub(crate) fn trusted_entry(path: &Path, owner: Owner) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Err(io::Error::other(format!("{} must be a directory, not a symbolic link", path.display())));
    }
    trusted(path, &metadata, owner)
}

fn trusted(path: &Path, metadata: &Metadata, owner: Owner) -> io::Result<()> {
    owner.policy().look(path, metadata).map_err(explain)
}

/// The error message, with what to do next.
fn explain(untrusted: Untrusted) -> io::Error {
    match untrusted {
        Untrusted::Broken { part, rule: _ } => io::Error::other(format!(
            "{} must be owned by root and not writable by others (chown root, chmod go-w)",
            part.display()
        )),
        Untrusted::Unknown { source, .. } => source,
    }
}

/// The error with the path, unless its text begins with a path already.
pub(crate) fn with_path(path: &Path, error: impl Display) -> String {
    let why = error.to_string();
    if why.starts_with('/') { why } else { format!("{}: {why}", path.display()) }
}

/// Opens a regular file, with these additional flags. Anything else is refused: opening a pipe would wait for its writer.
pub(crate) fn open_file(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it must be a regular file")) }
}

/// Opens a file in a trusted directory. Fails for a symbolic link, and if others could change the file.
pub(crate) fn open_trusted(path: &Path, owner: Owner) -> io::Result<File> {
    let file = open_file(path, OFlags::NOFOLLOW).map_err(|error| {
        let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if is_link { io::Error::other("it must be a regular file, but is a symbolic link") } else { error }
    })?;
    trusted(path, &file.metadata()?, owner)?;
    Ok(file)
}

/// Reads the file, which may have up to `largest` bytes.
pub(crate) fn read_up_to(file: File, largest: u64) -> io::Result<Vec<u8>> {
    let too_large = || io::Error::other(format!("the file is larger than {} KiB", largest >> 10));
    read_at_most(file, largest)?.ok_or_else(too_large)
}

/// Reads a file that [`open_trusted`] opens, up to `largest` bytes.
pub(crate) fn read_trusted(path: &Path, owner: Owner, largest: u64) -> io::Result<Vec<u8>> {
    read_up_to(open_trusted(path, owner)?, largest)
}

/// Converts bytes to text.
pub(crate) fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::other("the file is not UTF-8 text"))
}

/// The largest configuration, grants or manifest file, in bytes.
pub(crate) const LARGEST_TEXT: u64 = 64 << 10;

/// Reads a text file that [`open_trusted`] opens.
pub(crate) fn read_text(path: &Path, owner: Owner) -> io::Result<String> {
    text(read_trusted(path, owner, LARGEST_TEXT)?)
}

/// The files in a list of drop-in directories.
#[derive(Debug)]
pub(crate) struct DropIns<'a, P> {
    /// Files that are read, in the order of their names.
    pub(crate) files: Vec<(&'a P, TrustedPath)>,
    /// Files that are ignored because a later directory has a file of the same name.
    pub(crate) hidden: Vec<HiddenFile<'a, P>>,
    /// Errors of directories that cannot be read.
    pub(crate) problems: Vec<io::Error>,
}

/// A file that is ignored.
#[derive(Debug)]
pub(crate) struct HiddenFile<'a, P> {
    pub(crate) place: &'a P,
    pub(crate) file: TrustedPath,
    /// The file that is read instead.
    pub(crate) by: PathBuf,
}

/// Finds all `*.toml` files in these directories. A file in a later directory replaces a file of the same name in an earlier one.
pub(crate) fn drop_ins<P>(directories: &[(P, PathBuf)], owner: impl Fn(&P) -> Owner) -> DropIns<'_, P> {
    let mut found = std::collections::BTreeMap::<_, (&P, TrustedPath)>::new();
    let (mut hidden, mut problems) = (Vec::new(), Vec::new());
    for (place, directory) in directories {
        let names = match names_in(directory, owner(place)) {
            Ok(names) => names,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for (name, file) in names {
            let by = file.named.clone();
            if let Some((place, file)) = found.insert(name, (place, file)) {
                hidden.push(HiddenFile { place, file, by });
            }
        }
    }
    DropIns { files: found.into_values().collect(), hidden, problems }
}

fn names_in(directory: &Path, owner: Owner) -> io::Result<Vec<(OsString, TrustedPath)>> {
    let Some(real) = trusted_directory(directory, owner)? else { return Ok(Vec::new()) };
    let trusted = TrustedPath { named: directory.to_owned(), real };
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", directory.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(&trusted.real).map_err(named)? {
        let name = entry.map_err(named)?.file_name();
        if is_drop_in(&name) {
            let file = trusted.join(&name);
            names.push((name, file));
        }
    }
    names.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(names)
}

fn is_drop_in(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(b".toml") && !name.starts_with(b".")
}

/// Files in these directories that are not read because of their names, although an administrator may expect it. Hidden files,
/// READMEs, and copies left by editors and package managers are not among them.
pub(crate) fn ignored_files<P>(directories: &[(P, PathBuf)]) -> Vec<PathBuf> {
    let entries = directories.iter().filter_map(|(_, directory)| fs::read_dir(directory).ok());
    let names = entries.flatten().flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_copy = [".bak", ".orig", ".rpmnew", ".rpmsave", "~"].iter().any(|end| name.ends_with(end));
        !is_drop_in(name.as_ref().as_ref())
            && !is_copy
            && !name.starts_with('.')
            && !name.starts_with("README")
    });
    let mut found: Vec<PathBuf> = names.map(|entry| entry.path()).collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_file_that_was_checked_is_read_even_if_a_link_changes() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        for name in ["checked", "other"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("a.toml"), name).unwrap();
        }
        symlink(path("checked"), path("link")).unwrap();
        // The user who runs the tests.
        let owner = Owner { user: Some(rustix::process::geteuid().as_raw()) };
        let directories = [((), path("link"))];
        let found = drop_ins(&directories, |()| owner).files;
        fs::remove_file(path("link")).unwrap();
        symlink(path("other"), path("link")).unwrap();
        let [((), file)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(read_text(&file.real, owner).unwrap(), "checked");
        assert_eq!(file.named, path("link/a.toml"));
    }
}

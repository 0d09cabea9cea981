//! Where configuration, grants and plugins are found, and which files there are trusted.

mod drop_ins;

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bootc_image_os::trust::{Leeway, Policy, Untrusted};
use rustix::fs::OFlags;

pub use drop_ins::{DropIns, HiddenFile, drop_ins, ignored_files};

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
    /// Built into the executable. It has no directory, and only a mask names it.
    BuiltIn,
}

impl Place {
    /// All locations.
    pub const ALL: &[Self] = &[Self::Image, Self::Installed, Self::Site, Self::User, Self::BuiltIn];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Installed => "installed",
            Self::Site => "site",
            Self::User => "user",
            Self::BuiltIn => "built-in",
        }
    }
}

/// A directory of the OS image, and the one whose files replace those of the same name.
pub type Replaceable = Option<(PathBuf, PathBuf)>;

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

    /// The directory of the OS image's configuration, and that of the site.
    pub fn replaceable_configuration(&self) -> Replaceable {
        let [of_image, of_site] = self.configuration.as_slice() else { return None };
        Some((of_image.clone(), of_site.clone()))
    }

    /// The directory of the OS image's grants, and that of the site.
    pub fn replaceable_grants(&self) -> Replaceable {
        let of = |place| self.grants.iter().find(|(other, _)| *other == place);
        let (Some((_, of_image)), Some((_, of_site))) = (of(Place::Image), of(Place::Site)) else {
            return None;
        };
        Some((of_image.clone(), of_site.clone()))
    }

    /// Who may own files in `place`.
    pub fn owner(&self, place: Place) -> Owner {
        Owner { user: self.user.filter(|_| place == Place::User) }
    }
}

/// Who may own a file and every directory above it: root, and possibly a user.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    /// The user; none: only root.
    pub user: Option<u32>,
}

impl Owner {
    /// Only root.
    pub const ROOT: Self = Self { user: None };

    /// Directories above may be sticky (like `/tmp`): others can create files there, but cannot replace existing ones.
    fn policy(self) -> Policy {
        Policy { user: self.user, leeway: Leeway::Sticky }
    }
}

/// A path in a trusted directory.
#[derive(Debug, Clone)]
pub struct TrustedPath {
    /// The path for messages.
    pub named: PathBuf,
    /// The path to open: below the canonical path that was checked, so that no link can lead elsewhere.
    pub real: PathBuf,
}

impl TrustedPath {
    /// A path below it.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> Self {
        Self { named: self.named.join(&name), real: self.real.join(&name) }
    }
}

/// The canonical path of a directory, if it exists. Fails if others could change the directory or one above it.
pub fn trusted_directory(path: &Path, owner: Owner) -> io::Result<Option<PathBuf>> {
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
///
/// # Errors
/// Why it is refused.
pub fn trusted_entry(path: &Path, owner: Owner) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Err(io::Error::other(format!(
            "it is a symbolic link{}, and links are not followed: copy the directory that it leads to, or mount it there with a bind mount",
            target(path)
        )));
    }
    if !metadata.is_dir() {
        return Err(io::Error::other("it must be a directory"));
    }
    trusted(path, &metadata, owner)
}

/// Where a link leads, for messages.
fn target(path: &Path) -> String {
    fs::read_link(path).map(|target| format!(" to {}", target.display())).unwrap_or_default()
}

/// Whether an entry is a link to `/dev/null`, which masks what has the same name in an earlier directory, as for systemd. The link is
/// compared as written: `/dev` of a system that is not running is empty.
pub fn is_mask(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|target| target == Path::new("/dev/null"))
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
pub fn with_path(path: &Path, error: impl fmt::Display) -> String {
    let why = error.to_string();
    if why.starts_with('/') { why } else { format!("{}: {why}", path.display()) }
}

/// Opens a regular file, with these additional flags. Anything else is refused: opening a pipe would wait for its writer.
pub fn open_file(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it must be a regular file")) }
}

/// Opens a file in a trusted directory. Fails for a symbolic link, and if others could change the file.
pub fn open_trusted(path: &Path, owner: Owner) -> io::Result<File> {
    let file = open_file(path, OFlags::NOFOLLOW).map_err(|error| {
        let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if is_link { refused_link(path) } else { error }
    })?;
    trusted(path, &file.metadata()?, owner)?;
    Ok(file)
}

/// Links are not followed: the file that a link leads to could be changed by somebody who cannot change the link.
fn refused_link(path: &Path) -> io::Error {
    io::Error::other(format!(
        "it must be a regular file, but is a symbolic link{}: replace the link by a copy of that file",
        target(path)
    ))
}

/// Reads the file, which may have up to `largest` bytes.
pub fn read_up_to(file: File, largest: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        let (number, unit) = if largest >= 1 << 20 { (largest >> 20, "MiB") } else { (largest >> 10, "KiB") };
        io::Error::other(format!("the file is larger than {number} {unit}"))
    };
    // With its capacity from the start, a long file is read without being moved.
    let length = file.metadata()?.len().min(largest);
    let mut contents = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
    file.take(largest + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > largest { Err(too_large()) } else { Ok(contents) }
}

/// Reads a file that [`open_trusted`] opens, up to `largest` bytes.
pub fn read_trusted(path: &Path, owner: Owner, largest: u64) -> io::Result<Vec<u8>> {
    read_up_to(open_trusted(path, owner)?, largest)
}

/// Converts bytes to text.
pub fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::other("the file is not UTF-8 text"))
}

/// The largest file of configuration or grants, in bytes: some 200,000 digests.
pub const LARGEST_DROP_IN: u64 = 16 << 20;

/// Reads a text file that [`open_trusted`] opens, up to `largest` bytes.
///
/// # Errors
/// Why it is refused.
pub fn read_text(path: &Path, owner: Owner, largest: u64) -> io::Result<String> {
    text(read_trusted(path, owner, largest)?)
}

/// Reads a file of configuration or grants that [`open_trusted`] opens.
///
/// # Errors
/// Why it is refused.
pub fn read_drop_in(path: &Path, owner: Owner) -> io::Result<String> {
    read_text(path, owner, LARGEST_DROP_IN)
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
        assert_eq!(read_text(&file.real, owner, 99).unwrap(), "checked");
        assert_eq!(file.named, path("link/a.toml"));
    }
}

//! Compares the files of a layer with the archive from which it was unpacked: existence, size, owner, mode and link target. The
//! contents of files are not read.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bootc_image_os::root::RootDir;
use rustix::fs::{FileType, Stat, fgetxattr, readlinkat};
use rustix::io::Errno;

use super::paths::{clean, if_there, look, path_of, shown, split};
use super::tar_split::{Entry, Header, Kind};

/// The prefix that marks a file of the layers below as removed.
pub(super) const WHITEOUT: &[u8] = b".wh.";
/// A directory that contains this file hides the layers below.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// The attributes that overlayfs uses for such a directory, in the initial user namespace and in others.
const OPAQUE_ATTRIBUTES: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];
/// The attribute that has the owner and mode if the storage is configured to force the same ones on all files.
const OVERRIDDEN: &str = "user.containers.override_stat";
/// The attribute of file capabilities.
const CAPABILITY: &str = "security.capability";
/// The maximum number of problems that are collected.
pub(super) const MAX_PROBLEMS: usize = 10_000;

/// How the driver stores the files that a layer removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whiteouts {
    /// As devices and attributes of overlayfs, or as files if a mount program is used.
    Kept,
    /// Not at all: a layer's directory is complete and includes the files of the layers below.
    Applied,
}

/// A problem of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Continues a message that begins with the layer: a predicate, or a sentence after a colon.
    pub(super) what: String,
    /// Whether only the owner, mode or other metadata is wrong.
    pub(super) is_of_metadata: bool,
}

/// Identifies a file: by the inode of its directory, because several paths may lead to it, or by its path if the directory is missing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    In(u64, Vec<u8>),
    Nowhere(Vec<u8>),
}

/// Compares the entries of an archive with a directory.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    pub(super) directory: &'a RootDir,
    whiteouts: Whiteouts,
    /// The directory of the last entry, because the next one is often in the same.
    parent: Option<(Vec<u8>, RootDir, u64)>,
    problems: HashMap<Place, (usize, Problem)>,
    /// Directories that hide the layers below.
    pub(super) opaque: HashSet<u64>,
}

impl<'a> Contents<'a> {
    pub(super) fn new(directory: &'a RootDir, whiteouts: Whiteouts) -> Self {
        Self { directory, whiteouts, parent: None, problems: HashMap::new(), opaque: HashSet::new() }
    }

    /// Checks one entry. If a later one is about the same file, that one counts.
    ///
    /// # Errors
    /// Any I/O error that does not mean that the file is damaged.
    pub(super) fn check(&mut self, entry: &Entry) -> io::Result<()> {
        let header = entry.header.as_ref();
        let Some(path) = clean(&entry.name) else { return Ok(()) };
        if header.is_some_and(|header| header.kind == Kind::Global) || self.problems.len() >= MAX_PROBLEMS {
            return Ok(());
        }
        let (parent, name) = split(&path);
        if !self.enter(parent)? {
            // A whiteout below a directory that the layer removes as well is not stored anywhere.
            if !(name.starts_with(WHITEOUT) && self.is_removed(parent)?) {
                let what = format!("has no directory {}", shown(parent));
                self.problem(Place::Nowhere(path.clone()), Problem { what, is_of_metadata: false });
            }
            return Ok(());
        }
        let Some((_, directory, inode)) = &self.parent else { return Ok(()) };
        let (inode, name) = (*inode, name.to_vec());
        let (found, name) = match (name.strip_prefix(WHITEOUT), self.whiteouts) {
            (Some(_), _) if name == OPAQUE => {
                self.opaque.insert(inode);
                (opaque(directory, parent, self.whiteouts)?, name)
            }
            // Metadata of aufs, which not every tool unpacks.
            (Some(rest), _) if rest.starts_with(WHITEOUT) => return Ok(()),
            (Some(rest), Whiteouts::Applied) => (None, rest.to_vec()),
            (Some(rest), Whiteouts::Kept) => (whiteout(directory, rest, &path)?, rest.to_vec()),
            (None, _) => (self.file(directory, &name, &path, entry)?, name),
        };
        let place = Place::In(inode, name);
        match found {
            Some(problem) => self.problem(place, problem),
            None if self.problems.is_empty() => {}
            None => {
                self.problems.remove(&place);
                if let Some(header) = header.filter(|header| header.kind == Kind::HardLink) {
                    self.excuse_link_metadata(&header.link)?;
                }
            }
        }
        Ok(())
    }

    /// A hard link has its own owner and mode in the archive, which the file has after unpacking. So a wrong owner or mode of the
    /// target is not a problem.
    fn excuse_link_metadata(&mut self, target: &[u8]) -> io::Result<()> {
        let Some(path) = clean(target) else { return Ok(()) };
        let (parent, name) = split(&path);
        if let Some(directory) = if_there(self.directory.open_root(path_of(parent)))? {
            let place = Place::In(directory.identity()?.1, name.to_vec());
            if self.problems.get(&place).is_some_and(|(_, problem)| problem.is_of_metadata) {
                self.problems.remove(&place);
            }
        }
        Ok(())
    }

    /// The first problem; a missing file has precedence over a wrong mode.
    pub(super) fn finish(self) -> Option<Problem> {
        let problems = self.problems.into_values();
        problems.min_by_key(|(number, problem)| (problem.is_of_metadata, *number)).map(|(_, problem)| problem)
    }

    fn problem(&mut self, place: Place, problem: Problem) {
        let number = self.problems.len();
        self.problems.insert(place, (number, problem));
    }

    /// Opens the directory of the next entry; false if it is missing.
    fn enter(&mut self, parent: &[u8]) -> io::Result<bool> {
        if self.parent.as_ref().is_some_and(|(path, _, _)| path == parent) {
            return Ok(true);
        }
        self.parent = None;
        let Some(directory) = if_there(self.directory.open_root(path_of(parent)))? else { return Ok(false) };
        let (_, inode) = directory.identity()?;
        self.parent = Some((parent.to_vec(), directory, inode));
        Ok(true)
    }

    /// Whether a part of the path is a whiteout in this layer.
    fn is_removed(&self, path: &[u8]) -> io::Result<bool> {
        for end in
            path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()])
        {
            let part = path.get(..end).unwrap_or_default();
            let (parent, name) = split(part);
            let Some(directory) = if_there(self.directory.open_root(path_of(parent)))? else {
                return Ok(false);
            };
            if whiteout(&directory, name, part)?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn file(
        &self,
        directory: &RootDir,
        name: &[u8],
        path: &[u8],
        entry: &Entry,
    ) -> io::Result<Option<Problem>> {
        let missing =
            |is: &str| Problem { what: format!("has no {is} {}", shown(path)), is_of_metadata: false };
        let Some(found) = look(directory, name)? else { return Ok(Some(missing(expected(entry)))) };
        let file_type = FileType::from_raw_mode(found.st_mode);
        let Some(header) = &entry.header else {
            let fits = if entry.name.ends_with(b"/") {
                file_type == FileType::Directory
            } else {
                entry.size == 0 || (file_type == FileType::RegularFile && is_size(&found, entry.size))
            };
            return Ok((!fits).then(|| missing(expected(entry))));
        };
        let wanted = match header.kind {
            Kind::File | Kind::Sparse => FileType::RegularFile,
            Kind::Symlink => FileType::Symlink,
            Kind::Directory => FileType::Directory,
            Kind::Character => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
            Kind::Fifo => FileType::Fifo,
            // The same as its target.
            Kind::HardLink | Kind::Global => file_type,
        };
        if file_type != wanted {
            return Ok(Some(missing(expected(entry))));
        }
        if header.kind == Kind::HardLink && !self.is_same(&found, &header.link)? {
            return Ok(Some(missing("hard link")));
        }
        if header.kind == Kind::File && !is_size(&found, entry.size) {
            let what =
                format!(": file {} has {} bytes instead of {}", shown(path), found.st_size, entry.size);
            return Ok(Some(Problem { what, is_of_metadata: false }));
        }
        let what = self.metadata(directory, name, &found, header)?;
        let what = what.map(|what| format!(": {} has the wrong {what}", shown(path)));
        Ok(what.map(|what| Problem { what, is_of_metadata: true }))
    }

    /// The metadata that differs from the header.
    fn metadata(
        &self,
        directory: &RootDir,
        name: &[u8],
        found: &Stat,
        header: &Header,
    ) -> io::Result<Option<&'static str>> {
        let device = (rustix::fs::major(found.st_rdev).into(), rustix::fs::minor(found.st_rdev).into());
        if matches!(header.kind, Kind::Character | Kind::Block) && device != header.device {
            return Ok(Some("device number"));
        }
        if header.kind == Kind::Symlink {
            let target = readlinkat(directory, OsStr::from_bytes(name), Vec::new())?;
            if target.as_bytes() != header.link {
                return Ok(Some("target"));
            }
        }
        // Creating a hard link may clear these bits.
        let ignored = match header.kind {
            Kind::Symlink => 0o7777,
            Kind::Directory => 0,
            _ if found.st_nlink > 1 => 0o6000,
            _ => 0,
        };
        let wrong = if (u64::from(found.st_uid), u64::from(found.st_gid)) != (header.uid, header.gid) {
            "owner"
        } else if (found.st_mode ^ header.mode) & 0o7777 & !ignored != 0 {
            "mode"
        } else if header.kind != Kind::HardLink && !has_capability(directory, name, header)? {
            "capability"
        } else {
            return Ok(None);
        };
        let file = matches!(header.kind, Kind::File | Kind::Sparse | Kind::Directory | Kind::HardLink);
        let is_overridden = file && has_attribute(directory, name, OVERRIDDEN)?;
        Ok((!is_overridden).then_some(wrong))
    }

    /// Whether a file is the target of a hard link.
    fn is_same(&self, found: &Stat, link: &[u8]) -> io::Result<bool> {
        let Some(path) = clean(link) else { return Ok(false) };
        let (parent, name) = split(&path);
        let Some(directory) = if_there(self.directory.open_root(path_of(parent)))? else { return Ok(false) };
        let other = look(&directory, name)?;
        Ok(other.is_some_and(|other| (other.st_dev, other.st_ino) == (found.st_dev, found.st_ino)))
    }
}

/// The type of an entry, for messages.
fn expected(entry: &Entry) -> &'static str {
    match entry.header.as_ref().map(|header| header.kind) {
        Some(Kind::Symlink) => "link",
        Some(Kind::HardLink) => "hard link",
        Some(Kind::Directory) => "directory",
        Some(Kind::Character | Kind::Block) => "device",
        Some(Kind::Fifo) => "pipe",
        None if entry.name.ends_with(b"/") => "directory",
        _ => "file",
    }
}

fn is_size(found: &Stat, size: u64) -> bool {
    u64::try_from(found.st_size) == Ok(size)
}

/// Checks for a whiteout: a device with number 0, or a file with the prefix.
fn whiteout(directory: &RootDir, name: &[u8], path: &[u8]) -> io::Result<Option<Problem>> {
    let is_device = look(directory, name)?.is_some_and(|found| {
        FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && found.st_rdev == 0
    });
    if is_device || look(directory, &[WHITEOUT, name].concat())?.is_some() {
        return Ok(None);
    }
    Ok(Some(Problem { what: format!("has no whiteout {}", shown(path)), is_of_metadata: false }))
}

/// Checks that a directory hides the layers below.
fn opaque(directory: &RootDir, path: &[u8], whiteouts: Whiteouts) -> io::Result<Option<Problem>> {
    if whiteouts == Whiteouts::Applied || look(directory, OPAQUE)?.is_some() {
        return Ok(None);
    }
    let open = directory.open_file(".")?;
    let mut value = [0_u8; 1];
    for name in OPAQUE_ATTRIBUTES {
        if fgetxattr(&open, name, &mut value[..]) == Ok(1) && value == *b"y" {
            return Ok(None);
        }
    }
    let what =
        format!("does not hide the lower layers' files in {} (the opaque attribute is missing)", shown(path));
    Ok(Some(Problem { what, is_of_metadata: false }))
}

fn has_attribute(directory: &RootDir, name: &[u8], attribute: &str) -> io::Result<bool> {
    let Some(file) = if_there(directory.open_file(Path::new(OsStr::from_bytes(name))))? else {
        return Ok(false);
    };
    let mut value = [0_u8; 0];
    Ok(fgetxattr(file, attribute, &mut value[..]).is_ok())
}

/// Whether a file has the capabilities in the header. True if the file system does not support them.
fn has_capability(directory: &RootDir, name: &[u8], header: &Header) -> io::Result<bool> {
    let Some(wanted) = header.capability.as_ref().filter(|_| header.kind == Kind::File) else {
        return Ok(true);
    };
    let Some(file) = if_there(directory.open_file(Path::new(OsStr::from_bytes(name))))? else {
        return Ok(false);
    };
    let mut value = [0_u8; 64];
    match fgetxattr(file, CAPABILITY, &mut value[..]) {
        Ok(length) => Ok(value.get(..length) == Some(wanted)),
        Err(Errno::NODATA) => Ok(false),
        Err(_) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn entry(name: &str, kind: Kind, size: u64, link: &str, mode: u32) -> Entry {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let (uid, gid, link) = (uid.into(), gid.into(), link.as_bytes().to_vec());
        let header = Some(Header { kind, mode, uid, gid, link, device: (0, 0), capability: None });
        Entry { name: name.as_bytes().to_vec(), size, header }
    }

    fn file(name: &str, size: u64) -> Entry {
        entry(name, Kind::File, size, "", 0o644)
    }

    /// What is wrong with a directory that `make` has filled, by these entries.
    fn problem(make: impl FnOnce(&Path), entries: &[Entry]) -> Option<(String, bool)> {
        let scratch = tempfile::tempdir().unwrap();
        make(scratch.path());
        let root = RootDir::open(scratch.path()).unwrap();
        let mut contents = Contents::new(&root, Whiteouts::Kept);
        entries.iter().for_each(|entry| contents.check(entry).unwrap());
        contents.finish().map(|problem| (problem.what, problem.is_of_metadata))
    }

    fn with_file(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    #[test]
    fn of_several_entries_of_one_file_the_last_one_counts() {
        let make = |root: &Path| {
            with_file(&root.join("usr/lib/x"), "12345");
            symlink("usr/lib", root.join("lib")).unwrap();
        };
        let fits = [file("usr/lib/x", 3), file("lib/x", 5), file("./usr//lib/x", 7), file("/lib/x", 5)];
        assert_eq!(problem(make, &fits), None);
        let (what, _) = problem(make, &[file("lib/x", 5), file("usr/lib/x", 3)]).unwrap();
        assert_eq!(what, ": file /usr/lib/x has 5 bytes instead of 3");
    }

    #[test]
    fn nothing_outside_is_looked_at() {
        let make = |root: &Path| symlink("/", root.join("up")).unwrap();
        for name in ["up/etc/passwd", "../etc/passwd", "up/../../etc/passwd"] {
            assert!(problem(make, &[file(name, 0)]).unwrap().0.starts_with("has no "), "{name}");
        }
        // The path of the layer itself is ignored.
        assert_eq!(problem(|_| {}, &[file("../..", 0), entry("./", Kind::Directory, 0, "", 0o700)]), None);
    }

    #[test]
    fn what_is_taken_away_below_something_that_is_taken_away_is_nowhere() {
        let whiteout = |root: &Path| with_file(&root.join(".wh.gone"), "");
        let entries = [file(".wh.gone", 0), file("gone/.wh.x", 0), file("gone/deep/.wh.y", 0)];
        assert_eq!(problem(whiteout, &entries), None);
        assert_eq!(problem(|_| {}, &entries[..1]).unwrap().0, "has no whiteout /.wh.gone");
        assert_eq!(problem(|_| {}, &entries[1..]).unwrap().0, "has no directory /gone");
        let opaque = [file("a/.wh..wh..opq", 0)];
        let shows = "does not hide the lower layers' files in /a (the opaque attribute is missing)";
        assert_eq!(problem(|root| fs::create_dir(root.join("a")).unwrap(), &opaque).unwrap().0, shows);
    }

    #[test]
    fn a_missing_file_counts_before_a_wrong_mode() {
        let make = |root: &Path| with_file(&root.join("a"), "");
        let wrong = entry("a", Kind::File, 0, "", 0o600);
        assert_eq!(
            problem(make, std::slice::from_ref(&wrong)).unwrap(),
            (": /a has the wrong mode".to_owned(), true)
        );
        assert_eq!(problem(make, &[wrong, file("b", 0)]).unwrap(), ("has no file /b".to_owned(), false));
    }

    #[test]
    fn a_hard_link_may_give_a_file_another_owner() {
        let make = |root: &Path| {
            with_file(&root.join("a"), "");
            fs::hard_link(root.join("a"), root.join("b")).unwrap();
        };
        let mut other = file("a", 0);
        other.header.as_mut().unwrap().uid += 1;
        let link = entry("b", Kind::HardLink, 0, "a", 0o644);
        assert_eq!(problem(make, std::slice::from_ref(&other)).unwrap().0, ": /a has the wrong owner");
        assert_eq!(problem(make, &[other, link]), None);
        let mut owned = entry("link", Kind::Symlink, 0, "a", 0o777);
        owned.header.as_mut().unwrap().gid += 1;
        let link = |root: &Path| symlink("a", root.join("link")).unwrap();
        assert_eq!(problem(link, &[owned]).unwrap(), (": /link has the wrong owner".to_owned(), true));
    }

    #[test]
    fn without_a_header_names_and_sizes_must_do() {
        let plain = |name: &str, size| Entry { name: name.into(), size, header: None };
        let make = |root: &Path| with_file(&root.join("a/b"), "12");
        assert_eq!(problem(make, &[plain("a/", 0), plain("a/b", 2)]), None);
        assert_eq!(problem(make, &[plain("a/b", 3)]).unwrap().0, "has no file /a/b");
        assert_eq!(problem(make, &[plain("a/b/", 0)]).unwrap().0, "has no directory /a/b");
    }
}

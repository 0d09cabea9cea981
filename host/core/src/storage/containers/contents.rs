//! Whether the files of a layer are those of the archive that it was unpacked from: there, of their size, and with their
//! owner, mode and target. What is in them isn't read.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Stat, fgetxattr, readlinkat, statat};

use super::tar_split::{Entry, Header, Kind};
use crate::storage::root::RootDir;

/// What stands in front of the name of a file that a layer takes away from those below.
const WHITEOUT: &[u8] = b".wh.";
/// A directory with this file in it shows nothing of the layers below.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// How overlayfs knows such a directory, in the initial user namespace and in others.
const OPAQUE_ATTRIBUTES: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];
/// Where the storage tools keep owner and mode if they were told to give all files the same ones.
const OVERRIDDEN: &str = "user.containers.override_stat";
/// More files than that aren't counted: the first few say enough.
const MAX_PROBLEMS: usize = 10_000;
/// Directories below one another.
const MAX_DEPTH: usize = 512;

/// How the driver keeps what a layer takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whiteouts {
    /// As devices and attributes of overlayfs, or as files if the driver's own program mounts it.
    Kept,
    /// Not at all: a layer's directory has everything, also what is of the layers below.
    Done,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// After the name of the layer.
    pub(super) what: String,
    /// Whether the file itself is there as it should be, and only its owner, mode or the like is another.
    pub(super) is_of_metadata: bool,
}

/// A file: by the directory that it is in, if that is there, since several paths may lead to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    In(u64, Vec<u8>),
    Nowhere(Vec<u8>),
}

/// Compares the entries of an archive with a directory, one after the other.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    directory: &'a RootDir,
    whiteouts: Whiteouts,
    /// The directory of the last entry: the next one is often in the same.
    parent: Option<(Vec<u8>, RootDir, u64)>,
    problems: HashMap<Place, (usize, Problem)>,
    /// Directories that show nothing of the layers below.
    opaque: HashSet<u64>,
}

impl<'a> Contents<'a> {
    pub(super) fn new(directory: &'a RootDir, whiteouts: Whiteouts) -> Self {
        Self { directory, whiteouts, parent: None, problems: HashMap::new(), opaque: HashSet::new() }
    }

    /// Looks at one entry. A later one may be about the same file, and then that one counts.
    ///
    /// # Errors
    /// The system's, if it isn't the file that is in the way.
    pub(super) fn check(&mut self, entry: &Entry) -> io::Result<()> {
        let header = entry.header.as_ref();
        let Some(path) = clean(&entry.name) else { return Ok(()) };
        if header.is_some_and(|header| header.kind == Kind::Global) || self.problems.len() >= MAX_PROBLEMS {
            return Ok(());
        }
        let (parent, name) = split(&path);
        if !self.enter(parent)? {
            // What a layer takes away below something that it takes away as well is nowhere.
            if !(name.starts_with(WHITEOUT) && self.is_taken_away(parent)?) {
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
            // Files of aufs itself, which not every tool unpacks; and what isn't there any more.
            (Some(rest), _) if rest.starts_with(WHITEOUT) => return Ok(()),
            (Some(rest), Whiteouts::Done) => (None, rest.to_vec()),
            (Some(rest), Whiteouts::Kept) => (whiteout(directory, rest, &path)?, rest.to_vec()),
            (None, _) => (self.file(directory, &name, &path, entry)?, name),
        };
        let place = Place::In(inode, name);
        match found {
            Some(problem) => self.problem(place, problem),
            None if self.problems.is_empty() => {}
            None => {
                self.problems.remove(&place);
            }
        }
        Ok(())
    }

    /// What is wrong with the first file that isn't as it should be; a missing file counts before a wrong mode.
    pub(super) fn finish(self) -> Option<Problem> {
        let problems = self.problems.into_values();
        problems.min_by_key(|(number, problem)| (problem.is_of_metadata, *number)).map(|(_, problem)| problem)
    }

    fn problem(&mut self, place: Place, problem: Problem) {
        let number = self.problems.len();
        self.problems.insert(place, (number, problem));
    }

    /// Opens the directory in which the next entry is; false if there is none.
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

    /// Whether a path leads through something that isn't a directory in this layer, but takes one away.
    fn is_taken_away(&self, path: &[u8]) -> io::Result<bool> {
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
            // As what it is another name of.
            Kind::HardLink | Kind::Global => file_type,
        };
        if file_type != wanted {
            return Ok(Some(missing(expected(entry))));
        }
        if header.kind == Kind::HardLink {
            return Ok((!self.is_same(&found, &header.link)?).then(|| missing("hard link")));
        }
        if header.kind == Kind::File && !is_size(&found, entry.size) {
            let what = format!("has {} bytes of {} instead of {}", found.st_size, shown(path), entry.size);
            return Ok(Some(Problem { what, is_of_metadata: false }));
        }
        let what = self.metadata(directory, name, &found, header)?;
        let what = what.map(|what| format!("has another {what} of {}", shown(path)));
        Ok(what.map(|what| Problem { what, is_of_metadata: true }))
    }

    /// What isn't as the header says.
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
            return Ok((target.as_bytes() != header.link).then_some("target"));
        }
        // A hard link that is made later may cost a file these bits.
        let ignored = if found.st_nlink > 1 && header.kind != Kind::Directory { 0o6000 } else { 0 };
        let wrong = if (u64::from(found.st_uid), u64::from(found.st_gid)) != (header.uid, header.gid) {
            "owner"
        } else if (found.st_mode ^ header.mode) & 0o7777 & !ignored != 0 {
            "mode"
        } else {
            return Ok(None);
        };
        let file = matches!(header.kind, Kind::File | Kind::Sparse | Kind::Directory);
        let is_overridden = file && has_attribute(directory, name, OVERRIDDEN)?;
        Ok((!is_overridden).then_some(wrong))
    }

    /// Whether a file is the one that a hard link names.
    fn is_same(&self, found: &Stat, link: &[u8]) -> io::Result<bool> {
        let Some(path) = clean(link) else { return Ok(false) };
        let (parent, name) = split(&path);
        let Some(directory) = if_there(self.directory.open_root(path_of(parent)))? else { return Ok(false) };
        let other = look(&directory, name)?;
        Ok(other.is_some_and(|other| (other.st_dev, other.st_ino) == (found.st_dev, found.st_ino)))
    }
}

/// Compares a layer's directory that has everything with that of the layer below: what isn't there as it is there, in the
/// directories that aren't opaque. The entries of the layer's own archive are then taken off: of those it says more itself.
pub(super) struct Inherited {
    problems: HashMap<Place, Problem>,
}

impl Inherited {
    /// # Errors
    /// The system's.
    pub(super) fn compare(below: &RootDir, contents: &Contents<'_>) -> io::Result<Self> {
        let mut inherited = Self { problems: HashMap::new() };
        inherited.walk(below, contents.directory, Path::new(""), &contents.opaque, 0)?;
        Ok(inherited)
    }

    /// Whether there is nothing to be taken off.
    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// What the layer's own archive says something of isn't the other's any more.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn take_off(&mut self, directory: &RootDir, entry: &Entry) -> io::Result<()> {
        let Some(path) = clean(&entry.name) else { return Ok(()) };
        let (parent, name) = split(&path);
        if let Some(directory) = if_there(directory.open_root(path_of(parent)))? {
            let name = name.strip_prefix(WHITEOUT).unwrap_or(name);
            self.problems.remove(&Place::In(directory.identity()?.1, name.to_vec()));
        }
        Ok(())
    }

    /// One of what is left.
    pub(super) fn finish(self) -> Option<Problem> {
        self.problems
            .into_values()
            .min_by(|a, b| (a.is_of_metadata, &a.what).cmp(&(b.is_of_metadata, &b.what)))
    }

    fn walk(
        &mut self,
        below: &RootDir,
        here: &RootDir,
        path: &Path,
        opaque: &HashSet<u64>,
        depth: usize,
    ) -> io::Result<()> {
        let (_, inode) = here.identity()?;
        if opaque.contains(&inode) || depth > MAX_DEPTH || self.problems.len() >= MAX_PROBLEMS {
            return Ok(());
        }
        for entry in below.entries(".")? {
            let name = entry.name.as_bytes();
            let Some(expected) = look(below, name)? else { continue };
            let path = path.join(&entry.name);
            let found = look(here, name)?;
            let kind = |stat: &Stat| FileType::from_raw_mode(stat.st_mode);
            let problem = match &found {
                None => Some((format!("has no {}", shown(path.as_os_str().as_bytes())), false)),
                Some(found) if kind(found) != kind(&expected) => {
                    Some((format!("has something else as {}", shown(path.as_os_str().as_bytes())), false))
                }
                Some(found) if kind(found) != FileType::Directory && found.st_size != expected.st_size => {
                    let (is, should) = (found.st_size, expected.st_size);
                    let path = shown(path.as_os_str().as_bytes());
                    Some((format!("has {is} bytes of {path} instead of {should}"), false))
                }
                Some(found)
                    if (found.st_mode, found.st_uid, found.st_gid)
                        != (expected.st_mode, expected.st_uid, expected.st_gid) =>
                {
                    Some((
                        format!("has another owner or mode of {}", shown(path.as_os_str().as_bytes())),
                        true,
                    ))
                }
                Some(_) => None,
            };
            let is_directory = found.is_some_and(|found| kind(&found) == FileType::Directory);
            if let Some((what, is_of_metadata)) = problem {
                self.problems.insert(Place::In(inode, name.to_vec()), Problem { what, is_of_metadata });
            }
            if is_directory && kind(&expected) == FileType::Directory {
                let name = Path::new(&entry.name);
                self.walk(&below.open_root(name)?, &here.open_root(name)?, &path, opaque, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// What is missing, or is something else.
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

/// That a file of the layers below isn't there: a device without a number, or a file.
fn whiteout(directory: &RootDir, name: &[u8], path: &[u8]) -> io::Result<Option<Problem>> {
    let is_device = look(directory, name)?.is_some_and(|found| {
        FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && found.st_rdev == 0
    });
    if is_device || look(directory, &[WHITEOUT, name].concat())?.is_some() {
        return Ok(None);
    }
    Ok(Some(Problem { what: format!("has no whiteout {}", shown(path)), is_of_metadata: false }))
}

/// That nothing of the layers below is in a directory.
fn opaque(directory: &RootDir, path: &[u8], whiteouts: Whiteouts) -> io::Result<Option<Problem>> {
    if whiteouts == Whiteouts::Done || look(directory, OPAQUE)?.is_some() {
        return Ok(None);
    }
    let open = directory.open_file(".")?;
    let mut value = [0_u8; 1];
    for name in OPAQUE_ATTRIBUTES {
        if fgetxattr(&open, name, &mut value[..]) == Ok(1) && value == *b"y" {
            return Ok(None);
        }
    }
    let what = format!("shows what lower layers have in {}, which it should hide", shown(path));
    Ok(Some(Problem { what, is_of_metadata: false }))
}

fn has_attribute(directory: &RootDir, name: &[u8], attribute: &str) -> io::Result<bool> {
    let Some(file) = if_there(directory.open_file(Path::new(OsStr::from_bytes(name))))? else {
        return Ok(false);
    };
    let mut value = [0_u8; 0];
    Ok(fgetxattr(file, attribute, &mut value[..]).is_ok())
}

/// What is there, links not followed.
fn look(directory: &RootDir, name: &[u8]) -> io::Result<Option<Stat>> {
    let found = statat(directory, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW);
    if_there(found.map_err(io::Error::from))
}

/// None if it isn't there, or the file system can't read it any more.
fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that what is read isn't as it should be, not that it can't be read now.
pub(super) fn is_damage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const SIGNS: [Errno; 8] = [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::ISDIR,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::IO,
        Errno::UCLEAN,
        Errno::STALE,
    ];
    let kind = error.kind();
    Errno::from_io_error(error).is_some_and(|errno| SIGNS.contains(&errno))
        || matches!(
            kind,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
        )
}

/// The path as it is within the layer; none for the layer itself, and for what would be outside.
fn clean(name: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() { None } else { Some(parts.join(&b'/')) }
}

/// The directory and the name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

fn path_of(path: &[u8]) -> PathBuf {
    if path.is_empty() { ".".into() } else { OsStr::from_bytes(path).into() }
}

/// A path for a message.
fn shown(path: &[u8]) -> String {
    if path.is_empty() { "/".to_owned() } else { String::from_utf8_lossy(path).escape_debug().to_string() }
}

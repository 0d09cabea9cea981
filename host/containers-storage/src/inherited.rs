//! With the vfs driver, whose directories are complete: whether a layer's directory has the files of the layer below.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bootc_image_os::root::RootDir;
use rustix::fs::{FileType, Stat};

use super::contents::{Contents, MAX_PROBLEMS, Place, Problem, WHITEOUT};
use super::paths::{clean, if_there, look, path_of, shown, split};
use super::tar_split::Entry;

/// The maximum depth of directories.
const MAX_DEPTH: usize = 512;

/// Compares a layer's directory with that of the layer below, except in opaque directories. Entries of the layer's own archive are
/// then removed from the problems, because the archive itself defines them.
pub(super) struct Inherited {
    problems: HashMap<Place, Problem>,
}

impl Inherited {
    /// # Errors
    /// Any I/O error.
    pub(super) fn compare(below: &RootDir, contents: &Contents<'_>) -> io::Result<Self> {
        let mut inherited = Self { problems: HashMap::new() };
        inherited.walk(below, contents.directory, Path::new(""), &contents.opaque, 0)?;
        Ok(inherited)
    }

    /// Whether there are no problems.
    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Removes the problem of a file that the layer's own archive defines.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn remove_listed(&mut self, directory: &RootDir, entry: &Entry) -> io::Result<()> {
        let Some(path) = clean(&entry.name) else { return Ok(()) };
        let (parent, name) = split(&path);
        if let Some(directory) = if_there(directory.open_root(path_of(parent)))? {
            let name = name.strip_prefix(WHITEOUT).unwrap_or(name);
            self.problems.remove(&Place::In(directory.identity()?.1, name.to_vec()));
        }
        Ok(())
    }

    /// One of the remaining problems.
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
                    let path = shown(path.as_os_str().as_bytes());
                    Some((format!(": {path} has the wrong type (file, directory or link)"), false))
                }
                Some(found) if kind(found) != FileType::Directory && found.st_size != expected.st_size => {
                    let (is, should) = (found.st_size, expected.st_size);
                    let kind = if kind(found) == FileType::Symlink { "link" } else { "file" };
                    let path = shown(path.as_os_str().as_bytes());
                    Some((format!(": {kind} {path} has {is} bytes instead of {should}"), false))
                }
                Some(found)
                    if (found.st_mode, found.st_uid, found.st_gid)
                        != (expected.st_mode, expected.st_uid, expected.st_gid) =>
                {
                    let path = shown(path.as_os_str().as_bytes());
                    Some((format!(": {path} has the wrong owner or mode"), true))
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

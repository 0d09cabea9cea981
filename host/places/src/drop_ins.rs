//! Drop-in files: which names are read, which files replace or mask others.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Owner, TrustedPath, is_mask, trusted_directory};

/// The files in a list of drop-in directories.
#[derive(Debug)]
pub struct DropIns<'a, P> {
    /// Files that are read, in the order of their names.
    pub files: Vec<(&'a P, TrustedPath)>,
    /// Files that are ignored because a later directory has a file, or a mask, of the same name.
    pub hidden: Vec<HiddenFile<'a, P>>,
    /// Errors of directories that cannot be read.
    pub problems: Vec<io::Error>,
}

/// A file that is ignored.
#[derive(Debug)]
pub struct HiddenFile<'a, P> {
    /// The place of its directory.
    pub place: &'a P,
    /// The file.
    pub file: TrustedPath,
    /// The file that is read instead, or the mask.
    pub by: PathBuf,
    /// Whether `by` is a mask, so that nothing is read instead.
    pub masked: bool,
}

/// Finds all `*.toml` files in these directories. A file in a later directory replaces a file of the same name in an earlier one, and
/// a link to `/dev/null` masks it.
pub fn drop_ins<P>(directories: &[(P, PathBuf)], owner: impl Fn(&P) -> Owner) -> DropIns<'_, P> {
    let mut found = BTreeMap::<OsString, (&P, TrustedPath, bool)>::new();
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
            let (by, masked) = (file.named.clone(), is_mask(&file.real));
            if let Some((place, file, was_mask)) = found.insert(name, (place, file, masked))
                && !was_mask
            {
                hidden.push(HiddenFile { place, file, by, masked });
            }
        }
    }
    let read = found.into_values().filter(|(_, _, masks)| !masks);
    DropIns { files: read.map(|(place, file, _)| (place, file)).collect(), hidden, problems }
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
pub fn ignored_files<P>(directories: &[(P, PathBuf)]) -> Vec<PathBuf> {
    let entries = directories.iter().filter_map(|(_, directory)| fs::read_dir(directory).ok());
    let names = entries.flatten().flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ends = [".bak", ".orig", ".dpkg-new", ".dpkg-old", ".rpmnew", ".rpmsave", "~", "#"];
        let is_copy = ends.iter().any(|end| name.ends_with(end));
        !is_drop_in(name.as_ref().as_ref())
            && !is_copy
            && !name.starts_with('.')
            && !name.starts_with("README")
    });
    let mut found: Vec<PathBuf> = names.map(|entry| entry.path()).collect();
    found.sort_unstable();
    found
}

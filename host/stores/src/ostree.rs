//! Images in an ostree repository: a ref per image, named by an escaped reference, and the commits that they point at.

use std::path::{Path, PathBuf};

use bootc_image_model::columns::Details;
use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::oci::{self, Description};
use bootc_image_os::error::Error as OsError;
use bootc_image_os::root::RootDir;

use crate::error::Error;
use crate::gvariant;

/// Where image refs are, in a repository.
const IMAGE_REFS: &str = "refs/heads/ostree/container/image";
/// Largest ref file: a checksum and a newline, and room to say that it is damaged.
const MAX_REF: u64 = 4096;
/// Largest commit object: its metadata holds the image's manifest and configuration.
const MAX_COMMIT: u64 = 128 << 20;
/// In the metadata of a commit that was made from an image: the digest of its manifest.
const MANIFEST_DIGEST: &str = "ostree.manifest-digest";
/// How far below a commit its image may be.
const MAX_ANCESTORS: usize = 16;
/// Deepest reference, in path components.
const MAX_DEPTH: usize = 64;

/// One image ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// The image, with its transport: `docker://quay.io/fedora/fedora-bootc:42`.
    pub name: String,
    /// What it points at.
    pub commit: Commit,
}

/// An ostree repository, open for reading.
#[derive(Debug)]
pub struct Repository {
    root: RootDir,
}

impl Repository {
    /// The repository of a physical root.
    ///
    /// # Errors
    /// The system's.
    pub fn open(physical: &RootDir) -> Result<Self, Error> {
        let root = physical.open_root("ostree/repo").map_err(physical.error("open", "ostree/repo"))?;
        Ok(Self { root })
    }

    /// The directory itself.
    pub fn directory(&self) -> &RootDir {
        &self.root
    }

    /// Every image ref, sorted by name. A damaged one is an error of its own and doesn't hide the rest.
    ///
    /// # Errors
    /// The system's, if the refs can't be read at all.
    pub fn image_refs(&self) -> Result<(Vec<ImageRef>, Vec<Error>), Error> {
        let (mut refs, mut problems) = (Vec::new(), Vec::new());
        match self.root.exists(IMAGE_REFS) {
            Ok(false) => return Ok((refs, problems)),
            Ok(true) => {}
            Err(error) => return Err(self.root.error("read", IMAGE_REFS)(error).into()),
        }
        self.walk(Path::new(""), 0, &mut refs, &mut problems)?;
        refs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok((refs, problems))
    }

    fn walk(
        &self,
        below: &Path,
        depth: usize,
        refs: &mut Vec<ImageRef>,
        problems: &mut Vec<Error>,
    ) -> Result<(), Error> {
        let directory = Path::new(IMAGE_REFS).join(below);
        let entries = match self.root.entries(&directory) {
            Ok(entries) => entries,
            // The last ref below it was just removed by somebody.
            Err(error) if depth > 0 && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.root.error("read", &directory)(error).into()),
        };
        for entry in entries {
            let path = below.join(&entry.name);
            if entry.is_directory() {
                if depth < MAX_DEPTH {
                    self.walk(&path, depth + 1, refs, problems)?;
                } else {
                    problems.push(self.damaged(&directory, "its directories are nested too deeply"));
                }
            } else {
                match self.image_ref(&path) {
                    Ok(found) => refs.extend(found),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        Ok(())
    }

    /// The ref at this path, none if it was just removed.
    fn image_ref(&self, below: &Path) -> Result<Option<ImageRef>, Error> {
        let path = Path::new(IMAGE_REFS).join(below);
        let text = match self.root.read_text(&path, MAX_REF) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.root.error("read", &path)(error).into()),
        };
        let commit = Commit::new(text.trim_end()).map_err(|error| self.damaged(&path, &error.to_string()))?;
        let name = below
            .to_str()
            .and_then(unescape)
            .ok_or_else(|| self.damaged(&path, "its name is not an escaped image reference"))?;
        Ok(Some(ImageRef { name, commit }))
    }

    /// The manifest that a commit was made from.
    ///
    /// # Errors
    /// The system's; [`OsError::Corrupt`] if the commit isn't an image's.
    pub fn manifest_digest(&self, commit: &Commit) -> Result<Digest, Error> {
        let (path, object) = self.commit(commit)?;
        self.manifest_of(&path, &object)
    }

    /// The image that a commit was made from, or that lies below it: its commit, and its manifest. rpm-ostree makes a commit of
    /// its own for packages that are layered on an image, with the image's commit as its parent. None if there is no image
    /// among its ancestors, as far as they are in the repository.
    ///
    /// # Errors
    /// The system's, if the commit itself can't be read; [`OsError::Corrupt`].
    pub fn image_below(&self, commit: &Commit) -> Result<Option<(Commit, Digest)>, Error> {
        let mut next = commit.clone();
        for depth in 0..MAX_ANCESTORS {
            let (path, object) = match self.commit(&next) {
                Ok(found) => found,
                // Ancestors of an image's commit needn't be kept.
                Err(Error::Os(OsError::Io { source, .. }))
                    if depth > 0 && source.kind() == std::io::ErrorKind::NotFound =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            if text(&object, MANIFEST_DIGEST).is_some() {
                return Ok(Some((next, self.manifest_of(&path, &object)?)));
            }
            let parent = gvariant::second_of_tuple(&object).unwrap_or_default();
            let hex: String = parent.iter().map(|byte| format!("{byte:02x}")).collect();
            match Commit::new(hex) {
                Ok(parent) => next = parent,
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// What is known of the image that a commit was made from. Its size isn't: what it takes is shared with others.
    ///
    /// # Errors
    /// As [`Repository::manifest_digest`].
    pub fn details(&self, commit: &Commit) -> Result<Details, Error> {
        let (path, object) = self.commit(commit)?;
        let digest = self.manifest_of(&path, &object)?;
        let described =
            Description::of(text(&object, "ostree.container.image-config").unwrap_or_default().as_bytes());
        Ok(Details {
            digest: digest.to_string(),
            id: text(&object, "ostree.manifest")
                .and_then(|text| oci::id(text.as_bytes()))
                .unwrap_or_default(),
            size: String::new(),
            labels: described.labels(),
            created: described.created.unwrap_or_default(),
        })
    }

    fn commit(&self, commit: &Commit) -> Result<(PathBuf, Vec<u8>), Error> {
        let (head, tail) = commit.as_str().split_at(2);
        let path = PathBuf::from(format!("objects/{head}/{tail}.commit"));
        let object = self.root.read(&path, MAX_COMMIT).map_err(self.root.error("read", &path))?;
        Ok((path, object))
    }

    fn manifest_of(&self, path: &Path, object: &[u8]) -> Result<Digest, Error> {
        let digest = text(object, MANIFEST_DIGEST)
            .ok_or_else(|| self.damaged(path, "its metadata does not name a manifest"))?;
        Digest::new(digest).map_err(|error| self.damaged(path, &error.to_string()))
    }

    fn damaged(&self, path: &Path, why: &str) -> Error {
        OsError::Corrupt {
            path: self.root.path(path),
            why: why.to_owned(),
            hint: "check the repository with: ostree fsck --repo=/ostree/repo",
        }
        .into()
    }
}

/// A text of a commit's metadata.
fn text<'a>(object: &'a [u8], key: &str) -> Option<&'a str> {
    gvariant::first_of_tuple(object)
        .and_then(|metadata| gvariant::lookup(metadata, key))
        .and_then(gvariant::text)
}

/// Reverses ostree-ext's escaping of references in ref names: letters, digits, `-` and `/` stand for themselves, `__` is
/// `_`, and `_3A_` is the character with that hexadecimal number.
fn unescape(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '-' | '/' => name.push(character),
            c if c.is_ascii_alphanumeric() => name.push(c),
            '_' => {
                let (number, after) = rest.as_str().split_once('_')?;
                rest = after.chars();
                if number.is_empty() {
                    name.push('_');
                } else {
                    name.push(char::from_u32(u32::from_str_radix(number, 16).ok()?)?);
                }
            }
            _ => return None,
        }
    }
    Some(name).filter(|name| !name.is_empty() && !name.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn names_are_unescaped() {
        for (escaped, name) in [
            ("docker_3A__2F_/quay_2E_io/a__b_3A_1", "docker://quay.io/a_b:1"),
            ("oci_3A_/tmp/x-y", "oci:/tmp/x-y"),
            ("______", "___"),
        ] {
            assert_eq!(unescape(escaped).as_deref(), Some(name), "{escaped}");
        }
    }

    #[test]
    fn what_escaping_never_writes_isnt_a_name() {
        for bad in ["", "a.b", "a_", "a_3A", "a_ZZ_", "a_D800_", "a_110000_", "a b", "a_0A_b", "é"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }
}

//! Images in an ostree repository: each has a ref, whose name is the escaped reference, and a commit.

use std::path::{Path, PathBuf};

use bootc_image_model::columns::Details;
use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::oci::{self, Description};
use bootc_image_os::error::Error as OsError;
use bootc_image_os::root::RootDir;

use crate::error::Error;
use crate::gvariant;

/// The directory of image refs in a repository.
const IMAGE_REFS: &str = "refs/heads/ostree/container/image";
/// The maximum size of a ref file: larger than a checksum, so that a damaged one can be shown.
const MAX_REF: u64 = 4096;
/// The maximum size of a commit object, whose metadata has the image's manifest and configuration.
const MAX_COMMIT: u64 = 128 << 20;
/// The metadata key of the manifest's digest, in commits that were made from an image.
const MANIFEST_DIGEST: &str = "ostree.manifest-digest";
/// The maximum number of commits between a commit and its image's commit.
const MAX_ANCESTORS: usize = 16;
/// The maximum number of path components in a reference.
const MAX_DEPTH: usize = 64;

/// An image ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// The image, with its transport: `docker://quay.io/fedora/fedora-bootc:42`.
    pub name: String,
    /// Its commit.
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
    /// Any I/O error.
    pub fn open(physical: &RootDir) -> Result<Self, Error> {
        tracing::info!(path = %physical.path("ostree/repo").display(), "reading the ostree repository");
        let root = physical.open_root("ostree/repo").map_err(physical.error("open", "ostree/repo"))?;
        Ok(Self { root })
    }

    /// The directory itself.
    pub fn directory(&self) -> &RootDir {
        &self.root
    }

    /// All image refs, sorted by name, and the errors of damaged refs, which do not hide the others.
    ///
    /// # Errors
    /// Any I/O error, if the refs cannot be read at all.
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
            // The directory was removed meanwhile, with its last ref.
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

    /// The ref at this path; `None` if it was removed meanwhile.
    fn image_ref(&self, below: &Path) -> Result<Option<ImageRef>, Error> {
        let path = Path::new(IMAGE_REFS).join(below);
        let text = match self.root.read_text(&path, MAX_REF) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.root.error("read", &path)(error).into()),
        };
        let commit = Commit::new(text.trim_end()).map_err(|error| self.damaged(&path, &error.to_string()))?;
        let name = below.to_str().and_then(unescape).ok_or_else(|| {
            let why = "the name of this ref is not an image name in the form that bootc uses";
            self.corrupt(
                &path,
                why,
                "find out which program created this ref; to see all refs of images, run: \
                 ostree refs --repo=/ostree/repo ostree/container/image",
            )
        })?;
        Ok(Some(ImageRef { name, commit }))
    }

    /// The digest of the manifest from which a commit was made.
    ///
    /// # Errors
    /// Any I/O error; [`OsError::Corrupt`] if the commit was not made from an image.
    pub fn manifest_digest(&self, commit: &Commit) -> Result<Digest, Error> {
        let (path, object) = self.commit(commit)?;
        self.manifest_of(&path, &object)
    }

    /// The nearest commit that was made from an image, starting with this one and following its parents, and its manifest. For layered
    /// packages rpm-ostree creates another commit, whose parent is the image's commit. `None` if no ancestor in the repository was
    /// made from an image.
    ///
    /// # Errors
    /// Any I/O error, if the commit itself cannot be read; [`OsError::Corrupt`].
    pub fn image_below(&self, commit: &Commit) -> Result<Option<(Commit, Digest)>, Error> {
        let mut next = commit.clone();
        for depth in 0..MAX_ANCESTORS {
            let (path, object) = match self.commit(&next) {
                Ok(found) => found,
                // The repository need not have all ancestors.
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

    /// The details of the image from which a commit was made. Its size is unknown, because files are shared with other images.
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
        self.corrupt(path, why, "check the repository with: ostree fsck --repo=/ostree/repo")
    }

    fn corrupt(&self, path: &Path, why: &str, hint: &'static str) -> Error {
        OsError::Corrupt { path: self.root.path(path), why: why.to_owned(), hint }.into()
    }
}

/// A string in a commit's metadata.
fn text<'a>(object: &'a [u8], key: &str) -> Option<&'a str> {
    gvariant::first_of_tuple(object)
        .and_then(|metadata| gvariant::lookup(metadata, key))
        .and_then(gvariant::text)
}

/// Reverses ostree-ext's escaping of references in ref names: letters, digits, `-` and `/` are kept, `__` is `_`, and `_3A_` is the
/// character with that hexadecimal number.
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
    use std::fs;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_repository_is_said() {
        let scratch = tempfile::tempdir().unwrap();
        let repository = scratch.path().join("ostree/repo");
        let commit = "0".repeat(64);
        let deep: PathBuf = std::iter::repeat_n("x", MAX_DEPTH + 1).collect();
        fs::create_dir_all(repository.join(IMAGE_REFS).join(&deep)).unwrap();
        fs::write(repository.join(IMAGE_REFS).join("docker_3A_a"), &commit).unwrap();
        fs::create_dir_all(repository.join("objects/00")).unwrap();
        fs::write(repository.join(format!("objects/00/{}.commit", &commit[2..])), "").unwrap();
        let opened = Repository::open(&RootDir::open(scratch.path()).unwrap()).unwrap();
        let (refs, problems) = opened.image_refs().unwrap();
        assert_eq!(refs.len(), 1);
        let directory = repository.join(IMAGE_REFS).join(deep.parent().unwrap());
        let [nested] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!(
            nested.to_string(),
            format!(
                "{} is damaged or incomplete: its directories are nested too deeply",
                directory.display()
            )
        );
        let nameless = opened.manifest_digest(&refs[0].commit).unwrap_err().to_string();
        assert!(
            nameless.ends_with(".commit is damaged or incomplete: its metadata does not name a manifest"),
            "{nameless}"
        );
    }

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

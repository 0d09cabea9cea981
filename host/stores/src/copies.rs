//! A cache of the image id that each exported commit has. The same commit always gives the same image, so with the cache it need not be
//! exported again to determine the id.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bootc_image_model::image::HostImage;
use bootc_image_os::files::{private_directory, replace};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::export::EXPORTER;

/// Its directory, below the state directory.
const DIRECTORY: &str = "copies";

#[derive(Serialize, Deserialize)]
struct Copy {
    exporter: u32,
    manifest_digest: String,
    image_id: String,
}

/// The cache, with one file per commit. It may be removed at any time.
#[derive(Debug)]
pub struct Copies {
    directory: PathBuf,
}

impl Copies {
    /// The cache in the state directory.
    pub fn new(state: &Path) -> Self {
        Self { directory: state.join(DIRECTORY) }
    }

    /// The id of a commit's image, if it is in the cache. Unreadable entries are ignored.
    pub fn image_id(&self, source: &HostImage) -> Option<String> {
        let text = fs::read(self.path(source)).ok()?;
        let copy: Copy = serde_json::from_slice(&text).ok()?;
        let same = copy.exporter == EXPORTER && copy.manifest_digest == source.manifest_digest.as_str();
        same.then_some(copy.image_id)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn remember(&self, source: &HostImage, image_id: &str) -> Result<(), Error> {
        let copy = Copy {
            exporter: EXPORTER,
            manifest_digest: source.manifest_digest.to_string(),
            image_id: image_id.to_owned(),
        };
        let path = self.path(source);
        let unfinished = path.with_extension("unfinished");
        let write = || -> io::Result<()> {
            private_directory(&self.directory)?;
            replace(&path, &unfinished, 0o600, |file| {
                serde_json::to_writer(&mut *file, &copy)?;
                file.write_all(b"\n")
            })
        };
        write().map_err(Error::io("write", &path))
    }

    fn path(&self, source: &HostImage) -> PathBuf {
        self.directory.join(format!("{}.json", source.commit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootc_image_model::digest::{Commit, Digest};

    #[test]
    fn only_the_same_image_of_the_same_exporter_is_known() {
        let scratch = tempfile::tempdir().unwrap();
        let copies = Copies::new(scratch.path());
        let source = HostImage {
            name: "docker://quay.io/a".to_owned(),
            commit: Commit::new("c".repeat(64)).unwrap(),
            manifest_digest: Digest::of(b"m"),
        };
        assert_eq!(copies.image_id(&source), None);
        copies.remember(&source, "id").unwrap();
        assert_eq!(copies.image_id(&source).as_deref(), Some("id"));
        let other = HostImage { manifest_digest: Digest::of(b"other"), ..source.clone() };
        assert_eq!(copies.image_id(&other), None);
        let text = fs::read_to_string(copies.path(&source)).unwrap();
        for damaged in
            [text.replace("\"exporter\":2", "\"exporter\":1"), text[..20].to_owned(), String::new()]
        {
            fs::write(copies.path(&source), damaged).unwrap();
            assert_eq!(copies.image_id(&source), None);
        }
    }
}

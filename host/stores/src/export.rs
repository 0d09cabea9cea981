//! Exports a commit in the ostree repository as an OCI directory.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::oci::{self, Descriptor};
use bootc_image_os::error::Error as OsError;
use bootc_image_os::processes::Process;
use serde::Deserialize;

use crate::error::Error;
use crate::ostree::Repository;

/// The version of the export format: it changes whenever the same commit would give a different image.
pub const EXPORTER: u32 = 2;

const REPOSITORY_FD: i32 = 3;
const DIRECTORY_FD: i32 = 4;

/// The helper's progress messages, one JSON object per line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ExportEvent {
    /// Sent before anything is written.
    Planned {
        /// The estimated number of bytes to be written.
        bytes: u64,
    },
    /// Sent from time to time.
    Written {
        /// The number of bytes written so far.
        written: u64,
    },
}

/// bootc-image-helper, which contains libostree. It gets open directories and a commit, and makes no decisions.
#[derive(Debug)]
pub struct Exporter {
    /// The directories in which it is searched, in this order.
    pub directories: Vec<PathBuf>,
}

impl Exporter {
    /// Exports `commit` into the empty `directory`. Calls `listen` with each progress message; if that fails, so does the export.
    ///
    /// # Errors
    /// [`Error`]; the contents of the directory are incomplete in that case.
    pub fn export(
        &self,
        repository: &Repository,
        commit: &Commit,
        directory: &Path,
        listen: &mut dyn FnMut(ExportEvent) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let repository_path = repository.directory().path(".");
        let repository = repository.directory().open_file(".").map_err(Error::io("open", repository_path))?;
        let directory = File::open(directory).map_err(Error::io("open", directory))?;
        let mut process = Process::helper(&self.directories)?;
        process.descriptor(repository, REPOSITORY_FD)?.descriptor(directory, DIRECTORY_FD)?;
        process.args(["export", commit.as_str()]);
        process.run_in_conversation(&mut |mut stdin, stdout| {
            for line in BufReader::new(stdout).lines() {
                let line = line.map_err(Error::io("read from", "bootc-image-helper"))?;
                let event: ExportEvent =
                    serde_json::from_str(&line).map_err(|error| OsError::Verification {
                        what: "the output of bootc-image-helper".to_owned(),
                        why: error.to_string(),
                    })?;
                let begins = matches!(event, ExportEvent::Planned { .. });
                listen(event)?;
                if begins {
                    // If the helper has exited, its exit status has the reason.
                    let _ = stdin.write_all(b"go\n");
                }
            }
            Ok(())
        })
    }
}

/// The image in an OCI directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciImage {
    /// Digest of the manifest.
    pub manifest: Digest,
    /// Digest of the configuration: the image's id.
    pub configuration: Digest,
    /// Digests of the uncompressed layers, the lowest first.
    pub diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// Reads an OCI directory with one image, and checks the digests of its documents and the number of layers.
///
/// # Errors
/// Any I/O error; [`OsError::Verification`].
pub fn read_oci(directory: &Path) -> Result<OciImage, Error> {
    let wrong = |why: String| OsError::Verification { what: "the exported image".to_owned(), why };
    let path = directory.join("index.json");
    let text = fs::read(&path).map_err(Error::io("read", &path))?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let [manifest] = index.manifests.as_slice() else {
        return Err(wrong(format!("it has {} manifests instead of one", index.manifests.len())).into());
    };
    let text = read_blob(directory, &manifest.digest)?;
    let document: Manifest = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let text = read_blob(directory, &document.config.digest)?;
    let diff_ids = oci::diff_ids(&text).map_err(|error| wrong(error.to_string()))?;
    let layers = document.layers.len();
    if layers == 0 || layers != diff_ids.len() {
        return Err(wrong(format!(
            "it has {layers} layers, but its configuration lists {} diff_ids",
            diff_ids.len()
        ))
        .into());
    }
    Ok(OciImage { manifest: manifest.digest.clone(), configuration: document.config.digest, diff_ids })
}

fn read_blob(directory: &Path, digest: &Digest) -> Result<Vec<u8>, Error> {
    let path = directory.join("blobs/sha256").join(digest.hex());
    let contents = fs::read(&path).map_err(Error::io("read", &path))?;
    let found = Digest::of(&contents);
    if found != *digest {
        let why = format!("its digest is {found}");
        return Err(OsError::Verification { what: path.display().to_string(), why }.into());
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(layers: usize, diff_ids: usize) -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("blobs/sha256")).unwrap();
        let blob = |text: String| {
            let digest = Digest::of(text.as_bytes());
            fs::write(scratch.path().join("blobs/sha256").join(digest.hex()), text).unwrap();
            digest
        };
        let list = |count: usize, item: String| vec![item; count].join(",");
        let some = Digest::of(b"x");
        let config =
            blob(format!(r#"{{"rootfs":{{"diff_ids":[{}]}}}}"#, list(diff_ids, format!("\"{some}\""))));
        let layer = format!(r#"{{"digest":"{some}"}}"#);
        let manifest =
            blob(format!(r#"{{"config":{{"digest":"{config}"}},"layers":[{}]}}"#, list(layers, layer)));
        let index = format!(r#"{{"manifests":[{{"digest":"{manifest}"}}]}}"#);
        fs::write(scratch.path().join("index.json"), index).unwrap();
        scratch
    }

    #[test]
    fn as_many_diff_ids_as_layers() {
        let good = directory(2, 2);
        let image = read_oci(good.path()).unwrap();
        assert_ne!(image.manifest, image.configuration);
        let error = read_oci(directory(2, 4).path()).unwrap_err().to_string();
        assert_eq!(
            error,
            "the exported image is not as expected: it has 2 layers, but its configuration lists 4 diff_ids"
        );
        assert!(read_oci(directory(0, 0).path()).is_err());
        let scratch = directory(1, 1);
        let index = fs::read_to_string(scratch.path().join("index.json")).unwrap();
        let descriptor = index.replace(r#"{"manifests":["#, "").replace("]}", "");
        let both = format!(r#"{{"manifests":[{descriptor},{descriptor}]}}"#);
        fs::write(scratch.path().join("index.json"), both).unwrap();
        let error = read_oci(scratch.path()).unwrap_err().to_string();
        assert_eq!(error, "the exported image is not as expected: it has 2 manifests instead of one");
    }

    /// Another program in the place of the helper, since it never writes anything else. Only root's is started.
    #[test]
    fn a_line_of_the_helper_that_is_no_message_ends_the_export() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::create_dir_all(path("ostree/repo")).unwrap();
        fs::create_dir(path("empty")).unwrap();
        fs::write(path("bootc-image-helper"), "#!/bin/sh\necho nonsense\n").unwrap();
        fs::set_permissions(path("bootc-image-helper"), fs::Permissions::from_mode(0o755)).unwrap();
        let physical = bootc_image_os::root::RootDir::open(scratch.path()).unwrap();
        let repository = Repository::open(&physical).unwrap();
        let exporter = Exporter { directories: vec![scratch.path().to_owned()] };
        let commit = Commit::new("0".repeat(64)).unwrap();
        let exported = exporter.export(&repository, &commit, &path("empty"), &mut |_| Ok(()));
        let error = exported.unwrap_err();
        if rustix::process::geteuid().is_root() {
            assert_eq!(
                error.to_string(),
                "the output of bootc-image-helper is not as expected: \
                 expected ident at line 1 column 2"
            );
        } else {
            assert!(matches!(error, Error::Os(OsError::UnsafeProgram(_))), "{error:?}");
        }
    }

    #[test]
    fn a_changed_document_is_noticed() {
        let scratch = directory(1, 1);
        let manifest = read_oci(scratch.path()).unwrap().manifest;
        let path = scratch.path().join("blobs/sha256").join(manifest.hex());
        let text = fs::read_to_string(&path).unwrap() + " ";
        fs::write(path, text).unwrap();
        assert!(matches!(read_oci(scratch.path()), Err(Error::Os(OsError::Verification { .. }))));
    }
}

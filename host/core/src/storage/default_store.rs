//! Where podman keeps the images of root: what its own configuration says.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;

use super::root::RootDir;
use crate::error::Error;

/// The administrator's file stands for the vendor's as a whole.
const CONFIGURATIONS: [&str; 2] = ["etc/containers/storage.conf", "usr/share/containers/storage.conf"];
/// Where they are if nobody says otherwise.
const GRAPHROOT: &str = "/var/lib/containers/storage";
const RUNROOT: &str = "/run/containers/storage";
const MAX_CONFIGURATION: u64 = 1 << 20;

#[derive(Default, Deserialize)]
struct Configuration {
    #[serde(default)]
    storage: Storage,
}

#[derive(Default, Deserialize)]
struct Storage {
    #[serde(default)]
    graphroot: String,
    #[serde(default)]
    runroot: String,
}

/// podman's storage, in podman's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Where images are.
    pub graphroot: PathBuf,
    /// Where is what doesn't outlive a boot.
    pub runroot: PathBuf,
}

/// Where podman's storage is, by the configuration below `root`.
///
/// # Errors
/// The system's; [`Error::Corrupt`] if the configuration can't be understood.
pub fn find(root: &RootDir) -> Result<Places, Error> {
    let or = |text: String, default: &str| if text.is_empty() { default.into() } else { text.into() };
    for path in CONFIGURATIONS {
        let text = match root.read_text(path, MAX_CONFIGURATION) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(root.error("read", path)(error)),
        };
        let configuration: Configuration = toml::from_str(&text).map_err(|error| Error::Corrupt {
            path: root.path(path),
            why: error.message().to_owned(),
            hint: "podman can't read it either; see: man containers-storage.conf",
        })?;
        let Storage { graphroot, runroot } = configuration.storage;
        return Ok(Places { graphroot: or(graphroot, GRAPHROOT), runroot: or(runroot, RUNROOT) });
    }
    Ok(Places { graphroot: GRAPHROOT.into(), runroot: RUNROOT.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Result<(PathBuf, PathBuf), Error> {
        let scratch = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = scratch.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        find(&RootDir::open(scratch.path()).unwrap()).map(|places| (places.graphroot, places.runroot))
    }

    #[test]
    fn the_administrators_file_counts_alone() {
        let [etc, usr] = CONFIGURATIONS;
        let names = |path| format!("[storage]\ngraphroot = \"{path}\"\nrunroot = \"{path}-run\"\n");
        let are = |graphroot: &str, runroot: &str| (PathBuf::from(graphroot), PathBuf::from(runroot));
        assert_eq!(found(&[]).unwrap(), are(GRAPHROOT, RUNROOT));
        assert_eq!(found(&[(usr, &names("/a"))]).unwrap(), are("/a", "/a-run"));
        assert_eq!(found(&[(usr, &names("/a")), (etc, &names("/b"))]).unwrap(), are("/b", "/b-run"));
        assert_eq!(found(&[(usr, &names("/a")), (etc, "[storage]\n")]).unwrap(), are(GRAPHROOT, RUNROOT));
        assert!(matches!(found(&[(etc, "[storage\n")]), Err(Error::Corrupt { .. })));
    }
}

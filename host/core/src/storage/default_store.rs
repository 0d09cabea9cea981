//! Where podman keeps the images of root: what its own configuration says.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;

use super::root::RootDir;
use crate::error::Error;

/// The administrator's file stands for the vendor's as a whole.
const CONFIGURATIONS: [&str; 2] = ["etc/containers/storage.conf", "usr/share/containers/storage.conf"];
/// Where it is if nobody says otherwise.
const DEFAULT: &str = "/var/lib/containers/storage";
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
}

/// The directory of podman's storage, by the configuration below `root`.
///
/// # Errors
/// The system's; [`Error::Corrupt`] if the configuration can't be understood.
pub fn find(root: &RootDir) -> Result<PathBuf, Error> {
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
        let graphroot = configuration.storage.graphroot;
        return Ok(if graphroot.is_empty() { DEFAULT.into() } else { graphroot.into() });
    }
    Ok(DEFAULT.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Result<PathBuf, Error> {
        let scratch = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = scratch.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        find(&RootDir::open(scratch.path()).unwrap())
    }

    #[test]
    fn the_administrators_file_counts_alone() {
        let [etc, usr] = CONFIGURATIONS;
        let names = |path| format!("[storage]\ndriver = \"overlay\"\ngraphroot = \"{path}\"\n");
        assert_eq!(found(&[]).unwrap(), PathBuf::from(DEFAULT));
        assert_eq!(found(&[(usr, &names("/a"))]).unwrap(), PathBuf::from("/a"));
        assert_eq!(found(&[(usr, &names("/a")), (etc, &names("/b"))]).unwrap(), PathBuf::from("/b"));
        assert_eq!(found(&[(usr, &names("/a")), (etc, "[storage]\n")]).unwrap(), PathBuf::from(DEFAULT));
        assert!(matches!(found(&[(etc, "[storage\n")]), Err(Error::Corrupt { .. })));
    }
}

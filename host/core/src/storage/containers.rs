//! Images in a containers-storage, read from its own index under its own lock.

use std::fs::File;
use std::io;
use std::time::Duration;

use serde::Deserialize;

use super::lock;
use super::root::RootDir;
use crate::digest::Digest;
use crate::error::Error;
use crate::talk::Talk;

/// Largest index: some 100,000 images.
const MAX_INDEX: u64 = 256 << 20;
/// Drivers whose index is read, in the order in which podman prefers them.
const DRIVERS: [&str; 2] = ["overlay", "vfs"];

/// One image of a store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Image {
    /// Digest of its configuration, without `sha256:`.
    pub id: String,
    /// Digest of its manifest, if the store knows it.
    #[serde(default, deserialize_with = "digest_or_none")]
    pub digest: Option<Digest>,
    /// Its names, in the store's order; also forms with `@digest`.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub names: Vec<String>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn digest_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Digest>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| Digest::new(text).ok()))
}

impl Image {
    /// The names that are rows of a listing: a form with `@digest` counts only if the image has no tag (D10.2).
    pub fn listed_names(&self) -> impl Iterator<Item = &str> {
        let tagged = self.names.iter().any(|name| !name.contains('@'));
        self.names.iter().map(String::as_str).filter(move |name| !tagged || !name.contains('@'))
    }
}

/// A containers-storage, open for reading.
#[derive(Debug)]
pub struct Store<'a> {
    root: &'a RootDir,
    driver: Option<&'static str>,
}

impl<'a> Store<'a> {
    /// Finds out what driver the store in `root` has. A store in which nothing has been kept yet has none.
    ///
    /// # Errors
    /// The system's; [`Error::UnknownDriver`] if it is one that isn't read here.
    pub fn open(root: &'a RootDir) -> Result<Self, Error> {
        for driver in DRIVERS {
            if root.exists(format!("{driver}-images")).map_err(root.error("read", "."))? {
                return Ok(Self { root, driver: Some(driver) });
            }
        }
        let entries = root.entries(".").map_err(root.error("read", "."))?;
        let other = entries.iter().find_map(|entry| entry.name.to_str()?.strip_suffix("-images"));
        match other {
            Some(driver) => Err(Error::UnknownDriver { path: root.path("."), driver: driver.to_owned() }),
            None => Ok(Self { root, driver: None }),
        }
    }

    /// The store's driver; overlay for a store in which nothing has been kept yet, as podman would choose.
    pub fn driver(&self) -> &'static str {
        self.driver.unwrap_or(DRIVERS[0])
    }

    /// Every image, in the store's order, as of one moment.
    ///
    /// # Errors
    /// The system's; [`Error::Locked`]; [`Error::Corrupt`].
    pub fn images(&self, lock_limit: Duration, talk: &dyn Talk) -> Result<Vec<Image>, Error> {
        let Some(driver) = self.driver else { return Ok(Vec::new()) };
        let _lock = self.lock(&format!("{driver}-images/images.lock"), lock_limit, talk)?;
        let index = format!("{driver}-images/images.json");
        let contents = match self.root.read(&index, MAX_INDEX) {
            Ok(contents) => contents,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.root.error("read", &index)(error)),
        };
        // podman leaves an empty file where it has written nothing yet.
        if contents.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_slice(&contents).map_err(|error| Error::Corrupt {
            path: self.root.path(&index),
            why: error.to_string(),
            hint: "let podman look at its store with: bootc-image cmd list",
        })
    }

    /// The store's lock, shared; none if the store has no lock file, as in an image of a read-only store.
    fn lock(&self, name: &str, limit: Duration, talk: &dyn Talk) -> Result<Option<File>, Error> {
        match self.root.open_file(name) {
            Ok(file) => {
                lock::shared(&file, &self.root.path(name), limit, talk)?;
                Ok(Some(file))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.root.error("open", name)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;
    impl Talk for Silent {
        fn note(&self, _: &str) {}
        fn progress(&self, _: &str) {}
    }

    fn images(driver: &str, index: Option<&[u8]>) -> Result<Vec<Image>, Error> {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join(format!("{driver}-images"));
        std::fs::create_dir(&directory).unwrap();
        if let Some(index) = index {
            std::fs::write(directory.join("images.json"), index).unwrap();
        }
        let root = RootDir::open(scratch.path()).unwrap();
        Store::open(&root)?.images(Duration::from_secs(1), &Silent)
    }

    #[test]
    fn an_index_is_read_for_both_drivers() {
        let hex = "a".repeat(64);
        let index = format!(
            r#"[{{"id":"{hex}","digest":"sha256:{hex}","names":["a/b:1"],"layer":"x"}},{{"id":"y"}}]"#
        );
        for driver in ["overlay", "vfs"] {
            let found = images(driver, Some(index.as_bytes())).unwrap();
            assert_eq!(found.len(), 2);
            assert_eq!(found[0].names, ["a/b:1"]);
            assert_eq!(found[0].digest.as_ref().unwrap().hex(), hex);
            assert_eq!((found[1].names.len(), &found[1].digest), (0, &None));
        }
    }

    #[test]
    fn a_young_store_is_empty() {
        assert_eq!(images("overlay", None).unwrap(), []);
        assert_eq!(images("overlay", Some(b"")).unwrap(), []);
        assert_eq!(images("overlay", Some(b"[]")).unwrap(), []);
        assert_eq!(
            images("overlay", Some(br#"[{"id":"x","names":null,"digest":null}]"#)).unwrap()[0].names.len(),
            0
        );
        let scratch = tempfile::tempdir().unwrap();
        let root = RootDir::open(scratch.path()).unwrap();
        assert_eq!(Store::open(&root).unwrap().images(Duration::ZERO, &Silent).unwrap(), []);
    }

    #[test]
    fn a_damaged_index_and_an_unknown_driver_are_named() {
        for bad in [&b"[{\"id\":\"x\""[..], b"{}", b"\0\0", b"[{\"names\":[]}]", b"nonsense"] {
            assert!(matches!(images("overlay", Some(bad)), Err(Error::Corrupt { .. })), "{bad:?}");
        }
        assert!(
            matches!(images("btrfs", None), Err(Error::UnknownDriver { driver, .. }) if driver == "btrfs")
        );
    }

    #[test]
    fn a_digest_name_is_listed_only_without_a_tag() {
        let image = |names: &[&str]| Image {
            id: "x".to_owned(),
            digest: None,
            names: names.iter().map(|&name| name.to_owned()).collect(),
        };
        let rows = |image: &Image| image.listed_names().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(rows(&image(&["a@sha256:1", "a:1"])), ["a:1"]);
        assert_eq!(rows(&image(&["a@sha256:1"])), ["a@sha256:1"]);
        assert!(rows(&image(&[])).is_empty());
    }
}

//! Where names without a registry lead: the aliases of the containers tools' configuration, and those that they have remembered.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::system::System;
use crate::error::Error;

/// Files, and directories whose `*.conf` count.
const FILES: [&str; 3] = [
    "/etc/containers/registries.conf",
    "/usr/share/containers/registries.conf",
    "/var/cache/containers/short-name-aliases.conf",
];
const DIRECTORIES: [&str; 2] =
    ["/etc/containers/registries.conf.d", "/usr/share/containers/registries.conf.d"];
const MAX_CONFIGURATION: u64 = 4 << 20;

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    aliases: BTreeMap<String, String>,
}

/// Every alias of a system: a short name without tag and digest, and a full one. A name can have several, of which one counts.
///
/// # Errors
/// The system's; [`Error::Corrupt`] if a file can't be understood.
pub fn aliases(system: &System) -> Result<Vec<(String, String)>, Error> {
    let mut paths: Vec<PathBuf> = FILES.iter().map(PathBuf::from).collect();
    for directory in DIRECTORIES {
        match system.entries(directory) {
            Ok(entries) => paths.extend(
                entries
                    .into_iter()
                    .map(|entry| Path::new(directory).join(entry.name))
                    .filter(|path| path.extension().is_some_and(|extension| extension == "conf")),
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(system.error("read", directory)(error)),
        }
    }
    let mut found = Vec::new();
    for path in paths {
        let text = match system.read_text(&path, MAX_CONFIGURATION) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(system.error("read", &path)(error)),
        };
        let configuration: Configuration = toml::from_str(&text).map_err(|error| Error::Corrupt {
            path: system.path(&path),
            why: error.message().to_owned(),
            hint: "podman can't read it either; see: man containers-registries.conf",
        })?;
        found.extend(configuration.aliases);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_found_wherever_the_tools_look_for_them() {
        let scratch = tempfile::tempdir().unwrap();
        let root = System::in_directory(scratch.path()).unwrap();
        assert_eq!(aliases(&root).unwrap(), []);
        let write = |path: &str, text: &str| {
            let path = scratch.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(FILES[0], "unqualified-search-registries = [\"docker.io\"]\n");
        write(FILES[2], "[aliases]\n\"a\" = \"quay.io/a/b\"\n");
        write("etc/containers/registries.conf.d/shortnames.conf", "[aliases]\nc = \"quay.io/c/d\"\n");
        write("etc/containers/registries.conf.d/notes", "[");
        let pair = |name: &str, target: &str| (name.to_owned(), target.to_owned());
        assert_eq!(aliases(&root).unwrap(), [pair("a", "quay.io/a/b"), pair("c", "quay.io/c/d")]);
        write(FILES[1], "[");
        assert!(matches!(aliases(&root), Err(Error::Corrupt { .. })));
    }
}

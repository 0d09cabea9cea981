//! Short-name aliases of podman: from its configuration and its cache.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Error;
use crate::podman::files::read_all;
use crate::system::System;

/// The configuration files, and the directories whose `*.conf` files are read.
pub(crate) const FILES: [&str; 4] = [
    "/etc/containers/registries.conf",
    "/usr/share/containers/registries.conf",
    "/root/.config/containers/registries.conf",
    "/var/cache/containers/short-name-aliases.conf",
];
pub(crate) const DIRECTORIES: [&str; 5] = [
    "/etc/containers/registries.conf.d",
    "/etc/containers/registries.rootful.conf.d",
    "/usr/share/containers/registries.conf.d",
    "/usr/share/containers/registries.rootful.conf.d",
    "/root/.config/containers/registries.conf.d",
];

pub(crate) const HINT: &str =
    "fix the file, which podman cannot read either; see: man containers-registries.conf";

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    aliases: BTreeMap<String, String>,
}

/// All aliases of an operating system: a short name without tag and digest, and the full name. All definitions of a name are
/// returned, although podman uses only one.
///
/// # Errors
/// Any I/O error; [`OsError::Corrupt`](bootc_image_os::error::Error::Corrupt) if a file cannot be parsed.
pub fn aliases(system: &System) -> Result<Vec<(String, String)>, Error> {
    let all: Vec<Configuration> = read_all(system, &FILES, &DIRECTORIES, HINT)?;
    Ok(all.into_iter().flat_map(|configuration| configuration.aliases).collect())
}

#[cfg(test)]
mod tests {
    use bootc_image_os::error::Error as OsError;

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
        write(FILES[3], "[aliases]\n\"a\" = \"quay.io/a/b\"\n");
        write("etc/containers/registries.conf.d/shortnames.conf", "[aliases]\nc = \"quay.io/c/d\"\n");
        write("etc/containers/registries.conf.d/notes", "[");
        let pair = |name: &str, target: &str| (name.to_owned(), target.to_owned());
        assert_eq!(aliases(&root).unwrap(), [pair("a", "quay.io/a/b"), pair("c", "quay.io/c/d")]);
        std::os::unix::fs::symlink(
            "/dev/null",
            scratch.path().join("etc/containers/registries.conf.d/null.conf"),
        )
        .unwrap();
        write(FILES[2], "[aliases]\ne = \"quay.io/e/f\"\n");
        for (number, directory) in DIRECTORIES.into_iter().enumerate().skip(1) {
            write(&format!("{directory}/1.conf"), &format!("[aliases]\n{number} = \"quay.io/g\"\n"));
        }
        let found = aliases(&root).unwrap();
        assert_eq!(
            found[..3],
            [pair("e", "quay.io/e/f"), pair("a", "quay.io/a/b"), pair("c", "quay.io/c/d")]
        );
        assert_eq!(found[3..], ["1", "2", "3", "4"].map(|number| pair(number, "quay.io/g")));
        write(FILES[1], "[");
        let Err(Error::Os(OsError::Corrupt { hint, .. })) = aliases(&root) else { panic!() };
        assert_eq!(
            hint,
            "fix the file, which podman cannot read either; see: man containers-registries.conf"
        );
    }
}

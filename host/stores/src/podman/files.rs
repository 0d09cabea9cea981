//! Reads all configuration files of podman, whichever has precedence.

use std::io;
use std::path::{Path, PathBuf};

use bootc_image_os::error::Error as OsError;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::system::System;

const MAX_CONFIGURATION: u64 = 4 << 20;

/// The parsed contents of these files and of the `*.conf` files in these directories, as far as they exist.
///
/// # Errors
/// Any I/O error; [`OsError::Corrupt`] with this hint if a file cannot be parsed.
pub(crate) fn read_all<T: DeserializeOwned>(
    system: &System,
    files: &[&str],
    directories: &[&str],
    hint: &'static str,
) -> Result<Vec<T>, Error> {
    let mut paths: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    for directory in directories {
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
        tracing::debug!(file = %system.path(&path).display(), "read podman's configuration");
        let said = toml::from_str(&text).map_err(|error| OsError::Corrupt {
            path: system.path(&path),
            why: error.message().to_owned(),
            hint,
        })?;
        found.push(said);
    }
    Ok(found)
}

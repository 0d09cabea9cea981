//! Which entries of a plugin directory are plugins. Everything else is ignored: a backup or an unfinished installation must not stop
//! the host. An entry that could be a policy which somebody expects is never ignored (docs/adr/0022-configuration-files.md).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bootc_image_model::plugin::PluginId;

use super::inventory::{Broken, Inventory};
use super::missed;
use crate::places::{Place, Places, TrustedPath, is_mask, trusted_directory};

/// File name of a manifest.
pub(super) const MANIFEST: &str = "plugin.toml";

/// A directory among the plugins that is not read as a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The directory.
    pub directory: PathBuf,
    /// Why it is no plugin.
    pub why: String,
}

/// An entry that may be a plugin.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) path: TrustedPath,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its name is a plugin id, and it has a manifest.
    Plugin,
    /// Its name is a plugin id, and it has no manifest.
    Empty,
    /// It has a manifest, but its name is no plugin id.
    Misnamed,
    /// It has a manifest, and its name begins with a dot.
    Hidden,
    /// A link to `/dev/null`, which masks the plugin of that name in earlier places.
    Mask,
}

/// The entries of the directory of a place, sorted. Files, and directories such as a file system's `lost+found`, are not among them.
pub(super) fn entries(places: &Places, place: Place, directory: &Path) -> io::Result<Vec<Entry>> {
    let Some(real) = trusted_directory(directory, places.owner(place))? else { return Ok(Vec::new()) };
    let trusted = TrustedPath { named: directory.to_owned(), real };
    let mut found = Vec::new();
    for entry in fs::read_dir(&trusted.real)? {
        let entry = entry?;
        let file_type = entry.file_type()?;
        if file_type.is_file() {
            continue;
        }
        let name = entry.file_name();
        let path = trusted.join(&name);
        let is_id = name.to_str().is_some_and(|name| PluginId::new(name).is_ok());
        // A manifest that cannot be examined counts as one: it is read, and then refused.
        let manifest = fs::symlink_metadata(path.join(MANIFEST).real);
        let has_manifest = !manifest.is_err_and(|error| is_missing(&error));
        let kind = if name.as_encoded_bytes().starts_with(b".") {
            Kind::Hidden
        } else if file_type.is_symlink() && is_id {
            if is_mask(&path.real) { Kind::Mask } else { Kind::Plugin }
        } else if is_id {
            if has_manifest { Kind::Plugin } else { Kind::Empty }
        } else {
            Kind::Misnamed
        };
        if has_manifest || !matches!(kind, Kind::Hidden | Kind::Misnamed) {
            found.push(Entry { name: name.to_string_lossy().into_owned(), path, kind });
        }
    }
    found.sort_by(|a, b| a.path.real.cmp(&b.path.real));
    Ok(found)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl Ignored {
    pub(super) fn hidden(directory: &TrustedPath) -> Self {
        Self { directory: directory.named.clone(), why: "its name begins with a dot".to_owned() }
    }

    pub(super) fn empty(directory: &TrustedPath) -> Self {
        Self { directory: directory.named.clone(), why: format!("it has no {MANIFEST}") }
    }
}

/// Directories with a manifest of another name than their own. They are decided on when all others have been read.
#[derive(Default)]
pub(super) struct Others(Vec<(Broken, PathBuf, bool)>);

impl Others {
    pub(super) fn push(&mut self, broken: Broken, directory: &TrustedPath, misnamed: bool) {
        self.0.push((broken, directory.named.clone(), misnamed));
    }

    /// Ignores each of them, unless the plugin that it could be is expected and is not there.
    pub(super) fn settle(self, inventory: &mut Inventory, expected: &[&PluginId]) {
        for (broken, directory, misnamed) in self.0 {
            let is_expected = |id: &str| expected.iter().any(|expected| expected.as_str() == id);
            let missing = |id: &PluginId| {
                if is_expected(id.as_str()) { missed::is_absent(inventory, id) } else { !inventory.has(id) }
            };
            let why = match &broken.belongs_to {
                // A manifest that cannot be read could be of any plugin.
                None if misnamed && !expected.iter().any(|id| missing(id)) => {
                    Some("its name is not a plugin id".to_owned())
                }
                Some(id) if misnamed && !(missing(id) && is_expected(id.as_str())) => {
                    Some(format!("its name is not a plugin id (it has the manifest of {id})"))
                }
                Some(id) if !misnamed && !missing(id) && !is_expected(&broken.id) => {
                    Some(format!("it is a copy of {id}, whose directory is there too"))
                }
                _ => None,
            };
            match why {
                Some(why) => inventory.ignored.push(Ignored { directory, why }),
                None => inventory.add(Err(Box::new(broken)), None),
            }
        }
    }
}

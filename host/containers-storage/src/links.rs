//! The links of the overlay driver: each layer has a name in its file `link`, which is a link in the directory `l` to its files, and
//! the names of all layers below in its file `lower`.

use std::collections::HashMap;

use rustix::fs::{AtFlags, unlinkat};

use super::layout::{MAX_LINK, MAX_LOWER};
use super::records::Layer;
use super::store::Store;
use super::writer::Writer;
use crate::error::Error;

/// The directory of the links.
const DIRECTORY: &str = "overlay/l";

/// The names of a storage's layers, from all places where they are written.
pub(super) struct Links<'a> {
    storage: &'a Store<'a>,
    /// The links to each layer.
    leading: HashMap<String, Vec<String>>,
    /// The name of each layer in the file `lower` of the layers above.
    above: HashMap<String, String>,
}

impl<'a> Links<'a> {
    pub(super) fn read(writer: &Writer<'a>, layers: &HashMap<String, Layer>) -> Result<Self, Error> {
        let storage = writer.store;
        let mut leading: HashMap<String, Vec<String>> = HashMap::new();
        for entry in storage.root.entries(DIRECTORY).unwrap_or_default() {
            let Some(name) = entry.name.to_str().filter(|name| is_name(name)) else { continue };
            let target = storage.link_target(&format!("{DIRECTORY}/{name}"))?.unwrap_or_default();
            if let Some(id) = target.strip_prefix("../").and_then(|target| target.strip_suffix("/diff")) {
                leading.entry(id.to_owned()).or_default().push(name.to_owned());
            }
        }
        let mut above = HashMap::new();
        for (id, parent) in layers.values().filter_map(|layer| Some((&layer.id, layer.parent()?))) {
            let lower = storage.small(&format!("overlay/{id}/lower"), MAX_LOWER)?.unwrap_or_default();
            let first = lower.split(':').next().and_then(|first| first.strip_prefix("l/"));
            if let Some(name) = first.filter(|name| is_name(name)) {
                above.insert(parent.to_owned(), name.to_owned());
            }
        }
        Ok(Self { storage, leading, above })
    }

    /// The name of a layer: its own if it can still be read somewhere, or else that of the layer `new` in another storage.
    pub(super) fn name_of(&self, id: &str, other: &Store<'_>, new: &str) -> Result<String, Error> {
        let written = |store: &Store<'_>, id: &str| {
            let link = store.small(&format!("overlay/{id}/link"), MAX_LINK)?.unwrap_or_default();
            Ok::<_, Error>(Some(link.trim_end_matches('\n').to_owned()).filter(|name| is_name(name)))
        };
        let own = written(self.storage, id)?;
        let leading = self.leading.get(id).map(Vec::as_slice).unwrap_or_default();
        if let Some(own) = own.as_ref().filter(|own| leading.contains(own)) {
            return Ok(own.clone());
        }
        let is_free = |name: &String| {
            leading.contains(name) || !self.leading.values().any(|names| names.contains(name))
        };
        let above = self.above.get(id).filter(|name| is_free(name));
        let found = above.or_else(|| leading.first()).cloned();
        let found = found.or_else(|| own.filter(|own| own.len() == LENGTH && is_free(own)));
        match found {
            Some(name) => Ok(name),
            None => Ok(written(other, new)?.unwrap_or_default()),
        }
    }
}

/// The length of names that the driver generates.
const LENGTH: usize = 26;

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Corrects the file `lower` of all layers above these, including those of other images.
pub(super) fn write_above(
    writer: &Writer<'_>,
    layers: &HashMap<String, Layer>,
    ids: &[String],
) -> Result<(), Error> {
    let storage = writer.store;
    let mut below: Vec<String> = ids.to_vec();
    while let Some(parent) = below.pop() {
        let Some(expected) = storage.lower_above(&parent)? else { continue };
        for id in layers.values().filter(|layer| layer.parent() == Some(&parent)).map(|layer| &layer.id) {
            let path = format!("overlay/{id}/lower");
            // A layer without this file is damaged, and its own repair writes the file.
            let there = storage.small(&path, MAX_LOWER)?;
            if !ids.contains(id) && there.is_some_and(|there| there != expected) {
                writer.write(path.as_ref(), expected.as_bytes(), 0o644)?;
                below.push(id.clone());
            }
        }
    }
    Ok(())
}

/// Writes the name of a layer and the names of those below, unless they are right already.
pub(super) fn write(writer: &Writer<'_>, id: &str, name: &str, lower: &str) -> Result<(), Error> {
    let storage = writer.store;
    let link = format!("overlay/{id}/link");
    if storage.small(&link, MAX_LINK)?.as_deref() != Some(name) {
        writer.write(link.as_ref(), name.as_bytes(), 0o644)?;
    }
    let (leading, target) = (format!("{DIRECTORY}/{name}"), format!("../{id}/diff"));
    if storage.link_target(&leading)?.as_deref() != Some(&target) {
        writer.link(leading.as_ref(), &target)?;
    }
    let path = format!("overlay/{id}/lower");
    let there = storage.small(&path, MAX_LOWER)?;
    match there {
        None if lower.is_empty() => Ok(()),
        Some(_) if lower.is_empty() => unlinkat(storage.root, path.as_str(), AtFlags::empty())
            .map_err(|error| storage.root.error("remove", path)(error.into()))
            .map_err(Error::from),
        Some(there) if there == lower => Ok(()),
        _ => writer.write(path.as_ref(), lower.as_bytes(), 0o644),
    }
}

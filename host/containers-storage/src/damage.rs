//! Detects damaged images without reading the contents of their files.
//!
//! ```text
//! record --documents: size, digest--> configuration --diff_ids--> layers: record, directory, links, files
//! ```

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bootc_image_model::digest::Digest;
use bootc_image_model::oci;
use rustix::fs::FileType;

use super::contents::{Contents, Whiteouts};
use super::inherited::Inherited;
use super::layout::{MAX_LINK, MAX_LOWER};
use super::paths::is_damage;
use super::records::{Image, Layer};
use super::store::Store;
use crate::error::Error;

/// The number of an id's digits in messages.
const SHORT: usize = 12;

/// A damaged part of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The layer's id, if it is about a layer.
    layer: Option<String>,
    what: String,
    is_of_metadata: bool,
}

impl Damage {
    fn of_layer(layer: &str, what: impl Into<String>) -> Self {
        Self { layer: Some(layer.to_owned()), what: what.into(), is_of_metadata: false }
    }

    fn of_image(what: impl Into<String>) -> Self {
        Self { layer: None, what: what.into(), is_of_metadata: false }
    }

    /// The layer's id, if it is about a layer.
    pub fn layer(&self) -> Option<&str> {
        self.layer.as_deref()
    }

    /// Whether only owners or modes of files differ, because some file systems do not keep those.
    pub fn is_of_metadata(&self) -> bool {
        self.is_of_metadata
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.layer {
            Some(id) => {
                // A sentence of its own begins with a colon.
                let space = if self.what.starts_with(':') { "" } else { " " };
                write!(f, "layer {}{space}{}", short(id), self.what)
            }
            None => f.write_str(&self.what),
        }
    }
}

/// The beginning of an id.
fn short(id: &str) -> String {
    id.chars().take(SHORT).collect::<String>().escape_debug().to_string()
}

/// Which layers of additional stores count.
#[derive(Debug, Clone, Copy)]
enum Beside {
    /// Those that podman uses instead of unpacking a layer, because it looks for the id in all stores.
    Taken,
    /// Those that podman has to read, because the store itself has no layer with these contents.
    Read,
}

fn has_one_of(diff_ids: &[Digest]) -> impl Fn(&Layer) -> bool {
    |layer| layer.diff_id.as_ref().is_some_and(|own| diff_ids.contains(own))
}

/// Checks images for damage. Layers that images share are checked once.
#[derive(Debug)]
pub struct Checker<'a> {
    /// The store and its additional stores, with their layers.
    stores: Vec<(&'a Store<'a>, HashMap<String, Layer>)>,
    checked: HashMap<String, Option<Damage>>,
    /// Layers that an image or another layer uses.
    used: HashSet<String>,
}

impl<'a> Checker<'a> {
    /// For a store, whose images may use layers of the additional stores `others`.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn new(store: &'a Store<'a>, others: &'a [Store<'a>]) -> Result<Self, Error> {
        Self::among(store.driver(), std::iter::once(store).chain(others))
    }

    /// For the first of these stores with this driver; the following ones with this driver are its additional stores.
    ///
    /// # Errors
    /// As [`Store::images`].
    pub fn among(driver: &str, stores: impl Iterator<Item = &'a Store<'a>>) -> Result<Self, Error> {
        let stores = stores.filter(|store| store.driver() == driver);
        let stores = stores.map(|store| Ok((store, store.layers()?))).collect::<Result<_, Error>>()?;
        let stores: Vec<(&Store<'_>, HashMap<String, Layer>)> = stores;
        let above = stores.iter().flat_map(|(_, layers)| layers.values().filter_map(Layer::parent));
        let mut used: HashSet<String> = above.map(str::to_owned).collect();
        if let Some((store, _)) = stores.first() {
            used.extend(store.listed()?.into_iter().filter_map(|image| image.layer));
        }
        Ok(Self { stores, checked: HashMap::new(), used })
    }

    /// The first damage of an image of the store; `None` if the image is undamaged.
    ///
    /// # Errors
    /// Any I/O error that does not mean damage.
    pub fn image(&mut self, image: &Image) -> Result<Option<Damage>, Error> {
        match self.stores.first() {
            Some((store, _)) => self.image_of(store, image),
            None => Ok(None),
        }
    }

    /// As [`Checker::image`], for an image of any of the stores, whose layers may be in any of them.
    ///
    /// # Errors
    /// As [`Checker::image`].
    pub fn image_of(&mut self, store: &Store<'_>, image: &Image) -> Result<Option<Damage>, Error> {
        if let Some(damage) = store.damaged_document(image)? {
            return Ok(Some(damage));
        }
        let Some(configuration) = store.configuration(image) else {
            // A manifest list has none, and no layers.
            let is_list = store.has_no_layers(image) && !store.instances(image).is_empty();
            return Ok((!is_list).then(|| Damage::of_image("its configuration is missing")));
        };
        let Ok(diff_ids) = oci::diff_ids(&configuration) else {
            return Ok(Some(Damage::of_image("its configuration cannot be parsed")));
        };
        let mut next = image.layer.clone().filter(|id| !id.is_empty());
        let mut chain = Vec::with_capacity(diff_ids.len());
        for diff_id in diff_ids.iter().rev() {
            let Some(id) = next else {
                return Ok(Some(Damage::of_image(format!(
                    "it has {} layers, but its configuration names {}",
                    chain.len(),
                    diff_ids.len()
                ))));
            };
            let Some((_, layer)) = self.find(&id) else {
                return Ok(Some(Damage::of_layer(&id, "is not in the storage's index")));
            };
            if !layer.is(diff_id) {
                let what =
                    format!("does not have the contents that the image's configuration names ({diff_id})");
                return Ok(Some(Damage::of_layer(&id, what)));
            }
            next = layer.parent().map(str::to_owned);
            chain.push(id);
        }
        if let Some(id) = next {
            return Ok(Some(Damage::of_layer(&id, "is not named in the image's configuration")));
        }
        chain.reverse();
        match self.worst(&chain)? {
            Some(damage) if !damage.is_of_metadata => Ok(Some(damage)),
            // podman reads any layer that has the same contents.
            lesser => Ok(self.any_of(Beside::Read, has_one_of(&diff_ids))?.or(lesser)),
        }
    }

    /// The first damage of a layer with one of these contents, whatever image it belongs to: podman uses it for every image that
    /// has such a layer.
    ///
    /// # Errors
    /// As [`Checker::image`].
    pub fn layers_of(&mut self, diff_ids: &[Digest]) -> Result<Option<Damage>, Error> {
        self.any_of(Beside::Taken, has_one_of(diff_ids))
    }

    /// The first damage of any layer of the store.
    ///
    /// # Errors
    /// As [`Checker::image`].
    pub fn any_layer(&mut self) -> Result<Option<Damage>, Error> {
        self.any_of(Beside::Taken, |_| true)
    }

    /// Whether there is damage that podman would make worse. For a layer without its archive headers it would generate an archive
    /// when another image needs the layer; an incompletely unpacked layer that others use it would remove.
    ///
    /// # Errors
    /// As [`Checker::image`].
    pub fn would_get_worse(&self) -> Result<bool, Error> {
        let Some((store, layers)) = self.stores.first() else { return Ok(false) };
        for layer in layers.values().filter(|layer| layer.diff_id.is_some()) {
            let is_removed = layer.is_incomplete() && self.used.contains(&layer.id);
            let is_made_up = !layer.is_incomplete() && layer.toc.is_none();
            if is_removed || (is_made_up && store.kind(&store.archive_of(&layer.id))?.is_none()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn any_of(
        &mut self,
        beside: Beside,
        is_wanted: impl Fn(&Layer) -> bool,
    ) -> Result<Option<Damage>, Error> {
        let Some(((_, own), others)) = self.stores.split_first() else { return Ok(None) };
        // podman itself removes layers that were not unpacked completely, even if another layer uses them. A container's layer has
        // no archive.
        let is_used = |layer: &Layer| !layer.is_incomplete() || self.used.contains(&layer.id);
        let wanted = |layer: &&Layer| layer.diff_id.is_some() && is_wanted(layer);
        let own_wanted: Vec<&Layer> = own.values().filter(wanted).filter(|layer| is_used(layer)).collect();
        let counts = |layer: &&Layer| match beside {
            Beside::Taken => !own.contains_key(&layer.id),
            Beside::Read => own_wanted.iter().all(|own| own.diff_id != layer.diff_id),
        };
        let sorted = |layers: &mut dyn Iterator<Item = &Layer>| {
            let mut ids: Vec<String> = layers.map(|layer| layer.id.clone()).collect();
            ids.sort_unstable();
            ids
        };
        let mut ids = sorted(&mut own_wanted.iter().copied());
        for (_, layers) in others {
            ids.extend(sorted(&mut layers.values().filter(wanted).filter(counts)));
        }
        self.worst(&ids)
    }

    /// The first damage of these layers; a missing file in any of them has precedence over a wrong mode.
    fn worst(&mut self, ids: &[String]) -> Result<Option<Damage>, Error> {
        let mut lesser = None;
        for id in ids {
            match self.layer(id)? {
                Some(damage) if !damage.is_of_metadata => return Ok(Some(damage)),
                found => lesser = lesser.or(found),
            }
        }
        Ok(lesser)
    }

    /// The damage of a single layer.
    ///
    /// # Errors
    /// As [`Checker::image`].
    pub fn layer(&mut self, id: &str) -> Result<Option<Damage>, Error> {
        if let Slot::Occupied(known) = self.checked.entry(id.to_owned()) {
            return Ok(known.get().clone());
        }
        let damage = self.look_at(id)?;
        self.checked.insert(id.to_owned(), damage.clone());
        Ok(damage)
    }

    fn find(&self, id: &str) -> Option<(&'a Store<'a>, &Layer)> {
        self.stores.iter().find_map(|(store, layers)| Some((*store, layers.get(id)?)))
    }

    fn look_at(&self, id: &str) -> Result<Option<Damage>, Error> {
        let Some((store, layer)) = self.find(id) else {
            return Ok(Some(Damage::of_layer(id, "is not in the storage's index")));
        };
        if layer.is_incomplete() {
            return Ok(Some(Damage::of_layer(id, "was not unpacked completely")));
        }
        // An id that could lead to another directory was not written by podman.
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
            || id.starts_with('.')
        {
            return Ok(Some(Damage::of_layer(id, "has an invalid id")));
        }
        let directory = store.directory_of(id);
        let is_directory = |path: &Path| Ok::<_, Error>(store.kind(path)? == Some(FileType::Directory));
        if !is_directory(directory.parent().unwrap_or(&directory))? || !is_directory(&directory)? {
            return Ok(Some(Damage::of_layer(id, ": its directory is missing")));
        }
        if store.driver() == "overlay"
            && let Some(what) = self.links(store, layer)?
        {
            return Ok(Some(Damage::of_layer(id, what)));
        }
        if store.is_of_another_form(id)? {
            return Ok(None);
        }
        self.contents(store, layer)
    }

    /// The damage of the links by which the overlay driver finds the layers below.
    fn links(&self, store: &Store<'_>, layer: &Layer) -> Result<Option<String>, Error> {
        let id = &layer.id;
        let Some(link) = store.small(&format!("overlay/{id}/link"), MAX_LINK)? else {
            return Ok(Some(": its file `link` is missing".to_owned()));
        };
        let name = link.trim_end_matches('\n');
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(Some(": its file `link` has no valid name in it".to_owned()));
        }
        if store.link_target(&format!("overlay/l/{name}"))?.as_deref()
            != Some(format!("../{id}/diff").as_str())
        {
            return Ok(Some(format!("has no link l/{name}")));
        }
        let Some(parent) = layer.parent() else {
            // The lowest layer is mounted over this empty directory.
            let empty = store.kind(format!("overlay/{id}/empty").as_ref())?;
            return Ok(
                (empty != Some(FileType::Directory)).then(|| ": its directory `empty` is missing".to_owned())
            );
        };
        let Some((below, _)) = self.find(parent) else { return Ok(None) };
        let Some(expected) = below.lower_above(parent)? else { return Ok(None) };
        Ok(match store.small(&format!("overlay/{id}/lower"), MAX_LOWER)? {
            None => Some(": its file `lower` is missing".to_owned()),
            Some(lower) if lower != expected => Some(": its file `lower` names the wrong layers".to_owned()),
            Some(_) => None,
        })
    }

    /// The damage of a layer's files.
    fn contents(&self, store: &Store<'_>, layer: &Layer) -> Result<Option<Damage>, Error> {
        let id = &layer.id;
        let path = store.archive_of(id);
        let directory = store.directory_of(id);
        let root = store.root;
        let tree = root.open_root(&directory).map_err(root.error("open", &directory))?;
        let whiteouts = if store.driver() == "vfs" { Whiteouts::Applied } else { Whiteouts::Kept };
        let mut contents = Contents::new(&tree, whiteouts);
        let length = match store.read_archive(id, &mut |entry| contents.check(entry))? {
            Ok(length) => length,
            // A layer that was pulled partially may have none.
            Err(error) if error.kind() == io::ErrorKind::NotFound && layer.toc.is_some() => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Damage::of_layer(id, "has no file tar-split.gz")));
            }
            Err(error) if is_damage(&error) => {
                let what = format!("has a damaged or incomplete file tar-split.gz: {error}");
                return Ok(Some(Damage::of_layer(id, what)));
            }
            Err(error) => return Err(root.error("read", path)(error).into()),
        };
        let mut problem = None;
        if whiteouts == Whiteouts::Applied
            && let Some(parent) = layer.parent()
        {
            problem = inherited(store, id, parent, &tree, &contents)?;
        }
        let own = contents.finish();
        let problem = match (own, problem) {
            (Some(own), Some(other)) if own.is_of_metadata && !other.is_of_metadata => Some(other),
            (own, other) => own.or(other),
        };
        if let Some(problem) = problem {
            let is_of_metadata = problem.is_of_metadata;
            return Ok(Some(Damage { is_of_metadata, ..Damage::of_layer(id, problem.what) }));
        }
        let is_known = layer.diff_size >= 0 && layer.toc.is_none();
        if let Some(length) =
            length.filter(|length| is_known && u64::try_from(layer.diff_size) != Ok(*length))
        {
            let what = format!(": the index gives its size as {}, but it is {length}", layer.diff_size);
            return Ok(Some(Damage::of_layer(id, what)));
        }
        Ok(None)
    }
}

/// With the vfs driver: what a layer's directory lacks of the layer below.
fn inherited(
    store: &Store<'_>,
    id: &str,
    parent: &str,
    tree: &bootc_image_os::root::RootDir,
    contents: &Contents<'_>,
) -> Result<Option<super::contents::Problem>, Error> {
    let below = store.directory_of(parent);
    // A missing directory below is reported as the damage of that layer.
    let Ok(below) = store.root.open_root(&below) else { return Ok(None) };
    let directory = store.directory_of(id);
    let failed = |error: io::Error| store.root.error("examine", &directory)(error);
    let mut inherited = match Inherited::compare(&below, contents) {
        Ok(inherited) => inherited,
        Err(error) => return Err(failed(error).into()),
    };
    if !inherited.is_empty() {
        store.read_archive(id, &mut |entry| inherited.remove_listed(tree, entry))?.map_err(failed)?;
    }
    Ok(inherited.finish())
}

impl Store<'_> {
    /// Its path, for messages.
    pub fn path(&self) -> PathBuf {
        self.root.path(".")
    }

    /// The first document of an image that differs from its record.
    fn damaged_document(&self, image: &Image) -> Result<Option<Damage>, Error> {
        let names =
            image.document_names.iter().chain(image.documents.keys()).chain(image.document_sizes.keys());
        let mut names: Vec<&String> = names.collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let shown = name.escape_debug();
            let Some(text) = self.document(&image.id, name)? else {
                return Ok(Some(Damage::of_image(format!("its document {shown} is missing"))));
            };
            let digest = Digest::of(&text);
            let other = |expected: &str| expected.starts_with("sha256:") && expected != digest.as_str();
            let is_other = image.documents.get(name).is_some_and(|expected| other(expected))
                || other(name.strip_prefix("manifest-").unwrap_or(name))
                || image
                    .document_sizes
                    .get(name)
                    .is_some_and(|size| *size >= 0 && *size != text.len() as i64);
            if is_other {
                return Ok(Some(Damage::of_image(format!("its document {shown} is damaged"))));
            }
        }
        // Older versions of podman do not record digests of documents.
        if let Some(digest) = &image.digest
            && !image.documents.is_empty()
            && !image.is_of_document(digest)
        {
            return Ok(Some(Damage::of_image(format!("its manifest {digest} is missing"))));
        }
        Ok(None)
    }

    fn has_no_layers(&self, image: &Image) -> bool {
        image.layer.as_ref().is_none_or(String::is_empty)
    }
}

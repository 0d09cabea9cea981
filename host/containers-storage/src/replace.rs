//! Replaces the layers and documents of an image in a storage by those of the same image that was fetched again.
//!
//! podman never does that, because it assumes that what the index lists is complete. A single rename exchanges each layer's files with
//! the new ones, so that existing mounts keep the old files and later ones get the new files. The indexes are written last, so that an
//! interruption leaves nothing worse than before.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bootc_image_model::oci;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::processes;
use bootc_image_os::reporter::Reporter;
use serde_json::Value;

use super::label::label;
use super::links::{self, Links};
use super::records::Layer;
use super::store::chain;
use super::temporary::TemporaryStore;
use super::writer::{Record, Writer, sync, text};
use super::{Checker, Image, Store, documents};
use crate::error::Error;

/// Which parts of an image are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Damaged parts.
    Damaged,
    /// All parts.
    All,
}

/// How long to wait for locks, and the reporter of the wait.
pub struct Waiting<'a> {
    pub limit: Duration,
    pub reporter: &'a dyn Reporter,
}

/// Replaces the layers of an image in `storage`, and its documents if the image is listed there, by those of the image with this id
/// in `temporary`. Adds layers that `storage` lacks. `more` has documents that the new image may lack. Returns the number of layers
/// that were replaced or added.
///
/// # Errors
/// [`Error::OtherImage`]; [`OsError::Verification`] if the new image itself is damaged; [`OsError::Locked`]; any I/O error.
pub fn replace(
    storage: &Store<'_>,
    temporary: &TemporaryStore,
    id: &str,
    which: Which,
    more: &[Vec<u8>],
    waiting: &Waiting<'_>,
) -> Result<usize, Error> {
    let fresh = Store::with_driver(temporary.root(), storage.driver())?;
    let fresh_images = fresh.images(waiting.limit, waiting.reporter)?;
    let image = whole(&fresh, &fresh_images, id)?;
    let new = NewImage::read(&fresh, image)?;
    // It must be on disk before the index refers to it.
    sync(temporary.root())?;
    let writer = Writer::lock(storage, waiting.limit, waiting.reporter)?;
    processes::check_interrupted()?;
    let mut layers = writer.index("layers")?;
    let mut images = writer.index("images")?;
    let listed = images.iter().position(|record| text(record, "id") == Some(&image.id));
    let ids = new.ids_in(storage, listed.and_then(|at| images.get(at)))?;
    let replacement = Replacement { writer: &writer, fresh: &fresh, new: &new, ids: &ids };
    let replaced = replacement.layers(which, temporary, &mut layers)?;
    if let Some(record) = listed.and_then(|at| images.get_mut(at)) {
        let before = record.clone();
        match ids.last() {
            Some(top) => record.insert("layer".to_owned(), Value::from(top.as_str())),
            None => record.remove("layer"),
        };
        documents::replace(&writer, &fresh, image, record, more)?;
        if *record != before {
            writer.write_index("images", &images)?;
        }
    }
    writer.sync()?;
    Ok(replaced)
}

/// The image with this id, if it is undamaged.
fn whole<'a>(fresh: &Store<'_>, images: &'a [Image], id: &str) -> Result<&'a Image, Error> {
    let unlike = |why: String| OsError::Verification { what: "the fetched image".to_owned(), why };
    let Some(image) = images.iter().find(|image| image.id == id) else {
        return Err(Error::OtherImage { id: id.to_owned() });
    };
    match Checker::new(fresh, &[])?.image(image)? {
        // A file system that does not keep owners or modes cannot have a better copy.
        Some(damage) if !damage.is_of_metadata() => Err(unlike(damage.to_string()).into()),
        _ => Ok(image),
    }
}

/// The image that was fetched: its layers, the lowest first.
struct NewImage {
    layers: Vec<NewLayer>,
}

struct NewLayer {
    id: String,
    diff_id: bootc_image_model::digest::Digest,
    record: Record,
}

impl NewImage {
    fn read(fresh: &Store<'_>, image: &Image) -> Result<Self, Error> {
        let known = fresh.layers()?;
        let mut records: HashMap<String, Record> = fresh
            .index::<Record>(&format!("{}-layers/layers.json", fresh.driver()))?
            .into_iter()
            .filter_map(|record| Some((text(&record, "id")?.to_owned(), record)))
            .collect();
        let configuration = fresh.configuration(image).unwrap_or_default();
        let diff_ids = oci::diff_ids(&configuration).unwrap_or_default();
        let mut ids: Vec<&String> = chain(image, &known).filter(|id| !id.is_empty()).collect();
        ids.reverse();
        let layer = |(id, diff_id): (&String, _)| {
            Some(NewLayer { id: id.clone(), diff_id, record: records.remove(id)? })
        };
        Ok(Self { layers: ids.into_iter().zip(diff_ids).filter_map(layer).collect() })
    }

    /// The ids of the layers in a storage: the same as here, or, if the storage has the image with other layer ids, those.
    fn ids_in(&self, storage: &Store<'_>, record: Option<&Record>) -> Result<Vec<String>, Error> {
        let mut ids: Vec<String> = self.layers.iter().map(|layer| layer.id.clone()).collect();
        let known = storage.layers()?;
        let mut own = Vec::new();
        let mut next = record.and_then(|record| text(record, "layer"));
        while let Some(layer) = next.and_then(|id| known.get(id)).filter(|_| own.len() < ids.len()) {
            own.push(layer);
            next = layer.parent();
        }
        own.reverse();
        let is_same = |(layer, new): (&&Layer, &NewLayer)| layer.diff_id.as_ref() == Some(&new.diff_id);
        if own.len() == ids.len() && next.is_none() && own.iter().zip(&self.layers).all(is_same) {
            ids = own.into_iter().map(|layer| layer.id.clone()).collect();
        }
        Ok(ids)
    }
}

/// The replacement of an image's layers.
struct Replacement<'a> {
    writer: &'a Writer<'a>,
    fresh: &'a Store<'a>,
    new: &'a NewImage,
    /// The ids of the layers in the target storage, the lowest first.
    ids: &'a [String],
}

impl Replacement<'_> {
    fn layers(
        &self,
        which: Which,
        temporary: &TemporaryStore,
        records: &mut Vec<Record>,
    ) -> Result<usize, Error> {
        let storage = self.writer.store;
        let known = storage.layers()?;
        let mut checker = Checker::new(storage, &[])?;
        let mut going = HashSet::new();
        for (number, id) in self.ids.iter().enumerate() {
            let below = number.checked_sub(1).and_then(|below| self.ids.get(below));
            let diff_id = self.new.layers.get(number).map(|layer| &layer.diff_id);
            let is_right = |layer: &Layer| {
                layer.parent() == below.map(String::as_str)
                    && diff_id.is_some_and(|diff_id| layer.is(diff_id))
            };
            let is_whole = known.get(id).is_some_and(is_right) && checker.layer(id)?.is_none();
            if which == Which::All || !is_whole {
                going.insert(number);
            }
        }
        // A layer's link name must stay the same, because the layers above refer to it.
        let links =
            if storage.driver() == "overlay" { Some(Links::read(self.writer, &known)?) } else { None };
        let mut names = Vec::new();
        let numbered = |number: &usize| Some((self.ids.get(*number)?, self.new.layers.get(*number)?));
        for (id, new) in going.iter().filter_map(numbered) {
            names.push(format!("{id}/diff"));
            if let Some(links) = &links {
                names.push(format!("l/{}", links.name_of(id, self.fresh, &new.id)?));
            }
        }
        temporary.record_names(&names)?;
        let mut lower = String::new();
        for (number, (id, new)) in self.ids.iter().zip(&self.new.layers).enumerate() {
            let link = links.as_ref().map(|links| links.name_of(id, self.fresh, &new.id)).transpose()?;
            if going.contains(&number) {
                self.contents(id, &new.id)?;
            }
            if let Some(link) = link {
                links::write(self.writer, id, &link, &lower)?;
                lower = if lower.is_empty() { format!("l/{link}") } else { format!("l/{link}:{lower}") };
            }
        }
        if links.is_some() {
            links::write_above(self.writer, &known, self.ids)?;
        }
        let hidden = self.hide(&mut checker, records)?;
        if self.records(records) || hidden {
            self.writer.write_index("layers", records)?;
        }
        Ok(going.len())
    }

    /// podman reads any layer with the same contents. So remove the digests of damaged layers of other images from the index, until
    /// those are repaired as well. False if there are none.
    fn hide(&self, checker: &mut Checker<'_>, records: &mut [Record]) -> Result<bool, Error> {
        let mut hidden = false;
        for record in records {
            let (Some(id), Some(diff_id)) = (text(record, "id"), text(record, "diff-digest")) else {
                continue;
            };
            let is_same = self.new.layers.iter().any(|layer| layer.diff_id.as_str() == diff_id);
            if !is_same || self.ids.iter().any(|own| own == id) {
                continue;
            }
            if checker.layer(id)?.is_some_and(|damage| !damage.is_of_metadata()) {
                record.remove("diff-digest");
                record.remove("compressed-diff-digest");
                hidden = true;
            }
        }
        Ok(hidden)
    }

    /// Replaces the files of a layer and its archive headers.
    fn contents(&self, id: &str, new: &str) -> Result<(), Error> {
        let storage = self.writer.store;
        let (from, to) = (self.fresh.directory_of(new), storage.directory_of(id));
        label(self.fresh.root, &from, storage.root, &to)?;
        if storage.driver() == "overlay" {
            self.writer.directory(&PathBuf::from(format!("overlay/{id}")), 0o700)?;
            self.writer.directory(Path::new("overlay/l"), 0o755)?;
            for name in ["empty", "merged", "work"] {
                let (from, to) = (format!("overlay/{new}/{name}"), format!("overlay/{id}/{name}"));
                let is_directory = |kind| kind == Some(rustix::fs::FileType::Directory);
                let wanted = is_directory(self.fresh.kind(from.as_ref())?);
                if wanted && !is_directory(storage.kind(to.as_ref())?) {
                    self.writer.exchange(self.fresh.root, from.as_ref(), to.as_ref())?;
                }
            }
        } else if let Some(parent) = to.parent() {
            self.writer.directory(parent, 0o700)?;
        }
        self.writer.exchange(self.fresh.root, &from, &to)?;
        let (from, to) = (self.fresh.archive_of(new), storage.archive_of(id));
        if self.fresh.kind(&from)?.is_some() {
            self.writer.exchange(self.fresh.root, &from, &to)?;
        }
        let data = |store: &Store<'_>, id: &str| PathBuf::from(format!("{}-layers/{id}", store.driver()));
        if self.fresh.kind(&data(self.fresh, new))?.is_some() {
            self.writer.exchange(self.fresh.root, &data(self.fresh, new), &data(storage, id))?;
        }
        Ok(())
    }

    /// Corrects the records of the layers, and adds missing ones; false if there was nothing to do.
    fn records(&self, records: &mut Vec<Record>) -> bool {
        let mut changed = false;
        for (number, (id, new)) in self.ids.iter().zip(&self.new.layers).enumerate() {
            let below = number.checked_sub(1).and_then(|below| self.ids.get(below));
            let at = records.iter().position(|record| text(record, "id") == Some(id));
            let at = at.unwrap_or_else(|| {
                changed = true;
                records.push(new.record.clone());
                records.len() - 1
            });
            let Some(record) = records.get_mut(at) else { continue };
            let before = record.clone();
            record.insert("id".to_owned(), Value::from(id.as_str()));
            match below {
                Some(below) => record.insert("parent".to_owned(), Value::from(below.as_str())),
                None => record.remove("parent"),
            };
            for key in ["diff-digest", "diff-size", "toc-digest", "big-data-names"] {
                match new.record.get(key) {
                    Some(value) => record.insert(key.to_owned(), value.clone()),
                    // A partially pulled layer has no archive digest; keep the recorded one.
                    None if key == "diff-digest" => None,
                    None => record.remove(key),
                };
            }
            if let Some(Value::Object(flags)) = record.get_mut("flags") {
                flags.remove("incomplete");
                if flags.is_empty() {
                    record.remove("flags");
                }
            }
            changed |= *record != before;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::samples::Sample;
    use bootc_image_os::reporter::doubles::Silent;
    use bootc_image_os::root::RootDir;

    /// A process that another test is just starting has our locks as well, for a moment.
    const LIMIT: Duration = Duration::from_secs(60);
    const WAITING: Waiting<'static> = Waiting { limit: LIMIT, reporter: &Silent };

    /// The same image as if it were fetched again, with other link names.
    fn fetched(sample: &Sample) -> TemporaryStore {
        let fresh = Sample::new(sample.driver);
        if sample.driver == "overlay" {
            for (number, layer) in fresh.layers.iter().enumerate() {
                let link = format!("FRESH{number}");
                let directory = fresh.path("overlay/l");
                fs::rename(directory.join(format!("LINK{number}")), directory.join(&link)).unwrap();
                fs::write(fresh.path(&format!("overlay/{layer}/link")), link).unwrap();
            }
            fs::write(fresh.path(&format!("overlay/{}/lower", fresh.layers[1])), "l/FRESH0").unwrap();
        }
        let temporary = TemporaryStore::new(sample.scratch.path()).unwrap();
        let from = fresh.scratch.path().join(".");
        let copied = Command::new("cp").arg("--archive").arg(from).arg(temporary.root().path(".")).status();
        assert!(copied.unwrap().success());
        temporary
    }

    fn damage(sample: &Sample) -> Option<String> {
        let root = RootDir::open(sample.scratch.path()).unwrap();
        let store = Store::open(&root).unwrap();
        let images = store.images(LIMIT, &Silent).unwrap();
        let image = images.iter().find(|image| image.id == sample.id).unwrap();
        images.damage(image, &[]).unwrap().map(|damage| damage.to_string())
    }

    fn replaced(sample: &Sample, which: Which) -> usize {
        let root = RootDir::open(sample.scratch.path()).unwrap();
        let store = Store::open(&root).unwrap();
        let temporary = fetched(sample);
        let replaced = replace(&store, &temporary, &sample.id, which, &[], &WAITING).unwrap();
        drop(temporary);
        let left = fs::read_dir(sample.scratch.path()).unwrap();
        assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with("bootc-image.")));
        replaced
    }

    fn files(sample: &Sample) -> Vec<std::path::PathBuf> {
        let found =
            Command::new("find").arg(sample.scratch.path()).args(["-mindepth", "2"]).output().unwrap();
        let text = String::from_utf8(found.stdout).unwrap();
        let files = text.lines().map(std::path::PathBuf::from);
        // The storage needs its indexes and locks; everything inside its directories may be missing.
        let is_index = |path: &Path| path.extension().is_some_and(|end| end == "json" || end == "lock");
        files.filter(|path| !is_index(path)).collect()
    }

    #[test]
    fn whatever_is_damaged_is_whole_afterwards() {
        for driver in ["overlay", "vfs"] {
            let untouched = files(&Sample::new(driver)).len();
            let mut damaged = 0;
            for number in 0..untouched {
                for cut in [None, Some(0), Some(1)] {
                    let sample = Sample::new(driver);
                    let path = files(&sample).swap_remove(number);
                    let is_file = fs::symlink_metadata(&path).unwrap().is_file();
                    match cut {
                        None if path.is_dir() && !path.is_symlink() => fs::remove_dir_all(&path).unwrap(),
                        None => fs::remove_file(&path).unwrap(),
                        Some(half) if is_file => {
                            let bytes = fs::read(&path).unwrap();
                            fs::write(&path, &bytes[..bytes.len() * half / 2]).unwrap();
                        }
                        Some(_) => continue,
                    }
                    damaged += usize::from(damage(&sample).is_some());
                    replaced(&sample, Which::Damaged);
                    assert_eq!(damage(&sample), None, "{} {cut:?}", path.display());
                }
            }
            assert!(damaged > untouched, "{damaged} of {untouched}");
        }
    }

    #[test]
    fn what_the_indexes_say_is_corrected() {
        for driver in ["overlay", "vfs"] {
            for (index, from, to) in [
                ("layers/layers.json", r#""flags":{}"#, r#""flags":{"incomplete":true}"#),
                ("layers/layers.json", r#""parent":"#, r#""no":"#),
                ("layers/layers.json", r#""diff-digest":"#, r#""no":"#),
                ("layers/layers.json", r#""diff-size":"#, r#""diff-size":1"#),
                ("layers/layers.json", r#"{"id":"#, r#"{"id":"0","no":"#),
                ("images/images.json", r#""layer":""#, r#""layer":"x"#),
                ("images/images.json", r#""digest":"#, r#""no":"#),
                ("images/images.json", ":0}", ":7}"),
                ("images/images.json", r#""big-data-digests":"#, r#""no":"#),
                ("images/images.json", r#""big-data-names":["#, r#""big-data-names":["x","#),
            ] {
                let sample = Sample::new(driver);
                sample.edit(&format!("{driver}-{index}"), from, to);
                let before = damage(&sample);
                replaced(&sample, Which::Damaged);
                let expected = (to.contains("\"x\"")).then(|| "its document x is missing".to_owned());
                assert_eq!(damage(&sample), expected, "{from} {before:?}");
            }
        }
    }

    #[test]
    fn everything_is_replaced_on_request_and_names_of_links_stay() {
        use std::os::unix::fs::MetadataExt as _;
        let sample = Sample::new("overlay");
        let inode = || fs::metadata(sample.directory(0)).unwrap().ino();
        let before = inode();
        assert_eq!(replaced(&sample, Which::Damaged), 0);
        assert_eq!(inode(), before);
        assert_eq!(replaced(&sample, Which::All), 2);
        assert_ne!(inode(), before);
        let names = || {
            let mut names: Vec<_> = fs::read_dir(sample.path("overlay/l")).unwrap().flatten().collect();
            names.sort_by_key(fs::DirEntry::file_name);
            names.into_iter().map(|entry| entry.file_name()).collect::<Vec<_>>()
        };
        assert_eq!(names(), ["LINK0", "LINK1"]);
        fs::remove_dir_all(sample.path(&format!("overlay/{}", sample.layers[0]))).unwrap();
        assert_eq!(replaced(&sample, Which::Damaged), 1);
        assert_eq!((names(), damage(&sample)), (vec!["LINK0".into(), "LINK1".into()], None));
    }

    /// An image that was built has layers with ids of their own.
    #[test]
    fn layers_are_known_by_what_they_are() {
        for driver in ["overlay", "vfs"] {
            let sample = Sample::new(driver);
            let own = "0123456789abcdef".repeat(4);
            let (top, index) = (&sample.layers[1], format!("{driver}-layers/layers.json"));
            sample.edit(&index, top, &own);
            sample.edit(&format!("{driver}-images/images.json"), top, &own);
            let rename = |from: String, to: String| fs::rename(sample.path(&from), sample.path(&to)).unwrap();
            let archive = |id: &str| format!("{driver}-layers/{id}.tar-split.gz");
            rename(archive(top), archive(&own));
            if driver == "vfs" {
                rename(format!("vfs/dir/{top}"), format!("vfs/dir/{own}"));
                fs::remove_file(sample.path(&format!("vfs/dir/{own}/usr/d"))).unwrap();
            } else {
                rename(format!("overlay/{top}"), format!("overlay/{own}"));
                fs::remove_file(sample.path("overlay/l/LINK1")).unwrap();
            }
            assert!(damage(&sample).is_some());
            assert_eq!(replaced(&sample, Which::Damaged), 1);
            assert_eq!(damage(&sample), None);
            assert!(!fs::read_to_string(sample.path(&index)).unwrap().contains(top));
        }
    }

    #[test]
    fn what_isnt_whole_itself_replaces_nothing() {
        let sample = Sample::new("overlay");
        fs::remove_file(sample.directory(0).join("usr/a")).unwrap();
        let temporary = fetched(&sample);
        let file = temporary.root().path(format!("overlay/{}/diff/usr/b", sample.layers[0]));
        fs::remove_file(file).unwrap();
        let root = RootDir::open(sample.scratch.path()).unwrap();
        let store = Store::open(&root).unwrap();
        let error = replace(&store, &temporary, &sample.id, Which::All, &[], &WAITING).unwrap_err();
        let expected = format!(
            "the fetched image is not as expected: layer {} has no file /usr/b",
            &sample.layers[0][..12]
        );
        assert_eq!(error.to_string(), expected);
        let error = replace(&store, &temporary, "another", Which::All, &[], &WAITING).unwrap_err();
        assert_eq!(error.to_string(), "the fetched image is not the requested one (another)");
        assert!(damage(&sample).unwrap().contains("has no file /usr/a"));
    }
}

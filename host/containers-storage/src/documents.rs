//! The documents of an image, and their entries in a storage's index.

use std::collections::BTreeMap;

use bootc_image_model::digest::Digest;
use serde_json::Value;

use super::temporary::TemporaryStore;
use super::writer::{Record, Writer, text};
use super::{Image, Store};
use crate::error::Error;

/// The keys of an index for names, digests and sizes of documents.
const NAMES: &str = "big-data-names";
const DIGESTS: &str = "big-data-digests";
const SIZES: &str = "big-data-sizes";

/// The expected digest of a document, if it can be determined. The manifest has to be one of those with their digest in their names:
/// the one in the index, or else `manifest`, that of the same image elsewhere, or else the digest by which the image is known.
fn expected(record: &Record, name: &str, manifest: Option<&Digest>) -> Option<Digest> {
    let digest = |text: &str| Digest::new(text).ok().filter(|digest| digest.as_str().starts_with("sha256:"));
    let of_name = digest(name.strip_prefix("manifest-").unwrap_or(name));
    let of_index = record.get(DIGESTS).and_then(|map| map.get(name)?.as_str()).and_then(digest);
    if of_name.is_some() || name != "manifest" {
        return of_name.or(of_index);
    }
    let names = names(record);
    let is_kept = |digest: &Digest| {
        let mut kept = names.iter().filter_map(|name| name.strip_prefix("manifest-")).peekable();
        kept.peek().is_none() || kept.any(|kept| kept == digest.as_str())
    };
    let known = text(record, "digest").and_then(digest);
    let elsewhere = manifest.filter(|digest| is_kept(digest)).cloned();
    of_index.filter(is_kept).or(elsewhere).or(known)
}

fn names(record: &Record) -> Vec<String> {
    let list = record.get(NAMES).and_then(Value::as_array).into_iter().flatten();
    let mut names: Vec<String> = list.filter_map(|name| name.as_str().map(str::to_owned)).collect();
    for key in [DIGESTS, SIZES] {
        let map = record.get(key).and_then(Value::as_object);
        for name in map.into_iter().flat_map(|map| map.keys()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// The digests of an image's documents that are missing or damaged in a storage, and that the same image in a temporary storage
/// does not have either.
///
/// # Errors
/// As [`Store::images`].
pub fn missing(
    storage: &Store<'_>,
    temporary: Option<&TemporaryStore>,
    image: &str,
) -> Result<Vec<Digest>, Error> {
    let index = |store: &Store<'_>| store.index::<Record>(&format!("{}-images/images.json", store.driver()));
    let is_it = |record: &&Record| text(record, "id") == Some(image);
    let fresh =
        temporary.map(|temporary| Store::with_driver(temporary.root(), storage.driver())).transpose()?;
    let mut documents = Documents::default();
    let mut wanted = Vec::new();
    for store in fresh.iter().chain([storage]) {
        wanted.clear();
        for record in index(store)?.iter().filter(is_it) {
            for name in names(record) {
                documents.extend(store.document(image, &name)?);
                wanted.extend(expected(record, &name, None));
            }
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    Ok(wanted.into_iter().filter(|digest| documents.get(digest).is_none()).collect())
}

/// Documents by their digests.
#[derive(Default)]
struct Documents(BTreeMap<Digest, Vec<u8>>);

impl Documents {
    fn add(&mut self, text: Vec<u8>) {
        self.0.insert(Digest::of(&text), text);
    }

    fn extend(&mut self, text: Option<Vec<u8>>) {
        text.into_iter().for_each(|text| self.add(text));
    }

    fn get(&self, digest: &Digest) -> Option<&[u8]> {
        // The empty document need not be stored.
        if Digest::of(b"") == *digest { Some(&[]) } else { self.0.get(digest).map(Vec::as_slice) }
    }
}

/// Replaces missing and damaged documents of an image, and corrects its record. `new` is the same image in another storage; `more` has
/// documents that it may lack.
///
/// # Errors
/// Any I/O error.
pub(super) fn replace(
    writer: &Writer<'_>,
    fresh: &Store<'_>,
    new: &Image,
    record: &mut Record,
    more: &[Vec<u8>],
) -> Result<(), Error> {
    let storage = writer.store;
    let image = text(record, "id").unwrap_or_default().to_owned();
    let mut wanted = names(record);
    // An image needs a configuration and a manifest: if its record names none, take those of the new image.
    let has = |wanted: &[String], is: &dyn Fn(&str) -> bool| wanted.iter().any(|name| is(name));
    let configuration = format!("sha256:{image}");
    if !has(&wanted, &|name| name == configuration) || !has(&wanted, &|name| name.starts_with("manifest")) {
        wanted.extend(new.document_names.iter().cloned());
        wanted.dedup();
    }
    let mut documents = Documents::default();
    more.iter().for_each(|text| documents.add(text.clone()));
    let mut others = BTreeMap::new();
    for name in &new.document_names {
        if let Some(text) = fresh.document(&new.id, name)? {
            documents.add(text.clone());
            others.insert(name.clone(), text);
        }
    }
    for name in &wanted {
        documents.extend(storage.document(&image, name)?);
    }
    let manifest = others.get("manifest").map(|text| Digest::of(text));
    let expected = |record: &Record, name: &str| expected(record, name, manifest.as_ref());
    writer.directory(format!("{}-images/{image}", storage.driver()).as_ref(), 0o700)?;
    let (mut kept, mut digests, mut sizes) = (Vec::new(), Record::new(), Record::new());
    for name in wanted {
        let there = storage.document(&image, &name)?;
        let found = match expected(record, &name) {
            Some(digest) => documents.get(&digest).or(there.as_deref()),
            None => there.as_deref().or(others.get(&name).map(Vec::as_slice)),
        };
        // A document that cannot be found stays in the record, so that a later check reports it as missing.
        let Some(found) = found else {
            let before = |key: &str| record.get(key).and_then(|map| map.get(&name)).cloned();
            digests.extend(before(DIGESTS).map(|value| (name.clone(), value)));
            sizes.extend(before(SIZES).map(|value| (name.clone(), value)));
            kept.push(name);
            continue;
        };
        if there.as_deref() != Some(found) {
            writer.write(&storage.document_path(&image, &name), found, 0o600)?;
        }
        let digest = expected(record, &name).unwrap_or_else(|| Digest::of(found));
        digests.insert(name.clone(), Value::from(digest.as_str()));
        sizes.insert(name.clone(), Value::from(found.len()));
        kept.push(name);
    }
    let manifest = digests.get("manifest").and_then(Value::as_str).map(str::to_owned);
    let is_known = |digest: &str| digests.iter().any(|(_, of)| of.as_str() == Some(digest));
    if let Some(manifest) = manifest.filter(|_| !text(record, "digest").is_some_and(is_known)) {
        record.insert("digest".to_owned(), Value::from(manifest));
    }
    record.insert(NAMES.to_owned(), kept.into());
    record.insert(DIGESTS.to_owned(), digests.into());
    record.insert(SIZES.to_owned(), sizes.into());
    Ok(())
}

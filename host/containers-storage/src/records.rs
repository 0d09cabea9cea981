//! The fields of a storage's indexes that are used here.

use std::collections::BTreeMap;

use bootc_image_model::digest::Digest;
use bootc_image_model::reference::Reference;
use serde::Deserialize;

/// An image in a store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Image {
    /// Digest of its configuration, without `sha256:`.
    pub id: String,
    /// Digest of its manifest, if the store has it.
    #[serde(default, deserialize_with = "digest_or_none")]
    pub digest: Option<Digest>,
    /// Its names in the store's order, including those with `@DIGEST`.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub names: Vec<String>,
    /// Its topmost layer; `None` for an image without layers.
    #[serde(default)]
    pub(super) layer: Option<String>,
    /// The names of its documents in the store.
    #[serde(default, rename = "big-data-names", deserialize_with = "null_is_empty")]
    pub(super) document_names: Vec<String>,
    /// Their digests.
    #[serde(default, rename = "big-data-digests", deserialize_with = "null_is_empty")]
    pub(super) documents: BTreeMap<String, String>,
    /// Their sizes in bytes; negative if unknown.
    #[serde(default, rename = "big-data-sizes", deserialize_with = "null_is_empty")]
    pub(super) document_sizes: BTreeMap<String, i64>,
    /// When it was created: RFC 3339.
    #[serde(default)]
    pub(super) created: Option<String>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn digest_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Digest>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| Digest::new(text).ok()))
}

impl Image {
    /// The names that are rows of a list: those with `@DIGEST` only if no name has a tag, as in `podman image list`.
    pub fn listed_names(&self) -> impl Iterator<Item = &str> {
        let tagged = self.names.iter().any(|name| !name.contains('@'));
        self.names.iter().map(String::as_str).filter(move |name| !tagged || !name.contains('@'))
    }

    /// Its names that are equal to this one, in any spelling.
    pub fn names_meaning(&self, name: &Reference) -> impl Iterator<Item = &String> {
        self.names.iter().filter(move |stored| {
            Reference::parse_local(stored).is_ok_and(|stored| stored.is_equivalent(name))
        })
    }

    /// An image with only these names.
    #[cfg(any(test, feature = "doubles"))]
    pub fn named_in_tests(names: &[&str]) -> Self {
        Self {
            id: "x".to_owned(),
            digest: None,
            names: names.iter().map(|&name| name.to_owned()).collect(),
            layer: None,
            document_names: Vec::new(),
            documents: BTreeMap::new(),
            document_sizes: BTreeMap::new(),
            created: None,
        }
    }

    /// The same with the digest of a manifest.
    #[cfg(any(test, feature = "doubles"))]
    pub fn with_digest_in_tests(mut self, digest: &str) -> Self {
        self.digest = Digest::new(digest).ok();
        self
    }

    /// Whether the image was pulled by this digest, of its manifest or of an index.
    pub fn is_of(&self, manifest: &Digest) -> bool {
        self.digest.as_ref() == Some(manifest) || self.is_of_document(manifest)
    }

    /// The digests of its manifest, and then of the OCI indexes that it was pulled from, as recorded in the storage's index.
    pub fn manifests(&self) -> Vec<Digest> {
        let own = self.documents.get("manifest").map(String::as_str);
        let others = self.document_names.iter().filter_map(|name| name.strip_prefix("manifest-"));
        let known = self.digest.as_ref().map(Digest::as_str);
        let mut manifests = Vec::new();
        for digest in own.into_iter().chain(others).chain(known).filter_map(|digest| Digest::new(digest).ok())
        {
            if !manifests.contains(&digest) {
                manifests.push(digest);
            }
        }
        manifests
    }

    /// Whether the storage's index lists a document with this digest.
    pub fn has_document(&self, digest: &Digest) -> bool {
        self.documents.values().any(|of| of == digest.as_str())
    }

    pub(super) fn is_of_document(&self, manifest: &Digest) -> bool {
        let mut manifests = self.documents.iter().filter(|(name, _)| name.starts_with("manifest"));
        manifests.any(|(_, of)| of == manifest.as_str())
    }
}

/// A layer.
#[derive(Debug, Deserialize)]
pub(super) struct Layer {
    pub(super) id: String,
    #[serde(default)]
    pub(super) parent: Option<String>,
    /// Digest of the uncompressed archive from which it was unpacked.
    #[serde(default, rename = "diff-digest", deserialize_with = "digest_or_none")]
    pub(super) diff_id: Option<Digest>,
    /// Digest of the table of contents, if the layer was pulled partially. There is no archive digest then.
    #[serde(default, rename = "toc-digest", deserialize_with = "digest_or_none")]
    pub(super) toc: Option<Digest>,
    /// The names of further data that podman keeps for the layer.
    #[serde(default, rename = "big-data-names", deserialize_with = "null_is_empty")]
    pub(super) further_data: Vec<String>,
    /// In bytes; negative if unknown.
    #[serde(default, rename = "diff-size")]
    pub(super) diff_size: i64,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) flags: BTreeMap<String, serde_json::Value>,
}

/// A container.
#[derive(Debug, Deserialize)]
pub(super) struct Container {
    pub(super) id: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) names: Vec<String>,
    #[serde(default)]
    pub(super) image: String,
    /// The id of the layer that it writes to.
    #[serde(default)]
    pub(super) layer: String,
}

impl Layer {
    /// As newer versions of podman store it: podman 4 stores the digest of the table of contents where that of the archive belongs.
    pub(super) fn in_newer_form(mut self) -> Self {
        if self.toc.is_none() && self.further_data.iter().any(|name| name == "zstd-chunked-manifest") {
            self.toc = self.diff_id.take();
        }
        self
    }

    /// Whether it was unpacked from this archive; true if that is unknown because the layer was pulled partially.
    pub(super) fn is(&self, diff_id: &Digest) -> bool {
        self.diff_id.as_ref().map_or(self.toc.is_some(), |own| own == diff_id)
    }

    /// The layer below it.
    pub(super) fn parent(&self) -> Option<&str> {
        self.parent.as_deref().filter(|parent| !parent.is_empty())
    }

    /// Whether it was not unpacked completely.
    pub(super) fn is_incomplete(&self) -> bool {
        self.flags.get("incomplete").is_some_and(|flag| *flag != serde_json::Value::Bool(false))
    }
}

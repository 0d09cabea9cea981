//! The parts of OCI image documents that are read here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::digest::Digest;

#[derive(Deserialize)]
struct Configuration {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

/// Parses a document as podman and skopeo do: the last of several equal keys counts. They accept such an image, so we must be able
/// to read it.
fn read<T: DeserializeOwned>(document: &[u8]) -> serde_json::Result<T> {
    serde_json::from_value(serde_json::from_slice::<Value>(document)?)
}

/// A descriptor, by which a document refers to another one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Descriptor {
    /// The digest of the document.
    pub digest: Digest,
    /// The platform, unparsed.
    platform: Option<Value>,
}

impl Descriptor {
    /// The architecture of the platform; empty if there is none.
    fn architecture(self) -> serde_json::Result<String> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Platform {
            architecture: String,
        }
        let platform = self.platform.map(serde_json::from_value::<Platform>).transpose()?;
        Ok(platform.unwrap_or_default().architecture)
    }
}

/// The descriptive fields of an image's configuration. Missing or invalid ones are `None`.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Description {
    /// When the image was created.
    pub created: Option<String>,
    config: Option<Run>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Run {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Description {
    /// Parses a configuration.
    pub fn of(configuration: &[u8]) -> Self {
        read(configuration).unwrap_or_default()
    }

    /// The labels as a JSON object.
    pub fn labels(&self) -> String {
        let labels = self.config.as_ref().and_then(|run| run.labels.as_ref());
        labels.map(|labels| serde_json::to_string(labels).unwrap_or_default()).unwrap_or_default()
    }
}

/// The id of the image with this manifest: the digest of its configuration, without `sha256:`.
pub fn id(manifest: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Manifest {
        config: Descriptor,
    }
    let manifest: Manifest = read(manifest).ok()?;
    Some(manifest.config.digest.hex().to_owned())
}

/// The manifests in an index; none if the document is not an index.
pub fn instances(list: &[u8]) -> Vec<Digest> {
    platforms(list).into_iter().map(|(digest, _)| digest).collect()
}

/// As [`instances`], with the architecture of each.
pub fn platforms(list: &[u8]) -> Vec<(Digest, String)> {
    #[derive(Deserialize)]
    struct List {
        manifests: Vec<Descriptor>,
    }
    let found = read(list).and_then(|list: List| {
        let named = list.manifests.into_iter();
        named.map(|found| Ok((found.digest.clone(), found.architecture()?))).collect()
    });
    found.unwrap_or_default()
}

/// The digests of an image's uncompressed layers, lowest first, from its configuration.
///
/// # Errors
/// If it is not an image configuration.
pub fn diff_ids(configuration: &[u8]) -> serde_json::Result<Vec<Digest>> {
    read(configuration).map(|configuration: Configuration| configuration.rootfs.diff_ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_key_that_is_there_twice_the_last_one_counts() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let rootfs =
            |digest: &Digest| format!("\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"{digest}\"]}}");
        let configuration = format!("{{{},{}}}", rootfs(&one), rootfs(&two));
        assert_eq!(diff_ids(configuration.as_bytes()).unwrap(), [two]);
    }

    #[test]
    fn a_list_names_manifests_and_their_architectures() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let list = |platform: &str| {
            format!(r#"{{"manifests":[{{"digest":"{one}","platform":{platform}}},{{"digest":"{two}"}}]}}"#)
        };
        for (platform, architecture) in [(r#"{"architecture":"arm64"}"#, "arm64"), ("null", ""), ("{}", "")] {
            let expected = [(one.clone(), architecture.to_owned()), (two.clone(), String::new())];
            assert_eq!(platforms(list(platform).as_bytes()), expected);
        }
        // podman reads no such list either.
        for wrong in [r#""arm64""#, r#"{"architecture":1}"#] {
            assert_eq!(instances(list(wrong).as_bytes()), []);
        }
        let manifest = format!(r#"{{"config":{{"digest":"{one}","platform":1}}}}"#);
        assert_eq!(id(manifest.as_bytes()).as_deref(), Some(one.hex()));
    }
}

//! Manifest and configuration of the exported image: those of the image from which the commit was made, with the new layers.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use crate::blobs::Blob;

/// The label with the `diff_id` of the last layer that belongs to the ostree commit.
const FINAL_DIFF_ID: &str = "ostree.final-diffid";

/// The documents of an image.
#[derive(Debug)]
pub(crate) struct Documents {
    manifest: Value,
    configuration: Value,
}

impl Documents {
    pub(crate) fn parse(manifest: &str, configuration: &str) -> Result<Self> {
        let documents = Self {
            manifest: serde_json::from_str(manifest)?,
            configuration: serde_json::from_str(configuration)?,
        };
        let (layers, diff_ids) = (documents.layers()?.len(), documents.diff_ids()?.len());
        ensure!(layers > 0 && layers == diff_ids, "the image has {layers} layers but {diff_ids} diff_ids");
        Ok(documents)
    }

    fn layers(&self) -> Result<&Vec<Value>> {
        self.manifest["layers"].as_array().context("the manifest has no layers")
    }

    fn diff_ids(&self) -> Result<&Vec<Value>> {
        self.configuration["rootfs"]["diff_ids"].as_array().context("the configuration has no diff_ids")
    }

    /// The digests of the layers.
    pub(crate) fn layer_digests(&self) -> Result<Vec<&str>> {
        let digest = |layer: &'_ Value| layer["digest"].as_str().is_some();
        let layers = self.layers()?;
        ensure!(layers.iter().all(digest), "a layer has no digest");
        Ok(layers.iter().filter_map(|layer| layer["digest"].as_str()).collect())
    }

    /// The number of layers that belong to the ostree commit on which the image was built; 0 if it was not built on one.
    pub(crate) fn encapsulated_layers(&self) -> Result<usize> {
        let Some(wanted) = self.configuration["config"]["Labels"].get(FINAL_DIFF_ID) else { return Ok(0) };
        let last = self.diff_ids()?.iter().position(|diff_id| diff_id == wanted);
        Ok(last.with_context(|| format!("the label {FINAL_DIFF_ID} names no layer of the image"))? + 1)
    }

    /// The configuration with these layers. They are not compressed, so the digest of a layer is its `diff_id`.
    pub(crate) fn configuration(&self, layers: &[Blob]) -> Result<Value> {
        let mut configuration = self.configuration.clone();
        *configuration.pointer_mut("/rootfs/diff_ids").context("the configuration has no diff_ids")? =
            layers.iter().map(|layer| layer.digest.clone()).collect();
        let recorded = configuration["history"].as_array().map_or(0, |history| {
            history.iter().filter(|step| step["empty_layer"] != Value::Bool(true)).count()
        });
        if recorded != layers.len()
            && let Some(configuration) = configuration.as_object_mut()
        {
            configuration.remove("history");
        }
        if let (Some(last), Some(label)) =
            (self.final_layer(layers)?, configuration.pointer_mut(&format!("/config/Labels/{FINAL_DIFF_ID}")))
        {
            *label = json!(last.digest);
        }
        Ok(configuration)
    }

    fn final_layer<'a>(&self, layers: &'a [Blob]) -> Result<Option<&'a Blob>> {
        Ok(self.encapsulated_layers()?.checked_sub(1).and_then(|last| layers.get(last)))
    }

    pub(crate) fn manifest(&self, configuration: &Blob, layers: &[Blob]) -> Result<Value> {
        let described = layers.iter().zip(self.layers()?).map(|(layer, source)| {
            let mut descriptor = descriptor("application/vnd.oci.image.layer.v1.tar", layer);
            if let (Some(annotations), Some(descriptor)) =
                (source["annotations"].as_object(), descriptor.as_object_mut())
            {
                descriptor.insert("annotations".to_owned(), annotations.clone().into());
            }
            descriptor
        });
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", configuration),
            "layers": described.collect::<Vec<_>>(),
        });
        if let Some(annotations) = self.manifest["annotations"].as_object() {
            let mut annotations: Map<String, Value> = annotations.clone();
            if let (Some(last), Some(annotation)) =
                (self.final_layer(layers)?, annotations.get_mut(FINAL_DIFF_ID))
            {
                *annotation = json!(last.digest);
            }
            manifest["annotations"] = annotations.into();
        }
        Ok(manifest)
    }
}

/// An index with one manifest.
pub(crate) fn index(manifest: &Blob) -> Value {
    json!({
        "schemaVersion": 2,
        "manifests": [descriptor("application/vnd.oci.image.manifest.v1+json", manifest)],
    })
}

fn descriptor(media_type: &str, blob: &Blob) -> Value {
    json!({ "mediaType": media_type, "digest": blob.digest, "size": blob.size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(name: &str) -> Blob {
        Blob { digest: format!("sha256:{name}"), size: 1 }
    }

    fn documents(history: Value) -> Documents {
        let manifest = json!({
            "layers": [{"digest": "sha256:a", "annotations": {"k": "v"}}, {"digest": "sha256:b"}],
            "annotations": {FINAL_DIFF_ID: "sha256:x", "kept": "yes"},
        });
        let configuration = json!({
            "created": "then", "history": history, "extra": 1,
            "config": {"Labels": {FINAL_DIFF_ID: "sha256:x"}},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:x", "sha256:y"]},
        });
        Documents::parse(&manifest.to_string(), &configuration.to_string()).unwrap()
    }

    #[test]
    fn annotations_are_kept_and_digests_are_new() {
        let steps = json!([{"empty_layer": true}, {"created_by": "1"}, {"created_by": "2"}]);
        let documents = documents(steps.clone());
        assert_eq!(documents.encapsulated_layers().unwrap(), 1);
        let layers = [blob("1"), blob("2")];
        let configuration = documents.configuration(&layers).unwrap();
        assert_eq!(configuration["rootfs"]["diff_ids"], json!(["sha256:1", "sha256:2"]));
        assert_eq!(configuration["config"]["Labels"][FINAL_DIFF_ID], "sha256:1");
        assert_eq!((&configuration["created"], &configuration["extra"]), (&json!("then"), &json!(1)));
        assert_eq!(configuration["history"], steps);
        let manifest = documents.manifest(&blob("c"), &layers).unwrap();
        assert_eq!(manifest["layers"][0]["annotations"], json!({"k": "v"}));
        assert_eq!(manifest["layers"][1]["digest"], "sha256:2");
        assert_eq!(manifest["annotations"], json!({FINAL_DIFF_ID: "sha256:1", "kept": "yes"}));
    }

    #[test]
    fn a_history_with_another_number_of_layers_is_removed() {
        let documents = documents(json!([{"created_by": "1"}]));
        assert_eq!(documents.configuration(&[blob("1"), blob("2")]).unwrap().get("history"), None);
    }

    #[test]
    fn inconsistent_documents_are_refused() {
        let none = r#"{"rootfs": {"diff_ids": []}}"#;
        let two = r#"{"rootfs": {"diff_ids": ["a", "b"]}}"#;
        for (manifest, configuration, why) in [
            ("{}", "{}", "the manifest has no layers"),
            (r#"{"layers": []}"#, "{}", "the configuration has no diff_ids"),
            (r#"{"layers": []}"#, none, "the image has 0 layers but 0 diff_ids"),
            (r#"{"layers": [{"digest": "a"}]}"#, two, "the image has 1 layers but 2 diff_ids"),
            ("nonsense", "{}", "expected ident at line 1 column 2"),
        ] {
            assert_eq!(Documents::parse(manifest, configuration).unwrap_err().to_string(), why);
        }
        let labelled =
            r#"{"config": {"Labels": {"ostree.final-diffid": "c"}}, "rootfs": {"diff_ids": ["a", "b"]}}"#;
        let documents = Documents::parse(r#"{"layers": [{"digest": "a"}, {}]}"#, labelled).unwrap();
        assert_eq!(documents.layer_digests().unwrap_err().to_string(), "a layer has no digest");
        assert_eq!(
            documents.encapsulated_layers().unwrap_err().to_string(),
            "the label ostree.final-diffid names no layer of the image"
        );
    }
}

//! Manifests and configurations of images in registries, which skopeo fetches.

use bootc_image_model::digest::Digest;
use bootc_image_model::oci;
use bootc_image_model::reference::{DOCKER, Reference};
use bootc_image_model::settings::Settings;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::processes::Program;

use crate::bootc_store::with_credentials;
use crate::error::Error;

/// An image's configuration.
pub struct Configuration {
    /// The image's id.
    pub id: String,
    /// Its layers, the lowest first.
    pub diff_ids: Vec<Digest>,
}

/// The manifest or index of a name. `options` are podman's, which have the same names in skopeo.
///
/// # Errors
/// Errors of skopeo.
pub fn manifest(settings: &Settings, name: &Reference, options: &[String]) -> Result<Vec<u8>, Error> {
    inspect(settings, name, options, &[], &["--raw"])
}

/// The configuration of an image. In an index, `platform`, which are options of skopeo, selects the image.
///
/// # Errors
/// Errors of skopeo; [`OsError::Verification`].
pub fn configuration(
    settings: &Settings,
    name: &Reference,
    options: &[String],
    platform: &[String],
) -> Result<Configuration, Error> {
    let text = inspect(settings, name, options, platform, &["--raw", "--config"])?;
    let diff_ids = oci::diff_ids(&text)
        .map_err(|error| OsError::Verification { what: name.to_string(), why: error.to_string() })?;
    Ok(Configuration { id: Digest::of(&text).hex().to_owned(), diff_ids })
}

/// The maximum number of an index's manifests that are fetched.
const MOST_INSTANCES: usize = 64;

/// The digest of the manifest that podman selects if `pinned` has `document`, which may be an index. skopeo, which selects in the same
/// way, determines the image, so that the rules need not be known here.
///
/// # Errors
/// Errors of skopeo; [`OsError::Verification`] if no manifest of the index has that image.
pub fn instance(
    settings: &Settings,
    pinned: &Reference,
    document: &[u8],
    asked: &RegistryRequest,
) -> Result<Digest, Error> {
    let mut candidates = oci::platforms(document);
    if candidates.is_empty() {
        return Ok(pinned.digest().cloned().unwrap_or_else(|| Digest::of(document)));
    }
    let wanted = configuration(settings, pinned, &asked.options, &asked.platform)?.id;
    let is_likely = |architecture: &str| match &asked.architecture {
        Some(asked) => asked == architecture,
        None => architecture == HERE,
    };
    candidates.sort_by_key(|(_, architecture)| !is_likely(architecture));
    for (candidate, _) in candidates.into_iter().take(MOST_INSTANCES) {
        let found = manifest(settings, &pinned.with_digest(candidate.clone()), &asked.options)?;
        if oci::id(&found).as_ref() == Some(&wanted) {
            return Ok(candidate);
        }
    }
    Err(OsError::Verification {
        what: pinned.to_string(),
        why: "its index does not list the image that podman selects for this platform".to_owned(),
    }
    .into())
}

/// This host's architecture, as it is written in indexes.
const HERE: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "amd64",
    b"aarch64" => "arm64",
    b"powerpc64" => "ppc64le",
    _ => std::env::consts::ARCH,
};

/// How to contact a registry, as options of podman, and for which platform, as options of skopeo.
pub struct RegistryRequest {
    pub options: Vec<String>,
    pub platform: Vec<String>,
    /// The requested architecture.
    pub architecture: Option<String>,
    /// The requested platform in one word, if any.
    pub named: Option<String>,
}

impl RegistryRequest {
    /// The same for this host's platform.
    pub fn here(&self) -> Self {
        Self { options: self.options.clone(), platform: Vec::new(), architecture: None, named: None }
    }
}

fn inspect(
    settings: &Settings,
    name: &Reference,
    options: &[String],
    platform: &[String],
    what: &[&str],
) -> Result<Vec<u8>, Error> {
    let mut skopeo = with_credentials(Program::Skopeo, settings)?;
    skopeo
        .args(platform.iter().cloned())
        .arg("inspect")
        .args(what.iter().copied())
        .args(options.iter().cloned());
    skopeo.arg(format!("{DOCKER}{name}"));
    Ok(skopeo.run_for_output()?)
}

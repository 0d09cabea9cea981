//! What a registry says of an image, asked with skopeo.

use bootc_image_model::digest::Digest;
use bootc_image_model::oci;
use bootc_image_model::reference::{DOCKER, Reference};
use bootc_image_model::settings::Settings;
use bootc_image_os::children::Program;
use bootc_image_os::error::Error as OsError;

use crate::bootc_store::with_credentials;
use crate::error::Error;

/// What an image is made of.
pub struct Configuration {
    /// The image's id.
    pub id: String,
    /// Its layers, the lowest first.
    pub diff_ids: Vec<Digest>,
}

/// The manifest that a name stands for, or the index if it has one. `options` are podman's, which skopeo calls the same.
///
/// # Errors
/// skopeo's.
pub fn manifest(settings: &Settings, name: &Reference, options: &[String]) -> Result<Vec<u8>, Error> {
    inspect(settings, name, options, &[], &["--raw"])
}

/// The configuration of an image. Where there are several, `platform`, which are options of skopeo's own, says of which.
///
/// # Errors
/// skopeo's; [`OsError::Verification`].
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

/// The most manifests of an index that are looked at.
const MOST_INSTANCES: usize = 64;

/// The manifest that podman chooses where `pinned` has `document`, which may be an index. The storage tools say which image that is,
/// so that nobody has to know how they choose.
///
/// # Errors
/// skopeo's; [`OsError::Verification`] if no manifest of the index is that image's.
pub fn instance(
    settings: &Settings,
    pinned: &Reference,
    document: &[u8],
    asked: &Asked,
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

/// This machine's architecture, as indexes have it.
const HERE: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "amd64",
    b"aarch64" => "arm64",
    b"powerpc64" => "ppc64le",
    _ => std::env::consts::ARCH,
};

/// How a registry is asked, in podman's words, and for which platform, in skopeo's.
pub struct Asked {
    pub options: Vec<String>,
    pub platform: Vec<String>,
    /// The architecture among that.
    pub architecture: Option<String>,
    /// The platform in one word, if one was asked for.
    pub named: Option<String>,
}

impl Asked {
    /// The same for this machine.
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

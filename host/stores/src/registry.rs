//! Manifests and configurations of images in registries, which skopeo fetches.

use bootc_image_model::digest::Digest;
use bootc_image_model::oci;
use bootc_image_model::reference::{DOCKER, Reference};
use bootc_image_model::settings::Settings;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::processes::Program;

use crate::bootc_store::with_credentials;
use crate::error::Error;
use crate::mirrors;

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

/// What registries report about a manifest or a repository that they do not have, as skopeo prints it.
const LACKING: [&str; 3] = ["manifest unknown", "name unknown", "repository name not known"];

/// Whether a registry reports that it does not have this image. False if it does not answer, or not to us.
pub fn lacks(settings: &Settings, name: &Reference) -> bool {
    let Err(Error::Os(OsError::Process { stderr, .. })) = manifest(settings, name, &[]) else { return false };
    LACKING.iter().any(|lacking| stderr.contains(lacking))
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
    let is_likely = |architecture: &str| match &asked.architecture {
        Some(asked) => asked == architecture,
        None => architecture == HERE,
    };
    let wanted = match configuration(settings, pinned, &asked.options, &asked.platform) {
        Ok(found) => found.id,
        // A mirror that serves only tags cannot be asked. If podman selects another one, the image is refused when it was fetched.
        Err(error) if is_of_registry(&error) => {
            let likely: Vec<_> = candidates.iter().filter(|(_, of)| is_likely(of)).collect();
            return match likely.as_slice() {
                [(only, _)] if mirrors::serve_only_tags(pinned)? => Ok(only.clone()),
                _ => Err(error),
            };
        }
        Err(error) => return Err(error),
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

/// Whether skopeo failed, as opposed to being missing or interrupted.
fn is_of_registry(error: &Error) -> bool {
    matches!(error, Error::Os(OsError::Process { .. }))
}

/// This host's architecture, as it is written in indexes.
pub(crate) const HERE: &str = match std::env::consts::ARCH.as_bytes() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_of_skopeo_is_the_registrys() {
        let (status, stderr) = ("exit code 1".to_owned(), "manifest unknown".to_owned());
        assert!(is_of_registry(&OsError::Process { program: "skopeo", status, stderr }.into()));
        for other in [
            OsError::Interrupted { signal: 15 },
            OsError::MissingProgram { program: "skopeo", package: "skopeo", searched: String::new() },
        ] {
            assert!(!is_of_registry(&other.into()));
        }
    }
}

//! What a registry says of an image, asked with skopeo.

use crate::bootc_store::with_credentials;
use crate::children::Program;
use crate::digest::Digest;
use crate::error::Error;
use crate::oci;
use crate::reference::{DOCKER, Reference};
use crate::settings::Settings;

/// What an image is made of.
pub(crate) struct Configuration {
    /// The image's id.
    pub(crate) id: String,
    /// Its layers, the lowest first.
    pub(crate) diff_ids: Vec<Digest>,
}

/// The manifest that a name stands for, or the index if it has one. `options` are podman's, which skopeo calls the same.
///
/// # Errors
/// skopeo's.
pub(crate) fn manifest(settings: &Settings, name: &Reference, options: &[String]) -> Result<Vec<u8>, Error> {
    inspect(settings, name, options, &[], &["--raw"])
}

/// The configuration of an image. Where there are several, `platform`, which are options of skopeo's own, says of which.
///
/// # Errors
/// skopeo's; [`Error::Verification`].
pub(crate) fn configuration(
    settings: &Settings,
    name: &Reference,
    options: &[String],
    platform: &[String],
) -> Result<Configuration, Error> {
    let text = inspect(settings, name, options, platform, &["--raw", "--config"])?;
    let diff_ids = oci::diff_ids(&text)
        .map_err(|error| Error::Verification { what: name.to_string(), why: error.to_string() })?;
    Ok(Configuration { id: Digest::of(&text).hex().to_owned(), diff_ids })
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
    skopeo.run_for_output()
}

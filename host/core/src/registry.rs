//! What a registry says of an image, asked with skopeo.

use bootc_image_grammar::{Command, FlagValue};

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

/// The most manifests of an index that are looked at.
const MOST_INSTANCES: usize = 64;

/// The manifest that podman chooses where `pinned` has `document`, which may be an index. The storage tools say which image that is,
/// so that nobody has to know how they choose.
///
/// # Errors
/// skopeo's; [`Error::Verification`] if no manifest of the index is that image's.
pub(crate) fn instance(
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
    Err(Error::Verification {
        what: pinned.to_string(),
        why: "its index doesn't name the image that is chosen for this platform".to_owned(),
    })
}

/// This machine's architecture, as indexes have it.
const HERE: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "amd64",
    b"aarch64" => "arm64",
    b"powerpc64" => "ppc64le",
    _ => std::env::consts::ARCH,
};

/// How a registry is asked, in podman's words, and for which platform, in skopeo's.
pub(crate) struct Asked {
    pub(crate) options: Vec<String>,
    pub(crate) platform: Vec<String>,
    architecture: Option<String>,
    /// The platform in one word, if one was asked for.
    pub(crate) named: Option<String>,
}

impl Asked {
    /// As the command asks.
    pub(crate) fn of(command: &Command) -> Self {
        let text = |name: &str| {
            let flag = command.flags().iter().find(|flag| flag.name == name)?;
            if let FlagValue::Text(text) = &flag.value { Some(text.clone()) } else { None }
        };
        let platform = text("platform").unwrap_or_default();
        let mut parts = platform.split('/').map(str::to_owned).filter(|part| !part.is_empty());
        let parts = [("os", parts.next()), ("arch", parts.next()), ("variant", parts.next())];
        let parts = parts.map(|(name, part)| (name, text(name).or(part)));
        let named: Vec<&str> = parts.iter().filter_map(|(_, part)| part.as_deref()).collect();
        let flags = command.flags().iter();
        let flags = flags.filter(|flag| ["authfile", "cert-dir", "tls-verify"].contains(&flag.name.as_str()));
        Self {
            options: flags.map(ToString::to_string).collect(),
            named: (!named.is_empty()).then(|| named.join("/")),
            architecture: parts[1].1.clone(),
            platform: parts
                .iter()
                .filter_map(|(name, part)| part.as_ref().map(|part| format!("--override-{name}={part}")))
                .collect(),
        }
    }

    /// The same for this machine.
    pub(crate) fn here(&self) -> Self {
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
    skopeo.run_for_output()
}

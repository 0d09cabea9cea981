//! What podman's signature policy, `policy.json`, demands of the images that an operation fetches. podman and skopeo apply it later; this
//! only explains it.

use std::path::PathBuf;

use bootc_image_grammar::{Command, Does, Kind};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::{CommandImage, RepairSource, UnifiedSource};
use bootc_image_model::reference::{DOCKER, Reference};
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::signature_policy::{Requirement, SignaturePolicy, read};
use bootc_image_stores::signatures::not_demanded;
use bootc_image_stores::system::System;

use crate::error::Error;
use crate::ops::Operation;

/// What `policy.json` demands of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The image, as far as its name is resolved.
    pub image: Reference,
    pub effect: Effect,
    /// The file; none if there is none.
    pub file: Option<PathBuf>,
    /// The transport and the scope that apply, or `default`.
    pub scope: Option<String>,
    /// The types of the requirements.
    pub requirements: Vec<String>,
    /// The files of the keys of which one must have signed the image.
    pub keys: Vec<String>,
    /// Why nothing is fetched, or why that is unknown, if the reason is not in the requirements.
    pub problem: Option<String>,
}

/// What becomes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is accepted without a signature.
    Accepted,
    /// It is accepted if it is signed.
    SignatureNeeded,
    /// podman decides: the file has a requirement that is not known here.
    Unknown,
    /// It is refused.
    Rejected,
}

/// The demands on the images that an operation fetches from registries. `resolved` tells whether its names are resolved.
pub(crate) fn demands(operation: &Operation, resolved: bool) -> Vec<Demand> {
    let fetched = fetched(operation, resolved);
    // Most operations fetch nothing, and the file is not read for them.
    if fetched.is_empty() {
        return Vec::new();
    }
    let policy = System::running().and_then(|system| read(&system));
    fetched.into_iter().map(|image| demand(image, &policy)).collect()
}

type Read = Result<Option<(PathBuf, SignaturePolicy)>, StoresError>;

fn demand(Fetched { name, image }: Fetched, policy: &Read) -> Demand {
    let nothing = |problem| Demand {
        image: image.clone(),
        effect: Effect::Rejected,
        file: None,
        scope: None,
        requirements: Vec::new(),
        keys: Vec::new(),
        problem: Some(problem),
    };
    let (file, policy) = match policy {
        Ok(Some((file, policy))) => (file, policy),
        Ok(None) => return nothing("there is no policy.json".to_owned()),
        Err(error) => return nothing(error.with_causes()),
    };
    // Images are fetched by digest. Which digest it will be does not matter before.
    let by_digest = image.digest().map_or_else(|| image.with_digest(Digest::of(b"")), |_| image.clone());
    let unmet = policy.unmet(&name, &by_digest);
    let applied = unmet.unwrap_or_else(|| policy.for_registry(&by_digest));
    let (effect, problem) = if let Some(unmet) = unmet {
        let error = not_demanded(&name, &by_digest, file.clone(), &unmet);
        (Effect::Rejected, Some(error.to_string()))
    } else if applied.is_rejected() {
        (Effect::Rejected, None)
    } else if let Some(kind) = policy.unknown_type() {
        let problem = format!(
            "the file has requirements of type {kind}, which bootc-image does not know; if podman does not know them either, it fetches nothing"
        );
        (Effect::Unknown, Some(problem))
    } else if applied.accepts_anything() {
        (Effect::Accepted, None)
    } else {
        (Effect::SignatureNeeded, None)
    };
    let owned = |text: &str| text.to_owned();
    Demand {
        effect,
        file: Some(file.clone()),
        scope: Some(applied.scope.to_string()),
        requirements: applied.requirements.iter().map(|requirement| owned(requirement.kind())).collect(),
        keys: applied.requirements.iter().flat_map(Requirement::key_files).map(owned).collect(),
        problem,
        image,
    }
}

/// An image that is fetched, as far as its name is resolved, and the name that it gets.
struct Fetched {
    name: Reference,
    image: Reference,
}

impl Fetched {
    /// An image that gets no other name.
    fn only(image: Reference) -> Self {
        Self { name: image.clone(), image }
    }
}

/// The images that an operation fetches from registries. Those of a build are unknown.
fn fetched(operation: &Operation, resolved: bool) -> Vec<Fetched> {
    match operation {
        Operation::Cmd(cmd) if cmd.command.does() != Does::Pulls => Vec::new(),
        Operation::Cmd(cmd) if resolved => cmd.images.iter().filter_map(pinned).collect(),
        Operation::Cmd(cmd) => written(&cmd.command).map(Fetched::only).collect(),
        Operation::Repair(repair) => match &repair.from {
            RepairSource::Registry { references } => references.iter().cloned().map(Fetched::only).collect(),
            RepairSource::DefaultStore(_) | RepairSource::Host(_) => Vec::new(),
        },
        Operation::SetUnified(set) => match &set.from {
            UnifiedSource::Registry { reference } => {
                vec![Fetched { name: set.name.clone(), image: reference.clone() }]
            }
            UnifiedSource::DefaultStore(_) | UnifiedSource::Host => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn pinned(image: &CommandImage) -> Option<Fetched> {
    match image {
        CommandImage::Registry { name, pinned, .. } => {
            Some(Fetched { name: name.clone(), image: pinned.clone() })
        }
        CommandImage::Store { .. } => None,
    }
}

/// The names in a command that are not resolved yet.
fn written(command: &Command) -> impl Iterator<Item = Reference> {
    let remote = command.values().filter(|value| value.kind == Kind::Remote);
    let name = |text: &str| Reference::parse(text.strip_prefix(DOCKER).unwrap_or(text)).ok();
    remote.filter_map(move |value| name(value.text))
}

impl Demand {
    /// What applies, in one sentence.
    pub fn reason(&self) -> String {
        let Self { image, scope, requirements, keys, .. } = self;
        match (&self.problem, self.effect) {
            (Some(problem), Effect::Unknown) => return format!("{image}: {problem}"),
            (Some(problem), _) => return format!("{image}: rejected by policy.json: {problem}"),
            (None, _) => {}
        }
        let file = self.file.as_ref().map_or_else(|| "policy.json".into(), |file| file.display().to_string());
        let rejected = if self.effect == Effect::Rejected { "rejected by policy.json: " } else { "" };
        let keys = if keys.is_empty() { String::new() } else { format!(" (keys: {})", keys.join(", ")) };
        format!(
            "{image}: {rejected}scope {} of {file} demands {}{keys}",
            scope.as_deref().unwrap_or_default(),
            requirements.join(", ")
        )
    }

    /// Why the image would not be fetched.
    pub fn rejection(&self) -> Option<Error> {
        (self.effect == Effect::Rejected).then(|| Error::RejectedBySignaturePolicy {
            image: self.image.to_string(),
            why: self.problem.clone().unwrap_or_else(|| {
                format!("scope {} demands reject", self.scope.as_deref().unwrap_or_default())
            }),
        })
    }
}

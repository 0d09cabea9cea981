//! Everything that can go wrong, with what to do next.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Serialize, Serializer};

use bootc_image_grammar::Refusal;

use crate::plugin::{PlanError, PluginId, PluginSetError};
use crate::reference::InvalidReference;
use crate::room::{has_no_inodes, is_full, mount_point};

/// Who refused. As text it is the name alone, as in records and in verdicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The host itself: which of its validators, or `host`.
    Host(&'static str),
    /// A policy.
    Policy(PluginId),
    /// A plugin that was asked for a plan.
    Command(PluginId),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Policy(plugin) | Self::Command(plugin) => plugin.fmt(f),
        }
    }
}

impl Serialize for By {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A validator's or a plugin's no. What was refused has touched nothing. As text it names the plugin whose words these are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{}{message}", match by {
    By::Host(_) => String::new(),
    By::Policy(plugin) => format!("policy {plugin}: "),
    By::Command(plugin) => format!("plugin {plugin}: "),
})]
pub struct Denial {
    /// Who refused.
    pub by: By,
    /// Stable kebab-case code.
    pub code: String,
    /// One sentence: what was refused and why.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What kind of error it is; the command line maps each to one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It failed.
    Failed,
    /// The arguments make no sense.
    Usage,
    /// A program that is needed isn't there.
    MissingProgram,
    /// A policy said no.
    Denied,
    /// The configuration, a plugin or the record can't be used.
    Unusable,
    /// The signal with this number asked us to end.
    Interrupted(i32),
}

/// Why an operation didn't run or didn't succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Refused.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// A file's name isn't text.
    #[error("the name of {0} isn't UTF-8 text")]
    NotUtf8(PathBuf),
    /// The current directory was removed, and a file is named from there.
    #[error("the current directory isn't there any more")]
    NoDirectory,
    /// An image that is pushed by its id has no name to be pushed to.
    #[error("{0} has no name in a registry, so the push needs a destination")]
    NoDestination(String),
    /// What a name means couldn't be found out.
    #[error("can't look up {name} in its registry")]
    LookUp {
        /// Which name.
        name: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// An image name that can't be one.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// The caller isn't root.
    #[error("Permission denied: this command must be executed as the root user")]
    NeedsRoot,
    /// Inside a container.
    #[error("Detected container; this command requires a booted host system.")]
    Container,
    /// Not started from a deployment.
    #[error("System not booted via bootc")]
    NotBooted,
    /// As [`Error::NotBooted`] and [`Error::Container`], for a listing.
    #[error("Listing images: Listing host images requires a booted bootc system")]
    ListNotBooted,
    /// There are deployments, but which one counts can't be told.
    #[error("no deployment found in {0}")]
    NoDeployment(PathBuf),
    /// There are deployments, and nothing that says which one would be started.
    #[error(
        "cannot determine which of {deployments} deployments would be started: there are no boot entries in {path}"
    )]
    NoBootEntries {
        /// Where they should be.
        path: PathBuf,
        /// How many deployments there are.
        deployments: usize,
    },
    /// The deployment wasn't made from a container image.
    #[error("deployment {0} isn't from a container image")]
    NotFromImage(String),
    /// The booted deployment has a commit of its own on top of its image.
    #[error(
        "the booted deployment has layered packages on top of the image {image}, so it isn't an image itself"
    )]
    Layered {
        /// The image below, as its origin names it.
        image: String,
    },
    /// The booted image's name is of no registry and of no storage.
    #[error("{0} can't be kept in a container storage: its name is of another transport")]
    NoName(String),
    /// A composefs host has no ostree repository.
    #[error("host images of a composefs system can't be read yet")]
    Composefs,
    /// bootc's containers-storage isn't there or can't be opened.
    #[error("Bootc storage not available: {path}")]
    StorageUnavailable {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No image of that name.
    #[error("Source image not found: {name}")]
    ImageNotFound {
        /// As asked for.
        name: String,
        /// A command that lists what there is.
        list_with: &'static str,
    },
    /// Nobody said what.
    #[error("no image is named")]
    NothingNamed,
    /// A plugin wanted something done where nothing is to run.
    #[error("nothing is copied in a dry run")]
    DryRun,
    /// An archive of one image was asked for, and several were named.
    #[error("{0} are several images")]
    SeveralImages(String),
    /// A directory was to be written to a stream.
    #[error("an image in the format {format} is a directory, which can't be written to standard output")]
    DirectoryToStdout {
        /// As it was asked for.
        format: String,
    },
    /// It can't be told what must stay.
    #[error("nothing was removed: the images that this host needs can't be determined")]
    NeedsUnknown(#[source] Box<Error>),
    /// The name fits several images.
    #[error("{name} is ambiguous: it means {}", candidates.join(" or "))]
    Ambiguous {
        /// As asked for.
        name: String,
        /// The full names that it could mean.
        candidates: Vec<String>,
    },
    /// A system call failed.
    #[error("can't {what} {path}")]
    Io {
        /// A verb, e.g. `read`.
        what: &'static str,
        /// Of which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file has contents that it can't have.
    #[error("{path} is damaged or half-written: {why}")]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do next.
        hint: &'static str,
    },
    /// A containers-storage whose layout this program doesn't read.
    #[error("{path} uses the storage driver {driver}, which bootc-image can't read itself")]
    UnknownDriver {
        /// The store.
        path: PathBuf,
        /// Its driver.
        driver: String,
    },
    /// A containers-storage in which several drivers have kept something, and nobody says which one counts.
    #[error(
        "{path} has images of several storage drivers, and storage.conf doesn't say which of them podman uses"
    )]
    SeveralDrivers {
        /// The store.
        path: PathBuf,
    },
    /// Another process holds a lock for too long.
    #[error("{path} stayed locked by {holder} for {} s", limit.as_secs())]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// Who holds it, in words.
        holder: String,
        /// How long we waited.
        limit: Duration,
    },
    /// A file of the bound images breaks bootc's rules.
    #[error("bound image {file}: {why}")]
    BoundImage {
        /// Its name in the directory.
        file: String,
        /// bootc's words for it.
        why: String,
    },
    /// It can't be determined which image a unit starts.
    #[error("unit {unit}: {why}", unit = unit.display())]
    Unit {
        /// Which one.
        unit: PathBuf,
        /// Why.
        why: String,
    },
    /// A program isn't installed.
    #[error("{program} isn't installed: none in {searched}")]
    MissingProgram {
        /// Its name.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
        /// Where it was looked for.
        searched: String,
    },
    /// A program that root would run could be replaced by somebody else.
    #[error("{0} isn't safe to run as root: it, or a directory above, can be written by others")]
    UnsafeProgram(PathBuf),
    /// A child failed where its exit code isn't the answer.
    #[error("{program} failed ({status}){}", tail(stderr))]
    Child {
        /// Its name.
        program: &'static str,
        /// Exit code or signal, in words.
        status: String,
        /// The last of what it said.
        stderr: String,
    },
    /// We were asked to end. Whatever a process said of its own end doesn't count then.
    #[error("interrupted by signal {signal}")]
    Interrupted {
        /// Which one.
        signal: i32,
    },
    /// There is too little room for what is about to be written.
    #[error("{path} has too little room: {need} are needed, {available} are free", need = size(*need), available = size(*available))]
    NoRoom {
        /// Something on the file system.
        path: PathBuf,
        /// What is needed, in bytes.
        need: u64,
        /// What is free, in bytes.
        available: u64,
    },
    /// Not even something that is there can be removed.
    #[error("nothing can be removed from {}: its file system is full", path.display())]
    Full {
        /// Something on the file system.
        path: PathBuf,
        /// What failed.
        #[source]
        source: Box<Error>,
    },
    /// podman has its storage somewhere else.
    #[error("podman has its images in {podman}, but its configuration says {configured}", podman = podman.display(), configured = configured.display())]
    OtherStore {
        /// Where podman says it has them.
        podman: PathBuf,
        /// What the configuration says.
        configured: PathBuf,
    },
    /// `/sysroot` is on something that can't be written.
    #[error("{0} is on a read-only block device (e.g. a live ISO)")]
    ReadOnlyDevice(PathBuf),
    /// A child said that it succeeded, but the result isn't what was judged.
    #[error("{what} isn't what was asked for: {why}")]
    Verification {
        /// The result.
        what: String,
        /// How it differs.
        why: String,
    },
    /// Where an image was asked for by its id, there is another one.
    #[error("another image was fetched than the one that was asked for ({id})")]
    OtherImage {
        /// The id.
        id: String,
    },
    /// Something of an image is missing, or isn't what it should be.
    #[error("image {image} is damaged: {what}")]
    Damaged {
        /// Its name, or its id.
        image: String,
        /// What is wrong, and with which layer.
        what: String,
        /// What to do next.
        hint: String,
    },
    /// Nobody has the image that is to be fetched anew.
    #[error(
        "nothing to repair {image} from: podman's storage has no whole copy, the ostree repository has no host image that it was made from, and none of its names is in a registry"
    )]
    NoSource {
        /// Its name, or its id.
        image: String,
    },
    /// A store would have to be made where labels matter.
    #[error(
        "bootc's container storage doesn't exist yet, and SELinux is enabled: bootc must create and label it"
    )]
    SelinuxCreate,
    /// The record can't be written, so nothing ran.
    #[error("nothing was run: the audit record can't be written")]
    Audit(#[source] Box<Error>),
    /// It ran, but how it ended couldn't be recorded.
    #[error("it ran, but its outcome can't be written to the audit record")]
    AuditOutcome(#[source] Box<Error>),
    /// The administrator's configuration can't be used.
    #[error("{0}")]
    Configuration(String),
    /// No plugin has this id.
    #[error("there is no plugin {name:?}")]
    NoSuchPlugin {
        /// As typed.
        name: String,
        /// A plugin with a similar name, or where plugins are looked for.
        hint: String,
    },
    /// A plugin that is no policy was to be missed.
    #[error("plugin {0} is no policy, and only a policy can be mandatory")]
    NotAPolicy(PluginId),
    /// Something about one plugin isn't as it must be.
    #[error("plugin {plugin}: {reason}")]
    Plugin {
        /// Which one.
        plugin: String,
        /// What is wrong.
        reason: String,
        /// What to do next.
        fix: String,
    },
    /// The set of plugins can't be used.
    #[error(transparent)]
    Plugins(#[from] PluginSetError),
    /// A plugin gave no plan.
    #[error(transparent)]
    Plan(PlanError),
}

/// What to do on a file system that is full.
pub(crate) fn make_room_on(path: &Path) -> String {
    let mount = mount_point(path);
    let files = if has_no_inodes(&mount) { " (it has no inodes left: remove files)" } else { "" };
    format!(
        "free room on the file system at {}{files}, e.g. with: bootc-image prune --all; or: journalctl --vacuum-size=100M",
        mount.display()
    )
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

fn tail(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().rev().take(3).rev();
    last.fold(String::new(), |text, line| text + ": " + &without_log_fields(line.trim()))
}

/// Of a line that a tool wrote as `time="..." level=fatal msg="..."` the message.
fn without_log_fields(line: &str) -> String {
    let message = line.strip_prefix("time=").and_then(|line| line.split_once(" msg=")).map(|(_, text)| text);
    let unquoted = message.and_then(|text| serde_json::from_str(text).ok());
    unquoted.unwrap_or_else(|| line.to_owned())
}

/// Of a command that was parsed before, and has other values now that names were looked up.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(Denial {
            by: By::Host("grammar"),
            code: "name-not-usable".to_owned(),
            message: format!("what was found can't be named to podman: {refusal}"),
            hint: Some("rename it".to_owned()),
        })
    }
}

/// An error and why, on one line, without saying the same twice.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

impl Error {
    /// As [`with_causes`].
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }

    /// For `map_err` on a system call.
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Denied(_) | Self::Plan(PlanError::Denied { .. }) => Kind::Denied,
            Self::Reference(_)
            | Self::NoDestination(_)
            | Self::NothingNamed
            | Self::SeveralImages(_)
            | Self::DirectoryToStdout { .. } => Kind::Usage,
            Self::Plan(PlanError::Failed { code, .. }) if code == "usage" => Kind::Usage,
            Self::MissingProgram { .. } => Kind::MissingProgram,
            Self::LookUp { source, .. } => source.kind(),
            Self::Interrupted { signal } => Kind::Interrupted(*signal),
            Self::NoSuchPlugin { .. } | Self::NotAPolicy(_) => Kind::Usage,
            Self::Audit(_)
            | Self::AuditOutcome(_)
            | Self::Configuration(_)
            | Self::Plugin { .. }
            | Self::Plugins(_)
            | Self::Plan(PlanError::Unusable { .. }) => Kind::Unusable,
            _ => Kind::Failed,
        }
    }

    /// The number of the signal that asked us to end, if that is why.
    pub fn interrupted_by(&self) -> Option<i32> {
        match self.kind() {
            Kind::Interrupted(signal) => Some(signal),
            _ => None,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Denied(denial) => return denial.hint.clone(),
            Self::Plan(PlanError::Denied { hint, .. } | PlanError::Failed { hint, .. }) => {
                return hint.clone();
            }
            Self::NoSuchPlugin { hint, .. } | Self::Plugin { fix: hint, .. } => return Some(hint.clone()),
            Self::ImageNotFound { list_with, .. } => {
                return Some(format!("see what there is with: {list_with}"));
            }
            Self::Corrupt { hint, .. } => hint,
            Self::MissingProgram { package, .. } => return Some(format!("install the package {package}")),
            Self::Io { source, path, .. } if is_full(source) => return Some(make_room_on(path)),
            Self::Full { path, .. } | Self::NoRoom { path, .. } => return Some(make_room_on(path)),
            Self::Audit(source) | Self::AuditOutcome(source) if matches!(&**source, Self::Io { source, .. } if is_full(source)) =>
            {
                return source.hint();
            }
            Self::Io { source, .. } | Self::StorageUnavailable { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                "run it as root, e.g. with sudo"
            }
            Self::Reference(InvalidReference::ShortName(_)) => "write the full name: REGISTRY/REPOSITORY",
            Self::Reference(InvalidReference::Digest(_)) => "write it with a tag: REGISTRY/REPOSITORY:TAG",
            Self::Reference(_) => {
                "an image is written REGISTRY/REPOSITORY[:TAG] or REGISTRY/REPOSITORY@sha256:DIGEST"
            }
            Self::NotUtf8(_) => "rename it",
            Self::NoDirectory => "change to another directory",
            Self::NoDestination(_) => {
                "write where to as well: bootc-image cmd push ID REGISTRY/REPOSITORY:TAG"
            }
            Self::NeedsRoot => "run it with sudo",
            Self::Container => "run it on the host itself",
            Self::NotBooted => "run it on a bootc host, or name a system's root with --sysroot DIR",
            Self::ListNotBooted => {
                "list what this root names with --type logical, or name a system with --sysroot DIR"
            }
            Self::NoDeployment(_) => "is this the physical root of a bootc host? It has ostree/deploy",
            Self::NoBootEntries { .. } => {
                "if /boot of that system is a partition of its own, mount it at DIR/boot"
            }
            Self::NotFromImage(_) => "rebase the host to an image with: bootc switch",
            Self::Layered { image } => {
                return Some(format!(
                    "copy the image below it with: bootc-image copy-to-storage --source {image}"
                ));
            }
            Self::NoName(_) => "switch the host to an image in a registry with: bootc switch",
            Self::Composefs => {
                "images of bootc's storage can be listed and copied: bootc-image list --type unified"
            }
            Self::StorageUnavailable { .. } => "on a bootc host, any pull creates it; see: bootc status",
            Self::Ambiguous { .. } => "write one of the full names",
            Self::SeveralDrivers { .. } => {
                "write the driver into /etc/containers/storage.conf: [storage] driver = \"overlay\""
            }
            Self::UnknownDriver { .. } => "ask podman instead: bootc-image cmd list",
            Self::Locked { .. } => "see who holds it with: fuser -v FILE; then try again",
            Self::BoundImage { .. } => {
                "bound images are links to .image or .container files; fix it in the OS image"
            }
            Self::Unit { .. } => "write the image's name in the unit, or in a file that it names by its path",
            Self::UnsafeProgram(_) => "give it and the directories above it to root, writable by root alone",
            Self::OtherStore { .. } => "see which configuration podman uses with: podman system info",
            Self::ReadOnlyDevice(_) => "nothing can be kept on this system; name another with --sysroot DIR",
            Self::Verification { .. } | Self::OtherImage { .. } => {
                "try again; if it happens again, another process changes this storage"
            }
            Self::Damaged { hint, .. } => return Some(hint.clone()),
            Self::NoSource { image } => {
                return Some(format!(
                    "load it from an archive with: bootc-image cmd load; or build or pull it with podman, then: \
                     bootc-image pull-from-default-storage {image}"
                ));
            }
            Self::SelinuxCreate => "let bootc create it, e.g. with: bootc image set-unified",
            Self::Audit(_) | Self::AuditOutcome(_) => {
                "make /var/lib/bootc-image/audit writable for root, and see that the disk isn't full"
            }
            Self::Configuration(_) => {
                "until the configuration is corrected nothing runs but list, and what looks at plugins"
            }
            Self::NotAPolicy(_) => "approve it without --mandatory",
            Self::Plan(PlanError::Unusable { .. }) | Self::Plugins(_) => {
                "nothing runs through a plugin that can't be used; see: bootc-image plugin doctor"
            }
            Self::Interrupted { .. } => "run the same command again; what it left half done does no harm",
            Self::DryRun => "run it without --dry-run",
            Self::DirectoryToStdout { .. } => {
                "write the directory's name: --output DIR; to a pipe an archive can be written: --format oci-archive"
            }
            Self::SeveralImages(_) => "several images need: --multi-image-archive",
            Self::NothingNamed => "write its name or id; see what there is with: bootc-image list",
            Self::LookUp { source, .. } | Self::NeedsUnknown(source) => return source.hint(),
            Self::Child { stderr, .. } if stderr.contains("no space left on device") => {
                "see which file system is full with: df -h; free room there, e.g. with: bootc-image prune --all"
            }
            Self::Child { .. } | Self::Io { .. } => return None,
        };
        Some(text.to_owned())
    }
}

//! Plugins as the core sees them: which subcommands they provide, how they plan them, and how they judge. The engine implements
//! these traits, so the core does not depend on wasmtime.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bootc_image_model::capability::Capability;
use bootc_image_model::columns::ListType;
use bootc_image_model::denial::Denial;
use bootc_image_model::grant::Grant;
use bootc_image_model::image::LocalImage;
use bootc_image_model::plugin::{Annotations, PluginId, Provenance};
use bootc_image_model::policy_input::PolicyInput;
use bootc_image_model::reference::Reference;

use crate::error::Error;
use crate::listing::Listing;

/// A subcommand of `cmd` that a plugin provides, from its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvidedCommand {
    /// The plugin.
    pub plugin: PluginId,
    /// The subcommand, as typed after `cmd`.
    pub name: String,
    /// One line for help.
    pub summary: String,
    /// The arguments, as help shows them after the name. May be empty.
    pub args: String,
}

/// What a command plugin plans to run. It is only a request: the pipeline judges and records it like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// A podman image subcommand and its arguments, without the leading `podman image`. Empty if there is nothing to run.
    pub argv: Vec<String>,
    /// Shown to the user on stderr before anything runs. Free of control characters; may be empty.
    pub message: String,
}

/// Why a plugin returned no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The plugin denied the command. Exit code 77.
    #[error("{message}")]
    Denied {
        /// Stable kebab-case code, for example `not-in-allowlist`.
        code: String,
        /// One sentence, free of control characters.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The plugin reported a usage error, or another failure of its own.
    #[error("{message}")]
    Failed {
        /// Stable kebab-case code; `usage` gives exit code 2, all others 1.
        code: String,
        /// One sentence, free of control characters.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The plugin cannot be loaded, crashed, exceeded a limit, or the host failed while running it. Exit code 78, nothing runs.
    #[error("plugin {plugin} cannot be used: {reason}")]
    Unusable {
        /// Which plugin.
        plugin: PluginId,
        /// What happened, in words.
        reason: String,
    },
}

/// A plugin that judges operations.
pub trait Policy {
    /// Its id.
    fn plugin(&self) -> &PluginId;

    /// Its provenance (version, code, settings), if known.
    fn provenance(&self) -> Option<&Provenance>;

    /// Whether its manifest selects such an operation; true if that cannot be determined. Never loads the component.
    fn concerns(&self, policy_input: &PolicyInput) -> bool;

    /// Whether it also judges operations whose names are not resolved yet.
    fn judges_unresolved(&self) -> bool;

    /// Loads the component and runs it in a fresh store.
    ///
    /// # Errors
    /// [`PolicyFailure`] if it gave no verdict, for whatever reason.
    fn evaluate(&self, policy_input: &Arc<PolicyInput>) -> Result<PolicyVerdict, PolicyFailure>;
}

/// The verdict of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVerdict {
    /// None if it allows. Texts are already sanitised.
    pub denial: Option<Denial>,
    /// Annotations that it adds.
    pub annotations: Annotations,
}

/// Why a policy gave no verdict. The operation is denied then, unless the policy ran and the configuration lists it in
/// `fail-open`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFailure {
    /// What happened, in words.
    pub reason: String,
    /// How to fix it.
    pub fix: String,
    /// Whether it ran. `fail-open` does not cover a policy that could not be started: otherwise anybody who can place a file
    /// could switch it off.
    pub asked: bool,
}

/// A policy that was approved, but is not among the installed policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPolicy {
    /// Its id.
    pub plugin: PluginId,
    /// The file of its approval.
    pub file: PathBuf,
    /// The reason as a verb phrase, to follow the plugin's name.
    pub why: &'static str,
    /// How to revoke the approval, as an imperative.
    pub revoke: String,
}

impl MissingPolicy {
    /// The reason of an installed plugin that is a policy no more.
    pub const NO_POLICY: &'static str = "is installed in a version that is not a policy";

    /// What to do next.
    pub fn fix(&self) -> String {
        format!("{}, or {}", self.what_to_install(), self.revoke)
    }

    /// What to install, as an imperative.
    pub fn what_to_install(&self) -> &'static str {
        if self.why == Self::NO_POLICY { "install a version that is a policy" } else { "install it" }
    }
}

impl fmt::Display for MissingPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, file, why, .. } = self;
        write!(f, "policy {plugin} (approved in {}) {why}, so it does not judge operations", file.display())
    }
}

/// Why no plugin can be used at all. Exit code 78.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginSetError {
    /// The approvals of plugins, or a directory of plugins, cannot be read. The text names the file or directory.
    #[error("{what}")]
    Approvals {
        what: String,
        /// What to do, if that is not clear from the file's name.
        fix: Option<String>,
    },
    /// A manifest is not valid.
    #[error("plugin {plugin}: {reason}")]
    Manifest {
        /// Its id, or the name of its directory if the manifest cannot be read.
        plugin: String,
        /// Line, key and what is wrong.
        reason: String,
    },
    /// Two plugins have the same id, or provide the same subcommand.
    #[error("{what} is provided by both {first} and {second}")]
    ProvidedTwice {
        /// The id or the command.
        what: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
}

impl PluginSetError {
    /// What to do, if it is specific to this error.
    pub fn own_fix(&self) -> Option<&str> {
        match self {
            Self::Approvals { fix, .. } => fix.as_deref(),
            Self::Manifest { .. } | Self::ProvidedTwice { .. } => None,
        }
    }

    /// What to do.
    pub fn fix(&self) -> &str {
        self.own_fix().unwrap_or("to see what to fix, run: bootc-image plugin doctor")
    }
}

/// An operation that a plugin requests while it plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginRequest {
    /// List images.
    List {
        /// Which ones.
        image_type: ListType,
        /// Whether to list more than names.
        details: bool,
    },
    /// Copy an image of this host to podman's storage.
    CopyToStorage {
        /// Its name as written; none for the booted image.
        source: Option<String>,
        /// Its new name; none for bootc's default name.
        target: Option<String>,
    },
    /// Copy an image of podman's storage to bootc's.
    PullFromDefaultStorage {
        /// Its name, as written.
        image: String,
    },
}

/// The result of such an operation.
#[derive(Debug)]
pub enum Granted {
    /// Images.
    Listing(Listing),
    /// An image was copied.
    Image {
        /// Its name in the target storage.
        name: Reference,
        /// The image there.
        image: LocalImage,
        /// Whether it was there before.
        unchanged: bool,
    },
}

/// Performs the operations that a plugin requests while it plans.
pub trait Host {
    /// Judges, records and runs it, with the plugin in the subject.
    ///
    /// # Errors
    /// [`Error`]. A denied operation has changed nothing. After an interruption the plugin must not continue.
    fn ask(&self, wish: PluginRequest) -> Result<Granted, Error>;
}

/// All usable plugins.
pub trait Plugins {
    /// Every subcommand that an enabled plugin provides, sorted by name, without duplicates. Reads manifests only.
    ///
    /// # Errors
    /// [`PluginSetError`] if the set itself is broken; no command may run then.
    fn provided_commands(&self) -> Result<Vec<ProvidedCommand>, PluginSetError>;

    /// If a disabled plugin provides this subcommand: why it is disabled, and what to do.
    fn disabled_reason(&self, command: &str) -> Option<String>;

    /// The capabilities that an enabled plugin requests and was granted; none for any other plugin.
    fn granted(&self, plugin: &PluginId) -> Vec<Capability>;

    /// The error of a plugin whose manifest cannot be read, so that the subcommands that it provides are unknown.
    fn broken(&self) -> Option<PluginSetError>;

    /// Has `plugin` plan `name` with `args`: loads the component and runs it in a fresh store. Operations that it requests
    /// meanwhile go to `host`.
    ///
    /// # Errors
    /// [`PlanError`]; nothing has run except what it requested from `host`.
    fn plan(
        &self,
        plugin: &PluginId,
        name: &str,
        args: &[String],
        host: &dyn Host,
    ) -> Result<Plan, PlanError>;

    /// All policies, sorted by id: those that can be used, those that should be but cannot, and one for each plugin whose
    /// manifest is so broken that it could be a policy. Reads manifests only.
    ///
    /// # Errors
    /// [`PluginSetError`] if the installed policies cannot be determined; nothing may run then.
    fn policies(&self) -> Result<Vec<&dyn Policy>, PluginSetError>;

    /// Policies that were approved as mandatory: if one is missing, every operation except `list` is denied.
    fn mandatory(&self) -> Vec<PluginId>;

    /// What to do so that a policy is no longer mandatory, as an imperative.
    fn how_to_stop_requiring(&self, policy: &PluginId) -> String;

    /// Approved policies that do not judge any more. The user is told, because nothing else would show it.
    fn missed(&self) -> Vec<MissingPolicy>;

    /// Stops the watchdog timers until the next plugin runs: they would only disturb the program that is about to run.
    fn rest(&self) {}

    /// The grant that approves this plugin: its component as it is now, and all capabilities that it requests. A plugin that
    /// was approved as mandatory stays mandatory.
    ///
    /// # Errors
    /// [`Error`] if there is no such plugin, or it cannot be read.
    fn grant_for(&self, plugin: &str) -> Result<Grant, Error>;

    /// The file in which the OS image approves the plugin, if it is enabled because of that.
    fn approved_by_image(&self, plugin: &PluginId) -> Option<PathBuf>;

    /// Writes a grant, replacing an earlier one for the same plugin. Returns the file.
    ///
    /// # Errors
    /// [`Error`] of a system call; the earlier grant stays valid then. [`Error`] if the OS image approves the plugin: a second
    /// grant would pin today's component and so disable the one of the next OS image.
    fn approve(&self, grant: &Grant) -> Result<PathBuf, Error>;

    /// Removes the grant that [`Plugins::approve`] wrote. Returns its file.
    ///
    /// # Errors
    /// [`Error`] if there is none, or it cannot be removed.
    fn revoke(&self, plugin: &PluginId) -> Result<PathBuf, Error>;
}

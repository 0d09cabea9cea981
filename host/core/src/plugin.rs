//! What the core knows about plugins: who claims what, and how a claimed command is turned into a plan. The engine
//! implements it; the core never sees wasmtime.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bootc_image_model::capability::Capability;
use bootc_image_model::columns::ListType;
use bootc_image_model::denial::Denial;
use bootc_image_model::grant::Grant;
use bootc_image_model::image::LocalImage;
use bootc_image_model::plugin::{Made, PluginId, Said};
use bootc_image_model::reference::Reference;
use bootc_image_model::view::View;

use crate::error::Error;
use crate::listing::Listing;

/// A manifest's word that a plugin owns a subcommand of `cmd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandClaim {
    /// Who claims it.
    pub plugin: PluginId,
    /// The subcommand, as typed after `cmd`.
    pub name: String,
    /// One line for help.
    pub summary: String,
}

/// What a command plugin wants done. It is a request and re-enters the pipeline (D3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// A podman image subcommand and its arguments, without the leading `podman image`. Empty: nothing is left to do.
    pub argv: Vec<String>,
    /// For the user, shown on stderr before anything runs. Already free of control characters. May be empty.
    pub message: String,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The plugin refused. Exit code 77.
    #[error("{message}")]
    Denied {
        /// Stable kebab-case code, e.g. `not-in-allowlist`.
        code: String,
        /// One sentence, already free of control characters.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The plugin says that the arguments make no sense, or that it failed in another way of its own.
    #[error("{message}")]
    Failed {
        /// Stable kebab-case code; `usage` gives exit code 2, everything else 1.
        code: String,
        /// One sentence, already free of control characters.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The plugin can't be used: it can't be loaded, trapped, ran out of a limit, or the host itself failed in it.
    /// Exit code 78, nothing runs.
    #[error("plugin {plugin} cannot be used: {reason}")]
    Unusable {
        /// Which plugin.
        plugin: PluginId,
        /// What happened, for a person.
        reason: String,
    },
}

/// A plugin that judges operations.
pub trait Policy {
    /// Which plugin.
    fn plugin(&self) -> &PluginId;

    /// What it is made of, if that can be told.
    fn made(&self) -> Option<&Made>;

    /// Whether its manifest says that it judges such an operation. Never loads the component. What can't be told is yes.
    fn concerns(&self, view: &View) -> bool;

    /// Whether it is also asked before names are looked up.
    fn judges_unresolved(&self) -> bool;

    /// Asks it. Loads and runs the component in a fresh store.
    ///
    /// # Errors
    /// [`PolicyFailure`] if it has no opinion for whatever reason.
    fn evaluate(&self, view: &Arc<View>) -> Result<Opinion, PolicyFailure>;
}

/// What a policy thinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opinion {
    /// Its objection, none if it allows. Texts are already harmless.
    pub denial: Option<Denial>,
    /// What it says beside.
    pub said: Said,
}

/// Why a policy has no opinion. That denies, unless it was asked and failed, and the configuration says that it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFailure {
    /// What happened, for a person.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
    /// Whether it was asked: what can't be asked at all is never excused, or whoever can put a file somewhere could switch it
    /// off.
    pub asked: bool,
}

/// A policy that was approved, and isn't there to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// Its id.
    pub plugin: PluginId,
    /// Where it was approved.
    pub file: PathBuf,
    /// What became of it.
    pub why: &'static str,
}

impl Missed {
    /// What to do next.
    pub fn fix(&self) -> String {
        format!("install it, or revoke the approval with: bootc-image plugin revoke {}", self.plugin)
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, file, why } = self;
        write!(f, "policy {plugin} (approved in {}) {why}, so it does not judge operations", file.display())
    }
}

/// Why the set of plugins can't be used at all. Exit code 78.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginSetError {
    /// A manifest is broken: strict parsing says where.
    #[error("plugin {plugin}: {reason}")]
    Manifest {
        /// The plugin as the host knows it, from its place if the manifest can't tell.
        plugin: String,
        /// Line, key and what is wrong.
        reason: String,
    },
    /// Two plugins have the same id, or claim the same command.
    #[error("{what} is provided by both {first} and {second}")]
    ClaimedTwice {
        /// The id or the command.
        what: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
}

/// What a plugin may ask for while it plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// List images.
    List {
        /// Which ones.
        image_type: ListType,
        /// Whether to tell more of them than their names.
        details: bool,
    },
    /// Copy an image of this host to podman's storage.
    CopyToStorage {
        /// Which one, as written; none: the booted one.
        source: Option<String>,
        /// Its new name; none: the one that bootc gives it.
        target: Option<String>,
    },
    /// Copy an image of podman's storage to bootc's.
    PullFromDefaultStorage {
        /// Its name, as written.
        image: String,
    },
}

/// What became of that.
#[derive(Debug)]
pub enum Granted {
    /// Images.
    Listing(Listing),
    /// An image was copied.
    Image {
        /// Under this name.
        name: Reference,
        /// What is there now.
        image: LocalImage,
        /// Whether it was there before.
        unchanged: bool,
    },
}

/// Whom a plugin asks for something while it plans.
pub trait Host {
    /// Does it, as the caller's request by way of the plugin.
    ///
    /// # Errors
    /// [`Error`]: a denial has touched nothing. After an interruption the plugin mustn't go on.
    fn ask(&self, wish: Wish) -> Result<Granted, Error>;
}

/// All usable plugins, as the core sees them.
pub trait Plugins {
    /// Every claimed command, sorted by name, none twice. Reads manifests only; never loads a component.
    ///
    /// # Errors
    /// [`PluginSetError`] if the set itself is broken; then no command may run.
    fn command_claims(&self) -> Result<Vec<CommandClaim>, PluginSetError>;

    /// Why the plugin that claims this command can't be used, and what to do, if there is one that isn't enabled.
    fn held(&self, command: &str) -> Option<String>;

    /// What an enabled plugin may ask the host for: what its manifest asks for and was granted. Nothing of any other.
    fn granted(&self, plugin: &PluginId) -> Vec<Capability>;

    /// What is wrong with a plugin that can't be used at all, so that nobody knows what it would claim; none if all can.
    fn broken(&self) -> Option<PluginSetError>;

    /// Asks `plugin` to plan `name` with `args`. Loads and runs the component in a fresh store. What it asks for meanwhile
    /// goes to `host`.
    ///
    /// # Errors
    /// [`PlanError`]; nothing has run but what it asked `host` for.
    fn plan(
        &self,
        plugin: &PluginId,
        name: &str,
        args: &[String],
        host: &dyn Host,
    ) -> Result<Plan, PlanError>;

    /// Everything that judges, by id: policies that can be used, those that should be and can't, and one for each plugin
    /// that is so broken that it could be a policy. Reads manifests only.
    ///
    /// # Errors
    /// [`PluginSetError`] if it can't be told what there is; then nothing may run.
    fn policies(&self) -> Result<Vec<&dyn Policy>, PluginSetError>;

    /// Policies that were approved as mandatory: without one of them everything is denied.
    fn mandatory(&self) -> Vec<PluginId>;

    /// Policies that were approved and are none any more. Nobody asks them, so this must be told.
    fn missed(&self) -> Vec<Missed>;

    /// Nothing is asked of plugins for a while: a program is about to run, and a clock that keeps nobody's time would
    /// disturb it.
    fn rest(&self) {}

    /// What approving the plugin of this id would write down: its component as it is now, and all that it asks for. One that
    /// was approved as mandatory stays that.
    ///
    /// # Errors
    /// [`Error`] if there is no such plugin, or it can't be read.
    fn grant_for(&self, plugin: &str) -> Result<Grant, Error>;

    /// The file in which the OS image approves a plugin of its own, if that is why it may run.
    fn approved_by_image(&self, plugin: &PluginId) -> Option<PathBuf>;

    /// Writes a grant down, in the place of an earlier one for the same plugin. Returns the file.
    ///
    /// # Errors
    /// The system's; then the earlier one still holds. [`Error`] if the OS image has approved the plugin: another grant
    /// would be of what is there now, and hold its next version.
    fn approve(&self, grant: &Grant) -> Result<PathBuf, Error>;

    /// Removes the grant that [`Plugins::approve`] wrote. Returns its file.
    ///
    /// # Errors
    /// [`Error`] if there is none, or it isn't one that can be removed.
    fn revoke(&self, plugin: &PluginId) -> Result<PathBuf, Error>;
}

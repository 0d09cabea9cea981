//! What components and native code have in common: the calls, the identity of a run, and the conversion of answers.

pub(crate) mod answers;
pub(crate) mod caught;
pub(crate) mod lists;

use std::io::{self, Write};
use std::sync::Arc;

use bootc_image_core::listing::ImageRow;
use bootc_image_core::plugin::{Host, Plan, PlanError, PolicyVerdict};
use bootc_image_manifest::Format;
use bootc_image_model::capability::Capability;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::plugin_settings::PluginSettings;
use bootc_image_model::policy_input::PolicyInput;

use crate::formats::Wanted;
use crate::limits::Limits;
use crate::unusable::Unusable;

/// The plugin for which code runs, with its settings, limits and capabilities.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) plugin: PluginId,
    pub(crate) settings: Arc<PluginSettings>,
    pub(crate) limits: Limits,
    /// The capabilities that it requests and was granted.
    pub(crate) capabilities: Arc<[Capability]>,
}

/// The list to format, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<'a> {
    pub(crate) format: &'a Format,
    pub(crate) rows: &'a Arc<Vec<ImageRow>>,
    pub(crate) wanted: Wanted<'a>,
}

/// A plugin's code, a component or native code, loaded for one call.
pub(crate) trait Loaded {
    /// Plans a command. Requests of the plugin go to `host`.
    fn plan(self: Box<Self>, name: &str, args: &[String], host: &dyn Host) -> Result<Plan, PlanError>;

    /// Prints a list.
    fn format(self: Box<Self>, list: List<'_>, out: &mut dyn Write) -> Result<(), Unformatted>;

    /// Checks the plugin's settings, if it exports such a check. Fails if the plugin could not run at all: a component is also
    /// instantiated for this.
    fn check(self: Box<Self>) -> Result<Vec<BadSetting>, Unusable>;
}

/// A policy, a component or native code, that can judge any number of operations. It is loaded for the first one.
pub(crate) trait Judge {
    fn evaluate(&self, policy_input: &Arc<PolicyInput>) -> Result<PolicyVerdict, NoOpinion>;
}

/// Why a policy could not judge.
#[derive(Debug)]
pub(crate) struct NoOpinion {
    pub(crate) reason: String,
    /// What to do about it, if known.
    pub(crate) fix: Option<String>,
    /// Whether the policy was called at all.
    pub(crate) asked: bool,
}

/// A failure as the plugin explains it. The texts are sanitized.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

/// Why a list was not formatted.
#[derive(Debug)]
pub(crate) enum Unformatted {
    /// The plugin reports a usage error.
    Usage(Reported),
    /// The plugin reports another failure.
    Reported(Reported),
    /// The plugin failed.
    Failed(String),
    /// Its output could not be written.
    Output(io::Error),
}

/// A setting that a plugin does not accept. The texts are sanitized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadSetting {
    /// The key of the setting; empty if the plugin names none.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) message: String,
}

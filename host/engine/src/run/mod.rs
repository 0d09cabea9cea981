//! What both runtimes have in common: what they are asked, for whom, and how their answers are taken.

pub(crate) mod answers;
pub(crate) mod caught;
pub(crate) mod lists;

use std::io;
use std::sync::Arc;

use bootc_image_core::listing::ImageRow;
use bootc_image_core::plugin::{Host, Opinion, Plan, PlanError};
use bootc_image_model::capability::Capability;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::view::View;

use crate::formats::Wanted;
use crate::limits::Limits;
use crate::manifest::Format;
use crate::unusable::Unusable;
use caught::Printing;

/// For whom code runs.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) plugin: PluginId,
    /// A JSON object.
    pub(crate) settings: Arc<str>,
    pub(crate) limits: Limits,
    /// What it asks for and was granted.
    pub(crate) capabilities: Arc<[Capability]>,
}

/// What is formatted, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<'a> {
    pub(crate) format: &'a Format,
    pub(crate) rows: &'a Arc<Vec<ImageRow>>,
    pub(crate) wanted: Wanted<'a>,
}

/// A plugin's code, loaded for one question, whatever it is made of.
pub(crate) trait Loaded {
    /// Asks for a plan. What it asks for meanwhile goes to `host`.
    fn plan(self: Box<Self>, name: &str, args: &[String], host: &dyn Host) -> Result<Plan, PlanError>;

    /// Has it print a list.
    fn format(self: Box<Self>, list: List<'_>, out: &mut Printing<'_>) -> Result<(), Unformatted>;

    /// What is wrong with its settings, if it checks them; and whether it could be asked anything at all.
    fn check(self: Box<Self>) -> Result<Vec<BadSetting>, Unusable>;
}

/// A policy that can be asked again and again, whatever it is made of. It is loaded when it is asked first.
pub(crate) trait Judge {
    fn evaluate(&self, view: &Arc<View>) -> Result<Opinion, NoOpinion>;
}

/// Why a policy has no opinion.
#[derive(Debug)]
pub(crate) struct NoOpinion {
    pub(crate) reason: String,
    /// What to do about it, if it can be told.
    pub(crate) fix: Option<String>,
    /// Whether it was asked.
    pub(crate) asked: bool,
}

/// Why a list wasn't formatted, or not to its end.
#[derive(Debug)]
pub(crate) enum Unformatted {
    /// The plugin says that it is asked for something that makes no sense.
    Usage(String),
    /// It can't, or says so.
    Failed(String),
    /// Nobody takes what it printed.
    Output(io::Error),
}

/// A setting that a plugin doesn't accept, in its own words, already harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadSetting {
    /// Which one; empty if it doesn't say.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) message: String,
}

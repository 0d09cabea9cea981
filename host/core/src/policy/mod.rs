//! Judging. Operations accept only [`Approved`] values, and the only way to one is [`Validators::judge`]: a path around
//! policy doesn't compile (D3.1).
//!
//! ```compile_fail,E0451
//! use bootc_image_core::{ops::Operation, policy::Approved};
//! fn forge(operation: Operation) -> Approved<Operation> { Approved { value: operation } }
//! ```
//!
//! The same with the only way there is, so that the failure above is known to be for that one reason:
//!
//! ```
//! use bootc_image_model::denial::Denial;
//! use bootc_image_core::{ops::Operation, policy::{Approved, Judged}};
//! fn earn(judged: Judged) -> Result<Approved<Operation>, Denial> { judged.approve() }
//! ```

pub(crate) mod approved;
mod builtin;
mod plugins;
#[cfg(test)]
pub(crate) mod tests;

use bootc_image_model::configuration::Configuration;
use serde::Serialize;

use crate::frozen::Frozen;
use crate::ops::Operation;
use crate::plugin::{CommandClaim, Plugins};
pub use approved::Approved;
use bootc_image_model::denial::{By, Denial};
use bootc_image_model::plugin::{Made, PluginId, Said};
use bootc_image_model::subject::Subject;
use plugins::PolicyJudge;

/// The code of a denial that no policy has spoken: one couldn't be asked.
pub const POLICY_FAILED: &str = plugins::FAILED;

/// Something that must allow an operation before it runs.
pub trait Validator {
    /// Its name in verdicts.
    fn name(&self) -> &'static str;

    /// Judges. The same operation gives the same answer.
    ///
    /// # Errors
    /// The [`Denial`]; whatever it can't decide it must deny.
    fn judge(&self, frozen: &Frozen) -> Result<(), Denial>;

    /// Whether it also judges before names are resolved: then what it denies isn't even looked up.
    fn judges_unresolved(&self) -> bool {
        false
    }
}

/// One validator's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Who judged.
    pub validator: String,
    /// Whether it had no objection.
    pub allowed: bool,
    /// Why not, if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial: Option<Denial>,
    /// Why it has no opinion, of a plugin that may fail, or of a list that a person wants to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_open: Option<String>,
    /// A plugin's own words.
    #[serde(skip_serializing_if = "Said::is_empty")]
    pub said: Said,
    /// What the plugin was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
}

/// All validators: the host's own, and the policies of plugins. There is no public way to an empty set.
pub struct Validators<'a> {
    own: Vec<Box<dyn Validator + 'a>>,
    policies: Vec<PolicyJudge<'a>>,
}

/// Builds the set: the only place where it is put together.
pub fn validators<'a>(
    configuration: &Configuration,
    claims: Vec<CommandClaim>,
    plugins: &'a dyn Plugins,
) -> Validators<'a> {
    Validators {
        own: vec![
            Box::new(builtin::Delegation(configuration.allow_delegated)),
            Box::new(builtin::Claims(claims)),
            Box::new(builtin::Grammar(plugins)),
            Box::new(builtin::Capabilities(plugins)),
            Box::new(builtin::Pinning),
            Box::new(builtin::Needed),
        ],
        policies: plugins::judges(configuration, plugins),
    }
}

/// What can be refused before anything is looked at: another system, to a caller who is root on another's behalf.
pub(crate) fn early_denial(
    configuration: &Configuration,
    subject: &Subject,
    sysroot: Option<&str>,
) -> Result<(), Denial> {
    builtin::early(configuration.allow_delegated, subject, sysroot)
}

/// What reads a file that a caller names who is root on another's behalf.
pub(crate) fn delegated_denial(subject: &Subject, what: &str) -> Result<(), Denial> {
    builtin::of_file(subject, what)
}

/// An operation and what every validator said of it.
#[derive(Debug)]
pub struct Judged {
    frozen: Frozen,
    verdicts: Vec<Verdict>,
    unconcerned: Vec<PluginId>,
}

impl Validators<'_> {
    /// Asks every validator, also after the first denial, so that the record is whole. Of an operation that isn't resolved
    /// yet only those are asked that can tell.
    pub fn judge(&self, frozen: Frozen) -> Judged {
        let resolved = frozen.is_resolved();
        let own = self.own.iter().filter(|validator| resolved || validator.judges_unresolved());
        let mut verdicts: Vec<Verdict> =
            own.map(|validator| Verdict::new(validator.name(), validator.judge(&frozen).err())).collect();
        // What the host itself refuses no plugin needs to hear of.
        let mut unconcerned = Vec::new();
        if verdicts.iter().all(|verdict| verdict.allowed) {
            plugins::ask(&self.policies, &frozen, &mut verdicts, &mut unconcerned);
        }
        Judged { frozen, verdicts, unconcerned }
    }
}

impl Verdict {
    /// Of one who objects, or doesn't, and says nothing beside.
    fn new(validator: impl Into<String>, denial: Option<Denial>) -> Self {
        let allowed = denial.is_none();
        Self {
            validator: validator.into(),
            allowed,
            denial,
            failed_open: None,
            said: Said::default(),
            made: None,
        }
    }
}

impl Judged {
    /// What was judged.
    pub fn frozen(&self) -> &Frozen {
        &self.frozen
    }

    /// What every validator said.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Policies that weren't asked, because their manifests say that such an operation doesn't concern them.
    pub fn unconcerned(&self) -> &[PluginId] {
        &self.unconcerned
    }

    /// The first denial, if there is one.
    pub fn denial(&self) -> Option<&Denial> {
        self.verdicts.iter().find_map(|verdict| verdict.denial.as_ref())
    }

    /// The judged value itself, if all allowed it. No verdict at all is a denial too.
    ///
    /// # Errors
    /// The first [`Denial`].
    pub fn approve(self) -> Result<Approved<Operation>, Denial> {
        if let Some(denial) = self.denial() {
            return Err(denial.clone());
        }
        if self.verdicts.is_empty() || !self.frozen.is_resolved() {
            return Err(Denial {
                by: By::Host("host"),
                code: "nobody-judged".to_owned(),
                message: "not every validator has judged the operation".to_owned(),
                hint: None,
            });
        }
        Ok(Approved::new(self.frozen.into_operation()))
    }
}

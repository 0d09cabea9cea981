//! Judging. Only an [`Approved`] operation can run, and only [`Validators::judge`] leads to one: code that bypasses policies does not
//! compile.
//!
//! ```compile_fail,E0451
//! use bootc_image_core::{ops::Operation, policy::Approved};
//! fn forge(operation: Operation) -> Approved<Operation> { Approved { value: operation } }
//! ```
//!
//! The same types used as intended compile, which shows that the code above fails for that reason alone:
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

use crate::canonical::CanonicalOperation;
use crate::ops::Operation;
use crate::plugin::{Plugins, ProvidedCommand};
pub use approved::Approved;
use bootc_image_model::denial::{Denial, DeniedBy};
use bootc_image_model::plugin::{Annotations, PluginId, Provenance};
use bootc_image_model::subject::Subject;
use plugins::PolicyJudge;

/// The code of denials for policies that gave no verdict.
pub const POLICY_FAILED: &str = plugins::FAILED;

/// A check of the host's own that every operation must pass.
pub trait Validator {
    /// Its name in verdicts.
    fn name(&self) -> &'static str;

    /// Judges an operation. The verdict depends on the operation alone.
    ///
    /// # Errors
    /// A [`Denial`], also if the validator cannot decide.
    fn judge(&self, canonical: &CanonicalOperation) -> Result<(), Denial>;

    /// Whether it also judges before names are resolved, so that no registry is contacted for operations that it denies.
    fn judges_unresolved(&self) -> bool {
        false
    }
}

/// The verdict of one validator or policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The name of the validator, or the id of the policy.
    pub validator: String,
    pub allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial: Option<Denial>,
    /// Why a policy gave no verdict, if the operation is allowed all the same: because of `fail-open`, or because it lists images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_open: Option<String>,
    /// The policy's annotations.
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// The policy's provenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

/// All validators and policies. No public function creates an empty set, which would allow everything.
pub struct Validators<'a> {
    own: Vec<Box<dyn Validator + 'a>>,
    policies: Vec<PolicyJudge<'a>>,
}

/// The only function that creates the set.
pub fn validators<'a>(
    configuration: &Configuration,
    claims: Vec<ProvidedCommand>,
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

/// Denies a delegated caller another system's root, before anything of it is read.
pub(crate) fn sysroot_denial(
    configuration: &Configuration,
    subject: &Subject,
    sysroot: Option<&str>,
) -> Result<(), Denial> {
    builtin::sysroot(configuration.allow_delegated, subject, sysroot)
}

/// Denies a delegated caller to approve or revoke plugins, before one is compiled and instantiated.
pub(crate) fn plugins_denial(configuration: &Configuration, subject: &Subject) -> Result<(), Denial> {
    builtin::plugins(configuration.allow_delegated, subject)
}

/// Denies a delegated caller a command that reads a file of the caller's choice.
pub(crate) fn file_denial(subject: &Subject, what: &str) -> Result<(), Denial> {
    builtin::file(subject, what)
}

/// Denies a delegated caller to ask what another caller may do.
pub(crate) fn other_caller_denial(subject: &Subject) -> Result<(), Denial> {
    builtin::other_caller(subject)
}

/// An operation and its verdicts.
#[derive(Debug)]
pub struct Judged {
    canonical: CanonicalOperation,
    verdicts: Vec<Verdict>,
    not_selected: Vec<PluginId>,
    waiting: Vec<String>,
}

impl Validators<'_> {
    /// Collects all verdicts, also after the first denial, so that the audit record is complete. An operation that is not resolved is
    /// judged only by validators and policies that support that.
    pub fn judge(&self, canonical: CanonicalOperation) -> Judged {
        let resolved = canonical.is_resolved();
        let (own, others): (Vec<_>, Vec<_>) =
            self.own.iter().partition(|validator| resolved || validator.judges_unresolved());
        let mut waiting: Vec<String> = others.iter().map(|validator| validator.name().to_owned()).collect();
        let own = own.into_iter();
        let mut verdicts: Vec<Verdict> =
            own.map(|validator| Verdict::new(validator.name(), validator.judge(&canonical).err())).collect();
        // Policies do not judge what the host itself denies.
        let mut not_selected = Vec::new();
        if verdicts.iter().all(|verdict| verdict.allowed) {
            let waiting = &mut waiting;
            plugins::judge(&self.policies, &canonical, &mut verdicts, &mut not_selected, waiting);
        }
        let judged = Judged { canonical, verdicts, not_selected, waiting };
        judged.log();
        judged
    }
}

impl Verdict {
    /// A verdict without annotations.
    fn new(validator: impl Into<String>, denial: Option<Denial>) -> Self {
        let allowed = denial.is_none();
        Self {
            validator: validator.into(),
            allowed,
            denial,
            failed_open: None,
            annotations: Annotations::default(),
            provenance: None,
        }
    }
}

impl Judged {
    /// Logs who allows and denies the operation. The texts of denials are in the record and on stderr.
    fn log(&self) {
        if !tracing::enabled!(tracing::Level::INFO) {
            return;
        }
        let operation = self.canonical.operation().policy_kind();
        for Verdict { validator, denial, failed_open, .. } in &self.verdicts {
            match denial {
                Some(denial) => tracing::info!(operation, by = validator, code = denial.code, "denied"),
                None if failed_open.is_some() => {
                    tracing::info!(operation, by = validator, "allowed without a verdict");
                }
                None => tracing::info!(operation, by = validator, "allowed"),
            }
        }
        for policy in &self.not_selected {
            tracing::debug!(operation, %policy, "does not cover this operation");
        }
        tracing::debug!(operation, digest = self.canonical.digest().as_str(), "judged");
    }

    pub fn canonical(&self) -> &CanonicalOperation {
        &self.canonical
    }

    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Policies whose manifests do not select such operations, and which therefore gave no verdict.
    pub fn not_selected(&self) -> &[PluginId] {
        &self.not_selected
    }

    /// Validators and policies that judge only once names are resolved, and have not judged yet.
    pub fn waiting(&self) -> &[String] {
        &self.waiting
    }

    /// The first denial, if there is one.
    pub fn denial(&self) -> Option<&Denial> {
        self.verdicts.iter().find_map(|verdict| verdict.denial.as_ref())
    }

    /// The operation, if every verdict allows it. Without any verdict it is denied as well.
    ///
    /// # Errors
    /// The first [`Denial`].
    pub fn approve(self) -> Result<Approved<Operation>, Denial> {
        if let Some(denial) = self.denial() {
            return Err(denial.clone());
        }
        if self.verdicts.is_empty() || !self.canonical.is_resolved() {
            return Err(Denial {
                denied_by: DeniedBy::Host("host"),
                code: "nobody-judged".to_owned(),
                message: "not every validator has judged the operation".to_owned(),
                hint: None,
            });
        }
        Ok(Approved::new(self.canonical.into_operation()))
    }
}

//! Judging. Operations accept only [`Approved`] values, and the only way to one is [`Validators::judge`]: a path around
//! policy doesn't compile (D3.1).
//!
//! ```compile_fail,E0451
//! use bootc_image_core::{operation::Operation, policy::Approved};
//! fn forge(operation: Operation) -> Approved<Operation> { Approved { value: operation } }
//! ```
//!
//! The same with the only way there is, so that the failure above is known to be for that one reason:
//!
//! ```
//! use bootc_image_core::error::Denial;
//! use bootc_image_core::{operation::Operation, policy::{Approved, Judged}};
//! fn earn(judged: Judged) -> Result<Approved<Operation>, Denial> { judged.approve() }
//! ```

mod builtin;

use serde::Serialize;

use crate::error::Denial;
use crate::frozen::Frozen;
use crate::operation::Operation;
use crate::plugin::CommandClaim;

/// What the administrator has configured, as far as judging needs it.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// Whether a delegated caller may name another system with `--sysroot` (D0.3).
    pub allow_delegated_sysroot: bool,
    /// Whether a delegated caller may build, which runs code as root and reads files of the caller's choice (D0.3).
    pub allow_delegated_build: bool,
}

/// Something that must allow an operation before it runs.
pub trait Validator {
    /// Its name in verdicts.
    fn name(&self) -> &str;

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
}

/// All validators. There is no public way to an empty set.
pub struct Validators(Vec<Box<dyn Validator>>);

/// Builds the set: the only place where it is put together.
pub fn validators(configuration: &Configuration, claims: Vec<CommandClaim>) -> Validators {
    Validators(vec![
        Box::new(builtin::Delegation {
            sysroot: configuration.allow_delegated_sysroot,
            build: configuration.allow_delegated_build,
        }),
        Box::new(builtin::Claims(claims)),
        Box::new(builtin::Grammar),
        Box::new(builtin::Pinning),
    ])
}

/// An operation and what every validator said of it.
#[derive(Debug)]
pub struct Judged {
    frozen: Frozen,
    verdicts: Vec<Verdict>,
}

/// Proof that every validator allowed exactly this value.
#[derive(Debug)]
pub struct Approved<T> {
    value: T,
}

impl Validators {
    /// Asks every validator, also after the first denial, so that the record is whole.
    pub fn judge(&self, frozen: Frozen) -> Judged {
        let verdicts = self.0.iter().map(|validator| verdict(validator.as_ref(), &frozen)).collect();
        Judged { verdicts, frozen }
    }

    /// Asks those that can tell before anything is resolved. None: they have no objection, which approves nothing.
    pub fn denied_unresolved(&self, frozen: Frozen) -> Option<Judged> {
        let able = self.0.iter().filter(|validator| validator.judges_unresolved());
        let verdicts: Vec<_> = able.map(|validator| verdict(validator.as_ref(), &frozen)).collect();
        let denied = verdicts.iter().any(|verdict| !verdict.allowed);
        denied.then_some(Judged { frozen, verdicts })
    }
}

fn verdict(validator: &dyn Validator, frozen: &Frozen) -> Verdict {
    let denial = validator.judge(frozen).err();
    Verdict { validator: validator.name().to_owned(), allowed: denial.is_none(), denial }
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
        if self.verdicts.is_empty() {
            return Err(Denial {
                by: "host".to_owned(),
                code: "nobody-judged".to_owned(),
                message: "no validator judged this".to_owned(),
                hint: None,
            });
        }
        Ok(Approved { value: self.frozen.into_operation() })
    }
}

impl<T> Approved<T> {
    /// The value, to be run.
    pub(crate) fn into_inner(self) -> T {
        self.value
    }
}

use crate::Pair;

/// A policy's answer: its decision, and annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// Attributes for the audit record.
    pub attrs: Vec<Pair>,
}

/// A policy's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The operation is allowed, for this reason, which may be empty.
    Allow(String),
    /// Denies the operation.
    Deny(Denial),
}

/// Why an operation is denied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Denial {
    /// A stable code in kebab case.
    pub code: String,
    /// One sentence for the user.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
}

/// Why a plugin cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Problem {
    /// A stable code in kebab case; `usage` for a usage error.
    pub code: String,
    /// One sentence for the user.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
}

/// Why a wrapper returns no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The command is denied.
    Denied(Denial),
    /// The command cannot be planned.
    Failed(Problem),
}

/// A podman command that a wrapper requests. The host parses, judges and records it like any other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Plan {
    /// A subcommand of `podman image` and its arguments.
    pub argv: Vec<String>,
    /// For the user, shown before anything runs; may be empty.
    pub message: String,
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may be wrong.
    Warn,
    /// Information for the administrator.
    Info,
    /// Details for finding errors.
    Debug,
}

impl Verdict {
    /// Allows the operation. `reason` is one sentence for the user, or empty.
    pub fn allow(reason: impl Into<String>) -> Self {
        Self { decision: Decision::Allow(reason.into()), attrs: Vec::new() }
    }

    /// Denies the operation.
    pub fn deny(code: impl Into<String>, message: impl Into<String>) -> Self {
        let denial = Denial { code: code.into(), message: message.into(), hint: String::new() };
        Self { decision: Decision::Deny(denial), attrs: Vec::new() }
    }

    /// Adds an attribute for the audit record.
    #[must_use]
    pub fn with_attr(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attrs.push((key.into(), value.into()));
        self
    }
}

impl Problem {
    /// A problem without a hint.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), hint: String::new() }
    }

    /// A usage error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", message)
    }

    /// Adds what the user can do next.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

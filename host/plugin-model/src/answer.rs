use crate::Pair;

/// A decision, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// Details for the audit record.
    pub attrs: Vec<Pair>,
}

/// What a policy decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// No objection, for this reason, which may be empty.
    Allow(String),
    /// The operation must not run.
    Deny(Denial),
}

/// Why something must not run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Denial {
    /// A stable name in kebab case.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
}

/// Why something can't be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Problem {
    /// A stable name in kebab case; `usage` if what the user typed makes no sense.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
}

/// Why a command isn't planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It mustn't be.
    Denied(Denial),
    /// It can't be.
    Failed(Problem),
}

/// What is asked of podman: a request, which is parsed, judged and recorded like any other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Plan {
    /// A subcommand of `podman image` and its arguments.
    pub argv: Vec<String>,
    /// For the user, shown before anything runs; may be empty.
    pub message: String,
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may be wrong.
    Warn,
    /// What an administrator may want to know.
    Info,
    /// What whoever looks for an error wants to know.
    Debug,
}

impl Verdict {
    /// No objection. `reason` is one sentence for a person, or empty.
    pub fn allow(reason: impl Into<String>) -> Self {
        Self { decision: Decision::Allow(reason.into()), attrs: Vec::new() }
    }

    /// The operation must not run.
    pub fn deny(code: impl Into<String>, message: impl Into<String>) -> Self {
        let denial = Denial { code: code.into(), message: message.into(), hint: String::new() };
        Self { decision: Decision::Deny(denial), attrs: Vec::new() }
    }

    /// A detail for the audit record.
    #[must_use]
    pub fn with_attr(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attrs.push((key.into(), value.into()));
        self
    }
}

impl Problem {
    /// It can't be done.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), hint: String::new() }
    }

    /// What the user typed makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", message)
    }

    /// Says what the person can do next.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

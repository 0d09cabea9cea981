//! What is asked and answered, as values: copies, which a test can make as well.

/// What is judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Operation {
    /// Such as `copy-to-storage` or `cmd pull`; an open set.
    pub kind: String,
    /// Names the operation in records: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Of `cmd`: what podman would get after the subcommand.
    pub argv: Vec<String>,
    /// The images that it is about.
    pub images: Vec<Image>,
    /// Everything else, sorted by key; the keys are described in the header.
    pub attrs: Vec<(String, String)>,
}

/// An image that an operation is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// `source`, `target` or `image`; an open set.
    pub role: String,
    /// Its name as asked for, none if it was asked for by its id.
    pub name: Option<Reference>,
    /// The manifest's digest that will run.
    pub digest: Option<String>,
    /// What else is known.
    pub attrs: Vec<(String, String)>,
}

/// The name of an image, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reference {
    /// All of it, with the transport.
    pub canonical: String,
    /// `docker` for registries.
    pub transport: String,
    /// Host name and port; empty if the transport knows none.
    pub registry: String,
    /// Path within the registry; else all that follows the transport.
    pub repository: String,
    /// The tag, if there is one.
    pub tag: Option<String>,
    /// The digest in the name, if there is one.
    pub digest: Option<String>,
}

/// A list that is to be formatted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// The format that the user asked for, one of those in the manifest.
    pub format: String,
    /// The columns that the manifest names for it, in this order; so are the cells of each row.
    pub columns: Vec<String>,
    /// What else is known: `terminal`, `color`, `argument`.
    pub options: Vec<(String, String)>,
}

/// A decision, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// Details for the audit record.
    pub attrs: Vec<(String, String)>,
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

fn find<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

impl Operation {
    /// One attribute, none if it isn't known.
    pub fn attr(&self, key: &str) -> Option<&str> {
        find(&self.attrs, key)
    }
}

impl List {
    /// What is said under this key, if anything is.
    pub fn option(&self, key: &str) -> Option<&str> {
        find(&self.options, key)
    }
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

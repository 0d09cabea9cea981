//! What `policy explain` prints.

use std::collections::BTreeMap;

use bootc_image_core::demands::{Demand, Effect};
use bootc_image_core::error::Error;
use bootc_image_core::pipeline::Explained;
use bootc_image_core::policy::{Judged, Verdict as Given};
use bootc_image_model::denial::Denial;
use bootc_image_model::subject::{Delegation, Subject};
use bootc_image_os::reporter::Reporter as _;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Operation;
use crate::exit::{self, DENIED, Failure, OK};
use crate::render::{self, Format};
use crate::session::Session;
use crate::ui::Ui;

/// Version of the JSON format, whose schema is `docs/schema/explain.schema.json`.
const SCHEMA: u32 = 1;

/// How another caller became root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Via {
    Sudo,
    Pkexec,
    Doas,
    Setuid,
}

impl From<Via> for Delegation {
    fn from(via: Via) -> Self {
        match via {
            Via::Sudo => Self::Sudo,
            Via::Pkexec => Self::Pkexec,
            Via::Doas => Self::Doas,
            Via::Setuid => Self::Setuid,
        }
    }
}

/// What is explained, for whom, and how it is printed.
pub(super) struct Question {
    pub(super) operation: Operation,
    /// Another caller.
    pub(super) other: Option<Subject>,
    pub(super) format: Format,
}

/// What would become of a request, or of one of its operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    NothingToDo,
    Allowed,
    /// bootc-image allows it, but podman's signature policy does not.
    Rejected,
    /// A name cannot be resolved, or podman's signature policy has requirements that are not known here.
    Unknown,
    Denied,
}

/// An operation, and what is known about it.
struct Explanation<'a> {
    judged: &'a Judged,
    demands: Vec<Demand>,
}

impl<'a> Explanation<'a> {
    fn of(judged: &'a Judged) -> Self {
        Self { judged, demands: Explained::demands(judged) }
    }

    fn verdict(&self) -> Verdict {
        if self.judged.denial().is_some() {
            Verdict::Denied
        } else if !self.judged.canonical().is_resolved() {
            Verdict::Unknown
        } else if self.rejections().next().is_some() {
            Verdict::Rejected
        } else if self.demands.iter().any(|demand| demand.effect == Effect::Unknown) {
            Verdict::Unknown
        } else {
            Verdict::Allowed
        }
    }

    /// Whether only podman knows: a requirement in `policy.json` is not known here.
    fn is_up_to_podman(&self) -> bool {
        self.verdict() == Verdict::Unknown && self.judged.canonical().is_resolved()
    }

    fn rejections(&self) -> impl Iterator<Item = Error> {
        self.demands.iter().filter_map(Demand::rejection)
    }
}

pub(super) fn run(session: &Session<'_>, question: Question) -> Result<u8, Failure> {
    if let Some(help) = question.operation.help(session.plugins)? {
        return session.ui.help(&help);
    }
    let Question { operation, other, format } = question;
    let ui = session.ui;
    let (request, _) = operation.into_request(session.plugins)?;
    let explained = session.with_pipeline(|pipeline| pipeline.explain(&request, other.as_ref()))?;
    let explanations: Vec<Explanation<'_>> = explained.judged.iter().map(Explanation::of).collect();
    let denied = explained.denial.is_some().then_some(Verdict::Denied);
    let unknown = explained.unresolved.is_some().then_some(Verdict::Unknown);
    let verdicts = explanations.iter().map(Explanation::verdict).chain(denied).chain(unknown);
    let verdict = verdicts.max().unwrap_or(Verdict::NothingToDo);
    if format == Format::Json {
        let caller = other.as_ref().unwrap_or(&session.settings.subject);
        let answer = Answer::of(verdict, (caller, other.is_some()), &explained, &explanations)?;
        ui.data(|out| render::json(&answer, out))?;
    } else if verdict == Verdict::NothingToDo {
        // For example because a plugin planned no command.
        ui.text("nothing would run: there is nothing to do\n")?;
    }
    for explanation in &explanations {
        if format == Format::Table {
            table(ui, explanation)?;
        }
        if let Some(denial) = explanation.judged.denial() {
            ui.denied(denial, denial.hint.as_deref());
        }
        for rejection in explanation.rejections() {
            ui.error(&rejection, rejection.hint().as_deref(), DENIED);
        }
        if explanation.is_up_to_podman() {
            ui.note(
                "whether podman fetches the image is unknown, because policy.json has requirements that bootc-image does not know",
            );
        }
    }
    let code = match verdict {
        Verdict::NothingToDo | Verdict::Allowed => OK,
        Verdict::Rejected | Verdict::Denied | Verdict::Unknown => DENIED,
    };
    if let Some(denial) = explained.denial {
        return Ok(exit::of_error(ui, &Error::from(denial).into()));
    }
    // The code is that of the failure, but nothing hides a denial.
    match explained.unresolved.map(|error| exit::of_error(ui, &error.into())) {
        Some(failed) if verdict == Verdict::Unknown => Ok(failed),
        _ => Ok(code),
    }
}

fn table(ui: &Ui, explanation: &Explanation<'_>) -> Result<(), Failure> {
    let Explanation { judged, demands } = explanation;
    let word = match explanation.verdict() {
        Verdict::NothingToDo | Verdict::Allowed => "allowed",
        Verdict::Rejected => "allowed by bootc-image, but rejected by policy.json",
        Verdict::Unknown if explanation.is_up_to_podman() => {
            "allowed by bootc-image, but unknown for policy.json"
        }
        Verdict::Unknown => "unknown, because a name cannot be resolved",
        Verdict::Denied => "denied",
    };
    let given = judged.verdicts().iter().flat_map(rows);
    let row = |name: &str, word: &str, why: String| [name.to_owned(), word.to_owned(), why];
    let skipped = judged.not_selected().iter().map(|plugin| {
        row(plugin.as_str(), "skipped", "the plugin's manifest does not cover this operation".to_owned())
    });
    let waiting = judged.waiting().iter().filter(|_| judged.denial().is_none());
    let waiting =
        waiting.map(|name| row(name, "unknown", "it judges only after names are resolved".to_owned()));
    let of_file = demands.iter().map(|demand| {
        let word = match demand.effect {
            Effect::Accepted => "allows",
            Effect::SignatureNeeded => "if signed",
            Effect::Unknown => "unknown",
            Effect::Rejected => "denies",
        };
        row("policy.json", word, demand.reason())
    });
    ui.data(|out| {
        let kind = judged.canonical().policy_input().map(|policy_input| policy_input.kind);
        writeln!(out, "{}: {word} (operation {})", kind.unwrap_or_default(), judged.canonical().digest())?;
        let all = given.chain(skipped).chain(waiting).chain(of_file);
        render::columns(["VALIDATOR", "VERDICT", "REASON"], all, out)
    })
}

/// A verdict, and below it the attributes that the policy gave.
fn rows(verdict: &Given) -> impl Iterator<Item = [String; 3]> {
    let word = match (&verdict.failed_open, verdict.allowed) {
        (Some(_), _) => "failed open",
        (None, true) => "allows",
        (None, false) => "denies",
    };
    let why = match (&verdict.denial, &verdict.failed_open) {
        (Some(denial), _) => format!("{} [{}]", denial.message, denial.code),
        (None, Some(reason)) => reason.clone(),
        (None, None) => verdict.annotations.reason.clone(),
    };
    let details = verdict.annotations.attrs.iter().map(|(key, value)| format!("{key}: {value}"));
    std::iter::once([verdict.validator.clone(), word.to_owned(), why])
        .chain(details.map(|detail| [String::new(), String::new(), detail]))
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    schema: u32,
    verdict: Verdict,
    caller: Caller,
    operations: Vec<OperationAnswer<'a>>,
    /// The denial that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    denial: Option<&'a Denial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unresolved: Option<Unresolved>,
}

#[derive(Serialize)]
struct Caller {
    uid: Option<u32>,
    via: Option<&'static str>,
    /// Whether it is the caller given with `--as`.
    assumed: bool,
}

#[derive(Serialize)]
struct Unresolved {
    name: String,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Serialize)]
struct OperationAnswer<'a> {
    kind: String,
    digest: &'a str,
    resolved: bool,
    verdict: Verdict,
    verdicts: Vec<ValidatorAnswer<'a>>,
    signature_policy: Vec<DemandAnswer<'a>>,
    canonical: &'a RawValue,
}

#[derive(Serialize)]
struct ValidatorAnswer<'a> {
    validator: &'a str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct DemandAnswer<'a> {
    image: String,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    requirements: &'a [String],
    keys: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

impl<'a> Answer<'a> {
    fn of(
        verdict: Verdict,
        (caller, assumed): (&Subject, bool),
        explained: &'a Explained,
        explanations: &'a [Explanation<'a>],
    ) -> Result<Self, Failure> {
        let of_operations = explained.judged.iter().find_map(Judged::denial);
        Ok(Self {
            schema: SCHEMA,
            verdict,
            caller: Caller { uid: caller.uid, via: caller.delegation.map(Delegation::as_str), assumed },
            operations: explanations.iter().map(OperationAnswer::of).collect::<Result<_, _>>()?,
            denial: explained.denial.as_ref().or(of_operations),
            unresolved: explained.unresolved.as_ref().map(Unresolved::of),
        })
    }
}

impl Unresolved {
    fn of(error: &Error) -> Self {
        let name = match error {
            Error::Unresolved { name, .. } => name.clone(),
            _ => String::new(),
        };
        Self { name, error: error.with_causes(), hint: error.hint() }
    }
}

impl<'a> OperationAnswer<'a> {
    fn of(explanation: &'a Explanation<'a>) -> Result<Self, Failure> {
        let Explanation { judged, demands } = explanation;
        let canonical = judged.canonical();
        let names = |name: &'a str, verdict| ValidatorAnswer {
            validator: name,
            verdict,
            reason: None,
            code: None,
            hint: None,
            attributes: BTreeMap::new(),
        };
        let skipped = judged.not_selected().iter().map(|plugin| names(plugin.as_str(), "skipped"));
        let waiting = judged.waiting().iter().filter(|_| judged.denial().is_none());
        let waiting = waiting.map(|name| names(name, "unknown"));
        Ok(Self {
            kind: canonical.policy_input().map(|policy_input| policy_input.kind).unwrap_or_default(),
            digest: canonical.digest().as_str(),
            resolved: canonical.is_resolved(),
            verdict: explanation.verdict(),
            verdicts: judged
                .verdicts()
                .iter()
                .map(ValidatorAnswer::of)
                .chain(skipped)
                .chain(waiting)
                .collect(),
            signature_policy: demands.iter().map(DemandAnswer::of).collect(),
            canonical: serde_json::from_str(canonical.json())
                .map_err(|error| Failure::Stdout(error.into()))?,
        })
    }
}

impl<'a> ValidatorAnswer<'a> {
    fn of(given: &'a Given) -> Self {
        let verdict = match (&given.failed_open, given.allowed) {
            (Some(_), _) => "failed-open",
            (None, true) => "allows",
            (None, false) => "denies",
        };
        let annotated = Some(given.annotations.reason.as_str()).filter(|reason| !reason.is_empty());
        let denied = given.denial.as_ref().map(|denial| denial.message.as_str());
        Self {
            validator: &given.validator,
            verdict,
            reason: denied.or(given.failed_open.as_deref()).or(annotated),
            code: given.denial.as_ref().map(|denial| denial.code.as_str()),
            hint: given.denial.as_ref().and_then(|denial| denial.hint.as_deref()),
            attributes: given
                .annotations
                .attrs
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
        }
    }
}

impl<'a> DemandAnswer<'a> {
    fn of(demand: &'a Demand) -> Self {
        Self {
            image: demand.image.to_string(),
            verdict: match demand.effect {
                Effect::Accepted => "accepts",
                Effect::SignatureNeeded => "needs-signature",
                Effect::Unknown => "unknown",
                Effect::Rejected => "rejects",
            },
            file: demand.file.as_ref().map(|file| file.display().to_string()),
            scope: demand.scope.as_deref(),
            requirements: &demand.requirements,
            keys: &demand.keys,
            problem: demand.problem.as_deref(),
        }
    }
}

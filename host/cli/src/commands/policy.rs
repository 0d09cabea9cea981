use std::path::{Path, PathBuf};

use bootc_image_core::error::Error;
use bootc_image_core::pipeline::Pipeline;
use bootc_image_core::policy::{Judged, POLICY_FAILED, Verdict};
use bootc_image_engine::PluginSet;
use bootc_image_engine::cases::{self, Case, Expected};
use bootc_image_model::subject::Subject;
use bootc_image_os::processes;
use clap::{Args, Parser as _, Subcommand};

use super::explain::{self, Question, Via};
use super::{Arguments, Command, Operation};
use crate::exit::{FAILED, Failure, OK};
use crate::render::Format;
use crate::session::Session;
use crate::settings::from_directory;
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  # Show who would deny a pull, and why
  bootc-image policy explain cmd pull quay.io/example/app:1
  # Run the test cases of your policies
  bootc-image policy test cases.toml";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  # Show who would deny a pull, and why
  bootc-image policy explain cmd pull quay.io/example/app:1
  # Show what still needs an image
  bootc-image policy explain remove quay.io/example/old:1
  # Show what the user with uid 1000 may do with sudo
  bootc-image policy explain --as 1000 --via sudo cmd pull quay.io/example/app:1";

const TEST_EXAMPLES: &str = "\
Examples:
  # The file cases.toml: policy site-policy must deny a pull by uid 1000 through sudo
  [[case]]
  run = [\"cmd\", \"pull\", \"quay.io/example/app:1\"]
  caller = 1000
  via = \"sudo\"
  expect = \"deny\"
  by = \"site-policy\"
  # Test the policies of this host
  bootc-image policy test cases.toml
  # Test the policies of a mounted system
  bootc-image policy test --sysroot /mnt cases.toml";

/// Explain and test the verdicts of policies
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Policy {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show which built-in checks and policies allow or deny an operation, and why
    ///
    /// Nothing is run, but tags are resolved in their registry. For each image that is fetched, it also shows what podman's signature
    /// policy, policy.json, demands.
    ///
    /// The exit code is 77 if the operation is denied, or if policy.json rejects an image. If a name cannot be resolved, the verdict is
    /// unknown: what was judged before is printed, and the exit code is 1 (69 if a program is missing).
    #[command(after_long_help = EXPLAIN_EXAMPLES)]
    Explain {
        /// Explain the verdict for another caller: the user with this uid. Without --via, that user is not root
        ///
        /// Only for root itself: denied if you became root through sudo, pkexec, doas or a setuid program. It is written to the audit
        /// record.
        #[arg(long = "as", value_name = "UID")]
        uid: Option<u32>,
        /// With --as: how that caller became root
        #[arg(long, value_enum, value_name = "WAY", requires = "uid")]
        via: Option<Via>,
        /// Choose the output format
        #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
        format: Format,
        #[command(subcommand)]
        operation: Operation,
    },
    /// Compare the verdicts of policies with expected verdicts
    ///
    /// Needs neither root nor a bootc host nor a registry. With --sysroot, the policies of that system's default deployment are
    /// tested. The exit code is 1 if a verdict differs from the expected one.
    ///
    /// Always denied if you became root through sudo, pkexec, doas or a setuid program: run it as an ordinary user, or as root from a
    /// root login.
    #[command(after_long_help = TEST_EXAMPLES)]
    Test {
        /// Read the cases from this TOML file; the example below has one case, and the page "Policies" of the documentation describes all keys
        file: PathBuf,
    },
}

impl Policy {
    /// Whether it looks only at policies, not at images.
    pub(super) fn is_test(&self) -> bool {
        matches!(self.action, Action::Test { .. })
    }

    pub(super) fn run(self, session: &Session<'_>) -> Result<u8, Failure> {
        match self.action {
            Action::Explain { uid, via, format, operation } => {
                let other = uid.map(|uid| Subject::new(Some(uid), via.map(Into::into)));
                explain::run(session, Question { operation, other, format })
            }
            Action::Test { file } => {
                session.with_pipeline(|pipeline| test(session.ui, session.plugins, pipeline, &file))
            }
        }
    }
}

fn test(ui: &Ui, plugins: &PluginSet, pipeline: &Pipeline<'_>, file: &Path) -> Result<u8, Failure> {
    pipeline.refuse_delegated("`policy test`")?;
    pipeline.refuse_broken()?;
    let from = from_directory(file, pipeline.context.host.settings.directory.as_deref())?;
    let text = cases::read_file(&from).map_err(Error::io("read", file))?;
    let cases = Case::read(&text).map_err(|diagnostic| {
        Failure::Cases(format!("{} is not a valid file of test cases: {diagnostic}", file.display()))
    })?;
    let mut failed = 0;
    let mut text = String::new();
    for (number, case) in cases.iter().enumerate() {
        let operation = operation(case).map_err(|problem| {
            Failure::Cases(format!("{}: case {}: {problem}", file.display(), number + 1))
        })?;
        let (request, _) = operation.into_request(plugins)?;
        let judged = pipeline.judge_assumed(&request, &case.assumed);
        // An interrupted policy gave no verdict.
        processes::check_interrupted()?;
        let wrong = compare(case, judged);
        let name = case.name.clone().unwrap_or_else(|| case.run.join(" "));
        match wrong {
            None => text.push_str(&format!("ok      {name}\n")),
            Some(wrong) => {
                failed += 1;
                let (number, expected) = (number + 1, expected(&case.expect));
                text.push_str(&format!(
                    "FAILED  {name} (case {number})\n        expected: {expected}\n        {wrong}\n"
                ));
            }
        }
    }
    text.push_str(&format!("{} of {} cases passed\n", cases.len() - failed, cases.len()));
    ui.text(&bootc_image_engine::sanitize::lines(&text))?;
    Ok(if failed == 0 { OK } else { FAILED })
}

/// Why a policy gave no verdict, if it did not.
fn no_verdict(verdict: &Verdict) -> Option<String> {
    let denial = verdict.denial.as_ref().filter(|denial| denial.code == POLICY_FAILED);
    let why = denial.map(|denial| &denial.message).or(verdict.failed_open.as_ref())?;
    Some(format!("{} gave no verdict: {why}", verdict.validator))
}

fn expected(verdict: &Expected) -> String {
    match verdict {
        Expected::Allow => "allowed".to_owned(),
        Expected::Deny { by, code } => {
            let by = by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
            let code = code.as_deref().map(|code| format!(" [{code}]")).unwrap_or_default();
            format!("denied{by}{code}")
        }
    }
}

/// The operation on the command line of a case.
fn operation(case: &Case) -> Result<Operation, String> {
    let words = std::iter::once("bootc-image").chain(case.run.iter().map(String::as_str));
    match Arguments::try_parse_from(words) {
        Ok(Arguments { global, .. }) if global.sysroot.is_some() || global.dry_run => {
            Err("a case cannot use --sysroot or --dry-run: no system is read and nothing runs".to_owned())
        }
        Ok(Arguments { command: Command::Operation(operation), .. }) => Ok(operation),
        Ok(_) => Err(format!(
            "`{}` is not an operation on images, and policies judge only operations on images",
            case.run.join(" ")
        )),
        Err(error) => {
            let text = error.render().to_string();
            // The usage follows after an empty line.
            let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let text = lines.join(" ");
            Err(text.strip_prefix("error: ").unwrap_or(&text).to_owned())
        }
    }
}

/// How the verdict differs from the expected one, if it does.
fn compare(case: &Case, judged: Result<Vec<Judged>, Error>) -> Option<String> {
    let denial = match &judged {
        Ok(judged) => judged.iter().find_map(Judged::denial),
        Err(Error::Denied(denial)) => Some(denial),
        Err(error) => return Some(format!("the operation cannot be judged: {error}")),
    };
    // A policy that gave no verdict passes no test, unless that is what the case expects.
    let wants_failure =
        matches!(&case.expect, Expected::Deny { code: Some(code), .. } if code == POLICY_FAILED);
    let verdicts = judged.iter().flatten().flat_map(Judged::verdicts);
    if let Some(missing) = verdicts.into_iter().find_map(no_verdict).filter(|_| !wants_failure) {
        return Some(missing);
    }
    match (&case.expect, denial) {
        (Expected::Allow, None) => None,
        (Expected::Allow, Some(denial)) => {
            Some(format!("got:      denied by {} [{}]: {}", denial.denied_by, denial.code, denial.message))
        }
        (Expected::Deny { .. }, None) => Some("got:      allowed".to_owned()),
        (Expected::Deny { by, code }, Some(denial)) => {
            let other = |wanted: &Option<String>, found: &str| {
                wanted.as_deref().is_some_and(|wanted| wanted != found)
            };
            (other(by, &denial.denied_by.to_string()) || other(code, &denial.code)).then(|| {
                format!("got:      denied by {} [{}]: {}", denial.denied_by, denial.code, denial.message)
            })
        }
    }
}

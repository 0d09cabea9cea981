//! A site's table of operations and the verdicts that it expects, for its own tests of its policies.

use std::io;
use std::path::Path;

use bootc_image_core::assumed::Assumed;
use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::subject::{Delegation, Subject};
use rustix::fs::OFlags;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::places::{open_file, read_up_to, text};
use crate::strict::{Complaint, Source, named, one_of};

/// What names mean where a case doesn't say: the digest of nothing.
const SOME_DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// What is booted where a case doesn't say.
const SOME_IMAGE: &str = "docker://registry.example/os:latest";

/// A table of cases.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCases {
    /// Operations and the verdicts that are expected.
    case: Vec<RawCase>,
}

/// An operation and the verdict that is expected.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawCase {
    /// What the case is about.
    name: Option<String>,
    /// The words after `bootc-image`.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    run: Spanned<Vec<String>>,
    /// `allow` or `deny`.
    #[cfg_attr(test, schemars(with = "String"))]
    expect: Spanned<String>,
    /// Which policy denies.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    by: Option<Spanned<String>>,
    /// With which code.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    code: Option<Spanned<String>>,
    /// Who asks: a uid; 0 if it isn't said.
    caller: Option<u32>,
    /// How they came to be root: `sudo`, `pkexec`, `doas`, `setuid` or `unclear`.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    via: Option<Spanned<String>>,
    /// The digest that every name means.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    digest: Option<Spanned<String>>,
    /// The name of the booted image, with its transport.
    booted: Option<String>,
}

/// An operation and the verdict that is expected.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is about.
    pub name: Option<String>,
    /// The words after `bootc-image`.
    pub run: Vec<String>,
    /// Who asks, and what names mean.
    pub assumed: Assumed,
    /// The verdict.
    pub expect: Expected,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Everyone allows it.
    Allow,
    /// Someone denies it.
    Deny {
        /// Who, if that matters.
        by: Option<String>,
        /// With which code, if that matters.
        code: Option<String>,
    },
}

/// The largest table, in bytes.
const LARGEST: u64 = 4 << 20;

/// Reads a table's file: a file, of a size that somebody could have written.
///
/// # Errors
/// The system's.
pub fn read_file(path: &Path) -> io::Result<String> {
    text(read_up_to(open_file(path, OFlags::empty())?, LARGEST)?)
}

impl Case {
    /// Reads a table.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(text: &str) -> Result<Vec<Self>, Complaint> {
        let source = Source(text);
        let raw: RawCases = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        raw.case.into_iter().map(|raw| case(source, raw)).collect()
    }
}

fn case(source: Source<'_>, raw: RawCase) -> Result<Case, Complaint> {
    let word = source.checked(&raw.expect, "expect", |text| one_of(text, &["allow", "deny"], "a verdict"))?;
    let expect = if word == "allow" {
        if let Some(given) = raw.by.as_ref().or(raw.code.as_ref()) {
            return Err(source.complain(given.span(), "expect", "`by` and `code` apply only to expect = \"deny\""));
        }
        Expected::Allow
    } else {
        Expected::Deny { by: raw.by.map(Spanned::into_inner), code: raw.code.map(Spanned::into_inner) }
    };
    let delegation = |text: &str| named(text, &Delegation::ALL, |by| by.as_str(), "a way to become root");
    let delegation = source.maybe(raw.via.as_ref(), "via", delegation)?;
    let digest = match &raw.digest {
        None => Digest::new(SOME_DIGEST),
        Some(text) => {
            Ok(source.checked(text, "digest", |text| Digest::new(text).map_err(|error| error.to_string()))?)
        }
    };
    let (span, run) = (raw.run.span(), raw.run.into_inner());
    let complain = |what: String| source.complain(span, "digest", what);
    let digest = digest.map_err(|error| complain(error.to_string()))?;
    let commit =
        Commit::new(digest.hex()).map_err(|error| source.complain(0..0, "digest", error.to_string()))?;
    let assumed = Assumed {
        subject: Subject::new(
            raw.caller.or((delegation != Some(Delegation::Unclear)).then_some(0)),
            delegation,
        ),
        digest,
        commit,
        booted: raw.booted.unwrap_or_else(|| SOME_IMAGE.to_owned()),
    };
    Ok(Case { name: raw.name, run, assumed, expect })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_says_who_asks_and_what_names_mean() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let text = format!(
            "[[case]]\nrun = [\"cmd\", \"pull\", \"quay.io/a\"]\nexpect = \"deny\"\nby = \"p\"\ncaller = 7\nvia = \"sudo\"\ndigest = \"{digest}\"\n"
        );
        let cases = Case::read(&text).unwrap();
        assert_eq!(cases[0].run, ["cmd", "pull", "quay.io/a"]);
        assert_eq!(cases[0].expect, Expected::Deny { by: Some("p".to_owned()), code: None });
        assert_eq!(cases[0].assumed.digest.as_str(), digest);
        assert_eq!(cases[0].assumed.subject.delegation, Some(Delegation::Sudo));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_place() {
        for (text, expected) in [
            (
                "[[case]]\nrun = []\nexpect = \"alow\"\n",
                "line 3: `expect`: \"alow\" is not a verdict; did you mean \"allow\"?",
            ),
            (
                "[[case]]\nrun = []\nexpect = \"allow\"\nby = \"p\"\n",
                "line 4: `expect`: `by` and `code` apply only to expect = \"deny\"",
            ),
            (
                "[[case]]\nrun = []\nexpects = \"allow\"\n",
                "line 3: `expects`: unknown key; did you mean `expect`?",
            ),
        ] {
            assert_eq!(Case::read(text).unwrap_err().to_string(), expected);
        }
    }
}

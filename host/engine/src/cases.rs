//! Test cases of a site's policies: operations, and the verdicts that are expected.

use std::io;
use std::path::Path;

use bootc_image_core::assumed::Assumed;
use bootc_image_manifest::strict::{Diagnostic, Source, named, one_of};
use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::subject::{Delegation, Subject};
use rustix::fs::OFlags;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::places::{open_file, read_up_to, text};

/// The digest of every image unless a case sets one: the SHA-256 of no bytes.
const SOME_DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// The booted image unless a case sets one.
const SOME_IMAGE: &str = "docker://registry.example/os:latest";

/// A file of test cases.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCases {
    /// Test cases: operations and the verdicts that are expected.
    case: Vec<RawCase>,
}

/// A test case: an operation and the verdict that is expected.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawCase {
    /// Description of the case.
    name: Option<String>,
    /// The arguments of `bootc-image`.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    run: Spanned<Vec<String>>,
    /// The expected verdict: `allow` or `deny`.
    #[cfg_attr(test, schemars(with = "String"))]
    expect: Spanned<String>,
    /// The policy that is expected to deny.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    by: Option<Spanned<String>>,
    /// The expected code of the denial.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    code: Option<Spanned<String>>,
    /// uid of the caller; 0 by default.
    caller: Option<u32>,
    /// How the caller became root: `sudo`, `pkexec`, `doas`, `setuid` or `unclear`.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    via: Option<Spanned<String>>,
    /// The digest to which every image resolves.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    digest: Option<Spanned<String>>,
    /// Reference of the booted image, with its transport.
    booted: Option<String>,
}

/// A test case: an operation and the verdict that is expected.
#[derive(Debug, Clone)]
pub struct Case {
    /// Description of the case.
    pub name: Option<String>,
    /// The arguments of `bootc-image`.
    pub run: Vec<String>,
    /// The caller, and the digest to which images resolve.
    pub assumed: Assumed,
    /// The expected verdict.
    pub expect: Expected,
}

/// An expected verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// No policy or validator denies the operation.
    Allow,
    /// A policy or validator denies the operation.
    Deny {
        /// The one that must deny; none: any.
        by: Option<String>,
        /// The code that the denial must have; none: any.
        code: Option<String>,
    },
}

/// The largest file of test cases, in bytes.
const LARGEST: u64 = 4 << 20;

/// Reads a file of test cases.
///
/// # Errors
/// If it cannot be read, is not a regular file, is larger than 4 MiB or is not UTF-8.
pub fn read_file(path: &Path) -> io::Result<String> {
    text(read_up_to(open_file(path, OFlags::empty())?, LARGEST)?)
}

impl Case {
    /// Reads the text of a file of test cases.
    ///
    /// # Errors
    /// The first error in the text, with line and key.
    pub fn read(text: &str) -> Result<Vec<Self>, Diagnostic> {
        let source = Source(text);
        let raw: RawCases = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        raw.case.into_iter().map(|raw| case(source, raw)).collect()
    }
}

fn case(source: Source<'_>, raw: RawCase) -> Result<Case, Diagnostic> {
    let word = source.checked(&raw.expect, "expect", |text| one_of(text, &["allow", "deny"], "a verdict"))?;
    let expect = if word == "allow" {
        if let Some(given) = raw.by.as_ref().or(raw.code.as_ref()) {
            return Err(source.error_at(
                given.span(),
                "expect",
                "`by` and `code` apply only to expect = \"deny\"",
            ));
        }
        Expected::Allow
    } else {
        Expected::Deny { by: raw.by.map(Spanned::into_inner), code: raw.code.map(Spanned::into_inner) }
    };
    let delegation =
        |text: &str| named(text, &Delegation::ALL, |by| by.as_str(), "a recognized way to become root");
    let delegation = source.maybe(raw.via.as_ref(), "via", delegation)?;
    let digest = match &raw.digest {
        None => Digest::new(SOME_DIGEST),
        Some(text) => {
            Ok(source.checked(text, "digest", |text| Digest::new(text).map_err(|error| error.to_string()))?)
        }
    };
    let (span, run) = (raw.run.span(), raw.run.into_inner());
    let digest_error = |what: String| source.error_at(span, "digest", what);
    let digest = digest.map_err(|error| digest_error(error.to_string()))?;
    let commit =
        Commit::new(digest.hex()).map_err(|error| source.error_at(0..0, "digest", error.to_string()))?;
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
    fn a_case_sets_the_caller_and_the_digest() {
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
    fn an_error_names_its_line_and_key() {
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

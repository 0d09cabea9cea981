//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: package-plugins [--programs DIR] DIRECTORY PACKAGE... [-- CARGO-OPTION...]

Builds each PACKAGE of the workspace in the current directory as a component, checks it and its
plugin.toml as a host does, and writes both to DIRECTORY/ID.

  --programs DIR  The directory of bootc-image-helper, which compiles components
  -- OPTION...    Options for `cargo build`. Without `--`, the only one is --locked, if the
                  workspace has a Cargo.lock";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) programs: Option<PathBuf>,
    pub(crate) directory: PathBuf,
    pub(crate) packages: Vec<String>,
    /// What is after `--`.
    pub(crate) cargo: Option<Vec<OsString>>,
}

impl Arguments {
    /// None if help is wanted.
    pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut programs = None;
        let mut operands = Vec::new();
        let mut cargo = None;
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--") => cargo = Some(words.by_ref().collect()),
                Some("--help" | "-h") => return Ok(None),
                Some("--programs") => {
                    let directory = words.next().ok_or("--programs needs a directory")?;
                    programs = Some(PathBuf::from(directory));
                }
                Some(option) if option.starts_with('-') => {
                    return Err(format!("unknown option {option}; write options for cargo after `--`"));
                }
                _ => operands.push(word),
            }
        }
        let mut operands = operands.into_iter();
        let directory = operands.next().map(PathBuf::from).ok_or("no directory is given")?;
        let text = |word: OsString| word.into_string().map_err(|word| format!("{word:?} is not a package"));
        let packages: Vec<String> = operands.map(text).collect::<Result<_, _>>()?;
        if packages.is_empty() {
            return Err("no package is given".to_owned());
        }
        Ok(Some(Self { programs, directory, packages, cargo }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Arguments>, String> {
        Arguments::parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_for_cargo_are_after_the_dashes() {
        let parsed = |text| parse(text).unwrap().unwrap();
        assert_eq!(parsed("out a").cargo, None);
        assert_eq!(parsed("out a --").cargo, Some(Vec::new()));
        let all = parsed("--programs p out a b -- --offline -v");
        let expected = Arguments {
            programs: Some("p".into()),
            directory: "out".into(),
            packages: vec!["a".to_owned(), "b".to_owned()],
            cargo: Some(vec!["--offline".into(), "-v".into()]),
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, error) in [
            ("", "no directory is given"),
            ("out", "no package is given"),
            ("out -- --offline", "no package is given"),
            ("out a --offline", "unknown option --offline; write options for cargo after `--`"),
            ("out a --programs", "--programs needs a directory"),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
        assert_eq!(parse("out --help"), Ok(None));
    }
}

//! Patterns of names, which the host matches itself. Patterns that are slow to match are rejected.

use std::fmt;

use glob::MatchOptions;

use crate::reference::{InvalidReference, Reference, is_repository};

/// `*` does not match `/`, `**` does.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A pattern such as `quay.io/example/*`, `quay.io/**` or `cmd *`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(glob::Pattern);

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Why it is not a valid pattern, in words.
    pub fn new(text: &str) -> Result<Self, String> {
        let pattern = glob::Pattern::new(text)
            .map_err(|error| format!("{text:?} is not a valid pattern: {}", error.msg))?;
        check_complexity(text)?;
        Ok(Self(pattern))
    }

    /// Whether it matches the whole name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches_with(name, OPTIONS)
    }

    /// Checks that it can match names of images, which begin with a registry, and are in lower case and without transport, tag and
    /// digest.
    ///
    /// # Errors
    /// In words, why no name can match it, or that a wildcard in its registry also matches registries of other owners.
    pub fn check_names(&self) -> Result<(), String> {
        let text = self.as_str();
        let (registry, rest) =
            text.split_once('/').map_or((text, None), |(registry, rest)| (registry, Some(rest)));
        let of_no_registry = registry.is_empty();
        let fix = if text.contains("://") {
            "names are matched without their transport: remove it"
        } else if text.contains('@') || (!of_no_registry && rest.is_some_and(|rest| rest.contains(':'))) {
            "names are matched without tag and digest: remove them"
        } else if !of_no_registry && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            "names are matched in lower case: write the pattern in lower case"
        } else if rest.is_none() && !registry.contains("**") {
            "every name has a registry and a repository: write REGISTRY/REPOSITORY, or REGISTRY/** for every image of a registry"
        } else if registry == "docker.io" && rest.is_some_and(|rest| !rest.contains('/') && rest != "**") {
            "an image of Docker Hub without a namespace is matched as docker.io/library/NAME"
        } else if let Some(fix) = matched_as(registry) {
            return Err(format!("no image name can match {text:?}: {fix}"));
        } else if matches_foreign_registries(registry) {
            let example =
                foreign_example(registry).map(|name| format!(", such as {name}")).unwrap_or_default();
            return Err(format!(
                "{text:?} also matches names in other registries{example}: write the registry in full, \
                 or with a fixed domain as in *.example.com"
            ));
        } else if let Some(fix) =
            rest.filter(|_| !of_no_registry).and_then(|rest| why_impossible(registry, rest))
        {
            fix
        } else {
            return Ok(());
        };
        Err(format!("no image name can match {text:?}: {fix}"))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Rejects patterns that are slow to match, because matching has no time limit.
fn check_complexity(text: &str) -> Result<(), String> {
    // A class could contain the `/` at which the pattern is split below, without ever matching one.
    if text.contains('[') {
        return Err(format!("{text:?} contains `[`, which is not allowed in these patterns"));
    }
    let (crossing, others): (Vec<&str>, Vec<&str>) = text.split('/').partition(|part| *part == "**");
    if crossing.len() <= 2 && others.iter().all(|part| part.matches('*').count() <= 1) {
        Ok(())
    } else {
        Err(format!("{text:?} has more than one `*` between two slashes, or more than two `**`"))
    }
}

/// The name under which a registry is matched, if it is not the one in the pattern.
fn matched_as(registry: &str) -> Option<String> {
    let name = Reference::parse(&format!("{registry}/a/b")).ok()?;
    (name.registry() != registry).then(|| format!("this registry is matched as {}", name.registry()))
}

/// Whether the pattern of a registry could match somebody else's registry. The owner of a domain's last two labels owns all names
/// below it, but the owner of one IP address does not own similar ones.
fn matches_foreign_registries(registry: &str) -> bool {
    let (host, is_wild) = (host(registry), |text: &str| text.contains(['*', '?']));
    if ["*", "**"].contains(&registry) || !is_wild(host) {
        return false;
    }
    let mut labels = host.rsplit('.');
    let is_kept = |label: Option<&str>| label.is_some_and(|label| !label.is_empty() && !is_wild(label));
    let (last, other) = (labels.next(), labels.next());
    let is_address = last.is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    is_address || !is_kept(last) || !is_kept(other)
}

/// An example of somebody else's registry that the pattern matches.
fn foreign_example(registry: &str) -> Option<String> {
    let ends_openly = host(registry).rsplit('.').next().is_some_and(|last| last.contains('*'));
    let stars: &[&str] = if ends_openly { &[".example.net", "example.net", "9"] } else { &["evil", "9"] };
    let mut named =
        stars.iter().flat_map(|star| ["9", "e"].map(|one| registry.replace('*', star).replace('?', one)));
    let exists = |registry: &String| {
        Reference::parse(&format!("{registry}/a")).and_then(Reference::in_registry).is_ok()
    };
    named.find(exists)
}

/// A registry without its port.
fn host(registry: &str) -> &str {
    registry.split(':').next().unwrap_or(registry)
}

/// Why no image can have such a name. Wildcards are replaced by text that they always match.
fn why_impossible(registry: &str, repository: &str) -> Option<&'static str> {
    if !is_repository(&repository.replace("**", "*").replace(['*', '?'], "a")) {
        return Some(
            "a repository consists of lower-case letters and digits, separated by '.', '_', '-' or a single '/'",
        );
    }
    if ["*", "**", "localhost"].contains(&registry) {
        return None;
    }
    let registry = match registry.split_once(':') {
        Some((host, port)) => format!("{}:{}", host.replace(['*', '?'], "a"), port.replace(['*', '?'], "1")),
        None => registry.replace(['*', '?'], "a"),
    };
    match Reference::parse(&format!("{registry}/a")).and_then(Reference::in_registry) {
        Ok(_) => None,
        Err(InvalidReference::Malformed { why, .. }) => Some(why),
        Err(InvalidReference::Transport(_)) => Some("it begins with a transport"),
        Err(_) => Some("it does not begin with a registry such as quay.io"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHOUT_REPOSITORY: &str = "every name has a registry and a repository: write REGISTRY/REPOSITORY, or REGISTRY/** for every image of a registry";

    #[test]
    fn names_that_no_image_has_and_wildcards_in_registries_are_refused() {
        for (pattern, expected) in [
            ("quay.io/x/y", None),
            ("quay.io/**", None),
            ("**", None),
            ("*/x/*", None),
            ("*.example.com/**", None),
            ("localhost:5000/x/y", None),
            ("example.com:*/x", None),
            ("/srv/images/*", None),
            ("/srv/images/os:1", None),
            ("quay.io/x/y:latest", Some("without tag and digest")),
            ("quay.io/x/y@sha256:*", Some("without tag and digest")),
            ("docker://quay.io/x", Some("without their transport")),
            ("quay.io/X/y", Some("in lower case")),
            ("quay.io", Some(WITHOUT_REPOSITORY)),
            ("*", Some(WITHOUT_REPOSITORY)),
            ("example.com*", Some(WITHOUT_REPOSITORY)),
            ("oci:5000/x", Some("no image name can match \"oci:5000/x\": it begins with a transport")),
            ("example.com*/x/y", Some("example.com.example.net/")),
            ("quay.*/x", Some("such as quay.example.net:")),
            ("*quay.io/x", Some("such as evilquay.io:")),
            ("q?ay.io/**", Some("such as q9ay.io:")),
            ("q*y.io:5000/**", Some("such as qevily.io:5000:")),
            ("*.io/**", Some("such as evil.io:")),
            ("*.com/x", Some("such as evil.com:")),
            ("*:5000/x", Some("such as example.net:5000:")),
            ("?.com/x", Some("such as 9.com:")),
            ("*example.com/x", Some("such as evilexample.com:")),
            ("127.0.0.*/x", Some("such as 127.0.0.example.net:")),
            ("127.0.0.?:5000/x", Some("such as 127.0.0.9:5000:")),
            ("*.0.0.1/x", Some("such as 9.0.0.1:")),
            ("r?.example.com:*/x", None),
            ("**/x", None),
            ("localhost/**", None),
            ("localhost:*/**", None),
            ("quay.io/**/x-*/?", None),
            ("fedora/*", Some("does not begin with a registry")),
            ("quay.io/", Some("separated by")),
            ("quay.io/x/", Some("separated by")),
            ("quay.io//x", Some("separated by")),
            ("*//x", Some("separated by")),
            ("quay.io/-x", Some("separated by")),
            ("quay.io/x y", Some("separated by")),
            ("quay.io/*-/x", Some("separated by")),
            (" quay.io/x", Some("is not a host name")),
            ("quay..io/x", Some("is not a host name")),
            ("127.1/**", Some("four decimal numbers")),
            ("10.0.0.1:05000/x", Some("this registry is matched as 10.0.0.1:5000")),
            ("10.0.0.1:0*/x", Some("without leading zeros")),
            ("10.0.0.1:70000/x", Some("from 1 to 65535")),
            ("quay.io:443/x", Some("this registry is matched as quay.io")),
            ("index.docker.io/x/*", Some("this registry is matched as docker.io")),
            ("docker.io/library/a", None),
            ("docker.io/**", None),
            (
                "docker.io/a",
                Some("an image of Docker Hub without a namespace is matched as docker.io/library/NAME"),
            ),
            ("docker.io/*", Some("docker.io/library/NAME")),
        ] {
            let found = Pattern::new(pattern).unwrap().check_names().err();
            match expected {
                None => assert_eq!(found, None, "{pattern}"),
                Some(part) => assert!(
                    found.as_deref().is_some_and(|found| found.contains(part.trim_end_matches('/'))),
                    "{pattern}: {found:?}"
                ),
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_pattern_is_said_in_full() {
        let refused = |text: &str| Pattern::new(text).and_then(|pattern| pattern.check_names()).unwrap_err();
        assert_eq!(
            refused("quay.io/*a*"),
            "\"quay.io/*a*\" has more than one `*` between two slashes, or more than two `**`"
        );
        assert_eq!(
            refused("*quay.io/x"),
            "\"*quay.io/x\" also matches names in other registries, such as evilquay.io: write the registry in full, \
             or with a fixed domain as in *.example.com"
        );
    }
}

//! Patterns of names, compared by the host itself: each is one that takes no time.

use std::fmt;

use bootc_image_grammar::weakened::is_off;
use glob::MatchOptions;

use crate::reference::Reference;

/// `*` stays within a part of a name, `**` doesn't.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A pattern such as `quay.io/example/*`, `quay.io/**` or `cmd *`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(glob::Pattern);

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// Why it isn't one, in words.
    pub fn new(text: &str) -> Result<Self, String> {
        let pattern =
            glob::Pattern::new(text).map_err(|error| format!("{text:?} isn't a pattern: {}", error.msg))?;
        quickly_compared(text)?;
        Ok(Self(pattern))
    }

    /// Whether all of `name` is like this.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches_with(name, OPTIONS)
    }

    /// Whether it fits names of images: they are compared in lower case, without transport, tag and digest, and have a registry
    /// in front.
    ///
    /// # Errors
    /// Why no name can match it, or that it also matches names in registries of strangers, because it ends its registry in a
    /// wildcard; in words.
    pub fn check_names(&self) -> Result<(), String> {
        if is_off("names") {
            return Ok(());
        }
        let text = self.as_str();
        let (registry, rest) =
            text.split_once('/').map_or((text, None), |(registry, rest)| (registry, Some(rest)));
        let of_no_registry = registry.is_empty();
        let fix = if text.contains("://") {
            "names are compared without their transport: leave it out"
        } else if text.contains('@') || (!of_no_registry && rest.is_some_and(|rest| rest.contains(':'))) {
            "names are compared without tag and digest: leave them out"
        } else if !of_no_registry && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            "names are compared in lower case"
        } else if rest.is_none() && !registry.contains("**") {
            "every name has a registry and a repository: write REGISTRY/REPOSITORY, or REGISTRY/** for all of a registry"
        } else if registry == "docker.io" && rest.is_some_and(|rest| !rest.contains('/') && rest != "**") {
            "an image of Docker Hub without a namespace is compared as docker.io/library/NAME"
        } else if let Some(fix) = is_called_otherwise(registry) {
            return Err(format!("no image name can match {text:?}: {fix}"));
        } else if ends_openly(registry) {
            return Err(format!(
                "{text:?} also matches names in other registries, such as {}: write the registry in full, followed by /**",
                registry.replace(['*', '?'], ".example.net")
            ));
        } else {
            return Ok(());
        };
        Err(format!("no image name can match {text:?}: {fix}"))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no limit on the time that comparing takes.
fn quickly_compared(text: &str) -> Result<(), String> {
    // A class may hold the `/` that the parts below would be told apart by, and never match one.
    if text.contains('[') && !is_off("patterns") {
        return Err(format!("{text:?} has a `[`, which patterns here can't have"));
    }
    let (crossing, others): (Vec<&str>, Vec<&str>) = text.split('/').partition(|part| *part == "**");
    if crossing.len() <= 2 && others.iter().all(|part| part.matches('*').count() <= 1) {
        Ok(())
    } else {
        Err(format!("{text:?} has more than one `*` in a part, or more than two `**`"))
    }
}

/// How a registry is really compared, if it isn't as this pattern has it.
fn is_called_otherwise(registry: &str) -> Option<String> {
    let name = Reference::parse(&format!("{registry}/a/b")).ok()?;
    (name.registry() != registry).then(|| format!("this registry is compared as {}", name.registry()))
}

/// Whether the owner of another registry could choose a name for it that is like this one.
fn ends_openly(registry: &str) -> bool {
    let host = registry.split(':').next().unwrap_or(registry);
    let last = host.rsplit('.').next().unwrap_or(host);
    last.contains(['*', '?']) && host.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_image_has_and_names_of_strangers_are_refused() {
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
            ("quay.io", Some("REGISTRY/**")),
            ("*", Some("REGISTRY/**")),
            ("example.com*", Some("REGISTRY/**")),
            ("example.com*/x/y", Some("example.com.example.net/")),
            ("quay.*/x", Some("other registries")),
            ("quay.io:443/x", Some("compared as quay.io")),
            ("index.docker.io/x/*", Some("compared as docker.io")),
            ("docker.io/library/a", None),
            ("docker.io/**", None),
            ("docker.io/a", Some("docker.io/library/NAME")),
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
}

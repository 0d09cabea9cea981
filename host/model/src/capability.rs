//! Capabilities that the administrator can grant to a plugin, and their scopes.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::pattern::Pattern;
use crate::policy_input::Name;

/// Copy images of this host to podman's storage. The scope limits both the source's and the copy's name.
pub const COPIES_IMAGES: &str = "copies-images";
/// List images. The scope limits their names.
pub const LISTS_IMAGES: &str = "lists-images";
/// Copy images from podman's storage to bootc's. The scope limits their names.
pub const PULLS_IMAGES: &str = "pulls-images";

/// A capability with its scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Capability {
    /// Its name, such as `podman-reads`.
    pub name: String,
    /// The scope, such as a directory or a pattern of names; empty if the capability has none.
    pub scope: String,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.scope.is_empty() { "" } else { " " };
        write!(f, "{}{space}{}", self.name, self.scope)
    }
}

impl Capability {
    /// Whether the scope, a pattern of names, includes this name. An invalid pattern includes nothing.
    pub fn has_name(&self, name: &Name) -> bool {
        Pattern::new(&self.scope).is_ok_and(|pattern| pattern.matches(&name.path()))
    }

    /// Whether the scope, a directory, includes this path, which must be absolute and without links.
    pub fn has_path(&self, path: &Path) -> bool {
        path.starts_with(&self.scope) && path.is_absolute()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Reference;

    #[test]
    fn a_scope_is_about_whole_parts() {
        let capability = |scope: &str| Capability { name: String::new(), scope: scope.to_owned() };
        for (scope, path, expected) in [
            ("/var/backups", "/var/backups/a.tar", true),
            ("/var/backups/", "/var/backups/a.tar", true),
            ("/var/backups", "/var/backups-of-others/a.tar", false),
            ("/var/backups", "/var", false),
            ("", "a.tar", false),
        ] {
            assert_eq!(capability(scope).has_path(Path::new(path)), expected, "{scope} {path}");
        }
        let name = Name::new("docker://", &Reference::parse("quay.io/example/os:1").unwrap());
        for (scope, expected) in
            [("quay.io/example/*", true), ("**", true), ("quay.io/*", false), ("quay.io/[e]xample/os", false)]
        {
            assert_eq!(capability(scope).has_name(&name), expected, "{scope}");
        }
    }
}

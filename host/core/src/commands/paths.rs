//! Resolves the paths in a command that podman reads or writes.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use bootc_image_grammar::{Command, Kind, ParseError};
use bootc_image_model::capability::Capability;
use bootc_image_model::denial::{Denial, DeniedBy};
use bootc_image_model::plugin::PluginId;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::trust::{Leeway, Policy, Untrusted};

use crate::error::Error;

/// The canonical path of a build's file or directory. `-` is stdin.
pub(super) fn source(directory: &Path, command: &Command, text: &str) -> Result<String, Error> {
    if text == "-" {
        return Ok(text.to_owned());
    }
    // podman searches in this order: below the current directory, then below the build context.
    let context = command.operands().first().map_or(Path::new("."), Path::new);
    let candidates = [directory.join(text), directory.join(context).join(text)];
    let found = candidates.iter().find(|path| path.exists()).unwrap_or(&candidates[0]);
    let path: PathBuf = fs::canonicalize(found).map_err(Error::io("find", found))?;
    let path = path.into_os_string().into_string().map_err(|path| OsError::NotUtf8(path.into()))?;
    // podman splits some options at commas, and tools escape control characters in different ways.
    if path.contains(|c: char| c.is_control() || [',', '"'].contains(&c)) {
        return Err(ParseError::BadOperand(path).into());
    }
    Ok(path)
}

/// The canonical path of a file that podman reads or writes. Only root may be able to change where it leads afterwards.
/// The path is judged again later. If not even the path as written is within a scope, the denial does not depend on whether the file
/// exists, so that it reveals nothing.
pub(super) fn granted_path(
    plugin: &PluginId,
    directory: &Path,
    text: &str,
    kind: Kind,
    scopes: &[Capability],
) -> Result<String, Error> {
    let written = directory.join(text);
    let climbs = written.components().any(|part| part == Component::ParentDir);
    let within = !climbs && scopes.iter().any(|capability| capability.has_path(&written));
    let refused = |code: &str, message: String, hint: String| {
        Error::Denied(Denial {
            denied_by: DeniedBy::Host("grammar"),
            code: code.to_owned(),
            message,
            hint: Some(hint),
        })
    };
    let find = |path: &Path| fs::canonicalize(path).map_err(Error::io("find", path));
    let is_missing = |path: &Path| fs::symlink_metadata(path).is_err_and(|error| is_not_found(&error));
    let found = match (written.parent(), written.file_name()) {
        // The directory of the scope is created before podman writes to it.
        (Some(parent), Some(name))
            if kind == Kind::PathWrite
                && is_missing(parent)
                && scopes.iter().any(|capability| Path::new(&capability.scope) == parent) =>
        {
            let there = parent.ancestors().find(|path| !is_missing(path)).unwrap_or(parent);
            let rest = parent.strip_prefix(there).unwrap_or(parent);
            find(there).map(|there| there.join(rest).join(name))
        }
        (Some(parent), Some(name)) if kind == Kind::PathWrite => find(parent).map(|parent| parent.join(name)),
        _ => find(&written),
    };
    let outside = |path: &Path| {
        let scopes: Vec<&str> = scopes.iter().map(|capability| capability.scope.as_str()).collect();
        let message =
            format!("{} is outside the paths that plugin {plugin} may pass to podman", path.display());
        let hint = format!(
            "use a path below {}; or let the shell open the file, with < before its name to read it or > to write it",
            scopes.join(", ")
        );
        refused("outside-scope", message, hint)
    };
    let found = match found {
        Err(_) if !within => return Err(outside(&written)),
        found => found?,
    };
    if !scopes.iter().any(|capability| capability.has_path(&found)) {
        return Err(outside(&found));
    }
    let leeway = if kind == Kind::PathWrite { Leeway::Missing } else { Leeway::None };
    match (Policy { leeway, ..Policy::ROOT_ONLY }).walk(&found) {
        Ok(()) => {}
        Err(Untrusted::Unknown { part, source }) => return Err(Error::io("examine", part)(source)),
        Err(Untrusted::Broken { part, rule: _ }) => {
            let part = if part == found { "it".to_owned() } else { part.display().to_string() };
            let message = format!(
                "refusing {}: {part} must be owned by root and not writable by others",
                found.display()
            );
            let hint =
                "use a directory that only root can write to; the same holds for all directories above it"
                    .to_owned();
            return Err(refused("not-roots-own", message, hint));
        }
    }
    if kind == Kind::PathWrite && !is_missing(&found) {
        return Err(exists_already(&found).into());
    }
    let text = found.into_os_string().into_string().map_err(|path| OsError::NotUtf8(path.into()))?;
    // podman splits some options into keys and values.
    if text.contains(|c: char| c.is_control() || [',', '"', '='].contains(&c)) {
        Err(ParseError::BadOperand(text).into())
    } else {
        Ok(text)
    }
}

/// Files are not overwritten, since podman runs as root.
pub(super) fn exists_already(path: &Path) -> Denial {
    Denial {
        denied_by: DeniedBy::Host("grammar"),
        code: "exists".to_owned(),
        message: format!("{} already exists, and existing files are not overwritten", path.display()),
        hint: Some("choose another name, or remove it first".to_owned()),
    }
}

fn is_not_found(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use bootc_image_grammar::parse;

    use super::*;

    #[test]
    fn sources_are_resolved_to_canonical_paths() {
        let scratch = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(scratch.path()).unwrap();
        fs::create_dir_all(root.join("context/inner")).unwrap();
        fs::write(root.join("context/Other"), "").unwrap();
        std::os::unix::fs::symlink("context", root.join("link")).unwrap();
        let args: Vec<String> = ["-f", "Other", "link"].map(str::to_owned).to_vec();
        let command = parse("build", &args).unwrap();
        let find = |text| source(&root, &command, text);
        assert_eq!(Path::new(&find("link").unwrap()), root.join("context"));
        assert_eq!(Path::new(&find("Other").unwrap()), root.join("context/Other"));
        assert_eq!(find("-").unwrap(), "-");
        fs::write(root.join("a,b"), "").unwrap();
        assert!(matches!(find("a,b"), Err(Error::Denied(_))));
        // Others can write to the parent of a temporary directory.
        let scope = vec![Capability { name: "podman-writes".to_owned(), scope: root.display().to_string() }];
        let denied =
            |text: &str| match granted_path(&PluginId::unknown(), &root, text, Kind::PathWrite, &scope) {
                Err(Error::Denied(denial)) => denial.code,
                other => format!("{other:?}"),
            };
        assert_eq!(denied("new.tar"), "not-roots-own");
        assert_eq!(denied("/nowhere/x"), "outside-scope");
        assert_eq!(denied("../nowhere/y"), "outside-scope");
        for missing in ["https://quay.io/a.tar", "github.com/a/b", "git@quay.io:a", "nowhere"] {
            assert!(find(missing).is_err(), "{missing}");
        }
    }
}

//! Signatures of images that are copied from one place on this host to another. `policy.json` says what may be fetched from a registry.
//! A copy on this host needs no signatures, unless its name is one for whose registry the file demands them. An image that is fetched
//! gets no name of which the file demands something else. See `docs/adr/0021-signatures-of-copies.md`.

use std::io;
use std::path::PathBuf;

use bootc_image_model::reference::Reference;
use bootc_image_os::error::Error as OsError;
use serde_json::{Value, json};

use crate::error::{Error, NotDemanded};
use crate::signature_policy::{self, Applied, FILES, Fields, Requirement, Scope};
use crate::system::System;

/// How skopeo's error begins if the source does not satisfy the policy.
const REJECTED: &str = "Source image rejected: ";

/// The signatures that a copy needs for its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    name: Reference,
    /// The file that demands them.
    file: PathBuf,
    /// Its scope that includes the name.
    scope: String,
    requirements: Vec<Requirement>,
}

/// The signatures that `policy.json` requires of a copy on this host under this name; `None` if it requires none.
///
/// # Errors
/// [`Error::Unsigned`] if no signature is enough; any I/O error; [`OsError::Corrupt`].
pub fn required(name: &Reference) -> Result<Option<Required>, Error> {
    required_by(&System::running()?, name)
}

fn required_by(system: &System, name: &Reference) -> Result<Option<Required>, Error> {
    let Some((file, policy)) = signature_policy::read(system)? else {
        // skopeo copies nothing without it either.
        return Err(Error::io("read", FILES[0])(io::ErrorKind::NotFound.into()));
    };
    let applied = policy.for_registry(name);
    let scope = match applied.scope {
        Scope::Named { scope, .. } => scope,
        // All registries; `localhost/` is none.
        Scope::Transport(_) if name.clone().in_registry().is_ok() => "",
        Scope::Default | Scope::Transport(_) => return Ok(None),
    };
    if applied.accepts_anything() {
        return Ok(None);
    }
    let requirements = applied.requirements.to_vec();
    let required = Required { name: name.clone(), file, scope: scope.to_owned(), requirements };
    for requirement in applied.requirements {
        match requirement {
            Requirement::Reject => return Err(required.unsigned("this scope rejects every image")),
            Requirement::Other(kind) => {
                return Err(
                    required.unsigned(&format!("bootc-image cannot verify requirements of type {kind}"))
                );
            }
            Requirement::AcceptAnything | Requirement::SignedBy(_) | Requirement::SigstoreSigned(_) => {}
        }
    }
    Ok(Some(required))
}

/// Checks that a copy from the ostree repository, which keeps no signatures, needs none for this name.
///
/// # Errors
/// As [`required`]; [`Error::Unsigned`].
pub fn check_unsigned(name: &Reference) -> Result<(), Error> {
    match required(name)? {
        Some(required) => Err(required.unsigned("the ostree repository keeps no signatures of images")),
        None => Ok(()),
    }
}

/// Checks that an image that is fetched as `fetched`, and then gets this name, satisfies what `policy.json` demands of the name.
///
/// # Errors
/// [`Error::NotDemandedOfFetch`]; any I/O error; [`OsError::Corrupt`].
pub fn check_fetched(name: &Reference, fetched: &Reference) -> Result<(), Error> {
    check_fetched_by(&System::running()?, name, fetched)
}

fn check_fetched_by(system: &System, name: &Reference, fetched: &Reference) -> Result<(), Error> {
    // Without the file, podman and skopeo fetch nothing.
    let Some((file, policy)) = signature_policy::read(system)? else { return Ok(()) };
    match policy.unmet(name, fetched) {
        Some(unmet) => Err(not_demanded(name, fetched, file, &unmet)),
        None => Ok(()),
    }
}

/// The error of [`check_fetched`].
pub fn not_demanded(name: &Reference, fetched: &Reference, file: PathBuf, unmet: &Applied<'_>) -> Error {
    let requirements: Vec<&str> = unmet.requirements.iter().map(Requirement::kind).collect();
    Error::NotDemandedOfFetch(Box::new(NotDemanded {
        name: name.to_string(),
        file,
        scope: unmet.scope.to_string(),
        requirements: requirements.join(", "),
        by_digest: fetched.digest().is_some(),
        repository: format!("{}/{}", name.registry(), name.repository()),
    }))
}

impl Required {
    /// The name for which signatures are required.
    pub fn name(&self) -> &Reference {
        &self.name
    }

    /// Checks that an image with these names has this one as well: its signatures were kept for a name.
    ///
    /// # Errors
    /// [`Error::Unsigned`].
    pub fn check_name(&self, names: &[String]) -> Result<(), Error> {
        if names.contains(&self.name.to_string()) {
            return Ok(());
        }
        Err(self.unsigned("the image does not have this name where it is copied from"))
    }

    /// The error of skopeo, or [`Error::Unsigned`] if skopeo found no valid signature.
    pub fn rejected(&self, error: Error) -> Error {
        let Error::Os(OsError::Process { stderr, .. }) = &error else { return error };
        match stderr.split_once(REJECTED) {
            Some((_, why)) => {
                let line = why.lines().next().unwrap_or_default();
                // What follows is gpgme's own structure, with escaped quotation marks.
                let why = line.split(": gpgme.").next().unwrap_or_default();
                self.unsigned(why.trim_end_matches(['"', ' ']))
            }
            None => error,
        }
    }

    fn unsigned(&self, why: &str) -> Error {
        Error::Unsigned {
            name: self.name.to_string(),
            file: self.file.clone(),
            scope: self.scope.clone(),
            why: why.to_owned(),
            is_fetched: !self.requirements.contains(&Requirement::Reject),
        }
    }
}

/// The policy for skopeo for a source on this host: it accepts nothing else, and only with the signatures, if they are required.
pub fn policy(transport: &str, required: Option<&Required>) -> String {
    let requirements = match required {
        Some(required) => required.requirements.iter().map(as_in_file).collect(),
        None => vec![json!({ "type": "insecureAcceptAnything" })],
    };
    json!({ "default": [{ "type": "reject" }], "transports": { transport: { "": requirements } } })
        .to_string()
}

fn as_in_file(requirement: &Requirement) -> Value {
    let none = Fields::new();
    let fields = match requirement {
        Requirement::SignedBy(fields) | Requirement::SigstoreSigned(fields) => fields,
        Requirement::AcceptAnything | Requirement::Reject | Requirement::Other(_) => &none,
    };
    let kind = [("type".to_owned(), Value::from(requirement.kind()))];
    Value::Object(fields.clone().into_iter().chain(kind).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ANYTHING: &str = r#"[{"type":"insecureAcceptAnything"}]"#;
    const REJECT: &str = r#"[{"type":"reject"}]"#;
    const SIGNED: &str = r#"[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}]"#;

    /// A system whose file rejects by default and has these scopes of registries.
    fn system(docker: &str) -> (tempfile::TempDir, System) {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("etc/containers")).unwrap();
        let text = format!(r#"{{"default":{REJECT},"transports":{{"docker":{{{docker}}}}}}}"#);
        fs::write(scratch.path().join("etc/containers/policy.json"), text).unwrap();
        let system = System::in_directory(scratch.path()).unwrap();
        (scratch, system)
    }

    fn demands(docker: &str, name: &str) -> Result<Option<Required>, String> {
        let (_scratch, system) = system(docker);
        required_by(&system, &Reference::parse_local(name).unwrap()).map_err(|error| match error {
            Error::Unsigned { scope, why, .. } => format!("{scope}: {why}"),
            other => other.to_string(),
        })
    }

    #[test]
    fn only_a_scope_of_registries_requires_signatures_of_a_copy() {
        for (docker, name) in [
            (String::new(), "quay.io/a:1"),
            (format!(r#""quay.io/b":{SIGNED}"#), "quay.io/a:1"),
            (format!(r#""quay.io":{ANYTHING},"":{SIGNED}"#), "quay.io/a:1"),
            (format!(r#""":{REJECT}"#), "localhost/a:1"),
        ] {
            assert_eq!(demands(&docker, name), Ok(None), "{docker}");
        }
        let required = demands(&format!(r#""quay.io":{SIGNED}"#), "quay.io/a:1").unwrap().unwrap();
        let text = policy("containers-storage", Some(&required));
        let expected =
            format!(r#"{{"default":{REJECT},"transports":{{"containers-storage":{{"":{SIGNED}}}}}}}"#);
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(parsed(&text), parsed(&expected));
        assert_eq!(parsed(&policy("oci", None))["transports"]["oci"][""], parsed(ANYTHING));
        assert!(demands(&format!(r#""":{SIGNED}"#), "quay.io/a:1").unwrap().is_some());
    }

    #[test]
    fn what_no_signature_satisfies_is_refused() {
        for (docker, why) in [
            (format!(r#""quay.io/a":{REJECT}"#), "quay.io/a: this scope rejects every image"),
            (format!(r#""":{REJECT}"#), ": this scope rejects every image"),
            (
                r#""quay.io":[{"type":"later","x":1}]"#.to_owned(),
                "quay.io: bootc-image cannot verify requirements of type later",
            ),
        ] {
            assert_eq!(demands(&docker, "quay.io/a:1"), Err(why.to_owned()));
        }
    }

    #[test]
    fn what_is_demanded_of_a_name_is_demanded_before_it_is_fetched() {
        let name = Reference::parse("quay.io/os/base:prod").unwrap();
        let fetched = Reference::parse(&format!("quay.io/os/base@sha256:{}", "a".repeat(64))).unwrap();
        let (_scratch, with_tag) = system(&format!(r#""quay.io/os":{ANYTHING},"{name}":{SIGNED}"#));
        let refused = check_fetched_by(&with_tag, &name, &fetched).unwrap_err().to_string();
        let expected = format!(
            "demands signedBy of {name} (scope docker {name}), but the image is fetched by its digest, to which this scope does not apply"
        );
        assert!(refused.ends_with(&expected), "{refused}");
        check_fetched_by(&with_tag, &fetched, &fetched).unwrap();
        let (_scratch, of_repository) = system(&format!(r#""quay.io/os/base":{SIGNED}"#));
        check_fetched_by(&of_repository, &name, &fetched).unwrap();
    }
}

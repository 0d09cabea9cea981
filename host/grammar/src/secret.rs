//! The value of an option that passes a secret to a build. Only a file may be named: the value of a variable, or a secret itself, would
//! be readable by others on the command line or come from the caller's environment.

use std::fmt;

/// A file with a secret, and the id under which a Containerfile mounts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretFile<'a> {
    id: &'a str,
    /// The file.
    pub path: &'a str,
}

impl<'a> SecretFile<'a> {
    /// Parses `id=ID,src=FILE`, possibly with `type=file`. Every other form is refused: podman takes a secret without a type from a
    /// variable of its environment if there is one with that name.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        const FORM: &str =
            "write it as id=NAME,src=FILE: only a file can be passed, not a variable or a value";
        let (mut id, mut path) = (None, None);
        for part in text.split(',') {
            let (key, value) = part.split_once('=').filter(|(_, value)| !value.is_empty()).ok_or(FORM)?;
            let place = match key {
                "id" => &mut id,
                "src" | "source" => &mut path,
                "type" if value == "file" => continue,
                _ => return Err(FORM),
            };
            if place.replace(value).is_some() {
                return Err(FORM);
            }
        }
        let is_plain = |id: &&str| id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let id = id.filter(is_plain).ok_or(FORM)?;
        Ok(Self { id, path: path.ok_or(FORM)? })
    }

    /// The same secret in another file.
    #[must_use]
    pub fn with_path(self, path: &'a str) -> Self {
        Self { path, ..self }
    }
}

impl fmt::Display for SecretFile<'_> {
    /// As podman gets it. The type is always given, so that podman looks for no variable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id={},type=file,src={}", self.id, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_is_a_secret() {
        for text in ["id=a,src=/x", "src=/x,id=a", "id=a,type=file,source=/x", "type=file,id=a,src=/x"] {
            assert_eq!(
                SecretFile::parse(text).map(|secret| secret.to_string()).as_deref(),
                Ok("id=a,type=file,src=/x")
            );
        }
        for text in [
            "",
            "id=a",
            "src=/x",
            "id=,src=/x",
            "id=a,src=",
            "id=a,env=HOME",
            "id=a,type=env,src=HOME",
            "id=a,src=/x,type=env",
            "id=a,src=/x,env=HOME",
            "id=a,src=/x,src=/y",
            "id=a,id=b,src=/x",
            "id=a b,src=/x",
            "id=a,src=/x,mode=0777",
            "id=a,src=/x,",
            "ID=a,src=/x",
            "/x",
        ] {
            assert!(SecretFile::parse(text).is_err(), "{text}");
        }
    }
}

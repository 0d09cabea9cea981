//! Mirrors of registries in podman's configuration that serve only tags (`pull-from-mirror = "tag-only"`). podman does not ask them for a
//! digest, so an image whose tag was resolved there has to be fetched by the tag as well.

use bootc_image_model::reference::Reference;
use serde::Deserialize;

use crate::aliases::{DIRECTORIES, FILES, HINT};
use crate::error::Error;
use crate::podman::files::read_all;
use crate::system::System;

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    registry: Vec<Registry>,
}

#[derive(Deserialize)]
struct Registry {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    mirror: Vec<Mirror>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mirror {
    pull_from_mirror: Option<String>,
}

/// Whether an image of this name may come from a mirror that serves only tags.
///
/// # Errors
/// Any I/O error; [`OsError::Corrupt`](bootc_image_os::error::Error::Corrupt) if a file cannot be parsed.
pub fn serve_only_tags(name: &Reference) -> Result<bool, Error> {
    of_system(&System::running()?, name)
}

fn of_system(system: &System, name: &Reference) -> Result<bool, Error> {
    let all: Vec<Configuration> = read_all(system, &FILES, &DIRECTORIES, HINT)?;
    let name = name.to_string();
    let includes = |registry: &Registry| {
        let prefix =
            registry.prefix.as_ref().or(registry.location.as_ref()).filter(|prefix| !prefix.is_empty());
        prefix.is_some_and(|prefix| is_below(&name, prefix))
    };
    let is_of_tags = |mirror: &Mirror| mirror.pull_from_mirror.as_deref() == Some("tag-only");
    let mut registries = all.iter().flat_map(|configuration| &configuration.registry);
    Ok(registries.any(|registry| includes(registry) && registry.mirror.iter().any(is_of_tags)))
}

/// Whether a prefix includes a name, as in containers-registries.conf(5).
fn is_below(name: &str, prefix: &str) -> bool {
    if let Some(domain) = prefix.strip_prefix("*.") {
        let host = name.split(['/', ':']).next().unwrap_or_default();
        return host.strip_suffix(domain).is_some_and(|host| host.ends_with('.'));
    }
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '@']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_of_tags_is_found_by_its_prefix() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(scratch.path().join("etc/containers/registries.conf.d")).unwrap();
        let write = |text: &str| {
            std::fs::write(scratch.path().join("etc/containers/registries.conf.d/1.conf"), text).unwrap();
        };
        let system = System::in_directory(scratch.path()).unwrap();
        let serve = |name: &str| of_system(&system, &Reference::parse(name).unwrap()).unwrap();
        let mirror = "[[registry.mirror]]\nlocation = \"m.example.com\"\n";
        write(&format!(
            "[[registry]]\nprefix = \"quay.io/a\"\nlocation = \"other.io\"\n{mirror}pull-from-mirror = \"tag-only\"\n\
             [[registry]]\nlocation = \"docker.io\"\n{mirror}\
             [[registry]]\nprefix = \"*.example.org\"\n{mirror}pull-from-mirror = \"tag-only\"\n"
        ));
        for (name, expected) in [
            ("quay.io/a/b:1", true),
            ("quay.io/a:1", true),
            ("quay.io/ab:1", false),
            ("other.io/a:1", false),
            ("docker.io/library/a:1", false),
            ("x.y.example.org/a:1", true),
            ("example.org/a:1", false),
        ] {
            assert_eq!(serve(name), expected, "{name}");
        }
        write("");
        assert!(!serve("quay.io/a/b:1"));
    }
}

//! The policy input: the types of `bootc-image-plugin-model` with the host's stricter types. Keys are static strings, roles are those
//! of this version, and a [`Name`] was parsed by the host.

use std::ops::Deref;

pub use bootc_image_plugin_model::ImageRole as Role;
use bootc_image_plugin_model::Reference as Parts;
use serde::Serialize;

use crate::reference::{CONTAINERS_STORAGE, DOCKER, Reference};

/// The policy input of an operation.
///
/// `kind` is the kind of the operation, with podman's subcommand after a space for `cmd`; `digest` is the operation digest.
pub type PolicyInput = bootc_image_plugin_model::Operation<&'static str, Role, Name>;

/// An image of an operation. `digest` is `None` for targets, and before names are resolved.
pub type Image = bootc_image_plugin_model::Image<&'static str, Role, Name>;

/// A parsed name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Name(Parts);

impl Deref for Name {
    type Target = Parts;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Name {
    /// From a reference and a transport with its separator, such as `docker://`.
    pub fn new(transport: &str, reference: &Reference) -> Self {
        Self(Parts {
            canonical: format!("{transport}{reference}"),
            transport: transport.trim_end_matches("//").trim_end_matches(':').to_owned(),
            registry: reference.registry().to_owned(),
            repository: reference.repository().to_owned(),
            tag: reference.tag().map(str::to_owned),
            digest: reference.digest().map(ToString::to_string),
        })
    }

    /// From a name in a containers-storage.
    pub fn in_storage(text: &str) -> Self {
        let known = Reference::parse_local(text).map(|name| Self::new(CONTAINERS_STORAGE, &name));
        known.unwrap_or_else(|_| Self::unusual(text))
    }

    /// From a name in a containers-storage that cannot be parsed.
    pub fn unusual(text: &str) -> Self {
        Self(Parts {
            canonical: format!("{CONTAINERS_STORAGE}{text}"),
            transport: CONTAINERS_STORAGE.trim_end_matches(':').to_owned(),
            registry: String::new(),
            repository: text.to_owned(),
            tag: None,
            digest: None,
        })
    }

    /// From the name of an image in the ostree repository, with any transport. `None` if it cannot be parsed.
    pub fn of_host(name: &str) -> Option<Self> {
        if let Some(rest) = name.strip_prefix(DOCKER) {
            return Reference::of_docker(rest).ok().map(|reference| Self::new(DOCKER, &reference));
        }
        if let Some(rest) = name.strip_prefix(CONTAINERS_STORAGE) {
            return Reference::parse_local(rest)
                .ok()
                .map(|reference| Self::new(CONTAINERS_STORAGE, &reference));
        }
        let (transport, rest) = name.split_once(':')?;
        Some(Self(Parts {
            canonical: name.to_owned(),
            transport: transport.to_owned(),
            registry: String::new(),
            repository: rest.to_owned(),
            tag: None,
            digest: None,
        }))
    }

    /// The name without transport, tag and digest, which the manifest's `when` matches.
    pub fn path(&self) -> String {
        if self.registry.is_empty() {
            self.repository.clone()
        } else {
            format!("{}/{}", self.registry, self.repository)
        }
    }
}

#[cfg(test)]
mod tests {
    use bootc_image_plugin_model::Operation;

    use super::*;

    #[test]
    fn as_json_it_is_what_plugins_get() {
        let text = str::to_owned;
        let name = Name::of_host("docker://quay.io/example/os:1").unwrap();
        let named =
            Image { role: Role::Source, name: Some(name), digest: None, attrs: vec![("id", text("a"))] };
        let unnamed = Image { role: Role::Target, name: None, digest: Some(text("sha256:b")), attrs: vec![] };
        let last = Image { role: Role::Image, name: None, digest: None, attrs: vec![] };
        let images = vec![named, unnamed, last];
        let attrs = vec![("pinned", text("true"))];
        let policy_input =
            PolicyInput { kind: text("cmd pull"), digest: text("sha256:a"), argv: vec![], images, attrs };
        let json = serde_json::to_string(&policy_input).unwrap();
        assert!(json.starts_with(
            r#"{"kind":"cmd pull","digest":"sha256:a","argv":[],"images":[{"role":"source","name":{"canonical":"#
        ));
        let got: Operation = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&got).unwrap(), json);
        let name = got.images[0].name.as_ref().unwrap();
        assert_eq!(
            (&*name.registry, &*name.repository, name.tag.as_deref()),
            ("quay.io", "example/os", Some("1"))
        );
        for (image, role) in got.images.iter().zip([Role::Source, Role::Target, Role::Image]) {
            assert_eq!(image.role, role.as_str());
        }
        assert_eq!((got.attr("pinned"), policy_input.attr("pinned")), (Some("true"), Some("true")));
    }
}

//! References of images: `REGISTRY/REPOSITORY[:TAG][@DIGEST]`. Only the host parses and normalises them, so that plugins need not.
//!
//! Every name that podman stores is valid here. podman treats two spellings of one registry (with and without port 443, or an IPv6
//! address with and without zeros) as different names, so each is kept as it is written. [`Reference::registry`] and
//! [`Reference::is_equivalent`] treat them as equal.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::digest::Digest;

/// The transport of images in registries.
pub const DOCKER: &str = "docker://";
/// The transport of images in a containers-storage.
pub const CONTAINERS_STORAGE: &str = "containers-storage:";

/// A full image reference. Short names are not accepted: `fedora` has no registry, so it is ambiguous.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The normalised registry, see [`Reference::registry`].
    registry: String,
    /// The registry as it was written, if podman would keep that spelling of its port or address.
    written: Option<String>,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// An invalid [`Reference`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// It does not begin with a registry.
    #[error("{0:?} is a short name: write it with its registry, for example quay.io/{0}")]
    ShortName(String),
    /// It begins with a transport.
    #[error("{0:?} begins with a transport, which is not accepted here")]
    Transport(String),
    /// It has a digest where a tag is needed.
    #[error("{0:?} has a digest, but a tag is expected here: a copy gets its own digest")]
    Digest(String),
    /// A part has invalid characters, or is missing or too long.
    #[error("{text:?} is not an image reference: {why}")]
    Malformed {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// The transports of podman and skopeo; a reference that begins with one does not name an image in a registry.
const TRANSPORTS: &[&str] = &[
    "atomic",
    "containers-storage",
    "dir",
    "docker",
    "docker-archive",
    "docker-daemon",
    "oci",
    "oci-archive",
    "ostree",
    "registry",
    "sif",
    "tarball",
];

/// The one registry that has more than one name.
const DOCKER_HUB: &str = "docker.io";
/// Its other names.
const OTHER_NAMES_OF_DOCKER_HUB: [&str; 3] =
    ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

impl Reference {
    /// Parses a full reference.
    ///
    /// # Errors
    /// [`InvalidReference`] if it is a short name, begins with a transport, or is malformed.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let malformed = |why| InvalidReference::Malformed { text: text.to_owned(), why };
        if names_transport(text) {
            return Err(InvalidReference::Transport(text.to_owned()));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = Digest::new(digest)
                    .map_err(|_| malformed("the digest is not sha256:<64 digits> or sha512:<128 digits>"))?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        let Some((registry, path)) = name.split_once('/').filter(|(host, _)| names_registry(host)) else {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._:-".contains(&b));
            let short = plain && !name.is_empty() && !name.starts_with(['/', '.', '-', ':']);
            return Err(if short {
                InvalidReference::ShortName(text.to_owned())
            } else {
                malformed("it has no registry")
            });
        };
        if !is_registry(registry) {
            return Err(malformed("the registry is not a host name with an optional port"));
        }
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(malformed(
                "a tag consists of letters, digits, '.', '_' and '-' (at most 128 characters)",
            ));
        }
        // podman normalises one other name of Docker Hub, and adds a namespace to its images without one.
        let written = registry.to_ascii_lowercase();
        let written = if written == "index.docker.io" { DOCKER_HUB.to_owned() } else { written };
        let registry = as_compared(&written);
        let is_hub = OTHER_NAMES_OF_DOCKER_HUB.contains(&registry.as_str());
        let registry = if is_hub { DOCKER_HUB.to_owned() } else { registry };
        // podman does not do so for the other names, so the normalised form would be a different name to it.
        let repository = match (as_compared(&written).as_str(), repository.contains('/')) {
            ("docker.io", false) => format!("library/{repository}"),
            _ => repository.to_owned(),
        };
        if !is_repository(&repository) {
            return Err(malformed(
                "a repository consists of lower-case letters, digits, '.', '_', '-' and '/' (at most 255 characters)",
            ));
        }
        let written = Some(written).filter(|written| *written != registry);
        Ok(Self { registry, written, repository, tag: tag.map(str::to_owned), digest })
    }

    /// Parses the name of an image in containers-storage: a short name means `localhost/NAME`, and without tag and digest
    /// the tag is `latest`.
    ///
    /// # Errors
    /// [`InvalidReference`] as [`Reference::parse`], but never `ShortName`.
    pub fn parse_local(text: &str) -> Result<Self, InvalidReference> {
        let reference = match Self::parse(text) {
            Err(InvalidReference::ShortName(_)) => Self::parse(&format!("localhost/{text}"))?,
            other => other?,
        };
        Ok(reference.with_default_tag())
    }

    /// Parses what follows `docker://` in a name from ostree or bootc: there, as in skopeo, a short name means Docker Hub.
    ///
    /// # Errors
    /// [`InvalidReference`] as [`Reference::parse`], but never `ShortName`.
    pub fn of_docker(text: &str) -> Result<Self, InvalidReference> {
        match Self::parse(text) {
            Err(InvalidReference::ShortName(_)) => Self::parse(&format!("docker.io/{text}")),
            other => other,
        }
    }

    /// The reference, if it can be pulled from or pushed to a registry. `localhost` without a port cannot, because podman uses it for
    /// local names.
    ///
    /// # Errors
    /// [`InvalidReference`] if it cannot, or if its port or address is written in an unusual way.
    pub fn in_registry(self) -> Result<Self, InvalidReference> {
        if self.registry == "localhost" {
            let why =
                "localhost/ names images in this host's storages: for a registry on this host, add its port";
            return Err(InvalidReference::Malformed { text: self.to_string(), why });
        }
        let written = self.written.as_ref().unwrap_or(&self.registry);
        let is_port = |port: &str| !port.starts_with('0') && port.parse::<u16>().is_ok();
        if !host_and_port(written).1.is_none_or(is_port) {
            let why = "the port of a registry is a number from 1 to 65535 without leading zeros";
            return Err(InvalidReference::Malformed { text: self.to_string(), why });
        }
        if is_unusual_address(host_and_port(written).0) {
            let why = "some programs read this registry as an IP address: write it as four decimal numbers with dots";
            return Err(InvalidReference::Malformed { text: self.to_string(), why });
        }
        Ok(self)
    }

    /// The reference with the tag `latest`, if it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The reference as podman fetches it: without the tag if it has a digest, because podman ignores the tag then, and nothing has
    /// checked that it resolves to this digest.
    #[must_use]
    pub fn as_fetched(self) -> Self {
        Self { tag: self.tag.filter(|_| self.digest.is_none()), ..self }
    }

    /// Whether both references name the same image: different spellings of a registry's port or address are equal.
    pub fn is_equivalent(&self, other: &Self) -> bool {
        (&self.registry, &self.repository, &self.tag, &self.digest)
            == (&other.registry, &other.repository, &other.tag, &other.digest)
    }

    /// The host name of the registry in lower case, or its address in the shortest form, with its port unless that is 443.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path within the registry, without tag and digest.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The manifest's digest, if there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.written.as_ref().unwrap_or(&self.registry), self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Some tools take a registry that has the name of a transport for that transport: `oci:5000/x` would be a directory.
fn names_transport(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(head, _)| TRANSPORTS.iter().any(|name| head.eq_ignore_ascii_case(name)))
}

/// Normalises a registry: removes port 443 and leading zeros of a port, and shortens an IPv6 address.
fn as_compared(registry: &str) -> String {
    let (host, port) = host_and_port(registry);
    let host = ipv6(host).map_or_else(|| host.to_owned(), |address| format!("[{address}]"));
    match port.map(|port| port.trim_start_matches('0')) {
        None | Some("443") => host,
        Some("") => format!("{host}:0"),
        Some(port) => format!("{host}:{port}"),
    }
}

/// The IPv6 address in brackets, if the host is one.
fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Splits off a registry's port. An IPv6 address, which contains colons, is in brackets.
fn host_and_port(registry: &str) -> (&str, Option<&str>) {
    let end = registry.rfind(']').unwrap_or(0);
    match registry.get(end..).and_then(|rest| rest.find(':')) {
        Some(colon) => (&registry[..end + colon], Some(&registry[end + colon + 1..])),
        None => (registry, None),
    }
}

/// Whether some programs read a host as an IPv4 address although it is not in the usual form: `2130706433`, `0x7f.1`, `127.1` and
/// `[::ffff:7f00:1]` all mean `127.0.0.1`, and would evade a policy that names that address. No top-level domain is a number.
fn is_unusual_address(host: &str) -> bool {
    if let Some(address) = ipv6(host) {
        return address.to_ipv4_mapped().is_some();
    }
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_number = |part: &str| match part.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
    };
    is_number(last) && host.parse::<Ipv4Addr>().is_err()
}

/// podman and skopeo take the first part for a registry if it has a dot or a port or is `localhost`.
fn names_registry(host: &str) -> bool {
    host == "localhost" || host.contains(['.', ':'])
}

fn is_registry(text: &str) -> bool {
    let (host, port) = host_and_port(text);
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 255 && (host.split('.').all(label) || ipv6(host).is_some()) && port.is_none_or(is_port)
}

pub fn is_repository(text: &str) -> bool {
    let component = |part: &str| {
        let inner = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        inner && !part.is_empty() && !part.starts_with(['.', '_', '-']) && !part.ends_with(['.', '_', '-'])
    };
    text.len() <= 255 && text.split('/').all(component)
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn docker_hub_has_several_names_and_an_address_one_form() {
        let parsed = |text: &str| Reference::parse(text).unwrap();
        for registry in
            ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com:443"]
        {
            let reference = parsed(&format!("{registry}/example/a:1"));
            assert_eq!(reference.registry(), "docker.io", "{registry}");
            assert!(reference.is_equivalent(&parsed("docker.io/example/a:1")), "{registry}");
        }
        // A name is kept as it is written.
        for kept in ["registry-1.docker.io/a:1", "registry.hub.docker.com/example/a"] {
            assert_eq!(parsed(kept).to_string(), kept);
        }
        for address in [
            "2130706433:5000",
            "0x7f000001:1",
            "0177.0.0.1",
            "127.1",
            "127.0.0.1.0x1",
            "0x7f.1:5000",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:FFFF:127.0.0.1]:5000",
        ] {
            let reference = parsed(&format!("{address}/a"));
            assert!(reference.in_registry().is_err(), "{address}");
        }
        for address in ["127.0.0.1", "127.0.0.1:5000", "[::1]:5000", "a1.b2", "0x7f.example.com", "5.example"]
        {
            assert!(parsed(&format!("{address}/a")).in_registry().is_ok(), "{address}");
        }
    }

    #[test]
    fn full_names_come_back_as_they_were() {
        for name in [
            "quay.io/fedora/fedora-bootc:42".to_owned(),
            "localhost/a".to_owned(),
            "localhost:5000/a/b_c:T.1".to_owned(),
            format!("127.0.0.1:5000/lab/os@sha256:{HEX}"),
            format!("quay.io/a:1@sha256:{HEX}"),
            format!("quay.io/a@sha512:{HEX}{HEX}"),
            "registry.example.com:443/app:1".to_owned(),
            "127.0.0.1:05000/a".to_owned(),
            "[::1]:5000/a:1".to_owned(),
            "[0:0::1]:5000/a:1".to_owned(),
        ] {
            assert_eq!(Reference::parse(&name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn short_names_are_refused_or_local() {
        for name in ["fedora", "fedora:42", "library/fedora"] {
            assert!(matches!(Reference::parse(name), Err(InvalidReference::ShortName(_))), "{name}");
        }
        assert_eq!(Reference::parse_local("a").unwrap().to_string(), "localhost/a:latest");
        assert_eq!(Reference::parse_local("a/b:1").unwrap().to_string(), "localhost/a/b:1");
        assert_eq!(Reference::parse_local("quay.io/a").unwrap().to_string(), "quay.io/a:latest");
    }

    #[test]
    fn names_at_docker_hub_are_what_the_tools_make_of_them() {
        for (name, expected) in [
            ("docker.io/a:1", "docker.io/library/a:1"),
            ("index.docker.io/a/b", "docker.io/a/b"),
            ("docker.io/library/a", "docker.io/library/a"),
            ("quay.io/a", "quay.io/a"),
            ("QUAY.io/a", "quay.io/a"),
            ("Index.Docker.IO/a/b", "docker.io/a/b"),
        ] {
            assert_eq!(Reference::parse(name).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn transports_are_refused() {
        for name in [
            "dir:/etc",
            "docker://quay.io/a",
            "oci:/x:y",
            "containers-storage:[overlay@/x+/y]z",
            "docker-archive:/x",
            "registry:quay.io/a",
            "oci-archive:x/y.z",
        ] {
            assert!(matches!(Reference::parse(name), Err(InvalidReference::Transport(_))), "{name}");
            assert!(Reference::parse_local(name).is_err(), "{name}");
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        for name in [
            "",
            "/",
            ":",
            "@",
            "quay.io/",
            "quay.io/A",
            "quay.io/a:",
            "quay.io/a:b:c",
            "quay.io/a@sha256:12",
            "-a.b/c",
            "quay.io/a/../b",
            "quay.io//a",
            "quay.io/a@b@c",
            "quay.io:x/a",
            "quay..io/a",
            "/etc/passwd",
            "./a",
            "a b",
            "quay.io/a\u{202e}b",
            "[overlay@/x]y",
            "a.b:1:2/c",
            "quay.io:/a",
            "[::1/a",
            "[quay.io]/a",
            "quay.io/a@sha512:12",
        ] {
            assert!(Reference::parse(name).is_err(), "{name}");
            assert!(Reference::parse_local(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_tag_beside_a_digest_is_dropped() {
        let name = Reference::parse(&format!("quay.io/a:9.4@sha256:{HEX}")).unwrap().as_fetched();
        assert_eq!(name.to_string(), format!("quay.io/a@sha256:{HEX}"));
        let name = Reference::parse("quay.io/a:9.4").unwrap().as_fetched();
        assert_eq!(name.tag(), Some("9.4"));
    }

    #[test]
    fn a_name_is_kept_as_it_is_written_and_compared_as_it_is_meant() {
        for (one, other) in [
            ("quay.io:443/a:1", "quay.io/a:1"),
            ("QUAY.io:0443/a:1", "quay.io/a:1"),
            ("127.0.0.1:05000/a:1", "127.0.0.1:5000/a:1"),
            ("[::1]:443/a", "[::1]/a"),
            ("[0:0:0:0:0:0:0:1]:05000/a", "[::1]:5000/a"),
            ("[2001:DB8::0:1]/a", "[2001:db8:0:0::1]/a"),
        ] {
            let [one, other] = [one, other].map(|name| Reference::parse(name).unwrap());
            assert!(one.is_equivalent(&other) && one != other, "{one} {other}");
            assert_eq!(one.registry(), other.registry());
        }
        assert_eq!(Reference::parse("[2001:DB8:0::1]:0443/a").unwrap().registry(), "[2001:db8::1]");
        let [one, other] = ["quay.io:5000/a", "quay.io/a"].map(|name| Reference::parse(name).unwrap());
        assert!(!one.is_equivalent(&other));
    }

    #[test]
    fn a_name_without_a_registry_and_one_of_this_host_are_refused_with_advice() {
        assert_eq!(
            Reference::parse("fedora:42").unwrap_err().to_string(),
            "\"fedora:42\" is a short name: write it with its registry, for example quay.io/fedora:42"
        );
        assert_eq!(
            Reference::parse("localhost/a:1").and_then(Reference::in_registry).unwrap_err().to_string(),
            "\"localhost/a:1\" is not an image reference: localhost/ names images in this host's storages: \
             for a registry on this host, add its port"
        );
    }
}

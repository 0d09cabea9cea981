//! podman's and skopeo's signature policy, `policy.json`: which requirement applies to an image that is fetched. It is read to explain
//! what will happen, and to refuse early; podman and skopeo apply it themselves. See: man containers-policy.json.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;

use bootc_image_model::reference::Reference;
use bootc_image_os::error::Error as OsError;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::Error;
use crate::system::System;

/// The files, the first that exists. Root's own file is missing here because podman and skopeo are started with an empty `HOME`. podman
/// reads the second one since version 6; older versions refuse to fetch anything without the first.
pub const FILES: [&str; 2] = ["/etc/containers/policy.json", "/usr/share/containers/policy.json"];

const MAX_POLICY: u64 = 4 << 20;

const HINT: &str =
    "fix the file, without which podman and skopeo fetch nothing; see: man containers-policy.json";

/// The requirements of each scope of a transport.
pub type Scopes = BTreeMap<String, Vec<Requirement>>;

/// The contents of `policy.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignaturePolicy {
    /// The requirements for images to which nothing in `transports` applies.
    #[serde(deserialize_with = "requirements")]
    pub default: Vec<Requirement>,
    /// Requirements by transport, and then by scope. The scope `""` is the default of its transport.
    #[serde(default, deserialize_with = "transports")]
    pub transports: BTreeMap<String, Scopes>,
}

/// One requirement. An image must satisfy all requirements that apply to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// `insecureAcceptAnything`: every image satisfies it.
    AcceptAnything,
    /// `reject`: no image satisfies it.
    Reject,
    /// `signedBy`: a GPG signature.
    SignedBy(Fields),
    /// `sigstoreSigned`: a sigstore signature.
    SigstoreSigned(Fields),
    /// A type that is not known here. podman and skopeo decide.
    Other(String),
}

/// The fields of a requirement other than its type, as in the file.
pub type Fields = BTreeMap<String, Value>;

/// Where the requirements for an image are in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'p> {
    /// `default`.
    Default,
    /// The scope `""` of a transport.
    Transport(&'p str),
    /// A scope of a transport.
    Named {
        /// The transport.
        transport: &'p str,
        /// The scope.
        scope: &'p str,
    },
}

/// The requirements that apply to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied<'p> {
    /// Where they are in the file.
    pub scope: Scope<'p>,
    /// The requirements, at least one.
    pub requirements: &'p [Requirement],
}

/// The signature policy of an operating system and the file in which it is; `None` if there is no file, and then podman and skopeo
/// fetch nothing.
///
/// # Errors
/// Any I/O error; [`OsError::Corrupt`] if podman and skopeo would not accept the file.
pub fn read(system: &System) -> Result<Option<(PathBuf, SignaturePolicy)>, Error> {
    for file in FILES {
        let path = system.path(file);
        let text = match system.read(file, MAX_POLICY) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(system.error("read", file)(error)),
        };
        return match serde_json::from_slice(&text) {
            Ok(policy) => Ok(Some((path, policy))),
            Err(error) => Err(OsError::Corrupt { path, why: error.to_string(), hint: HINT }.into()),
        };
    }
    Ok(None)
}

impl SignaturePolicy {
    /// The requirements for an image of a registry. They are looked up by the reference with which it is fetched: once a tag is
    /// resolved to a digest, a scope with the tag does not apply.
    pub fn for_registry(&self, image: &Reference) -> Applied<'_> {
        if let Some((transport, listed)) = self.transports.get_key_value("docker") {
            // The most specific one first; only the first that is in the file counts.
            for scope in registry_scopes(image) {
                if let Some((scope, requirements)) = listed.get_key_value(&scope) {
                    return Applied { scope: Scope::Named { transport, scope }, requirements };
                }
            }
            if let Some(requirements) = listed.get("") {
                return Applied { scope: Scope::Transport(transport), requirements };
            }
        }
        Applied { scope: Scope::Default, requirements: &self.default }
    }

    /// The requirements for a name if an image that is fetched as `fetched` need not satisfy them, although it gets this name. A scope
    /// with a tag does not apply to a digest, nor one with a digest to a tag.
    pub fn unmet(&self, name: &Reference, fetched: &Reference) -> Option<Applied<'_>> {
        let of_name = self.for_registry(&name.clone().with_default_tag());
        let is_met = of_name.accepts_anything() || of_name.scope == self.for_registry(fetched).scope;
        (!is_met).then_some(of_name)
    }

    /// A type of requirement in the file that is not known here. podman and skopeo refuse the whole file if they do not know it either.
    pub fn unknown_type(&self) -> Option<&str> {
        let in_scopes = self.transports.values().flat_map(BTreeMap::values);
        let mut all = std::iter::once(&self.default).chain(in_scopes).flatten();
        all.find_map(|requirement| match requirement {
            Requirement::Other(kind) => Some(kind.as_str()),
            _ => None,
        })
    }
}

impl Applied<'_> {
    /// Whether no image satisfies them.
    pub fn is_rejected(&self) -> bool {
        self.requirements.contains(&Requirement::Reject)
    }

    /// Whether every image satisfies them, without a signature.
    pub fn accepts_anything(&self) -> bool {
        self.requirements.iter().all(|requirement| *requirement == Requirement::AcceptAnything)
    }
}

impl Requirement {
    /// The type, as in the file.
    pub fn kind(&self) -> &str {
        match self {
            Self::AcceptAnything => "insecureAcceptAnything",
            Self::Reject => "reject",
            Self::SignedBy(_) => "signedBy",
            Self::SigstoreSigned(_) => "sigstoreSigned",
            Self::Other(kind) => kind,
        }
    }

    /// The files of the keys of which one must have signed the image. A key can also be in `policy.json` itself.
    pub fn key_files(&self) -> Vec<&str> {
        let (Self::SignedBy(fields) | Self::SigstoreSigned(fields)) = self else { return Vec::new() };
        let several = fields.get("keyPaths").and_then(Value::as_array).into_iter().flatten();
        fields.get("keyPath").into_iter().chain(several).filter_map(Value::as_str).collect()
    }
}

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Transport(transport) => f.write_str(transport),
            Self::Named { transport, scope } => write!(f, "{transport} {scope}"),
        }
    }
}

/// The reference, its repository, the parents of that up to the registry, and `*.` with the parents of the registry's host name.
fn registry_scopes(image: &Reference) -> Vec<String> {
    let full = image.clone().as_fetched().to_string();
    let mut scopes = vec![full.clone()];
    let untagged = match (image.digest(), image.tag()) {
        (Some(digest), _) => full.strip_suffix(digest.as_str()).and_then(|rest| rest.strip_suffix('@')),
        (None, Some(tag)) => full.strip_suffix(tag).and_then(|rest| rest.strip_suffix(':')),
        (None, None) => None,
    };
    let mut name = untagged.unwrap_or(&full);
    while let Some((parent, _)) = name.rsplit_once('/') {
        scopes.push(name.to_owned());
        name = parent;
    }
    scopes.push(name.to_owned());
    let mut host = name.split_once(':').map_or(name, |(host, _)| host);
    while let Some((_, parent)) = host.split_once('.') {
        scopes.push(format!("*.{parent}"));
        host = parent;
    }
    scopes
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Unique(mut fields) = Unique::<Value>::deserialize(from)?;
        let kind = match fields.remove("type") {
            Some(Value::String(kind)) => kind,
            Some(_) => return Err(D::Error::custom("the type of a requirement is not a string")),
            None => return Err(D::Error::missing_field("type")),
        };
        let without_fields = |requirement| match fields.keys().next() {
            None => Ok(requirement),
            Some(field) => {
                Err(D::Error::custom(format!("unknown field `{field}` in a requirement of type {kind}")))
            }
        };
        match kind.as_str() {
            "insecureAcceptAnything" => without_fields(Self::AcceptAnything),
            "reject" => without_fields(Self::Reject),
            "signedBy" => Ok(Self::SignedBy(fields)),
            "sigstoreSigned" => Ok(Self::SigstoreSigned(fields)),
            _ => Ok(Self::Other(kind)),
        }
    }
}

fn requirements<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Requirement>, D::Error> {
    AtLeastOne::deserialize(from).map(|AtLeastOne(requirements)| requirements)
}

fn transports<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Scopes>, D::Error> {
    let Unique(transports) = Unique::<Unique<AtLeastOne>>::deserialize(from)?;
    let scopes = |Unique(scopes): Unique<AtLeastOne>| {
        scopes.into_iter().map(|(scope, AtLeastOne(requirements))| (scope, requirements)).collect()
    };
    Ok(transports.into_iter().map(|(transport, listed)| (transport, scopes(listed))).collect())
}

/// A list of requirements that is not empty.
struct AtLeastOne(Vec<Requirement>);

impl<'de> Deserialize<'de> for AtLeastOne {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let requirements = Vec::deserialize(from)?;
        if requirements.is_empty() {
            return Err(D::Error::custom("a list of requirements is empty"));
        }
        Ok(Self(requirements))
    }
}

/// An object whose keys are unique: podman and skopeo refuse others.
struct Unique<T>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(UniqueVisitor(PhantomData))
    }
}

struct UniqueVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for UniqueVisitor<T> {
    type Value = Unique<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            match found.entry(key) {
                Entry::Occupied(entry) => {
                    return Err(A::Error::custom(format!("duplicate key `{}`", entry.key())));
                }
                Entry::Vacant(entry) => entry.insert(entries.next_value()?),
            };
        }
        Ok(Unique(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// A policy with these scopes of registries, each of which demands a type with its own name.
    fn listing(scopes: &[&str]) -> SignaturePolicy {
        let named = |scope: &&str| ((*scope).to_owned(), vec![Requirement::Other((*scope).to_owned())]);
        SignaturePolicy {
            default: vec![Requirement::Reject],
            transports: [("docker".to_owned(), scopes.iter().map(named).collect())].into(),
        }
    }

    #[test]
    fn the_most_specific_scope_applies() {
        let digest = format!("a.example.com:5000/team/app@sha256:{HEX}");
        let order = [
            digest.as_str(),
            "a.example.com:5000/team/app",
            "a.example.com:5000/team",
            "a.example.com:5000",
            "*.example.com",
            "*.com",
            "",
        ];
        for first in 0..order.len() {
            let policy = listing(&order[first..]);
            for name in [digest.clone(), digest.replace('@', ":1@")] {
                let applied = policy.for_registry(&Reference::parse(&name).unwrap());
                assert_eq!(applied.requirements, [Requirement::Other(order[first].to_owned())], "{name}");
            }
        }
        let others = [
            "a.example.com",
            "a.example.com/team/app",
            "a.example.com:5000/team/app:1",
            "a.example.com:5000/team/ap",
            "a.example.com:5000/",
            "app",
            "*.a.example.com",
            "*",
            "*.*.com",
        ];
        let policy = listing(&others);
        let applied = policy.for_registry(&Reference::parse(&digest).unwrap());
        assert_eq!((applied.scope, applied.is_rejected()), (Scope::Default, true));
        let hub = listing(&["docker.io/library/a:1", "docker.io/library"]);
        let scope = |name: &str| hub.for_registry(&Reference::parse(name).unwrap()).scope.to_string();
        assert_eq!(scope("docker.io/a:1"), "docker docker.io/library/a:1");
        assert_eq!(scope("index.docker.io/a:2"), "docker docker.io/library");
        assert_eq!(scope("docker.io/b/a:1"), "default");
    }

    #[test]
    fn a_scope_with_a_tag_or_a_digest_does_not_apply_to_the_other() {
        let digest = format!("quay.io/a@sha256:{HEX}");
        let unmet = |scopes: &[&str], name: &str, fetched: &str| {
            let policy = listing(scopes);
            let (name, fetched) = (Reference::parse(name).unwrap(), Reference::parse(fetched).unwrap());
            policy.unmet(&name, &fetched).map(|applied| applied.scope.to_string())
        };
        for scopes in [&["quay.io/a"][..], &["quay.io"], &[""], &[], &["quay.io/a:2", "quay.io"]] {
            assert_eq!(unmet(scopes, "quay.io/a:1", &digest), None, "{scopes:?}");
        }
        let of_tag = Some("docker quay.io/a:1".to_owned());
        assert_eq!(unmet(&["quay.io/a:1", "quay.io/a"], "quay.io/a:1", &digest), of_tag);
        assert_eq!(unmet(&["quay.io/a:1"], "quay.io/a:1", "quay.io/a:1"), None);
        assert_eq!(unmet(&[&digest], "quay.io/a:1", &digest), Some("default".to_owned()));
        assert_eq!(unmet(&[&digest], &digest, "quay.io/a:1"), Some(format!("docker {digest}")));
        let mut open = listing(&["quay.io/a:1", "quay.io/a"]);
        let scopes = open.transports.get_mut("docker").unwrap();
        scopes.insert("quay.io/a:1".to_owned(), vec![Requirement::AcceptAnything]);
        let [name, fetched] = ["quay.io/a:1", &digest].map(|name| Reference::parse(name).unwrap());
        assert_eq!(open.unmet(&name, &fetched), None);
        assert_eq!(open.unknown_type(), Some("quay.io/a"));
        assert_eq!(listing(&[]).unknown_type(), None);
    }

    #[test]
    fn a_file_is_accepted_only_if_podman_accepts_it() {
        let anything = r#"[{"type":"insecureAcceptAnything"}]"#;
        let good = format!(
            r#"{{"default":{anything},"transports":{{"docker":{{"":[{{"type":"reject"}}],
                "quay.io/a":[{{"type":"signedBy","keyType":"GPGKeys","keyPaths":["/k1","/k2"]}},
                             {{"type":"sigstoreSigned","keyPath":"/k3"}},{{"type":"later","x":1}}]}},"other":{{}}}}}}"#
        );
        let policy: SignaturePolicy = serde_json::from_str(&good).unwrap();
        let applied = policy.for_registry(&Reference::parse("quay.io/a/b:1").unwrap());
        let kinds: Vec<_> = applied.requirements.iter().map(Requirement::kind).collect();
        assert_eq!(kinds, ["signedBy", "sigstoreSigned", "later"]);
        let keys: Vec<_> = applied.requirements.iter().flat_map(Requirement::key_files).collect();
        assert_eq!(keys, ["/k1", "/k2", "/k3"]);
        assert!(!applied.is_rejected() && !applied.accepts_anything());
        assert!(policy.for_registry(&Reference::parse("quay.io/b:1").unwrap()).is_rejected());
        for bad in [
            String::new(),
            "{}".to_owned(),
            r#"{"default":[]}"#.to_owned(),
            r#"{"default":[{}]}"#.to_owned(),
            r#"{"default":[{"type":1}]}"#.to_owned(),
            r#"{"default":[{"type":"reject","x":1}]}"#.to_owned(),
            r#"{"default":[{"type":"reject","type":"insecureAcceptAnything"}]}"#.to_owned(),
            format!(r#"{{"default":{anything},"default":{anything}}}"#),
            format!(r#"{{"default":{anything},"x":1}}"#),
            format!(r#"{{"default":{anything},"transports":{{"docker":{{"a.b":[]}}}}}}"#),
            format!(r#"{{"default":{anything},"transports":{{"docker":{{}},"docker":{{}}}}}}"#),
            format!(r#"{{"default":{anything},"transports":{{"docker":{{"":{anything},"":{anything}}}}}}}"#),
        ] {
            assert!(serde_json::from_str::<SignaturePolicy>(&bad).is_err(), "{bad}");
        }
        for (bad, why) in [
            (r#"{"default":[]}"#, "a list of requirements is empty"),
            (r#"{"default":[{"type":1}]}"#, "the type of a requirement is not a string"),
            (r#"{"default":[{"type":"reject","x":1}]}"#, "unknown field `x` in a requirement of type reject"),
        ] {
            let error = serde_json::from_str::<SignaturePolicy>(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_file_in_etc_replaces_the_one_in_usr() {
        let scratch = tempfile::tempdir().unwrap();
        let system = System::in_directory(scratch.path()).unwrap();
        assert_eq!(read(&system).unwrap(), None);
        let write = |file: &str, text: &str| {
            let path = scratch.path().join(file.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(FILES[1], r#"{"default":[{"type":"reject"}]}"#);
        let (path, policy) = read(&system).unwrap().unwrap();
        assert_eq!((path, policy.default), (system.path(FILES[1]), vec![Requirement::Reject]));
        write(FILES[0], r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
        let (path, policy) = read(&system).unwrap().unwrap();
        assert_eq!((path, policy.default), (system.path(FILES[0]), vec![Requirement::AcceptAnything]));
        write(FILES[0], "{");
        let Err(Error::Os(OsError::Corrupt { hint, .. })) = read(&system) else { panic!() };
        assert_eq!(hint, HINT);
    }
}

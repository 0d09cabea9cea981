//! An operation as plugins' policies see it: names taken apart, every image with the part that it plays.

use crate::reference::{CONTAINERS_STORAGE, DOCKER, Reference};

/// What policies are asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The operation's kind; of `cmd` with podman's subcommand after a blank.
    pub kind: String,
    /// Of `cmd`: the arguments after the subcommand, as podman would get them.
    pub argv: Vec<String>,
    /// The images that it is about.
    pub images: Vec<Image>,
    /// Names the operation in verdicts and records.
    pub digest: String,
    /// Everything else, sorted by key.
    pub attrs: Vec<(&'static str, String)>,
}

/// An image that an operation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What happens to it.
    pub role: Role,
    /// Its name as asked for, none if it was asked for by its id.
    pub name: Option<Name>,
    /// What the name means, `sha256:` and 64 digits; none of targets, and none before names are looked up.
    pub digest: Option<String>,
    /// What else is known.
    pub attrs: Vec<(&'static str, String)>,
}

/// The part that an image plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is read or fetched.
    Source,
    /// It is written or sent to.
    Target,
    /// It is named otherwise.
    Image,
}

/// A name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// All of it, with the transport.
    pub canonical: String,
    /// `docker` for registries.
    pub transport: String,
    /// Host name and port; empty if the transport knows none.
    pub registry: String,
    /// Path within the registry; else all that follows the transport.
    pub repository: String,
    /// The tag, if there is one.
    pub tag: Option<String>,
    /// The digest in the name, if there is one.
    pub digest: Option<String>,
}

impl Role {
    /// As plugins see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Image => "image",
        }
    }
}

impl View {
    /// One attribute, if it is known.
    pub fn attr(&self, key: &str) -> Option<&str> {
        self.attrs.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str())
    }
}

impl Name {
    /// Of a reference; the transport is written as in front of one, such as `docker://`.
    pub fn new(transport: &str, reference: &Reference) -> Self {
        Self {
            canonical: format!("{transport}{reference}"),
            transport: transport.trim_end_matches("//").trim_end_matches(':').to_owned(),
            registry: reference.registry().to_owned(),
            repository: reference.repository().to_owned(),
            tag: reference.tag().map(str::to_owned),
            digest: reference.digest().map(ToString::to_string),
        }
    }

    /// Of a name as a storage has it.
    pub fn in_storage(text: &str) -> Self {
        let known = Reference::parse_local(text).map(|name| Self::new(CONTAINERS_STORAGE, &name));
        known.unwrap_or_else(|_| Self::unusual(text))
    }

    /// Of a name in a storage that isn't one by today's rules.
    pub fn unusual(text: &str) -> Self {
        Self {
            canonical: format!("{CONTAINERS_STORAGE}{text}"),
            transport: CONTAINERS_STORAGE.trim_end_matches(':').to_owned(),
            registry: String::new(),
            repository: text.to_owned(),
            tag: None,
            digest: None,
        }
    }

    /// Of a host image, which is listed with its transport, whichever that is. None if it can't be told what it names.
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
        Some(Self {
            canonical: name.to_owned(),
            transport: transport.to_owned(),
            registry: String::new(),
            repository: rest.to_owned(),
            tag: None,
            digest: None,
        })
    }

    /// The name without transport, tag and digest: what `when` compares.
    pub fn path(&self) -> String {
        if self.registry.is_empty() {
            self.repository.clone()
        } else {
            format!("{}/{}", self.registry, self.repository)
        }
    }
}

//! The types of the tables, which are in `tables`.

use std::fmt;

/// What a value means, and so which rules apply to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string that refers to nothing outside the operation.
    Plain,
    /// A condition `KEY=VALUE` on images, whose value may name one.
    Filter,
    /// The name of an image, in a registry or in bootc's storage.
    Reference,
    /// The full name of an image, in a registry or in bootc's storage; short names are not resolved.
    Full,
    /// An image in a registry, which is pulled.
    Remote,
    /// An image in bootc's storage, by name or by id.
    Local,
    /// The destination to which an image is pushed.
    Destination,
    /// The build context or a Containerfile, which podman reads.
    Source,
    /// Any other file or directory that podman reads.
    PathRead,
    /// A file or directory that podman writes.
    PathWrite,
    /// A secret for a build, in a file that podman reads: see [`SecretFile`](crate::SecretFile).
    SecretFile,
    /// A password, token or key.
    Secret,
    /// A host resource other than a file: a namespace, a device, a privilege, a key ring, an option of the container runtime.
    HostResource,
}

impl Kind {
    /// The capability that a plugin needs for such a value; `None` if it needs none, or if no capability allows it.
    pub fn capability(self) -> Option<&'static str> {
        match self {
            Self::PathRead | Self::SecretFile => Some("podman-reads"),
            Self::PathWrite => Some("podman-writes"),
            Self::HostResource => Some("podman-machine"),
            _ => None,
        }
    }
}

/// Whether a flag takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// None, or `=true`/`=false`.
    Switch,
    /// None, or `=VALUE`; the next argument is never its value.
    Optional,
    /// One value; the last one given counts.
    One,
    /// One value; the option may be repeated, and every value counts.
    Many,
}

/// What a subcommand does: exactly one of these. The host's rules depend on this, never on a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// It stands for one of the host's own operations, and podman never gets it.
    Own(OwnOperation),
    /// It builds an image. Code runs, and the images that it pulls are unknown before.
    Builds,
    /// It prints information about images, their contents, or the trust policy.
    Shows,
    /// It tells by its exit code whether an image exists: 1 means that it does not.
    TellsExistence,
    /// It lists matching images, in bootc's storage or in a registry. Its operand is a part of names, not a name.
    Lists,
    /// It loads an archive, whose images and names are unknown before.
    Loads,
    /// It pulls images from registries.
    Pulls,
    /// It pushes an image from bootc's storage to a registry.
    Pushes,
    /// It writes images from bootc's storage to an archive.
    Saves,
    /// It signs images in registries.
    Signs,
    /// It adds names to an image in bootc's storage.
    GivesNames,
    /// It removes names from an image in bootc's storage and adds nothing, so it must work on a full disk.
    TakesNames,
}

impl Does {
    /// The host's own operation that it stands for; `None` if podman runs it.
    pub const fn own(self) -> Option<OwnOperation> {
        match self {
            Self::Own(operation) => Some(operation),
            _ => None,
        }
    }

    /// Whether its operands after the first are names that an image in bootc's storage gets or loses.
    pub const fn changes_names(self) -> bool {
        matches!(self, Self::GivesNames | Self::TakesNames)
    }

    /// Whether it passes on or names an image in bootc's storage, which must be undamaged for that.
    pub const fn needs_whole_images(self) -> bool {
        matches!(self, Self::Pushes | Self::Saves | Self::GivesNames)
    }

    /// Whether its images are known before it runs. Those of a build and of an archive are not.
    pub const fn has_known_images(self) -> bool {
        !matches!(self, Self::Builds | Self::Loads)
    }
}

/// One of the host's own operations for which some subcommands of podman stand, because the host must keep the images that
/// deployments need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnOperation {
    /// It removes the named images.
    Remove,
    /// It removes all images that nothing needs.
    Prune,
}

impl OwnOperation {
    /// The name under which it is judged and recorded.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Prune => "prune",
        }
    }
}

/// What the host itself uses an option for, apart from the meaning of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Only podman uses it.
    PodmanOnly,
    /// It selects a platform: operating system, architecture and variant, separated by slashes.
    Platform,
    /// It selects the operating system of a platform.
    Os,
    /// It selects the architecture of a platform.
    Architecture,
    /// It selects the variant of an architecture.
    Variant,
    /// It sets how a registry is contacted. skopeo has the same option.
    ContactsRegistry,
    /// It requests every tag of a repository, so that the images are not named.
    EveryTag,
    /// Each operand is an image for the archive; without it the operands are names of one image. Such an archive has no names.
    EachImage,
    /// It names a key in root's key ring.
    UsesKeyRing,
    /// It names a destination, unlike other options with values of the same kind, which name a source.
    SendsTo,
}

/// An option of a subcommand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Long name without the dashes.
    pub name: &'static str,
    /// Another long name for it.
    pub alias: Option<&'static str>,
    /// One-letter form, if there is one.
    pub short: Option<char>,
    /// Whether it takes a value.
    pub arity: Arity,
    /// What the value means.
    pub kind: Kind,
    /// What the host uses it for.
    pub purpose: Purpose,
    /// One line for help; empty if podman itself hides the option.
    pub help: &'static str,
}

/// An operand, or several of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    /// Its name in help.
    pub name: &'static str,
    /// What it means.
    pub kind: Kind,
    /// The minimum number.
    pub min: usize,
    /// The maximum number.
    pub max: usize,
}

/// How one subcommand parses, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// The subcommand of `podman image`: a word, or two with a space between.
    pub subcommand: &'static str,
    /// podman's alias of it.
    pub alias: Option<&'static str>,
    /// What it does.
    pub does: Does,
    /// Whether podman may need a directory for large temporary files. Subcommands that only read or change names do not.
    pub needs_scratch: bool,
    /// Its options, sorted by name.
    pub flags: &'static [Flag],
    /// Its operands, in order.
    pub operands: &'static [Operand],
}

impl Table {
    /// Its name, then its alias if it has one.
    pub fn spellings(&self) -> impl Iterator<Item = &'static str> + use<> {
        [self.subcommand].into_iter().chain(self.alias)
    }

    /// The option with this long name.
    pub fn long(&self, name: &str) -> Option<&'static Flag> {
        self.flags.iter().find(|flag| flag.name == name || flag.alias == Some(name))
    }

    /// The option with this one-letter form.
    pub fn short(&self, letter: char) -> Option<&'static Flag> {
        self.flags.iter().find(|flag| flag.short == Some(letter))
    }

    /// The operand at this position, counted from 0; `None` beyond the last. Each operand takes as many values as it can.
    pub fn operand(&self, position: usize) -> Option<&'static Operand> {
        let mut left = position;
        self.operands.iter().find(|operand| match left.checked_sub(operand.max) {
            None => true,
            Some(rest) => {
                left = rest;
                false
            }
        })
    }
}

impl fmt::Display for Table {
    /// The operands as in a usage line: `IMAGE [NAME]...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, operand) in self.operands.iter().enumerate() {
            let space = if position > 0 { " " } else { "" };
            let more = if operand.max > 1 { "..." } else { "" };
            match operand.min {
                0 => write!(f, "{space}[{}]{more}", operand.name)?,
                _ => write!(f, "{space}{}{more}", operand.name)?,
            }
        }
        Ok(())
    }
}

impl Flag {
    pub(crate) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    pub(crate) const fn alias(mut self, name: &'static str) -> Self {
        self.alias = Some(name);
        self
    }

    pub(crate) const fn purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }
}

pub(crate) const fn flag(name: &'static str, arity: Arity, kind: Kind, help: &'static str) -> Flag {
    Flag { name, alias: None, short: None, arity, kind, purpose: Purpose::PodmanOnly, help }
}

pub(crate) const fn switch(name: &'static str, help: &'static str) -> Flag {
    flag(name, Arity::Switch, Kind::Plain, help)
}

pub(crate) const fn text(name: &'static str, help: &'static str) -> Flag {
    flag(name, Arity::One, Kind::Plain, help)
}

pub(crate) const fn texts(name: &'static str, help: &'static str) -> Flag {
    flag(name, Arity::Many, Kind::Plain, help)
}

pub(crate) const fn filter(name: &'static str, help: &'static str) -> Flag {
    flag(name, Arity::Many, Kind::Filter, help)
}

pub(crate) const fn reads(name: &'static str, help: &'static str) -> Flag {
    flag(name, Arity::One, Kind::PathRead, help)
}

pub(crate) const fn writes(name: &'static str, help: &'static str) -> Flag {
    flag(name, Arity::One, Kind::PathWrite, help)
}

pub(crate) const fn machine(name: &'static str, help: &'static str) -> Flag {
    flag(name, Arity::Many, Kind::HostResource, help)
}

pub(crate) const fn operand(name: &'static str, kind: Kind, min: usize, max: usize) -> Operand {
    Operand { name, kind, min, max }
}

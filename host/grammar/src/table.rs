//! How a table is made; the tables themselves are in `tables`.

use std::fmt;

/// What a value means, and so what could be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text that names nothing outside the operation.
    Plain,
    /// A condition `KEY=VALUE` on images, whose value may name one.
    Filter,
    /// The name of an image, in a registry or in the store that podman works on.
    Reference,
    /// The full name of an image, in a registry or in the store that podman works on: nothing is guessed.
    Full,
    /// An image of a registry, which is fetched.
    Remote,
    /// An image of the store that podman works on, by name or by id.
    Local,
    /// Where an image is sent to.
    Destination,
    /// A directory or file that the operation is about, for podman to read.
    Source,
    /// Any other file or directory that podman reads.
    PathRead,
    /// A file or directory that podman writes.
    PathWrite,
    /// A password, token or key.
    Secret,
    /// Something of the machine that isn't a file: a namespace, a device, a privilege, a key ring, a runtime's option.
    Machine,
}

impl Kind {
    /// The capability without which a value of this kind is refused, none if it needs none or if none is enough.
    pub fn capability(self) -> Option<&'static str> {
        match self {
            Self::PathRead => Some("podman-reads"),
            Self::PathWrite => Some("podman-writes"),
            Self::Machine => Some("podman-machine"),
            _ => None,
        }
    }
}

/// Whether a flag takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// Alone, or with `=true`/`=false`.
    Switch,
    /// Alone, or with `=VALUE`; what follows as another argument isn't its value.
    Optional,
    /// Exactly one value, and the last one given counts.
    One,
    /// One value each time, and every one counts.
    Many,
}

/// What a subcommand does: each does exactly one of these. The host's rules ask for this, never for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// It isn't podman's here: it spells an operation of the host's own, and podman never gets it.
    Own(OwnOperation),
    /// It builds an image. Code runs, and what it fetches isn't known before.
    Builds,
    /// It prints facts about images, about what is in them, or about how they are trusted.
    Shows,
    /// It says whether an image exists: exit code 1 is an answer.
    TellsExistence,
    /// It prints a list of what matches, here or in a registry. Its operand is a part of names, not a name.
    Lists,
    /// It loads an archive, whose images and their names aren't known before.
    Loads,
    /// It fetches images from registries.
    Pulls,
    /// It sends an image of the store to a registry.
    Pushes,
    /// It writes images of the store to an archive.
    Saves,
    /// It signs images of registries.
    Signs,
    /// It gives names to an image of the store.
    GivesNames,
    /// It takes names from an image of the store and adds nothing, so it must be possible on a full disk.
    TakesNames,
}

impl Does {
    /// The operation of the host's own that it is instead, none if podman runs it.
    pub const fn own(self) -> Option<OwnOperation> {
        match self {
            Self::Own(operation) => Some(operation),
            _ => None,
        }
    }

    /// Whether its operands after the first are names that an image of the store gets or loses.
    pub const fn changes_names(self) -> bool {
        matches!(self, Self::GivesNames | Self::TakesNames)
    }

    /// Whether it hands on, or names, an image of the store as it is: the image must be whole.
    pub const fn needs_whole_images(self) -> bool {
        matches!(self, Self::Pushes | Self::Saves | Self::GivesNames)
    }

    /// Whether it is known before which images it is about. A build's and an archive's aren't.
    pub const fn has_known_images(self) -> bool {
        !matches!(self, Self::Builds | Self::Loads)
    }
}

/// An operation of the host's own that some subcommands of podman spell (D3.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnOperation {
    /// It removes the images that are named.
    Remove,
    /// It removes the images that nobody needs.
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

/// What an option has to do with the host's own work, beside what its value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It concerns podman alone.
    Podmans,
    /// It chooses a platform: operating system, architecture and variant with a slash between.
    Platform,
    /// It chooses the operating system of a platform.
    Os,
    /// It chooses the architecture of a platform.
    Architecture,
    /// It chooses the variant of an architecture.
    Variant,
    /// It says how a registry is asked. skopeo has the same option.
    AsksRegistry,
    /// It asks for every tag of a repository, so the images aren't named.
    EveryTag,
    /// Each operand is an image of an archive, which keeps no names then; else all are names of one image.
    EachImage,
    /// It names where something is sent, where options with values of its kind say where something is fetched.
    SendsTo,
}

/// One option of a subcommand.
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
    /// What it has to do with the host's own work.
    pub purpose: Purpose,
    /// One line for help; empty for what podman itself hides.
    pub help: &'static str,
}

/// What may follow the options: some of these in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    /// Its name in help.
    pub name: &'static str,
    /// What it means.
    pub kind: Kind,
    /// How many there must be.
    pub min: usize,
    /// How many there may be.
    pub max: usize,
}

/// How one subcommand parses, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// The subcommand of `podman image`: a word, or two with a space between.
    pub subcommand: &'static str,
    /// podman's own other spelling of it.
    pub alias: Option<&'static str>,
    /// What it does.
    pub does: Does,
    /// Whether podman may need a directory of its own for large temporary files. What only reads, or changes names, doesn't.
    pub needs_scratch: bool,
    /// Its options, sorted by name.
    pub flags: &'static [Flag],
    /// Its operands, in order.
    pub operands: &'static [Operand],
}

impl Table {
    /// How it may be spelled: its name, then podman's other spelling if there is one.
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

    /// What the operand at this position is, counted from 0; none beyond the last. Each takes as many as it can.
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
    /// The operands, as usage texts write them: `IMAGE [NAME]...`.
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
    Flag { name, alias: None, short: None, arity, kind, purpose: Purpose::Podmans, help }
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
    flag(name, Arity::Many, Kind::Machine, help)
}

pub(crate) const fn operand(name: &'static str, kind: Kind, min: usize, max: usize) -> Operand {
    Operand { name, kind, min, max }
}

//! `plugin.toml`: what a plugin is, what it is made of and what it claims. Read strictly: whatever isn't understood is an
//! error that names the line, the key and, if one is near, the word that was probably meant.

mod complaint;
mod raw;

use bootc_image_core::plugin::PluginId;
use semver::{Version, VersionReq};
use toml::Spanned;

use crate::{API_VERSION, sanitize};
use complaint::{Source, nearest};
use raw::{RawCommand, RawComponent, RawManifest};

pub use complaint::ManifestError;

/// The only form of manifests so far.
const SCHEMA: i64 = 1;

/// Longest manifest that is read, in bytes.
const LARGEST: usize = 64 << 10;

/// Longest summary or usage line, in characters: help shows them.
const LONGEST_LINE: usize = 200;

/// A manifest that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Name of the plugin.
    pub id: PluginId,
    /// The plugin's own version.
    pub version: Version,
    /// The versions of the WIT packages that it works with. Includes [`API_VERSION`].
    pub api: VersionReq,
    /// What it is made of.
    pub component: Component,
    /// What it claims: at least one command, none twice.
    pub commands: Vec<Command>,
}

/// The component of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Name of its file, next to the manifest.
    pub file: String,
    /// What it exports, and what it may import at most.
    pub world: World,
    /// Digest of the file in lower-case hexadecimal. A built-in plugin needs none: the builder of the host knows it.
    pub sha256: Option<String>,
}

/// The worlds that this host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// `bootc-image:command/wrapper`
    CommandWrapper,
}

impl World {
    const ALL: &[Self] = &[Self::CommandWrapper];

    /// Its name in WIT, without a version: that is what `api` is for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CommandWrapper => "bootc-image:command/wrapper",
        }
    }
}

/// A claim on a subcommand of `cmd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The subcommand.
    pub name: String,
    /// One line for help.
    pub summary: String,
    /// The arguments, as help shows them after the name. May be empty.
    pub args: String,
}

impl Manifest {
    /// Reads the text of a `plugin.toml`.
    ///
    /// # Errors
    /// [`ManifestError`] for the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > LARGEST {
            return Err(ManifestError::new(format!("larger than {} KiB", LARGEST >> 10)));
        }
        let source = Source(text);
        let raw: RawManifest = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        if *raw.schema.get_ref() != SCHEMA {
            let what = format!("{} isn't known; this host reads {SCHEMA}", raw.schema.get_ref());
            return Err(source.complain(raw.schema.span(), "schema", what));
        }
        Ok(Self {
            id: source
                .checked(&raw.id, "id", |text| PluginId::new(text).map_err(|error| error.to_string()))?,
            version: source.checked(&raw.version, "version", version)?,
            api: source.checked(&raw.api, "api", api)?,
            component: component(source, &raw.component)?,
            commands: commands(source, &raw.command)?,
        })
    }
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).map_err(|error| format!("{text:?} isn't a version: {error}"))
}

fn api(text: &str) -> Result<VersionReq, String> {
    let requirement =
        VersionReq::parse(text).map_err(|error| format!("{text:?} isn't a version requirement: {error}"))?;
    if requirement.matches(&API_VERSION) {
        Ok(requirement)
    } else {
        Err(format!("{text:?} doesn't include {API_VERSION}, the version that this host offers"))
    }
}

fn component(source: Source<'_>, raw: &Spanned<Vec<RawComponent>>) -> Result<Component, ManifestError> {
    let [component] = raw.get_ref().as_slice() else {
        let what = format!("a plugin has exactly one component, this one has {}", raw.get_ref().len());
        return Err(source.complain(raw.span(), "component", what));
    };
    Ok(Component {
        file: source.checked(&component.file, "file", file)?,
        world: source.checked(&component.world, "world", world)?,
        sha256: component.sha256.as_ref().map(|text| source.checked(text, "sha256", sha256)).transpose()?,
    })
}

fn file(text: &str) -> Result<String, String> {
    let plain = !text.starts_with('.') && !text.contains(['/', '\\']) && sanitize::is_clean(text);
    if plain && text.len() <= 255 && text.ends_with(".wasm") {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} isn't the plain name of a .wasm file next to the manifest"))
    }
}

fn world(text: &str) -> Result<World, String> {
    World::ALL.iter().copied().find(|world| world.name() == text).ok_or_else(|| {
        let known = nearest(text, World::ALL.iter().map(|world| world.name()));
        let hint = known.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
        format!("{text:?} isn't a world that this host runs{hint}")
    })
}

fn sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} isn't 64 lower-case hexadecimal digits"))
    }
}

fn commands(source: Source<'_>, raw: &Spanned<Vec<RawCommand>>) -> Result<Vec<Command>, ManifestError> {
    if raw.get_ref().is_empty() {
        return Err(source.complain(
            raw.span(),
            "command",
            "a plugin of this world claims at least one command",
        ));
    }
    let mut commands: Vec<Command> = Vec::new();
    for raw in raw.get_ref() {
        let name = source.checked(&raw.name, "name", command_name)?;
        if commands.iter().any(|earlier| earlier.name == name) {
            return Err(source.complain(raw.name.span(), "name", format!("{name:?} is claimed twice")));
        }
        let summary = source.checked(&raw.summary, "summary", line)?;
        if summary.trim().is_empty() {
            return Err(source.complain(raw.summary.span(), "summary", "help needs a summary"));
        }
        let args = raw.args.as_ref().map(|text| source.checked(text, "args", line)).transpose()?;
        commands.push(Command { name, summary, args: args.unwrap_or_default() });
    }
    Ok(commands)
}

/// A name that can't be taken for an option or a path. The rule is that of [`PluginId`].
fn command_name(text: &str) -> Result<String, String> {
    PluginId::new(text).map(|name| name.to_string()).map_err(|_| {
        format!("{text:?} isn't lower-case letters, digits and '-' starting with a letter (64 bytes at most)")
    })
}

fn line(text: &str) -> Result<String, String> {
    if text.chars().count() > LONGEST_LINE {
        Err(format!("longer than {LONGEST_LINE} characters"))
    } else if !sanitize::is_clean(text) {
        Err(format!("{text:?} isn't one line of visible text"))
    } else {
        Ok(text.to_owned())
    }
}

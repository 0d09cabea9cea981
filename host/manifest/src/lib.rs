//! `plugin.toml`: what a plugin is, which code it has, what it provides and what it requests. It is read strictly: anything unknown
//! is an error that names the line, the key and, if there is a similar word, what was probably meant.

mod capabilities;
pub mod raw;
pub mod strict;
mod when;

use bootc_image_extension::abi;
use bootc_image_model::capability::Capability;
use bootc_image_model::columns::Column;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::sanitize;
use semver::{Version, VersionReq};
use toml::Spanned;

use capabilities::{Bounds, CAPABILITIES, KnownCapability};
use raw::{RawCapability, RawCommand, RawComponent, RawFormat, RawLimits, RawManifest, RawNative, RawWhen};
use strict::{Diagnostic, Source, named, sha256};

pub use when::When;

/// Version of the WIT packages that this host offers. A manifest's `api` must include it.
pub const API_VERSION: Version = Version::new(0, 1, 0);

/// Version of `bootc_image_extension.h` that this host offers. The `api` of native code must include it.
pub const NATIVE_API_VERSION: Version = Version::new(abi::MAJOR as u64, abi::MINOR as u64, 0);

/// The only version of the manifest format so far.
const SCHEMA: i64 = 1;

/// The largest manifest that is accepted, in bytes.
pub const LARGEST: u64 = 64 << 10;

/// The longest summary or usage line, in characters. They are shown in the help.
const LONGEST_LINE: usize = 200;

/// A valid manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Name of the plugin.
    pub id: PluginId,
    /// The plugin's own version.
    pub version: Version,
    /// The versions that it works with. For a component these are versions of the WIT packages, including [`API_VERSION`]; for
    /// native code versions of `bootc_image_extension.h`, including [`NATIVE_API_VERSION`].
    pub api: VersionReq,
    /// Its component or native library.
    pub component: Component,
    /// The subcommands of `cmd` that it provides, without duplicates: at least one for a wrapper, none otherwise.
    pub commands: Vec<Command>,
    /// The formats that it provides, without duplicates: at least one for a format plugin, none otherwise.
    pub formats: Vec<Format>,
    /// The capabilities that it requests, sorted, without duplicates.
    pub capabilities: Vec<Wanted>,
    /// The limits that it requests; it never gets more than the configuration's ceiling.
    pub limits: PartialLimits,
}

/// Limits that a plugin requests, or the ceilings of the configuration. Limits that are not given have their defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartialLimits {
    /// Memory in MiB.
    pub memory_mib: Option<u32>,
    /// Processor time in ms.
    pub guest_ms: Option<u32>,
    /// Elapsed time in ms.
    pub wall_ms: Option<u32>,
}

/// A capability that a plugin requests, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The capability.
    pub capability: Capability,
    /// One sentence for the administrator who grants it.
    pub reason: String,
}

/// The component of a plugin, or its native library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The name of the file next to the manifest.
    pub file: String,
    /// Whether it is native code, which runs with full authority.
    pub native: bool,
    /// The WIT world that it implements, which also limits its imports. Native code has the equivalent role.
    pub world: World,
    /// SHA-256 of the file in lower-case hexadecimal. A built-in plugin needs none, because its digest is computed at build time.
    pub sha256: Option<String>,
    /// The operations that it judges, if it is a policy.
    pub when: When,
    /// Whether it also judges operations before references are resolved, if it is a policy.
    pub before_lookup: bool,
}

impl Component {
    /// `library` or `component`, for messages.
    pub fn what(&self) -> &'static str {
        if self.native { "library" } else { "component" }
    }
}

/// The WIT worlds that this host supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// `bootc-image:command/wrapper`
    CommandWrapper,
    /// `bootc-image:format/output`
    FormatOutput,
    /// `bootc-image:policy/validator`
    PolicyValidator,
}

impl World {
    /// The kind of plugin that implements this world: `command`, `format` or `policy`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::CommandWrapper => "command",
            Self::FormatOutput => "format",
            Self::PolicyValidator => "policy",
        }
    }

    const ALL: &[Self] = &[Self::CommandWrapper, Self::FormatOutput, Self::PolicyValidator];

    /// Its name in WIT, without the version, which `api` has.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CommandWrapper => "bootc-image:command/wrapper",
            Self::FormatOutput => "bootc-image:format/output",
            Self::PolicyValidator => "bootc-image:policy/validator",
        }
    }
}

/// A subcommand of `cmd` that a plugin provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The subcommand.
    pub name: String,
    /// One line for help.
    pub summary: String,
    /// The arguments, as shown in the help after the name. May be empty.
    pub args: String,
}

/// A format of lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Its name, as typed after `list --format`.
    pub name: String,
    /// One line for help.
    pub summary: String,
    /// The placeholder in the help for an argument typed as `NAME=ARGUMENT`; none: the format takes no argument.
    pub argument: Option<String>,
    /// The columns that the plugin gets, in this order.
    pub columns: Vec<Column>,
}

impl Format {
    /// As shown in the help: `NAME` or `NAME=ARGUMENT`.
    pub fn spelling(&self) -> String {
        let Self { name, argument, .. } = self;
        argument.as_ref().map_or_else(|| name.clone(), |argument| format!("{name}={argument}"))
    }
}

impl Manifest {
    /// Reads the text of a `plugin.toml`.
    ///
    /// # Errors
    /// The first error in the text, with line and key.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        if text.len() as u64 > LARGEST {
            return Err(Diagnostic::new(format!("the manifest is larger than {} KiB", LARGEST >> 10)));
        }
        let source = Source(text);
        let raw: RawManifest = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        if *raw.schema.get_ref() != SCHEMA {
            let what = format!("{} is not supported; this host reads schema {SCHEMA}", raw.schema.get_ref());
            return Err(source.error_at(raw.schema.span(), "schema", what));
        }
        let component = part(source, raw.component.as_ref(), raw.native.as_ref())?;
        let offered = if component.native {
            (&NATIVE_API_VERSION, "the version of bootc_image_extension.h on this host")
        } else {
            (&API_VERSION, "the version of the plugin interface on this host")
        };
        Ok(Self {
            id: source.id(&raw.id, "id")?,
            version: source.checked(&raw.version, "version", version)?,
            api: source.checked(&raw.api, "api", |text| api(text, offered))?,
            commands: commands(source, component.world, raw.command.as_ref())?,
            formats: formats(source, component.world, raw.format.as_ref())?,
            capabilities: capabilities(source, &component, &raw.capability)?,
            limits: raw.limits.map(RawLimits::partial).unwrap_or_default(),
            component,
        })
    }

    /// Whether an invalid manifest could be that of a policy. It is assumed to be, unless the text clearly names another world: a
    /// broken policy must deny.
    pub fn may_be_policy(text: &str) -> bool {
        let Ok(table) = text.parse::<toml::Table>() else { return true };
        let named = |parts: &str, key: &str| -> Vec<String> {
            let parts = table.get(parts).and_then(toml::Value::as_array).into_iter().flatten();
            parts
                .map(|part| part.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned())
                .collect()
        };
        let other = |of: fn(World) -> &'static str| {
            move |name: &String| {
                World::ALL.iter().any(|&world| of(world) == name && world != World::PolicyValidator)
            }
        };
        let (worlds, roles) = (named("component", "world"), named("native", "role"));
        let none = worlds.is_empty() && roles.is_empty();
        none || !worlds.iter().all(other(World::name)) || !roles.iter().all(other(World::kind))
    }
}

fn version(text: &str) -> Result<Version, String> {
    let example = "three numbers with dots between them, such as 1.0.0";
    Version::parse(text).map_err(|_| format!("{text:?} is not a version: write {example}"))
}

fn api(text: &str, (offered, what): (&Version, &str)) -> Result<VersionReq, String> {
    let requirement = VersionReq::parse(text).map_err(|_| {
        let example = format!("^{}.{}", offered.major, offered.minor);
        format!(
            "{text:?} is not a version requirement: write the versions that it works with, such as {example}"
        )
    })?;
    if requirement.matches(offered) {
        Ok(requirement)
    } else {
        let fix = match requirement.comparators.first() {
            Some(first) if (first.major, first.minor.unwrap_or(0)) < (offered.major, offered.minor) => {
                "install a newer version of the plugin"
            }
            _ => "install a newer bootc-image",
        };
        Err(format!("{text:?} does not include {offered}, {what}: {fix}"))
    }
}

/// The component or library, of which there must be exactly one.
fn part(
    source: Source<'_>,
    components: Option<&Spanned<Vec<RawComponent>>>,
    libraries: Option<&Spanned<Vec<RawNative>>>,
) -> Result<Component, Diagnostic> {
    match (components, libraries) {
        (Some(components), None) => component(source, only(source, components, "component", "component")?),
        (None, Some(libraries)) => library(source, only(source, libraries, "native", "library")?),
        (Some(_), Some(libraries)) => {
            let what = "a plugin has either a component or a native library, not both";
            Err(source.error_at(libraries.span(), "native", what))
        }
        (None, None) => Err(source.error_at(
            0..0,
            "component",
            "missing: a plugin needs a [[component]] section or, for native code, a [[native]] section",
        )),
    }
}

fn only<'a, T>(
    source: Source<'_>,
    given: &'a Spanned<Vec<T>>,
    key: &str,
    what: &str,
) -> Result<&'a T, Diagnostic> {
    match given.get_ref().as_slice() {
        [one] => Ok(one),
        all => {
            let what = format!("a plugin must have exactly one {what}, but this one has {}", all.len());
            Err(source.error_at(given.span(), key, what))
        }
    }
}

fn component(source: Source<'_>, raw: &RawComponent) -> Result<Component, Diagnostic> {
    let world = source.checked(&raw.world, "world", world)?;
    let (when, before_lookup) = concerns(source, world, raw.when.as_ref(), raw.before_lookup.as_ref())?;
    Ok(Component {
        file: source.checked(&raw.file, "file", |text| file(text, ".wasm"))?,
        native: false,
        world,
        sha256: source.maybe(raw.sha256.as_ref(), "sha256", sha256)?,
        when,
        before_lookup,
    })
}

fn library(source: Source<'_>, raw: &RawNative) -> Result<Component, Diagnostic> {
    let world = source.checked(&raw.role, "role", role)?;
    let (when, before_lookup) = concerns(source, world, raw.when.as_ref(), raw.before_lookup.as_ref())?;
    Ok(Component {
        file: source.checked(&raw.file, "file", |text| file(text, ".so"))?,
        native: true,
        world,
        sha256: Some(source.checked(&raw.sha256, "sha256", sha256)?),
        when,
        before_lookup,
    })
}

/// The operations that a policy judges.
fn concerns(
    source: Source<'_>,
    world: World,
    when: Option<&Spanned<RawWhen>>,
    before_lookup: Option<&Spanned<bool>>,
) -> Result<(When, bool), Diagnostic> {
    let only_policies =
        |span: std::ops::Range<usize>, key| source.error_at(span, key, "only policies judge operations");
    let before_lookup = match before_lookup {
        Some(given) if world != World::PolicyValidator => {
            return Err(only_policies(given.span(), "before-lookup"));
        }
        given => given.is_some_and(|given| *given.get_ref()),
    };
    match when {
        Some(given) if world != World::PolicyValidator => Err(only_policies(given.span(), "when")),
        Some(given) => Ok((When::parse(source, given.get_ref())?, before_lookup)),
        None => Ok((When::default(), before_lookup)),
    }
}

fn file(text: &str, ending: &str) -> Result<String, String> {
    let plain = !text.starts_with('.') && !text.contains(['/', '\\']) && sanitize::is_clean(text);
    if plain && text.len() <= 255 && text.ends_with(ending) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not the plain name of a {ending} file next to the manifest"))
    }
}

fn world(text: &str) -> Result<World, String> {
    named(text, World::ALL, |world| world.name(), "a world that this host supports")
}

fn role(text: &str) -> Result<World, String> {
    named(text, World::ALL, |world| world.kind(), "a plugin role")
}

fn capabilities(
    source: Source<'_>,
    component: &Component,
    raw: &[RawCapability],
) -> Result<Vec<Wanted>, Diagnostic> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for raw in raw {
        let capability = raw.capability(source)?;
        if wanted.iter().any(|earlier| earlier.capability == capability) {
            return Err(source.error_at(raw.name.span(), "name", "this capability is requested twice"));
        }
        let reason = match &raw.reason {
            Some(reason) => source.checked(reason, "reason", summary)?,
            None => {
                return Err(source.error_at(
                    raw.name.span(),
                    "reason",
                    "missing: tell the administrator why the plugin needs the capability",
                ));
            }
        };
        // Native code cannot call the host, so capabilities with names of images have no effect for it.
        let is_of_use = |known: &&KnownCapability| {
            known.name == capability.name
                && known.world.is_none_or(|of| of == component.world)
                && !(component.native && known.bounds == Bounds::Names)
        };
        if !CAPABILITIES.iter().any(|known| is_of_use(&known)) {
            let what = format!("{} does not apply to a plugin of this kind", capability.name);
            return Err(source.error_at(raw.name.span(), "name", what));
        }
        wanted.push(Wanted { capability, reason });
    }
    wanted.sort();
    Ok(wanted)
}

fn summary(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("must not be empty".to_owned()) } else { line(text) }
}

/// The commands or formats that a plugin provides: at least one if its kind `offers` them, none otherwise.
fn offered<'a, T>(
    source: Source<'_>,
    raw: Option<&'a Spanned<Vec<T>>>,
    key: &str,
    offers: bool,
    none: &str,
    others: &str,
) -> Result<&'a [T], Diagnostic> {
    match raw {
        Some(raw) if !offers => Err(source.error_at(raw.span(), key, others)),
        None if !offers => Ok(&[]),
        Some(raw) if !raw.get_ref().is_empty() => Ok(raw.get_ref()),
        raw => Err(source.error_at(raw.map_or(0..0, Spanned::span), key, none)),
    }
}

fn commands(
    source: Source<'_>,
    world: World,
    raw: Option<&Spanned<Vec<RawCommand>>>,
) -> Result<Vec<Command>, Diagnostic> {
    let offers = world == World::CommandWrapper;
    let (none, others) =
        ("a plugin of this kind must provide a command", "a plugin of this kind cannot provide commands");
    let mut commands: Vec<Command> = Vec::new();
    for raw in offered(source, raw, "command", offers, none, others)? {
        let name = source.checked(&raw.name, "name", command_name)?;
        if commands.iter().any(|earlier| earlier.name == name) {
            return Err(source.error_at(raw.name.span(), "name", format!("{name:?} is listed twice")));
        }
        let summary = source.checked(&raw.summary, "summary", summary)?;
        let args = source.maybe(raw.args.as_ref(), "args", line)?;
        commands.push(Command { name, summary, args: args.unwrap_or_default() });
    }
    Ok(commands)
}

/// The built-in formats, whose names no plugin can use.
pub const OWN_FORMATS: &[&str] = &["json", "json-v1", "table", "wide"];

fn formats(
    source: Source<'_>,
    world: World,
    raw: Option<&Spanned<Vec<RawFormat>>>,
) -> Result<Vec<Format>, Diagnostic> {
    let offers = world == World::FormatOutput;
    let (none, others) =
        ("a plugin of this kind must provide a format", "a plugin of this kind cannot provide formats");
    let mut formats: Vec<Format> = Vec::new();
    for raw in offered(source, raw, "format", offers, none, others)? {
        let name = source.checked(&raw.name, "name", |text| {
            let name = command_name(text)?;
            if OWN_FORMATS.contains(&text) { Err(format!("{text:?} is a built-in format")) } else { Ok(name) }
        })?;
        if formats.iter().any(|earlier| earlier.name == name) {
            return Err(source.error_at(raw.name.span(), "name", format!("{name:?} is listed twice")));
        }
        let summary = source.checked(&raw.summary, "summary", summary)?;
        let argument = source.maybe(raw.argument.as_ref(), "argument", word)?;
        let columns = raw.columns.get_ref().iter().map(|name| source.checked(name, "columns", column));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        if (1..columns.len()).any(|number| columns[..number].contains(&columns[number])) {
            return Err(source.error_at(raw.columns.span(), "columns", "a column is listed twice"));
        }
        if columns.is_empty() {
            return Err(source.error_at(raw.columns.span(), "columns", "a format needs at least one column"));
        }
        formats.push(Format { name, summary, argument, columns });
    }
    Ok(formats)
}

fn column(text: &str) -> Result<Column, String> {
    named(text, Column::ALL, |column| column.name(), "a known column")
}

/// A name that cannot be mistaken for an option or a path. The rules are those of [`PluginId`].
fn command_name(text: &str) -> Result<String, String> {
    PluginId::new(text).map(|name| name.to_string()).map_err(|_| {
        format!(
            "{text:?} is not lower-case letters, digits and '-' starting with a letter (64 bytes at most)"
        )
    })
}

/// A placeholder, as shown in the help.
fn word(text: &str) -> Result<String, String> {
    if (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a word in capital letters"))
    }
}

fn line(text: &str) -> Result<String, String> {
    if text.chars().count() > LONGEST_LINE {
        Err(format!("must not be longer than {LONGEST_LINE} characters"))
    } else if !sanitize::is_clean(text) {
        Err(format!("{text:?} is not a single line of visible text"))
    } else {
        Ok(text.to_owned())
    }
}

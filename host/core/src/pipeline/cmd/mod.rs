//! Running podman on bootc's storage, as a plugin planned it.
//!
//! ```text
//! plan --parse, spell out--> Command --host's validators--> look names up --> Operation --judged--> podman
//! ```
//!
//! Images of registries are pulled by the digest that was judged and named afterwards; images of the storage are meant by
//! their ids.

mod run;
mod working;

use bootc_image_os::error::Error as OsError;
use bootc_image_stores::podman;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use bootc_image_grammar::{Command, FlagValue, Kind, Refusal, parse};
use bootc_image_model::weakened::is_off;

use super::local::{LIST_WITH, in_contents, local_image};
use super::needs::Needs;
use super::{Pipeline, physical, remove};
use crate::error::Error;
use crate::operation::{Operation, Request};
use bootc_image_containers_storage::Image;
use bootc_image_model::capability::Capability;
use bootc_image_model::denial::{By, Denial};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::{CommandImage, LocalImage};
use bootc_image_model::plugin::PluginId;
use bootc_image_model::reference::{DOCKER, InvalidReference, Reference};
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::registry::{self, Asked};

pub(super) use run::execute;

/// A command as planned, not looked up yet.
pub(super) struct Planned<'a> {
    pub(super) invoked: &'a str,
    pub(super) plugin: &'a PluginId,
    pub(super) command: Command,
}

impl<'a> Planned<'a> {
    /// From a plan. What isn't in the table doesn't become a command; registries' images are spelt out with transport and
    /// tag, so that no tool can take them for something else.
    pub(super) fn parse(
        invoked: &'a str,
        plugin: &'a PluginId,
        subcommand: &str,
        args: &[String],
    ) -> Result<Self, Denial> {
        let denied = |code: &str, why: &dyn std::fmt::Display, hint: String| Denial {
            by: By::Host("grammar"),
            code: code.to_owned(),
            message: format!("`cmd {}`: {why}", invoked.escape_debug()),
            hint: Some(hint),
        };
        let not_in_table = |refusal: Refusal| {
            let hint = format!(
                "see what it takes with: bootc-image cmd {} --help; options of bootc-image itself stand before it",
                invoked.escape_debug()
            );
            denied("not-in-table", &refusal, hint)
        };
        let command = parse(subcommand, args).map_err(not_in_table)?;
        // What a list or a search takes is a part of names. What isn't a name is denied later.
        let names_images = !["list", "search"].contains(&command.name()) && !is_off("reference");
        let spelt_out = command.rewrite(|kind, text| match kind {
            Kind::Remote | Kind::Destination if !is_off("reference") => {
                spell_out(text).map_err(Unspellable::Reference)
            }
            // Of several stored names that mean the same, the one that is typed is taken away.
            Kind::Reference if command.name() == "untag" => Ok(text.to_owned()),
            Kind::Reference if names_images => Ok(as_judged(Reference::parse_local(text), text)),
            Kind::Full if names_images => Ok(as_judged(Reference::parse(text), text)),
            _ => Ok(text.to_owned()),
        });
        match spelt_out {
            Ok(command) => Ok(Self { invoked, plugin, command }),
            Err(Unspellable::Refusal(refusal)) => Err(not_in_table(refusal)),
            Err(Unspellable::Reference(error)) => {
                let hint = "write REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST".to_owned();
                Err(denied("not-a-registry-reference", &error, hint))
            }
        }
    }

    /// The operation before anything is looked up.
    pub(super) fn unresolved(&self) -> Operation {
        self.operation(self.command.clone(), Vec::new(), false)
    }

    fn operation(&self, command: Command, images: Vec<CommandImage>, pinned: bool) -> Operation {
        let (invoked, plugin) = (self.invoked.to_owned(), self.plugin.clone());
        Operation::Cmd { invoked, plugin, command, images, pinned }
    }

    /// Looks up what every name means (D3.3).
    pub(super) fn resolve(&self, names: &dyn Names) -> Result<Operation, Error> {
        let mut images = Vec::new();
        let mut command = self.command.clone();
        refuse_directory_to_stdout(&command)?;
        let kinds: Vec<Kind> =
            command.table().into_iter().flat_map(|table| table.operands).map(|o| o.kind).collect();
        if kinds.contains(&Kind::Source) && command.operands().is_empty() {
            command = command.with_operands(vec![".".to_owned()])?;
        }
        if is_on(&command, "all-tags") {
            return Ok(self.operation(command, images, false));
        }
        let wanted = command.clone();
        if ["tag", "untag"].contains(&command.name()) {
            refuse_needed(&command, names)?;
        }
        let saves_one = command.name() == "save" && !is_on(&command, "multi-image-archive");
        if saves_one {
            command = save(command, names, &mut images)?;
        }
        command = command.rewrite(|kind, text| match kind {
            Kind::PathRead | Kind::PathWrite => names.path(self.plugin, text, kind),
            _ => Ok(text.to_owned()),
        })?;
        let asked = asked_of(&command);
        command = command.rewrite(|kind, text| match kind {
            Kind::Remote if !is_off("reference") => {
                let name = Reference::parse(text.strip_prefix(DOCKER).unwrap_or(text))?;
                let Meaning { digest, instance } = names.in_registry(&name, &asked)?;
                let pinned = name.with_digest(digest);
                refuse_strange(names, &name, &pinned, &instance, &asked)?;
                let spelt_out = format!("{DOCKER}{pinned}");
                images.push(CommandImage::Registry { name, pinned, instance, platform: asked.named.clone() });
                Ok::<_, Error>(spelt_out)
            }
            Kind::Local if saves_one => Ok(text.to_owned()),
            Kind::Local => {
                let found = names.in_store(text)?;
                let id = found.image.id.clone();
                images.push(found.into());
                Ok(id)
            }
            Kind::Source => names.source(&wanted, text),
            // Of the image that was looked up just before.
            Kind::Reference if wanted.name() == "untag" => match images.last() {
                Some(CommandImage::Store { image, .. }) => names.as_stored(image, text),
                _ => Ok(text.to_owned()),
            },
            _ => Ok(text.to_owned()),
        })?;
        if wanted.name() == "untag" {
            // Several spellings of one name are one, and podman fails at the second.
            let mut names: Vec<String> = Vec::new();
            for name in command.operands() {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            command = command.with_operands(names)?;
        }
        if kinds.contains(&Kind::Destination) && command.operands().len() == 1 {
            let name = match images.first() {
                Some(CommandImage::Store { name: Some(name), .. }) => name.clone().in_registry().ok(),
                _ => None,
            };
            let Some(name) = name else {
                return Err(Error::NoDestination(wanted.operands().join(" ")));
            };
            let operands = command.operands().iter().cloned().chain([format!("{DOCKER}{name}")]);
            command = command.with_operands(operands.collect())?;
        }
        // What a build fetches and what an archive holds isn't known.
        let pinned = !kinds.contains(&Kind::Source) && command.name() != "load";
        Ok(self.operation(command, images, pinned))
    }
}

/// podman writes an archive to a pipe, and waits for ever for the one that it takes a directory for.
fn refuse_directory_to_stdout(command: &Command) -> Result<(), Error> {
    let text = |name: &str| {
        command.flags().iter().find_map(|flag| match &flag.value {
            FlagValue::Text(text) if flag.name == name => Some(text.as_str()),
            _ => None,
        })
    };
    match text("format") {
        Some(format @ ("docker-dir" | "oci-dir")) if command.name() == "save" && text("output").is_none() => {
            Err(Error::DirectoryToStdout { format: format.to_owned() })
        }
        _ => Ok(()),
    }
}

/// How a command has its registries asked.
pub(super) fn asked_of(command: &Command) -> Asked {
    let text = |name: &str| {
        let flag = command.flags().iter().find(|flag| flag.name == name)?;
        if let FlagValue::Text(text) = &flag.value { Some(text.clone()) } else { None }
    };
    let platform = text("platform").unwrap_or_default();
    let mut parts = platform.split('/').map(str::to_owned).filter(|part| !part.is_empty());
    let parts = [("os", parts.next()), ("arch", parts.next()), ("variant", parts.next())];
    let parts = parts.map(|(name, part)| (name, text(name).or(part)));
    let named: Vec<&str> = parts.iter().filter_map(|(_, part)| part.as_deref()).collect();
    let flags = command.flags().iter();
    let flags = flags.filter(|flag| ["authfile", "cert-dir", "tls-verify"].contains(&flag.name.as_str()));
    Asked {
        options: flags.map(ToString::to_string).collect(),
        named: (!named.is_empty()).then(|| named.join("/")),
        architecture: parts[1].1.clone(),
        platform: parts
            .iter()
            .filter_map(|(name, part)| part.as_ref().map(|part| format!("--override-{name}={part}")))
            .collect(),
    }
}

/// Why a command can't be written in full.
enum Unspellable {
    Reference(InvalidReference),
    Refusal(Refusal),
}

impl From<Refusal> for Unspellable {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

fn spell_out(text: &str) -> Result<String, InvalidReference> {
    let reference = Reference::parse(text.strip_prefix(DOCKER).unwrap_or(text))?;
    Ok(format!("{DOCKER}{}", reference.in_registry()?.as_fetched().with_default_tag()))
}

/// As policies see it: podman would keep capital letters, and the other names of a registry.
fn as_judged(name: Result<Reference, InvalidReference>, text: &str) -> String {
    name.map_or_else(|_| text.to_owned(), |name| name.as_fetched().to_string())
}

/// Whether a switch is given, and on.
pub(super) fn is_on(command: &Command, name: &str) -> bool {
    command.flags().iter().any(|flag| flag.name == name && flag.value == FlagValue::Switch(true))
}

/// What a name means in its registry.
pub(super) struct Meaning {
    /// The digest of its manifest, or of its index if it has one.
    pub(super) digest: Digest,
    /// The digest of the manifest that podman chooses there.
    pub(super) instance: Digest,
}

/// An image of bootc's storage that a command names.
pub(super) struct Stored {
    /// The name that was asked for; none if it was asked for by its id.
    pub(super) name: Option<Reference>,
    /// If it was asked for by its id: all its names.
    pub(super) names: Vec<String>,
    pub(super) image: LocalImage,
}

impl From<Stored> for CommandImage {
    fn from(Stored { name, names, image }: Stored) -> Self {
        Self::Store { name, names, image }
    }
}

/// What the names in a command mean.
pub(super) trait Names {
    /// What a name means in its registry, asked as podman will ask.
    fn in_registry(&self, name: &Reference, asked: &Asked) -> Result<Meaning, Error>;

    /// An image of bootc's storage, by one of its names or by its id.
    fn in_store(&self, text: &str) -> Result<Stored, Error>;

    /// A name of an image as the storage has it: podman keeps capital letters, and finds no other spelling.
    fn as_stored(&self, image: &LocalImage, name: &str) -> Result<String, Error>;

    /// A file or directory of the caller's as it is really called. `-` is stdin.
    fn source(&self, command: &Command, text: &str) -> Result<String, Error>;

    /// Where a file or directory of the caller's really is that podman is to read or to write.
    fn path(&self, plugin: &PluginId, text: &str, kind: Kind) -> Result<String, Error>;

    /// Where requests of plugins go; nowhere, if nothing is to run.
    fn here(&self) -> Option<&Pipeline<'_>>;

    /// Who needs that bootc's storage has this name.
    fn needed_by(&self, name: &Reference) -> Result<Option<String>, Error>;

    /// The operations of our own that a request becomes.
    fn native(&self, request: &Request) -> Result<Vec<Operation>, Error>;
}

/// What they mean here and now.
pub(super) struct LookedUp<'a>(pub(super) &'a Pipeline<'a>);

impl LookedUp<'_> {
    fn directory(&self) -> Result<&Path, Error> {
        self.0.settings.directory.as_deref().ok_or(Error::NoDirectory)
    }
}

impl Names for LookedUp<'_> {
    fn in_registry(&self, name: &Reference, asked: &Asked) -> Result<Meaning, Error> {
        let look_up = || {
            let document = registry::manifest(self.0.settings, name, &asked.options)?;
            let digest = name.digest().cloned().unwrap_or_else(|| Digest::of(&document));
            let pinned = name.with_digest(digest.clone());
            let instance = registry::instance(self.0.settings, &pinned, &document, asked)?;
            Ok(Meaning { digest, instance })
        };
        look_up().map_err(|source| Error::LookUp { name: name.to_string(), source: Box::new(source) })
    }

    fn in_store(&self, text: &str) -> Result<Stored, Error> {
        in_store(self.0, text)
    }

    fn as_stored(&self, image: &LocalImage, name: &str) -> Result<String, Error> {
        let wanted = Reference::parse_local(name)?;
        let Some(store) = BootcStore::open(&physical(self.0.settings)?)? else { return Ok(name.to_owned()) };
        let contents = podman::open_store(store.root())?;
        let images = contents.images(self.0.settings.lock_limit, self.0.talk)?;
        let image = images.iter().find(|found| found.id == image.id);
        let is_typed = |image: &Image| image.names.iter().any(|stored| stored == name);
        if image.is_some_and(is_typed) {
            return Ok(name.to_owned());
        }
        let stored = image.and_then(|image| image.names_meaning(&wanted).next());
        Ok(stored.map_or_else(|| name.to_owned(), Clone::clone))
    }

    fn source(&self, command: &Command, text: &str) -> Result<String, Error> {
        source(self.directory()?, command, text)
    }

    fn path(&self, plugin: &PluginId, text: &str, kind: Kind) -> Result<String, Error> {
        if is_off(if kind == Kind::PathWrite { "path-write" } else { "path-read" }) {
            return Ok(text.to_owned());
        }
        let mut scopes = self.0.plugins.granted(plugin);
        scopes.retain(|capability| Some(capability.name.as_str()) == kind.capability());
        granted_path(self.directory()?, text, kind, &scopes)
    }

    fn here(&self) -> Option<&Pipeline<'_>> {
        Some(self.0)
    }

    fn needed_by(&self, name: &Reference) -> Result<Option<String>, Error> {
        let settings = self.0.settings;
        let physical = physical(settings)?;
        let needs = Needs::find(&physical, settings)?;
        let who = |image: Option<&Image>| needs.of_name(&name.to_string(), image).map(str::to_owned);
        let Some(store) = BootcStore::open(&physical)? else { return Ok(who(None)) };
        let contents = podman::open_store(store.root())?;
        let images = contents.images(settings.lock_limit, self.0.talk)?;
        Ok(who(images.meant(name)))
    }

    fn native(&self, request: &Request) -> Result<Vec<Operation>, Error> {
        match request {
            Request::Remove { images } => remove::resolve(self.0, images),
            Request::Prune { all } => remove::resolve_prune(self.0, *all),
            _ => Ok(Vec::new()),
        }
    }
}

/// An image of bootc's storage, by one of its names or by its id.
fn in_store(pipeline: &Pipeline<'_>, text: &str) -> Result<Stored, Error> {
    let not_found = || Error::ImageNotFound { name: text.to_owned(), list_with: LIST_WITH };
    let store = BootcStore::open(&physical(pipeline.settings)?)?.ok_or_else(not_found)?;
    let contents = podman::open_store(store.root())?;
    let images = contents.images(pipeline.settings.lock_limit, pipeline.talk)?;
    let (image, name) = in_contents(&images, text)?;
    let names = if name.is_none() { image.names.clone() } else { Vec::new() };
    Ok(Stored { name, names, image: local_image(store.root(), image)? })
}

/// A file or directory of the caller's as it is really called. `-` is stdin.
fn source(directory: &Path, command: &Command, text: &str) -> Result<String, Error> {
    if text == "-" {
        return Ok(text.to_owned());
    }
    // As podman looks: below the caller's directory, then below the context.
    let context = command.operands().first().map_or(Path::new("."), Path::new);
    let candidates = [directory.join(text), directory.join(context).join(text)];
    let found = candidates.iter().find(|path| path.exists()).unwrap_or(&candidates[0]);
    let path: PathBuf = fs::canonicalize(found).map_err(Error::io("find", found))?;
    let path = path.into_os_string().into_string().map_err(|path| OsError::NotUtf8(path.into()))?;
    // Some of podman's options are lists. A control character isn't written the same way by everybody.
    if path.contains(|c: char| c.is_control() || [',', '"'].contains(&c)) && !is_off("source") {
        return Err(Refusal::BadOperand(path).into());
    }
    Ok(path)
}

/// Where a path of the caller's leads that podman is to read or to write. Nobody but root may be able to lead it elsewhere
/// afterwards. That it is within a scope is judged later; of what isn't even written so, nothing is told.
fn granted_path(directory: &Path, text: &str, kind: Kind, scopes: &[Capability]) -> Result<String, Error> {
    let written = directory.join(text);
    let climbs = written.components().any(|part| part == Component::ParentDir);
    let within = !climbs && scopes.iter().any(|capability| capability.has_path(&written));
    let refused = |code: &str, message: String, hint: String| {
        Error::Denied(Denial { by: By::Host("grammar"), code: code.to_owned(), message, hint: Some(hint) })
    };
    let find = |path: &Path| fs::canonicalize(path).map_err(Error::io("find", path));
    let is_missing = |path: &Path| fs::symlink_metadata(path).is_err_and(|error| is_not_found(&error));
    let found = match (written.parent(), written.file_name()) {
        // The directory of the scope is made before something is written there.
        (Some(parent), Some(name))
            if kind == Kind::PathWrite
                && is_missing(parent)
                && scopes.iter().any(|capability| Path::new(&capability.scope) == parent) =>
        {
            let there = parent.ancestors().find(|path| !is_missing(path)).unwrap_or(parent);
            let rest = parent.strip_prefix(there).unwrap_or(parent);
            find(there).map(|there| there.join(rest).join(name))
        }
        (Some(parent), Some(name)) if kind == Kind::PathWrite => find(parent).map(|parent| parent.join(name)),
        _ => find(&written),
    };
    let outside = |path: &Path| {
        let scopes: Vec<&str> = scopes.iter().map(|capability| capability.scope.as_str()).collect();
        let message = format!("{} isn't where this plugin may lead podman", path.display());
        let hint = format!("it may below {}; everywhere else a pipe does: <FILE, >FILE", scopes.join(", "));
        refused("outside-scope", message, hint)
    };
    let found = match found {
        Err(_) if !within => return Err(outside(&written)),
        found => found?,
    };
    if !scopes.iter().any(|capability| capability.has_path(&found)) {
        return Err(outside(&found));
    }
    for part in found.ancestors() {
        let metadata = match fs::symlink_metadata(part) {
            // What is to be written need not be there, nor its directory.
            Err(error) if kind == Kind::PathWrite && is_not_found(&error) => continue,
            metadata => metadata.map_err(Error::io("examine", part))?,
        };
        if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 || metadata.is_symlink() {
            let message = format!("{} can't be used: {} isn't root's alone", found.display(), part.display());
            let hint = "use a directory that only root can write, all the way up".to_owned();
            return Err(refused("not-roots-own", message, hint));
        }
    }
    if kind == Kind::PathWrite && !is_missing(&found) {
        return Err(exists_already(&found).into());
    }
    let text = found.into_os_string().into_string().map_err(|path| OsError::NotUtf8(path.into()))?;
    // Some of podman's options are lists of keys and values.
    if text.contains(|c: char| c.is_control() || [',', '"', '='].contains(&c)) {
        Err(Refusal::BadOperand(text).into())
    } else {
        Ok(text)
    }
}

/// Nothing of root's is overwritten.
fn exists_already(path: &Path) -> Denial {
    Denial {
        by: By::Host("grammar"),
        code: "exists".to_owned(),
        message: format!("{} exists already, and nothing is overwritten", path.display()),
        hint: Some("choose another name, or remove it first".to_owned()),
    }
}

fn is_not_found(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// A name that a deployment needs isn't given to another image, nor taken away (D3.13).
fn refuse_needed(command: &Command, names: &dyn Names) -> Result<(), Error> {
    let Some((image, given)) = command.operands().split_first() else { return Ok(()) };
    let image = names.in_store(image)?.image;
    for text in given {
        let name = Reference::parse_local(text)?;
        let Some(who) = names.needed_by(&name)? else { continue };
        let stays = command.name() == "tag"
            && names.in_store(&name.to_string()).is_ok_and(|now| now.image.id == image.id);
        if !stays && !is_off("needs") {
            return Err(Error::Denied(Denial {
                by: By::Host("needs"),
                code: "needed".to_owned(),
                message: format!("the name {name} is needed by {who}"),
                hint: Some("choose another name".to_owned()),
            }));
        }
    }
    Ok(())
}

/// A name that this host needs isn't given to an image that another machine runs.
fn refuse_strange(
    names: &dyn Names,
    name: &Reference,
    pinned: &Reference,
    instance: &Digest,
    asked: &Asked,
) -> Result<(), Error> {
    let Some(platform) = &asked.named else { return Ok(()) };
    let Some(who) = names.needed_by(&name.clone().with_default_tag())? else { return Ok(()) };
    if names.in_registry(pinned, &asked.here())?.instance == *instance || is_off("needs") {
        return Ok(());
    }
    Err(Error::Denied(Denial {
        by: By::Host("needs"),
        code: "needed".to_owned(),
        message: format!(
            "the name {name} is needed by {who}, and the image for {platform} isn't this machine's"
        ),
        hint: Some("leave out the options that choose a platform".to_owned()),
    }))
}

/// Of one image an archive keeps the names under which it is saved. podman would take them from what names it, which is an id.
fn save(command: Command, names: &dyn Names, images: &mut Vec<CommandImage>) -> Result<Command, Error> {
    let wanted = command.operands().to_vec();
    let mut tags = Vec::new();
    let mut of_first: Option<String> = None;
    for text in &wanted {
        let found = names.in_store(text)?;
        let id = &found.image.id;
        if of_first.as_ref().is_some_and(|first| first != id) {
            return Err(Error::SeveralImages(wanted.join(" ")));
        }
        // An archive has tags alone.
        let named = found.name.iter().filter(|name| name.digest().is_none());
        tags.extend(named.map(|name| name.clone().with_default_tag().to_string()));
        of_first.get_or_insert_with(|| id.clone());
        // Each name that is given is judged.
        images.push(found.into());
    }
    let id = of_first.unwrap_or_default();
    let keeps_names = command
        .flags()
        .iter()
        .all(|flag| flag.name != "format" || flag.value == FlagValue::Text("docker-archive".to_owned()));
    let operands = std::iter::once(id).chain(if keeps_names { tags } else { Vec::new() });
    Ok(command.with_operands(operands.collect())?)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn planned(subcommand: &str, args: &[&str]) -> Result<Vec<String>, Denial> {
        let plugin = PluginId::new("p").unwrap();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let planned = Planned::parse(subcommand, &plugin, subcommand, &args)?;
        Ok(planned.command.argv())
    }

    /// A registry that keeps what it was asked with.
    struct Registry(RefCell<Vec<String>>);

    impl Names for Registry {
        fn in_registry(&self, _: &Reference, asked: &Asked) -> Result<Meaning, Error> {
            self.0.borrow_mut().extend(asked.options.iter().cloned());
            Ok(Meaning { digest: Digest::of(b""), instance: Digest::of(b"") })
        }

        fn in_store(&self, _: &str) -> Result<Stored, Error> {
            Err(Error::NothingNamed)
        }

        fn as_stored(&self, _: &LocalImage, name: &str) -> Result<String, Error> {
            Ok(name.to_owned())
        }

        fn source(&self, _: &Command, text: &str) -> Result<String, Error> {
            Ok(text.to_owned())
        }

        fn path(&self, _: &PluginId, text: &str, _: Kind) -> Result<String, Error> {
            Ok(format!("/where{text}/leads"))
        }

        fn here(&self) -> Option<&Pipeline<'_>> {
            None
        }

        fn needed_by(&self, _: &Reference) -> Result<Option<String>, Error> {
            Ok(None)
        }

        fn native(&self, _: &Request) -> Result<Vec<Operation>, Error> {
            Ok(Vec::new())
        }
    }

    /// What a name means is asked with the credentials and certificates that it will be fetched with.
    #[test]
    fn a_registry_is_asked_as_podman_will_ask_it() {
        let plugin = PluginId::new("p").unwrap();
        let args = ["--authfile=/a", "--cert-dir=/c", "--tls-verify=false", "--quiet", "quay.io/a:1"];
        let planned = Planned::parse("pull", &plugin, "pull", &args.map(str::to_owned)).unwrap();
        let registry = Registry(RefCell::default());
        planned.resolve(&registry).unwrap();
        let asked = registry.0.into_inner();
        assert_eq!(asked, ["--authfile=/where/a/leads", "--cert-dir=/where/c/leads", "--tls-verify=false"]);
    }

    #[test]
    fn images_of_registries_are_spelt_out() {
        for (name, expected) in [
            ("quay.io/a", "docker://quay.io/a:latest"),
            ("docker://quay.io/a:1", "docker://quay.io/a:1"),
            ("docker.io/a", "docker://docker.io/library/a:latest"),
        ] {
            assert_eq!(planned("pull", &[name]).unwrap(), ["pull", "--", expected]);
            assert_eq!(planned("push", &["x", name]).unwrap(), ["push", "--", "x", expected]);
        }
    }

    #[test]
    fn what_no_table_lists_and_what_is_in_no_registry_is_denied() {
        for (subcommand, args) in [("list", &["--root", "/x"][..]), ("mount", &[]), ("pull", &[])] {
            assert_eq!(planned(subcommand, args).unwrap_err().code, "not-in-table", "{subcommand}");
        }
        for name in ["dir:/x", "oci:5000/a", "docker://dir:/x", "docker://docker://quay.io/a", "a", "A"] {
            for args in [&[name][..], &["x", name]] {
                let subcommand = if args.len() == 1 { "pull" } else { "push" };
                let denial = planned(subcommand, args).unwrap_err();
                assert_eq!(denial.code, "not-a-registry-reference", "{subcommand} {name}");
            }
        }
    }

    #[test]
    fn a_source_is_what_its_name_leads_to() {
        let scratch = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(scratch.path()).unwrap();
        fs::create_dir_all(root.join("context/inner")).unwrap();
        fs::write(root.join("context/Other"), "").unwrap();
        std::os::unix::fs::symlink("context", root.join("link")).unwrap();
        let args: Vec<String> = ["-f", "Other", "link"].map(str::to_owned).to_vec();
        let command = parse("build", &args).unwrap();
        let find = |text| source(&root, &command, text);
        assert_eq!(Path::new(&find("link").unwrap()), root.join("context"));
        assert_eq!(Path::new(&find("Other").unwrap()), root.join("context/Other"));
        assert_eq!(find("-").unwrap(), "-");
        fs::write(root.join("a,b"), "").unwrap();
        assert!(matches!(find("a,b"), Err(Error::Denied(_))));
        // A temporary directory isn't root's alone.
        let scope = vec![Capability { name: "podman-writes".to_owned(), scope: root.display().to_string() }];
        let denied = |text: &str| match granted_path(&root, text, Kind::PathWrite, &scope) {
            Err(Error::Denied(denial)) => denial.code,
            other => format!("{other:?}"),
        };
        assert_eq!(denied("new.tar"), "not-roots-own");
        assert_eq!(denied("/nowhere/x"), "outside-scope");
        assert_eq!(denied("../nowhere/y"), "outside-scope");
        for missing in ["https://quay.io/a.tar", "github.com/a/b", "git@quay.io:a", "nowhere"] {
            assert!(find(missing).is_err(), "{missing}");
        }
    }
}

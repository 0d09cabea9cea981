//! A command as a plugin planned it: parsed, its names qualified, then resolved.

use bootc_image_grammar::{Command, Does, Kind, ParseError, Purpose, SecretFile, parse};
use bootc_image_model::denial::{Denial, DeniedBy};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::CommandImage;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::reference::{DOCKER, InvalidReference, Reference};
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::registry::RegistryRequest;

use super::resolver::{Meaning, Resolver};
use crate::error::Error;

/// A command as planned, with names that are not resolved yet.
pub(crate) struct Planned<'a> {
    pub(crate) invoked: &'a str,
    pub(crate) plugin: &'a PluginId,
    pub(crate) command: Command,
}

impl<'a> Planned<'a> {
    /// Parses a plan. Options that are not in the table are denied. Names of registries' images get their transport and tag, so
    /// that no tool can interpret them as anything else.
    pub(crate) fn parse(
        invoked: &'a str,
        plugin: &'a PluginId,
        subcommand: &str,
        args: &[String],
    ) -> Result<Self, Denial> {
        let denied = |code: &str, why: &dyn std::fmt::Display, hint: String| Denial {
            denied_by: DeniedBy::Host("grammar"),
            code: code.to_owned(),
            message: format!("`cmd {}`: {why}", invoked.escape_debug()),
            hint: Some(hint),
        };
        let not_in_table = |refusal: ParseError| {
            if matches!(refusal, ParseError::UnknownSubcommand(_)) {
                let why = format!("plugin {plugin} planned a subcommand that does not exist here: {refusal}");
                let hint =
                    "contact the plugin's vendor: a plugin must plan exactly the subcommand that the user runs".to_owned();
                return denied("not-in-table", &why, hint);
            }
            let hint = if matches!(refusal, ParseError::BadArgument { .. }) {
                "give at most 256 arguments, each with at most 4096 bytes and without control characters"
                    .to_owned()
            } else {
                format!(
                    "for the supported options, run: bootc-image cmd {} --help; if you meant an option of bootc-image itself, put it before `cmd`",
                    invoked.escape_debug()
                )
            };
            denied("not-in-table", &refusal, hint)
        };
        let command = parse(subcommand, args).map_err(not_in_table)?;
        // Lists take parts of names. Invalid names are denied later.
        let does = command.does();
        let names_images = does != Does::Lists;
        let qualified = command.rewrite(|kind, text| match kind {
            Kind::Remote | Kind::Destination => qualify(text).map_err(QualifyError::Reference),
            // Several stored names may be equivalent: the one that was typed is removed.
            Kind::Reference if does == Does::TakesNames => Ok(text.to_owned()),
            Kind::Reference if names_images => Ok(normalized(Reference::parse_local(text), text)),
            Kind::Full if names_images => Ok(normalized(Reference::parse(text), text)),
            _ => Ok(text.to_owned()),
        });
        match qualified {
            Ok(command) => Ok(Self { invoked, plugin, command }),
            Err(QualifyError::ParseError(refusal)) => Err(not_in_table(refusal)),
            Err(QualifyError::Reference(error)) => {
                let hint = "write the image as REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST"
                    .to_owned();
                Err(denied("not-a-registry-reference", &error, hint))
            }
        }
    }

    /// Resolves every name to a digest or an id, so that podman runs exactly what was judged.
    pub(crate) fn resolve(&self, names: &dyn Resolver) -> Result<Resolved, Error> {
        let mut images = Vec::new();
        let mut command = self.command.clone();
        refuse_directory_to_stdout(&command)?;
        let does = command.does();
        if self.command.has_operand_of(Kind::Source) && command.operands().is_empty() {
            command = command.with_operands(vec![".".to_owned()])?;
        }
        if command.is_on_for(Purpose::EveryTag) {
            return Ok(Resolved { command, images, pinned: false });
        }
        let wanted = command.clone();
        if does.changes_names() {
            refuse_needed(&command, names)?;
        }
        let saves_one = does == Does::Saves && !command.is_on_for(Purpose::EachImage);
        if saves_one {
            command = save(command, names, &mut images)?;
        }
        command = command.rewrite(|kind, text| match kind {
            Kind::PathRead | Kind::PathWrite => names.path(self.plugin, text, kind),
            // Other forms were denied before.
            Kind::SecretFile => match SecretFile::parse(text) {
                Ok(secret) => {
                    let path = names.path(self.plugin, secret.path, Kind::PathRead)?;
                    Ok(secret.with_path(&path).to_string())
                }
                Err(_) => Ok(text.to_owned()),
            },
            _ => Ok(text.to_owned()),
        })?;
        let asked = asked_of(&command);
        command = command.rewrite(|kind, text| match kind {
            Kind::Remote => {
                let name = Reference::parse(text.strip_prefix(DOCKER).unwrap_or(text))?;
                let Meaning { digest, instance } = names.in_registry(&name, &asked)?;
                let pinned = name.with_digest(digest);
                refuse_other_platform(names, &name, &pinned, &instance, &asked)?;
                let qualified = format!("{DOCKER}{pinned}");
                images.push(CommandImage::Registry { name, pinned, instance, platform: asked.named.clone() });
                Ok::<_, Error>(qualified)
            }
            Kind::Local if saves_one => Ok(text.to_owned()),
            Kind::Local => {
                let found = names.in_store(text)?;
                let id = found.image.id.clone();
                images.push(found.into());
                Ok(id)
            }
            Kind::Source => names.source(&wanted, text),
            // A name of the image that was resolved just before.
            Kind::Reference if does == Does::TakesNames => match images.last() {
                Some(CommandImage::Store { image, .. }) => names.as_stored(image, text),
                _ => Ok(text.to_owned()),
            },
            _ => Ok(text.to_owned()),
        })?;
        if does == Does::TakesNames {
            // Several spellings may be the same name, and podman would fail at the second.
            let mut names: Vec<String> = Vec::new();
            for name in command.operands() {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            command = command.with_operands(names)?;
        }
        if self.command.has_operand_of(Kind::Destination) && command.operands().len() == 1 {
            let name = match images.first() {
                Some(CommandImage::Store { name: Some(name), .. }) => name.clone().in_registry().ok(),
                _ => None,
            };
            let Some(name) = name else {
                return Err(StoresError::NoDestination(wanted.operands().join(" ")).into());
            };
            let operands = command.operands().iter().cloned().chain([format!("{DOCKER}{name}")]);
            command = command.with_operands(operands.collect())?;
        }
        // The images that a build fetches and that an archive contains are unknown.
        let pinned = does.has_known_images();
        Ok(Resolved { command, images, pinned })
    }
}

/// A command with resolved names.
pub(crate) struct Resolved {
    pub(crate) command: Command,
    /// The images that its names resolved to.
    pub(crate) images: Vec<CommandImage>,
    /// Whether everything that it fetches is pinned by digest.
    pub(crate) pinned: bool,
}

/// podman cannot write a directory to standard output: it would wait for ever for another process to open a pipe.
fn refuse_directory_to_stdout(command: &Command) -> Result<(), Error> {
    match command.text("format") {
        Some(format @ ("docker-dir" | "oci-dir"))
            if command.does() == Does::Saves && command.text("output").is_none() =>
        {
            Err(Error::DirectoryToStdout { format: format.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The options with which a command contacts registries.
pub(super) fn asked_of(command: &Command) -> RegistryRequest {
    let platform = command.text_for(Purpose::Platform).unwrap_or_default();
    let mut parts = platform.split('/').map(str::to_owned).filter(|part| !part.is_empty());
    let parts = [
        ("os", Purpose::Os, parts.next()),
        ("arch", Purpose::Architecture, parts.next()),
        ("variant", Purpose::Variant, parts.next()),
    ];
    let parts =
        parts.map(|(name, purpose, part)| (name, command.text_for(purpose).map(str::to_owned).or(part)));
    let named: Vec<&str> = parts.iter().filter_map(|(_, part)| part.as_deref()).collect();
    RegistryRequest {
        options: command.given_for(Purpose::ContactsRegistry).map(ToString::to_string).collect(),
        named: (!named.is_empty()).then(|| named.join("/")),
        architecture: parts[1].1.clone(),
        platform: parts
            .iter()
            .filter_map(|(name, part)| part.as_ref().map(|part| format!("--override-{name}={part}")))
            .collect(),
    }
}

/// Why the names of a command cannot be qualified.
enum QualifyError {
    Reference(InvalidReference),
    ParseError(ParseError),
}

impl From<ParseError> for QualifyError {
    fn from(refusal: ParseError) -> Self {
        Self::ParseError(refusal)
    }
}

/// Adds transport and tag.
fn qualify(text: &str) -> Result<String, InvalidReference> {
    let reference = Reference::parse(text.strip_prefix(DOCKER).unwrap_or(text))?;
    Ok(format!("{DOCKER}{}", reference.in_registry()?.as_fetched().with_default_tag()))
}

/// The spelling that policies see. podman would keep upper-case letters and aliases of a registry.
fn normalized(name: Result<Reference, InvalidReference>, text: &str) -> String {
    name.map_or_else(|_| text.to_owned(), |name| name.as_fetched().to_string())
}

/// Denies giving a name that a deployment needs to another image, or removing it: the host may not start without it.
pub(super) fn refuse_needed(command: &Command, names: &dyn Resolver) -> Result<(), Error> {
    let Some((image, given)) = command.operands().split_first() else { return Ok(()) };
    let image = names.in_store(image)?.image;
    for text in given {
        let name = Reference::parse_local(text)?;
        let Some(who) = names.needed_by(&name)? else { continue };
        let stays = command.does() == Does::GivesNames
            && names.in_store(&name.to_string()).is_ok_and(|now| now.image.id == image.id);
        if !stays {
            return Err(Error::Denied(Denial {
                denied_by: DeniedBy::Host("needs"),
                code: "needed".to_owned(),
                message: format!(
                    "the name {name} is needed by {who}; it cannot be removed or given to another image"
                ),
                hint: Some("choose another name".to_owned()),
            }));
        }
    }
    Ok(())
}

/// Denies giving a name that this host needs to an image for another platform.
fn refuse_other_platform(
    names: &dyn Resolver,
    name: &Reference,
    pinned: &Reference,
    instance: &Digest,
    asked: &RegistryRequest,
) -> Result<(), Error> {
    let Some(platform) = &asked.named else { return Ok(()) };
    let Some(who) = names.needed_by(&name.clone().with_default_tag())? else { return Ok(()) };
    if names.in_registry(pinned, &asked.here())?.instance == *instance {
        return Ok(());
    }
    Err(Error::Denied(Denial {
        denied_by: DeniedBy::Host("needs"),
        code: "needed".to_owned(),
        message: format!(
            "the name {name} cannot be given to the image for {platform}, which is not the one for this host: \
             it is needed by {who}"
        ),
        hint: Some("omit the options that select a platform, such as --platform and --arch".to_owned()),
    }))
}

/// An archive of one image contains the names under which the image is saved. podman takes them from its operands, and gets an id
/// as the first one. So the names follow it.
fn save(command: Command, names: &dyn Resolver, images: &mut Vec<CommandImage>) -> Result<Command, Error> {
    let wanted = command.operands().to_vec();
    let mut tags = Vec::new();
    let mut of_first: Option<String> = None;
    for text in &wanted {
        let found = names.in_store(text)?;
        let id = &found.image.id;
        if of_first.as_ref().is_some_and(|first| first != id) {
            return Err(Error::SeveralImages(wanted.join(" and ")));
        }
        // Archives contain only tags, no digests.
        let named = found.name.iter().filter(|name| name.digest().is_none());
        tags.extend(named.map(|name| name.clone().with_default_tag().to_string()));
        of_first.get_or_insert_with(|| id.clone());
        // Policies judge every name that was given.
        images.push(found.into());
    }
    let id = of_first.unwrap_or_default();
    let keeps_names = command.text("format").is_none_or(|format| format == "docker-archive");
    let operands = std::iter::once(id).chain(if keeps_names { tags } else { Vec::new() });
    Ok(command.with_operands(operands.collect())?)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use bootc_image_model::image::LocalImage;

    use super::super::resolver::Stored;
    use super::*;

    fn planned(subcommand: &str, args: &[&str]) -> Result<Vec<String>, Denial> {
        let plugin = PluginId::new("p").unwrap();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let planned = Planned::parse(subcommand, &plugin, subcommand, &args)?;
        Ok(planned.command.argv())
    }

    /// A registry that records the options of requests.
    struct Registry(RefCell<Vec<String>>);

    impl Resolver for Registry {
        fn in_registry(&self, _: &Reference, asked: &RegistryRequest) -> Result<Meaning, Error> {
            self.0.borrow_mut().extend(asked.options.iter().cloned());
            Ok(Meaning { digest: Digest::of(b""), instance: Digest::of(b"") })
        }

        fn in_store(&self, _: &str) -> Result<Stored, Error> {
            Err(Error::NoImageGiven)
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

        fn needed_by(&self, _: &Reference) -> Result<Option<String>, Error> {
            Ok(None)
        }
    }

    /// Names are resolved with the credentials and certificates with which the image is fetched.
    #[test]
    fn names_are_resolved_with_the_options_that_podman_uses() {
        let plugin = PluginId::new("p").unwrap();
        let args = ["--authfile=/a", "--cert-dir=/c", "--tls-verify=false", "--quiet", "quay.io/a:1"];
        let planned = Planned::parse("pull", &plugin, "pull", &args.map(str::to_owned)).unwrap();
        let registry = Registry(RefCell::default());
        planned.resolve(&registry).unwrap();
        let asked = registry.0.into_inner();
        assert_eq!(asked, ["--authfile=/where/a/leads", "--cert-dir=/where/c/leads", "--tls-verify=false"]);
    }

    #[test]
    fn names_of_registries_images_are_qualified() {
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
    fn unknown_options_and_references_outside_registries_are_denied() {
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
}

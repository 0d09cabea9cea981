//! Running podman on bootc's storage, as a plugin planned it.
//!
//! ```text
//! plan --parse, spell out--> Command --host's validators--> look names up --> Operation --judged--> podman
//! ```
//!
//! Images of registries are pulled by the digest that was judged and named afterwards; images of the storage are meant by
//! their ids.

use std::fs;
use std::path::{Path, PathBuf};

use bootc_image_grammar::weakened::is_off;
use bootc_image_grammar::{Command, FlagValue, Kind, Refusal, parse};

use super::local::{alone, held, local_image, meanings};
use super::{Pipeline, physical, writable_physical};
use crate::bootc_store::{BootcStore, with_credentials};
use crate::children::{Program, exit_code};
use crate::digest::Digest;
use crate::error::{Denial, Error};
use crate::operation::{CommandImage, LocalImage, Operation};
use crate::plugin::PluginId;
use crate::reference::{DOCKER, InvalidReference, Reference};
use crate::report::Report;
use crate::storage::containers::{Image, Images, Store};

/// How images of bootc's storage are listed.
const LIST_WITH: &str = "bootc-image cmd list";
/// The fewest digits of an id that stand for it.
const SHORT_ID: usize = 12;

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
            by: "grammar".to_owned(),
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
        let spelt_out = command.rewrite(|kind, text| match kind {
            Kind::Remote | Kind::Destination if !is_off("reference") => {
                spell_out(text).map_err(Unspellable::Reference)
            }
            _ => Ok(text.to_owned()),
        });
        match spelt_out {
            Ok(command) => Ok(Self { invoked, plugin, command }),
            Err(Unspellable::Refusal(refusal)) => Err(not_in_table(refusal)),
            Err(Unspellable::Reference(error)) => {
                let hint = match &error {
                    InvalidReference::Transport(text) => {
                        let transport = text.split(':').next().unwrap_or_default();
                        format!("this needs the capability transport:{transport}, which no plugin has been granted")
                    }
                    _ => "name an image in a registry: REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST".to_owned(),
                };
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
        let kinds: Vec<Kind> =
            command.table().into_iter().flat_map(|table| table.operands).map(|o| o.kind).collect();
        if kinds.contains(&Kind::Source) && command.operands().is_empty() {
            command = command.with_operand(".".to_owned())?;
        }
        if is_on(&command, "all-tags") {
            return Ok(self.operation(command, images, false));
        }
        let wanted = command.clone();
        command = command.rewrite(|kind, text| match kind {
            Kind::Remote if !is_off("reference") => {
                let name = Reference::parse(text.strip_prefix(DOCKER).unwrap_or(text))?;
                let digest = match name.digest() {
                    Some(digest) => digest.clone(),
                    None => names.in_registry(&name, verifies_tls(&wanted))?,
                };
                let pinned = name.with_digest(digest);
                let spelt_out = format!("{DOCKER}{pinned}");
                images.push(CommandImage::Registry { name, pinned });
                Ok::<_, Error>(spelt_out)
            }
            Kind::Local => {
                let (name, image) = names.in_store(text)?;
                let id = image.id.clone();
                images.push(CommandImage::Store { name, image });
                Ok(id)
            }
            Kind::Source => names.source(&wanted, text),
            _ => Ok(text.to_owned()),
        })?;
        if kinds.contains(&Kind::Destination) && command.operands().len() == 1 {
            let name = match images.first() {
                Some(CommandImage::Store { name: Some(name), .. }) => name.clone().in_registry().ok(),
                _ => None,
            };
            let Some(name) = name else {
                return Err(Error::NoDestination(wanted.operands().join(" ")));
            };
            command = command.with_operand(format!("{DOCKER}{name}"))?;
        }
        let pinned = !kinds.contains(&Kind::Source);
        Ok(self.operation(command, images, pinned))
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
    Ok(format!("{DOCKER}{}", reference.in_registry()?.with_default_tag()))
}

fn is_on(command: &Command, name: &str) -> bool {
    command.flags().iter().any(|flag| flag.name == name && flag.value == FlagValue::Switch(true))
}

/// Whether certificates are checked, if that is said; else it is the registry's configuration that says so.
fn verifies_tls(command: &Command) -> Option<bool> {
    command.flags().iter().find_map(|flag| match flag.value {
        FlagValue::Switch(on) if flag.name == "tls-verify" => Some(on),
        _ => None,
    })
}

/// What the names in a command mean.
pub(super) trait Names {
    /// What a name means in its registry: the digest of its manifest, or of its index if it has one.
    fn in_registry(&self, name: &Reference, verify_tls: Option<bool>) -> Result<Digest, Error>;

    /// An image of bootc's storage, by one of its names or by its id.
    fn in_store(&self, text: &str) -> Result<(Option<Reference>, LocalImage), Error>;

    /// A file or directory of the caller's as it is really called. `-` is stdin.
    fn source(&self, command: &Command, text: &str) -> Result<String, Error>;
}

/// What they mean here and now.
pub(super) struct LookedUp<'a>(pub(super) &'a Pipeline<'a>);

impl Names for LookedUp<'_> {
    fn in_registry(&self, name: &Reference, verify_tls: Option<bool>) -> Result<Digest, Error> {
        let mut skopeo = with_credentials(Program::Skopeo, self.0.settings)?;
        skopeo.args(["inspect", "--raw"]);
        skopeo.args(verify_tls.map(|verify| format!("--tls-verify={verify}")));
        skopeo.arg(format!("{DOCKER}{name}"));
        let manifest = skopeo
            .run_for_output()
            .map_err(|source| Error::LookUp { name: name.to_string(), source: Box::new(source) })?;
        Ok(Digest::of(&manifest))
    }

    fn in_store(&self, text: &str) -> Result<(Option<Reference>, LocalImage), Error> {
        in_store(self.0, text)
    }

    fn source(&self, command: &Command, text: &str) -> Result<String, Error> {
        source(&self.0.settings.directory, command, text)
    }
}

/// An image of bootc's storage, by one of its names or by its id.
fn in_store(pipeline: &Pipeline<'_>, text: &str) -> Result<(Option<Reference>, LocalImage), Error> {
    let not_found = || Error::ImageNotFound { name: text.to_owned(), list_with: LIST_WITH };
    let store = BootcStore::open(&physical(pipeline.settings)?)?.ok_or_else(not_found)?;
    let contents = Store::open(store.root())?;
    let images = contents.images(pipeline.settings.lock_limit, pipeline.talk)?;
    let named = || -> Result<_, Error> {
        let names = meanings(text)?.into_iter();
        let found = names.filter_map(|name| Some((images.named(&name)?, Some(name))));
        Ok(found.collect::<Vec<_>>())
    };
    let found = match by_id(&images, text) {
        found if found.is_empty() => named()?,
        found => found.into_iter().map(|image| (image, None)).collect(),
    };
    let Some((first, name)) = found.first() else { return Err(not_found()) };
    if found.iter().any(|(image, _)| image.id != first.id) {
        let name_of = |(image, name): &(&Image, Option<Reference>)| {
            name.as_ref().map_or_else(|| image.id.clone(), Reference::to_string)
        };
        return Err(Error::Ambiguous {
            name: text.to_owned(),
            candidates: found.iter().map(name_of).collect(),
        });
    }
    Ok((name.clone(), local_image(store.root(), first)?))
}

fn by_id<'a>(images: &'a Images<'_>, text: &str) -> Vec<&'a Image> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let is_id =
        digits.len() >= SHORT_ID && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    images.iter().filter(|image| is_id && image.id.starts_with(digits)).collect()
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
    let path = path.into_os_string().into_string().map_err(|path| Error::NotUtf8(path.into()))?;
    // Some of podman's options are lists.
    if path.contains([',', '"']) && !is_off("source") {
        return Err(Refusal::BadOperand(path).into());
    }
    Ok(path)
}

pub(super) fn execute(
    pipeline: &Pipeline<'_>,
    command: &Command,
    images: &[CommandImage],
) -> Result<Report, Error> {
    let settings = pipeline.settings;
    let store = BootcStore::open_or_create(&writable_physical(settings)?, settings, pipeline.talk)?;
    // Two that fetch one index for different machines would take each other's image for theirs.
    let fetches = images.iter().any(|image| matches!(image, CommandImage::Registry { .. }));
    let _alone = if fetches { Some(alone(pipeline, "bootc")?) } else { None };
    let mut podman = store.podman(settings)?;
    podman.arg("image").args(command.argv());
    let code = exit_code(podman.run_in_place()?);
    let named = images.iter().map(|image| name_fetched(pipeline, &store, image));
    if code == 0 {
        named.collect::<Result<(), _>>()?;
    } else {
        // What did arrive gets its name all the same; podman has said what didn't.
        named.for_each(drop);
    }
    Ok(Report::Exited { code })
}

/// Gives an image that was fetched by digest the name that was asked for.
fn name_fetched(pipeline: &Pipeline<'_>, store: &BootcStore, image: &CommandImage) -> Result<(), Error> {
    let CommandImage::Registry { name, pinned } = image else { return Ok(()) };
    let Some(digest) = pinned.digest().filter(|_| name.digest().is_none()) else { return Ok(()) };
    let fetched = held(pipeline, store.root(), pinned, |image| image.is_of(digest))?;
    let unlike = |what: &Reference| Error::Verification {
        what: what.to_string(),
        why: format!("bootc's storage has no whole image of {digest} under this name"),
    };
    let fetched = fetched.ok_or_else(|| unlike(pinned))?;
    let mut podman = store.podman(pipeline.settings)?;
    podman.args(["image", "tag", &fetched.id, &name.to_string()]);
    podman.run_quietly()?;
    held(pipeline, store.root(), name, |image| image.id == fetched.id)?.ok_or_else(|| unlike(name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(subcommand: &str, args: &[&str]) -> Result<Vec<String>, Denial> {
        let plugin = PluginId::new("p").unwrap();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let planned = Planned::parse(subcommand, &plugin, subcommand, &args)?;
        Ok(planned.command.argv())
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
        for missing in ["https://quay.io/a.tar", "github.com/a/b", "git@quay.io:a", "nowhere"] {
            assert!(find(missing).is_err(), "{missing}");
        }
    }
}

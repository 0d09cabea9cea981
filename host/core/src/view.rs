//! An operation in the words in which plugins' policies see it: names taken apart, every image with the part that it plays.

use bootc_image_grammar::{Command, Kind, Value};
use bootc_image_model::view::{Image, Name, Role, View};

use crate::frozen::Frozen;
use crate::operation::Operation;
use bootc_image_model::image::{
    CommandImage, CopySource, HostImage, LocalImage, Removal, RepairSource, StoredImage, UnifiedSource,
};
use bootc_image_model::reference::{CONTAINERS_STORAGE, DOCKER, Reference};

/// The operation as policies see it. None if policies have no say in it: it is about plugins, and a policy that fails
/// must not keep its own repair from happening.
pub fn view_of(frozen: &Frozen) -> Option<View> {
    let operation = frozen.operation();
    let (mut argv, mut plugin, mut pinned) = (Vec::new(), None, true);
    let images = match operation {
        Operation::ApprovePlugin { .. } | Operation::RevokePlugin { .. } => return None,
        Operation::List { .. } => Vec::new(),
        Operation::CopyToStorage { source, target } => {
            vec![of_source(source), stored(Role::Target, target)]
        }
        Operation::PullFromDefaultStorage { source, name } => {
            vec![local(Some(name), source), stored(Role::Target, name)]
        }
        Operation::SetUnified { image, from, name } => {
            let source = match from {
                UnifiedSource::DefaultStore(held) => local(Some(name), held),
                UnifiedSource::Registry { .. } | UnifiedSource::Host => host(image),
            };
            vec![source, stored(Role::Target, name)]
        }
        Operation::Remove { image } | Operation::Prune { image, .. } => removed(image),
        Operation::Repair { image, from } => {
            let sources = match from {
                // The same image, so its names here are those that rules are about.
                RepairSource::DefaultStore(held) if image.names.is_empty() => vec![local(None, held)],
                RepairSource::DefaultStore(held) => {
                    let of_name =
                        |name: &String| Image { name: Some(Name::in_storage(name)), ..local(None, held) };
                    image.names.iter().map(of_name).collect()
                }
                RepairSource::Host(source) => vec![host(source)],
                RepairSource::Registry { references } => references.iter().map(fetched).collect(),
            };
            sources.into_iter().chain(repaired(image)).collect()
        }
        Operation::Cmd { command, images, plugin: owner, pinned: all, .. } => {
            argv = command.argv().split_off(command.subcommand().split(' ').count());
            plugin = Some(owner.to_string());
            pinned = *all;
            let (mut found, resolved) = (images.iter(), frozen.is_resolved());
            let mut seen: Vec<Image> = Vec::new();
            for value in command.values() {
                seen.extend(of_value(command, &value, &mut found, resolved));
            }
            // An archive of one image is written of its id, whichever names were given.
            seen.extend(found.filter(|_| resolved).flat_map(of_command));
            seen
        }
    };
    let subject = frozen.subject();
    let plugin = plugin.or_else(|| subject.plugin.as_ref().map(ToString::to_string));
    let attrs = [
        ("caller.uid", subject.uid.map(|uid| uid.to_string())),
        ("caller.via", subject.delegation.map(|by| by.as_str().to_owned())),
        ("pinned", Some(pinned.to_string())),
        ("plugin", plugin),
        ("resolved", Some(frozen.is_resolved().to_string())),
        ("sysroot", frozen.sysroot().map(str::to_owned)),
    ];
    Some(View {
        kind: kind(operation),
        argv,
        images,
        digest: frozen.digest().to_string(),
        attrs: attrs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
    })
}

/// An operation's name for policies: what a person would type.
fn kind(operation: &Operation) -> String {
    match operation {
        Operation::Cmd { command, .. } => format!("cmd {}", command.subcommand()),
        other => other.kind().to_owned(),
    }
}

fn of_source(source: &CopySource) -> Image {
    match source {
        CopySource::Host(image) => host(image),
        CopySource::Unified(image) => local(Some(&image.name), &image.image),
    }
}

fn host(image: &HostImage) -> Image {
    Image {
        role: Role::Source,
        name: Name::of_host(&image.name),
        digest: Some(image.manifest_digest.to_string()),
        attrs: vec![("commit", image.commit.to_string())],
    }
}

fn local(name: Option<&Reference>, image: &LocalImage) -> Image {
    Image {
        role: Role::Source,
        name: name.map(|name| Name::new(CONTAINERS_STORAGE, name)),
        digest: Some(image.manifest_digest.to_string()),
        attrs: vec![("id", image.id.clone())],
    }
}

/// An image for each name that goes; of one without a name, only the digest.
fn removed(removal: &Removal) -> Vec<Image> {
    let image = |name: Option<Name>| Image {
        role: Role::Image,
        name,
        digest: removal.manifest_digest.as_ref().map(ToString::to_string),
        attrs: vec![("id", removal.id.clone())],
    };
    let named = |name: &String| image(Some(Name::in_storage(name)));
    if removal.names.is_empty() { vec![image(None)] } else { removal.names.iter().map(named).collect() }
}

/// What a command was looked up to be about: an image for each name that it has.
fn of_command(image: &CommandImage) -> Vec<Image> {
    match image {
        CommandImage::Registry { name, pinned, instance, platform } => vec![Image {
            role: Role::Source,
            name: Some(Name::new(DOCKER, name)),
            digest: pinned.digest().map(ToString::to_string),
            attrs: std::iter::once(("instance", instance.to_string()))
                .chain(platform.iter().map(|platform| ("platform", platform.clone())))
                .collect(),
        }],
        CommandImage::Store { name, names, image } if names.is_empty() => vec![local(name.as_ref(), image)],
        CommandImage::Store { names, image, .. } => names
            .iter()
            .map(|name| Image { name: Some(Name::in_storage(name)), ..local(None, image) })
            .collect(),
    }
}

/// An image for each name that stays.
fn repaired(image: &StoredImage) -> Vec<Image> {
    let of_name = |name: &String| {
        let known = Reference::parse_local(name).map(|name| Name::new(CONTAINERS_STORAGE, &name));
        Image {
            role: Role::Target,
            name: Some(known.unwrap_or_else(|_| Name::unusual(name))),
            digest: image.manifest_digest.as_ref().map(ToString::to_string),
            attrs: vec![("id", image.id.clone())],
        }
    };
    image.names.iter().map(of_name).collect()
}

/// An image of a registry, by digest.
fn fetched(reference: &Reference) -> Image {
    Image {
        role: Role::Source,
        name: Some(Name::new(DOCKER, reference)),
        digest: reference.digest().map(ToString::to_string),
        attrs: Vec::new(),
    }
}

fn stored(role: Role, name: &Reference) -> Image {
    Image { role, name: Some(Name::new(CONTAINERS_STORAGE, name)), digest: None, attrs: Vec::new() }
}

/// The image that a value of a podman command names, if it names one. `found` has what the names of images mean that were
/// looked up, in the order in which they stand in the command: two names may mean one image.
fn of_value<'a>(
    command: &Command,
    value: &Value<'_>,
    found: &mut impl Iterator<Item = &'a CommandImage>,
    resolved: bool,
) -> Vec<Image> {
    let named = |role, transport, reference: &Reference| Image {
        role,
        digest: reference.digest().map(ToString::to_string),
        name: Some(Name::new(transport, reference)),
        attrs: value.option.map(|option| ("option", option.to_owned())).into_iter().collect(),
    };
    let in_registry = || Reference::parse(value.text.strip_prefix(DOCKER).unwrap_or(value.text)).ok();
    let one = match value.kind {
        Kind::Remote | Kind::Local if resolved => return found.next().map(of_command).unwrap_or_default(),
        Kind::Remote => in_registry().map(|reference| named(Role::Source, DOCKER, &reference)),
        // What a local name means isn't known before it is looked up, and nobody else is asked for that.
        Kind::Local => None,
        Kind::Destination => in_registry().map(|reference| named(Role::Target, DOCKER, &reference)),
        Kind::Full => Reference::parse(value.text).ok().map(|reference| {
            let role = if value.option == Some("cache-to") { Role::Target } else { Role::Source };
            let transport = if reference.registry() == "localhost" { CONTAINERS_STORAGE } else { DOCKER };
            named(role, transport, &reference)
        }),
        Kind::Reference => {
            let is_given = value.option.is_some() || ["tag", "untag"].contains(&command.name());
            let role = if is_given { Role::Target } else { Role::Image };
            Reference::parse_local(value.text)
                .ok()
                .map(|reference| named(role, CONTAINERS_STORAGE, &reference))
        }
        _ => None,
    };
    one.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use bootc_image_grammar::parse;

    use super::*;
    use bootc_image_model::digest::{Commit, Digest};
    use bootc_image_model::plugin::PluginId;
    use bootc_image_model::subject::{Delegation, Subject};

    fn subject() -> Subject {
        Subject::new(Some(1000), Some(Delegation::Sudo))
    }

    fn reference(text: &str) -> Reference {
        Reference::parse_local(text).unwrap()
    }

    fn seen(operation: Operation) -> View {
        view_of(&Frozen::new(operation, subject(), None)).unwrap()
    }

    fn cmd(subcommand: &str, args: &[&str], images: Vec<CommandImage>) -> Operation {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let command = parse(subcommand, &args).unwrap();
        let plugin = PluginId::new("p").unwrap();
        Operation::Cmd { invoked: subcommand.to_owned(), plugin, command, images, pinned: true }
    }

    /// Role, canonical name and digest of each image.
    fn images(view: &View) -> Vec<(Role, Option<&str>, Option<&str>)> {
        view.images
            .iter()
            .map(|image| {
                (image.role, image.name.as_ref().map(|name| name.canonical.as_str()), image.digest.as_deref())
            })
            .collect()
    }

    #[test]
    fn a_host_image_is_seen_with_its_commit_and_the_caller_behind_sudo() {
        let digest = Digest::of(b"m");
        let source = CopySource::Host(HostImage {
            name: "docker://quay.io/os/base:1".to_owned(),
            commit: Commit::new("c".repeat(64)).unwrap(),
            manifest_digest: digest.clone(),
        });
        let view = seen(Operation::CopyToStorage { source, target: reference("bootc") });
        assert_eq!(
            images(&view),
            [
                (Role::Source, Some("docker://quay.io/os/base:1"), Some(digest.as_str())),
                (Role::Target, Some("containers-storage:localhost/bootc:latest"), None)
            ]
        );
        assert_eq!(view.images[0].attrs, [("commit", "c".repeat(64))]);
        let attr = |key| view.attr(key);
        assert_eq!((attr("caller.uid"), attr("caller.via")), (Some("1000"), Some("sudo")));
        assert_eq!((attr("resolved"), attr("plugin"), attr("sysroot")), (Some("true"), None, None));
    }

    #[test]
    fn a_pull_is_seen_as_asked_for_with_the_digest_that_will_run() {
        let name = reference("quay.io/a:1");
        let pinned = name.with_digest(Digest::of(b"x"));
        let text = format!("{DOCKER}{pinned}");
        let found = vec![CommandImage::Registry {
            name,
            pinned,
            instance: Digest::of(b"i"),
            platform: Some("arm64".to_owned()),
        }];
        let view = seen(cmd("pull", &["--quiet", &text], found));
        assert_eq!(view.kind, "cmd pull");
        assert_eq!(view.argv, ["--quiet=true", "--", &text]);
        let digest = Digest::of(b"x");
        assert_eq!(images(&view), [(Role::Source, Some("docker://quay.io/a:1"), Some(digest.as_str()))]);
        let attrs = [("instance", Digest::of(b"i").to_string()), ("platform", "arm64".to_owned())];
        assert_eq!(view.images[0].attrs, attrs);
    }

    #[test]
    fn two_names_of_one_image_are_seen_as_two() {
        let [one, latest] = ["quay.io/a:1", "quay.io/a:latest"].map(reference);
        let pinned = one.with_digest(Digest::of(b"x"));
        let text = format!("{DOCKER}{pinned}");
        let found = [&one, &latest]
            .map(|name| CommandImage::Registry {
                name: name.clone(),
                pinned: pinned.clone(),
                instance: Digest::of(b"x"),
                platform: None,
            })
            .to_vec();
        let view = seen(cmd("pull", &[&text, &text], found));
        let names: Vec<_> = images(&view).into_iter().map(|(_, name, _)| name.unwrap().to_owned()).collect();
        assert_eq!(names, ["docker://quay.io/a:1", "docker://quay.io/a:latest"]);
    }

    #[test]
    fn images_that_options_name_are_seen() {
        let view =
            seen(cmd("build", &["-t", "a:1", "--from", "quay.io/b", "--cache-to=quay.io/c", "/x"], vec![]));
        assert_eq!(
            images(&view),
            [
                (Role::Target, Some("containers-storage:localhost/a:1"), None),
                (Role::Source, Some("docker://quay.io/b"), None),
                (Role::Target, Some("docker://quay.io/c"), None),
            ]
        );
        assert_eq!(view.images[0].attrs, [("option", "tag".to_owned())]);
    }

    #[test]
    fn a_push_by_id_has_no_name_and_before_the_lookup_no_source() {
        let image = LocalImage { id: "a".repeat(64), manifest_digest: Digest::of(b"m") };
        let found = vec![CommandImage::Store { name: None, names: Vec::new(), image }];
        let push = || cmd("push", &[&"a".repeat(64), "docker://quay.io/x:1"], found.clone());
        let view = seen(push());
        assert_eq!((view.images[0].role, view.images[0].name.as_ref()), (Role::Source, None));
        let unresolved = view_of(&Frozen::unresolved(push(), subject(), None)).unwrap();
        assert_eq!(images(&unresolved), [(Role::Target, Some("docker://quay.io/x:1"), None)]);
        assert_eq!(unresolved.attr("resolved"), Some("false"));
    }

    #[test]
    fn an_image_that_is_named_by_its_id_has_all_its_names_and_every_name_of_an_archive_is_seen() {
        let image = || LocalImage { id: "a".repeat(64), manifest_digest: Digest::of(b"m") };
        let names = ["quay.io/a:1".to_owned(), "quay.io/b:1".to_owned()];
        let by_id = CommandImage::Store { name: None, names: names.to_vec(), image: image() };
        let view = seen(cmd("push", &[&"a".repeat(64), "docker://quay.io/x:1"], vec![by_id]));
        let sources = |view: &View| -> Vec<String> {
            let sources = view.images.iter().filter(|image| image.role == Role::Source);
            sources.map(|image| image.name.as_ref().unwrap().canonical.clone()).collect()
        };
        let both = ["containers-storage:quay.io/a:1", "containers-storage:quay.io/b:1"];
        assert_eq!(sources(&view), both);
        let named = names.map(|name| CommandImage::Store {
            name: Some(reference(&name)),
            names: Vec::new(),
            image: image(),
        });
        for operands in
            [vec!["a".repeat(64)], vec!["a".repeat(64), "quay.io/a:1".into(), "quay.io/b:1".into()]]
        {
            let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
            assert_eq!(sources(&seen(cmd("save", &operands, named.to_vec()))), both);
        }
    }

    #[test]
    fn a_name_of_another_transport_has_no_registry() {
        let name = Name::of_host("oci:/srv/os:1").unwrap();
        assert_eq!(
            (name.transport.as_str(), name.registry.as_str(), name.path().as_str()),
            ("oci", "", "/srv/os:1")
        );
        let path = |name: &str| Name::of_host(name).map(|name| name.path());
        for (host, expected) in [
            ("docker://quay.io/a/b:1", Some("quay.io/a/b")),
            ("docker://quay.io:443/a/b:1", Some("quay.io/a/b")),
            ("docker://fedora:1", Some("docker.io/library/fedora")),
            ("containers-storage:app:1", Some("localhost/app")),
            ("docker://A B", None),
            ("nothing", None),
        ] {
            assert_eq!(path(host).as_deref(), expected, "{host}");
        }
    }
}

//! Tests of the policy input.

use std::collections::{BTreeMap, BTreeSet};

use bootc_image_grammar::{Kind, TABLES, Table, parse};
use bootc_image_model::columns::ListType;
use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::image::*;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::policy_input::Name;
use bootc_image_model::policy_input::{PolicyInput, Role};
use bootc_image_model::reference::DOCKER;
use bootc_image_model::reference::Reference;
use bootc_image_model::subject::{Delegation, Subject};

use super::*;
use crate::canonical::CanonicalOperation;

fn subject() -> Subject {
    Subject::new(Some(1000), Some(Delegation::Sudo))
}

fn reference(text: &str) -> Reference {
    Reference::parse_local(text).unwrap()
}

fn seen(operation: Operation) -> PolicyInput {
    CanonicalOperation::new(operation, subject(), None).policy_input().unwrap()
}

fn cmd(subcommand: &str, args: &[&str], images: Vec<CommandImage>) -> Operation {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let command = parse(subcommand, &args).unwrap();
    let plugin = PluginId::new("p").unwrap();
    Operation::Cmd(cmd::Cmd { invoked: subcommand.to_owned(), plugin, command, images, pinned: true })
}

/// Role, canonical name and digest of each image.
fn images(policy_input: &PolicyInput) -> Vec<(Role, Option<&str>, Option<&str>)> {
    policy_input
        .images
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
    let policy_input =
        seen(Operation::CopyToStorage(copy_to_storage::CopyToStorage { source, target: reference("bootc") }));
    assert_eq!(
        images(&policy_input),
        [
            (Role::Source, Some("docker://quay.io/os/base:1"), Some(digest.as_str())),
            (Role::Target, Some("containers-storage:localhost/bootc:latest"), None)
        ]
    );
    assert_eq!(policy_input.images[0].attrs, [("commit", "c".repeat(64))]);
    let attr = |key| policy_input.attr(key);
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
    let policy_input = seen(cmd("pull", &["--quiet", &text], found));
    assert_eq!(policy_input.kind, "cmd pull");
    assert_eq!(policy_input.argv, ["--quiet=true", "--", &text]);
    let digest = Digest::of(b"x");
    assert_eq!(images(&policy_input), [(Role::Source, Some("docker://quay.io/a:1"), Some(digest.as_str()))]);
    let attrs = [("instance", Digest::of(b"i").to_string()), ("platform", "arm64".to_owned())];
    assert_eq!(policy_input.images[0].attrs, attrs);
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
    let policy_input = seen(cmd("pull", &[&text, &text], found));
    let names: Vec<_> =
        images(&policy_input).into_iter().map(|(_, name, _)| name.unwrap().to_owned()).collect();
    assert_eq!(names, ["docker://quay.io/a:1", "docker://quay.io/a:latest"]);
}

#[test]
fn images_that_options_name_are_seen() {
    let policy_input =
        seen(cmd("build", &["-t", "a:1", "--from", "quay.io/b", "--cache-to=quay.io/c", "/x"], vec![]));
    assert_eq!(
        images(&policy_input),
        [
            (Role::Target, Some("containers-storage:localhost/a:1"), None),
            (Role::Source, Some("docker://quay.io/b"), None),
            (Role::Target, Some("docker://quay.io/c"), None),
        ]
    );
    assert_eq!(policy_input.images[0].attrs, [("option", "tag".to_owned())]);
}

#[test]
fn a_push_by_id_has_no_name_and_before_the_lookup_no_source() {
    let image = LocalImage { id: "a".repeat(64), manifest_digest: Digest::of(b"m") };
    let found = vec![CommandImage::Store { name: None, names: Vec::new(), image }];
    let push = || cmd("push", &[&"a".repeat(64), "docker://quay.io/x:1"], found.clone());
    let policy_input = seen(push());
    assert_eq!((policy_input.images[0].role, policy_input.images[0].name.as_ref()), (Role::Source, None));
    let unresolved = CanonicalOperation::unresolved(push(), subject(), None).policy_input().unwrap();
    assert_eq!(images(&unresolved), [(Role::Target, Some("docker://quay.io/x:1"), None)]);
    assert_eq!(unresolved.attr("resolved"), Some("false"));
}

#[test]
fn an_image_given_by_id_is_seen_under_all_its_names() {
    let image = || LocalImage { id: "a".repeat(64), manifest_digest: Digest::of(b"m") };
    let names = ["quay.io/a:1".to_owned(), "quay.io/b:1".to_owned()];
    let by_id = CommandImage::Store { name: None, names: names.to_vec(), image: image() };
    let policy_input = seen(cmd("push", &[&"a".repeat(64), "docker://quay.io/x:1"], vec![by_id]));
    let sources = |policy_input: &PolicyInput| -> Vec<String> {
        let sources = policy_input.images.iter().filter(|image| image.role == Role::Source);
        sources.map(|image| image.name.as_ref().unwrap().canonical.clone()).collect()
    };
    let both = ["containers-storage:quay.io/a:1", "containers-storage:quay.io/b:1"];
    assert_eq!(sources(&policy_input), both);
    let named = names.map(|name| CommandImage::Store {
        name: Some(reference(&name)),
        names: Vec::new(),
        image: image(),
    });
    for operands in [vec!["a".repeat(64)], vec!["a".repeat(64), "quay.io/a:1".into(), "quay.io/b:1".into()]] {
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

/// An operation of each kind that policies judge, except `cmd`.
fn one_of_each_kind() -> Vec<Operation> {
    let assumed = Assumed {
        subject: subject(),
        digest: Digest::of(b"m"),
        commit: Commit::new("c".repeat(64)).unwrap(),
        booted: "docker://quay.io/a:1".to_owned(),
    };
    let images = || vec!["localhost/a:1".to_owned()];
    [
        Request::List(list::List { image_type: ListType::All, details: false }),
        Request::Exists(exists::Exists { image: "localhost/a:1".to_owned() }),
        Request::CopyToStorage(copy_to_storage::Request { source: None, target: None }),
        Request::PullFromDefaultStorage(pull_from_default_storage::Request { images: images() }),
        Request::SetUnified(set_unified::Request),
        Request::Remove(remove::Request { images: images() }),
        Request::Prune(prune::Request { all: false }),
        Request::Repair(repair::Request { images: images(), all: false }),
    ]
    .iter()
    .flat_map(|request| request.assume(&assumed).unwrap())
    .collect()
}

/// The only list of operations that the compiler does not check. Kinds in manifests (`when`) are validated against it.
#[test]
fn every_kind_that_policies_judge_is_listed() {
    let plugin = || PluginId::new("p").unwrap();
    let mut operations = one_of_each_kind();
    operations.push(cmd("list", &[], Vec::new()));
    operations.push(Operation::RevokePlugin(revoke_plugin::RevokePlugin { plugin: plugin() }));
    for operation in operations {
        // A new operation fails to compile here: add it to the list above and, if policies judge it, to `JUDGED`.
        let is_listed = match &operation {
            Operation::Cmd(_) | Operation::ApprovePlugin(_) | Operation::RevokePlugin(_) => false,
            Operation::List(_)
            | Operation::Exists(_)
            | Operation::CopyToStorage(_)
            | Operation::PullFromDefaultStorage(_)
            | Operation::SetUnified(_)
            | Operation::Remove(_)
            | Operation::Prune(_)
            | Operation::Repair(_) => true,
        };
        assert_eq!(Operation::JUDGED.contains(&operation.kind()), is_listed, "{}", operation.kind());
    }
}

#[test]
fn the_policy_input_of_exists_has_every_meaning_of_the_name() {
    let names = |text: &str| {
        let policy_input = seen(Operation::Exists(exists::Exists { image: text.to_owned() }));
        let canonical = |image: &bootc_image_model::policy_input::Image| {
            image.name.as_ref().map(|name| name.canonical.clone())
        };
        policy_input.images.iter().map(canonical).collect::<Vec<_>>()
    };
    let some = |names: &[&str]| names.iter().map(|&name| Some(name.to_owned())).collect::<Vec<_>>();
    let both = ["docker://docker.io/library/app:1", "containers-storage:docker.io/library/app:1"];
    assert_eq!(names("app:1"), some(&["containers-storage:localhost/app:1", both[0], both[1]]));
    let fetched = ["docker://quay.io/a:1", "containers-storage:quay.io/a:1"];
    assert_eq!(names("quay.io/a:1"), some(&fetched));
    assert_eq!(names("docker://quay.io/a:1"), some(&fetched));
    assert_eq!(names("containers-storage:quay.io/a:1"), some(&fetched[1..]));
    assert_eq!(names("oci:/x:y"), some(&["oci:/x:y"]));
    let id = "0123456789ab";
    assert!(
        names(id).contains(&None)
            && names(id).contains(&Some(format!("containers-storage:localhost/{id}:latest")))
    );
}

/// A command that names an image with every option and every operand that can name one.
fn every_image_of(table: &Table) -> Operation {
    let names_image = |kind| matches!(kind, Kind::Full | Kind::Reference | Kind::Remote | Kind::Local);
    let options = table.flags.iter().filter(|flag| names_image(flag.kind));
    let options = options.map(|flag| format!("--{}=quay.io/o:1", flag.name));
    let image = LocalImage { id: "a".repeat(64), manifest_digest: Digest::of(b"m") };
    let mut found = Vec::new();
    let mut operand = |kind: Kind| match kind {
        Kind::Local => {
            let name = Some(reference("quay.io/a:1"));
            found.push(CommandImage::Store { name, names: Vec::new(), image: image.clone() });
            "quay.io/a:1".to_owned()
        }
        Kind::Remote => {
            let name = reference("quay.io/a:1");
            let pinned = name.with_digest(Digest::of(b"x"));
            let instance = Digest::of(b"x");
            let text = format!("{DOCKER}{pinned}");
            found.push(CommandImage::Registry { name, pinned, instance, platform: None });
            text
        }
        Kind::Destination => "docker://quay.io/d:1".to_owned(),
        Kind::Source => "/context".to_owned(),
        _ => "quay.io/b:1".to_owned(),
    };
    let operands = table.operands.iter().map(|each| operand(each.kind));
    let mut words = table.subcommand.split(' ').map(str::to_owned);
    let subcommand = words.next().unwrap();
    let args: Vec<String> = words.chain(options).chain(operands).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    cmd(&subcommand, &args, found)
}

/// The table in docs/reference/policies.md has a row for every kind, and in it a cell for exactly the roles of its images.
#[test]
fn the_table_of_roles_is_what_policies_see() {
    let run_by_podman = TABLES.iter().filter(|table| table.does.own().is_none());
    let operations = one_of_each_kind().into_iter().chain(run_by_podman.map(every_image_of));
    let mut expected = BTreeMap::<String, BTreeSet<&str>>::new();
    for operation in operations {
        let policy_input = seen(operation);
        let roles = policy_input.images.iter().map(|image| image.role.as_str());
        expected.entry(policy_input.kind.clone()).or_default().extend(roles);
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/policies.md");
    let page = std::fs::read_to_string(page).unwrap();
    let head = "| kind | `source` | `target` | `image` |";
    let rows = page.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    let mut documented = BTreeMap::<String, BTreeSet<&str>>::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [kinds, roles @ ..] = cells.as_slice() else { panic!("{row}") };
        let roles = ["source", "target", "image"].into_iter().zip(roles).filter(|(_, cell)| !cell.is_empty());
        let roles: BTreeSet<&str> = roles.map(|(role, _)| role).collect();
        for kind in kinds.split(", ") {
            let twice = documented.insert(kind.trim_matches('`').to_owned(), roles.clone());
            assert_eq!(twice, None, "{kind}");
        }
    }
    assert_eq!(documented, expected);
}

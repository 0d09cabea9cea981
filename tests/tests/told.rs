//! What people are told who make a mistake, or who have a host with one: the message, and what to do next. One table for each kind of
//! mistake.

mod plugins;

use std::fmt::Write as _;

use bootc_image_test_guests::files;
use bootc_image_tests::oracle::Store;
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World};
use plugins::native::Extension;
use plugins::{IMAGE, SITE, grant, granted_capabilities, install, install_in_image, ship_in_image, shipped};
use sha2::{Digest as _, Sha256};

const CONFIGURATION: &str = "/usr/lib/bootc-image/config.d/50-test.toml";
const APP: &str = "127.0.0.1:5000/lab/app:1";

/// What the outputs of a table have wrong, all of it at once.
#[derive(Default)]
struct Wrong(String);

impl Wrong {
    /// The command ended with this exit code, and said all of this.
    fn compare(&mut self, output: &Output, code: i32, expected: &[&str]) {
        let told = format!("{}{}", output.stdout, output.stderr);
        let missing: Vec<_> = expected.iter().filter(|part| !told.contains(**part)).collect();
        if output.code != code || !missing.is_empty() {
            let _ = writeln!(self.0, "expected {code} and {missing:#?} in {output:#?}");
        }
    }

    #[track_caller]
    fn none(self) {
        assert!(self.0.is_empty(), "{}", self.0);
    }
}

fn manifest(guest: &str) -> String {
    String::from_utf8(files(guest).unwrap().swap_remove(0).1).unwrap()
}

/// A guest is the site's, with another text in its manifest.
fn altered(enter: Enter, guest: &str, from: &str, to: &str) -> Enter {
    let manifest = manifest(guest);
    assert!(manifest.contains(from), "{from:?} isn't in {manifest}");
    install(enter, guest, SITE).file(&format!("{SITE}/{guest}/plugin.toml"), manifest.replacen(from, to, 1))
}

#[test]
fn what_is_wrong_in_a_manifest_is_named_with_its_key() {
    let world = World::new();
    let long = format!("summary = \"{}\"", "x".repeat(201));
    let color = "columns = [\"image_type\"]\n[[capability]]\nname = \"color\"\nscope = \"x\"\nreason = \"it prints it\"\n";
    let option = "name = \"podman-machine\"\nscope = \"Volume\"";
    let twice = "scope = \"localhost/mine\"\nreason = \"a\"\n[[capability]]\nname = \"pulls-images\"\nscope = \"localhost/mine\"";
    let formats = "[[format]]\nname = \"x\"\nsummary = \"x\"\ncolumns = [\"id\"]\n[[component]]";
    let policy = "world = \"bootc-image:policy/validator\"";
    let digest = manifest("policy-does").lines().find(|line| line.starts_with("sha256")).unwrap().to_owned();
    let mut wrong = Wrong::default();
    for (guest, from, to, expected) in [
        (
            "command-asks",
            "\"localhost/copied\"",
            "\"docker://localhost/copied\"",
            "is not a pattern of image names without transport, tag or digest, such as quay.io/example/**",
        ),
        (
            "command-asks",
            "name = \"pulls-images\"\nscope = \"localhost/mine\"",
            option,
            "is not the long name of an option",
        ),
        ("command-asks", "scope = \"localhost/mine\"", twice, "this capability is requested twice"),
        (
            "command-asks",
            "world = \"bootc-image:command/wrapper\"",
            "world = \"bootc-image:command/wrapper\"\nbefore-lookup = true",
            "`before-lookup`: only policies judge operations",
        ),
        ("format-does", "columns = [\"image_type\"]", color, "is not empty: this capability has no scope"),
        ("format-does", "[\"image_type\"]", "[\"id\", \"id\"]", "`columns`: a column is listed twice"),
        ("format-does", "[\"image_type\"]", "[]", "`columns`: a format needs at least one column"),
        ("format-does", "[\"image_type\"]", "[\"colour\"]", "\"colour\" is not a known column"),
        (
            "format-does",
            "summary = \"Does what its settings say\"",
            &long,
            "`summary`: must not be longer than 200 characters",
        ),
        (
            "format-does",
            "summary =",
            "argument = \"Text\"\nsummary =",
            "\"Text\" is not a word in capital letters",
        ),
        (
            "format-does",
            "name = \"does\"",
            "name = \"Does\"",
            "\"Does\" is not lower-case letters, digits and '-' starting with a letter (64 bytes at most)",
        ),
        ("policy-does", "[[component]]", formats, "`format`: a plugin of this kind cannot provide formats"),
        (
            "policy-does",
            policy,
            "world = \"bootc-image:policy/validator\"\nwhen = {references = [\"quay.io/\\u202ex\"]}",
            "contains invisible characters",
        ),
        ("policy-does", &digest, "", "`sha256`: missing: the manifest must name the digest of its component"),
    ] {
        let output = altered(world.enter(), guest, from, to).run(&["bootc-image", "plugin", "doctor", guest]);
        wrong.compare(
            &output,
            78,
            &[expected, "correct the manifest; or, to continue without the plugin, mask it with "],
        );
    }
    wrong.none();
}

#[test]
fn files_that_are_too_large_or_no_text_are_refused() {
    let world = World::new();
    let mut wrong = Wrong::default();
    let doctor = ["bootc-image", "plugin", "doctor"];
    let manifest = format!("{SITE}/policy-does/plugin.toml");
    let with = |content: &[u8]| install(world.enter(), "policy-does", SITE).file(&manifest, content);
    let large = vec![b'#'; (64 << 10) + 1];
    for (content, expected) in
        [(large.as_slice(), "the file is larger than 64 KiB"), (b"\xff", "the file is not UTF-8 text")]
    {
        let output = with(content).run(&doctor);
        wrong.compare(
            &output,
            78,
            &[
                &format!("{manifest}: {expected}"),
                "correct the directory or file that the message names; or, to continue without the plugin, mask it with ",
            ],
        );
    }
    let script = format!(
        "truncate -s 129M {SITE}/policy-does/policy_does.wasm; bootc-image plugin approve policy-does"
    );
    let output = install(world.enter(), "policy-does", SITE).sh(&script);
    wrong.compare(&output, 1, &["the file is larger than 128 MiB"]);
    wrong.none();
}

#[test]
fn two_plugins_that_provide_the_same_are_told_apart_before_one_is_approved() {
    let world = World::new();
    let mut wrong = Wrong::default();
    let command = install(world.enter(), "command-other-subcommand", SITE);
    let output = command.run(&["bootc-image", "plugin", "approve", "command-other-subcommand"]);
    wrong.compare(
        &output,
        78,
        &[
            "it provides `cmd list`, which podman-allowlist already provides",
            "mask the built-in plugin first, in the configuration with policy.masked = [{ id = \"podman-allowlist\", place = \"built-in\" }]; then approve command-other-subcommand again",
        ],
    );
    let approve_another = |guest: &str, named: &str| {
        let other = manifest(guest).replace(&format!("id = {guest:?}"), &format!("id = {named:?}"));
        let component = files(guest).unwrap().swap_remove(1);
        install_in_image(world.enter(), guest)
            .file(&format!("{SITE}/{named}/plugin.toml"), other)
            .file(&format!("{SITE}/{named}/{}", component.0), component.1)
            .run(&["bootc-image", "plugin", "approve", named])
    };
    wrong.compare(
        &approve_another("format-does", "format-other"),
        78,
        &[
            "it provides the format does, which format-does already provides",
            "revoke or mask format-does first: only one plugin can provide the format does",
        ],
    );
    wrong.compare(
        &approve_another("command-asks", "command-other"),
        78,
        &[
            "which command-asks already provides",
            "revoke or mask command-asks first: only one plugin can provide `cmd diff`",
        ],
    );
    let world = World::new();
    let both = install_in_image(world.enter(), "command-other-subcommand");
    let output = both.run(&["bootc-image", "plugin", "doctor"]);
    wrong.compare(
        &output,
        78,
        &[
            "command `list` is provided by both command-other-subcommand and podman-allowlist",
            "mask one of them in the configuration with policy.masked = ",
        ],
    );
    wrong.none();
}

#[test]
fn a_component_that_is_not_the_manifests_is_neither_approved_nor_run() {
    let world = World::new();
    let component = format!("{SITE}/policy-does/policy_does.wasm");
    let enter = || {
        install(world.enter(), "policy-does", SITE)
            .file(&component, "another")
            .file("/etc/bootc-image/grants.d/policy-does.toml", grant("policy-does"))
    };
    let mut wrong = Wrong::default();
    for (command, code, expected) in [
        (
            "approve",
            78,
            "install it again, or write the new digest into its manifest: manifest and component do not belong together",
        ),
        ("doctor", 78, "install it again, or fix its manifest"),
        ("show", 0, "broken: the manifest and the component do not match"),
    ] {
        let output = enter().run(&["bootc-image", "plugin", command, "policy-does"]);
        wrong.compare(&output, code, &[expected]);
    }
    wrong.none();
}

#[test]
fn grants_and_masks_say_where_they_are() {
    let world = World::new();
    let mut wrong = Wrong::default();
    let place = "[[policy.masked]]\nid = \"policy-does\"\nplace = \"site\"\n";
    let masked = |settings: &str| {
        install(world.enter(), "policy-does", SITE).file(CONFIGURATION, format!("{settings}{place}"))
    };
    let output = masked("").run(&["bootc-image", "plugin", "show", "policy-does"]);
    wrong.compare(
        &output,
        78,
        &[
            &format!("the configuration masks it in {SITE}/policy-does"),
            "remove it from policy.masked in the configuration",
        ],
    );
    let output = masked("policy.mandatory = [\"policy-does\"]\n").run(&["bootc-image", "plugin", "doctor"]);
    wrong.compare(
        &output,
        78,
        &[
            "[policy] mandatory lists it, but it is masked",
            &format!("remove its mask, or copy {CONFIGURATION} to /etc/bootc-image/config.d and remove it from [policy] mandatory there"),
        ],
    );
    let file = "/etc/bootc-image/grants.d/10-ours.toml";
    let granted = |text: &str| install(world.enter(), "policy-does", SITE).file(file, text);
    let output = granted(&grant("policy-does")).run(&["bootc-image", "plugin", "revoke", "policy-does"]);
    wrong.compare(
        &output,
        78,
        &[
            &format!("its grant is in {file}, which `plugin approve` did not write"),
            &format!("remove its grant from {file}; or mask it with policy.masked = [{{ id = \"policy-does\", place = \"site\" }}]"),
        ],
    );
    let native = format!("{}kind = \"native\"\n", grant("policy-does"));
    let output = granted(&native).run(&["bootc-image", "plugin", "doctor", "policy-does"]);
    wrong.compare(&output, 78, &[&format!("{file} approves native code, but the plugin is a component")]);
    let world = World::new();
    let script = "mkdir -p /etc/bootc-image/grants.d; chmod 777 /etc/bootc-image/grants.d; bootc-image plugin doctor || true; bootc-image plugin approve policy-does";
    let output = install(world.enter(), "policy-does", SITE).sh(script);
    wrong.compare(&output, 78, &["cannot read the approvals of plugins: "]);
    // Required by the configuration and by a grant, and missing.
    let missing = "policy.mandatory = [\"policy-does\"]\n";
    let mandatory = format!("{}role = \"policy\"\nmandatory = true\n", grant("policy-does"));
    let world = World::new();
    let output = world
        .enter()
        .file(CONFIGURATION, missing)
        .file("/etc/bootc-image/grants.d/policy-does.toml", mandatory)
        .run(&["bootc-image", "copy-to-storage"]);
    wrong.compare(
        &output,
        77,
        &[
            &format!(
                "so every operation except `list` is denied: install it, or copy {CONFIGURATION} to /etc/bootc-image/config.d and remove it from [policy] mandatory there and \
                 revoke the approval with: bootc-image plugin revoke policy-does"
            ),
        ],
    );
    wrong.none();
}

/// A user's own plugins never have native code.
#[test]
fn native_code_of_a_user_is_for_an_administrator_to_install() {
    let world = World::new();
    let library = Sha256::digest(b"no code");
    let manifest = format!(
        "schema = 1\nid = \"mine\"\nversion = \"1.0.0\"\napi = \"^1.0\"\n[[native]]\nfile = \"x.so\"\nsha256 = \"{library:x}\"\nrole = \"policy\"\n"
    );
    let place = "/var/home/lab/.local/share/bootc-image/plugins/mine";
    let script = format!("mkdir -p {place}; cp /tmp/plugin.toml {place}/; chown -R 1000:1000 /var/home/lab");
    world.enter().file("/tmp/plugin.toml", manifest).sh(&script).ok();
    let output = world.enter().as_uid(1000).run(&["bootc-image", "plugin", "doctor", "mine"]);
    let mut wrong = Wrong::default();
    wrong.compare(
        &output,
        78,
        &[
            "it is native code, which never runs from a user's own plugin directory",
            "ask an administrator to install it in /var/lib/bootc-image/plugins",
        ],
    );
    wrong.none();
}

/// The podman subcommands of the shipped plugins, and what they are not given.
#[test]
fn what_podman_is_not_given_is_denied_with_a_way_out() {
    let world = World::new();
    let in_full = "write the image in full: REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST";
    let mut wrong = Wrong::default();
    for (words, code, expected) in [
        (
            "list --filter label=a,b",
            77,
            &[
                "contains a comma or a quotation mark: podman could split \"label=a,b\" into several conditions",
                "write one --filter for each condition",
            ][..],
        ),
        (
            "list --filter dangling",
            77,
            &[
                "option --filter has no value: \"dangling\"",
                "write it as KEY=VALUE, for example dangling=true",
            ],
        ),
        (
            "list --filter colour=red",
            77,
            &[
                "has an unknown condition: \"colour\"",
                "known conditions: after, before, reference, since, containers, dangling, ",
            ],
        ),
        (
            "list --filter reference=docker-archive:/etc/x",
            77,
            &[
                "has a value that is not a pattern for image names: \"docker-archive:/etc/x\"",
                "write a name without a transport; * stands for any text, as in reference=localhost/*",
            ],
        ),
        (
            "build https://example.com/x.git",
            77,
            &[
                "\"https://example.com/x.git\" is a remote source, which podman would download",
                "download it first and inspect it; write a local directory of that name as ./NAME",
            ],
        ),
        ("build --from oci:/tmp/x /tmp", 77, &[in_full]),
        (
            "save --format oci-dir app:stable",
            2,
            &[
                "the format oci-dir creates a directory, which cannot be written to standard output",
                "name a directory with --output DIR, or write an archive to the pipe with --format oci-archive",
            ],
        ),
    ] {
        let words: Vec<&str> = ["bootc-image", "cmd"].into_iter().chain(words.split(' ')).collect();
        let output = ship_in_image(world.enter(), "podman-maintenance").run(&words);
        wrong.compare(&output, code, expected);
    }
    let pull = ["bootc-image", "cmd", "pull", "--tls-verify=false", APP];
    let output = world.enter().env("SUDO_UID", "1000").run(&pull);
    let expected = "--tls-verify=false, which could expose root's registry credentials on the network, is not allowed for a caller";
    wrong.compare(&output, 77, &[expected, "log in as root"]);
    wrong.none();
}

#[test]
fn a_nameless_archive_says_how_to_name_what_is_in_it() {
    let world = World::new();
    let id = &world.facts().app2.id;
    let script = format!("bootc-image cmd save {id} >/tmp/x.tar");
    let output = ship_in_image(world.enter(), "podman-maintenance").sh(&script).ok();
    let expected = "note: the archive contains no image names; after loading it, name the images with: bootc-image cmd tag";
    assert!(output.stderr.contains(expected), "{output:#?}");
}

/// The wrapper with this setting, with all that its manifest asks for.
fn asks(enter: Enter, what: &str) -> Enter {
    install_in_image(enter, "command-asks")
        .file(CONFIGURATION, format!("settings.command-asks.do = {what:?}\n"))
}

#[test]
fn a_plugin_that_plans_too_much_is_named() {
    let world = World::new();
    let mut wrong = Wrong::default();
    let output = asks(world.enter(), "copy-and-tell").run(&["bootc-image", "--dry-run", "cmd", "diff"]);
    wrong.compare(&output, 0, &["a dry run copies no images", "run it without --dry-run"]);
    let output = asks(world.enter(), "bad-type").run(&["bootc-image", "cmd", "diff"]);
    wrong.compare(&output, 2, &["\"red\" is not an image type; the types are host, unified, logical"]);
    let output = asks(world.enter(), "").run(&["bootc-image", "policy", "explain", "cmd", "diff"]);
    wrong.compare(&output, 0, &["nothing would run: there is nothing to do"]);
    // A subcommand that the manifest of podman-maintenance lists, but its component doesn't know.
    let directory = shipped("podman-maintenance");
    let text = std::fs::read_to_string(directory.join("plugin.toml")).unwrap();
    let text = text.replace("name = \"exists\"", "name = \"diff\"");
    let output = ship_in_image(world.enter(), "podman-maintenance")
        .file("/usr/lib/bootc-image/plugins/podman-maintenance/plugin.toml", text)
        .run(&["bootc-image", "cmd", "diff", "app:stable"]);
    wrong.compare(
        &output,
        77,
        &[
            "`diff` is not a subcommand of this plugin",
            "subcommands of this plugin: exists, history, inspect, load",
        ],
    );
    wrong.none();
}

#[test]
fn cases_that_cannot_be_tested_are_named() {
    let world = World::new();
    let mut wrong = Wrong::default();
    let cases = |run: &str| format!("[[case]]\nrun = {run}\nexpect = \"allow\"\n");
    for (run, code, expected) in [
        (
            "[\"--dry-run\", \"copy-to-storage\"]",
            2,
            "a case cannot use --sysroot or --dry-run: no system is read and nothing runs",
        ),
        (
            "[\"plugin\", \"list\"]",
            2,
            "`plugin list` is not an operation on images, and policies judge only operations on images",
        ),
        ("[\"remove\"]", 2, "not provided"),
        ("[\"copy-to-storage\", \"--target\", \"x@y\"]", 1, "the operation cannot be judged: "),
    ] {
        let output = world.enter().file("/tmp/cases.toml", cases(run)).run(&[
            "bootc-image",
            "policy",
            "test",
            "/tmp/cases.toml",
        ]);
        wrong.compare(&output, code, &[expected]);
    }
    let via = format!("{}via = \"su\"\n", cases("[\"copy-to-storage\"]"));
    let output =
        world.enter().file("/tmp/cases.toml", via).run(&["bootc-image", "policy", "test", "/tmp/cases.toml"]);
    wrong.compare(&output, 2, &["`via`: \"su\" is not a recognized way to become root"]);
    wrong.none();
}

#[test]
fn the_registry_policy_says_what_to_change() {
    let world = World::new();
    let mut wrong = Wrong::default();
    let rule = "[[settings.registry-policy.rule]]\n";
    let under = |settings: &str, words: &str| {
        let enter = ship_in_image(world.enter().registry(true), "registry-policy");
        let settings = format!("[settings.registry-policy]\n{settings}");
        let words: Vec<&str> = std::iter::once("bootc-image").chain(words.split(' ')).collect();
        ship_in_image(enter, "podman-maintenance").file(CONFIGURATION, settings).run(&words)
    };
    let allow = format!("default = \"deny\"\n{rule}effect = \"allow\"\n");
    let output =
        under(&format!("{allow}registry = [\"docker.io\"]\nrepository = [\"alpine\"]\n"), "plugin doctor");
    wrong.compare(
        &output,
        78,
        &["\"alpine\" cannot match: images of Docker Hub without a namespace are in library/"],
    );
    let output = under(&format!("{allow}registry = [\"*example.com\"]\n"), "plugin doctor");
    wrong.compare(
        &output,
        78,
        &[
            "\"*example.com\" also matches registries of other owners",
            ": write the full name, or use wildcards as in *.example.com",
        ],
    );
    let output = under("defult = 1\nruls = 2\nx = 3\n", "copy-to-storage");
    wrong.compare(&output, 77, &["more settings are wrong"]);
    let output = under("default = \"allow\"\nrequire-digest = true\n", &format!("cmd pull {APP}"));
    wrong.compare(
        &output,
        77,
        &[&format!("{APP}: images from registries must be named by digest, even those allowed by default")],
    );
    let any = format!(
        "default = \"deny\"\n{rule}effect = \"deny\"\nrepository = [\"lab/**\"]\n{rule}effect = \"allow\"\n"
    );
    let output = under(&any, &format!("cmd pull {APP}"));
    wrong.compare(&output, 77, &["for `cmd pull` the rules allow these images as the source: any image that no earlier rule denies (rule 2)"]);
    let output = under("default = \"deny\"\n", "--dry-run cmd load");
    wrong.compare(
        &output,
        77,
        &["an administrator can allow it in [settings.registry-policy] with a rule that names no registry, repository, tag \
             or digest: effect = \"allow\", operations = [\"cmd load\"]"],
    );
    let targets = format!(
        "{allow}roles = [\"source\"]\n{rule}effect = \"allow\"\nroles = [\"target\"]\nregistry = [\"quay.io\"]\n"
    );
    let output = under(&targets, &format!("cmd push app:stable {APP}"));
    wrong.compare(
        &output,
        77,
        &["for `cmd push` the rules allow these images as the target: registry quay.io (rule 2)"],
    );
    wrong.none();
}

#[test]
fn the_template_format_says_what_to_write() {
    let world = World::new();
    let mut wrong = Wrong::default();
    for (format, expected) in [
        ("template", "write --format template='{{ image }}', or set template in [settings.template-format]"),
        (
            "template={{ image",
            "use Jinja syntax, for example: {{ image }}, {% if size %}{{ size }}{% endif %}",
        ),
        ("template={{ image|colour }}", "available filters: those of Jinja, and filesizeformat"),
        (
            "template={{ labels.x.y }}",
            "for values that may be missing, write for example: {{ x | default('-') }}",
        ),
    ] {
        let enter = ship_in_image(world.enter(), "template-format");
        let output = enter.run(&["bootc-image", "list", "--format", format]);
        // What is found only while a row is printed leaves the list to the table.
        let code = if format.contains('|') || format.contains("labels") { 79 } else { 2 };
        wrong.compare(&output, code, &[expected]);
    }
    wrong.none();
}

#[test]
fn progress_says_what_is_copied_where() {
    let world = World::new();
    let mut wrong = Wrong::default();
    let copy = |words: &[&str]| {
        world.enter().registry(true).run(&[&["bootc-image", "copy-to-storage"], words].concat())
    };
    wrong.compare(
        &copy(&["--target", "localhost/copied:1"]),
        0,
        &["copying to podman's storage as localhost/copied:1"],
    );
    wrong.compare(
        &copy(&["--source", APP, "--target", "localhost/copied:2"]),
        0,
        &[&format!("copying {APP} to podman's storage as localhost/copied:2")],
    );
    let output = world.enter().registry(true).run(&["bootc-image", "set-unified"]);
    let fetching =
        format!("fetching 127.0.0.1:5000/lab/os@{} into bootc's storage", world.facts().booted.digest);
    wrong.compare(&output, 0, &[&fetching]);
    let empty = format!(
        "{}store_podman image rm --all --force >/dev/null; bootc-image repair --all",
        Store::Bootc.shell()
    );
    let output = world.enter().sh(&empty);
    wrong.compare(&output, 0, &["note: nothing to repair: bootc's storage has no images"]);
    wrong.none();
}

#[test]
fn a_host_that_is_out_of_order_is_described() {
    let mut wrong = Wrong::default();
    // A name of a directory that isn't UTF-8.
    let world = World::new();
    let script = "d=$(printf '/tmp/\\377'); mkdir \"$d\"; cd \"$d\"; bootc-image cmd build .";
    wrong.compare(&world.enter().sh(script), 1, &["rename the file so that its name is UTF-8 text"]);
    // A program that others can write.
    let enter =
        world.enter().file_with_mode("/usr/libexec/bootc-image/bootc-image-helper", "#!/bin/sh\n", 0o777);
    let output = enter.without("bootc-image-helper").run(&["bootc-image", "copy-to-storage"]);
    wrong.compare(
        &output,
        1,
        &["make the file and all directories above it owned by root and writable only by root"],
    );
    // A unit whose images nobody knows.
    let unit = "[Kube]\nYaml=https://example.com/x.yaml\n";
    let output = world.enter().file("/etc/containers/systemd/x.kube", unit).run(&["bootc-image", "prune"]);
    wrong.compare(
        &output,
        1,
        &["write the image's name in the unit itself, or in a file that the unit names by path"],
    );
    // The record of a denial has nowhere to go.
    let script = "mkdir -p /var/lib/bootc-image/audit; chmod 777 /var/lib/bootc-image/audit
                  bootc-image --sysroot /sysroot prune";
    let output = world.enter().env("SUDO_UID", "1000").sh(script);
    wrong.compare(
        &output,
        77,
        &[
            "the denial cannot be written to the audit record: ",
            "it must be a directory owned by root with mode 0700, or 0750 if a group may read the record",
        ],
    );
    // A host that was not installed from an image in a registry.
    for (origin, code, expected) in [
        (
            "[origin]\ncontainer-image-reference=ostree-unverified-image:oci:/var/x\n",
            1,
            "switch the host to an image in a registry with: bootc switch",
        ),
        ("[origin]\nrefspec=lab:x\n", 1, "rebase the host to an image with: bootc switch"),
        (
            "[origin]\ncontainer-image-reference=ostree-unverified-image:containers-storage:localhost/os:1\n",
            0,
            "copying to bootc's storage as localhost/os:1",
        ),
    ] {
        let world = World::new();
        let deployments = world.sysroot().join("ostree/deploy/lab/deploy");
        for entry in std::fs::read_dir(deployments).unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "origin") {
                std::fs::write(entry.path(), origin).unwrap();
            }
        }
        let output = world.enter().run(&["bootc-image", "set-unified"]);
        wrong.compare(&output, code, &[expected]);
    }
    wrong.none();
}

/// Options that need a capability have their help only where a plugin has it.
#[test]
fn help_of_options_is_shown_where_a_plugin_may_use_them() {
    let world = World::new();
    let guest = "command-asks";
    let mut text = manifest(guest).split("[[command]]").next().unwrap().to_owned();
    for name in ["mount", "search", "sign"] {
        let _ = write!(text, "\n[[command]]\nname = {name:?}\nsummary = \"A subcommand of a site\"\n");
    }
    for (name, scope) in [
        ("copies-images", "**"),
        ("lists-images", "**"),
        ("pulls-images", "**"),
        ("podman-machine", "sign-by=other"),
        ("podman-reads", "/etc"),
        ("podman-writes", "/var/tmp"),
    ] {
        let _ = write!(
            text,
            "\n[[capability]]\nname = {name:?}\nscope = {scope:?}\nreason = \"for this test\"\n"
        );
    }
    let grant = format!("[[grant]]\nplugin = {guest:?}\n{}", granted_capabilities(&text));
    let enter = || {
        install(world.enter(), guest, IMAGE)
            .file(&format!("{IMAGE}/{guest}/plugin.toml"), &text)
            .file(&format!("/usr/lib/bootc-image/grants.d/{guest}.toml"), &grant)
    };
    let mut wrong = Wrong::default();
    for (subcommand, expected) in [
        (
            "search",
            &[
                "file with credentials",
                "directory with TLS certificates and keys",
                "list the tags of a repository",
                "maximum number of results",
                "also show stars, official and automated",
            ][..],
        ),
        (
            "sign",
            &[
                "sign every image of an index",
                "directory to write signatures to",
                "sign with this key from root's key ring",
            ],
        ),
    ] {
        wrong.compare(&enter().run(&["bootc-image", "cmd", subcommand, "--help"]), 0, expected);
    }
    let output = enter().run(&["bootc-image", "cmd", "mount", "--help"]);
    wrong.compare(
        &output,
        0,
        &["A subcommand of a site\n\nUsage: bootc-image cmd mount [ARGS]...\n\nProvided by plugin command-asks.\n"],
    );
    let command = ["bootc-image", "cmd", "sign", "--sign-by", "me", "docker://quay.io/x/y:1"];
    let settings = "settings.command-asks.do = \"copy-and-plan\"\n";
    let output = enter().file(CONFIGURATION, settings).run(&command);
    wrong.compare(&output, 77, &["plugin command-asks has this capability only for: sign-by=other"]);
    wrong.none();
}

#[test]
fn a_component_that_cannot_be_compiled_is_not_compiled_again() {
    let world = World::new();
    let code = b"no component";
    let digest = manifest("policy-does").lines().find(|line| line.starts_with("sha256")).unwrap().to_owned();
    let text = manifest("policy-does").replace(&digest, &format!("sha256 = \"{:x}\"", Sha256::digest(code)));
    let output = install_in_image(world.enter(), "policy-does")
        .file(&format!("{IMAGE}/policy-does/plugin.toml"), text)
        .file(&format!("{IMAGE}/policy-does/policy_does.wasm"), code)
        .sh("bootc-image copy-to-storage 2>/tmp/first && exit 1; bootc-image copy-to-storage");
    let mut wrong = Wrong::default();
    let expected = "(cached failure; `plugin doctor` compiles it again)";
    wrong.compare(&output, 77, &["policy policy-does: cannot judge this operation: ", expected]);
    wrong.none();
}

#[test]
fn native_code_that_cannot_be_asked_says_whose_fault_it_is() {
    let world = World::new();
    let source = "extension-sdk/examples/one-registry/one_registry.c";
    let policy = Extension::compiled("one-registry", source, &["-pedantic"], "role = \"policy\"\n");
    let settings = "[settings.one-registry]\nregistry = \"quay.io\"\n";
    let doctor = ["bootc-image", "plugin", "doctor"];
    let mut wrong = Wrong::default();
    let output = policy.enabled(world.enter(), settings).without("bootc-image-native").run(&doctor);
    wrong.compare(&output, 78, &["one-registry: cannot start its process: ", "install bootc-image again"]);
    let format = Extension::compiled(
        "one-registry",
        source,
        &["-pedantic"],
        "role = \"format\"\n[[format]]\nname = \"x\"\nsummary = \"x\"\ncolumns = [\"id\"]\n",
    );
    let output = format.enabled(World::new().enter(), settings).run(&doctor);
    wrong.compare(&output, 78, &["its manifest declares the role format, but it has no function `"]);
    for (what, reason, fix) in [
        (
            "NATIVE_EXIT",
            "its process ended without an answer: exit code 0",
            "(contact the vendor of native; its output is shown with -vv; to continue without the policy, mask it with",
        ),
        ("FAILS_WITHOUT_A_HINT", "the module is asleep", "(contact the vendor of native; to continue"),
    ] {
        let define = format!("-D{what}");
        let policy =
            Extension::compiled("native", "tests/hostile/native.c", &[&define], "role = \"policy\"\n");
        let output = policy.enabled(World::new().enter(), "").run(&["bootc-image", "copy-to-storage"]);
        wrong.compare(&output, 77, &[reason, fix]);
    }
    wrong.none();
}

/// The operation has run, and whoever runs it must know that nobody else will.
#[test]
fn an_outcome_that_cannot_be_recorded_is_an_error() {
    let world = World::new();
    let audit = "/var/lib/bootc-image/audit";
    let script = format!(
        "until [ -s {audit}/audit.jsonl ]; do sleep 0.01; done; mv {audit} {audit}.old; touch {audit}"
    );
    let output = world.enter().alongside(&script).run(&["bootc-image", "copy-to-storage"]);
    let mut wrong = Wrong::default();
    wrong.compare(
        &output,
        78,
        &["error: the operation ran, but its outcome cannot be written to the audit record"],
    );
    // Lines that wait for a place where they can be written.
    let world = World::new();
    let script = format!(
        "mkdir -p /run/bootc-image/audit /var/lib/bootc-image; chmod 700 /run/bootc-image/audit
         echo '{{}}' >/run/bootc-image/audit/waiting.jsonl; touch {audit}; bootc-image list"
    );
    let output = world.enter().sh(&script);
    wrong.compare(
        &output,
        0,
        &["note: lines of the audit record that wait in /run/bootc-image/audit/waiting.jsonl cannot be written: cannot read "],
    );
    wrong.none();
}

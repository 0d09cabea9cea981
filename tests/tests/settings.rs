//! Which files and directories count, how those of several places go together, and what the built-in plugin may do.

mod plugins;

use bootc_image_test_guests as guests;
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World};
use plugins::{IMAGE, SITE, grant, install, ship_in_image, shipped};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const IMAGES: &str = "/usr/lib/bootc-image/config.d";
const SITES: &str = "/etc/bootc-image/config.d";
const GRANTS: &str = "/etc/bootc-image/grants.d";
const DENIES: &str = "settings.policy-does.do = \"deny\"\n";
const ALLOWS: &str = "settings.policy-does.do = \"allow\"\n";

/// What is in `/etc` stays in a world. This has a command find there what was put there for it, and nothing else.
trait Once {
    fn once(self, script: &str) -> Output;
}

impl Once for Enter {
    fn once(self, script: &str) -> Output {
        const LEFT: &str = "/etc/bootc-image /etc/build-secrets /etc/other /root/.gnupg";
        self.sh(&format!("trap 'cd /; rm -rf {LEFT}' EXIT\n{script}"))
    }
}

/// The site has the policy, with a grant as `plugin approve` writes it.
fn approved(world: &World) -> Enter {
    let enter = install(world.enter(), "policy-does", SITE).file(&format!("{SITES}/a.toml"), ALLOWS);
    enter.file(&format!("{GRANTS}/policy-does.toml"), format!("{}role = \"policy\"\n", grant("policy-does")))
}

/// What doctor and list say, without their exit codes.
fn told(enter: impl Fn() -> Enter, prepare: &str) -> [Output; 2] {
    ["list", "doctor"].map(|command| enter().once(&format!("{prepare}\ncd /\nbootc-image plugin {command}")))
}

#[test]
fn copies_and_empty_directories_beside_plugins_block_nothing() {
    let world = World::new();
    let prepare = format!(
        "cd {SITE}
         cp -r policy-does policy-does.bak
         cp -r policy-does policy-does~
         cp -r policy-does policy-does-old
         cp -r policy-does .new-policy-does
         mkdir incoming lost+found x.bak
         mkdir broken.bak; echo nonsense >broken.bak/plugin.toml
         mkfifo pipe; echo >file"
    );
    let enter = || approved(&world);
    enter().once(&format!("{prepare}\nbootc-image --dry-run copy-to-storage")).ok();
    for output in told(enter, &prepare) {
        let output = output.ok();
        for (name, why) in [
            ("policy-does.bak", "its name is not a plugin id (it has the manifest of policy-does)"),
            ("policy-does~", "its name is not a plugin id (it has the manifest of policy-does)"),
            ("policy-does-old", "it is a copy of policy-does, whose directory is there too"),
            (".new-policy-does", "its name begins with a dot"),
            ("incoming", "it has no plugin.toml"),
            ("broken.bak", "its name is not a plugin id"),
            ("pipe", "it has no plugin.toml"),
        ] {
            let note = format!("note: {SITE}/{name} is not a plugin and is ignored: {why}\n");
            assert!(output.stderr.contains(&note), "{note} {output:#?}");
        }
        assert_eq!(output.stderr.matches("is ignored").count(), 7, "{output:#?}");
    }
    // The policy itself still judges.
    let output = enter().file(&format!("{SITES}/a.toml"), DENIES);
    output.once(&format!("{prepare}\nbootc-image copy-to-storage")).exits(77);
}

#[test]
fn a_policy_that_is_expected_is_never_ignored() {
    let expect_in_configuration = |key: &str| format!("policy.{key} = [\"policy-does\"]\n{ALLOWS}");
    for (prepare, expected) in [
        ("mv policy-does policy-does.bak", "the directory is named policy-does.bak"),
        ("mv policy-does policy-does-old", "the directory is named policy-does-old"),
        ("mv policy-does a.bak; echo nonsense >a.bak/plugin.toml", "a.bak/plugin.toml: line 1"),
        ("rm policy-does/*", "policy-does/plugin.toml: No such file"),
        (
            "rm policy-does/plugin.toml; ln -s /nowhere policy-does/plugin.toml",
            "is a symbolic link to /nowhere",
        ),
        ("rm -r policy-does; mkfifo policy-does", "it must be a directory"),
        // Only one of two copies has the name that is expected.
        ("cp -r policy-does b; rm policy-does/plugin.toml", "policy-does/plugin.toml: No such file"),
    ] {
        let world = World::new();
        let script = format!("cd {SITE}\n{prepare}\ncd /\nbootc-image copy-to-storage");
        let output = approved(&world).once(&script).exits(77);
        assert!(output.stderr.contains(expected), "{prepare}: {output:#?}");
        // A delegated caller gets no further, nor does one whom `fail-open` or `mandatory` would help.
        approved(&world).env("SUDO_UID", "1000").once(&script).exits(77);
        for key in ["mandatory", "fail-open"] {
            let enter = || {
                install(world.enter(), "policy-does", SITE)
                    .file(&format!("{SITES}/a.toml"), expect_in_configuration(key))
            };
            enter().once(&script).exits(77);
        }
    }
    // A masked copy in the OS image does not judge instead of the site's own one.
    let mask = "policy.masked = [{ id = \"policy-does\", place = \"image\" }]\n";
    for renamed in ["policy-does.bak", "policy-does-old"] {
        let world = World::new();
        let enter =
            || install(approved(&world), "policy-does", IMAGE).file(&format!("{SITES}/mask.toml"), mask);
        enter().once("bootc-image --dry-run copy-to-storage").ok();
        let script =
            format!("cd {SITE}; mv policy-does {renamed}; cd /; bootc-image --dry-run copy-to-storage");
        let output = enter().once(&script).exits(77);
        let expected = format!("the directory is named {renamed}");
        assert!(output.stderr.contains(&expected), "{renamed}: {output:#?}");
    }
    // What begins with a dot is not there, which is reported as before.
    let world = World::new();
    let script =
        format!("cd {SITE}; mv policy-does .policy-does; cd /; bootc-image --dry-run copy-to-storage");
    let output = approved(&world).once(&script).ok();
    assert!(
        output.stderr.contains("policy-does") && output.stderr.contains("is not installed"),
        "{output:#?}"
    );
    let mandatory = approved(&world).file(&format!("{SITES}/a.toml"), expect_in_configuration("mandatory"));
    mandatory.once(&script).exits(77);
}

/// Digests of a list, in TOML.
fn digests(count: usize) -> String {
    (0..count).map(|number| format!("    \"sha256:{number:064x}\",\n")).collect()
}

fn with_digests(enter: Enter, list: &str, more: &str) -> Enter {
    let rule = format!("[[settings.registry-policy.rule]]\neffect = \"allow\"\ndigest = [\n{list}]\n");
    let text = format!("{more}[settings.registry-policy]\ndefault = \"deny\"\n{rule}");
    ship_in_image(enter, "registry-policy").file(&format!("{SITES}/a.toml"), text)
}

#[test]
fn ten_thousand_digests_are_judged_like_ten() {
    let world = World::new();
    let case = |number: usize, expect: &str| {
        format!(
            "[[case]]\nrun = [\"cmd\", \"pull\", \"quay.io/a/b:1\"]\ndigest = \"sha256:{number:064x}\"\nexpect = \"{expect}\"\n"
        )
    };
    for count in [10, 63, 64, 10_000] {
        let cases = [case(0, "allow"), case(count - 1, "allow"), case(count, "deny")].concat();
        // A text of several lines has the file parsed as a whole, with the same result.
        for more in ["", "[settings.other]\ntext = \"\"\"\n[\n\"\"\"\n"] {
            let enter = with_digests(world.enter(), &digests(count), more).file("/tmp/cases.toml", &cases);
            enter.once("bootc-image policy test /tmp/cases.toml").ok();
        }
    }
    let all = digests(10_000);
    let pull = "bootc-image cmd pull 127.0.0.1:5000/lab/app:1";
    let denied = with_digests(world.enter().registry(true), &all, "").once(pull).exits(77);
    assert!(denied.stderr.contains("one of 10000 digests"), "{denied:#?}");
    // The digest of the settings is that of all of them.
    let record = world.record();
    let verdicts = record[0]["verdicts"].as_array().unwrap();
    let verdict = verdicts.iter().find(|verdict| verdict["validator"] == "registry-policy").unwrap();
    let list: Vec<String> = (0..10_000).map(|number| format!("\"sha256:{number:064x}\"")).collect();
    let json = format!(r#"{{"default":"deny","rule":[{{"digest":[{}],"effect":"allow"}}]}}"#, list.join(","));
    assert_eq!(verdict["provenance"]["settings"], format!("{:x}", Sha256::digest(json)), "{verdict}");
    // One wrong entry among them denies, and is found with its place.
    let wrong = all.replacen(&format!("{:064x}", 5), &format!("{:064X}", 0xabc), 1);
    let enter = || with_digests(world.enter(), &wrong, "");
    enter().once("bootc-image --dry-run copy-to-storage").exits(77);
    let doctor = enter().once("bootc-image plugin doctor").exits(78);
    assert!(doctor.stdout.contains("`rule[0].digest[5]`"), "{doctor:#?}");
    // So does a mistake elsewhere in the file, with its line.
    let enter = with_digests(world.enter(), &all, "")
        .file(&format!("{SITES}/b.toml"), format!("x = [\n{all}]\n[polcy]\n"));
    let output = enter.once("bootc-image copy-to-storage").exits(78);
    assert!(output.stderr.contains("b.toml: line 10003: `polcy`: unknown key"), "{output:#?}");
    // More than 16 MiB are refused.
    let script = format!(
        "yes '# ..............................' | head -c 17000000 >{SITES}/c.toml\nbootc-image copy-to-storage"
    );
    let output = with_digests(world.enter(), &all, "").once(&script).exits(78);
    assert!(output.stderr.contains("c.toml: the file is larger than 16 MiB"), "{output:#?}");
}

#[test]
fn rules_of_several_files_add_up_and_what_is_replaced_is_said() {
    let world = World::new();
    let rule = |effect: &str, registry: &str| {
        format!("[[settings.registry-policy.rule]]\neffect = \"{effect}\"\nregistry = [\"{registry}\"]\n")
    };
    let default = |effect: &str| format!("settings.registry-policy.default = \"{effect}\"\n");
    let enter = || {
        ship_in_image(world.enter(), "registry-policy")
            .file(&format!("{IMAGES}/50-image.toml"), default("allow") + &rule("deny", "docker.io"))
            .file(
                &format!("{SITES}/60-site.toml"),
                default("deny") + &rule("allow", "quay.io") + &rule("allow", "docker.io"),
            )
    };
    let case = |image: &str, expect: &str| {
        format!("[[case]]\nrun = [\"cmd\", \"pull\", \"{image}\"]\nexpect = \"{expect}\"\n")
    };
    let cases =
        [case("quay.io/a/b:1", "allow"), case("docker.io/a/b:1", "deny"), case("ghcr.io/a/b:1", "deny")];
    let enter = || enter().file("/tmp/cases.toml", cases.concat());
    enter().once("bootc-image policy test /tmp/cases.toml").ok();
    for output in told(enter, "") {
        let output = output.ok();
        for note in [
            format!(
                "note: {SITES}/60-site.toml replaces default in [settings.registry-policy], which {IMAGES}/50-image.toml also sets\n"
            ),
            format!(
                "note: rule in [settings.registry-policy] is joined from several files, in this order: \
                 1 of {IMAGES}/50-image.toml, 2 of {SITES}/60-site.toml\n"
            ),
        ] {
            assert!(output.stderr.contains(&note), "{note} {output:#?}");
        }
    }
}

#[test]
fn a_link_to_dev_null_masks_and_other_links_are_refused() {
    let world = World::new();
    let image = || {
        plugins::install_in_image(world.enter(), "policy-does")
            .file(&format!("{IMAGES}/50.toml"), DENIES)
            .file(&format!("{SITES}/10.toml"), "")
    };
    image().once("bootc-image copy-to-storage").exits(77);
    // The settings are masked, and the policy with them.
    let settings = format!("ln -s /dev/null {SITES}/50.toml");
    let plugin = format!("mkdir -p {SITE}; ln -s /dev/null {SITE}/policy-does");
    let [list, doctor] = told(image, &settings);
    let note = format!(
        "note: {SITES}/50.toml is a link to /dev/null and masks {IMAGES}/50.toml; no longer in effect: [settings.policy-does] `do`\n"
    );
    assert!(list.ok().stderr.contains(&note) && doctor.stderr.contains(&note), "{doctor:#?}");
    image().once(&format!("{plugin}\nbootc-image --dry-run copy-to-storage")).ok();
    let [list, _] = told(image, &plugin);
    let line =
        list.ok().stdout.lines().find(|line| line.starts_with("policy-does")).unwrap_or_default().to_owned();
    assert!(
        line.contains("masked") && line.contains(&format!("by the link {SITE}/policy-does to /dev/null")),
        "{line}"
    );
    let output = image().once(&format!("{plugin}\nbootc-image plugin show policy-does")).exits(78);
    assert!(output.stderr.contains("is a link to /dev/null and masks"), "{output:#?}");
    // The grant is masked: the policy is not approved, and denies.
    let grant = format!("mkdir -p {GRANTS}; ln -s /dev/null {GRANTS}/policy-does.toml");
    let output = image().once(&format!("{grant}\nbootc-image copy-to-storage")).exits(77);
    assert!(output.stderr.contains("it has not been approved"), "{output:#?}");
    // A mandatory policy that is masked is missing.
    let enter = image().file(&format!("{SITES}/10.toml"), "policy.mandatory = [\"policy-does\"]\n");
    enter.once(&format!("{plugin}\nbootc-image copy-to-storage")).exits(77);
    // Everything else that leads elsewhere is refused, with its target and what to do.
    for (prepare, code, expected) in [
        (
            format!("ln -s ../../../dev/null {SITES}/50.toml"),
            78,
            "50.toml: it must be a regular file, but is a symbolic link to ../../../dev/null: replace the link by a copy of that file",
        ),
        (
            format!("echo >/run/x.toml; ln -s /run/x.toml {SITES}/50.toml"),
            78,
            "is a symbolic link to /run/x.toml",
        ),
        (
            format!("mkdir -p {SITE}; ln -s /run {SITE}/other"),
            77,
            "/other: it is a symbolic link to /run, and links are not followed: copy the directory",
        ),
    ] {
        image().once(&format!("{prepare}\nbootc-image copy-to-storage")).exits(code);
        let output = image().once(&format!("{prepare}\nbootc-image plugin doctor")).exits(78);
        assert!(output.stdout.contains(expected), "{prepare}: {output:#?}");
    }
}

const MASK: &str = "[[policy.masked]]\nid = \"podman-allowlist\"\nplace = \"built-in\"\n";

/// A plugin of the site that provides `list` and nothing else, approved.
fn own_list(enter: Enter, id: &str) -> Enter {
    let component = guests::files("allowlist-without-pull").unwrap().remove(1).1;
    let sha256 = guests::sha256("allowlist-without-pull").unwrap();
    let manifest = format!(
        "schema = 1\nid = \"{id}\"\nversion = \"1.0.0\"\napi = \"^0.1\"\n[[component]]\nfile = \"own.wasm\"\n\
         world = \"bootc-image:command/wrapper\"\nsha256 = \"{sha256}\"\n[[command]]\nname = \"list\"\nsummary = \"our list\"\n"
    );
    let grant = format!(
        "[[grant]]\nplugin = \"{id}\"\nsha256 = \"{sha256}\"\nmanifest = \"{:x}\"\nrole = \"command\"\n",
        Sha256::digest(&manifest)
    );
    enter
        .file(&format!("{SITE}/{id}/plugin.toml"), manifest)
        .file(&format!("{SITE}/{id}/own.wasm"), component)
        .file(&format!("{GRANTS}/{id}.toml"), grant)
}

#[test]
fn the_built_in_plugin_can_be_masked_narrowed_and_replaced() {
    let world = World::new();
    let with = |text: &str| world.enter().file(&format!("{SITES}/a.toml"), text);
    let list = "bootc-image cmd list";
    let output = with(MASK).once(list).exits(77);
    assert!(output.stderr.contains("cmd list"), "{output:#?}");
    let output = with(MASK).once("bootc-image plugin list").ok();
    assert!(
        output.stdout.contains("masked") && output.stdout.contains("built-in podman-allowlist"),
        "{output:#?}"
    );
    world
        .enter()
        .once(&format!("mkdir -p {SITE}; ln -s /dev/null {SITE}/podman-allowlist; bootc-image cmd list"))
        .exits(77);

    // Narrowed: what is left out is denied, to root and to delegated callers, and nothing can be added.
    let narrow = "settings.podman-allowlist.allowed = [\"list\"]\n";
    with(narrow).once(list).ok();
    for enter in [with(narrow), with(narrow).env("SUDO_UID", "1000")] {
        let output = enter.once("bootc-image cmd pull quay.io/a/b:1").exits(77);
        assert!(output.stderr.contains("allowed subcommands: list"), "{output:#?}");
    }
    for wrong in ["allowed = [\"list\", \"rm\"]", "allowed = \"list\"", "denied = [\"pull\"]"] {
        let enter = || with(&format!("settings.podman-allowlist.{wrong}\n"));
        assert_ne!(enter().once(list).code, 0, "{wrong}");
        let output = enter().once("bootc-image plugin doctor").exits(78);
        assert!(output.stdout.contains("correct [settings.podman-allowlist]"), "{output:#?}");
    }

    // Replaced by another plugin, also by one with the same id. Without the mask, nobody knows which is meant.
    for id in ["own-list", "podman-allowlist"] {
        let output = own_list(world.enter(), id).once(list);
        assert!(output.code == 77 || output.code == 78, "{output:#?}");
        own_list(with(MASK), id).once(list).ok();
        own_list(with(MASK), id).once("bootc-image cmd pull quay.io/a/b:1").exits(77);
    }
    // `approve` says what to do.
    let script = format!("rm {GRANTS}/own-list.toml; bootc-image plugin approve own-list");
    let output = own_list(world.enter(), "own-list").once(&script).exits(78);
    assert!(
        output.stderr.contains("mask the built-in plugin first")
            && output.stderr.contains("place = \"built-in\""),
        "{output:#?}"
    );
}

/// A grant of a built-in plugin with these capabilities.
fn granted(capabilities: &[(&str, &str)]) -> String {
    let list =
        capabilities.iter().map(|(name, scope)| format!("{{ name = \"{name}\", scope = \"{scope}\" }}"));
    let list: Vec<String> = list.collect();
    format!(
        "[[grant]]\nplugin = \"podman-allowlist\"\nkind = \"built-in\"\ncapability = [{}]\n",
        list.join(", ")
    )
}

const ALL: &[(&str, &str)] = &[
    ("podman-machine", "network=none"),
    ("podman-reads", "/etc/build-secrets"),
    ("podman-writes", "/var/lib/build-results"),
];
const CONTEXT: &str = "mkdir -p /etc/build-secrets /var/lib/build-results /run/context /etc/other
    echo hidden >/etc/build-secrets/x; echo hidden >/etc/other/x; ln -s /etc/other/x /etc/build-secrets/link
    printf 'FROM scratch\\nCOPY a /a\\n' >/run/context/Containerfile; echo a >/run/context/a\n";

#[test]
fn the_built_in_plugin_gets_what_a_grant_gives_it_and_nothing_else() {
    let world = World::new();
    let grant = || granted(ALL);
    let enter = || world.enter().file(&format!("{GRANTS}/podman-allowlist.toml"), grant());
    let build = |options: &str| {
        format!("{CONTEXT}bootc-image cmd build -q -t localhost/built:1 {options} /run/context")
    };
    for options in
        ["--network=none", "--iidfile=/var/lib/build-results/id", "--secret id=x,src=/etc/build-secrets/x"]
    {
        let output = world.enter().once(&build(options)).exits(77);
        assert!(
            output.stderr.contains("plugin podman-allowlist does not have the capability"),
            "{output:#?}"
        );
        enter().once(&build(options)).ok();
    }
    let id = std::fs::read_to_string(world.outside("/var/lib/build-results/id")).unwrap();
    assert!(id.starts_with("sha256:"), "{id}");
    // podman is told that it is a file, and never gets a variable.
    let record = world.record();
    let is_file = |line: &Value| line.to_string().contains("id=x,type=file,src=/etc/build-secrets/x");
    assert!(record.iter().any(is_file), "{record:#?}");
    let push = "bootc-image cmd push -q --digestfile /var/lib/build-results/digest localhost/app:stable 127.0.0.1:5000/pushed/a:1";
    enter().registry(true).once(&format!("{CONTEXT}{push}")).ok();
    let show = enter().once("bootc-image plugin show podman-allowlist").ok();
    assert!(show.stdout.contains("granted     podman-machine network=none\n"), "{show:#?}");
    enter().once("bootc-image plugin doctor").ok();

    // What tries to walk around it: other values, other files, other forms of secrets.
    for options in [
        "--network=host",
        "--network=none --network=host",
        "--pid=host",
        "--iidfile=/etc/id",
        "--iidfile=/var/lib/build-results/../id",
        "--secret id=x,src=/etc/other/x",
        "--secret id=x,src=/etc/build-secrets/link",
        "--secret id=x,src=/etc/build-secrets/../other/x",
        "--secret id=x,env=SECRET",
        "--secret id=SECRET",
        "--secret id=x,type=env,src=SECRET",
        "--secret id=x,src=/etc/build-secrets/x,env=SECRET",
        "--secret id=x,src=/etc/build-secrets/x,src=/etc/other/x",
        "--secret /etc/build-secrets/x",
        "--creds=a:b",
    ] {
        let output = enter().env("SECRET", "value").once(&build(options)).exits(77);
        assert!(
            output.stderr.lines().last().unwrap_or_default().starts_with("bootc-image: denied: "),
            "{options}: {output:#?}"
        );
    }
    // A delegated caller cannot build, whatever is granted.
    let output = enter().env("SUDO_UID", "1000").once(&build("--network=none")).exits(77);
    assert!(output.stderr.contains("allow-delegated"), "{output:#?}");
}

#[test]
fn a_grant_of_a_built_in_plugin_approves_no_other() {
    let world = World::new();
    let with = |text: &str| world.enter().file(&format!("{GRANTS}/a.toml"), text);
    for (rest, expected) in [
        (format!("sha256 = \"{}\"\n", "0".repeat(64)), "is not accepted in a grant of a built-in plugin"),
        ("role = \"command\"\n".to_owned(), "is not accepted in a grant of a built-in plugin"),
        ("mandatory = true\n".to_owned(), "only a policy can be mandatory"),
        (
            "capability = [{ name = \"lists-images\", scope = \"**\" }]\n".to_owned(),
            "can be granted only podman-machine",
        ),
        (
            "capability = [{ name = \"podman-machine\", scope = \"=none\" }]\n".to_owned(),
            "the long name of an option",
        ),
    ] {
        let text = format!("[[grant]]\nplugin = \"podman-allowlist\"\nkind = \"built-in\"\n{rest}");
        with(&text).once("bootc-image copy-to-storage").exits(77);
        let output = with(&text).once("bootc-image plugin doctor").exits(78);
        assert!(output.stdout.contains(expected), "{rest}: {output:#?}");
    }
    // A plugin from disk with this id, or a policy, is not approved by it.
    let enter = own_list(world.enter(), "podman-allowlist")
        .file(&format!("{SITES}/a.toml"), MASK)
        .file(&format!("{GRANTS}/podman-allowlist.toml"), granted(ALL));
    let output = enter.once("bootc-image cmd list").exits(77);
    assert!(output.stderr.contains("it has not been approved"), "{output:#?}");
    let text = "[[grant]]\nplugin = \"policy-does\"\nkind = \"built-in\"\n";
    let enter = || install(with(text), "policy-does", SITE).file(&format!("{SITES}/a.toml"), ALLOWS);
    let output = enter().once("bootc-image copy-to-storage").exits(77);
    assert!(output.stderr.contains("it has not been approved"), "{output:#?}");
    let doctor = enter().once("bootc-image plugin doctor").exits(78);
    assert!(doctor.stdout.contains("no such plugin is built in"), "{doctor:#?}");
    // An approved plugin does not get the capabilities of the built-in one with its id.
    let grants = own_list(world.enter(), "podman-allowlist").file(&format!("{SITES}/a.toml"), MASK);
    let enter = grants.file(&format!("{GRANTS}/b.toml"), granted(ALL));
    let show = enter.once("bootc-image plugin show podman-allowlist").ok();
    assert!(!show.stdout.contains("granted"), "{show:#?}");
}

#[test]
fn an_image_is_signed_with_roots_key_if_that_is_granted() {
    let world = World::new();
    let key = "mkdir -p -m 0700 /root/.gnupg
        gpg --batch --quiet --passphrase '' --quick-gen-key signer@example.com default default never >&2\n";
    let push =
        "bootc-image cmd push -q --sign-by signer@example.com localhost/app:stable 127.0.0.1:5000/signed/a:1";
    let enter = || world.enter().registry(true);
    let output = enter().once(&format!("{key}{push}")).exits(77);
    assert!(output.stderr.contains("podman-machine"), "{output:#?}");
    let granted = || enter().file(&format!("{GRANTS}/a.toml"), granted(&[("podman-machine", "sign-by")]));
    let signed = granted().once(&format!("{key}{push}\nfind /var /root -name signature-1 -size +0")).ok();
    assert!(signed.stdout.contains("signed/a@sha256="), "{signed:#?}");
    // Keys that others could exchange are not used.
    let output = granted().once(&format!("{key}chmod 0777 /root/.gnupg\n{push}"));
    assert!(output.code != 0 && output.stderr.contains("key ring"), "{output:#?}");
}

/// The shipped plugin has what the page about it says.
#[test]
fn the_manifest_of_registry_policy_imports_the_lists_of_digests() {
    let component = std::fs::read(shipped("registry-policy").join("registry_policy.wasm")).unwrap();
    let name = b"bootc-image:host/digest-lists@0.1.0";
    assert!(component.windows(name.len()).any(|found| found == name));
}

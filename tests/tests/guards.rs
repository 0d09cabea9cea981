//! A guard that is gone is missed, and whoever looks for it sees what there is.

mod plugins;

use bootc_image_tests::World;
use bootc_image_tests::world::Enter;
use plugins::{IMAGE, SITE, files_of, install, install_in_image};
use serde_json::Value;

const COPY: &[&str] = &["bootc-image", "copy-to-storage"];
const LIST: &[&str] = &["bootc-image", "list"];
const DOCTOR: &[&str] = &["bootc-image", "plugin", "doctor"];
const APPROVE: &[&str] = &["bootc-image", "plugin", "approve", "policy-does"];
const REVOKE: &[&str] = &["bootc-image", "plugin", "revoke", "policy-does"];
const PLUGINS: &[&str] = &["bootc-image", "plugin", "list", "--format", "json"];
const OWN_GRANT: &str = "/etc/bootc-image/grants.d/policy-does.toml";

/// What the plugin list says of a plugin.
fn of_list(listed: &Value, id: &str, key: &str) -> Value {
    let lines = listed.as_array().unwrap();
    lines.iter().find(|line| line["id"] == id).unwrap_or(&Value::Null)[key].clone()
}

#[test]
fn what_the_os_image_approves_isnt_approved_again() {
    let world = World::new();
    let enter = || install_in_image(world.enter(), "policy-does");
    for command in [APPROVE, &["bootc-image", "--dry-run", "plugin", "approve", "policy-does"]] {
        let output = enter().run(command).ok();
        let expected = "note: nothing to do: plugin policy-does is already approved by the OS image in \
                        /usr/lib/bootc-image/grants.d/policy-does.toml\n";
        assert_eq!((&*output.stdout, &*output.stderr), ("", expected));
    }
    let mandatory = ["bootc-image", "plugin", "approve", "--mandatory", "policy-does"];
    let output = enter().run(&mandatory).exits(78);
    assert!(output.stderr.contains("[policy] mandatory = [\"policy-does\"]"), "{output:#?}");
    assert!(!world.outside(OWN_GRANT).exists() && world.record().is_empty(), "{:#?}", world.record());
    enter().run(COPY).ok();
}

#[test]
fn a_file_of_the_image_that_the_sites_hides_is_shown_and_what_is_missing_is_found() {
    let world = World::new();
    let (of_image, of_site) =
        ("/usr/lib/bootc-image/config.d/50-policy.toml", "/etc/bootc-image/config.d/50-policy.toml");
    let guard = "[policy]\nmandatory = [\"policy-does\"]\n[settings.policy-does]\ndo = \"deny\"\n";
    let enter =
        |site: &str| install_in_image(world.enter(), "policy-does").file(of_image, guard).file(of_site, site);
    let lost =
        "; no longer in effect: [policy] mandatory = [\"policy-does\"] and [settings.policy-does] `do`";
    let fix =
        format!("rename {of_site} so that both files are read, or copy the settings to keep into {of_site}");
    let site = "[audit]\nreads = false\n";
    for format in ["table", "json"] {
        let output = enter(site).run(&["bootc-image", "plugin", "list", "--format", format]).ok();
        assert_eq!(
            output.stderr,
            format!(
                "note: {of_site} replaces {of_image}{lost}\nnote: to bring back what is no longer in effect: {fix}\n"
            )
        );
    }
    for command in [DOCTOR, &["bootc-image", "plugin", "doctor", "policy-does"]] {
        let output = enter(site).run(command).exits(78);
        let expected = format!(": {of_site} replaces {of_image}{lost}\n  fix: {fix}\n");
        assert!(output.stdout.ends_with(&expected), "{output:#?}");
    }
    assert_eq!(enter(guard).run(DOCTOR).ok().stdout, "no problems found\n");
    let holds = "; everything in the replaced file is still in effect: [policy] mandatory = [\"policy-does\"] and [settings.policy-does] `do`";
    let output = enter(guard).run(PLUGINS).ok();
    assert_eq!(output.stderr, format!("note: {of_site} replaces {of_image}{holds}\n"));
    // A value that was turned round.
    let output = enter(&guard.replace("\"deny\"", "\"allow\"")).run(DOCTOR).exits(78);
    let changed =
        "changed by it: [settings.policy-does] `do`; still in effect: [policy] mandatory = [\"policy-does\"]";
    let expected = format!("configuration: {of_site} replaces {of_image}; {changed}\n  fix: {fix}\n");
    assert_eq!(output.stdout, expected);
    // A grant of the site's, of what is there now.
    let output = enter(guard).file(OWN_GRANT, plugins::grant("policy-does")).run(DOCTOR).exits(78);
    let expected = format!(
        "{OWN_GRANT} replaces /usr/lib/bootc-image/grants.d/policy-does.toml; no longer in effect: the approval of policy-does; \
         the image's grant is not read: after an upgrade policy-does will be disabled until it is approved again\n  \
         fix: run `bootc-image plugin revoke policy-does`, or remove {OWN_GRANT}\n"
    );
    assert!(output.stdout.contains(&expected), "{output:#?}");
}

#[test]
fn a_policy_that_was_approved_and_is_gone_is_missed_at_every_act() {
    let world = World::new();
    let output = install(world.enter(), "policy-does", SITE).run(APPROVE).ok();
    assert!(output.stderr.contains("bootc-image plugin approve --mandatory policy-does"), "{output:#?}");
    let written = std::fs::read_to_string(world.outside(OWN_GRANT)).unwrap();
    assert!(written.contains("role = \"policy\"\n") && !written.contains("mandatory"), "{written}");
    let record = world.record();
    let intent = record.iter().find(|line| line["event"] == "intent").unwrap();
    assert_eq!(intent["canonical"]["operation"]["role"], "policy");

    world.enter().sh(&format!("rm -r {SITE}/policy-does")).ok();
    let missed = format!(
        "policy policy-does (approved in {OWN_GRANT}) is not installed, so it does not judge operations: install it, or \
         revoke the approval with: bootc-image plugin revoke policy-does"
    );
    for command in [COPY, &["bootc-image", "--dry-run", "copy-to-storage"], &["bootc-image", "cmd", "list"]] {
        let output = world.enter().run(command).ok();
        assert_eq!(output.stderr.matches(&format!("note: {missed}\n")).count(), 1, "{output:#?}");
    }
    assert_eq!(world.enter().run(LIST).ok().stderr, "");
    assert_eq!(world.enter().run(PLUGINS).ok().stderr, format!("note: {missed}\n"));
    for command in [DOCTOR, &["bootc-image", "plugin", "doctor", "policy-does"]] {
        let output = world.enter().run(command).exits(78);
        let found = missed.replace(": install", "\n  fix: install");
        assert_eq!(output.stdout, format!("policy-does: {found}\n"));
    }
    let output = world.enter().run(REVOKE).ok();
    assert_eq!(output.stdout, format!("Revoked: policy-does, removed {OWN_GRANT}\n"));
    assert_eq!(output.stderr, "");
    assert!(!world.enter().run(COPY).ok().stderr.contains("policy-does"));
    assert_eq!(world.enter().run(DOCTOR).ok().stdout, "no problems found\n");
}

#[test]
fn one_that_was_approved_as_mandatory_denies_everything_where_it_isnt() {
    let world = World::new();
    let enter = || install(world.enter(), "policy-does", SITE);
    let mandatory = ["bootc-image", "plugin", "approve", "--mandatory", "policy-does"];
    let output = enter().run(&mandatory).ok();
    assert!(
        output.stdout.ends_with(
            "This policy is mandatory: while it is missing, every operation except `list` is denied.\n"
        ) && !output.stderr.contains("--mandatory"),
        "{output:#?}"
    );
    enter().run(COPY).ok();
    // What is approved again stays mandatory.
    enter().run(APPROVE).ok();
    let written = std::fs::read_to_string(world.outside(OWN_GRANT)).unwrap();
    assert!(written.contains("mandatory = true\n"), "{written}");
    let shown = enter().run(&["bootc-image", "plugin", "show", "policy-does"]).ok().stdout;
    assert!(
        shown.contains("mandatory   while this policy is missing, every operation except `list` is denied\n"),
        "{shown}"
    );
    assert_eq!(of_list(&enter().run(PLUGINS).ok().json(), "policy-does", "mandatory"), true);
    let table = enter().run(&["bootc-image", "plugin", "list"]).ok().stdout;
    assert!(table.contains("mandatory policy"), "{table}");

    world.enter().sh(&format!("rm -r {SITE}/policy-does")).ok();
    let output = world.enter().run(COPY).exits(77);
    let missed = "note: policy policy-does is mandatory but is not installed, so every operation except `list` is denied: install it, or \
                  revoke the approval with: bootc-image plugin revoke policy-does\n";
    assert_eq!(output.stderr.matches(missed).count(), 1, "{output:#?}");
    let last = output.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with(
            "bootc-image: denied: policy policy-does: cannot judge this operation: it was approved as mandatory"
        ) && last.contains("bootc-image plugin revoke policy-does"),
        "{output:#?}"
    );
    let listed = world.enter().run(PLUGINS).ok().json();
    assert_eq!(of_list(&listed, "policy-does", "state"), "missing");
    let output = world.enter().run(LIST).ok();
    assert!(output.stderr.contains("policy policy-does could not judge this list"));
    world.enter().run(REVOKE).ok();
    world.enter().run(COPY).ok();
}

#[test]
fn what_was_approved_as_a_policy_is_approved_as_nothing_else() {
    let world = World::new();
    install(world.enter(), "policy-does", SITE)
        .run(&["bootc-image", "plugin", "approve", "--mandatory", "policy-does"])
        .ok();
    let written = std::fs::read_to_string(world.outside(OWN_GRANT)).unwrap();
    // An update that is a format.
    let update = files_of("format-does").into_iter().fold(world.enter(), |enter, (name, content)| {
        let renamed = |manifest: &str| manifest.replace("id = \"format-does\"", "id = \"policy-does\"");
        let content = std::str::from_utf8(&content).map(renamed).map_or(content.clone(), String::into_bytes);
        enter.file(&format!("{SITE}/policy-does/{name}"), content)
    });
    let output = update.run(APPROVE).exits(78);
    let why = format!("{OWN_GRANT} approves it as a policy, but the installed version is not a policy");
    let fix = "if it is no longer needed as a policy, revoke the approval with: bootc-image plugin revoke policy-does";
    assert!(output.stderr.contains(&why) && output.stderr.contains(fix), "{output:#?}");
    assert_eq!(std::fs::read_to_string(world.outside(OWN_GRANT)).unwrap(), written);
    let output = world.enter().run(DOCTOR).exits(78);
    assert!(output.stdout.contains(fix) && !output.stdout.contains("plugin approve"), "{output:#?}");
    world.enter().run(COPY).exits(77);
    world.enter().run(REVOKE).ok();
    world.enter().run(APPROVE).ok();
    world.enter().run(COPY).ok();
}

#[test]
fn only_a_policy_can_be_mandatory() {
    let world = World::new();
    let enter = install(world.enter(), "format-does", SITE);
    let output = enter.run(&["bootc-image", "plugin", "approve", "--mandatory", "format-does"]).exits(2);
    assert!(output.stderr.contains("only a policy can be mandatory"), "{output:#?}");
    assert!(!world.outside("/etc/bootc-image/grants.d").exists() && world.record().is_empty());
}

/// As after a rollback to a version that doesn't know a key: what acts doesn't, and what looks still looks.
#[test]
fn with_a_configuration_that_cant_be_read_nothing_acts_and_what_looks_still_looks() {
    let broken = |world: &World, which: usize| {
        let enter = install_in_image(world.enter(), "policy-does");
        let (site, settings) =
            ("/etc/bootc-image/config.d/50-site.toml", "settings.policy-does.do = \"allow\"\n");
        match which {
            0 => (
                enter
                    .file("/usr/lib/bootc-image/config.d/10.toml", settings)
                    .file("/usr/lib/bootc-image/config.d/99.toml", "[policy]\nfrom-the-future = 1\n"),
                "/usr/lib/bootc-image/config.d/99.toml: line 2: `from-the-future`: unknown key",
                "true",
            ),
            _ => (
                enter.file(site, settings),
                "must be owned by root and not writable by others",
                "chmod 0777 /etc/bootc-image/config.d",
            ),
        }
    };
    for which in 0..2 {
        let world = World::new();
        let run = |command: &str| {
            let (enter, expected, prepare): (Enter, _, _) = broken(&world, which);
            let output = enter.sh(&format!("{prepare}; exec bootc-image {command}"));
            let complaint = output.stderr.lines().filter(|line| line.starts_with("error: "));
            let complaint: Vec<&str> = complaint.collect();
            assert!(complaint.len() == 1 && complaint[0].contains(expected), "{command}: {output:#?}");
            assert!(output.stderr.contains("  hint: "), "{command}: {output:#?}");
            output
        };
        let output = run("list").exits(1);
        assert!(output.stdout.contains("127.0.0.1:5000/lab/app:1"), "{output:#?}");
        for (command, shows) in [
            ("plugin list", "podman-allowlist"),
            ("plugin show policy-does", "status      enabled"),
            ("list --help", "Usage:"),
        ] {
            let output = run(command).exits(78);
            assert!(output.stdout.contains(shows), "{command}: {output:#?}");
        }
        let output = run("plugin doctor").exits(78);
        assert!(output.stdout.contains("correct this first"), "{output:#?}");
        for command in [
            "copy-to-storage",
            "--dry-run copy-to-storage",
            "prune",
            "cmd list",
            "plugin approve policy-does",
            "plugin revoke policy-does",
            "policy explain copy-to-storage",
            "policy explain list",
            "--dry-run list",
            "policy test /etc/bootc-image/config.d/50-site.toml",
        ] {
            let output = run(command).exits(78);
            assert!(output.stdout.is_empty(), "{command}: {output:#?}");
        }
        assert!(world.record().is_empty(), "{:#?}", world.record());
    }
}

#[test]
fn with_a_grant_that_cant_be_read_nothing_acts_and_what_looks_still_looks() {
    let world = World::new();
    let bad = "/etc/bootc-image/grants.d/x.toml";
    let enter = || install_in_image(world.enter(), "policy-does").file(bad, "[[grant]]\nplgin = \"x\"\n");
    let why = format!("{bad}: line 2: `plgin`: unknown key");
    for (command, code, shows) in [
        (PLUGINS, 78, "policy-does"),
        (&["bootc-image", "plugin", "show", "policy-does"], 78, "status      enabled"),
        (DOCTOR, 78, "correct this first"),
        (LIST, 0, "127.0.0.1:5000/lab/app:1"),
    ] {
        let output = enter().run(command).exits(code);
        assert!(output.stdout.contains(shows) && output.stderr.contains(&why), "{output:#?}");
    }
    let output = enter().run(COPY).exits(77);
    assert!(output.stderr.contains("cannot determine which policies are installed"), "{output:#?}");
    enter().run(APPROVE).exits(78);
    assert!(world.record().iter().all(|line| line["event"] == "denied"), "{:#?}", world.record());
}

#[test]
fn a_list_is_denied_by_a_policys_word_and_by_nothing_else() {
    let world = World::new();
    let does = |enter: Enter, what: &str| {
        install_in_image(enter, "policy-does").file(
            "/usr/lib/bootc-image/config.d/50-test.toml",
            format!("settings.policy-does.do = {what:?}\n"),
        )
    };
    let output = does(world.enter(), "deny").run(LIST).exits(77);
    assert!(output.stdout.is_empty() && output.stderr.contains("nothing is allowed today"), "{output:#?}");
    let manifest = format!("{IMAGE}/policy-does/plugin.toml");
    for enter in [
        does(world.enter(), "panic"),
        does(world.enter(), "allow").file(&manifest, "nonsense"),
        does(world.enter(), "allow").file(&format!("{IMAGE}/policy-does/policy_does.wasm"), "nonsense"),
        install(world.enter(), "policy-does", IMAGE),
    ] {
        let output = enter.run(LIST).ok();
        assert!(output.stdout.contains("127.0.0.1:5000/lab/app:1"), "{output:#?}");
        let said = "note: policy policy-does could not judge this list: ";
        assert_eq!(output.stderr.matches(said).count(), 1, "{output:#?}");
    }
    does(world.enter(), "panic").run(COPY).exits(77);
    // Who is root for another could make it fail.
    does(world.enter(), "panic").env("SUDO_UID", "1000").run(LIST).exits(77);
}

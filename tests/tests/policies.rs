//! Policies: found, granted, asked, and holding whatever happens to them.

mod plugins;

use bootc_image_test_guests as guests;
use bootc_image_tests::faults::EVENTUALLY;
use bootc_image_tests::guide::{Page, Step};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World, programs};
use plugins::{IMAGE, INSTALLED, SITE, grant, install, install_in_image, ship_in_image};
use serde_json::Value;

const CONFIGURATION: &str = "/usr/lib/bootc-image/config.d/50-test.toml";
const COPY: &[&str] = &["bootc-image", "copy-to-storage"];

fn does(enter: Enter, what: &str) -> Enter {
    install_in_image(enter, "policy-does")
        .file(CONFIGURATION, format!("settings.policy-does.do = \"{what}\"\n"))
}

/// It was refused by this policy, nothing was copied, and the last line has all of these in it.
fn denied(world: &World, output: Output, expected: &[&str]) {
    let output = output.exits(77);
    let last = output.stderr.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("bootc-image: denied: "), "{output:#?}");
    for part in expected {
        assert!(last.contains(part), "{part:?} isn't in {last:?}");
    }
    assert!(world.record().iter().all(|line| line["event"] == "denied"), "{:#?}", world.record());
    assert!(output.stdout.is_empty(), "{output:#?}");
}

#[test]
fn a_policy_of_the_os_image_allows_and_denies_and_its_words_are_on_record() {
    let world = World::new();
    denied(&world, does(world.enter(), "deny").run(COPY), &["nothing is allowed today", "try tomorrow"]);
    let record = world.record();
    let verdicts = record[0]["verdicts"].as_array().unwrap();
    let verdict = verdicts.iter().find(|verdict| verdict["validator"] == "policy-does").unwrap();
    assert_eq!(verdict["denial"]["code"], "not-today");
    assert_eq!(record[0]["denial"]["denied_by"], "policy-does");

    does(world.enter(), "allow").run(COPY).ok();
    let intent = &world.record()[1];
    let verdicts = intent["verdicts"].as_array().unwrap();
    let verdict = verdicts.iter().find(|verdict| verdict["validator"] == "policy-does").unwrap();
    assert_eq!(verdict["annotations"]["reason"], "copy-to-storage is fine");
    assert_eq!(verdict["annotations"]["attrs"]["rule"], "all");
}

#[test]
fn all_policies_must_allow() {
    let world = World::new();
    let enter = install_in_image(does(world.enter(), "deny"), "wasi-policy");
    denied(&world, enter.run(COPY), &["nothing is allowed today"]);
}

#[test]
fn a_policy_that_is_absent_denies() {
    let world = World::new();
    let enter = || world.enter().file(CONFIGURATION, "[policy]\nmandatory = [\"gone\"]\n");
    denied(
        &world,
        enter().run(COPY),
        &["policy gone: cannot judge this operation", "mandatory", "install it"],
    );
    let output = enter().run(&["bootc-image", "list"]).ok();
    assert!(output.stderr.contains("policy gone could not judge this list"), "{output:#?}");
}

#[test]
fn a_policy_that_is_unreadable_denies() {
    let world = World::new();
    let broken = format!("{IMAGE}/policy-does/plugin.toml");
    let enter = does(world.enter(), "allow").file(&broken, "schema = 1\nid = \"policy-does\"\nvers");
    denied(&world, enter.run(COPY), &["policy policy-does", &broken, "line 3", "correct the manifest"]);
    let component = format!("{IMAGE}/policy-does/policy_does.wasm");
    let enter = does(world.enter(), "allow").alongside("true");
    let script =
        format!("mount -t tmpfs none {IMAGE}/policy-does 2>/dev/null || true; bootc-image copy-to-storage");
    let output = enter.sh(&script);
    denied(&world, output, &["policy policy-does", "must be owned by root"]);
    let enter = does(world.enter(), "allow").file(&component, "not a component");
    denied(
        &world,
        enter.run(COPY),
        &["policy policy-does", &component, "digest", "plugin doctor policy-does"],
    );
}

#[test]
fn a_policy_of_another_version_denies() {
    let world = World::new();
    for (from, to, expected, fix) in [
        (
            "api = \"^0.1\"",
            "api = \"^0.9\"",
            "\"^0.9\" does not include 0.1.0, the version of the plugin interface on this host",
            "install a newer bootc-image (until then, mask it with policy.masked = ",
        ),
        (
            "policy/validator",
            "policy/judge",
            "is not a world that this host supports",
            "correct the manifest",
        ),
    ] {
        let manifest = String::from_utf8(guests::files("policy-does").unwrap()[0].1.clone()).unwrap();
        let manifest = manifest.replace(from, to);
        let enter = does(world.enter(), "allow").file(&format!("{IMAGE}/policy-does/plugin.toml"), manifest);
        denied(&world, enter.run(COPY), &["policy policy-does", expected, fix]);
    }
}

#[test]
fn a_policy_that_traps_or_never_ends_denies() {
    for (what, expected) in [
        ("panic", "panicked: no verdict"),
        ("recurse", "call stack exhausted"),
        ("loop", "exceeded its processor time limit (0.25 s)"),
        ("memory", "exceeded its memory limit (64 MiB)"),
        ("problem", "it cannot decide (setting do)"),
    ] {
        let world = World::new();
        let output = does(world.enter(), what).run(COPY);
        // On a busy machine it may not get so much processor time in the time that it has.
        let is_late = what == "loop" && output.stderr.contains("exceeded its time limit");
        let expected = if is_late { "exceeded its time limit" } else { expected };
        denied(
            &world,
            output,
            &["policy policy-does: cannot judge this operation", expected, "plugin doctor policy-does"],
        );
    }
}

#[test]
fn a_policy_that_nobody_approved_denies_until_somebody_does() {
    let world = World::new();
    let enter = || install(world.enter(), "policy-does", SITE);
    denied(
        &world,
        enter().run(COPY),
        &["it has not been approved", "bootc-image plugin approve policy-does"],
    );
    let approved = enter().run(&["bootc-image", "plugin", "approve", "policy-does"]).ok();
    assert_eq!(
        approved.stdout,
        format!(
            "Approved: policy-does {} in /etc/bootc-image/grants.d/policy-does.toml\n",
            guests::sha256("policy-does").unwrap()
        )
    );
    enter().run(COPY).ok();
    let intent =
        world.record().into_iter().find(|line| line["canonical"]["operation"]["kind"] == "approve-plugin");
    assert_eq!(intent.unwrap()["canonical"]["operation"]["sha256"], guests::sha256("policy-does").unwrap());

    let revoked = enter().run(&["bootc-image", "plugin", "revoke", "policy-does"]).ok();
    let note = format!(
        "note: policy policy-does is still installed in {SITE}/policy-does but no longer approved, so every operation \
         that it judges is denied; to stop that, remove this directory or mask the policy in the configuration with \
         policy.masked = [{{ id = \"policy-does\", place = \"site\" }}]\n"
    );
    assert_eq!(revoked.stderr, note);
    let output = enter().run(COPY).exits(77);
    assert!(output.stderr.contains("it has not been approved"), "{output:#?}");
}

#[test]
fn an_approval_is_of_one_component_and_of_what_it_asked_for_then() {
    let world = World::new();
    let enter = || install(world.enter(), "policy-does", INSTALLED);
    enter().run(&["bootc-image", "plugin", "approve", "policy-does"]).ok();
    enter().run(COPY).ok();
    // Swapped: manifest and component belong together, but nobody has approved them.
    let other = guests::files("wasi-policy").unwrap();
    let manifest = String::from_utf8(other[0].1.clone()).unwrap();
    let manifest = manifest.replace("wasi-policy", "policy-does").replace("wasi_policy", "policy_does");
    let swapped = || {
        enter()
            .file(&format!("{INSTALLED}/policy-does/plugin.toml"), &manifest)
            .file(&format!("{INSTALLED}/policy-does/policy_does.wasm"), &other[1].1)
    };
    let output = swapped().run(COPY).exits(77);
    assert!(output.stderr.contains("is not the one that was approved"), "{output:#?}");
    // The same component asks for more.
    let manifest = String::from_utf8(guests::files("policy-does").unwrap()[0].1.clone()).unwrap();
    let more = "\n[[capability]]\nname = \"podman-reads\"\nscope = \"/srv\"\nreason = \"to read keys\"\n";
    let greedy =
        || enter().file(&format!("{INSTALLED}/policy-does/plugin.toml"), format!("{manifest}{more}"));
    let output = greedy().run(COPY).exits(77);
    let expected = "it requests capabilities that were not granted: podman-reads /srv (to read keys)";
    assert!(output.stderr.contains(expected), "{output:#?}");
    let shown = greedy().run(&["bootc-image", "plugin", "show", "policy-does"]).ok();
    assert!(shown.stdout.contains(expected), "{shown:#?}");
    greedy().run(&["bootc-image", "plugin", "approve", "policy-does"]).ok();
    greedy().run(COPY).ok();
}

#[test]
fn a_grant_of_the_image_is_about_plugins_of_the_image() {
    let world = World::new();
    let granted = "[[grant]]\nplugin = \"policy-does\"\n";
    let enter = install(world.enter(), "policy-does", SITE)
        .file("/usr/lib/bootc-image/grants.d/policy-does.toml", granted);
    denied(&world, enter.run(COPY), &["it has not been approved"]);
    let enter = install(world.enter(), "policy-does", SITE).file("/etc/bootc-image/grants.d/x.toml", granted);
    let output = enter.run(COPY).exits(77);
    assert!(
        output.stderr.contains("/etc/bootc-image/grants.d/x.toml: line 2: `sha256`: missing"),
        "{output:#?}"
    );
}

#[test]
fn two_of_one_id_deny_until_one_is_masked() {
    let world = World::new();
    let both = || install(does(world.enter(), "allow"), "policy-does", SITE);
    denied(&world, both().run(COPY), &["is used by both", IMAGE, SITE, "masked"]);
    let mask = |place: &str| {
        let settings = "settings.policy-does.do = \"deny\"\n";
        format!("{settings}[[policy.masked]]\nid = \"policy-does\"\nplace = \"{place}\"\n")
    };
    let output = both().file(CONFIGURATION, mask("site")).run(COPY);
    denied(&world, output, &["nothing is allowed today"]);
    let output = both().file(CONFIGURATION, mask("image")).run(COPY).exits(77);
    assert!(output.stderr.contains("it has not been approved"), "{output:#?}");
    let output = both()
        .file(CONFIGURATION, mask("image"))
        .file("/etc/bootc-image/grants.d/p.toml", grant("policy-does"));
    let output = output.env("RUST_LOG", "info").run(COPY).exits(77);
    assert!(
        output.stderr.contains("nothing is allowed today") && output.stderr.contains("masked"),
        "{output:#?}"
    );
}

#[test]
fn files_that_others_could_change_or_that_lead_elsewhere_arent_believed() {
    for (prepare, expected) in [
        ("chmod 0666 /etc/bootc-image/plugins/policy-does/plugin.toml", "not writable by others"),
        ("chmod 0775 /etc/bootc-image/plugins/policy-does", "not writable by others"),
        ("chmod 0777 /etc/bootc-image/plugins", "not writable by others"),
        ("chown 1000 /etc/bootc-image/plugins/policy-does/policy_does.wasm", "must be owned by root"),
        (
            "cd /etc/bootc-image/plugins/policy-does; mv policy_does.wasm /var/lib/x; ln -s /var/lib/x policy_does.wasm",
            "but is a symbolic link",
        ),
        (
            "cd /etc/bootc-image/plugins; mv policy-does /var/lib/y; ln -s /var/lib/y policy-does",
            "it is a symbolic link to /var/lib/y, and links are not followed",
        ),
        ("chmod 0666 /etc/bootc-image/grants.d/p.toml", "not writable by others"),
        (
            "echo >/etc/bootc-image/config.d/x.toml; chmod 0666 /etc/bootc-image/config.d/x.toml",
            "not writable by others",
        ),
    ] {
        let world = World::new();
        let enter = install(world.enter(), "policy-does", SITE)
            .file("/etc/bootc-image/grants.d/p.toml", grant("policy-does"))
            .file("/etc/bootc-image/config.d/a.toml", "");
        let output = enter.sh(&format!("{prepare}\ncd /\nbootc-image copy-to-storage"));
        assert!(output.code == 77 || output.code == 78, "{prepare}: {output:#?}");
        assert!(output.stderr.contains(expected), "{prepare}: {output:#?}");
        assert!(world.record().iter().all(|line| line["event"] == "denied"), "{prepare}");
    }
}

#[test]
fn compiled_code_that_others_could_have_written_isnt_used() {
    let world = World::new();
    let cache = "/var/cache/bootc-image";
    let kept = format!("{cache}/{}.cwasm", guests::sha256("policy-does").unwrap());
    does(world.enter(), "allow").run(COPY).ok();
    let first = std::fs::read(world.outside(&kept)).unwrap();
    for spoil in [
        format!("truncate -s 1000 {kept}"),
        format!("truncate -s 100000 {kept}"),
        format!(": >{kept}"),
        format!("head -c 300000 /dev/urandom >{kept}"),
        format!("cp /usr/bin/bootc-image {kept}"),
        format!("chmod 0666 {kept}"),
        format!("chown 1000 {kept}"),
        format!("mv {kept} /var/tmp/code; ln -s /var/tmp/code {kept}"),
        format!("chmod 0777 {cache}"),
        format!("rm -r {cache}; echo >{cache}"),
    ] {
        let script = format!("{spoil}\nbootc-image --quiet copy-to-storage");
        let output = does(world.enter(), "deny").sh(&script).exits(77);
        assert!(output.stderr.contains("nothing is allowed today"), "{spoil}: {output:#?}");
        does(world.enter(), "allow").sh(&format!("rm -rf {cache}; bootc-image copy-to-storage")).ok();
        assert!(
            std::fs::read(world.outside(&kept)).unwrap() == first,
            "{spoil}: compiling gives the same again"
        );
    }
}

#[test]
fn a_policy_that_may_fail_is_logged_and_on_record() {
    let world = World::new();
    let text = "settings.policy-does.do = \"panic\"\n[policy]\nfail-open = [\"policy-does\"]\n";
    let output = does(world.enter(), "panic").file(CONFIGURATION, text).run(COPY).ok();
    assert!(output.stderr.contains("a policy failed; because of [policy] fail-open"), "{output:#?}");
    let record = world.record();
    let verdicts = record[0]["verdicts"].as_array().unwrap();
    let verdict = verdicts.iter().find(|verdict| verdict["validator"] == "policy-does").unwrap();
    assert!(verdict["failed_open"].as_str().unwrap().contains("no verdict"), "{verdict}");
}

#[test]
fn what_a_policy_logs_is_told_with_its_id_and_deceives_nobody() {
    let world = World::new();
    let output = does(world.enter(), "log").run(COPY).ok();
    let line = output.stderr.lines().find(|line| line.contains("the policy says")).unwrap();
    assert!(line.contains("policy-does") && !line.contains('\u{1b}'), "{line:?}");
    let output = does(world.enter(), "escapes").run(COPY).exits(77);
    assert!(!output.stderr.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{output:#?}");
    assert!(!output.stderr.lines().any(|line| line.starts_with("bootc-image: allowed")), "{output:#?}");
}

#[test]
fn who_is_root_through_sudo_approves_nothing() {
    let world = World::new();
    let enter = || install(world.enter(), "policy-does", SITE);
    for words in [["approve", "policy-does"], ["revoke", "policy-does"]] {
        let command = ["bootc-image", "plugin", words[0], words[1]];
        denied(
            &world,
            enter().env("SUDO_UID", "1000").run(&command),
            &["is not allowed for a caller who became root through sudo"],
        );
    }
    // Nor is it compiled and run to see whether it could be approved.
    let compiled =
        || std::fs::read_dir(world.outside("/var/cache/bootc-image")).map_or(0, |entries| entries.count());
    let sudo = || enter().env("SUDO_UID", "1000");
    sudo().run(&["bootc-image", "--dry-run", "plugin", "approve", "policy-does"]).exits(77);
    sudo().run(&["bootc-image", "plugin", "doctor", "policy-does"]).exits(78);
    assert_eq!(compiled(), 0);
    let allowed = enter().file("/etc/bootc-image/config.d/a.toml", "allow-delegated = [\"plugins\"]\n");
    allowed.env("SUDO_UID", "1000").run(&["bootc-image", "plugin", "approve", "policy-does"]).ok();
    assert_ne!(compiled(), 0);
    let output = does(world.enter(), "deny-sudo");
    let output = output
        .file(&format!("{SITE}/.keep"), "")
        .env("SUDO_UID", "1000")
        .sh("rm -r /etc/bootc-image; bootc-image copy-to-storage");
    let output = output.exits(77);
    assert!(output.stderr.contains("sudo is not enough"), "{output:#?}");
}

#[test]
fn as_root_the_users_world_doesnt_count_and_for_users_it_hides_nothing() {
    let world = World::new();
    let home = "/var/home/lab/.local/share/bootc-image/plugins";
    let grants = "/var/home/lab/.config/bootc-image/grants.d/p.toml";
    let settings = "settings.policy-does.do = \"deny\"\n";
    let with_user = || {
        install(world.enter(), "policy-does", home)
            .file(grants, grant("policy-does"))
            .file(CONFIGURATION, settings)
            .env("HOME", "/var/home/lab")
            .env("XDG_DATA_HOME", "/var/home/lab/.local/share")
            .env("XDG_CONFIG_HOME", "/var/home/lab/.config")
    };
    with_user().run(COPY).ok();
    // For its user it counts.
    let chown = |command: &str| {
        format!(
            "chown -R 1000:1000 /var/home/lab; /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups {command}"
        )
    };
    let output = with_user().sh(&chown("bootc-image list --type logical")).exits(77);
    assert!(output.stderr.contains("nothing is allowed today"), "{output:#?}");
    // One that is called like a policy of the system takes nothing away from that.
    let both = install_in_image(with_user(), "policy-does");
    let output = both.sh(&chown("bootc-image list --type logical")).ok();
    let said = "note: policy policy-does could not judge this list: ";
    assert!(output.stderr.contains(said) && output.stderr.contains("is used by both"), "{output:#?}");
}

#[test]
fn before_names_are_looked_up_a_policy_can_say_no_and_nothing_is_contacted() {
    let world = World::new();
    let manifest = String::from_utf8(guests::files("policy-does").unwrap()[0].1.clone()).unwrap();
    let early = manifest.replace("[[component]]\n", "[[component]]\nbefore-lookup = true\n");
    let enter = |manifest: &str| {
        does(world.enter().registry(true), "deny-unresolved")
            .file(&format!("{IMAGE}/policy-does/plugin.toml"), manifest)
    };
    let pull = "bootc-image cmd pull --quiet 127.0.0.1:5000/lab/app:3";
    let traced = format!(
        "strace -f -qq -e trace=execve,connect -o /run/trace {pull} || code=$?; grep -c 'skopeo\\|AF_INET' /run/trace || true; exit ${{code:-0}}"
    );
    let output = enter(&early).sh(&traced).exits(77);
    assert!(output.stderr.contains("not even resolved") && output.stdout.trim() == "0", "{output:#?}");
    enter(&manifest).sh(pull).ok();
}

#[test]
fn a_policy_whom_it_doesnt_concern_isnt_loaded() {
    let world = World::new();
    let manifest = String::from_utf8(guests::files("policy-does").unwrap()[0].1.clone()).unwrap();
    for (when, concerned) in [
        ("when = { operations = [\"cmd *\"] }", false),
        ("when = { operations = [\"copy-*\"] }", true),
        ("when = { references = [\"quay.io/**\"] }", false),
        ("when = { references = [\"127.0.0.1:5000/lab/*\"] }", true),
        ("when = { operations = [\"copy-*\"], references = [\"127.0.0.1:5000/*\"] }", false),
    ] {
        let manifest = manifest.replace("[[component]]\n", &format!("[[component]]\n{when}\n"));
        let enter = does(world.enter(), "deny").file(&format!("{IMAGE}/policy-does/plugin.toml"), manifest);
        let code = enter.run(&["bootc-image", "policy", "explain", "copy-to-storage"]).code;
        assert_eq!(code, if concerned { 77 } else { 0 }, "{when}");
    }
}

/// Of plugins whom an operation doesn't concern nothing but the manifest is read.
#[test]
fn of_a_hundred_plugins_whom_it_doesnt_concern_only_manifests_are_read() {
    let world = World::new();
    let files = guests::files("policy-does").unwrap();
    let manifest = String::from_utf8(files[0].1.clone()).unwrap();
    let manifest =
        manifest.replace("[[component]]\n", "[[component]]\nwhen = { operations = [\"cmd pull\"] }\n");
    let mut enter = world.enter();
    for number in 0..100 {
        let id = format!("policy-{number}");
        let grant = format!("[[grant]]\nplugin = \"{id}\"\n");
        enter = enter
            .file(
                &format!("{IMAGE}/{id}/plugin.toml"),
                manifest.replace("\"policy-does\"", &format!("{id:?}")),
            )
            .file(&format!("{IMAGE}/{id}/policy_does.wasm"), &files[1].1)
            .file(&format!("/usr/lib/bootc-image/grants.d/{id}.toml"), grant);
    }
    let trace = |command: &str| {
        format!(
            "strace -f -qq -e trace=open,openat,openat2,clone,clone3 -o /run/trace {command} >/dev/null; echo $(grep -c 'plugin.toml' /run/trace) $(grep -c 'wasm' /run/trace) $(grep -c '^[0-9]* clone' /run/trace)"
        )
    };
    let script = format!(
        "{}\n{}",
        trace("bootc-image list"),
        trace("bootc-image --dry-run cmd pull 127.0.0.1:5000/lab/app:3")
    );
    let output = enter.registry(true).sh(&script).ok();
    let lines = output.lines();
    assert_eq!(lines[0], "100 0 0", "{output:#?}");
    assert!(!lines[1].starts_with("100 0"), "the check can fail: {output:#?}");
}

#[test]
fn explain_says_who_and_why_and_runs_nothing() {
    let world = World::new();
    let explain = ["bootc-image", "policy", "explain", "copy-to-storage"];
    let output = does(world.enter(), "deny").run(&explain).exits(77);
    assert!(output.stdout.starts_with("copy-to-storage: denied (operation sha256:"), "{output:#?}");
    assert!(
        output.stdout.contains("policy-does  denies   nothing is allowed today [not-today]"),
        "{output:#?}"
    );
    let output = does(world.enter(), "allow").run(&explain).ok();
    assert!(output.stdout.contains("policy-does  allows   copy-to-storage is fine"), "{output:#?}");
    let dry = does(world.enter(), "deny").run(&["bootc-image", "--dry-run", "copy-to-storage"]).exits(77);
    let verdict: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(verdict["allowed"], false);
    assert!(world.record().is_empty());
}

#[test]
fn a_sites_own_table_of_cases_is_tested_without_a_bootc_host() {
    let cases = r#"
[[case]]
name = "ours"
run = ["cmd", "pull", "quay.io/example/os:1"]
expect = "allow"

[[case]]
run = ["cmd", "pull", "docker.io/evil/os:1"]
expect = "deny"
by = "registry-policy"
code = "denied-by-default"

[[case]]
run = ["copy-to-storage"]
booted = "docker://quay.io/example/os:1"
expect = "allow"

[[case]]
run = ["cmd", "list", "--root", "/x"]
expect = "deny"
by = "grammar"

[[case]]
name = "wrong"
run = ["cmd", "push", "localhost/a", "docker.io/evil/os:1"]
expect = "allow"
"#;
    let settings = "[settings.registry-policy]\ndefault = \"deny\"\n[[settings.registry-policy.rule]]\neffect = \"allow\"\nregistry = [\"quay.io\", \"localhost\"]\n";
    let world = World::new();
    let enter = || {
        ship_in_image(world.enter(), "registry-policy")
            .file(CONFIGURATION, settings)
            .file("/tmp/cases.toml", cases)
            .in_container()
            .as_uid(1000)
    };
    let output = enter().run(&["bootc-image", "policy", "test", "/tmp/cases.toml"]).exits(1);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines[0], "ok      ours");
    assert!(
        lines.contains(&"FAILED  wrong (case 5)") && lines.contains(&"4 of 5 cases passed"),
        "{output:#?}"
    );
    let good = enter().file("/tmp/cases.toml", cases.rsplit_once("[[case]]").unwrap().0);
    good.run(&["bootc-image", "policy", "test", "/tmp/cases.toml"]).ok();
}

#[test]
fn doctor_finds_what_is_wrong_before_an_operation_does() {
    let world = World::new();
    let well = does(world.enter(), "allow").run(&["bootc-image", "plugin", "doctor"]).ok();
    assert_eq!(well.stdout, "no problems found\n");
    let configuration = "[settings.policy-does]\ndo = \"allow\"\ncolour = 1\n[settings.gone]\nx = 1\n[policy]\nmandatory = [\"podman-allowlist\"]\n";
    let ill = install(does(world.enter(), "allow"), "wasi-policy", SITE)
        .file(CONFIGURATION, configuration)
        .file(&format!("{SITE}/broken/plugin.toml"), "schema = 2\n");
    let output = ill.run(&["bootc-image", "plugin", "doctor"]).exits(78);
    for expected in [
        "policy-does: setting colour: unknown key",
        "gone: the configuration has settings for it",
        "podman-allowlist: [policy] mandatory lists it, but no such policy is installed",
        "wasi-policy: it has not been approved",
        "broken: /etc/bootc-image/plugins/broken/plugin.toml: line 1",
    ] {
        assert!(output.stdout.contains(expected), "{expected:?}: {output:#?}");
    }
}

#[test]
fn plugins_are_listed_whatever_state_they_are_in() {
    let world = World::new();
    let enter = || {
        install(does(world.enter(), "allow"), "wasi-policy", SITE)
            .file(&format!("{SITE}/broken/plugin.toml"), "schema = 2\n")
    };
    let listed =
        enter().run(&["bootc-image", "plugin", "list", "--format", "json"]).ok().json::<serde_json::Value>();
    let states: Vec<(&str, &str)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["id"].as_str().unwrap(), line["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        states,
        [
            ("broken", "broken"),
            ("podman-allowlist", "enabled"),
            ("policy-does", "enabled"),
            ("wasi-policy", "disabled")
        ]
    );
    let table = enter().run(&["bootc-image", "plugin", "list"]).ok().stdout;
    assert!(table.starts_with("ID "), "{table}");
    let output = enter().run(&["bootc-image", "plugin", "show", "policy-dose"]).exits(2);
    assert!(output.stderr.contains("did you mean policy-does?"), "{output:#?}");
}

#[test]
fn reads_are_recorded_if_the_configuration_says_so() {
    let world = World::new();
    world.enter().run(&["bootc-image", "list"]).ok();
    assert!(world.record().is_empty());
    world.enter().file(CONFIGURATION, "audit.reads = true\n").run(&["bootc-image", "list"]).ok();
    let events: Vec<String> =
        world.record().iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(events, ["intent", "outcome"]);
}

/// What is recorded is over then: nothing is left to be cleaned up, and nobody reads on.
#[test]
fn a_recorded_list_that_nobody_takes_can_be_ended() {
    let world = World::new();
    let script = format!(
        "{EVENTUALLY}
        recorded() {{ grep -q outcome /var/lib/bootc-image/audit/audit.jsonl; }}
        mkfifo /tmp/full; exec 3<>/tmp/full; head -c 65536 /dev/zero >&3
        bootc-image list >&3 & ours=$!
        eventually recorded
        kill -TERM $ours; wait $ours; echo $?"
    );
    let enter = world.enter().file(CONFIGURATION, "audit.reads = true\n");
    assert_eq!(enter.run(&["bash", "-uc", &script]).ok().stdout, "143\n");
}

/// Who looks at a record later can tell which policy decided, with which settings, and what came out.
#[test]
fn the_record_says_what_decided_and_what_came_out() {
    let world = World::new();
    let copied = does(world.enter(), "allow").run(COPY).ok();
    does(world.enter(), "allow").run(COPY).ok();
    let record = world.record();
    let verdict = |line: &Value| {
        let verdicts = line["verdicts"].as_array().unwrap();
        verdicts.iter().find(|verdict| verdict["validator"] == "policy-does").unwrap()["provenance"].clone()
    };
    let made = verdict(&record[0]);
    assert_eq!(made, verdict(&record[2]));
    // printf '{"do":"allow"}' | sha256sum
    let settings = "08460b98855a96e8f7f4bff3cd085efdbf18c7899013b51a864bd8bcb6feee86";
    assert_eq!((&made["version"], &made["settings"]), (&"0.1.0".into(), &settings.into()));
    assert!(made["code"].as_str().unwrap().len() == 64 && made["manifest"].as_str().unwrap().len() == 64);
    let outcomes = [&record[1], &record[3]].map(|line| (line["image"].clone(), line["unchanged"].clone()));
    assert_eq!((&outcomes[0].1, &outcomes[1].1), (&false.into(), &true.into()));
    assert_eq!(outcomes[0].0, outcomes[1].0);
    assert!(copied.stdout.contains(outcomes[0].0["manifest_digest"].as_str().unwrap()), "{copied:#?}");
    // All that is there stands on the page.
    let page = include_str!("../../docs/reference/audit-record.md");
    for line in &record {
        for key in line.as_object().unwrap().keys() {
            assert!(page.contains(&format!("`{key}`")), "{key}");
        }
        assert!(page.contains(&format!("`{}`", line["event"].as_str().unwrap())));
    }
    let process = &record[0]["process"];
    assert_eq!(process["version"], env!("CARGO_PKG_VERSION"));
    assert!(process["pid"].is_number() && process["boot_id"].is_string(), "{process}");
}

/// What goes on all the same: `guards.rs`.
#[test]
fn a_broken_configuration_stops_everything_that_acts_and_is_told_with_its_place() {
    let world = World::new();
    for command in [COPY, &["bootc-image", "cmd", "list"], &["bootc-image", "policy", "explain", "list"]] {
        let output =
            world.enter().file(CONFIGURATION, "[policy]\nmandatry = [\"a\"]\n").run(command).exits(78);
        let expected = format!("{CONFIGURATION}: line 2: `mandatry`: unknown key; did you mean `mandatory`?");
        assert!(output.stderr.contains(&expected) && output.stdout.is_empty(), "{output:#?}");
    }
}

/// The page's leading example: its files, built into an OS image, deployed and booted.
#[test]
fn the_pages_containerfile_makes_an_image_whose_policy_holds() {
    let world = World::new();
    let v1 = example_files();
    deploy(&world, &v1, "lab/os:2");
    denied(
        &world,
        world.enter().registry(true).run(&["bootc-image", "cmd", "pull", "127.0.0.1:5000/lab/app:3"]),
        &["denied by"],
    );
    world.enter().run(COPY).ok();
}

/// An upgrade brings another policy, whose manifest is as long and as old as the one before: every time is 0 in a deployment.
#[test]
fn after_an_upgrade_the_policy_holds_and_is_the_new_one() {
    let world = World::new();
    let grants =
        ("grants.d/p.toml".to_owned(), "[[grant]]\nplugin = \"policy-does\"\n".to_owned().into_bytes());
    let settings = ("config.d/p.toml".to_owned(), b"settings.policy-does.do = \"deny\"\n".to_vec());
    let version = |guest: &str| {
        let files = guests::files(guest).unwrap();
        let manifest = String::from_utf8(files[0].1.clone()).unwrap();
        let manifest = manifest.replace("wasi-policy", "policy-does").replace("wasi_policy", "policy_does");
        let named = |name: &str| format!("plugins/policy-does/{name}");
        vec![
            (named("plugin.toml"), manifest.into_bytes()),
            (named("policy_does.wasm"), files[1].1.clone()),
            grants.clone(),
            settings.clone(),
        ]
    };
    let (old, new) = (version("policy-does"), version("wasi-policy"));
    assert_eq!(old[0].1.len(), new[0].1.len());
    let explain = ["bootc-image", "policy", "explain", "copy-to-storage"];
    let before = std::fs::read_dir(world.outside("/etc")).unwrap().count();
    deploy(&world, &old, "lab/os:2");
    let manifest = world.outside(&format!("{IMAGE}/policy-does/plugin.toml"));
    assert_eq!(std::fs::metadata(&manifest).unwrap().modified().unwrap(), std::time::UNIX_EPOCH);
    let output = world.enter().run(&explain).exits(77);
    assert!(output.stdout.contains("nothing is allowed today"), "{output:#?}");
    denied(&world, world.enter().run(COPY), &["nothing is allowed today"]);
    deploy(&world, &new, "lab/os:3");
    let output = world.enter().run(&explain).ok();
    assert!(output.stdout.contains("stdin 0, variables 0"), "{output:#?}");
    // And back.
    let output = world.enter().boot(1).run(&explain).exits(77);
    assert!(output.stdout.contains("nothing is allowed today"), "{output:#?}");
    assert_eq!(std::fs::read_dir(world.outside("/etc")).unwrap().count(), before);
    assert!(!world.outside("/etc/bootc-image").exists());
}

/// The files of the example in docs/how-to/ship-policy-in-os-image.md, below `/usr/lib/bootc-image`.
fn example_files() -> Vec<(String, Vec<u8>)> {
    let page = include_str!("../../docs/how-to/ship-policy-in-os-image.md");
    let steps = Page::parse(page).steps;
    let block = |name: &str| {
        let content = steps.iter().find_map(|step| match step {
            Step::File { path, content } if path == name => Some(content),
            _ => None,
        });
        let content = content.unwrap_or_else(|| panic!("{name} is on the page"));
        content.replace("quay.io", "127.0.0.1:5000").replace("example/", "lab/")
    };
    let containerfile = block("Containerfile");
    let copies: Vec<(&str, &str)> = containerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY ")?.split_once(' '))
        .map(|(from, to)| (from, to.strip_prefix("/usr/lib/bootc-image/").unwrap()))
        .collect();
    let mut files = Vec::new();
    for (from, to) in copies {
        if from.ends_with(".toml") {
            files.push((to.to_owned(), block(from).into_bytes()));
        } else {
            for entry in std::fs::read_dir(plugins::shipped(from)).unwrap().flatten() {
                let name = format!("{to}/{}", entry.file_name().to_string_lossy());
                files.push((name, std::fs::read(entry.path()).unwrap()));
            }
        }
    }
    files
}

/// Builds an image with these files below `/usr/lib/bootc-image`, publishes and deploys it: it is booted next.
fn deploy(world: &World, files: &[(String, Vec<u8>)], name: &str) {
    let enter = files
        .iter()
        .fold(world.enter(), |enter, (path, bytes)| enter.file(&format!("/tmp/context/files/{path}"), bytes));
    let script = format!(
        "cd /tmp/context
        printf 'FROM 127.0.0.1:5000/lab/os:1\\nCOPY files /usr/lib/bootc-image\\n' >Containerfile
        podman --root /tmp/store --runroot /tmp/store-run --storage-driver vfs build --quiet --tls-verify=false --tag 127.0.0.1:5000/{name} . >&2
        podman --root /tmp/store --runroot /tmp/store-run --storage-driver vfs push --quiet --tls-verify=false 127.0.0.1:5000/{name} >&2
        labtool container image deploy --sysroot /sysroot --stateroot lab --karg rw \
            --imgref ostree-unverified-registry:127.0.0.1:5000/{name} --insecure-skip-tls-verification >&2"
    );
    enter.registry(true).program(&programs::required("labtool"), "/usr/bin/labtool").sh(&script).ok();
}

/// Two tags of one digest are two names: the policy hears of both.
#[test]
fn a_name_isnt_hidden_behind_another_one_of_the_same_image() {
    let world = World::new();
    let settings = "[settings.registry-policy]\ndefault = \"allow\"\nno-latest = true\n";
    let manifest = std::fs::read_to_string(plugins::shipped("registry-policy").join("plugin.toml")).unwrap();
    let late = manifest.replace("before-lookup = true\n", "");
    assert_ne!(manifest, late);
    let enter = || {
        ship_in_image(world.enter().registry(true), "registry-policy")
            .file(CONFIGURATION, settings)
            .file(&format!("{IMAGE}/registry-policy/plugin.toml"), &late)
    };
    let tag = "skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false docker://127.0.0.1:5000/lab/app:3 docker://127.0.0.1:5000/lab/app:latest";
    let pull = "bootc-image cmd pull --quiet 127.0.0.1:5000/lab/app:3 127.0.0.1:5000/lab/app:latest";
    let output = enter().sh(&format!("{tag}\n{pull}"));
    denied(&world, output, &["127.0.0.1:5000/lab/app:latest"]);
}

#[test]
fn an_approval_is_of_the_manifest_too() {
    let world = World::new();
    let enter = || install(world.enter(), "policy-does", SITE);
    enter().run(&["bootc-image", "plugin", "approve", "policy-does"]).ok();
    let manifest = String::from_utf8(guests::files("policy-does").unwrap()[0].1.clone()).unwrap();
    let narrowed =
        manifest.replace("[[component]]\n", "[[component]]\nwhen = { operations = [\"set-unified\"] }\n");
    let narrow = || enter().file(&format!("{SITE}/policy-does/plugin.toml"), &narrowed);
    let output = narrow().run(&["bootc-image", "set-unified", "--dry-run"]).exits(77);
    assert!(output.stderr.contains("its manifest changed since it was approved"), "{output:#?}");
    narrow().run(&["bootc-image", "plugin", "doctor"]).exits(78);
    // What it isn't to be asked about any more neither, nor before names are looked up.
    for command in [&["bootc-image", "cmd", "pull", "127.0.0.1:5000/lab/app:3"][..], COPY] {
        let output = narrow().run(command).exits(77);
        assert!(output.stderr.contains("its manifest changed since it was approved"), "{output:#?}");
    }
    // Of one that was never approved its manifest is believed, unless it is mandatory.
    let world = World::new();
    let unknown = || {
        let manifest = format!("{SITE}/policy-does/plugin.toml");
        install(world.enter(), "policy-does", SITE).file(&manifest, &narrowed)
    };
    unknown().run(&["bootc-image", "list"]).ok();
    let mandatory = unknown().file(CONFIGURATION, "[policy]\nmandatory = [\"policy-does\"]\n");
    denied(&world, mandatory.run(COPY), &["it has not been approved"]);
}

#[test]
fn a_file_that_grants_to_others_too_is_neither_replaced_nor_removed() {
    let world = World::new();
    let both = format!("{}{}", grant("policy-does"), grant("wasi-policy"));
    let file = "/etc/bootc-image/grants.d/policy-does.toml";
    let enter = || install(world.enter(), "policy-does", SITE).file(file, &both);
    for action in ["approve", "revoke"] {
        let output = enter().run(&["bootc-image", "plugin", action, "policy-does"]).exits(78);
        assert!(output.stderr.contains("also contains a grant of wasi-policy"), "{output:#?}");
    }
    assert_eq!(std::fs::read_to_string(world.outside(file)).unwrap(), both);
}

#[test]
fn a_table_of_cases_is_no_way_to_read_roots_files() {
    let world = World::new();
    let secret = "{\"auths\":{\"quay.io\":{\"auth\":\"dXNlcjpwYXNzd29yZA==\"}}}\n";
    let test = ["bootc-image", "policy", "test", "/etc/ostree/auth.json"];
    let enter = || world.enter().file_with_mode("/etc/ostree/auth.json", secret, 0o600);
    let output = enter().env("SUDO_UID", "1000").run(&test).exits(77);
    assert!(
        output.stderr.contains("`policy test` is not allowed for a caller who became root through sudo"),
        "{output:#?}"
    );
    let output = enter().run(&test).exits(2);
    assert!(!output.stderr.contains("dXNlcjpwYXNzd29yZA"), "{output:#?}");
    for file in ["/dev/zero", "/tmp/pipe", "/tmp"] {
        let script = format!("mkfifo /tmp/pipe; bootc-image policy test {file}");
        let output = world.enter().sh(&script).exits(1);
        assert!(output.stderr.contains("it must be a regular file"), "{file}: {output:#?}");
    }
}

#[test]
fn a_home_that_is_none_takes_nothing_from_a_user() {
    let world = World::new();
    world.enter().run(&["bootc-image", "cmd", "list"]).ok();
    for home in ["/dev/null", "/root", "relative", "/nowhere"] {
        world.enter().as_uid(1000).env("HOME", home).run(&["bootc-image", "list", "--type", "logical"]).ok();
    }
}

#[test]
fn whoever_is_root_for_another_leaves_a_trace_where_names_are_looked_up() {
    let world = World::new();
    let explain = ["bootc-image", "policy", "explain", "cmd", "pull", "127.0.0.1:5000/lab/app:3"];
    world.enter().registry(true).run(&explain).ok();
    assert!(world.record().is_empty());
    world.enter().registry(true).env("SUDO_UID", "1000").run(&explain).ok();
    let record = world.record();
    assert_eq!((record.len(), &record[0]["event"]), (1, &"resolved".into()));
    let text = "settings.policy-does.do = \"panic\"\n[policy]\nfail-open = [\"policy-does\"]\n";
    let enter = does(world.enter(), "panic").file(CONFIGURATION, text).env("SUDO_UID", "1000");
    let output = enter.run(COPY).exits(77);
    assert!(output.stderr.contains("no verdict"), "{output:#?}");
}

/// Whatever becomes of the helper, or of the place where compiled code is kept: nothing runs that nobody judged.
#[test]
fn a_policy_that_cant_be_compiled_denies_and_one_that_cant_be_kept_is_asked_all_the_same() {
    let world = World::new();
    let helper = "/usr/libexec/bootc-image/bootc-image-helper";
    let enter = || does(world.enter(), "allow");
    denied(&world, enter().without("bootc-image-helper").run(COPY), &["bootc-image-helper is not installed"]);
    for (script, expected) in
        [("kill -9 $$", "killed by signal 9"), ("exit 3", "exit code 3"), ("exit 0", "cannot compile it")]
    {
        let broken = || enter().without("bootc-image-helper");
        let output = broken().file_with_mode(helper, format!("#!/bin/sh\n{script}\n"), 0o755).run(COPY);
        denied(&world, output, &["policy policy-does: cannot judge this operation", expected]);
    }
    for full in ["mount -t tmpfs -o size=4k none /var/cache", "mount -t tmpfs -o ro none /var/cache"] {
        let explain = "bootc-image policy explain copy-to-storage";
        let output =
            enter().sh(&format!("mkdir -p /var/cache; {full}; {explain}; find /var/cache -type f")).ok();
        assert!(output.stdout.contains("policy-does  allows"), "{full}: {output:#?}");
        assert!(output.stderr.contains("cannot cache the compiled component"), "{full}: {output:#?}");
        assert!(!output.stdout.contains(".cwasm"), "nothing half-made stays: {output:#?}");
    }
}

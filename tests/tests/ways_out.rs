//! Wherever a policy or the configuration denies everything, the message names the way out, the page has it too, and whoever does
//! exactly what the message says can work again. `/usr` can't be written to, as on a real host.

mod plugins;

use std::collections::BTreeMap;

use bootc_image_tests::World;
use bootc_image_tests::world::Enter;
use plugins::native::{CONFIG, ENABLED, Extension};
use plugins::{IMAGE, SITE, files_of, install, install_in_image, ship_in_image};

const COPY: &[&str] = &["bootc-image", "copy-to-storage"];
const PAGE: &str = include_str!("../../docs/how-to/when-a-policy-denies-everything.md");

const OF_IMAGE: &str = "/usr/lib/bootc-image/config.d/50-image.toml";
const OF_SITE: &str = "/etc/bootc-image/config.d/60-site.toml";
const GRANT_OF_IMAGE: &str = "/usr/lib/bootc-image/grants.d/policy-does.toml";
const MANDATORY: &str = "[policy]\nmandatory = [\"policy-does\"]\n";

/// A state in which everything is denied.
struct State {
    name: &'static str,
    /// What a stay on the host begins with; files of the OS image are there for one stay only.
    host: fn(Enter) -> Enter,
    /// What was done on the host before, as a script.
    before: &'static str,
    code: i32,
    /// The ways out that the message must name, each as the beginning of its instruction.
    named: &'static [&'static str],
    /// How a file is corrected in which something is wrong.
    correction: &'static str,
}

const STATES: &[State] = &[
    State {
        name: "never approved",
        host: |enter| install(enter, "policy-does", SITE),
        before: "true",
        code: 77,
        named: &["bootc-image plugin approve policy-does"],
        correction: "",
    },
    State {
        name: "never approved, and in the OS image",
        host: |enter| install(enter, "policy-does", IMAGE),
        before: "true",
        code: 77,
        named: &["bootc-image plugin approve policy-does"],
        correction: "",
    },
    State {
        name: "another component than the one that was approved",
        host: |enter| another_version(enter, SITE),
        before: APPROVE_THE_FIRST,
        code: 77,
        named: &["bootc-image plugin approve policy-does"],
        correction: "",
    },
    State {
        name: "the manifest has changed",
        host: |enter| {
            let changed = [manifest(), "# Changed.\n".to_owned()].concat();
            install(enter, "policy-does", SITE).file(&format!("{SITE}/policy-does/plugin.toml"), changed)
        },
        before: APPROVE_THE_FIRST,
        code: 77,
        named: &["bootc-image plugin approve policy-does"],
        correction: "",
    },
    State {
        name: "a component in the OS image that is damaged",
        host: |enter| {
            install_in_image(enter, "policy-does").file(&format!("{IMAGE}/policy-does/policy_does.wasm"), "x")
        },
        before: "true",
        code: 77,
        named: &["policy.masked = "],
        correction: "",
    },
    State {
        name: "damaged in the OS image, which makes it mandatory",
        host: |enter| {
            install_in_image(enter, "policy-does")
                .file(&format!("{IMAGE}/policy-does/policy_does.wasm"), "x")
                .file(OF_IMAGE, MANDATORY)
        },
        before: "true",
        code: 77,
        named: &["policy.masked = ", "copy /usr/lib/bootc-image/config.d/50-image.toml to "],
        correction: "",
    },
    State {
        name: "a manifest in the OS image that can't be read",
        host: |enter| {
            install_in_image(enter, "policy-does").file(&format!("{IMAGE}/policy-does/plugin.toml"), "x")
        },
        before: "true",
        code: 77,
        named: &["policy.masked = "],
        correction: "",
    },
    State {
        name: "a policy of the site's that an upgrade of the OS has left behind",
        host: |enter| {
            let manifest = manifest().replace("api = \"^0.1\"", "api = \"^0.9\"");
            install(enter, "policy-does", SITE).file(&format!("{SITE}/policy-does/plugin.toml"), manifest)
        },
        before: APPROVE_THE_FIRST,
        code: 77,
        named: &["policy.masked = "],
        correction: "",
    },
    State {
        name: "the same one, approved as mandatory",
        host: |enter| {
            let manifest = manifest().replace("api = \"^0.1\"", "api = \"^0.9\"");
            install(enter, "policy-does", SITE).file(&format!("{SITE}/policy-does/plugin.toml"), manifest)
        },
        before: "cp /run/first/* /etc/bootc-image/plugins/policy-does/; bootc-image plugin approve --mandatory policy-does",
        code: 77,
        named: &["policy.masked = ", "bootc-image plugin revoke policy-does"],
        correction: "",
    },
    State {
        name: "a copy of the site's beside the one that a new OS image has brought",
        host: |enter| install(install_in_image(enter, "policy-does"), "policy-does", SITE),
        before: "true",
        code: 77,
        named: &["policy.masked = "],
        correction: "",
    },
    State {
        name: "mandatory by the OS image's configuration, and missing",
        host: |enter| enter.file(OF_IMAGE, MANDATORY),
        before: "true",
        code: 77,
        named: &["copy /usr/lib/bootc-image/config.d/50-image.toml to "],
        correction: "",
    },
    State {
        name: "mandatory by the site's configuration, and missing",
        host: |enter| enter,
        before: "mkdir -p /etc/bootc-image/config.d; \
                 printf '[policy]\\nmandatory = [\"policy-does\"]\\n' >/etc/bootc-image/config.d/60-site.toml",
        code: 77,
        named: &["remove it from [policy] mandatory in /etc/bootc-image/config.d/60-site.toml"],
        correction: "",
    },
    State {
        name: "mandatory by both, and missing",
        host: |enter| enter.file(OF_IMAGE, MANDATORY),
        before: "mkdir -p /etc/bootc-image/config.d; \
                 printf '[policy]\\nmandatory = [\"policy-does\"]\\n' >/etc/bootc-image/config.d/60-site.toml",
        code: 77,
        named: &[
            "copy /usr/lib/bootc-image/config.d/50-image.toml to ",
            "remove it from [policy] mandatory in /etc/bootc-image/config.d/60-site.toml",
        ],
        correction: "",
    },
    State {
        name: "approved as mandatory, and missing",
        host: |enter| enter,
        before: "bootc-image plugin approve --mandatory policy-does; rm -r /etc/bootc-image/plugins/policy-does",
        code: 77,
        named: &["bootc-image plugin revoke policy-does"],
        correction: "",
    },
    State {
        name: "approved as mandatory by the OS image, and missing",
        host: |enter| enter.file(GRANT_OF_IMAGE, "[[grant]]\nplugin = \"policy-does\"\nmandatory = true\n"),
        before: "true",
        code: 77,
        named: &["touch /etc/bootc-image/grants.d/policy-does.toml"],
        correction: "",
    },
    State {
        name: "mandatory, and masked",
        host: |enter| {
            let mask = "[[policy.masked]]\nid = \"policy-does\"\nplace = \"image\"\n";
            install_in_image(enter, "policy-does").file(OF_IMAGE, format!("{MANDATORY}{mask}"))
        },
        before: "true",
        code: 77,
        named: &["copy /usr/lib/bootc-image/config.d/50-image.toml to "],
        correction: "",
    },
    State {
        name: "settings that the policy doesn't accept",
        host: |enter| {
            install_in_image(enter, "policy-does").file(OF_IMAGE, "settings.policy-does.do = \"problem\"\n")
        },
        before: "true",
        code: 77,
        named: &["policy.masked = "],
        correction: "",
    },
    State {
        name: "a configuration of the OS image's that can't be parsed",
        host: |enter| enter.file(OF_IMAGE, "[policy]\nmandtory = []\n"),
        before: "true",
        code: 78,
        named: &["copy /usr/lib/bootc-image/config.d/50-image.toml to "],
        correction: "s/^mandtory/mandatory/",
    },
    State {
        name: "a configuration of the site's that can't be parsed",
        host: |enter| enter,
        before: "mkdir -p /etc/bootc-image/config.d; echo 'x = 1' >/etc/bootc-image/config.d/60-site.toml",
        code: 78,
        named: &["fix the configuration"],
        correction: "/^x/d",
    },
    State {
        name: "a grant of the OS image's that can't be parsed",
        host: |enter| install(enter, "policy-does", IMAGE).file(GRANT_OF_IMAGE, "[[grant]]\nplgin = \"x\"\n"),
        before: "true",
        code: 77,
        named: &["touch /etc/bootc-image/grants.d/policy-does.toml", "bootc-image plugin approve ID"],
        correction: "",
    },
    State {
        name: "a native policy that can't be loaded",
        host: |enter| {
            let library = Extension::of("policy-does", b"no library".to_vec(), "role = \"policy\"\n");
            library.install(enter).file(CONFIG, ENABLED)
        },
        before: "bootc-image plugin approve policy-does",
        code: 77,
        named: &["policy.masked = "],
        correction: "",
    },
    State {
        name: "a policy that crashes",
        host: |enter| {
            install_in_image(enter, "policy-does").file(OF_IMAGE, "settings.policy-does.do = \"panic\"\n")
        },
        before: "true",
        code: 77,
        named: &["policy.masked = "],
        correction: "",
    },
];

/// The first version of the policy is installed in the site's place and approved, whatever the state makes of it afterwards.
const APPROVE_THE_FIRST: &str =
    "cp /run/first/* /etc/bootc-image/plugins/policy-does/; bootc-image plugin approve policy-does";

fn manifest() -> String {
    String::from_utf8(files_of("policy-does").swap_remove(0).1).unwrap()
}

/// A newer version of the policy, with another component.
fn another_version(enter: Enter, place: &str) -> Enter {
    let [manifest, component] = <[_; 2]>::try_from(files_of("wasi-policy")).unwrap();
    let renamed = String::from_utf8(manifest.1).unwrap();
    let renamed = renamed.replace("wasi-policy", "policy-does").replace("wasi_policy", "policy_does");
    enter
        .file(&format!("{place}/policy-does/plugin.toml"), renamed)
        .file(&format!("{place}/policy-does/policy_does.wasm"), component.1)
}

/// What somebody does who reads the message: each instruction in it, in its order. Those before the last `; to continue without the
/// policy, ` need other people.
fn obey(hint: &str, correction: &str) -> String {
    let hint = ["to continue without the policy, ", "to continue without the plugin, "]
        .iter()
        .find_map(|ask| hint.split_once(ask).map(|(_, way)| way))
        .unwrap_or(hint);
    let mut steps = BTreeMap::new();
    let end =
        |text: &str, ends: &[&str]| ends.iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len());
    for (at, _) in hint.match_indices("bootc-image plugin approve ") {
        let id = &hint[at..][..end(&hint[at..], &[")", ";", ","])];
        steps.insert(at, id.replace(" ID", " policy-does"));
    }
    for (at, _) in hint.match_indices("bootc-image plugin revoke ") {
        steps.insert(at, hint[at..][..end(&hint[at..], &[")", ";", ","])].to_owned());
    }
    for (at, _) in hint.match_indices("policy.masked = [") {
        let line = &hint[at..=at + hint[at..].find(']').unwrap()];
        steps.insert(
            at,
            format!(
                "mkdir -p /etc/bootc-image/config.d; echo '{line}' >/etc/bootc-image/config.d/90-mask.toml"
            ),
        );
    }
    for (at, _) in hint.match_indices("touch /etc/") {
        let touch = &hint[at..][..end(&hint[at..], &[")", ";", " and"])];
        steps.insert(at, format!("mkdir -p /etc/bootc-image/grants.d; {touch}"));
    }
    for (at, _) in hint.match_indices("copy /usr/") {
        let words: Vec<&str> = hint[at..].split(' ').collect();
        let ["copy", file, "to", directory, ..] = words[..] else { panic!("{hint}") };
        let name = file.rsplit('/').next().unwrap();
        let correction = if correction.is_empty() { "/^mandatory/d" } else { correction };
        steps.insert(
            at,
            format!("mkdir -p {directory}; cp {file} {directory}/; sed -i '{correction}' {directory}/{name}"),
        );
    }
    for (at, text) in hint.match_indices("remove it from [policy] mandatory in /etc/") {
        let file = &hint[at + text.len() - "/etc/".len()..];
        let file = &file[..end(file, &[")", ";", " and", ","])];
        steps.insert(at, format!("sed -i '/^mandatory/d' {file}"));
    }
    if hint.contains("fix the configuration") {
        steps.insert(0, format!("sed -i '{correction}' {OF_SITE}"));
    }
    assert!(!steps.is_empty(), "no way out: {hint}");
    steps.into_values().collect::<Vec<_>>().join("\n")
}

/// The last denial or error, with its hint.
fn complaint(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().collect();
    let is_begin = |line: &&str| line.starts_with("error: ") || line.starts_with("bootc-image: denied: ");
    let at = lines.iter().rposition(is_begin).unwrap_or_else(|| panic!("{stderr}"));
    lines[at..].join(" ")
}

#[test]
fn every_state_that_denies_everything_names_its_way_out() {
    let mut wrong = Vec::new();
    for state in STATES {
        let world = World::new();
        let enter = || (state.host)(world.enter());
        let mut first = enter();
        for (name, content) in files_of("policy-does") {
            first = first.file(&format!("/run/first/{name}"), content);
        }
        // What is installed by hand is there before it is approved.
        let first = if state.before.starts_with("bootc-image plugin approve --mandatory policy-does; rm") {
            install(first, "policy-does", SITE)
        } else {
            first
        };
        first.sh(&format!("set -e; {}", state.before)).ok();
        let denied = enter().run(COPY).exits(state.code);
        let hint = complaint(&denied.stderr);
        for named in state.named {
            if !hint.contains(named) {
                wrong.push(format!("{}: {named:?} isn't in {hint}", state.name));
            }
        }
        let script = format!("set -e\n{}\nexec bootc-image copy-to-storage", obey(&hint, state.correction));
        let output = enter().sh(&script);
        let copied = output.stdout.lines().any(|line| line.starts_with("Copied: "));
        if output.code != 0 || !copied {
            wrong.push(format!("{}: {hint}\nand then\n{script}\nends with {output:#?}", state.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_page_has_every_way_out() {
    for named in [
        "bootc-image plugin approve",
        "bootc-image plugin revoke",
        "bootc-image plugin doctor",
        "policy.masked = [{ id = \"",
        "/etc/bootc-image/config.d",
        "touch /etc/bootc-image/grants.d/",
        "cp /usr/lib/bootc-image/config.d/",
        "mandatory",
        "bootc rollback",
    ] {
        assert!(PAGE.contains(named), "{named}");
    }
}

/// Settings are corrected by a later file, which `plugin doctor` says.
#[test]
fn settings_of_the_os_image_are_corrected_in_etc() {
    let world = World::new();
    let enter = || {
        let settings = "settings.registry-policy.default = \"nonsense\"\n";
        ship_in_image(world.enter(), "registry-policy").file(OF_IMAGE, settings)
    };
    let denied = enter().run(COPY).exits(77);
    assert!(
        denied.stderr.contains("(fix [settings.registry-policy] in the configuration; to continue"),
        "{denied:#?}"
    );
    let doctor = enter().run(&["bootc-image", "plugin", "doctor", "registry-policy"]).exits(78);
    assert!(
        doctor.stdout.contains(
            "correct [settings.registry-policy] in the configuration: a file in /etc/bootc-image/config.d whose name comes \
             last overrides single keys"
        ),
        "{doctor:#?}"
    );
    let corrected = "settings.registry-policy.default = \"allow\"\n";
    enter().file("/etc/bootc-image/config.d/99-fix.toml", corrected).run(COPY).ok();
}

/// A policy of the OS image that broke with an upgrade works in the deployment from before.
#[test]
fn after_a_rollback_the_policy_of_before_judges() {
    let world = World::new();
    let upgraded = world.enter();
    let upgraded =
        install_in_image(upgraded, "policy-does").file(&format!("{IMAGE}/policy-does/plugin.toml"), "x");
    upgraded.run(COPY).exits(77);
    install_in_image(world.enter().boot(1), "policy-does").run(COPY).ok();
}

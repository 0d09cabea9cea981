//! What was judged is what runs: every name that is given, and none that nobody has checked.

mod plugins;

use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World, stock};
use plugins::{install, install_in_image, ship_in_image};
use serde_json::Value;

/// Runs a command under these settings of the shipped policy.
fn under(world: &World, settings: &str, command: &[&str]) -> Output {
    let enter = ship_in_image(world.enter().registry(true), "registry-policy");
    let enter = ship_in_image(enter, "podman-maintenance");
    let enter = enter.file(
        "/usr/lib/bootc-image/config.d/50-test.toml",
        format!("[settings.registry-policy]\n{settings}"),
    );
    enter.run(&[&["bootc-image"], command].concat())
}

/// Nothing of a repository whose name begins with `secret`.
const NO_SECRETS: &str = "default = \"allow\"\n[[settings.registry-policy.rule]]\neffect = \"deny\"\nrepository = [\"secret/**\"]\n";

/// The names of the images that the last line of the record is about, as it has them.
fn recorded(world: &World) -> String {
    world.record().last().unwrap_or(&Value::Null)["canonical"]["operation"]["images"].to_string()
}

/// The report as it was given: a rule allows a tag, and any digest with that tag written beside it was allowed.
#[test]
fn a_tag_beside_a_digest_is_believed_by_nobody() {
    let world = World::new();
    let rules =
        "default = \"deny\"\n[[settings.registry-policy.rule]]\neffect = \"allow\"\ntag = [\"9.*\"]\n";
    let other = world.facts().app3.digest.clone();
    let name = format!("127.0.0.1:5000/lab/app:9.4@{other}");
    let output = under(&world, rules, &["cmd", "pull", "--quiet", &name]).exits(77);
    assert!(output.stderr.contains("registry-policy"), "{output:#?}");
    assert!(!world.record().iter().any(|line| line.to_string().contains("app:9.4")), "{:#?}", world.record());
    assert!(!oracle::podman_ids(&world, Store::Bootc).contains(&world.facts().app3.id));
    // Without such a rule it is the digest that is fetched, judged and recorded.
    world.enter().registry(true).run(&["bootc-image", "cmd", "pull", "--quiet", &name]).ok();
    assert!(oracle::podman_names(&world, Store::Bootc).contains(&format!("127.0.0.1:5000/lab/app@{other}")));
    let names =
        world.record().iter().rfind(|line| line["event"] == "intent").unwrap()["canonical"].to_string();
    assert!(names.contains(&format!("lab/app@{other}")) && !names.contains("9.4"), "{names}");
}

/// The report as it was given: of two names of one image the policies saw the first.
#[test]
fn every_name_that_is_saved_is_judged() {
    let world = World::new();
    stock::mine(&world, &["quay.io/secret/x:1"]);
    for format in ["docker-archive", "oci-archive"] {
        for names in [["localhost/mine:1", "quay.io/secret/x:1"], ["quay.io/secret/x:1", "localhost/mine:1"]]
        {
            let command = [&["cmd", "save", "--format", format][..], &names].concat();
            let output = under(&world, NO_SECRETS, &command).exits(77);
            assert!(output.stderr.contains("registry-policy") && output.stdout.is_empty(), "{output:#?}");
        }
    }
    let output = under(&world, NO_SECRETS, &["--dry-run", "cmd", "save", "localhost/mine:1"]).ok();
    assert_eq!(output.json::<Value>()["allowed"], true);
}

/// The report as it was given: an image that is named by its id had no names, and rules that deny missed it.
#[test]
fn an_image_that_is_named_by_its_id_has_all_its_names() {
    let world = World::new();
    stock::mine(&world, &["quay.io/secret/x:1"]);
    let id = &world.facts().mine.id;
    for command in [
        &["cmd", "push", id, "127.0.0.1:5000/lab/pushed:1"][..],
        &["cmd", "push", &id[..12], "127.0.0.1:5000/lab/pushed:1"],
        &["cmd", "save", id],
        &["cmd", "tag", id, "localhost/other:1"],
        &["cmd", "inspect", id],
    ] {
        under(&world, NO_SECRETS, command).exits(77);
        assert!(recorded(&world).contains("quay.io/secret/x:1"), "{command:?}: {}", recorded(&world));
    }
    under(&world, NO_SECRETS, &["cmd", "push", "--quiet", "localhost/mine:1", "127.0.0.1:5000/lab/pushed:1"])
        .ok();
}

/// The report as it was given: an entry of the index with an option as its id emptied the store.
#[test]
fn an_id_that_is_none_is_given_to_nobody() {
    let world = World::new();
    let index = "/sysroot/ostree/bootc/storage/overlay-images/images.json";
    let entry = r#"sed -i 's/^\[/[{"id":"--all","names":["localhost\/evil:1"],"layer":""},/' "#;
    let before = oracle::podman_ids(&world, Store::Bootc);
    let script = format!("cp {index} /tmp/kept; {entry}{index}");
    let output = world.enter().sh(&format!(
        "{script}; bootc-image remove evil:1 && exit 1; bootc-image prune --all && exit 1; cp /tmp/kept {index}"
    ));
    let output = output.ok();
    assert_eq!(
        output.stderr.matches("the index lists an image with the invalid id \"--all\"").count(),
        2,
        "{output:#?}"
    );
    assert_eq!(oracle::podman_ids(&world, Store::Bootc), before);
}

const TEST: [&str; 4] = ["bootc-image", "policy", "test", "/tmp/cases.toml"];

/// The report as it was given: a case that expects a denial passed, and the policy couldn't even be asked.
#[test]
fn a_policy_that_cant_be_asked_passes_no_test() {
    let world = World::new();
    let cases = |more: &str| format!("[[case]]\nrun = [\"cmd\", \"list\"]\n{more}");
    let run = |enter: Enter, expected: &str| enter.file("/tmp/cases.toml", cases(expected)).run(&TEST);
    let unapproved = || install(world.enter(), "policy-does", "/etc/bootc-image/plugins");
    let output = run(unapproved(), "expect = \"deny\"\nby = \"policy-does\"\n").exits(1);
    assert!(output.stdout.contains("policy-does gave no verdict: "), "{output:#?}");
    // That it can't be asked may be what is expected.
    let failed = "expect = \"deny\"\nby = \"policy-does\"\ncode = \"policy-failed\"\n";
    run(unapproved(), failed).ok();
    // Nor is it an approval that a policy may fail, and does.
    let open = "[policy]\nfail-open = [\"policy-does\"]\n[settings.policy-does]\ndo = \"trap\"\n";
    let may_fail = || {
        let world = World::new();
        let enter = install_in_image(world.enter(), "policy-does");
        run(enter.file("/usr/lib/bootc-image/config.d/50-test.toml", open), "expect = \"allow\"\n")
    };
    assert!(may_fail().exits(1).stdout.contains("policy-does gave no verdict: "));
}

/// The report as it was given: with `--sysroot` the policies of the wrong system were tested.
#[test]
fn with_a_sysroot_the_policies_of_that_system_are_looked_at() {
    let world = World::new();
    // In this world's /usr, which isn't that of the deployment on disk; the other one is in the deployment's own /etc.
    let enter = || {
        let enter = install_in_image(world.enter(), "policy-does");
        let deny = "[settings.policy-does]\ndo = \"deny\"\n";
        let enter = enter.file("/usr/lib/bootc-image/config.d/50-test.toml", deny);
        install(enter, "command-other-subcommand", "/etc/bootc-image/plugins")
            .file("/tmp/cases.toml", "[[case]]\nrun = [\"cmd\", \"list\"]\nexpect = \"allow\"\n")
    };
    enter().run(&TEST).exits(1);
    enter().run(&[&["bootc-image", "--sysroot", "/sysroot"], &TEST[1..]].concat()).ok();
    let listed = |sysroot: &str| {
        let output = enter().sh(&format!("bootc-image {sysroot} plugin list --format json")).ok();
        let lines = output.json::<Vec<Value>>();
        let ids = lines.iter().filter(|line| line["place"] != "built-in");
        ids.map(|line| line["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(""), ["command-other-subcommand", "policy-does"]);
    assert_eq!(listed("--sysroot /sysroot"), ["command-other-subcommand"]);
    enter().sh("bootc-image --sysroot /nowhere plugin list").exits(1);
    // A delegated caller may have made that system, with links that lead to files of root's.
    for words in ["plugin list", "plugin doctor", "plugin show policy-does", "policy test /tmp/cases.toml"] {
        let command = format!("bootc-image --sysroot /sysroot {words}");
        let output = enter().env("SUDO_UID", "1000").sh(&command).exits(77);
        assert!(
            output.stdout.is_empty() && output.stderr.contains("is not allowed for a caller"),
            "{output:#?}"
        );
        assert_eq!(world.record().pop().unwrap()["event"], "denied");
    }
}

//! What a plugin asks the host for while it plans: judged with the plugin in its subject, within its grant, and recorded.

mod plugins;

use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World, programs};
use plugins::{IMAGE, install_in_image, ship_in_image};
use serde_json::Value;

const SETTINGS: &str = "/usr/lib/bootc-image/config.d/50-test.toml";

fn does(world: &World, what: &str) -> Enter {
    let settings = format!("settings.command-asks.do = {what:?}\n");
    install_in_image(world.enter(), "command-asks").file(SETTINGS, settings)
}

fn asked(world: &World, what: &str) -> Output {
    does(world, what).run(&["bootc-image", "--quiet", "cmd", "diff"])
}

/// Event, kind and plugin of every line of the record.
fn record(world: &World) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |line: &Value| {
        let subject =
            if line["subject"].is_null() { &line["canonical"]["subject"] } else { &line["subject"] };
        [text(&line["event"]), text(&line["canonical"]["operation"]["kind"]), text(&subject["plugin"])]
    };
    world.record().iter().map(line).collect()
}

fn line(event: &str, kind: &str, plugin: &str) -> [String; 3] {
    [event, kind, plugin].map(str::to_owned)
}

#[test]
fn a_list_has_what_is_in_the_scope_and_nothing_else() {
    let world = World::new();
    let told = asked(&world, "list").ok().stderr;
    let digest = &world.facts().app1.digest;
    let app2 = &world.facts().app2.digest;
    let expected = format!(
        "note: host docker://127.0.0.1:5000/lab/os:0 {}; host docker://127.0.0.1:5000/lab/os:1 {}; \
         unified 127.0.0.1:5000/lab/app:1 {digest}; unified 127.0.0.1:5000/lab/app@{app2} {app2}; \
         logical 127.0.0.1:5000/lab/app:1 \n",
        world.facts().rollback.digest,
        world.facts().booted.digest,
    );
    assert_eq!(told, expected);
    let some = asked(&world, "list-some").ok().stderr;
    assert_eq!(some, format!("note: 127.0.0.1:5000/lab/app:1; 127.0.0.1:5000/lab/app@{app2}\n"));
    assert!(
        asked(&world, "bad-column")
            .exits(2)
            .stderr
            .contains("expected at least one of these columns, each at most once: image_type, image")
    );
    assert!(asked(&world, "bad-filter").exits(2).stderr.contains("cannot filter images by \"colour\""));
    assert!(record(&world).is_empty(), "what only reads is recorded if the configuration says so");
    let reads = "audit.reads = true\nsettings.command-asks.do = \"list\"\n";
    install_in_image(world.enter(), "command-asks")
        .file(SETTINGS, reads)
        .run(&["bootc-image", "cmd", "diff"])
        .ok();
    assert_eq!(record(&world), [line("intent", "list", "command-asks"), line("outcome", "", "")]);
}

#[test]
fn copies_are_judged_and_recorded_as_the_plugins() {
    let world = World::new();
    let told = asked(&world, "copy").ok().stderr;
    let id = oracle::podman_inspect(&world, Store::Default, "localhost/copied:1")["Id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(told.contains("name: \"localhost/copied:1\"") && told.contains(&id), "{told}");
    assert!(told.contains("unchanged: false"), "{told}");
    assert!(asked(&world, "copy").ok().stderr.contains("unchanged: true"));
    asked(&world, "pull").ok();
    assert!(oracle::podman_names(&world, Store::Bootc).contains(&"localhost/mine:1".to_owned()));
    let both = |kind| [line("intent", kind, "command-asks"), line("outcome", "", "")];
    let expected =
        [both("copy-to-storage"), both("copy-to-storage"), both("pull-from-default-storage")].concat();
    assert_eq!(record(&world), expected);
}

#[test]
fn every_attempt_outside_the_scope_is_denied_and_recorded() {
    let world = World::new();
    let before = (oracle::podman_names(&world, Store::Bootc), oracle::podman_names(&world, Store::Default));
    for (number, what) in ["copy-outside", "pull-outside", "go-on"].into_iter().enumerate() {
        let output = asked(&world, what);
        let output = if what == "go-on" { output.ok() } else { output.exits(77) };
        let expected = if what == "go-on" { "went on in spite of outside-scope" } else { "covers only" };
        assert!(output.stderr.contains(expected), "{output:#?}");
        let record = world.record();
        // One that is handed on is recorded where it was denied, and as the plugin's own refusal.
        let denied = record.iter().filter(|line| line["denial"]["code"] == "outside-scope").count();
        assert!(denied > number, "{what}: {record:#?}");
        assert!(record.iter().all(|line| line["event"] == "denied"), "{record:#?}");
    }
    // What is outside is refused whether or not it is there.
    for what in ["copy-missing-outside", "copy-there-outside"] {
        let before = world.record().len();
        let output = asked(&world, what).exits(77);
        assert!(output.stderr.contains("covers only"), "{output:#?}");
        assert_eq!(world.record()[before]["denial"]["code"], "outside-scope", "{what}");
    }
    let missing = asked(&world, "copy-missing").exits(1);
    assert!(missing.stderr.contains("Source image not found: 127.0.0.1:5000/lab/none:1"), "{missing:#?}");
    let after = (oracle::podman_names(&world, Store::Bootc), oracle::podman_names(&world, Store::Default));
    assert_eq!(before, after);
}

/// The validators bound what the caller may, whoever asks for them.
#[test]
fn a_policy_judges_what_a_plugin_asks_for() {
    let world = World::new();
    let settings = "settings.command-asks.do = \"copy\"\n[settings.registry-policy]\ndefault = \"deny\"\n";
    let output = ship_in_image(does(&world, "copy"), "registry-policy")
        .file(SETTINGS, settings)
        .run(&["bootc-image", "cmd", "diff"])
        .exits(77);
    assert!(output.stderr.contains("denied"), "{output:#?}");
    assert!(record(&world).iter().all(|line| line[0] == "denied"), "{output:#?}");
    assert!(!oracle::podman_names(&world, Store::Default).contains(&"localhost/copied:1".to_owned()));
}

#[test]
fn what_isnt_asked_for_in_the_manifest_isnt_there() {
    let world = World::new();
    let files = bootc_image_test_guests::files("command-asks").unwrap();
    let manifest = String::from_utf8(files[0].1.clone()).unwrap();
    let (bare, _) = manifest.split_once("[[capability]]").unwrap();
    let path = format!("{IMAGE}/command-asks/plugin.toml");
    let output = does(&world, "").file(&path, bare).run(&["bootc-image", "cmd", "diff"]).exits(78);
    let reason = "needs the capability lists-images, but its manifest does not request it";
    assert!(
        output.stderr.contains(reason) || output.stderr.contains("needs the capability copies-images"),
        "{output:#?}"
    );
    let doctor = does(&world, "").file(&path, bare).run(&["bootc-image", "plugin", "doctor"]);
    assert!(doctor.stdout.contains("needs the capability"), "{doctor:#?}");
}

#[test]
fn in_a_dry_run_lists_are_lists_and_nothing_is_copied() {
    let world = World::new();
    let dry = |what: &str| does(&world, what).run(&["bootc-image", "--dry-run", "cmd", "diff", "app:stable"]);
    assert!(dry("list").ok().stderr.contains("unified 127.0.0.1:5000/lab/app:1 "));
    let copy = dry("copy").ok();
    let judged: Value = serde_json::from_str(&copy.stdout).unwrap();
    let operation = &judged["canonical"]["operation"];
    assert_eq!(
        (&operation["kind"], &judged["allowed"]),
        (&"copy-to-storage".into(), &true.into()),
        "{copy:#?}"
    );
    assert_eq!(judged["canonical"]["subject"]["plugin"], "command-asks");
    assert!(
        copy.stderr.contains(
            "the dry run stops here: the plugin needs the copied images to plan its next step, and a dry run copies nothing"
        ),
        "{copy:#?}"
    );
    let outside = dry("copy-outside").exits(77);
    assert!(outside.stderr.contains("covers only"), "{outside:#?}");
    let both = dry("copy-twice-and-plan").ok();
    let judged = serde_json::Deserializer::from_str(&both.stdout).into_iter::<Value>().map(Result::unwrap);
    let kinds: Vec<Value> = judged.map(|judged| judged["canonical"]["operation"]["kind"].clone()).collect();
    assert_eq!(kinds, ["copy-to-storage", "pull-from-default-storage", "cmd"]);
    assert!(!oracle::podman_names(&world, Store::Default).contains(&"localhost/copied:1".to_owned()));
    assert!(record(&world).is_empty());
}

#[test]
fn a_copy_takes_its_time_and_then_the_plugin_has_its_own() {
    let world = World::new();
    // Longer than all the time that the plugin has.
    let skopeo = "#!/bin/sh\nsleep 3\nexec /usr/bin/skopeo.real \"$@\"\n";
    let output = does(&world, "copy")
        .file(SETTINGS, "settings.command-asks.do = \"copy\"\n[ceiling.command]\nwall-ms = 2000\n")
        .program(&programs::machine().join("usr/bin/skopeo"), "/usr/bin/skopeo.real")
        .file_with_mode("/usr/bin/skopeo", skopeo, 0o755)
        .run(&["bootc-image", "--quiet", "cmd", "diff"]);
    assert!(output.ok().stderr.contains("unchanged: false"));
    let output = asked(&world, "copy-and-loop").exits(78);
    assert!(output.stderr.contains("exceeded its processor time limit (2 s)"), "{output:#?}");
    // What was copied before stays, and is recorded.
    assert!(oracle::podman_names(&world, Store::Default).contains(&"localhost/copied:1".to_owned()));
    assert_eq!(record(&world).len(), 4);
}

#[test]
fn an_interrupted_copy_ends_the_plugin_too() {
    let world = World::new();
    let script = "
        bootc-image --quiet cmd diff & ours=$!
        until pgrep -f '^sleep [3]0' >/dev/null; do usleep 50000; done
        kill -TERM $ours
        wait $ours";
    let slow = "#!/bin/sh\nexec sleep 30\n";
    let output = does(&world, "copy-and-loop").file_with_mode("/usr/bin/skopeo", slow, 0o755).sh(script);
    let output = output.exits(143);
    assert!(output.stderr.contains("interrupted by signal 15"), "{output:#?}");
    let outcome = world.record().last().unwrap().clone();
    assert_eq!((&outcome["event"], &outcome["result"]), (&"outcome".into(), &"interrupted".into()));
}

#[test]
fn a_plan_may_follow_and_no_other_plugin() {
    let world = World::new();
    let run = |what: &str, words: &[&str]| {
        let words: Vec<&str> =
            ["bootc-image", "--quiet", "cmd", "diff"].iter().chain(words).copied().collect();
        does(&world, what).run(&words)
    };
    run("copy-and-plan", &["app:stable"]).ok();
    let kinds: Vec<String> = record(&world).into_iter().map(|[_, kind, _]| kind).collect();
    assert_eq!(kinds, ["copy-to-storage", "", "cmd", ""]);
    for (what, why) in
        [("again", "cmd"), ("remove", "planned `rm` for `cmd diff`"), ("nul", "control character")]
    {
        let output = run(what, &["app:stable"]).exits(77);
        assert!(output.stderr.contains(why), "{output:#?}");
    }
    assert!(oracle::podman_names(&world, Store::Bootc).contains(&"localhost/app:stable".to_owned()));
}

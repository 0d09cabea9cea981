//! The shipped plugin `podman-maintenance` on the real podman: what it offers, and what is refused in spite of it.

mod plugins;

use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World};
use plugins::ship_in_image;
use serde_json::Value;

const APP: &str = "127.0.0.1:5000/lab/app:1";

fn enter(world: &World) -> Enter {
    ship_in_image(world.enter(), "podman-maintenance")
}

fn cmd(world: &World, words: &[&str]) -> Output {
    let words: Vec<&str> = ["bootc-image", "cmd"].iter().chain(words).copied().collect();
    enter(world).run(&words)
}

#[test]
fn looking_at_images_shows_what_podman_shows() {
    let world = World::new();
    for words in ["history --no-trunc", "inspect", "tree"] {
        let subcommand: Vec<&str> = words.split(' ').chain([APP]).collect();
        let ours = cmd(&world, &subcommand).ok().stdout;
        let script = format!("{}store_podman image {words} {APP}", Store::Bootc.shell());
        assert_eq!(ours, world.enter().sh(&script).ok().stdout, "{words}");
        assert!(!ours.is_empty());
    }
    // The guide's own example.
    let inspected: Vec<Value> = cmd(&world, &["inspect", "app:stable"]).ok().json();
    assert_eq!(inspected[0]["Id"], world.facts().app1.id.as_str());
    for (name, code) in [(APP, 0), ("app:stable", 0), (&world.facts().app1.id, 0), ("app:none", 1)] {
        let output = cmd(&world, &["exists", name]).exits(code);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{name}");
    }
}

#[test]
fn names_are_given_and_taken_but_for_those_that_are_needed() {
    let world = World::new();
    cmd(&world, &["tag", "app:stable", "app:new", "quay.io/x/y"]).ok();
    let names = oracle::podman_names(&world, Store::Bootc);
    for name in ["localhost/app:new", "quay.io/x/y:latest"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
    cmd(&world, &["untag", "app:new", "quay.io/x/y", "app:new"]).ok();
    assert!(!oracle::podman_names(&world, Store::Bootc).contains(&"localhost/app:new".to_owned()));
    // podman keeps capital letters, and finds no other spelling.
    let tag = format!("{}store_podman image tag localhost/app:stable Quay.io/x/cap:1", Store::Bootc.shell());
    world.enter().sh(&tag).ok();
    cmd(&world, &["untag", "app:stable", "Quay.io/x/cap:1"]).ok();
    assert!(!oracle::podman_names(&world, Store::Bootc).contains(&"Quay.io/x/cap:1".to_owned()));
    let usage = cmd(&world, &["untag", "app:stable"]).exits(2);
    assert!(usage.stderr.contains("would remove all names from the image"), "{usage:#?}");
    // The bound image is what the host starts: its name stays with it.
    let app2 = &world.facts().app2.id;
    for words in [&["tag", app2, APP][..], &["untag", APP, APP]] {
        let output = cmd(&world, words).exits(77);
        assert!(
            output.stderr.contains(&format!("the name {APP} is needed by the running system")),
            "{output:#?}"
        );
    }
    cmd(&world, &["tag", "app:stable", APP]).ok();
    let denials = world.record().iter().filter(|line| line["event"] == "denied").count();
    assert_eq!(denials, 2, "a usage error is none");
}

/// The guide's recovery examples, as written but for the program's name.
#[test]
fn recovery_from_damage_works_as_the_guide_says() {
    let world = World::new();
    let script = "
        mkdir -p /tmp/context && cd /tmp/context
        printf 'FROM scratch\\nCOPY Containerfile /\\n' >Containerfile
        bootc-image cmd build --no-cache -t corrupted-image
        bootc-image cmd rmi corrupted-image
        bootc-image cmd pull --tls-verify=false 127.0.0.1:5000/lab/app:3
        bootc-image cmd prune -a
        bootc-image cmd build --no-cache";
    let output = enter(&world).registry(true).sh(script).ok();
    assert!(output.stdout.contains("Removed: localhost/corrupted-image:latest "), "{output:#?}");
    assert!(output.stdout.contains("Removed: 127.0.0.1:5000/lab/app:3 "), "{output:#?}");
    assert!(oracle::podman_names(&world, Store::Bootc).contains(&APP.to_owned()), "what is bound stays");
    let prunes = world.record().into_iter().filter(|line| line["canonical"]["operation"]["kind"] == "prune");
    let subjects: Vec<Value> = prunes.map(|line| line["canonical"]["subject"]["plugin"].clone()).collect();
    assert!(
        subjects.len() >= 2 && subjects.iter().all(|plugin| plugin == "podman-maintenance"),
        "{subjects:?}"
    );
}

#[test]
fn what_is_saved_comes_back_under_its_names() {
    let world = World::new();
    let script = format!(
        "archives=/var/lib/bootc-image/archives
         [ ! -e $archives ]
         bootc-image cmd save -o $archives/app.tar app:stable {APP}
         [ \"$(stat -c %a $archives)\" = 700 ]; cd $archives
         bootc-image cmd save --quiet app:stable >piped.tar
         bootc-image cmd rm app:stable
         bootc-image cmd load --quiet -i app.tar
         bootc-image cmd rm app:stable
         bootc-image cmd load --quiet <piped.tar"
    );
    enter(&world).sh(&script).ok();
    let names = oracle::podman_names(&world, Store::Bootc);
    assert!(names.contains(&"localhost/app:stable".to_owned()), "{names:?}");
    let pinned = |name: &str| {
        let mut acts =
            world.record().into_iter().filter(|line| line["canonical"]["operation"]["invoked"] == name);
        acts.next().unwrap()["canonical"]["operation"]["pinned"].clone()
    };
    assert_eq!((pinned("save"), pinned("load")), (true.into(), false.into()));
    let output = cmd(&world, &["save", "app:stable", &world.facts().app2.id]).exits(2);
    assert!(
        output.stderr.contains("to save several images in one archive, add --multi-image-archive"),
        "{output:#?}"
    );
}

/// What it was granted is one directory.
#[test]
fn every_attempt_outside_the_grant_is_denied_and_recorded() {
    let world = World::new();
    let attempts: &[(&[&str], &str)] = &[
        (&["save", "-o", "/etc/motd", APP], "outside-scope"),
        (&["save", "-o", "/var/lib/bootc-image/archives/../lib/x.tar", APP], "outside-scope"),
        (&["save", "-o", "/var/lib/bootc-image/archives/link/x.tar", APP], "outside-scope"),
        (&["save", "-o", "/var/lib/bootc-image/archives/to-etc", APP], "not-roots-own"),
        (&["save", "-o", "/var/lib/bootc-image/archives/open/x.tar", APP], "not-roots-own"),
        (&["save", "-o", "/var/lib/bootc-image/archives/theirs/x.tar", APP], "not-roots-own"),
        (&["save", "-o", "/var/lib/bootc-image/archives/old.tar", APP], "exists"),
        (&["save", "--format=oci-archive", "-o", "/var/lib/bootc-image/archives/old.tar", APP], "exists"),
        (&["save", "--signature-policy=/etc/containers/policy.json", APP], "outside-scope"),
        (&["load", "-i", "/etc/shadow"], "outside-scope"),
        (&["load", "-i", "/etc/nothing-there"], "outside-scope"),
        (&["load", "-i", "../../etc/shadow"], "outside-scope"),
        (&["load", "--root", "/x"], "not-in-table"),
        (&["inspect", "--root=/x", APP], "not-in-table"),
        (&["rm", "--force", APP], "not-offered"),
        (&["prune", "--external"], "not-offered"),
        (&["rm", APP], "needed"),
    ];
    let prepare = "
        mkdir -p /var/lib/bootc-image/archives/open /var/lib/bootc-image/archives/theirs
        echo old >/var/lib/bootc-image/archives/old.tar
        ln -sfn /etc /var/lib/bootc-image/archives/link
        ln -sfn /etc/motd /var/lib/bootc-image/archives/to-etc
        chmod 777 /var/lib/bootc-image/archives/open
        chown 1000 /var/lib/bootc-image/archives/theirs";
    for (number, (words, code)) in attempts.iter().enumerate() {
        let words = words.join(" ");
        let output = enter(&world)
            .sh(&format!("{prepare}\ncd /var/lib/bootc-image/archives; bootc-image cmd {words}"))
            .exits(77);
        assert!(
            output.stderr.lines().last().unwrap().starts_with("bootc-image: denied: "),
            "{words}: {output:#?}"
        );
        let record = world.record();
        assert_eq!(record.len(), number + 1, "{words}: {record:#?}");
        let last = record.last().unwrap();
        assert_eq!((&last["event"], &last["denial"]["code"]), (&"denied".into(), &(*code).into()), "{words}");
    }
    assert!(!world.outside("/var/lib/x.tar").exists());
    let old = std::fs::read_to_string(world.outside("/var/lib/bootc-image/archives/old.tar")).unwrap();
    assert_eq!(old, "old\n");
    // Granted less, it gets less.
    let bare = "[[grant]]\nplugin = \"podman-maintenance\"\n";
    let held = enter(&world)
        .file("/usr/lib/bootc-image/grants.d/podman-maintenance.toml", bare)
        .run(&["bootc-image", "cmd", "inspect", APP])
        .exits(77);
    let reason = "plugin podman-maintenance provides it but is disabled: it requests capabilities that were not granted: podman-reads /var/lib/bootc-image/archives";
    assert!(held.stderr.contains(reason), "{held:#?}");
}

#[test]
fn a_caller_behind_sudo_loads_nothing() {
    let world = World::new();
    let load = |enter: Enter| enter.env("SUDO_UID", "1000").sh("bootc-image cmd load </dev/null");
    let output = load(enter(&world)).exits(77);
    assert!(
        output.stderr.contains("`cmd load` is not allowed for a caller who became root through sudo"),
        "{output:#?}"
    );
    let allowed = enter(&world).file("/etc/bootc-image/config.d/a.toml", "allow-delegated = [\"load\"]\n");
    load(allowed).exits(125);
}

#[test]
fn help_is_that_of_the_manifest_and_the_tables() {
    let world = World::new();
    let overview = enter(&world).run(&["bootc-image", "cmd", "--help"]).ok().stdout;
    for name in ["exists", "history", "inspect", "load", "prune", "rm", "rmi", "save", "tag", "tree", "untag"]
    {
        assert!(
            overview.lines().any(|line| line.trim_start().starts_with(&format!("{name} "))),
            "{overview}"
        );
        let help = cmd(&world, &[name, "--help"]).ok().stdout;
        assert!(help.contains(&format!("Usage: bootc-image cmd {name} ")), "{help}");
        assert!(help.contains("Provided by plugin podman-maintenance."), "{help}");
    }
    let save = cmd(&world, &["save", "--help"]).ok().stdout;
    assert!(
        save.contains("-o, --output VALUE") && !save.contains("Options that need a capability"),
        "{save}"
    );
}

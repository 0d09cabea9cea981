//! `cmd`: planned by a component, judged, run by the real podman on bootc's store and nowhere else.

use std::fs;

use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World, programs};
use serde_json::Value;

fn cmd(world: &World, arguments: &[&str]) -> Output {
    world.enter().registry(true).run(&[&["bootc-image", "cmd"], arguments].concat())
}

/// The same program with other plugins.
fn with_plugins(world: &World, plugins: &str) -> Enter {
    let program = programs::example("bootc-image-with");
    world.enter().program(&program, "/usr/bin/bootc-image").env("BOOTC_IMAGE_TEST_PLUGINS", plugins)
}

/// A refusal: exit 77, nothing on stdout, the last line on stderr says so (D10.6), and podman wasn't started.
fn refused(output: &Output, why: &str) {
    assert_eq!((output.code, output.stdout.as_str()), (77, ""), "{output:#?}");
    let last = output.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("bootc-image: denied: ") && last.contains(why), "{why}: {output:#?}");
}

/// A podman that only leaves a mark: whoever starts it is found out.
fn with_marking_podman(enter: Enter) -> Enter {
    enter.file_with_mode("/usr/bin/podman", "#!/bin/sh\ntouch /var/tmp/podman-ran\n", 0o755)
}

fn podman_ran(world: &World) -> bool {
    world.outside("/var/tmp/podman-ran").exists()
}

#[test]
fn list_prints_what_podman_prints() {
    let world = World::new();
    let oracle = |arguments: &str| {
        world.enter().sh(&format!("{}store_podman {arguments}", Store::Bootc.shell())).ok().stdout
    };
    for arguments in
        ["", "--format json", "-aq --no-trunc", "--filter reference=localhost/app:stable", "--sort=id -n"]
    {
        let ours = world.enter().sh(&format!("bootc-image cmd list {arguments}")).ok();
        assert_eq!(ours.stdout, oracle(&format!("image list {arguments}")), "{arguments}");
        assert!(!ours.stdout.is_empty());
    }
    assert!(
        !cmd(&world, &["list"]).ok().stdout.contains("localhost/mine"),
        "podman's own store isn't bootc's"
    );
}

#[test]
fn pull_by_digest_fetches_exactly_that() {
    let world = World::new();
    let multi = &world.facts().multi;
    for digest in [&world.facts().app1.digest, &multi.digest] {
        let repository = if *digest == multi.digest { "multi" } else { "app" };
        let reference = format!("127.0.0.1:5000/lab/{repository}@{digest}");
        cmd(&world, &["pull", "--quiet", &reference]).ok();
        assert!(oracle::podman_names(&world, Store::Bootc).contains(&reference), "{reference}");
    }
    let lines = world.record();
    assert_eq!(lines.len(), 4, "an intent and an outcome each");
    let frozen = &lines[0]["frozen"];
    assert_eq!(
        (&frozen["operation"]["pinned"], &frozen["operation"]["plugin"]),
        (&true.into(), &"podman-allowlist".into())
    );
    assert_eq!(frozen["subject"]["plugin"], "podman-allowlist");
    assert_eq!((&lines[1]["result"], &lines[1]["code"]), (&"exited".into(), &0.into()));
}

#[test]
fn podmans_own_exit_code_passes() {
    let world = World::new();
    let absent = format!("127.0.0.1:5000/lab/app@sha256:{}", "0".repeat(64));
    let output = cmd(&world, &["pull", "--quiet", &absent]).exits(125);
    assert!(!output.stderr.contains("bootc-image: denied:"), "{output:#?}");
    assert_eq!(world.record()[1]["code"], 125);
    for (script, code) in [("exit 42", 42), ("kill -9 $$", 137)] {
        let enter = world.enter().file_with_mode("/usr/bin/podman", format!("#!/bin/sh\n{script}\n"), 0o755);
        enter.run(&["bootc-image", "cmd", "list"]).exits(code);
    }
}

#[test]
fn what_isnt_pinned_is_refused_with_a_hint() {
    let world = World::new();
    let digest = &world.facts().app1.digest;
    for arguments in [
        &["127.0.0.1:5000/lab/app:1"][..],
        &["127.0.0.1:5000/lab/app"],
        &["--all-tags", "127.0.0.1:5000/lab/app"],
        &[&format!("127.0.0.1:5000/lab/app:1@{digest}")],
        &[&format!("127.0.0.1:5000/lab/app@{digest}"), "127.0.0.1:5000/lab/app:2"],
    ] {
        let enter = with_marking_podman(world.enter().registry(true));
        let output = enter.run(&[&["bootc-image", "cmd", "pull"], arguments].concat());
        refused(&output, "doesn't say by digest what is fetched");
        assert!(output.stderr.contains("skopeo inspect"), "{output:#?}");
    }
    assert!(!podman_ran(&world));
    assert!(world.record().iter().all(|line| line["event"] == "denied"));
}

/// Each way out is closed before podman starts (D3.8 to D3.10).
#[test]
fn no_argument_leads_out_of_the_store() {
    let world = World::new();
    let digest = format!("sha256:{}", "a".repeat(64));
    let pinned = format!("quay.io/a@{digest}");
    let attempts: &[&[&str]] = &[
        &["list", "--root", "/var/tmp/other"],
        &["list", "--root=/var/tmp/other"],
        &["list", "--cpu-profile", "/var/tmp/profile"],
        &["list", "--network-config-dir=/var/tmp/network"],
        &["list", "--storage-opt=additionalimagestore=/x"],
        &["list", "--remote"],
        &["list", "-c", "x"],
        &["list", "--", "--root=/x"],
        &["list", "dir:/etc"],
        &["list", "containers-storage:[overlay@/x+/y]z"],
        &["list", "a\u{1b}[2Jb"],
        &["pull", "--authfile", "/etc/shadow", &pinned],
        &["pull", "--cert-dir=/etc", &pinned],
        &["pull", "--creds", "user:secret", &pinned],
        &["pull", "--signature-policy=/x", &pinned],
        &["pull", "--policy=always", &pinned],
        &["pull", "dir:/etc"],
        &["pull", "oci-archive:/var/tmp/x.tar"],
        &["pull", "docker://quay.io/a"],
        &["pull", "/etc/passwd"],
        &["pull", &format!("a@{digest}")],
        &["pull"],
    ];
    for attempt in attempts {
        let output = with_marking_podman(world.enter()).run(&[&["bootc-image", "cmd"], *attempt].concat());
        refused(&output, "");
        assert!(!output.stderr.contains('\u{1b}'));
    }
    assert!(!podman_ran(&world) && !world.outside("/var/tmp/other").exists());
    let record = fs::read_to_string(world.outside("/var/lib/bootc-image/audit/audit.jsonl")).unwrap();
    assert_eq!(record.lines().count(), attempts.len(), "every refusal is recorded");
}

#[test]
fn what_no_plugin_claims_is_refused() {
    let world = World::new();
    for name in ["rmi", "mount", "build", "push", "", "--root", "LIST", "../list"] {
        let output = with_marking_podman(world.enter()).run(&["bootc-image", "cmd", name, "x"]);
        refused(&output, "no enabled plugin owns");
        assert!(output.stderr.contains("enabled commands: list, pull"), "{output:#?}");
    }
    assert!(!podman_ran(&world));
}

/// D3.12: the host has no list. Without the plugin there is no command.
#[test]
fn without_the_plugin_every_command_is_refused() {
    let world = World::new();
    let pinned = format!("127.0.0.1:5000/lab/app@{}", world.facts().app1.digest);
    for arguments in [&["list"][..], &["pull", &pinned], &["build", "."]] {
        let run = [&["bootc-image", "cmd"], arguments].concat();
        refused(&with_marking_podman(with_plugins(&world, "")).run(&run), "no enabled plugin owns");
    }
    assert!(!podman_ran(&world));
    with_plugins(&world, "builtin").run(&["bootc-image", "cmd", "list"]).ok();
}

#[test]
fn an_allowlist_with_one_entry_less_refuses_that_subcommand() {
    let world = World::new();
    let pinned = format!("127.0.0.1:5000/lab/app@{}", world.facts().app1.digest);
    let enter = || with_plugins(&world, "allowlist-without-pull").registry(true);
    refused(&with_marking_podman(enter()).run(&["bootc-image", "cmd", "pull", &pinned]), "");
    assert!(!podman_ran(&world));
    enter().run(&["bootc-image", "cmd", "list"]).ok();
}

/// D6: a plugin that traps or runs out of a limit is unusable: 78, nothing runs.
#[test]
fn a_plugin_that_breaks_stops_its_command() {
    let world = World::new();
    for (guest, why) in [
        ("command-panics", "panicked"),
        ("command-loops", "2 s"),
        ("command-memory-bomb", "64 MiB"),
        ("command-log-bomb", ""),
        ("command-huge-argv", ""),
    ] {
        let enter = with_marking_podman(with_plugins(&world, guest));
        let output = enter.run(&["bootc-image", "cmd", "list"]).exits(78);
        assert!(output.stdout.is_empty() && output.stderr.contains("can't be used"), "{guest}: {output:#?}");
        assert!(output.stderr.contains(why), "{guest}: {output:#?}");
    }
    assert!(!podman_ran(&world));
    assert!(world.record().iter().all(|line| line["event"] != "intent"));
}

/// D3.2: a plan is refused unless its subcommand is the one invoked and is claimed by that plugin's manifest.
#[test]
fn a_plan_for_another_subcommand_is_refused() {
    let world = World::new();
    for (guest, why) in [
        ("command-other-subcommand", "was asked for `cmd list` and planned `pull`"),
        ("command-unclaimed", ""),
    ] {
        let enter = with_marking_podman(with_plugins(&world, guest));
        refused(&enter.run(&["bootc-image", "cmd", "list"]), why);
    }
    assert!(!podman_ran(&world));
}

#[test]
fn two_plugins_that_claim_the_same_are_unusable() {
    let world = World::new();
    let enter = with_marking_podman(with_plugins(&world, "builtin,command-panics"));
    let output = enter.run(&["bootc-image", "cmd", "list"]).exits(78);
    assert!(output.stderr.contains("claimed by both"), "{output:#?}");
    assert!(!podman_ran(&world));
}

/// D4.4.
#[test]
fn a_guests_text_cant_drive_the_terminal() {
    let world = World::new();
    let output = with_plugins(&world, "command-escapes").run(&["bootc-image", "cmd", "list"]);
    assert!(!output.stderr.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}']), "{output:#?}");
    assert!(!output.stderr.is_empty());
}

#[test]
fn help_comes_from_manifests_and_tables() {
    let world = World::new();
    let overview = world.enter().run(&["bootc-image", "cmd", "--help"]).ok().stdout;
    assert!(
        overview.contains("list") && overview.contains("pull") && overview.contains("[podman-allowlist]")
    );
    let usage = with_marking_podman(world.enter()).run(&["bootc-image", "cmd", "list", "--help"]).ok().stdout;
    assert!(usage.contains("Usage: bootc-image cmd list") && usage.contains("-f, --filter VALUE"), "{usage}");
    assert!(!podman_ran(&world));
}

#[test]
fn it_needs_root_a_booted_host_and_podman() {
    let world = World::new();
    let run = ["bootc-image", "cmd", "list"];
    let denied = world.enter().as_uid(1000).run(&run).exits(1);
    assert!(denied.stderr.contains("Permission denied") && denied.stderr.contains("sudo"), "{denied:#?}");
    assert!(world.enter().not_booted().run(&run).exits(1).stderr.contains("System not booted via bootc"));
    assert!(world.enter().in_container().run(&run).exits(1).stderr.contains("Detected container"));
    let output = world.enter().without("podman").run(&run).exits(69);
    assert!(output.stderr.contains("hint: install the package podman"), "{output:#?}");
}

#[test]
fn a_dry_run_judges_and_starts_nothing() {
    let world = World::new();
    let enter = || with_marking_podman(world.enter());
    let shown: Value = enter().run(&["bootc-image", "--dry-run", "cmd", "list", "-a"]).ok().json();
    assert_eq!(shown["frozen"]["operation"]["command"]["flags"][0]["name"], "all");
    let output = enter().run(&["bootc-image", "--dry-run", "cmd", "pull", "quay.io/a:1"]).exits(77);
    assert_eq!(output.json::<Value>()["allowed"], false);
    assert!(!podman_ran(&world) && world.record().is_empty());
}

/// The caller's `PATH` and settings don't choose which podman runs, nor on what.
#[test]
fn the_callers_environment_changes_nothing() {
    let world = World::new();
    let enter = world
        .enter()
        .file_with_mode("/tmp/evil/podman", "#!/bin/sh\ntouch /var/tmp/podman-ran\n", 0o755)
        .file("/tmp/evil/storage.conf", "[storage]\ndriver = \"vfs\"\ngraphroot = \"/var/tmp/other\"\n")
        .env("PATH", "/tmp/evil:/usr/bin")
        .env("HOME", "/tmp/evil")
        .env("CONTAINERS_STORAGE_CONF", "/tmp/evil/storage.conf")
        .env("CONTAINERS_CONF", "/tmp/evil/containers.conf")
        .env("CONTAINER_HOST", "unix:///tmp/evil/sock");
    let output = enter.run(&["/usr/bin/bootc-image", "cmd", "list"]).ok();
    assert!(output.stdout.contains("localhost/app"), "{output:#?}");
    assert!(!podman_ran(&world) && !world.outside("/var/tmp/other").exists());
}

#[test]
fn nothing_stays_mounted() {
    let world = World::new();
    let script = "bootc-image cmd list >/dev/null; grep -c bootc/storage /proc/self/mountinfo || true; ls -A /run/bootc-image/home";
    assert_eq!(world.enter().sh(script).ok().lines(), ["0"]);
}

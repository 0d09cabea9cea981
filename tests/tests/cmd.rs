//! `cmd`: planned by a component, judged, run by the real podman on bootc's store and nowhere else.

use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use bootc_image_tests::{Output, World, programs};
use serde_json::Value;

fn cmd(world: &World, arguments: &[&str]) -> Output {
    world.enter().registry(true).run(&[&["bootc-image", "cmd"], arguments].concat())
}

/// The same program with other plugins.
fn with_plugins(world: &World, plugins: &str) -> Enter {
    let program = programs::mutated("bootc-image-with");
    world.enter().program(&program, "/usr/bin/bootc-image").env("BOOTC_IMAGE_TEST_PLUGINS", plugins)
}

/// A refusal: exit 77, nothing on stdout, the last line on stderr says so, and podman wasn't started.
fn refused(output: &Output, why: &str) {
    assert_eq!((output.code, output.stdout.as_str()), (77, ""), "{output:#?}");
    let last = output.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("bootc-image: denied: ") && last.contains(why), "{why}: {output:#?}");
}

/// A podman that only leaves a mark: whoever starts it is found out.
fn with_marking_podman(enter: Enter) -> Enter {
    enter.file_with_mode("/usr/bin/podman", "#!/bin/sh\ntouch /var/podman-ran\n", 0o755)
}

fn podman_ran(world: &World) -> bool {
    world.outside("/var/podman-ran").exists()
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
    let canonical = &lines[0]["canonical"];
    assert_eq!(
        (&canonical["operation"]["pinned"], &canonical["operation"]["plugin"]),
        (&true.into(), &"podman-allowlist".into())
    );
    assert_eq!(canonical["subject"]["plugin"], "podman-allowlist");
    assert_eq!((&lines[1]["result"], &lines[1]["code"]), (&"exited".into(), &0.into()));
}

#[test]
fn podmans_own_exit_code_passes() {
    let world = World::new();
    let output = cmd(&world, &["list", "--sort=nonsense"]).exits(125);
    assert!(!output.stderr.contains("bootc-image: denied:"), "{output:#?}");
    assert_eq!(world.record()[1]["code"], 125);
    for (script, code) in [("exit 42", 42), ("kill -9 $$", 137)] {
        let enter = world.enter().file_with_mode("/usr/bin/podman", format!("#!/bin/sh\n{script}\n"), 0o755);
        enter.run(&["bootc-image", "cmd", "list"]).exits(code);
    }
}

/// A tag is looked up once, before anything is judged.
#[test]
fn pull_by_tag_fetches_what_the_tag_meant_and_names_it() {
    let world = World::new();
    let (one, two) = (&world.facts().app1, &world.facts().multi);
    let names = ["127.0.0.1:5000/lab/app:1", "docker://127.0.0.1:5000/lab/multi:1"];
    let output = cmd(&world, &["pull", "--quiet", names[0], names[1]]).ok();
    assert_eq!(output.lines().len(), 2, "podman's ids, and nothing else: {output:#?}");
    let images = oracle::podman_names(&world, Store::Bootc);
    for name in ["127.0.0.1:5000/lab/app:1", "127.0.0.1:5000/lab/multi:1"] {
        assert!(images.iter().any(|known| known == name), "{images:?}");
    }
    let operation = &world.record()[0]["canonical"]["operation"];
    for (position, (name, image)) in [("lab/app", one), ("lab/multi", two)].into_iter().enumerate() {
        let pinned = format!("127.0.0.1:5000/{name}@{}", image.digest);
        assert_eq!(operation["images"][position]["pinned"], pinned.as_str());
        assert_eq!(operation["command"]["operands"][position], format!("docker://{pinned}"));
    }
    assert_eq!(operation["pinned"], true);
}

/// A podman in front of the real one, which has the image's tag point somewhere else first.
fn with_retagging_podman(enter: Enter, retag: &str) -> Enter {
    let script = format!(
        "#!/bin/sh\n[ -e /run/retagged ] || {{ touch /run/retagged; {retag}; }} >/run/retag.log 2>&1\n\
         exec /usr/libexec/podman-itself \"$@\"\n"
    );
    let real = programs::machine().join("usr/bin/podman");
    enter.program(&real, "/usr/libexec/podman-itself").file_with_mode("/usr/bin/podman", script, 0o755)
}

#[test]
fn a_tag_that_moves_in_the_registry_after_the_verdict_changes_nothing() {
    let world = World::new();
    let retag = "skopeo copy --dest-tls-verify=false --src-tls-verify=false \
                 docker://127.0.0.1:5000/lab/app:2 docker://127.0.0.1:5000/lab/app:1";
    let enter = with_retagging_podman(world.enter().registry(true), retag);
    let script = "bootc-image cmd pull --quiet 127.0.0.1:5000/lab/app:1 && \
                  skopeo inspect --format '{{.Digest}}' docker://127.0.0.1:5000/lab/app:1";
    let output = enter.sh(script).ok();
    let (lines, app1) = (output.lines(), &world.facts().app1);
    assert_ne!(lines[1], app1.digest, "the tag did move");
    let stored = oracle::podman_inspect(&world, Store::Bootc, "127.0.0.1:5000/lab/app:1");
    assert_eq!(stored["Id"].as_str(), Some(lines[0]));
    assert_eq!(stored["Digest"], app1.digest.as_str());
}

/// The origin cannot be reached, and the mirror is asked for tags only.
const MIRROR_OF_TAGS: &str = "
[[registry]]
location = '127.0.0.1:5000'
insecure = true
[[registry]]
prefix = 'quay.io/lab'
location = '127.0.0.1:5999/lab'
insecure = true
[[registry.mirror]]
location = '127.0.0.1:5000/lab'
insecure = true
pull-from-mirror = 'tag-only'
";

#[test]
fn a_mirror_of_tags_serves_what_was_judged_or_nothing() {
    let world = World::new();
    let enter = || world.enter().registry(true).file("/etc/containers/registries.conf", MIRROR_OF_TAGS);
    for (name, image) in [("app:1", &world.facts().app1), ("multi:1", &world.facts().multi)] {
        let name = format!("quay.io/lab/{name}");
        let output = enter().run(&["bootc-image", "cmd", "pull", "--quiet", &name]).ok();
        assert!(output.stderr.contains(&format!("note: fetching {name} by its tag")), "{output:#?}");
        let names = oracle::podman_names(&world, Store::Bootc);
        assert!(names.contains(&name), "{names:?}");
        let operation = &world.record()[0]["canonical"]["operation"];
        assert_eq!(operation["pinned"], true);
        let pinned = format!("{}@{}", name.rsplit_once(':').unwrap().0, image.digest);
        assert!(names.contains(&pinned), "{names:?}");
    }
    // Without the other image, which podman does not find where its tag was resolved, none is fetched by its tag.
    let (by_tag, other) = ("quay.io/lab/app:2", "127.0.0.1:5000/lab/app:3");
    let refusing = |arguments: &str| {
        let script = "#!/bin/sh\ncase \"$*\" in *' image pull '*) exit 125 ;; esac\nexec /usr/libexec/podman-itself \"$@\"\n";
        let real = programs::machine().join("usr/bin/podman");
        let enter = enter().program(&real, "/usr/libexec/podman-itself");
        enter.file_with_mode("/usr/bin/podman", script, 0o755).sh(&format!("bootc-image {arguments}"))
    };
    for names in [format!("{by_tag} {other}"), format!("{other} {by_tag}")] {
        let output = refusing(&format!("cmd pull --quiet {names}")).exits(125);
        assert!(!output.stderr.contains("by its tag"), "{output:#?}");
        let stored = oracle::podman_names(&world, Store::Bootc);
        assert!(!stored.contains(&by_tag.to_owned()), "{stored:?}");
    }
    let retag = "skopeo copy --dest-tls-verify=false --src-tls-verify=false \
                 docker://127.0.0.1:5000/lab/app:2 docker://127.0.0.1:5000/lab/app:3";
    let moved = with_retagging_podman(enter(), retag);
    let output = moved.run(&["bootc-image", "cmd", "pull", "--quiet", "quay.io/lab/app:3"]).exits(1);
    let expected =
        "quay.io/lab/app:3 is not as expected: its tag no longer refers to the approved digest sha256:";
    assert!(output.stderr.contains(expected), "{output:#?}");
    let names = oracle::podman_names(&world, Store::Bootc);
    assert!(!names.contains(&"quay.io/lab/app:3".to_owned()), "{names:?}");
}

#[test]
fn a_name_that_moves_in_the_store_after_the_verdict_changes_nothing() {
    let world = World::new();
    cmd(&world, &["pull", "--quiet", "127.0.0.1:5000/lab/app:2"]).ok();
    let id = |name: &str| oracle::podman_inspect(&world, Store::Bootc, name)["Id"].clone();
    let before = id("localhost/app:stable");
    let retag = "/usr/libexec/podman-itself --root /run/bootc/storage --runroot /proc/self/fd/3 \
                 image tag 127.0.0.1:5000/lab/app:2 localhost/app:stable";
    let enter = with_retagging_podman(world.enter().registry(true), retag);
    let script = "bootc-image cmd push --quiet localhost/app:stable 127.0.0.1:5000/pushed/app:1 && \
                  skopeo inspect --config --raw docker://127.0.0.1:5000/pushed/app:1 | sha256sum";
    let output = enter.sh(script).ok();
    assert_ne!(id("localhost/app:stable"), before, "the name did move");
    assert_eq!(output.lines()[0].split(' ').next(), before.as_str());
}

#[test]
fn push_sends_an_image_of_the_store_by_name_by_id_and_to_its_own_name() {
    let world = World::new();
    let image = oracle::podman_inspect(&world, Store::Bootc, "localhost/app:stable");
    let id = image["Id"].as_str().unwrap();
    let script = format!(
        "{podman}bootc-image cmd push -q localhost/app:stable 127.0.0.1:5000/pushed/a:1
         bootc-image cmd push -q app:stable docker://127.0.0.1:5000/pushed/a:2
         bootc-image cmd push -q {short} 127.0.0.1:5000/pushed/a
         store_podman image tag app:stable 127.0.0.1:5000/pushed/a:own
         bootc-image cmd push -q 127.0.0.1:5000/pushed/a:own
         for tag in 1 2 latest own; do
             skopeo inspect --config --raw docker://127.0.0.1:5000/pushed/a:$tag | sha256sum
         done",
        podman = Store::Bootc.shell(),
        short = &id[..12],
    );
    let output = world.enter().registry(true).sh(&script).ok();
    assert_eq!(output.lines(), vec![format!("{id}  -"); 4]);
    let output = cmd(&world, &["push", id]).exits(2);
    assert!(
        output.stderr.contains("the image has no registry name") && output.stderr.contains("hint:"),
        "{output:#?}"
    );
    let output = cmd(&world, &["push", "localhost/nothing:1"]).exits(1);
    assert!(output.stderr.contains("Source image not found: localhost/nothing:1"), "{output:#?}");
}

#[test]
fn build_makes_an_image_in_bootcs_store() {
    let world = World::new();
    let script = "mkdir -p '/tmp/a b/inner' && cd '/tmp/a b' && echo hello >inner/file
        printf 'FROM scratch\nCOPY file /file\n' >inner/Containerfile
        printf 'FROM scratch\nCOPY file /other\n' >inner/Other
        cd /tmp && bootc-image cmd build -q -t localhost/built:1 'a b/inner'
        cd '/tmp/a b/inner' && bootc-image cmd build -q -t localhost/built:2
        bootc-image cmd build -q -t localhost/built:3 -f Other .
        printf 'FROM scratch\nCOPY file /stdin\n' | bootc-image cmd build -q -t localhost/built:4 -f - .";
    world.enter().sh(script).ok();
    let names = oracle::podman_names(&world, Store::Bootc);
    for tag in 1..=4 {
        assert!(names.contains(&format!("localhost/built:{tag}")), "{tag}: {names:?}");
    }
    let lines = world.record();
    let operation = &lines[0]["canonical"]["operation"];
    assert_eq!(
        (&operation["pinned"], &operation["command"]["operands"][0]),
        (&false.into(), &"/tmp/a b/inner".into())
    );
    let output = world.enter().run(&["bootc-image", "cmd", "build", "/nowhere"]).exits(1);
    assert!(output.stderr.contains("cannot find /nowhere"), "{output:#?}");
}

/// Podman's codes and ours can be told apart.
#[test]
fn the_status_says_whose_code_it_is() {
    let world = World::new();
    for (arguments, expected) in [
        ("list", r#"{"origin":"podman","code":0}"#),
        ("list --sort nonsense", r#"{"origin":"podman","code":125}"#),
        ("list --root /x", r#"{"origin":"host","code":77}"#),
        ("push localhost/nothing", r#"{"origin":"host","code":1}"#),
    ] {
        let script = format!(
            "bootc-image cmd --status-fd 5 {arguments} 5>/tmp/status >/dev/null || true; cat /tmp/status"
        );
        assert_eq!(world.enter().sh(&script).ok().stdout, format!("{expected}\n"), "{arguments}");
    }
    for (bad, why) in [
        ("7", "Bad file descriptor"),
        ("1", "the number must be 3 or more"),
        ("-1", "the number must be 3"),
        ("x", "invalid value"),
    ] {
        let output =
            world.enter().run(&["bootc-image", "cmd", &format!("--status-fd={bad}"), "list"]).exits(2);
        assert!(output.stderr.contains(why), "{output:#?}");
    }
    let output = world.enter().sh("bootc-image cmd --status-fd 5 list 5</dev/null");
    assert_eq!(output.code, 1, "{output:#?}");
}

#[test]
fn what_no_plugin_claims_is_refused() {
    let world = World::new();
    for name in ["rmi", "mount", "save", "tag", "", "LIST", "../list"] {
        let output = with_marking_podman(world.enter()).run(&["bootc-image", "cmd", name, "x"]);
        refused(&output, "no enabled plugin provides");
        assert!(output.stderr.contains("enabled plugins provide build, list, pull, push"), "{output:#?}");
    }
    assert!(!podman_ran(&world));
}

/// The host has no list. Without the plugin there is no command.
#[test]
fn without_the_plugin_every_command_is_refused() {
    let world = World::new();
    let pinned = format!("127.0.0.1:5000/lab/app@{}", world.facts().app1.digest);
    for arguments in [&["list"][..], &["pull", &pinned], &["build", "."]] {
        let run = [&["bootc-image", "cmd"], arguments].concat();
        refused(&with_marking_podman(with_plugins(&world, "")).run(&run), "no enabled plugin provides");
    }
    assert!(!podman_ran(&world));
    with_plugins(&world, "builtin").run(&["bootc-image", "cmd", "list"]).ok();
}

#[test]
fn an_allowlist_with_one_entry_less_refuses_that_subcommand() {
    let world = World::new();
    let pinned = format!("127.0.0.1:5000/lab/app@{}", world.facts().app1.digest);
    let enter = || with_plugins(&world, "allowlist-without-pull").registry(true);
    let output = with_marking_podman(enter()).run(&["bootc-image", "cmd", "pull", &pinned]);
    refused(&output, "the podman image subcommand `pull` is not allowed");
    assert!(!podman_ran(&world));
    enter().run(&["bootc-image", "cmd", "list"]).ok();
}

/// A plugin that traps or runs out of a limit is unusable: 78, nothing runs.
#[test]
fn a_plugin_that_breaks_stops_its_command() {
    let world = World::new();
    for (guest, why) in [
        ("command-panics", "panicked"),
        ("command-loops", "2 s"),
        ("command-memory-bomb", "64 MiB"),
        ("command-log-bomb", "exceeded its limit of 1024 KiB of log messages and results"),
        ("command-huge-argv", "exceeded its limit of 1024 KiB of log messages and results"),
    ] {
        let enter = with_marking_podman(with_plugins(&world, guest));
        let output = enter.run(&["bootc-image", "cmd", "list"]).exits(78);
        assert!(output.stdout.is_empty() && output.stderr.contains("cannot be used"), "{guest}: {output:#?}");
        assert!(output.stderr.contains(why), "{guest}: {output:#?}");
    }
    assert!(!podman_ran(&world));
    assert!(world.record().iter().all(|line| line["event"] != "intent"));
}

/// A plan is refused unless its subcommand is the one invoked and is claimed by that plugin's manifest.
#[test]
fn a_plan_for_another_subcommand_is_refused() {
    let world = World::new();
    for (guest, why) in [
        ("command-other-subcommand", "planned `pull` for `cmd list`"),
        ("command-unclaimed", "planned `build` for `cmd list`"),
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
    assert!(output.stderr.contains("provided by both"), "{output:#?}");
    assert!(!podman_ran(&world));
}

#[test]
fn a_guests_text_cant_drive_the_terminal() {
    let world = World::new();
    let run = |words: &[&str]| {
        let words = [&["bootc-image", "cmd", "list"], words].concat();
        with_plugins(&world, "command-escapes").run(&words)
    };
    let (message, refusal) = (run(&[]).ok(), run(&["x"]).exits(77));
    for output in [&message, &refusal] {
        let obeyed = ['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}', '\u{200b}', '\u{e0041}'];
        assert!(!output.stderr.contains(obeyed), "{output:#?}");
        assert!(!output.stderr.lines().any(|line| line.starts_with("error: forged")), "{output:#?}");
    }
    let text = "\u{fffd}[2Ja\u{fffd}31mb\u{fffd}\u{fffd}c\u{fffd}d\u{fffd} error: forged";
    assert!(message.stderr.contains(text), "{message:#?}");
    refused(&refusal, text);
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

/// A line of the overview that is not too long has name, arguments and summary.
#[test]
fn help_shows_the_arguments_that_the_manifest_names() {
    let world = World::new();
    let help = |words: &[&str]| world.enter().run(&[&["bootc-image", "cmd"], words].concat()).ok().stdout;
    let overview = help(&["--help"]);
    for shown in [
        "  build [OPTIONS] [CONTEXT]  Build an image in bootc's storage [podman-allowlist]\n",
        "  list [OPTIONS] [IMAGE]     List the images in bootc's storage [podman-allowlist]\n",
        "  push [OPTIONS] IMAGE [REGISTRY/REPOSITORY[:TAG]]\n                             Push an image",
    ] {
        assert!(overview.contains(shown), "{overview}");
    }
    let push = help(&["push", "--help"]);
    let usage = "\nUsage: bootc-image cmd push [OPTIONS] IMAGE [REGISTRY/REPOSITORY[:TAG]]\n";
    assert!(push.contains(usage), "{push}");
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
    assert!(output.stderr.contains("hint: add the package podman to the OS image"), "{output:#?}");
}

#[test]
fn a_dry_run_judges_and_starts_nothing() {
    let world = World::new();
    let enter = || with_marking_podman(world.enter());
    let shown: Value = enter().run(&["bootc-image", "--dry-run", "cmd", "list", "-a"]).ok().json();
    assert_eq!(shown["canonical"]["operation"]["command"]["flags"][0]["name"], "all");
    let output =
        enter().run(&["bootc-image", "--dry-run", "cmd", "pull", "--all-tags", "quay.io/a"]).exits(77);
    assert_eq!(output.json::<Value>()["allowed"], false);
    assert!(!podman_ran(&world) && world.record().is_empty());
}

/// The caller's `PATH` and settings don't choose which podman runs, nor on what.
#[test]
fn the_callers_environment_changes_nothing() {
    let world = World::new();
    let enter = world
        .enter()
        .file_with_mode("/tmp/evil/podman", "#!/bin/sh\ntouch /var/podman-ran\n", 0o755)
        .file("/tmp/evil/storage.conf", "[storage]\ndriver = \"vfs\"\ngraphroot = \"/var/other\"\n")
        .env("PATH", "/tmp/evil:/usr/bin")
        .env("HOME", "/tmp/evil")
        .env("CONTAINERS_STORAGE_CONF", "/tmp/evil/storage.conf")
        .env("CONTAINERS_CONF", "/tmp/evil/containers.conf")
        .env("CONTAINER_HOST", "unix:///tmp/evil/sock");
    let output = enter.run(&["/usr/bin/bootc-image", "cmd", "list"]).ok();
    assert!(output.stdout.contains("localhost/app"), "{output:#?}");
    assert!(!podman_ran(&world) && !world.outside("/var/other").exists());
}

#[test]
fn nothing_stays_mounted() {
    let world = World::new();
    let script = "bootc-image cmd list >/dev/null; grep -c bootc/storage /proc/self/mountinfo || true; ls -A /run/bootc-image/home";
    assert_eq!(world.enter().sh(script).ok().lines(), ["0"]);
}

//! Native extensions on real storage: libraries compiled here, installed as a vendor would, held until they are approved and
//! enabled, and judging, formatting and planning as components do.

mod plugins;

use bootc_image_tests::world::Enter;
use bootc_image_tests::{World, programs};
use plugins::native::{CONFIG, ENABLED, Extension, GRANT};

const ONE_REGISTRY: &str = "extension-sdk/examples/one-registry/one_registry.c";

fn one_registry() -> Extension {
    Extension::compiled("one-registry", ONE_REGISTRY, &["-pedantic"], "role = \"policy\"\n")
}

/// The policy's setting.
fn registry(name: &str) -> String {
    format!("[settings.one-registry]\nregistry = {name:?}\n")
}

#[test]
fn the_example_judges_real_copies() {
    let (world, extension) = (World::new(), one_registry());
    let enter = extension.enabled(world.enter(), &registry("127.0.0.1:5000"));
    let listed = enter.sh("bootc-image copy-to-storage && bootc-image list").ok().stdout;
    assert!(listed.contains("localhost/bootc"), "{listed}");

    let world = World::new();
    let denied = extension
        .enabled(world.enter(), &registry("quay.io"))
        .sh("bootc-image copy-to-storage || echo $?; bootc-image list")
        .ok();
    let reason = "denied: policy one-registry: this image is not from the only allowed registry (change the setting registry of one-registry to allow another registry)";
    assert!(denied.stderr.contains(reason), "{denied:#?}");
    assert!(denied.stdout.starts_with("77\n") && !denied.stdout.contains("localhost/bootc"), "{denied:#?}");
    let said = &world.record().into_iter().find(|line| line.to_string().contains("other-registry")).unwrap();
    assert!(said.to_string().contains("docker://127.0.0.1:5000/lab/os:1"), "{said}");
}

#[test]
fn a_library_is_loaded_where_no_file_in_memory_may_be_executed() {
    let (world, extension) = (World::new(), one_registry());
    // The setting is one of the world's own process namespace.
    let script = "echo 2 >/proc/sys/vm/memfd_noexec && bootc-image copy-to-storage && bootc-image list";
    let listed = extension.enabled(world.enter(), &registry("127.0.0.1:5000")).sh(script).ok().stdout;
    assert!(listed.contains("localhost/bootc"), "{listed}");
}

#[test]
fn what_isnt_fetched_isnt_the_examples_business() {
    let (world, extension) = (World::new(), one_registry());
    let enter = || extension.enabled(world.enter(), &registry("quay.io"));
    let removed = enter().sh("bootc-image --quiet remove localhost/app:stable").ok().stdout;
    assert!(removed.starts_with("Untagged: localhost/app:stable"), "{removed}");
    let copied = "bootc-image --dry-run copy-to-storage --source containers-storage:127.0.0.1:5000/lab/app:1";
    enter().sh(&format!("{copied} --target localhost/copy:1")).ok();
}

/// The example in Rust, in one of its roles.
fn vendor(rest: &str) -> Extension {
    Extension::of("vendor", std::fs::read(programs::example("libvendor.so")).unwrap(), rest)
}

#[test]
fn a_library_in_rust_judges() {
    let (world, extension) =
        (World::new(), vendor("role = \"policy\"\nwhen = { operations = [\"cmd pull\"] }\n"));
    let enter = |settings: &str| extension.enabled(world.enter().registry(true), settings);
    let pull = "bootc-image cmd pull 127.0.0.1:5000/lab/app:1";
    let denied = enter("").sh(&format!("bootc-image copy-to-storage; {pull} || echo $?")).ok();
    assert!(denied.stderr.contains("denied: policy vendor: images must be fetched by digest"), "{denied:#?}");
    assert!(denied.stdout.ends_with("77\n"), "{denied:#?}");
    enter("[settings.vendor]\ntrusted = \"lab/app\"\n").sh(pull).ok();
}

const FORMAT: &str = "role = \"format\"\n[[format]]\nname = \"bars\"\nsummary = \"Cells with bars between them\"\n\
                      argument = \"CHARACTER\"\ncolumns = [\"image_type\", \"image\"]\n";

#[test]
fn a_library_in_rust_formats() {
    let (world, extension) = (World::new(), vendor(FORMAT));
    let enter = || extension.enabled(world.enter(), "");
    let native = enter().sh("bootc-image list --format json").ok().stdout;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&native).unwrap();
    let expected: Vec<String> = rows
        .iter()
        .map(|row| format!("{}|{}", row["image_type"].as_str().unwrap(), row["image"].as_str().unwrap()))
        .collect();
    assert!(!expected.is_empty());
    let shown = enter().sh("bootc-image list --format 'bars=|'").ok().stdout;
    let expected = format!("image_type|image\n{}\n{} images\n", expected.join("\n"), rows.len());
    assert_eq!(shown, expected);
    // Help and completion know it, and start nothing.
    let help = enter().sh("bootc-image list --help").ok().stdout;
    assert!(help.contains("bars=CHARACTER"), "{help}");
    let usage = enter().sh("bootc-image list --format bars=long || echo $?").ok();
    assert!(usage.stdout == "2\n" && usage.stderr.contains("must be one character"), "{usage:#?}");
}

#[test]
fn a_long_list_crosses_in_pieces() {
    let (world, extension) = (World::new(), vendor(FORMAT));
    let images: Vec<String> = (0..20_000)
        .map(|number| {
            format!("{{\"id\":\"{number:064x}\",\"names\":[\"registry.example/image-{number}:1\"]}}")
        })
        .collect();
    let index = "/sysroot/ostree/bootc/storage/overlay-images/images.json";
    let enter =
        extension.enabled(world.enter(), "").file("/run/images.json", format!("[{}]", images.join(",")));
    let script =
        format!("cat /run/images.json > {index}; bootc-image list --type unified --format bars | tail -2");
    let shown = enter.sh(&script).ok().stdout;
    assert_eq!(shown, "unified | registry.example/image-9:1\n20000 images\n");
}

#[test]
fn a_library_in_rust_plans() {
    let world = World::new();
    let extension =
        vendor("role = \"command\"\n[[command]]\nname = \"history\"\nsummary = \"All of an image's\"\n");
    let enter = || extension.enabled(world.enter(), "[audit]\nreads = true\n");
    let shown = enter().sh("bootc-image cmd history 127.0.0.1:5000/lab/app:1").ok();
    assert!(shown.stderr.contains("The newest layer comes first."), "{shown:#?}");
    assert!(shown.stdout.starts_with("ID "), "{shown:#?}");
    let record = world.record();
    let intent = record.iter().find(|line| line.to_string().contains("no-trunc")).unwrap();
    assert!(intent.to_string().contains("\"plugin\":\"vendor\""), "{intent}");
    let usage = enter().sh("bootc-image cmd history || echo $?").ok();
    assert!(usage.stdout == "2\n" && usage.stderr.contains("`history` takes one image"), "{usage:#?}");
}

#[test]
fn nothing_native_runs_until_it_is_approved_and_enabled() {
    let (world, extension) = (World::new(), one_registry());
    let state = |enter: Enter| {
        let listed = enter.sh("bootc-image plugin list --format json").ok().stdout;
        let all: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
        let own = all.into_iter().find(|line| line["id"] == "one-registry").unwrap();
        assert_eq!((own["kind"].as_str(), own["native"].as_bool()), (Some("policy"), Some(true)));
        let text = |key: &str| own[key].as_str().unwrap().to_owned();
        format!("{}: {}", text("state"), text("reason"))
    };
    let component = extension.grant().replace("kind = \"native\"\n", "");
    let installed = || extension.install(world.enter());
    assert_eq!(state(installed()), "disabled: native extensions are disabled on this host");
    assert_eq!(state(installed().file(CONFIG, ENABLED)), "disabled: it has not been approved");
    let reason = format!("disabled: the plugin is native code, but {GRANT} does not set kind = \"native\"");
    assert_eq!(state(installed().file(GRANT, component)), reason);
    assert_eq!(state(installed().file(GRANT, extension.grant())), "enabled: ");
    // What was changed since is told before it is asked.
    let library = format!("{}/one-registry/extension.so", plugins::INSTALLED);
    let changed = state(installed().file(&library, "changed"));
    assert!(changed.starts_with("broken: the digest of extension.so is "), "{changed}");
    let off = installed().file(CONFIG, "");
    assert_eq!(state(off), "disabled: native extensions are disabled on this host");
    // A policy that is held denies, and no process is started for it.
    let held = world.enter().sh("bootc-image copy-to-storage || echo $?").ok();
    assert!(held.stdout == "77\n" && held.stderr.contains("native extensions are disabled"), "{held:#?}");
}

#[test]
fn who_approves_native_code_is_told_what_that_means() {
    let (world, extension) = (World::new(), one_registry());
    let enter =
        || extension.install(world.enter()).file(CONFIG, format!("{ENABLED}{}", registry("127.0.0.1:5000")));
    let shown = enter().sh("bootc-image plugin show one-registry").ok().stdout;
    assert!(
        shown.contains("kind        native policy (bootc_image_extension.h ^1.0): runs without a sandbox"),
        "{shown}"
    );
    assert!(shown.contains("library     extension.so "), "{shown}");
    let approved = enter()
        .sh("bootc-image plugin approve one-registry && cat /etc/bootc-image/grants.d/one-registry.toml")
        .ok();
    assert!(
        approved.stdout.contains("This plugin is native code: it runs without a sandbox, with all rights of the user who starts bootc-image."),
        "{approved:#?}"
    );
    assert!(approved.stdout.contains("kind = \"native\""), "{approved:#?}");
    let record = world.record();
    let approval = record.iter().find(|line| line.to_string().contains("approve-plugin")).unwrap();
    assert!(approval.to_string().contains("\"native\":true"), "{approval}");
    let well = world.enter().sh("bootc-image plugin doctor && bootc-image plugin list").ok().stdout;
    assert!(well.starts_with("no problems found"), "{well}");
    assert!(well.contains("native policy"), "{well}");
}

#[test]
fn a_user_has_no_native_code_of_their_own() {
    let (world, extension) = (World::new(), vendor(FORMAT));
    let home = "/var/home/lab/.local/share/bootc-image/plugins/vendor";
    let output = world
        .enter()
        .file(CONFIG, ENABLED)
        .file(&format!("{home}/plugin.toml"), &extension.manifest)
        .file(&format!("{home}/extension.so"), &extension.code)
        .env("HOME", "/var/home/lab")
        .as_uid(1000)
        .sh("bootc-image plugin list --format json")
        .ok();
    assert!(
        output.stdout.contains("it is native code, which never runs from a user's own plugin directory"),
        "{output:#?}"
    );
}

#[test]
fn a_process_has_nothing_of_its_callers() {
    let (world, extension) = (
        World::new(),
        Extension::compiled("looks", "tests/hostile/native-looks.c", &[], "role = \"policy\"\n"),
    );
    let output = extension
        .enabled(world.enter().env("SECRET", "of the caller"), "")
        .sh("exec 7</etc/passwd; cd /var/tmp; bootc-image --dry-run copy-to-storage || true")
        .ok();
    let looked = output.stderr.lines().find(|line| line.contains("denied")).unwrap();
    assert!(
        looked.contains("descriptors 0 1 2 3 4, directory /, environment LANG PATH TMPDIR"),
        "{output:#?}"
    );
}

#[test]
fn by_hand_the_process_does_nothing() {
    let by_hand = World::new().enter().sh("/usr/libexec/bootc-image/bootc-image-native 2>&1 || echo $?").ok();
    assert_eq!(by_hand.stdout, "this program is started by bootc-image; see: bootc-image --help\n1\n");
}

/// A library that misbehaves in a list.
fn formats(what: &str) -> Extension {
    let patient = format!("{FORMAT}[limits]\nwall-ms = 100000\n");
    Extension::compiled("formats", "tests/hostile/native-roles.c", &[&format!("-D{what}")], &patient)
}

#[test]
fn what_a_formatter_cant_print_is_not_printed() {
    let world = World::new();
    let patient = "[ceiling.format]\nwall-ms = 100000\n";
    let list = |what: &str, script: &str| formats(what).enabled(world.enter(), patient).sh(script).ok();
    let table = world.enter().sh("bootc-image list").ok().stdout;
    let replaced = list("CRASHES_FIRST", "bootc-image list --format bars --format-fallback || echo $?");
    assert_eq!(replaced.stdout, format!("{table}79\n"));
    assert!(
        replaced.stderr.contains("the list is printed as a table: plugin formats cannot format the list"),
        "{replaced:#?}"
    );
    assert!(replaced.stderr.contains("killed by signal 6 (SIGABRT)"), "{replaced:#?}");

    let cut = list("CRASHES_WITHIN", "bootc-image list --format bars || echo $?");
    assert_eq!(cut.stdout, "79\n");
    assert!(cut.stderr.contains("plugin formats cannot format the list: "), "{cut:#?}");
    let failed = list("FAILS_WITHIN", "bootc-image list --format bars || echo $?");
    assert_eq!(failed.stdout, "79\n");
    assert!(failed.stderr.contains("the module is asleep\n  hint: wake it; "), "{failed:#?}");

    let hung_up = list("HANGS_UP_WITHIN", "bootc-image list --format bars || echo $?");
    assert!(hung_up.stdout == "79\n", "{hung_up:#?}");
    // Whatever its caller ignores.
    let looped = list(
        "LOOPS",
        "/usr/bin/env --ignore-signal=XCPU --block-signal=XCPU bootc-image list --format bars || echo $?",
    );
    assert_eq!(looped.stdout, "79\n", "{looped:#?}");
    assert!(looped.stderr.contains("it exceeded its CPU time limit"), "{looped:#?}");

    let endless = list("WRITES_WITHOUT_END", "bootc-image list --format bars || echo $?");
    assert_eq!(endless.stdout, "79\n", "{endless:#?}");
    assert!(
        endless.stderr.contains("exceeded its limit of 16 MiB of data passed between plugin and host"),
        "{endless:#?}"
    );
}

#[test]
fn what_a_formatter_prints_drives_no_terminal() {
    let world = World::new();
    let list = "script -qec 'bootc-image list --format bars' /dev/null | head -1";
    let shown = formats("ESCAPES").enabled(world.enter(), "").sh(list).ok().stdout;
    assert!(shown.contains("[31mred") && !shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn what_a_command_cant_plan_doesnt_run() {
    let world = World::new();
    let role = "role = \"command\"\n[[command]]\nname = \"history\"\nsummary = \"As podman's\"\n";
    let run = |what: &str, command: &str| {
        let extension =
            Extension::compiled("plans", "tests/hostile/native-roles.c", &[&format!("-D{what}")], role);
        extension.enabled(world.enter(), "").sh(&format!("{command} || echo $?")).ok()
    };
    let crashed = run("CRASHES_FIRST", "bootc-image cmd history");
    assert!(crashed.stdout == "78\n" && crashed.stderr.contains("(SIGABRT)"), "{crashed:#?}");
    let silent = run("SAYS_NOTHING", "bootc-image cmd history");
    assert!(silent.stdout == "78\n" && silent.stderr.contains("gave no answer"), "{silent:#?}");
    let denied = run("DENIES", "bootc-image cmd history");
    assert!(denied.stdout == "77\n", "{denied:#?}");
    let reason = "denied: plugin plans: images stay as they are until Monday (ask the release team)";
    assert!(denied.stderr.contains(reason), "{denied:#?}");
    let other = run("PLANS_ANOTHER", "bootc-image cmd history");
    assert!(other.stdout == "77\n" && other.stderr.contains("denied:"), "{other:#?}");
    // What it plans is parsed like everything else: podman's history has no such option.
    let parsed = run("PLANS", "bootc-image cmd history");
    assert!(parsed.stdout == "77\n" && parsed.stderr.contains("--sort"), "{parsed:#?}");
}

#[test]
fn a_process_that_ended_between_two_questions_is_started_again() {
    let role = "role = \"policy\"\nbefore-lookup = true\n";
    for what in ["ENDS_BETWEEN_QUESTIONS", "ENDS_WHEN_ASKED_AGAIN"] {
        let (world, define) = (World::new(), format!("-D{what}"));
        let extension = Extension::compiled("leaves", "tests/hostile/native.c", &[&define], role);
        let enter = extension.enabled(world.enter().registry(true), "");
        let pulled = enter.sh("bootc-image -vv cmd pull 127.0.0.1:5000/lab/app:1").ok();
        let started = pulled
            .stderr
            .lines()
            .filter(|line| line.contains("starting") && line.contains("bootc-image-native"));
        assert_eq!(started.count(), 2, "{what}: {pulled:#?}");
    }
}

#[test]
fn what_a_process_says_unasked_answers_nothing() {
    let role = "role = \"policy\"\nbefore-lookup = true\n";
    let (world, extension) = (
        World::new(),
        Extension::compiled("answers", "tests/hostile/native.c", &["-DANSWERS_UNASKED"], role),
    );
    let enter = extension.enabled(world.enter().registry(true), "");
    let pulled = enter.sh("bootc-image cmd pull 127.0.0.1:5000/lab/app:1 || echo $?").ok();
    assert!(pulled.stdout == "77\n" && pulled.stderr.contains("what was asked is denied"), "{pulled:#?}");
}

#[test]
fn a_denial_is_one_whatever_its_words_are_and_not_a_policy_that_fails() {
    for (what, expected) in [
        ("DENIES_WITHOUT_WORDS", "denied: policy denies: the plugin gave no reason"),
        (
            "DENIES_IN_BYTES",
            "denied: policy denies: the plugin gave a reason that cannot be shown: not UTF-8 text",
        ),
        (
            "DENIES_AT_LENGTH",
            "denied: policy denies: the plugin gave a reason that cannot be shown: too long",
        ),
    ] {
        let (world, define) = (World::new(), format!("-D{what}"));
        let extension =
            Extension::compiled("denies", "tests/hostile/native.c", &[&define], "role = \"policy\"\n");
        let enter = extension.enabled(world.enter(), "[policy]\nfail-open = [\"denies\"]\n");
        let denied = enter.sh("bootc-image copy-to-storage || echo $?").ok();
        assert!(denied.stdout == "77\n" && denied.stderr.contains(expected), "{what}: {denied:#?}");
        let record = world.record();
        assert_eq!(record[0]["denial"]["code"], "unspecified", "{what}");
    }
}

#[test]
fn who_interrupts_us_interrupts_a_policy_too() {
    let role = "role = \"policy\"\nwhen = { operations = [\"cmd pull\", \"cmd list\"] }\n[limits]\nwall-ms = 60000\n";
    let (world, extension) =
        (World::new(), Extension::compiled("sleeps", "tests/hostile/native.c", &["-DNATIVE_SLEEP"], role));
    // Whether or not something was started before, as for the look-up of a tag.
    for words in ["pull 127.0.0.1:5000/lab/app:1", "list"] {
        let script = format!(
            "set -m
            bootc-image cmd --status-fd 3 {words} 3>/tmp/status & host=$!
            until pidof bootc-image-native >/dev/null; do sleep 0.05; done
            sleep 0.2; kill -TERM $host; wait $host; echo $?; cat /tmp/status"
        );
        let patient = "[ceiling.policy]\nwall-ms = 60000\n";
        let enter = extension.enabled(world.enter().registry(true), patient);
        let output = enter.run(&["bash", "-c", &script]);
        assert_eq!(output.lines(), ["143", "{\"origin\":\"host\",\"code\":143}"], "{output:#?}");
        assert!(output.stderr.starts_with("error: interrupted by signal 15"), "{output:#?}");
    }
}

#[test]
fn a_process_ends_with_its_host() {
    let limits = "role = \"policy\"\n[limits]\nwall-ms = 2000\n";
    for (what, signal) in
        [("NATIVE_SLEEP", "KILL"), ("NATIVE_SLEEP", "TERM"), ("GIVES_UP_ITS_PRIVILEGES", "KILL")]
    {
        let (world, define) = (World::new(), format!("-D{what}"));
        let extension = Extension::compiled("sleeps", "tests/hostile/native.c", &[&define], limits);
        let script = format!(
            "bootc-image --dry-run copy-to-storage & host=$!
            until pidof bootc-image-native >/dev/null; do sleep 0.05; done
            sleep 0.2; kill -{signal} $host; wait $host || true
            for i in $(seq 40); do pidof bootc-image-native || exit 0; sleep 0.05; done; exit 1"
        );
        extension.enabled(world.enter(), "").sh(&script).ok();
    }
}

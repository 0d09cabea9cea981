//! Formats of plugins: offered in help, given the columns that their manifests name, and printed whole or not at all.

mod plugins;

use bootc_image_tests::World;
use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use plugins::{IMAGE, install, install_in_image, ship_in_image};
use serde_json::Value;

const LIST: &[&str] = &["bootc-image", "list", "--format", "does"];

fn does(world: &World, what: &str) -> Enter {
    let settings = format!("settings.format-does.do = {what:?}\n");
    install_in_image(world.enter(), "format-does")
        .file("/usr/lib/bootc-image/config.d/50-test.toml", settings)
}

/// What podman says of bootc's store: an object an image.
fn of_podman(world: &World) -> Vec<Value> {
    oracle::podman(world, Store::Bootc, "image list --format=json")
}

/// What is said on a busy machine where a plugin doesn't get so much processor time in the time that it has.
const LATE: &str = "exceeded its time limit";

fn is_late(reason: &str) -> bool {
    reason.starts_with("exceeded its processor time limit")
}

#[test]
fn what_is_told_of_an_image_is_what_podman_says() {
    let world = World::new();
    let listed = ship_in_image(world.enter(), "csv-format")
        .run(&["bootc-image", "list", "--format", "csv", "--type", "unified"])
        .ok()
        .stdout;
    let cells: Vec<Vec<&str>> = listed.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let mut compared = 0;
    for image in of_podman(&world) {
        for name in image["Names"].as_array().into_iter().flatten() {
            let row = cells.iter().find(|row| row[0] == name.as_str().unwrap()).unwrap();
            assert_eq!(row[2], image["Digest"].as_str().unwrap(), "{row:?}");
            assert_eq!(row[3], image["Id"].as_str().unwrap(), "{row:?}");
            assert_eq!(row[4], image["Size"].to_string(), "{row:?}");
            assert_eq!(row[5], image["CreatedAt"].as_str().unwrap(), "{row:?}");
            compared += 1;
        }
    }
    assert!(compared >= 3, "{cells:?}");
}

#[test]
fn what_is_told_of_a_host_image_is_what_its_commit_says() {
    let world = World::new();
    let output = ship_in_image(world.enter(), "docker-json-format")
        .run(&["bootc-image", "list", "--format", "docker-json", "--type", "host"])
        .ok();
    let booted = &world.facts().booted;
    let lines = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> =
        lines.filter(|line| line["Repository"].as_str().unwrap().starts_with("docker://")).collect();
    let shown = format!("{:?}", lines);
    let digest = booted.digest.as_str();
    let line = lines.iter().find(|line| line["Digest"] == digest).unwrap_or_else(|| panic!("{shown}"));
    assert_eq!((line["Size"].as_str(), line["Tag"].as_str().map(str::is_empty)), (Some("N/A"), Some(false)));
    let id = line["ID"].as_str().unwrap();
    assert!(id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{shown}");
    assert!(line["CreatedAt"].as_str().unwrap().ends_with(" +0000 UTC"), "{shown}");
}

#[test]
fn docker_json_and_prometheus_have_every_image() {
    let world = World::new();
    let rows = rows(&world);
    let run = |name: &str, format: &str| {
        ship_in_image(world.enter(), name).run(&["bootc-image", "list", "--format", format]).ok().stdout
    };
    let lines: Vec<Value> = run("docker-json-format", "docker-json")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), rows.len());
    for (line, (image, _)) in lines.iter().zip(&rows) {
        let (repository, tag) = (line["Repository"].as_str().unwrap(), line["Tag"].as_str().unwrap());
        assert!(*image == format!("{repository}:{tag}") || image.contains('@'), "{line} {image}");
        assert_eq!(line.as_object().unwrap().len(), 11);
    }
    let metrics = run("prometheus-format", "prometheus");
    for (image, image_type) in &rows {
        let start = format!("bootc_image_info{{type=\"{image_type}\",image=\"{image}\",digest=\"");
        assert_eq!(metrics.lines().filter(|line| line.starts_with(&start)).count(), 1, "{metrics}");
    }
    assert_eq!(metrics.matches("# TYPE ").count(), 3, "{metrics}");
}

/// (image, type) of every row, as the host's own JSON has them.
fn rows(world: &World) -> Vec<(String, String)> {
    let listed = world.enter().run(&["bootc-image", "list", "--format", "json"]).ok();
    let rows: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "image"), text(row, "image_type"))).collect()
}

#[test]
fn csv_and_markdown_have_every_row() {
    let world = World::new();
    let rows = rows(&world);
    assert!(rows.len() > 3, "{rows:?}");
    let run = |name: &str, format: &str| {
        ship_in_image(world.enter(), name).run(&["bootc-image", "list", "--format", format]).ok().stdout
    };
    let csv = run("csv-format", "csv");
    assert!(csv.starts_with("image,image_type,digest,id,size,created\n"), "{csv}");
    let begins = |line: &str, (image, image_type): &(String, String)| {
        line.starts_with(&format!("{image},{image_type},"))
    };
    assert!(
        csv.lines().skip(1).count() == rows.len()
            && csv.lines().skip(1).zip(&rows).all(|(line, row)| begins(line, row)),
        "{csv}"
    );
    let literal = |text: &str| text.replace('_', "\\_");
    let markdown = run("markdown-format", "markdown");
    assert!(
        markdown.starts_with("| image | image_type | digest | id | size | created |\n| --- |"),
        "{markdown}"
    );
    for (line, (image, image_type)) in markdown.lines().skip(2).zip(&rows) {
        assert!(line.starts_with(&format!("| {} | {image_type} |", literal(image))), "{line}");
    }
    assert_eq!(markdown.lines().count(), rows.len() + 2);
}

#[test]
fn help_offers_formats_and_loads_nothing() {
    let world = World::new();
    let enter = ship_in_image(world.enter(), "csv-format");
    let help = enter
        .file(&format!("{IMAGE}/csv-format/csv_format.wasm"), "not a component")
        .run(&["bootc-image", "list", "--help"])
        .ok()
        .stdout;
    assert!(help.contains("  csv  Comma-separated values with a header [csv-format]\n"), "{help}");
    let output = ship_in_image(world.enter(), "csv-format").run(&["bootc-image", "list", "--format", "cvs"]);
    let output = output.exits(2);
    assert!(output.stderr.contains("there is no format \"cvs\""), "{output:#?}");
    assert!(output.stderr.contains("available formats: table, json, csv"), "{output:#?}");
    assert_eq!(output.stdout, "");
}

#[test]
fn a_format_sees_the_columns_of_its_manifest_and_no_others() {
    let world = World::new();
    let types: Vec<String> = rows(&world).into_iter().map(|(_, image_type)| image_type).collect();
    let output = does(&world, "").run(LIST).ok();
    let all =
        format!("does image_type terminal=false\n{0} rows, {0} ends: {1}\n", types.len(), types.concat());
    assert_eq!(output.stdout, all);
    let each = types.iter().map(|image_type| format!("1 rows, 1 ends: {image_type}\n"));
    let each = format!("does image_type terminal=false\n{}", each.collect::<String>());
    assert_eq!(does(&world, "one-by-one").run(LIST).ok().stdout, each);
    // What it doesn't want to see, it needn't.
    assert_eq!(does(&world, "stop-early").run(LIST).ok().stdout, "does image_type terminal=false\n");
    let end = does(&world, "read-on").run(LIST).ok().stdout;
    assert_eq!(end, "does image_type terminal=false\n");
}

/// A program that reads the output never gets another format, or half a list: nothing, and an exit code of its own. People get a
/// table, and programs that ask for it.
#[test]
fn where_a_format_fails_programs_get_nothing_and_people_a_table() {
    let world = World::new();
    let table = world.enter().run(&["bootc-image", "list"]).ok().stdout;
    let plain = LIST.join(" ");
    // Where nothing is printed: the first two. The last one is a terminal, on which both streams are shown.
    let ways = [
        plain.clone(),
        format!("{plain} >/tmp/list || code=$?; cat /tmp/list; exit $code"),
        format!("{plain} --format-fallback"),
        format!("script -qec '{plain}' /dev/null 2>&1"),
    ];
    let fails = |enter: Enter, way: usize, reason: &str| {
        let output = enter.sh(&ways[way]).exits(79);
        let (stdout, stderr) = if way == 3 {
            let shown = output.stdout.replace("\r\n", "\n");
            let (table, message) = shown.split_once("warning: ").expect("there is a warning");
            (table.to_owned(), format!("warning: {message}"))
        } else {
            (output.stdout.clone(), output.stderr.clone())
        };
        let (expected, begins, ends) = if way < 2 {
            ("", "error", "to get a table instead, add --format-fallback\n")
        } else {
            (&*table, "warning: the list is printed as a table", "\n")
        };
        assert_eq!(stdout, expected, "{output:#?}");
        let told = |reason: &str| {
            stderr.starts_with(&format!("{begins}: plugin format-does cannot format the list: {reason}"))
        };
        assert!(told(reason) || is_late(reason) && told(LATE), "{output:#?}");
        assert!(stderr.ends_with(ends), "{output:#?}");
    };
    for what in ["panic-at-first", "panic-within"] {
        for way in 0..ways.len() {
            fails(does(&world, what), way, "crashed: wasm `unreachable`");
        }
    }
    for (what, reason) in [
        ("problem-at-first", "it cannot\u{fffd}[1m begin (setting do)"),
        ("loop-at-first", "exceeded its processor time limit (2 s)"),
        ("long-head", "exceeded its limit of 1024 KiB"),
        // After a part of the list.
        ("problem-within", "it cannot go on (setting do)"),
        ("loop-within", "exceeded its processor time limit (2 s)"),
        ("stand-still", "it neither reads rows nor returns output"),
        ("long-piece", "exceeded its limit of 1024 KiB"),
        ("never-stop", "exceeded its limit of 16 MiB of data passed between plugin and host"),
    ] {
        fails(does(&world, what), 0, reason);
    }
    fails(install(world.enter(), "format-does", IMAGE), 0, "it has not been approved");
    let path = format!("{IMAGE}/format-does/format_does.wasm");
    fails(does(&world, "").file(&path, "not it"), 0, &format!("the digest of {path} is "));
    // Two of them are no reason to choose.
    let second = String::from_utf8(bootc_image_test_guests::files("format-does").unwrap().swap_remove(0).1);
    let second = second.unwrap().replace("\"format-does\"", "\"second\"");
    let both = does(&world, "")
        .file(&format!("{IMAGE}/second/plugin.toml"), &second)
        .file("/usr/lib/bootc-image/grants.d/second.toml", "[[grant]]\nplugin = \"second\"\n");
    fails(both, 2, "plugin second also provides the format does");
}

/// Whoever parses the output learns first that it is not in the format.
#[test]
fn that_a_format_failed_counts_more_than_that_rows_are_missing() {
    let world = World::new();
    let as_user = || does(&world, "panic-at-first").as_uid(1000);
    let output = as_user().run(LIST).exits(79);
    assert!(output.stdout.is_empty() && output.stderr.contains("/sysroot/ostree/bootc"), "{output:#?}");
    let output = as_user().run(&[LIST, &["--format-fallback"]].concat()).exits(79);
    assert!(output.stdout.starts_with("REPOSITORY"), "{output:#?}");
    // A format of ours cannot fail, and the option changes nothing.
    let plain = world.enter().run(&["bootc-image", "list"]).ok().stdout;
    assert_eq!(world.enter().run(&["bootc-image", "list", "--format-fallback"]).ok().stdout, plain);
}

#[test]
fn a_plugin_whose_manifest_is_broken_is_named() {
    let world = World::new();
    let manifest = String::from_utf8(bootc_image_test_guests::files("format-does").unwrap().swap_remove(0).1);
    let manifest = manifest.unwrap();
    let path = format!("{IMAGE}/format-does/plugin.toml");
    let list = |manifest: &str| does(&world, "").file(&path, manifest).run(LIST);
    // What can be read of it says that the format is meant to be there.
    let output = list(&manifest.replace("version = \"0.1.0\"", "version = \"1\"")).exits(79);
    let why = format!(
        "error: plugin format-does cannot format the list: {path}: line 3: `version`: \"1\" is not a version: write \
         three numbers with dots between them, such as 1.0.0\n  hint: correct the manifest"
    );
    assert!(output.stderr.contains(&why) && output.stdout.is_empty(), "{output:#?}");
    let output = list("nonsense").exits(2);
    let why = "error: there is no format \"does\"\n  hint: available formats: table, json; the formats of format-does \
               are missing, because its manifest is invalid: run: bootc-image plugin doctor\n";
    assert!(output.stderr.ends_with(why), "{output:#?}");
}

#[test]
fn a_pipe_gets_bytes_as_they_are_and_a_terminal_nothing_that_it_obeys() {
    let world = World::new();
    let list = LIST.join(" ");
    let raw = does(&world, "escapes").sh(&format!("{list} | od -An -tx1 | tr -d ' \\n'")).ok().stdout;
    assert!(raw.contains("1b5b324ae280ae0dc29bff0a"), "{raw}");
    let shown = does(&world, "escapes").sh(&format!("script -qec '{list}' /dev/null")).ok().stdout;
    assert!(shown.contains("terminal=true"), "{shown}");
    assert!(shown.contains("\u{fffd}[2J\u{fffd} \u{fffd}\u{fffd}"), "{shown:?}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{shown:?}");
}

#[test]
fn the_hosts_own_formats_cant_be_taken() {
    let world = World::new();
    let manifest = String::from_utf8(bootc_image_test_guests::files("format-does").unwrap().swap_remove(0).1);
    let manifest = manifest.unwrap().replace("name = \"does\"", "name = \"json\"");
    let enter = || does(&world, "").file(&format!("{IMAGE}/format-does/plugin.toml"), &manifest);
    let doctor = enter().run(&["bootc-image", "plugin", "doctor"]);
    assert!(doctor.stdout.contains("\"json\" is a built-in format"), "{doctor:#?}");
    let output = enter().run(&["bootc-image", "list", "--format", "json"]).ok();
    assert!(output.stdout.starts_with("[\n  {\n"), "{output:#?}");
}

#[test]
fn a_list_that_cant_be_delivered_is_an_error_whoever_formats_it() {
    let world = World::new();
    let output = ship_in_image(world.enter(), "csv-format").sh("bootc-image list --format csv >/dev/full");
    let output = output.exits(1);
    assert!(output.stderr.starts_with("error: cannot write to standard output: "), "{output:#?}");
}

#[test]
fn a_template_makes_a_line_of_every_image() {
    let world = World::new();
    let run = |template: &str| {
        let format = format!("template={template}");
        ship_in_image(world.enter(), "template-format").run(&["bootc-image", "list", "--format", &format])
    };
    let lines: String =
        rows(&world).iter().map(|(image, image_type)| format!("{image_type}: {image}\n")).collect();
    assert_eq!(run("{{ image_type }}: {{ image }}").ok().stdout, lines);
    let unified = run("{% if image_type == 'unified' %}{{ id[:12] }} {{ size }}{% endif %}").ok().stdout;
    for image in of_podman(&world).iter().filter(|image| image["Names"].is_array()) {
        let line = format!("{} {}\n", &image["Id"].as_str().unwrap()[..12], image["Size"]);
        assert!(unified.contains(&line), "{unified}");
    }
    let typo = run("{{ imgae }}").exits(2);
    assert_eq!(typo.stdout, "", "nobody takes a table for what was wanted");
    let reason =
        "the template uses the unknown variable \"imgae\"\n  hint: known variables: image, image_type,";
    assert!(typo.stderr.contains(reason), "{typo:#?}");
    // A template has the same limits as any plugin.
    let endless = run("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}");
    let endless = endless.exits(79);
    assert_eq!(endless.stdout, "");
    let stderr = endless.stderr;
    assert!(stderr.contains("exceeded its processor time limit (2 s)") || stderr.contains(LATE), "{stderr}");
}

#[test]
fn a_template_can_be_set_and_is_checked() {
    let world = World::new();
    let with = |settings: &str| {
        ship_in_image(world.enter(), "template-format")
            .file("/etc/bootc-image/config.d/a.toml", format!("[settings.template-format]\n{settings}\n"))
    };
    let listed = with("template = '<{{ image }}>'").run(&["bootc-image", "list", "--format", "template"]);
    let lines: String = rows(&world).iter().map(|(image, _)| format!("<{image}>\n")).collect();
    assert_eq!(listed.ok().stdout, lines);
    let none = with("").run(&["bootc-image", "list", "--format", "template"]).exits(2);
    assert!(none.stderr.contains("no template is given\n  hint: write --format template="), "{none:#?}");
    let doctor = with("template = '{{ image'").run(&["bootc-image", "plugin", "doctor"]);
    assert!(doctor.stdout.contains("the template cannot be used"), "{doctor:#?}");
}

#[test]
fn an_argument_is_for_formats_that_take_one() {
    let world = World::new();
    let output =
        ship_in_image(world.enter(), "csv-format").run(&["bootc-image", "list", "--format", "csv=x"]);
    let output = output.exits(2);
    assert_eq!(output.stdout, "");
    assert!(output.stderr.starts_with("error: the format csv takes no argument\n"), "{output:#?}");
    let output = world.enter().run(&["bootc-image", "list", "--format", "json=x"]).exits(2);
    assert!(output.stderr.starts_with("error: the format json takes no argument\n"), "{output:#?}");
}

#[test]
fn colour_reaches_a_terminal_if_it_was_granted() {
    let world = World::new();
    let with = |capability: &str| {
        let mut files = bootc_image_test_guests::files("format-does").unwrap();
        let manifest = String::from_utf8(std::mem::take(&mut files[0].1)).unwrap() + capability;
        does(&world, "colour").file(&format!("{IMAGE}/format-does/plugin.toml"), manifest).file(
            "/usr/lib/bootc-image/grants.d/colour.toml",
            format!(
                "[[grant]]\nplugin = \"format-does\"\n{}",
                capability
                    .replace("[[capability]]", "[[grant.capability]]")
                    .replace("reason = \"looks\"\n", "")
            ),
        )
    };
    let granted = "[[capability]]\nname = \"color\"\nreason = \"looks\"\n";
    let list = LIST.join(" ");
    let on_terminal = format!("script -qec '{list}' /dev/null");
    let red = "\u{1b}[31mred\u{1b}[0m";
    let shown = with(granted).sh(&on_terminal).ok().stdout;
    assert!(shown.contains(red) && !shown.contains("\u{1b}[2J"), "{shown:?}");
    for (enter, script) in
        [(with(""), on_terminal.clone()), (with(granted), format!("NO_COLOR=1 {on_terminal}"))]
    {
        let shown = enter.sh(&script).ok().stdout;
        assert!(!shown.contains('\u{1b}') && shown.contains("red"), "{shown:?}");
    }
}

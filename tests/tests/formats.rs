//! Formats of plugins: offered in help, given the columns that their manifests name, and replaced where they fail.

mod plugins;

use bootc_image_tests::World;
use bootc_image_tests::world::Enter;
use plugins::{IMAGE, install, install_in_image, ship_in_image};
use serde_json::Value;

const LIST: &[&str] = &["bootc-image", "list", "--format", "does"];

fn does(world: &World, what: &str) -> Enter {
    let settings = format!("settings.format-does.do = {what:?}\n");
    install_in_image(world.enter(), "format-does")
        .file("/usr/lib/bootc-image/config.d/50-test.toml", settings)
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
    let csv: String = rows.iter().map(|(image, image_type)| format!("{image},{image_type}\n")).collect();
    assert_eq!(run("csv-format", "csv"), format!("image,image_type\n{csv}"));
    let literal = |text: &str| text.replace('_', "\\_");
    let lines = rows.iter().map(|(image, image_type)| format!("| {} | {image_type} |\n", literal(image)));
    let expected = format!("| image | image_type |\n| --- | --- |\n{}", lines.collect::<String>());
    assert_eq!(run("markdown-format", "markdown"), expected);
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
    assert!(help.contains("  csv  Comma-separated values, with a header [csv-format]\n"), "{help}");
    let output = ship_in_image(world.enter(), "csv-format").run(&["bootc-image", "list", "--format", "cvs"]);
    let output = output.exits(2);
    assert!(output.stderr.contains("there is no format \"cvs\""), "{output:#?}");
    assert!(output.stderr.contains("there are: table, json, csv"), "{output:#?}");
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

#[test]
fn where_a_format_doesnt_begin_there_is_a_table_instead() {
    let world = World::new();
    let table = world.enter().run(&["bootc-image", "list"]).ok().stdout;
    let instead = |enter: Enter, reason: &str| {
        let output = enter.run(LIST).exits(79);
        assert_eq!(output.stdout, table, "{output:#?}");
        let warning = format!("warning: plugin format-does can't format this: {reason}");
        assert!(output.stderr.starts_with(&warning), "{output:#?}");
        assert!(output.stderr.ends_with("; printed as a table instead\n"), "{output:#?}");
    };
    instead(does(&world, "panic-at-first"), "trapped: wasm `unreachable`");
    instead(does(&world, "problem-at-first"), "it can't\u{fffd}[1m begin (setting do)");
    instead(does(&world, "loop-at-first"), "took more than 2 s of processor time");
    instead(does(&world, "long-head"), "wrote more than 1024 KiB");
    instead(install(world.enter(), "format-does", IMAGE), "nobody has approved it");
    let path = format!("{IMAGE}/format-does/format_does.wasm");
    instead(does(&world, "").file(&path, "not it"), &format!("{path} has the digest"));
    // Two of them are no reason to choose.
    let second = String::from_utf8(bootc_image_test_guests::files("format-does").unwrap().swap_remove(0).1);
    let second = second.unwrap().replace("\"format-does\"", "\"second\"");
    let enter = does(&world, "").file(&format!("{IMAGE}/second/plugin.toml"), second);
    instead(enter, "second offers the format does, too");
}

#[test]
fn a_list_that_isnt_whole_is_an_error() {
    let world = World::new();
    for (what, reason) in [
        ("panic-within", "trapped: wasm `unreachable`"),
        ("problem-within", "it can't go on (setting do)"),
        ("loop-within", "took more than 2 s of processor time"),
        ("stand-still", "it neither takes rows nor returns anything"),
        ("long-piece", "wrote more than 1024 KiB"),
        ("never-stop", "exchanged more than 16 MiB with the host"),
    ] {
        let output = does(&world, what).run(LIST).exits(1);
        assert!(output.stdout.starts_with("does image_type terminal=false\n"), "{what}");
        let error = format!("error: plugin format-does stopped within the list, which isn't whole: {reason}");
        assert!(output.stderr.starts_with(&error), "{what}: {}", output.stderr);
    }
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
    assert!(doctor.stdout.contains("\"json\" is the host's own"), "{doctor:#?}");
    let output = enter().run(&["bootc-image", "list", "--format", "json"]).ok();
    assert!(output.stdout.starts_with("[\n  {\n"), "{output:#?}");
}

#[test]
fn a_list_that_cant_be_delivered_is_an_error_whoever_formats_it() {
    let world = World::new();
    let output = ship_in_image(world.enter(), "csv-format").sh("bootc-image list --format csv >/dev/full");
    let output = output.exits(1);
    assert!(output.stderr.starts_with("error: can't write to standard output: "), "{output:#?}");
}

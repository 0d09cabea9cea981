//! Pages that are generated: the command line from the program's help, the plugin interfaces from `wit/`. After a change:
//! `BLESS=1 cargo test --test reference`.

mod plugins;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use bootc_image_manifest::{Manifest, World as PluginWorld};
use bootc_image_tests::World;
use bootc_image_tests::pages::files;
use plugins::ship_in_image;
use serde_json::Value;

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const HEAD: &str = "# Command line\n\n\
    The help text of every command, as `--help` prints it. A test compares this page with the program.\n";

const WIT_HEAD: &str = "# Plugin interfaces (WIT)\n\n\
    The interfaces of components, as the files in `wit/` define them. A test compares this page with the files.\n\n\
    A policy implements the world `policy/validator`, a format `format/output`, a wrapper `command/wrapper`. Policies are one kind of\n\
    [validator](../glossary.md#terms); the checks that bootc-image makes itself are the other.\n";

#[test]
fn the_page_is_what_the_program_says() {
    let world = World::new();
    let help = |words: &[&str]| {
        let command = [&["bootc-image"], words, &["--help"]].concat();
        world.enter().run(&command).ok().stdout
    };
    let mut page = HEAD.to_owned();
    let mut describe = |words: &[&str]| {
        let text = help(words);
        let title = std::iter::once("bootc-image").chain(words.iter().copied()).collect::<Vec<_>>().join(" ");
        let _ = write!(page, "\n## {title}\n\n```text\n{}\n```\n", text.trim_end());
        text
    };
    let commands = listed(&describe(&[]), "Commands:");
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands.iter().filter(|command| *command != "help") {
        let text = describe(&[command]);
        for subcommand in listed(&text, "Subcommands of enabled plugins:") {
            describe(&[command, &subcommand]);
        }
        for subcommand in listed(&text, "Commands:").iter().filter(|subcommand| *subcommand != "help") {
            describe(&[command, subcommand]);
        }
    }
    page.push_str(&subcommands_of_plugin(&world, "podman-maintenance"));
    compare("docs/reference/cli.md", &page);
}

/// The help of the subcommands of a shipped plugin that is not built in.
fn subcommands_of_plugin(world: &World, plugin: &str) -> String {
    let help = |words: &[&str]| {
        let command = [&["bootc-image", "cmd"], words, &["--help"]].concat();
        ship_in_image(world.enter(), plugin).run(&command).ok().stdout
    };
    let overview = help(&[]);
    // The summary, with the plugin, is on a line of its own below a long usage line.
    let lines: Vec<&str> = overview.lines().collect();
    let provided = (1..lines.len()).filter(|&number| lines[number].ends_with(&format!("[{plugin}]")));
    let usage =
        |number: usize| if lines[number].starts_with("    ") { lines[number - 1] } else { lines[number] };
    let names: Vec<&str> = provided.filter_map(|number| usage(number).split_whitespace().next()).collect();
    assert!(names.len() >= 5, "{overview}");
    names
        .iter()
        .map(|name| {
            let text = help(&[name]);
            format!("\n## bootc-image cmd {name} (plugin {plugin})\n\n```text\n{}\n```\n", text.trim_end())
        })
        .collect()
}

/// The tables of the page of manifests, and the types of the schema that they describe.
const TABLES: [(&str, &str); 8] = [
    ("### At the top", ""),
    ("### [[component]]", "RawComponent"),
    ("### when, a table in component or native", "RawWhen"),
    ("### [[native]]", "RawNative"),
    ("### [[format]]", "RawFormat"),
    ("### [[command]]", "RawCommand"),
    ("### [[capability]]", "RawCapability"),
    ("### [limits]", "RawLimits"),
];

/// Keys, each with its type and whether it must be given.
type Keys = BTreeMap<String, (String, bool)>;

#[test]
fn the_page_of_manifests_has_every_key_of_the_schema() {
    let schema = fs::read_to_string(format!("{PROJECT}/docs/schema/plugin.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let defined = schema["$defs"].as_object().unwrap();
    assert_eq!(defined.len() + 1, TABLES.len(), "{:?}", defined.keys());
    let page = fs::read_to_string(format!("{PROJECT}/docs/reference/manifest.md")).unwrap();
    for (heading, name) in TABLES {
        let object = if name.is_empty() { &schema } else { &defined[name] };
        let required = object["required"].as_array().cloned().unwrap_or_default();
        let properties = object["properties"].as_object().unwrap();
        let expected: Keys = properties
            .iter()
            .map(|(key, property)| {
                (key.clone(), (type_of(property), required.contains(&key.as_str().into())))
            })
            .collect();
        assert_eq!(keys_below(&page, heading), expected, "{heading}");
    }
}

/// The type of a property, as the page has it.
fn type_of(property: &Value) -> String {
    let types = property["type"].as_array().and_then(|types| types.first());
    match types.unwrap_or(&property["type"]).as_str() {
        Some("array") if property["items"]["type"] == "string" => "list of strings".to_owned(),
        Some("array") => "list of tables".to_owned(),
        Some(plain) => plain.to_owned(),
        None => "table".to_owned(),
    }
}

fn keys_below(page: &str, heading: &str) -> Keys {
    let section =
        page.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
    let rows = section.filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .map(|cells| {
            let [key, kind, default, meaning] = cells.as_slice() else { panic!("{cells:?}") };
            assert!(!default.is_empty() && !meaning.is_empty(), "{key}");
            (key.trim_matches('`').to_owned(), ((*kind).to_owned(), *default == "required"))
        })
        .collect()
}

#[test]
fn the_examples_of_manifests_are_valid() {
    let page = fs::read_to_string(format!("{PROJECT}/docs/reference/manifest.md")).unwrap();
    let manifests: Vec<&str> = examples(&page).collect();
    let worlds: Vec<PluginWorld> =
        manifests.iter().map(|text| Manifest::parse(text).unwrap().component.world).collect();
    assert_eq!(
        worlds,
        [PluginWorld::PolicyValidator, PluginWorld::FormatOutput, PluginWorld::CommandWrapper]
    );
}

/// The whole manifests on a page.
fn examples(page: &str) -> impl Iterator<Item = &str> {
    let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.starts_with("schema = "))
}

#[test]
fn the_page_of_interfaces_has_all_of_wit() {
    let mut page = WIT_HEAD.to_owned();
    let (mut package, mut items) = (String::new(), 0);
    for path in files(&Path::new(PROJECT).join("wit"), ".wit") {
        let text = fs::read_to_string(&path).unwrap();
        let folder = path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        if folder != package {
            let _ = write!(page, "\n## Package bootc-image:{folder}\n");
            package = folder;
        }
        for part in parts(&text) {
            match part.code.split_whitespace().collect::<Vec<_>>()[..] {
                ["package", ..] => {
                    let _ = write!(page, "{}", paragraph(&part.docs));
                }
                [kind @ ("interface" | "world"), name, ..] => {
                    let title = kind[..1].to_uppercase() + &kind[1..];
                    let _ = write!(
                        page,
                        "\n### {title} {name}\n{}\n```wit\n{}```\n",
                        paragraph(&part.docs),
                        part.code
                    );
                    items += 1;
                }
                _ => panic!("{}: {}", path.display(), part.code),
            }
        }
    }
    assert!(items >= 10, "{items}");
    compare("docs/reference/wit.md", &page);
}

/// A statement of a WIT file that begins at the start of a line, with the comment in front of it.
#[derive(Default)]
struct Part {
    docs: Vec<String>,
    code: String,
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut part = Part::default();
    for line in text.lines() {
        if let Some(docs) = line.strip_prefix("///").filter(|_| part.code.is_empty()) {
            part.docs.push(docs.trim_start().to_owned());
        } else if !(part.code.is_empty() && (line.is_empty() || line.starts_with('@'))) {
            part.code += &format!("{line}\n");
            if line == "}" || line.starts_with("package ") {
                parts.push(std::mem::take(&mut part));
            }
        }
    }
    parts
}

fn paragraph(docs: &[String]) -> String {
    if docs.is_empty() { String::new() } else { format!("\n{}\n", docs.join("\n")) }
}

fn compare(path: &str, page: &str) {
    let file = Path::new(PROJECT).join(path);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, page).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == page, "{path} is out of date: BLESS=1 cargo test --test reference");
}

/// The first words of the lines below a heading.
fn listed(help: &str, heading: &str) -> Vec<String> {
    let below = help.lines().skip_while(|line| *line != heading).skip(1);
    let entries = below.take_while(|line| line.starts_with("  "));
    entries
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

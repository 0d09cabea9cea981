//! An error in a manifest names the line, the key and, if there is a similar word, what was probably meant.

use bootc_image_manifest::{Manifest, World};

const GOOD: &str = r#"schema = 1
id = "wrap"
version = "1.2.3"
api = "^0.1"

[[component]]
file = "wrap.wasm"
world = "bootc-image:command/wrapper"

[[command]]
name = "list"
summary = "Lists"
args = "[OPTIONS]"
"#;

#[test]
fn a_good_manifest_is_read() {
    let manifest = Manifest::parse(GOOD).unwrap();
    assert_eq!(manifest.id.as_str(), "wrap");
    assert_eq!(manifest.version.to_string(), "1.2.3");
    assert_eq!(manifest.component.file, "wrap.wasm");
    assert_eq!(manifest.component.world, World::CommandWrapper);
    assert_eq!(manifest.component.sha256, None);
    assert_eq!(manifest.commands.len(), 1);
    assert_eq!(manifest.commands[0].args, "[OPTIONS]");
}

#[test]
fn the_shipped_manifest_is_good() {
    Manifest::parse(include_str!("../../../plugins/podman-allowlist/plugin.toml")).unwrap();
}

#[test]
fn args_and_sha256_may_be_left_out_or_given() {
    let digest = "0123456789abcdef".repeat(4);
    let text = GOOD
        .replace("args = \"[OPTIONS]\"\n", "")
        .replace("[[command]]", &format!("sha256 = \"{digest}\"\n\n[[command]]"));
    let manifest = Manifest::parse(&text).unwrap();
    assert_eq!(manifest.commands[0].args, "");
    assert_eq!(manifest.component.sha256, Some(digest));
}

/// (text to replace, replacement, expected message)
const BROKEN: &[(&str, &str, &str)] = &[
    // keys
    ("schema = 1\n", "", "line 1: `schema`: missing"),
    ("id = ", "idd = ", "line 2: `idd`: unknown key; did you mean `id`?"),
    ("version", "verison", "line 3: `verison`: unknown key; did you mean `version`?"),
    ("file = ", "path = ", "line 7: `path`: unknown key"),
    ("world", "word", "line 8: `word`: unknown key; did you mean `world`?"),
    ("[[command]]", "[[comand]]", "line 10: `comand`: unknown key; did you mean `command`?"),
    ("summary", "summry", "line 12: `summry`: unknown key; did you mean `summary`?"),
    ("summary = \"Lists\"\n", "", "line 10: `summary`: missing"),
    ("id = \"wrap\"", "id = \"wrap\"\nid = \"wrap\"", "line 3: `id`: duplicate key"),
    // types
    ("schema = 1", "schema = \"1\"", "line 1: `schema`: invalid type: string \"1\", expected i64"),
    (
        "version = \"1.2.3\"",
        "version = 1.2",
        "line 3: `version`: invalid type: floating point `1.2`, expected a string",
    ),
    ("[[component]]", "[component]", "line 6: invalid type: map, expected a sequence"),
    // values
    ("schema = 1", "schema = 2", "line 1: `schema`: 2 is not supported; this host reads schema 1"),
    ("\"wrap\"", "\"Wrap\"", "line 2: `id`: invalid plugin id \"Wrap\": use lower-case letters"),
    ("\"wrap\"", "\"../wrap\"", "line 2: `id`: invalid plugin id \"../wrap\": use lower-case letters"),
    ("\"wrap\"", "\"\"", "line 2: `id`: invalid plugin id \"\": use lower-case letters"),
    (
        "1.2.3",
        "1.2",
        "line 3: `version`: \"1.2\" is not a version: write three numbers with dots between them, such as 1.0.0",
    ),
    ("1.2.3", "1", "line 3: `version`: \"1\" is not a version: write three numbers"),
    (
        "^0.1",
        "newest",
        "line 4: `api`: \"newest\" is not a version requirement: write the versions that it works with, such as ^0.1",
    ),
    (
        "^0.1",
        "^0.2",
        "line 4: `api`: \"^0.2\" does not include 0.1.0, the version of the plugin interface on this host",
    ),
    ("^0.1", "=0.1.1", "line 4: `api`: \"=0.1.1\" does not include 0.1.0"),
    (
        "\"wrap.wasm\"",
        "\"../wrap.wasm\"",
        "line 7: `file`: \"../wrap.wasm\" is not the plain name of a .wasm file",
    ),
    ("\"wrap.wasm\"", "\"/usr/wrap.wasm\"", "line 7: `file`: \"/usr/wrap.wasm\" is not the plain name"),
    ("\"wrap.wasm\"", "\"a\\\\b.wasm\"", "line 7: `file`: \"a\\\\b.wasm\" is not the plain name"),
    ("\"wrap.wasm\"", "\"a\\u0000.wasm\"", "line 7: `file`: \"a\\0.wasm\" is not the plain name"),
    ("\"wrap.wasm\"", "\".wasm\"", "line 7: `file`: \".wasm\" is not the plain name"),
    ("\"wrap.wasm\"", "\"wrap.so\"", "line 7: `file`: \"wrap.so\" is not the plain name"),
    (
        "command/wrapper",
        "command/wraper",
        "line 8: `world`: \"bootc-image:command/wraper\" is not a world that this host supports; did you mean \"bootc-image:command/wrapper\"?",
    ),
    ("command/wrapper", "command/wrapper@0.1.0", "line 8: `world`: "),
    (
        "bootc-image:command/wrapper\"",
        "wasi:cli/command\"\nsha256 = \"\"",
        "line 8: `world`: \"wasi:cli/command\" is not a world that this host supports",
    ),
    (
        "wrapper\"\n",
        "wrapper\"\nsha256 = \"ABC\"\n",
        "line 9: `sha256`: \"ABC\" is not 64 lower-case hexadecimal digits",
    ),
    ("\"list\"", "\"--root\"", "line 11: `name`: \"--root\" is not lower-case letters, digits"),
    ("\"list\"", "\"\"", "line 11: `name`: \"\" is not lower-case letters, digits"),
    ("\"Lists\"", "\" \"", "line 12: `summary`: must not be empty"),
    ("\"Lists\"", "\"a\\nb\"", "line 12: `summary`: \"a\\nb\" is not a single line of visible text"),
    ("[OPTIONS]", "\\u202e", "line 13: `args`: "),
    (
        "args = ",
        "args = \"\"\n[[command]]\nname = \"list\"\nsummary = ",
        "line 15: `name`: \"list\" is listed twice",
    ),
    // not TOML
    ("schema = 1", "schema", "line 1: "),
    ("\"wrap\"", "\"wrap", "line 2: `id`: "),
];

#[test]
fn an_error_names_line_and_key() {
    for (from, to, expected) in BROKEN {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from:?} isn't in the manifest");
        let error = Manifest::parse(&text).expect_err(to).to_string();
        assert!(error.starts_with(expected), "{to:?}\n  message  {error}\n  expected {expected}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_plugin_has_one_component_and_a_command() {
    let component = "[[component]]\nfile = \"b.wasm\"\nworld = \"bootc-image:command/wrapper\"\n";
    let error = Manifest::parse(&format!("{GOOD}{component}")).unwrap_err().to_string();
    assert!(
        error.ends_with("`component`: a plugin must have exactly one component, but this one has 2"),
        "{error}"
    );
    let start = GOOD.split("[[command]]").next().unwrap();
    let error = Manifest::parse(&format!("command = []\n{start}")).unwrap_err().to_string();
    assert_eq!(error, "line 1: `command`: a plugin of this kind must provide a command");
}

#[test]
fn a_huge_manifest_is_not_read() {
    let error = Manifest::parse(&format!("{GOOD}#{}", "x".repeat(64 << 10))).unwrap_err().to_string();
    assert_eq!(error, "the manifest is larger than 64 KiB");
}

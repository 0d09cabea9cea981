//! Files with mistakes of administrators and plugin authors: each error names the file, the line, the key, and what was probably meant.

// Clippy's leave for tests covers only functions that are tests themselves.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use bootc_image_core::plugin::Plugins as _;
use bootc_image_engine::configuration::Configuration;
use bootc_image_engine::places::{Place, Places};
use bootc_image_engine::{Environment, PluginSet};
use bootc_image_model::plugin_settings::PluginSettings;
use bootc_image_model::subject::Subject;

/// A text, and the expected error after the name of its file.
type Broken = (&'static str, &'static str);

const CONFIGURATIONS: &[Broken] = &[
    ("[polcy]\n", "line 1: `polcy`: unknown key; did you mean `policy`?"),
    ("[policy]\nmandatry = []\n", "line 2: `mandatry`: unknown key; did you mean `mandatory`?"),
    ("[policy]\nfail_open = []\n", "line 2: `fail_open`: unknown key; did you mean `fail-open`?"),
    ("[policy]\nmandatory = \"a\"\n", "line 2: `mandatory`: invalid type: string \"a\", expected a sequence"),
    (
        "[policy]\nmandatory = [\"A b\"]\n",
        "line 2: `mandatory`: invalid plugin id \"A b\": use lower-case letters",
    ),
    ("\n[policy]\nfail-open = [1]\n", "line 3: `fail-open`: invalid type: integer `1`, expected a string"),
    ("[[policy.masked]]\nid = \"a\"\n", "line 1: `place`: missing"),
    (
        "[[policy.masked]]\nid = \"a\"\nplace = \"imge\"\n",
        "line 3: `place`: \"imge\" is not a plugin location; did you mean \"image\"?",
    ),
    (
        "allow-delegated = [\"builds\"]\n",
        "line 1: `allow-delegated`: \"builds\" is not a valid value; did you mean \"build\"?",
    ),
    (
        "allow-delegated = \"build\"\n",
        "line 1: `allow-delegated`: invalid type: string \"build\", expected a sequence",
    ),
    ("allow_delegated = []\n", "line 1: `allow_delegated`: unknown key; did you mean `allow-delegated`?"),
    ("[audit]\nread = true\n", "line 2: `read`: unknown key; did you mean `reads`?"),
    ("[audit]\nreads = \"yes\"\n", "line 2: `reads`: invalid type: string \"yes\", expected a boolean"),
    ("[native]\nenable = true\n", "line 2: `enable`: unknown key; did you mean `enabled`?"),
    ("[native]\nenabled = \"yes\"\n", "line 2: `enabled`: invalid type: string \"yes\", expected a boolean"),
    ("[ceiling.polices]\n", "line 1: `polices`: unknown key; did you mean `policy`?"),
    ("[ceiling.policy]\nmemory = 1\n", "line 2: `memory`: unknown key"),
    (
        "[ceiling.policy]\nguest-ms = -1\n",
        "line 2: `guest-ms`: invalid value: integer `-1`, expected a nonzero u32",
    ),
    (
        "[settings.My-Policy]\nx = 1\n",
        "line 1: `settings`: invalid plugin id \"My-Policy\": use lower-case letters",
    ),
    ("[policy\n", "line 1: "),
    ("policy = 1\n[policy]\n", "line 2: "),
];

const GRANTS: &[Broken] = &[
    ("[[grants]]\nplugin = \"a\"\n", "line 1: `grants`: unknown key; did you mean `grant`?"),
    ("[[grant]]\nplgin = \"a\"\n", "line 2: `plgin`: unknown key; did you mean `plugin`?"),
    (
        "[[grant]]\nplugin = \"a\"\n",
        "line 2: `sha256`: missing: a grant of a needs the SHA-256 of its component or library (`sha256`) and of its plugin.toml (`manifest`); compute them with sha256sum",
    ),
    (
        "[[grant]]\nplugin = \"a\"\nkind = \"natve\"\n",
        "line 3: `kind`: \"natve\" is not a plugin kind; did you mean \"native\"?",
    ),
    (
        "[[grant]]\nplugin = \"a\"\nsha256 = \"abc\"\n",
        "line 3: `sha256`: \"abc\" is not 64 lower-case hexadecimal digits",
    ),
    (
        "[[grant]]\nplugin = \"\"\nsha256 = \"abc\"\n",
        "line 2: `plugin`: invalid plugin id \"\": use lower-case letters",
    ),
    (
        "[[grant]]\nplugin = \"a\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\nmanifest = \"0000000000000000000000000000000000000000000000000000000000000000\"\n[[grant.capability]]\nname = \"podman-read\"\nscope = \"/x\"\n",
        "line 6: `name`: \"podman-read\" is not a known capability; did you mean \"podman-reads\"?",
    ),
    (
        "[[grant]]\nplugin = \"a\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\nmanifest = \"0000000000000000000000000000000000000000000000000000000000000000\"\n[[grant.capability]]\nname = \"podman-reads\"\nscope = \"x/../y\"\n",
        "line 7: `scope`: \"x/../y\" is not an absolute path",
    ),
];

const NATIVE: &str = "schema = 1\nid = \"p\"\nversion = \"1.0.0\"\napi = \"^1.0\"\n[[native]]\nfile = \"p.so\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n";

/// What follows the head of a manifest of native code.
const NATIVES: &[Broken] = &[
    ("", "line 5: `role`: missing"),
    ("role = \"polic\"\n", "line 8: `role`: \"polic\" is not a plugin role; did you mean \"policy\"?"),
    ("role = \"format\"\n", "line 1: `format`: a plugin of this kind must provide a format"),
    ("role = \"policy\"\nworld = \"bootc-image:policy/validator\"\n", "line 9: `world`: unknown key"),
    (
        "role = \"policy\"\n[[native]]\nfile = \"q.so\"\nrole = \"policy\"\nsha256 = \"\"\n",
        "line 5: `native`: a plugin must have exactly one library, but this one has 2",
    ),
    (
        "role = \"policy\"\n[[component]]\nfile = \"p.wasm\"\nworld = \"bootc-image:policy/validator\"\n",
        "line 5: `native`: a plugin has either a component or a native library, not both",
    ),
    (
        "role = \"policy\"\n[[capability]]\nname = \"lists-images\"\nscope = \"**\"\nreason = \"x\"\n",
        "line 10: `name`: lists-images does not apply to a plugin of this kind",
    ),
];

/// Manifests as a whole.
const WHOLE: &[Broken] = &[
    (
        "schema = 1\nid = \"p\"\nversion = \"1.0.0\"\napi = \"^1.0\"\n",
        "line 1: `component`: missing: a plugin needs a [[component]] section or, for native code, a [[native]] section",
    ),
    (
        "schema = 1\nid = \"p\"\nversion = \"1.0.0\"\napi = \"^2.0\"\n[[native]]\nfile = \"p.so\"\nrole = \"policy\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n",
        "line 4: `api`: \"^2.0\" does not include 1.0.0, the version of bootc_image_extension.h on this host: install a newer bootc-image",
    ),
    (
        "schema = 1\nid = \"p\"\nversion = \"1.0.0\"\napi = \"^0.1\"\n[[native]]\nfile = \"p.so\"\nrole = \"policy\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n",
        "line 4: `api`: \"^0.1\" does not include 1.0.0, the version of bootc_image_extension.h on this host: install a newer version of the plugin",
    ),
    (
        "schema = 1\nid = \"p\"\nversion = \"1.0.0\"\napi = \"^1.0\"\n[[native]]\nfile = \"../p.so\"\nrole = \"policy\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n",
        "line 6: `file`: \"../p.so\" is not the plain name of a .so file next to the manifest",
    ),
];

const HEAD: &str = "schema = 1\nid = \"p\"\nversion = \"1.0.0\"\napi = \"^0.1\"\n[[component]]\nfile = \"p.wasm\"\nworld = \"bootc-image:policy/validator\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n";

/// What follows the head.
const MANIFESTS: &[Broken] = &[
    ("when = { operation = [] }\n", "line 9: `operation`: unknown key; did you mean `operations`?"),
    (
        "when = { operations = [\"cmd-pull\"] }\n",
        "line 9: `operations`: there is no operation \"cmd-pull\"; did you mean \"cmd pull\"?",
    ),
    (
        "when = { operations = [\"copy-to-store\"] }\n",
        "line 9: `operations`: there is no operation \"copy-to-store\"; did you mean \"copy-to-storage\"?",
    ),
    (
        "when = { operations = [\"cmd pull\", \"cmd rm\"] }\n",
        "line 9: `operations`: there is no operation \"cmd rm\": it is judged as \"remove\"",
    ),
    (
        "when = { operations = [\"cmd prune\"] }\n",
        "line 9: `operations`: there is no operation \"cmd prune\": it is judged as \"prune\"",
    ),
    (
        "when = { references = [\"quay.io/[\"] }\n",
        "line 9: `references`: \"quay.io/[\" is not a valid pattern",
    ),
    (
        "when = { references = [\"quay.io/*a*b/x\"] }\n",
        "line 9: `references`: \"quay.io/*a*b/x\" has more than one `*` between two slashes",
    ),
    ("before_lookup = true\n", "line 9: `before_lookup`: unknown key; did you mean `before-lookup`?"),
    ("before-lookup = 1\n", "line 9: `before-lookup`: invalid type: integer `1`, expected a boolean"),
    (
        "[[command]]\nname = \"list\"\nsummary = \"x\"\n",
        "line 9: `command`: a plugin of this kind cannot provide commands",
    ),
    (
        "[[capability]]\nname = \"podman-reads\"\nscope = \"/x\"\n",
        "line 10: `reason`: missing: tell the administrator why the plugin needs the capability",
    ),
    (
        "[[capability]]\nname = \"network\"\nscope = \"/x\"\nreason = \"x\"\n",
        "line 10: `name`: \"network\" is not a known capability",
    ),
    (
        "[[capability]]\nname = \"lists-images\"\nscope = \"**\"\nreason = \"x\"\n",
        "line 10: `name`: lists-images does not apply to a plugin of this kind",
    ),
    (
        "[[capability]]\nname = \"copies-images\"\nscope = \"docker://quay.io/**\"\nreason = \"x\"\n",
        "line 11: `scope`: \"docker://quay.io/**\" is not a pattern of image names without transport, tag or digest",
    ),
    (
        "[[capability]]\nname = \"pulls-images\"\nscope = \"localhost/mine:1\"\nreason = \"x\"\n",
        "line 11: `scope`: \"localhost/mine:1\" is not a pattern of image names without transport",
    ),
    (
        "[[capability]]\nname = \"color\"\nscope = \"x\"\nreason = \"x\"\n",
        "line 11: `scope`: \"x\" is not empty",
    ),
    ("[[capability]]\nname = \"lists-images\"\nreason = \"x\"\n", "line 10: `scope`: missing"),
    ("[limits]\nmemory-mb = 1\n", "line 10: `memory-mb`: unknown key; did you mean `memory-mib`?"),
];

#[test]
fn an_error_in_a_configuration_names_file_line_and_key() {
    for (text, expected) in CONFIGURATIONS {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("50-site.toml");
        fs::write(&path, text).unwrap();
        let places = Places { configuration: vec![scratch.path().to_owned()], ..Places::default() };
        let configuration = Configuration::read(&places);
        check(configuration.judging.broken.as_deref().unwrap_or_default(), &path, expected);
        assert_eq!(configuration.judging.broken.as_slice(), configuration.problems);
    }
}

/// Operations are refused then; `plugin list` and the like show the plugins that could be read.
#[test]
fn valid_files_are_read_if_another_one_is_invalid() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    for (name, text) in [
        ("config/10-good.toml", "[policy]\nmandatory = [\"a\"]\n"),
        (
            "config/20-half.toml",
            "[policy]\nmandatory = [\"half\"]\n[[policy.masked]]\nid = \"X\"\nplace = \"site\"\n",
        ),
        ("config/30-good.toml", "[policy]\nmandatory = [\"c\"]\n"),
        ("grants/10-bad.toml", "x = 1\n"),
        ("grants/20-good.toml", "[[grant]]\nplugin = \"gone\"\nrole = \"policy\"\nmandatory = true\n"),
        ("plugins/a/plugin.toml", HEAD),
    ] {
        fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        fs::write(path(name), text).unwrap();
    }
    let places = Places {
        // One that is no directory.
        configuration: vec![path("config/10-good.toml"), path("config")],
        grants: vec![(Place::Image, path("grants"))],
        plugins: vec![(Place::Site, path("grants/10-bad.toml")), (Place::Image, path("plugins"))],
        ..Places::default()
    };
    let configuration = Configuration::read(&places);
    let mandatory: Vec<&str> = configuration.judging.mandatory.iter().map(|id| id.as_str()).collect();
    assert_eq!(mandatory, ["a", "c"], "half a file counts for nothing");
    let [directory, file] = configuration.problems.as_slice() else { panic!("{configuration:?}") };
    assert!(directory.starts_with("cannot read the configuration: "), "{directory}");
    assert!(file.contains("20-half.toml: line 4: `id`: "), "{file}");
    assert_eq!(configuration.judging.broken.as_ref(), Some(directory));

    let set = PluginSet::new(Environment { places, configuration, ..Environment::default() });
    assert!(set.inventory().is_err() && set.policies().is_err() && set.find("a").is_err());
    assert_eq!(set.look().problems.len(), 2, "{:?}", set.look());
    assert_eq!(set.look().plugins.len() + set.look().broken.len(), 1);
    assert_eq!(set.mandatory().len(), 1);
    // A policy is not reported as missing if that is unknown.
    assert_eq!(set.missed(), []);
    let caller = Subject { uid: Some(0), delegation: None, plugin: None, claims: Vec::new() };
    let findings = set.examine(None, &caller);
    let first = findings.iter().filter(|finding| finding.fix.starts_with("correct this first"));
    assert_eq!(first.count(), 4, "{findings:?}");
}

#[test]
fn an_error_in_a_grant_names_file_line_and_key() {
    for (text, expected) in GRANTS {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.toml");
        fs::write(&path, text).unwrap();
        let places = Places { grants: vec![(Place::Site, scratch.path().to_owned())], ..Places::default() };
        let set = PluginSet::new(Environment { places, ..Environment::default() });
        check(&set.inventory().unwrap_err().to_string(), &path, expected);
    }
}

#[test]
fn a_broken_manifest_is_told_with_its_place() {
    let with_head = |head: &str, all: &[Broken]| -> Vec<(String, &str)> {
        all.iter().map(|(text, expected)| (format!("{head}{text}"), *expected)).collect()
    };
    let all = [with_head(HEAD, MANIFESTS), with_head(NATIVE, NATIVES), with_head("", WHOLE)].concat();
    for (text, expected) in &all {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("p/plugin.toml");
        fs::create_dir(scratch.path().join("p")).unwrap();
        fs::write(&path, text).unwrap();
        let places = Places { plugins: vec![(Place::Site, scratch.path().to_owned())], ..Places::default() };
        let set = PluginSet::new(Environment { places, ..Environment::default() });
        check(&set.inventory().unwrap().broken[0].reason, &path, expected);
    }
}

#[test]
fn there_are_enough_of_them() {
    assert!(CONFIGURATIONS.len() + GRANTS.len() + MANIFESTS.len() >= 30);
}

fn check(error: &str, path: &Path, expected: &str) {
    let start = format!("{}: {expected}", path.display());
    assert!(error.contains(&start), "\n  message  {error}\n  expected {start}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn later_files_add_to_earlier_ones_and_replace_those_of_their_name() {
    let scratch = tempfile::tempdir().unwrap();
    let [image, site] = ["image", "site"].map(|name| scratch.path().join(name));
    for (directory, name, text) in [
        (
            &image,
            "10-a.toml",
            "[policy]\nmandatory = [\"a\"]\n[settings.a]\nx = 1\ny = 1\n[audit]\nreads = true\n",
        ),
        (&image, "20-b.toml", "[policy]\nmandatory = [\"b\"]\n"),
        (&site, "20-b.toml", "[settings.a]\ny = 2\n"),
        (&site, "30-c.toml", "[policy]\nmandatory = [\"c\"]\n[audit]\nreads = false\n"),
        (&site, "ignored.conf", "nonsense"),
    ] {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join(name), text).unwrap();
    }
    let places = Places { configuration: vec![image, site], ..Places::default() };
    let configuration = Configuration::read(&places);
    let mandatory: Vec<&str> = configuration.judging.mandatory.iter().map(|id| id.as_str()).collect();
    assert_eq!(mandatory, ["a", "c"]);
    assert!(!configuration.judging.record_reads);
    let (settings, _) = configuration.settings.values().next().unwrap();
    assert_eq!(PluginSettings::new(Some(settings.clone())).full(), r#"{"x":1,"y":2}"#);
}

//! What is reported about files that another one hides.

use std::fs;
use std::path::Path;

use super::*;
use crate::set::PluginSet;
use crate::trust::environment::Environment;

/// A set with these files of configuration and grants; the directories are `usr` and `etc`.
fn set(configuration: &[(&str, &str)], granted: &[(&str, &str)]) -> (PluginSet, tempfile::TempDir) {
    let scratch = tempfile::tempdir().unwrap();
    let path = |kind: &str, place: &str| scratch.path().join(place).join(kind);
    for (kind, files) in [("config.d", configuration), ("grants.d", granted)] {
        for place in ["usr", "etc"] {
            fs::create_dir_all(path(kind, place)).unwrap();
        }
        for (name, text) in files {
            let (place, name) = name.split_once('/').unwrap();
            fs::write(path(kind, place).join(name), text).unwrap();
        }
    }
    let places = Places {
        configuration: vec![path("config.d", "usr"), path("config.d", "etc")],
        grants: vec![(Place::Image, path("grants.d", "usr")), (Place::Site, path("grants.d", "etc"))],
        ..Places::default()
    };
    let configuration = Configuration::read(&places);
    (PluginSet::new(Environment { places, configuration, ..Environment::default() }), scratch)
}

/// What is reported about the only hidden file, without the directories, and whether something is missing.
fn reported(configuration: &[(&str, &str)], granted: &[(&str, &str)]) -> (String, bool) {
    let (set, scratch) = set(configuration, granted);
    let hidden = set.hidden();
    let [one] = hidden.as_slice() else { panic!("{hidden:?}") };
    let base = |path: &Path| format!("{}/", path.display());
    (one.what().replace(&base(scratch.path()), ""), one.is_missed())
}

const GUARD: &str = "[policy]\nmandatory = [\"a\", \"b\"]\n[settings.a]\nx = 1\ny = 1\n";

#[test]
fn what_a_hidden_file_sets_is_reported_and_what_is_still_in_effect() {
    let hides = "etc/config.d/50.toml replaces usr/config.d/50.toml";
    for (site, expected, missed) in [
        (
            "",
            format!(
                "{hides}; no longer in effect: [policy] mandatory = [\"a\", \"b\"] and [settings.a] `x`, `y`"
            ),
            true,
        ),
        (
            "[policy]\nmandatory = [\"b\"]\n[settings.a]\nx = 2\n",
            format!(
                "{hides}; no longer in effect: [policy] mandatory = [\"a\"] and [settings.a] `y`; changed by it: \
                 [settings.a] `x`; still in effect: [policy] mandatory = [\"b\"]"
            ),
            true,
        ),
        (
            GUARD,
            format!(
                "{hides}; everything in the replaced file is still in effect: [policy] mandatory = [\"a\", \"b\"] and [settings.a] `x`, `y`"
            ),
            false,
        ),
    ] {
        let files = [("usr/50.toml", GUARD), ("etc/50.toml", site)];
        assert_eq!(reported(&files, &[]), (expected, missed), "{site}");
    }
    let (what, missed) = reported(&[("usr/50.toml", "# nothing\n"), ("etc/50.toml", GUARD)], &[]);
    assert_eq!((what, missed), (format!("{hides}, which sets nothing"), false));
    let (what, missed) = reported(&[("usr/50.toml", "x = 1\n"), ("etc/50.toml", GUARD)], &[]);
    assert_eq!((what, missed), (format!("{hides}, which cannot be read: line 1: `x`: unknown key"), true));
    // Files with different names are both read.
    assert!(set(&[("usr/50.toml", GUARD), ("etc/60.toml", GUARD)], &[]).0.hidden().is_empty());
}

#[test]
fn every_key_of_a_hidden_file_is_missed_unless_another_file_has_it_after_all() {
    let all = "allow-delegated = [\"build\", \"plugins\"]\n[policy]\nfail-open = [\"f\"]\n[[policy.masked]]\n\
               id = \"m\"\nplace = \"site\"\n[ceiling.policy]\nguest-ms = 7\n[native]\nenabled = false\n\
               [audit]\nreads = true\n[settings.a]\nx = 1\n";
    let named = "[policy] fail-open = [\"f\"] and policy.masked = [{ id = \"m\", place = \"site\" }] and \
                 allow-delegated = [\"build\", \"plugins\"] and [ceiling.policy] guest-ms = 7 and \
                 [native] enabled = false and [audit] reads = true and [settings.a] `x`";
    let earlier = "[native]\nenabled = true\n[ceiling.policy]\nguest-ms = 1\n[settings.a]\nx = 2\n";
    let files = [("usr/10.toml", earlier), ("usr/50.toml", all), ("etc/50.toml", "")];
    let hides = "etc/config.d/50.toml replaces usr/config.d/50.toml";
    assert_eq!(reported(&files, &[]), (format!("{hides}; no longer in effect: {named}"), true));
    let files = [&files[..], &[("etc/60.toml", all)]].concat();
    assert_eq!(
        reported(&files, &[]),
        (format!("{hides}; everything in the replaced file is still in effect: {named}"), false)
    );
}

#[test]
fn a_changed_value_is_not_reported_as_in_effect() {
    let hides = "etc/config.d/50.toml replaces usr/config.d/50.toml";
    let deny = "[settings.a]\ndefault = \"deny\"\n";
    let allow = "[settings.a]\ndefault = \"allow\"\n";
    let reported_of = |image: &str, site: &str, later: &str| {
        reported(&[("usr/50.toml", image), ("etc/50.toml", site), ("etc/60.toml", later)], &[])
    };
    for (image, site, later, expected, missed) in [
        (deny, allow, "", "; changed by it: [settings.a] `default`", true),
        (deny, allow, allow, "; changed by it: [settings.a] `default`", true),
        (
            deny,
            allow,
            deny,
            "; everything in the replaced file is still in effect: [settings.a] `default`",
            false,
        ),
        // A file with a later name may set another value.
        (deny, "", allow, "; changed by a later file: [settings.a] `default`", false),
        (deny, deny, allow, "; changed by a later file: [settings.a] `default`", false),
        ("native.enabled = false", "native.enabled = true", "", "; changed by it: [native] enabled", true),
        ("audit.reads = true", "audit.reads = false", "", "; changed by it: [audit] reads", false),
        (
            "ceiling.policy = { guest-ms = 7, wall-ms = 9 }",
            "ceiling.policy = { guest-ms = 8, wall-ms = 9 }",
            "",
            "; changed by it: [ceiling.policy] guest-ms; still in effect: [ceiling.policy] wall-ms = 9",
            false,
        ),
    ] {
        assert_eq!(reported_of(image, site, later), (format!("{hides}{expected}"), missed), "{site} {later}");
    }
}

#[test]
fn changed_settings_of_a_plugin_other_than_a_policy_are_no_problem() {
    let manifest = |rest| crate::inventory::tests::manifest("a", rest);
    let format = manifest("[[format]]\nname = \"f\"\nsummary = \"x\"\ncolumns = [\"image\"]\n");
    for (manifest, missed) in [(manifest(""), true), (format, false)] {
        let files = [
            ("usr/50.toml", "[settings.a]\nx = 1\ny = 2\n"),
            ("etc/50.toml", "[settings.a]\nx = 2\ny = 2\n"),
        ];
        let (set, scratch) = set(&files, &[]);
        let plugins = scratch.path().join("plugins");
        fs::create_dir_all(plugins.join("a")).unwrap();
        fs::write(plugins.join("a/plugin.toml"), manifest).unwrap();
        let places = Places { plugins: vec![(Place::Image, plugins)], ..set.places().clone() };
        let configuration = Configuration::read(&places);
        let set = PluginSet::new(Environment { places, configuration, ..Environment::default() });
        let hidden = &set.hidden()[0];
        assert!(hidden.what().contains("; changed by it: [settings.a] `x`;"), "{hidden:?}");
        assert_eq!((hidden.is_missed(), hidden.concerns("a")), (missed, missed));
    }
}

#[test]
fn a_grant_of_the_image_is_missed_though_the_site_grants_the_same_version() {
    let digest = "0".repeat(64);
    let of_site = format!("[[grant]]\nplugin = \"a\"\nsha256 = \"{digest}\"\nmanifest = \"{digest}\"\n");
    let of_image = "[[grant]]\nplugin = \"a\"\n[[grant.capability]]\nname = \"color\"\n";
    let files = [("usr/a.toml", of_image), ("etc/a.toml", &*of_site)];
    let hides = "etc/grants.d/a.toml replaces usr/grants.d/a.toml;";
    let consequence =
        |what: &str| format!("; the image's grant is not read: {what} until it is approved again");
    let (lost, later) = (
        "no longer in effect: the approval of a (color)",
        consequence("after an upgrade a will be disabled"),
    );
    assert_eq!(reported(&[], &files), (format!("{hides} {lost}{later}"), true));
    let (of_files, scratch) = set(&[], &files);
    let file = scratch.path().join("etc/grants.d/a.toml");
    let expected = format!("run `bootc-image plugin revoke a`, or remove {}", file.display());
    assert_eq!(of_files.hidden()[0].fix(), expected);
    // A file that was not written by a command.
    let empty = [("usr/a.toml", of_image), ("etc/a.toml", "")];
    let disabled = consequence("a is disabled");
    assert_eq!(reported(&[], &empty), (format!("{hides} {lost}{disabled}"), true));
    let (of_files, scratch) = set(&[], &empty);
    let file = scratch.path().join("etc/grants.d/a.toml");
    let expected = format!("remove or rename {}", file.display());
    assert_eq!(of_files.hidden()[0].fix(), expected);
    let again = [&files[..], &[("usr/b.toml", of_image)]].concat();
    assert_eq!(
        reported(&[], &again),
        (
            format!("{hides} everything in the replaced file is still in effect: the approval of a (color)"),
            false
        )
    );
    let mandatory = of_image.replace("\"a\"\n", "\"a\"\nmandatory = true\n");
    let files = [("usr/a.toml", &*mandatory), ("usr/b.toml", of_image), ("etc/a.toml", "")];
    let what = format!("{hides} no longer in effect: the approval of mandatory a (color)");
    assert_eq!(reported(&[], &files), (what, true));
}

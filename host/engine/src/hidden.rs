//! Files that don't count because a later directory has one of the same name, and what is missing without them: a guard that the
//! OS image brings can go so without a word.

use std::path::PathBuf;

use bootc_image_core::operation::Role;
use bootc_image_core::plugin::PluginId;

use crate::configuration::{Configuration, directories};
use crate::grants::{self, Found};
use crate::limits::Wishes;
use crate::places::{Located, Owner, Place, Places, drop_ins, read_text};
use crate::sanitize::sanitize;
use crate::set::PluginSet;

/// A file that doesn't count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Which one.
    pub file: PathBuf,
    /// The one that counts in its place.
    pub by: PathBuf,
    says: Result<Vec<Entry>, String>,
    fix: &'static str,
}

/// Something that a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// What it has in common with others.
    before: String,
    what: String,
    after: &'static str,
    /// The plugin that it is about.
    plugin: Option<PluginId>,
    /// Whether it holds though the file doesn't count.
    in_effect: bool,
}

impl Hidden {
    /// Whether something is missing without it, or nobody can tell.
    pub fn is_missed(&self) -> bool {
        self.says.as_ref().map_or(true, |says| says.iter().any(|entry| !entry.in_effect))
    }

    /// Whether something that is missing is about this plugin.
    pub fn concerns(&self, plugin: &str) -> bool {
        let is_about = |entry: &Entry| entry.plugin.as_ref().is_some_and(|id| id.as_str() == plugin);
        self.says.iter().flatten().any(|entry| !entry.in_effect && is_about(entry))
    }

    /// Which file hides which, and what that says.
    pub fn what(&self) -> String {
        let hides = format!("{} hides {}", self.by.display(), self.file.display());
        let says = match &self.says {
            Ok(says) => says,
            Err(why) => return sanitize(&format!("{hides}, which can't be read: {why}")),
        };
        let (held, lost): (Vec<&Entry>, Vec<&Entry>) = says.iter().partition(|entry| entry.in_effect);
        sanitize(&match (lost.as_slice(), held.as_slice()) {
            ([], []) => format!("{hides}, which says nothing"),
            ([], held) => format!("{hides}, and all that it says holds: {}", listed(held)),
            (lost, []) => format!("{hides}, and with it: {}", listed(lost)),
            (lost, held) => {
                format!("{hides}, and with it: {}; what else it says holds: {}", listed(lost), listed(held))
            }
        })
    }

    /// What to do about what is missing.
    pub fn fix(&self) -> &'static str {
        self.fix
    }
}

/// Entries, those together that have something in common.
fn listed(entries: &[&Entry]) -> String {
    let groups = entries.chunk_by(|a, b| a.before == b.before);
    let group = |group: &[&Entry]| {
        let what: Vec<&str> = group.iter().map(|entry| &*entry.what).collect();
        group.first().map(|first| format!("{}{}{}", first.before, what.join(", "), first.after))
    };
    groups.filter_map(group).collect::<Vec<_>>().join("; ")
}

impl PluginSet {
    /// All files of configuration and grants that don't count.
    pub fn hidden(&self) -> Vec<Hidden> {
        let mut hidden = configuration(self.places());
        hidden.extend(of_grants(self.places()));
        hidden
    }
}

fn configuration(places: &Places) -> Vec<Hidden> {
    let directories = directories(places);
    let found = drop_ins(&directories, |()| Owner::ROOT);
    let of_files = |hidden: Option<(&Located, &PathBuf)>| {
        let mut configuration = Configuration::default();
        for ((), file) in &found.files {
            let before = hidden.filter(|(_, by)| **by == file.named).map(|(hidden, _)| hidden);
            configuration.add_files(before.into_iter().chain([file]));
        }
        configuration
    };
    let now = of_files(None);
    let hidden = found.hidden.iter().map(|hidden| {
        let (file, by) = (&hidden.file, &hidden.by);
        let says = read_text(&file.real, Owner::ROOT).map_err(|error| error.to_string()).and_then(|text| {
            // What would hold if the file counted, and the other one came after it.
            let with = of_files(Some((file, by)));
            entries(&text, &with, &now).map_err(|complaint| complaint.to_string())
        });
        let fix = "give the site's file another name, or repeat what is to stay in it";
        Hidden { file: file.named.clone(), by: by.clone(), says, fix }
    });
    hidden.collect()
}

/// What a file says, and whether it makes a difference that it doesn't count.
fn entries(
    text: &str,
    with: &Configuration,
    now: &Configuration,
) -> Result<Vec<Entry>, crate::strict::Complaint> {
    let mut alone = Configuration::default();
    alone.add(text)?;
    // What is set differs from nothing, whatever it is set to.
    let mut on = Configuration { native: true, ..Configuration::default() };
    on.judging.record_reads = true;
    on.add(text)?;
    let mut all = Vec::new();
    let mut add = |before: String, what: String, after, plugin: Option<&PluginId>, in_effect| {
        all.push(Entry { before, what, after, plugin: plugin.cloned(), in_effect });
    };
    for (key, alone, now) in [
        ("mandatory", &alone.judging.mandatory, &now.judging.mandatory),
        ("fail-open", &alone.judging.fail_open, &now.judging.fail_open),
    ] {
        for id in alone {
            add(format!("[policy] {key} = ["), id.to_string(), "]", Some(id), now.contains(id));
        }
    }
    for mask in &alone.masked {
        let what = format!("{} ({})", mask.0, mask.1.name());
        add("[policy] masked = [".to_owned(), what, "]", Some(&mask.0), now.masked.contains(mask));
    }
    for (word, alone, now) in
        delegated(&alone).into_iter().zip(delegated(now)).map(|((word, alone), (_, now))| (word, alone, now))
    {
        if alone {
            add("allow-delegated = [".to_owned(), word.to_owned(), "]", None, now);
        }
    }
    for ((kind, alone), ((_, with), (_, now))) in
        ceilings(&alone).into_iter().zip(ceilings(with).into_iter().zip(ceilings(now)))
    {
        for ((key, alone), ((_, with), (_, now))) in
            wishes(alone).into_iter().zip(wishes(with).into_iter().zip(wishes(now)))
        {
            if let Some(most) = alone {
                add(format!("[ceiling.{kind}] "), format!("{key} = {most}"), "", None, with == now);
            }
        }
    }
    if alone.native == on.native {
        let what = format!("enabled = {}", alone.native);
        add("[native] ".to_owned(), what, "", None, with.native == now.native);
    }
    let reads = |configuration: &Configuration| configuration.judging.record_reads;
    if reads(&alone) == reads(&on) {
        add("[audit] ".to_owned(), format!("reads = {}", reads(&alone)), "", None, reads(with) == reads(now));
    }
    for (id, settings) in &alone.settings {
        let of = |all: &Configuration, key: &str| {
            all.settings.get(id).and_then(|settings| settings.get(key)).cloned()
        };
        for key in settings.keys() {
            let in_effect = of(with, key) == of(now, key);
            add(format!("[settings.{id}] "), key.clone(), "", Some(id), in_effect);
        }
    }
    Ok(all)
}

fn delegated(configuration: &Configuration) -> [(&'static str, bool); 4] {
    let delegated = configuration.judging.allow_delegated;
    [
        ("sysroot", delegated.sysroot),
        ("build", delegated.build),
        ("load", delegated.load),
        ("plugins", delegated.plugins),
    ]
}

fn ceilings(configuration: &Configuration) -> [(&'static str, Wishes); 3] {
    [
        ("policy", configuration.policy_ceiling),
        ("format", configuration.format_ceiling),
        ("command", configuration.command_ceiling),
    ]
}

fn wishes(wishes: Wishes) -> [(&'static str, Option<u32>); 3] {
    [("memory-mib", wishes.memory_mib), ("guest-ms", wishes.guest_ms), ("wall-ms", wishes.wall_ms)]
}

fn of_grants(places: &Places) -> Vec<Hidden> {
    let found = drop_ins(&places.grants, |place| places.owner(*place));
    if found.hidden.is_empty() {
        return Vec::new();
    }
    let (now, _) = grants::read(places);
    let hidden = found.hidden.iter().map(|hidden| {
        let says = grants::read_file(places, *hidden.place, &hidden.file).map(|granted| {
            let entry = |granted: &Found| {
                let named: Vec<String> = granted.capabilities.iter().map(ToString::to_string).collect();
                let named = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
                let mandatory = if granted.mandatory { "mandatory " } else { "" };
                Entry {
                    before: "the approval of ".to_owned(),
                    what: format!("{mandatory}{}{named}", granted.plugin),
                    after: "",
                    plugin: Some(granted.plugin.clone()),
                    in_effect: now.iter().any(|other| is_as_much(other, granted)),
                }
            };
            granted.iter().map(entry).collect()
        });
        let fix = "remove the file that hides it, or give that another name";
        Hidden { file: hidden.file.named.clone(), by: hidden.by.clone(), says, fix }
    });
    hidden.collect()
}

/// Whether a grant approves all that another one does: also the next version, of a grant that names no digest.
fn is_as_much(grant: &Found, other: &Found) -> bool {
    let covers = |digest: &Option<String>, other: &Option<String>| digest.is_none() || digest == other;
    let place = grant.place == other.place || matches!(grant.place, Place::Installed | Place::Site);
    grant.plugin == other.plugin
        && grant.native == other.native
        && place
        && covers(&grant.sha256, &other.sha256)
        && covers(&grant.manifest, &other.manifest)
        && other.capabilities.iter().all(|capability| grant.capabilities.contains(capability))
        && (grant.mandatory || !other.mandatory)
        && (grant.role == Some(Role::Policy) || other.role != Some(Role::Policy))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::set::Surroundings;

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
        (PluginSet::new(Surroundings { places, configuration, ..Surroundings::default() }), scratch)
    }

    /// What is said of the only hidden file, without the directories, and whether something is missed.
    fn said(configuration: &[(&str, &str)], granted: &[(&str, &str)]) -> (String, bool) {
        let (set, scratch) = set(configuration, granted);
        let hidden = set.hidden();
        let [one] = hidden.as_slice() else { panic!("{hidden:?}") };
        let base = |path: &Path| format!("{}/", path.display());
        (one.what().replace(&base(scratch.path()), ""), one.is_missed())
    }

    const GUARD: &str = "[policy]\nmandatory = [\"a\", \"b\"]\n[settings.a]\nx = 1\ny = 1\n";

    #[test]
    fn what_a_hidden_file_had_is_said_and_what_of_it_holds() {
        let hides = "etc/config.d/50.toml hides usr/config.d/50.toml";
        for (site, expected, missed) in [
            ("", format!("{hides}, and with it: [policy] mandatory = [a, b]; [settings.a] x, y"), true),
            (
                "[policy]\nmandatory = [\"b\"]\n[settings.a]\nx = 2\n",
                format!(
                    "{hides}, and with it: [policy] mandatory = [a]; [settings.a] y; what else it says holds: \
                     [policy] mandatory = [b]; [settings.a] x"
                ),
                true,
            ),
            (
                GUARD,
                format!(
                    "{hides}, and all that it says holds: [policy] mandatory = [a, b]; [settings.a] x, y"
                ),
                false,
            ),
        ] {
            let files = [("usr/50.toml", GUARD), ("etc/50.toml", site)];
            assert_eq!(said(&files, &[]), (expected, missed), "{site}");
        }
        let (what, missed) = said(&[("usr/50.toml", "# nothing\n"), ("etc/50.toml", GUARD)], &[]);
        assert_eq!((what, missed), (format!("{hides}, which says nothing"), false));
        let (what, missed) = said(&[("usr/50.toml", "x = 1\n"), ("etc/50.toml", GUARD)], &[]);
        assert_eq!((what, missed), (format!("{hides}, which can't be read: line 1: `x`: unknown key"), true));
        // With other names both count.
        assert!(set(&[("usr/50.toml", GUARD), ("etc/60.toml", GUARD)], &[]).0.hidden().is_empty());
    }

    #[test]
    fn every_key_of_a_hidden_file_is_missed_unless_another_file_has_it_after_all() {
        let all = "allow-delegated = [\"build\", \"plugins\"]\n[policy]\nfail-open = [\"f\"]\n[[policy.masked]]\n\
                   id = \"m\"\nplace = \"site\"\n[ceiling.policy]\nguest-ms = 7\n[native]\nenabled = false\n\
                   [audit]\nreads = true\n[settings.a]\nx = 1\n";
        let named = "[policy] fail-open = [f]; [policy] masked = [m (site)]; allow-delegated = [build, plugins]; \
                     [ceiling.policy] guest-ms = 7; [native] enabled = false; [audit] reads = true; [settings.a] x";
        let earlier = "[native]\nenabled = true\n[ceiling.policy]\nguest-ms = 1\n[settings.a]\nx = 2\n";
        let files = [("usr/10.toml", earlier), ("usr/50.toml", all), ("etc/50.toml", "")];
        let hides = "etc/config.d/50.toml hides usr/config.d/50.toml, and";
        assert_eq!(said(&files, &[]), (format!("{hides} with it: {named}"), true));
        let files = [&files[..], &[("etc/60.toml", all)]].concat();
        assert_eq!(said(&files, &[]), (format!("{hides} all that it says holds: {named}"), false));
    }

    #[test]
    fn a_grant_of_the_image_is_missed_though_the_site_grants_the_same_version() {
        let digest = "0".repeat(64);
        let of_site = format!("[[grant]]\nplugin = \"a\"\nsha256 = \"{digest}\"\nmanifest = \"{digest}\"\n");
        let of_image = "[[grant]]\nplugin = \"a\"\n[[grant.capability]]\nname = \"color\"\n";
        let files = [("usr/a.toml", of_image), ("etc/a.toml", &*of_site)];
        let hides = "etc/grants.d/a.toml hides usr/grants.d/a.toml, and";
        assert_eq!(said(&[], &files), (format!("{hides} with it: the approval of a (color)"), true));
        let again = [&files[..], &[("usr/b.toml", of_image)]].concat();
        assert_eq!(
            said(&[], &again),
            (format!("{hides} all that it says holds: the approval of a (color)"), false)
        );
        let mandatory = of_image.replace("\"a\"\n", "\"a\"\nmandatory = true\n");
        let files = [("usr/a.toml", &*mandatory), ("usr/b.toml", of_image), ("etc/a.toml", "")];
        let what = format!("{hides} with it: the approval of mandatory a (color)");
        assert_eq!(said(&[], &files), (what, true));
    }
}

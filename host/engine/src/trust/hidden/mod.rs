//! Files that are ignored because a later directory has a file of the same name, and what is missing without them. Otherwise a
//! site could switch off a policy of the OS image without noticing.

use std::path::{Path, PathBuf};

use bootc_image_manifest::PartialLimits;
use bootc_image_manifest::strict::Diagnostic;
use bootc_image_model::plugin::PluginId;

use super::configuration::{Configuration, directories};
use super::grants::{self, Found};
use crate::places::{Owner, Place, Places, TrustedPath, drop_ins, read_drop_in};
use crate::sanitize::sanitize;

/// A file that is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// The file.
    pub file: PathBuf,
    /// The file that is read instead, or the link to `/dev/null` that masks the file.
    pub by: PathBuf,
    /// Whether it is masked, which an administrator does on purpose.
    pub masked: bool,
    /// What the file sets, or why it cannot be read.
    entries: Result<Vec<Entry>, String>,
    /// What happens because the file is ignored.
    consequence: Option<String>,
    fix: String,
}

/// One setting or grant in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Text before the key, which several entries may share.
    before: String,
    key: String,
    /// The value, if it is to be shown.
    value: Option<String>,
    after: &'static str,
    /// The plugin that it concerns.
    plugin: Option<PluginId>,
    fate: Fate,
    /// Whether another value in its place is reported as a problem.
    guards: bool,
}

/// Whether an entry of a hidden file is in effect all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No other file has it.
    Lost,
    /// The file that hides it sets another value.
    Changed,
    /// A later file sets another value, and would do so even if nothing were hidden.
    Overridden,
    /// Another file sets the same value.
    InEffect,
}

impl Fate {
    /// Of a single value. `by` is the value in the file that hides this one; `with` would be in effect if this file were read before it;
    /// `now` is in effect.
    fn of<T: PartialEq>(value: &T, by: Option<&T>, with: Option<&T>, now: Option<&T>) -> Self {
        if now == Some(value) {
            Self::InEffect
        } else if with != now {
            Self::Lost
        } else if by == now {
            Self::Changed
        } else {
            Self::Overridden
        }
    }

    /// Of an element of a list: lists are concatenated over all files.
    const fn listed(is_there: bool) -> Self {
        if is_there { Self::InEffect } else { Self::Lost }
    }
}

impl Entry {
    fn is_missed(&self) -> bool {
        self.fate == Fate::Lost || self.fate == Fate::Changed && self.guards
    }

    /// The entry as written in the file; only the key if another value is in effect.
    fn text(&self) -> String {
        match &self.value {
            Some(value) if matches!(self.fate, Fate::Lost | Fate::InEffect) => {
                format!("{} = {value}", self.key)
            }
            _ => self.key.clone(),
        }
    }
}

impl Hidden {
    /// Whether something is missing without the file, or the file cannot be read.
    pub fn is_missed(&self) -> bool {
        self.entries.as_ref().map_or(true, |entries| entries.iter().any(Entry::is_missed))
    }

    /// Whether something that is missing concerns this plugin.
    pub fn concerns(&self, plugin: &str) -> bool {
        let is_about = |entry: &Entry| entry.plugin.as_ref().is_some_and(|id| id.as_str() == plugin);
        self.entries.iter().flatten().any(|entry| entry.is_missed() && is_about(entry))
    }

    /// A sentence that names both files and the entries of the hidden one.
    pub fn what(&self) -> String {
        let (by, file) = (self.by.display(), self.file.display());
        let hides = if self.masked {
            format!("{by} is a link to /dev/null and masks {file}")
        } else {
            format!("{by} replaces {file}")
        };
        let entries = match &self.entries {
            Ok(entries) => entries,
            Err(why) => return sanitize(&format!("{hides}, which cannot be read: {why}")),
        };
        if entries.is_empty() {
            return sanitize(&format!("{hides}, which sets nothing"));
        }
        let all_in_effect = entries.iter().all(|entry| entry.fate == Fate::InEffect);
        let mut text = hides;
        for (fate, before) in [
            (Fate::Lost, "; no longer in effect"),
            (Fate::Changed, "; changed by it"),
            (Fate::Overridden, "; changed by a later file"),
            (
                Fate::InEffect,
                if all_in_effect {
                    "; everything in the replaced file is still in effect"
                } else {
                    "; still in effect"
                },
            ),
        ] {
            let of_fate: Vec<&Entry> = entries.iter().filter(|entry| entry.fate == fate).collect();
            if !of_fate.is_empty() {
                text = format!("{text}{before}: {}", listed(&of_fate));
            }
        }
        sanitize(&self.consequence.iter().fold(text, |text, consequence| format!("{text}; {consequence}")))
    }

    /// How to bring back what is missing.
    pub fn fix(&self) -> &str {
        &self.fix
    }
}

/// The entries as text, grouped by the text before their keys.
fn listed(entries: &[&Entry]) -> String {
    let groups = entries.chunk_by(|a, b| a.before == b.before);
    let group = |group: &[&Entry]| {
        let what: Vec<String> = group.iter().map(|entry| entry.text()).collect();
        group.first().map(|first| format!("{}{}{}", first.before, what.join(", "), first.after))
    };
    groups.filter_map(group).collect::<Vec<_>>().join(" and ")
}

/// All configuration and grants files that are ignored.
pub(crate) fn all(places: &Places, may_be_policy: &dyn Fn(&PluginId) -> bool) -> Vec<Hidden> {
    let mut hidden = configuration(places, may_be_policy);
    hidden.extend(of_grants(places));
    hidden
}

fn configuration(places: &Places, may_be_policy: &dyn Fn(&PluginId) -> bool) -> Vec<Hidden> {
    let directories = directories(places);
    let found = drop_ins(&directories, |()| Owner::ROOT);
    let of_files = |hidden: Option<&TrustedPath>| {
        let mut files: Vec<&TrustedPath> = found.files.iter().map(|((), file)| file).collect();
        if let Some(hidden) = hidden {
            // The file that replaces it has the same name, and comes after it.
            let name = hidden.named.file_name();
            let at = files.iter().position(|file| file.named.file_name() >= name).unwrap_or(files.len());
            files.insert(at, hidden);
        }
        let mut configuration = Configuration::default();
        configuration.add_files(files);
        configuration
    };
    let now = of_files(None);
    let read_one = |file: &TrustedPath| {
        let text = read_drop_in(&file.real, Owner::ROOT).map_err(|error| error.to_string())?;
        SingleFile::read(&text).map_err(|error| error.to_string())
    };
    let hidden = found.hidden.iter().map(|hidden| {
        let (file, by) = (&hidden.file, &hidden.by);
        let entries = read_one(file).map(|single| {
            // What would be in effect if the file were read, and the other one after it.
            let with = of_files(Some(file));
            let hides = found.files.iter().find(|((), other)| other.named == *by);
            // A file that cannot be read has no effect.
            let by = hides.and_then(|((), by)| read_one(by).ok()).unwrap_or_default();
            entries_of(&single, &by, &with, &now, may_be_policy)
        });
        let fix = format!(
            "rename {0} so that both files are read, or copy the settings to keep into {0}",
            hidden.by.display()
        );
        let masked = hidden.masked;
        Hidden { file: file.named.clone(), by: hidden.by.clone(), masked, entries, consequence: None, fix }
    });
    hidden.collect()
}

/// What one file sets.
#[derive(Default)]
struct SingleFile {
    all: Configuration,
    native: Option<bool>,
    reads: Option<bool>,
}

impl SingleFile {
    fn read(text: &str) -> Result<Self, Diagnostic> {
        let mut all = Configuration::default();
        all.add(text)?;
        // A value that is set hides the default: read with both defaults, it is the same.
        let mut on = Configuration { native: true, ..Configuration::default() };
        on.judging.record_reads = true;
        on.add(text)?;
        let set = |off: bool, on: bool| (off == on).then_some(off);
        let native = set(all.native, on.native);
        let reads = set(all.judging.record_reads, on.judging.record_reads);
        Ok(Self { all, native, reads })
    }
}

/// What a file sets, and whether that is in effect.
fn entries_of(
    single: &SingleFile,
    by: &SingleFile,
    with: &Configuration,
    now: &Configuration,
    may_be_policy: &dyn Fn(&PluginId) -> bool,
) -> Vec<Entry> {
    let set = &single.all;
    let mut all = Vec::new();
    let mut list = |before: &str, key: String, plugin: Option<&PluginId>, is_there| {
        let (before, fate) = (format!("{before} = ["), Fate::listed(is_there));
        let (plugin, guards) = (plugin.cloned(), true);
        all.push(Entry { before, key, value: None, after: "]", plugin, fate, guards });
    };
    for (key, set, now) in [
        ("[policy] mandatory", &set.judging.mandatory, &now.judging.mandatory),
        ("[policy] fail-open", &set.judging.fail_open, &now.judging.fail_open),
    ] {
        for id in set {
            list(key, format!("\"{id}\""), Some(id), now.contains(id));
        }
    }
    for mask in &set.masked {
        let (id, place) = mask;
        let what = format!("{{ id = \"{id}\", place = \"{}\" }}", place.name());
        list("policy.masked", what, Some(id), now.masked.contains(mask));
    }
    for ((word, is_set), (_, now)) in delegated(set).into_iter().zip(delegated(now)) {
        if is_set {
            list("allow-delegated", format!("\"{word}\""), None, now);
        }
    }
    let mut value_entry =
        |before: String, key: &str, value: Option<String>, plugin: Option<&PluginId>, fate, guards| {
            let (key, plugin) = (key.to_owned(), plugin.cloned());
            all.push(Entry { before, key, value, after: "", plugin, fate, guards });
        };
    let others = ceilings(&by.all).into_iter().zip(ceilings(with)).zip(ceilings(now));
    for ((kind, key, most), (((_, _, by), (_, _, with)), (_, _, now))) in
        ceilings(set).into_iter().zip(others)
    {
        if let Some(most) = most {
            let fate = Fate::of(&most, by.as_ref(), with.as_ref(), now.as_ref());
            value_entry(format!("[ceiling.{kind}] "), key, Some(most.to_string()), None, fate, false);
        }
    }
    let reads = |configuration: &Configuration| configuration.judging.record_reads;
    for (table, key, value, by, with, now, guards) in [
        ("[native] ", "enabled", single.native, by.native, with.native, now.native, true),
        ("[audit] ", "reads", single.reads, by.reads, reads(with), reads(now), false),
    ] {
        if let Some(value) = value {
            let fate = Fate::of(&value, by.as_ref(), Some(&with), Some(&now));
            value_entry(table.to_owned(), key, Some(value.to_string()), None, fate, guards);
        }
    }
    for (id, (settings, _)) in &set.settings {
        for (key, value) in settings.iter() {
            let of = |all| {
                let all: &Configuration = all;
                all.settings.get(id).and_then(|(settings, _)| settings.get(key)).cloned()
            };
            let (by, with, now) = (of(&by.all), of(with), of(now));
            let fate = if now.as_ref().is_some_and(|now| now.covers(value)) {
                Fate::InEffect
            } else if by.as_ref().is_some_and(|by| by.joins(value)) {
                // Without the other file, both would be in effect.
                Fate::Changed
            } else {
                Fate::of(value, by.as_ref(), with.as_ref(), now.as_ref())
            };
            value_entry(
                format!("[settings.{id}] "),
                &format!("`{key}`"),
                None,
                Some(id),
                fate,
                may_be_policy(id),
            );
        }
    }
    all
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

fn ceilings(configuration: &Configuration) -> Vec<(&'static str, &'static str, Option<u32>)> {
    let kinds = [
        ("policy", configuration.policy_ceiling),
        ("format", configuration.format_ceiling),
        ("command", configuration.command_ceiling),
    ];
    let of_kind = |(kind, limits): (&'static str, PartialLimits)| {
        [("memory-mib", limits.memory_mib), ("guest-ms", limits.guest_ms), ("wall-ms", limits.wall_ms)]
            .map(|(key, most)| (kind, key, most))
    };
    kinds.into_iter().flat_map(of_kind).collect()
}

fn of_grants(places: &Places) -> Vec<Hidden> {
    let found = drop_ins(&places.grants, |place| places.owner(*place));
    if found.hidden.is_empty() {
        return Vec::new();
    }
    let (now, _) = grants::read(places);
    let hidden = found.hidden.iter().map(|hidden| {
        let read = grants::read_file(places, *hidden.place, &hidden.file);
        let granted = read.as_ref().map_or(&[][..], Vec::as_slice);
        let of_image = if *hidden.place == Place::Image { not_approved(granted, &now) } else { Vec::new() };
        let consequence = consequence(&of_image, &now);
        let fix = fix(granted, &hidden.by, &now);
        let entries = read.map(|granted| granted.iter().map(|granted| entry(granted, &now)).collect());
        let (file, by, masked) = (hidden.file.named.clone(), hidden.by.clone(), hidden.masked);
        Hidden { file, by, masked, entries, consequence, fix }
    });
    hidden.collect()
}

fn entry(granted: &Found, now: &[Found]) -> Entry {
    let named: Vec<String> = granted.capabilities.iter().map(ToString::to_string).collect();
    let named = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
    let mandatory = if granted.mandatory { "mandatory " } else { "" };
    Entry {
        before: if granted.built_in { "the capabilities of " } else { "the approval of " }.to_owned(),
        key: format!("{mandatory}{}{named}", granted.plugin),
        value: None,
        after: "",
        plugin: Some(granted.plugin.clone()),
        fate: Fate::listed(now.iter().any(|other| approves(other, granted) && guards(other, granted))),
        guards: true,
    }
}

/// The plugins of these grants of the OS image that no other grant approves in the same way.
fn not_approved<'a>(granted: &'a [Found], now: &[Found]) -> Vec<&'a PluginId> {
    let lost = granted.iter().filter(|granted| !now.iter().any(|other| approves(other, granted)));
    lost.map(|granted| &granted.plugin).collect()
}

/// What happens to these plugins because the grants of the OS image are ignored.
fn consequence(plugins: &[&PluginId], now: &[Found]) -> Option<String> {
    let has_another = |id: &&&PluginId| now.iter().any(|grant| grant.plugin == ***id);
    let (later, at_once): (Vec<&&PluginId>, Vec<&&PluginId>) = plugins.iter().partition(has_another);
    let later = later.into_iter().map(|id| format!("after an upgrade {id} will be disabled"));
    let disabled: Vec<String> =
        later.chain(at_once.into_iter().map(|id| format!("{id} is disabled"))).collect();
    let what = format!("the image's grant is not read: {} until it is approved again", disabled.join(", "));
    (!disabled.is_empty()).then_some(what)
}

/// How to have these grants read again.
fn fix(granted: &[Found], by: &Path, now: &[Found]) -> String {
    let of_file: Vec<&Found> = now.iter().filter(|grant| grant.file == by).collect();
    match of_file.as_slice() {
        [one] if one.is_own() && granted.iter().any(|granted| granted.plugin == one.plugin) => {
            format!("run `bootc-image plugin revoke {}`, or remove {}", one.plugin, by.display())
        }
        _ => format!("remove or rename {}", by.display()),
    }
}

/// Whether a grant approves everything that another one approves, including later versions if the other one names no digest.
fn approves(grant: &Found, other: &Found) -> bool {
    let covers = |digest: &Option<String>, other: &Option<String>| digest.is_none() || digest == other;
    let place = grant.place == other.place || matches!(grant.place, Place::Installed | Place::Site);
    grant.plugin == other.plugin
        && (grant.native, grant.built_in) == (other.native, other.built_in)
        && place
        && covers(&grant.sha256, &other.sha256)
        && covers(&grant.manifest, &other.manifest)
        && other.capabilities.iter().all(|capability| grant.capabilities.contains(capability))
}

/// Whether a missing plugin is reported because of this grant whenever it is because of the other one.
fn guards(grant: &Found, other: &Found) -> bool {
    (grant.mandatory || !other.mandatory) && (grant.is_of_policy() || !other.is_of_policy())
}

#[cfg(test)]
mod tests;

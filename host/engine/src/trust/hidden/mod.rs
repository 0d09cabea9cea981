//! Files that don't count because a later directory has one of the same name, and what is missing without them: a guard that the
//! OS image brings can go so without a word.

use std::path::{Path, PathBuf};

use bootc_image_model::plugin::PluginId;

use super::configuration::{Configuration, directories};
use super::grants::{self, Found};
use crate::limits::Wishes;
use crate::places::{Located, Owner, Place, Places, drop_ins, read_text};
use crate::sanitize::sanitize;
use crate::strict::Complaint;

/// A file that doesn't count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Which one.
    pub file: PathBuf,
    /// The one that counts in its place.
    pub by: PathBuf,
    says: Result<Vec<Entry>, String>,
    /// What follows from it.
    so: Option<String>,
    fix: String,
}

/// Something that a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// What it has in common with others.
    before: String,
    key: String,
    /// What it is set to, where that is told.
    value: Option<String>,
    after: &'static str,
    /// The plugin that it is about.
    plugin: Option<PluginId>,
    fate: Fate,
    /// Whether another value in its place is told as something wrong.
    guards: bool,
}

/// What became of something that a hidden file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is missing.
    Lost,
    /// The file that hides it says something else.
    Changed,
    /// A later file says something else, and would as well if nothing were hidden.
    Overridden,
    /// It holds all the same.
    Held,
}

impl Fate {
    /// Of a value: `with` holds if the file counted and the one that hides it came after it, `by` is what that one says.
    fn of<T: PartialEq>(said: &T, by: Option<&T>, with: Option<&T>, now: Option<&T>) -> Self {
        if now == Some(said) {
            Self::Held
        } else if with != now {
            Self::Lost
        } else if by == now {
            Self::Changed
        } else {
            Self::Overridden
        }
    }

    /// Of something in a list, which adds up over all files.
    const fn listed(is_there: bool) -> Self {
        if is_there { Self::Held } else { Self::Lost }
    }
}

impl Entry {
    fn is_missed(&self) -> bool {
        self.fate == Fate::Lost || self.fate == Fate::Changed && self.guards
    }

    /// As the file says it; of what is something else now only the key.
    fn text(&self) -> String {
        match &self.value {
            Some(value) if matches!(self.fate, Fate::Lost | Fate::Held) => format!("{} = {value}", self.key),
            _ => self.key.clone(),
        }
    }
}

impl Hidden {
    /// Whether something is missing without it, or nobody can tell.
    pub fn is_missed(&self) -> bool {
        self.says.as_ref().map_or(true, |says| says.iter().any(Entry::is_missed))
    }

    /// Whether something that is missing is about this plugin.
    pub fn concerns(&self, plugin: &str) -> bool {
        let is_about = |entry: &Entry| entry.plugin.as_ref().is_some_and(|id| id.as_str() == plugin);
        self.says.iter().flatten().any(|entry| entry.is_missed() && is_about(entry))
    }

    /// Which file hides which, and what that says.
    pub fn what(&self) -> String {
        let hides = format!("{} hides {}", self.by.display(), self.file.display());
        let says = match &self.says {
            Ok(says) => says,
            Err(why) => return sanitize(&format!("{hides}, which cannot be read: {why}")),
        };
        if says.is_empty() {
            return sanitize(&format!("{hides}, which sets nothing"));
        }
        let all_holds = says.iter().all(|entry| entry.fate == Fate::Held);
        let mut text = hides;
        for (fate, before) in [
            (Fate::Lost, "; no longer in effect"),
            (Fate::Changed, "; changed by it"),
            (Fate::Overridden, "; changed by a later file"),
            (
                Fate::Held,
                if all_holds { "; everything in it is still in effect" } else { "; still in effect" },
            ),
        ] {
            let entries: Vec<&Entry> = says.iter().filter(|entry| entry.fate == fate).collect();
            if !entries.is_empty() {
                text = format!("{text}{before}: {}", listed(&entries));
            }
        }
        sanitize(&self.so.iter().fold(text, |text, so| format!("{text}; {so}")))
    }

    /// What to do about what is missing.
    pub fn fix(&self) -> &str {
        &self.fix
    }
}

/// Entries, those together that have something in common.
fn listed(entries: &[&Entry]) -> String {
    let groups = entries.chunk_by(|a, b| a.before == b.before);
    let group = |group: &[&Entry]| {
        let what: Vec<String> = group.iter().map(|entry| entry.text()).collect();
        group.first().map(|first| format!("{}{}{}", first.before, what.join(", "), first.after))
    };
    groups.filter_map(group).collect::<Vec<_>>().join("; ")
}

/// All files of configuration and grants that don't count.
pub(crate) fn all(places: &Places, may_be_policy: &dyn Fn(&PluginId) -> bool) -> Vec<Hidden> {
    let mut hidden = configuration(places, may_be_policy);
    hidden.extend(of_grants(places));
    hidden
}

fn configuration(places: &Places, may_be_policy: &dyn Fn(&PluginId) -> bool) -> Vec<Hidden> {
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
    let alone = |file: &Located| {
        let text = read_text(&file.real, Owner::ROOT).map_err(|error| error.to_string())?;
        Alone::read(&text).map_err(|complaint| complaint.to_string())
    };
    let hidden = found.hidden.iter().map(|hidden| {
        let (file, by) = (&hidden.file, &hidden.by);
        let says = alone(file).map(|said| {
            // What would hold if the file counted, and the other one came after it.
            let with = of_files(Some((file, by)));
            let hides = found.files.iter().find(|((), other)| other.named == *by);
            // Of one that can't be read nothing counts.
            let by = hides.and_then(|((), by)| alone(by).ok()).unwrap_or_default();
            entries(&said, &by, &with, &now, may_be_policy)
        });
        let fix = "rename the site's file, or repeat in it the settings to keep".to_owned();
        Hidden { file: file.named.clone(), by: by.clone(), says, so: None, fix }
    });
    hidden.collect()
}

/// What one file says.
#[derive(Default)]
struct Alone {
    all: Configuration,
    native: Option<bool>,
    reads: Option<bool>,
}

impl Alone {
    fn read(text: &str) -> Result<Self, Complaint> {
        let mut all = Configuration::default();
        all.add(text)?;
        // What is set differs from nothing, whatever it is set to.
        let mut on = Configuration { native: true, ..Configuration::default() };
        on.judging.record_reads = true;
        on.add(text)?;
        let set = |off: bool, on: bool| (off == on).then_some(off);
        let native = set(all.native, on.native);
        let reads = set(all.judging.record_reads, on.judging.record_reads);
        Ok(Self { all, native, reads })
    }
}

/// What a file says, and what became of it.
fn entries(
    said: &Alone,
    by: &Alone,
    with: &Configuration,
    now: &Configuration,
    may_be_policy: &dyn Fn(&PluginId) -> bool,
) -> Vec<Entry> {
    let alone = &said.all;
    let mut all = Vec::new();
    let mut list = |before: &str, key: String, plugin: Option<&PluginId>, is_there| {
        let (before, fate) = (format!("{before} = ["), Fate::listed(is_there));
        let (plugin, guards) = (plugin.cloned(), true);
        all.push(Entry { before, key, value: None, after: "]", plugin, fate, guards });
    };
    for (key, alone, now) in [
        ("[policy] mandatory", &alone.judging.mandatory, &now.judging.mandatory),
        ("[policy] fail-open", &alone.judging.fail_open, &now.judging.fail_open),
    ] {
        for id in alone {
            list(key, format!("\"{id}\""), Some(id), now.contains(id));
        }
    }
    for mask in &alone.masked {
        let (id, place) = mask;
        let what = format!("{{ id = \"{id}\", place = \"{}\" }}", place.name());
        list("[policy] masked", what, Some(id), now.masked.contains(mask));
    }
    for ((word, alone), (_, now)) in delegated(alone).into_iter().zip(delegated(now)) {
        if alone {
            list("allow-delegated", format!("\"{word}\""), None, now);
        }
    }
    let mut single =
        |before: String, key: &str, value: Option<String>, plugin: Option<&PluginId>, fate, guards| {
            let (key, plugin) = (key.to_owned(), plugin.cloned());
            all.push(Entry { before, key, value, after: "", plugin, fate, guards });
        };
    let others = ceilings(&by.all).into_iter().zip(ceilings(with)).zip(ceilings(now));
    for ((kind, key, most), (((_, _, by), (_, _, with)), (_, _, now))) in
        ceilings(alone).into_iter().zip(others)
    {
        if let Some(most) = most {
            let fate = Fate::of(&most, by.as_ref(), with.as_ref(), now.as_ref());
            single(format!("[ceiling.{kind}] "), key, Some(most.to_string()), None, fate, false);
        }
    }
    let reads = |configuration: &Configuration| configuration.judging.record_reads;
    for (table, key, said, by, with, now, guards) in [
        ("[native] ", "enabled", said.native, by.native, with.native, now.native, true),
        ("[audit] ", "reads", said.reads, by.reads, reads(with), reads(now), false),
    ] {
        if let Some(said) = said {
            let fate = Fate::of(&said, by.as_ref(), Some(&with), Some(&now));
            single(table.to_owned(), key, Some(said.to_string()), None, fate, guards);
        }
    }
    for (id, settings) in &alone.settings {
        for (key, said) in settings {
            let of = |all| {
                let all: &Configuration = all;
                all.settings.get(id).and_then(|settings| settings.get(key)).cloned()
            };
            let (by, with, now) = (of(&by.all), of(with), of(now));
            let fate = Fate::of(said, by.as_ref(), with.as_ref(), now.as_ref());
            single(format!("[settings.{id}] "), key, None, Some(id), fate, may_be_policy(id));
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
    let of_kind = |(kind, wishes): (&'static str, Wishes)| {
        [("memory-mib", wishes.memory_mib), ("guest-ms", wishes.guest_ms), ("wall-ms", wishes.wall_ms)]
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
        let says = grants::read_file(places, *hidden.place, &hidden.file);
        let granted = says.as_ref().map_or(&[][..], Vec::as_slice);
        let of_image = if *hidden.place == Place::Image { not_approved(granted, &now) } else { Vec::new() };
        let so = so(&of_image, &now);
        let fix = fix(granted, &hidden.by, &now);
        let says = says.map(|granted| granted.iter().map(|granted| entry(granted, &now)).collect());
        Hidden { file: hidden.file.named.clone(), by: hidden.by.clone(), says, so, fix }
    });
    hidden.collect()
}

fn entry(granted: &Found, now: &[Found]) -> Entry {
    let named: Vec<String> = granted.capabilities.iter().map(ToString::to_string).collect();
    let named = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
    let mandatory = if granted.mandatory { "mandatory " } else { "" };
    Entry {
        before: "the approval of ".to_owned(),
        key: format!("{mandatory}{}{named}", granted.plugin),
        value: None,
        after: "",
        plugin: Some(granted.plugin.clone()),
        fate: Fate::listed(now.iter().any(|other| approves(other, granted) && guards(other, granted))),
        guards: true,
    }
}

/// The plugins that nothing approves as these grants of the image's do.
fn not_approved<'a>(granted: &'a [Found], now: &[Found]) -> Vec<&'a PluginId> {
    let lost = granted.iter().filter(|granted| !now.iter().any(|other| approves(other, granted)));
    lost.map(|granted| &granted.plugin).collect()
}

/// What it means that the image's grants of these plugins aren't read.
fn so(plugins: &[&PluginId], now: &[Found]) -> Option<String> {
    let has_another = |id: &&&PluginId| now.iter().any(|grant| grant.plugin == ***id);
    let (later, at_once): (Vec<&&PluginId>, Vec<&&PluginId>) = plugins.iter().partition(has_another);
    let later = later.into_iter().map(|id| format!("after an upgrade {id} will be disabled"));
    let disabled: Vec<String> =
        later.chain(at_once.into_iter().map(|id| format!("{id} is disabled"))).collect();
    let what = format!("the image's grant is not read: {} until it is approved again", disabled.join(", "));
    (!disabled.is_empty()).then_some(what)
}

/// How these grants are read again.
fn fix(granted: &[Found], by: &Path, now: &[Found]) -> String {
    let of_file: Vec<&Found> = now.iter().filter(|grant| grant.file == by).collect();
    match of_file.as_slice() {
        [one] if one.is_own() && granted.iter().any(|granted| granted.plugin == one.plugin) => {
            format!("run `bootc-image plugin revoke {}`, or remove {}", one.plugin, by.display())
        }
        _ => format!("remove or rename {}", by.display()),
    }
}

/// Whether a grant approves all that another one does: also the next version, of a grant that names no digest.
fn approves(grant: &Found, other: &Found) -> bool {
    let covers = |digest: &Option<String>, other: &Option<String>| digest.is_none() || digest == other;
    let place = grant.place == other.place || matches!(grant.place, Place::Installed | Place::Site);
    grant.plugin == other.plugin
        && grant.native == other.native
        && place
        && covers(&grant.sha256, &other.sha256)
        && covers(&grant.manifest, &other.manifest)
        && other.capabilities.iter().all(|capability| grant.capabilities.contains(capability))
}

/// Whether a grant has its plugin missed as much as another one.
fn guards(grant: &Found, other: &Found) -> bool {
    (grant.mandatory || !other.mandatory) && (grant.is_of_policy() || !other.is_of_policy())
}

#[cfg(test)]
mod tests;

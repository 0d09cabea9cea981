//! What the administrator has configured. All files count, in the order of their names; lists add up, and of a single value
//! the last one stands.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bootc_image_model::configuration::Configuration as Judging;
use bootc_image_model::configuration::Delegated;
use bootc_image_model::plugin::PluginId;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use crate::limits::Wishes;
use crate::manifest::raw::RawLimits;
use crate::places::{Located, Owner, Place, Places, drop_ins, read_text};
use crate::strict::{Complaint, Source, named, one_of};

/// Everything configured.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// What judging needs.
    pub judging: Judging,
    /// Plugins that don't count where they are.
    pub masked: Vec<(PluginId, Place)>,
    /// Whether native extensions that were approved may run.
    pub native: bool,
    /// The most that policies may use.
    pub policy_ceiling: Wishes,
    /// The most that plugins may use which format lists.
    pub format_ceiling: Wishes,
    /// The most that plugins may use which plan commands.
    pub command_ceiling: Wishes,
    /// Settings by plugin: JSON objects.
    pub settings: BTreeMap<PluginId, Map<String, Value>>,
    /// What couldn't be read, and is missing from all this: nothing that acts runs then.
    pub problems: Vec<String>,
}

/// A configuration file.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct RawConfiguration {
    /// What callers who are root through sudo, pkexec or doas may do: `sysroot`, `build`, `load`, `plugins`.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    allow_delegated: Vec<Spanned<String>>,
    /// The audit record.
    audit: RawAudit,
    /// The most that plugins may use, whatever they ask for.
    ceiling: RawCeilings,
    /// Native extensions.
    native: RawNatives,
    /// Which policies count, and how.
    policy: RawPolicy,
    /// Settings of plugins, by id.
    #[cfg_attr(test, schemars(with = "BTreeMap<String, BTreeMap<String, Value>>"))]
    settings: BTreeMap<Spanned<String>, toml::Table>,
}

/// The audit record.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct RawAudit {
    /// Whether what only reads is recorded too, if root asks.
    reads: Option<bool>,
}

/// Native extensions.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct RawNatives {
    /// Whether those that were approved may run, with full authority. Without it, none does.
    enabled: Option<bool>,
}

/// The most that plugins may use.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct RawCeilings {
    /// Policies.
    policy: Option<RawLimits>,
    /// Plugins that format lists.
    format: Option<RawLimits>,
    /// Plugins that plan commands.
    command: Option<RawLimits>,
}

/// Which policies count, and how.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawPolicy {
    /// Policies that must be there: without one of them everything is denied.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    mandatory: Vec<Spanned<String>>,
    /// Policies whose failing doesn't deny; it is logged.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    fail_open: Vec<Spanned<String>>,
    /// Plugins that don't count where they are.
    masked: Vec<RawMask>,
}

/// A plugin that doesn't count.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawMask {
    /// Its id.
    #[cfg_attr(test, schemars(with = "String"))]
    id: Spanned<String>,
    /// Where: `image`, `installed`, `site` or `user`.
    #[cfg_attr(test, schemars(with = "String"))]
    place: Spanned<String>,
}

impl Configuration {
    /// Reads all that can be read. What can't is left out, and said with the file, the line and the key.
    pub fn read(places: &Places) -> Self {
        let directories = directories(places);
        let found = drop_ins(&directories, |()| Owner::ROOT);
        let mut configuration = Self::default();
        for problem in &found.problems {
            configuration.complain(format!("cannot read the configuration: {problem}"));
        }
        configuration.add_files(found.files.iter().map(|((), file)| file));
        configuration
    }

    pub(crate) fn add_files<'a>(&mut self, files: impl IntoIterator<Item = &'a Located>) {
        for Located { named, real } in files {
            let text = read_text(real, Owner::ROOT).map_err(|error| error.to_string());
            // Nothing of a file counts that isn't understood to its end.
            let mut with = self.clone();
            match text.and_then(|text| with.add(&text).map_err(|complaint| complaint.to_string())) {
                Ok(()) => *self = with,
                Err(why) => self.complain(format!("{}: {why}", named.display())),
            }
        }
    }

    fn complain(&mut self, problem: String) {
        self.judging.broken.get_or_insert_with(|| problem.clone());
        self.problems.push(problem);
    }

    /// Adds a file's text.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn add(&mut self, text: &str) -> Result<(), Complaint> {
        let source = Source(text);
        let raw: RawConfiguration = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        for word in &raw.allow_delegated {
            let Delegated { sysroot, build, load, plugins } = &mut self.judging.allow_delegated;
            let known = [("sysroot", sysroot), ("build", build), ("load", load), ("plugins", plugins)];
            let names = known.each_ref().map(|(name, _)| *name);
            let word = source.checked(word, "allow-delegated", |text| {
                one_of(text, &names, "a valid value")
            })?;
            for (_, allowed) in known.into_iter().filter(|(name, _)| *name == word) {
                *allowed = true;
            }
        }
        for (given, ids, key) in [
            (&raw.policy.mandatory, &mut self.judging.mandatory, "mandatory"),
            (&raw.policy.fail_open, &mut self.judging.fail_open, "fail-open"),
        ] {
            for text in given {
                ids.push(source.id(text, key)?);
            }
        }
        for mask in &raw.policy.masked {
            let place = source.checked(&mask.place, "place", |text| {
                named(text, Place::ALL, |place| place.name(), "a plugin location")
            })?;
            self.masked.push((source.id(&mask.id, "id")?, place));
        }
        if let Some(enabled) = raw.native.enabled {
            self.native = enabled;
        }
        if let Some(reads) = raw.audit.reads {
            self.judging.record_reads = reads;
        }
        let ceilings = [
            (raw.ceiling.policy, &mut self.policy_ceiling),
            (raw.ceiling.format, &mut self.format_ceiling),
            (raw.ceiling.command, &mut self.command_ceiling),
        ];
        for (given, ceiling) in ceilings {
            if let Some(given) = given.map(RawLimits::wishes) {
                *ceiling = Wishes {
                    memory_mib: given.memory_mib.or(ceiling.memory_mib),
                    guest_ms: given.guest_ms.or(ceiling.guest_ms),
                    wall_ms: given.wall_ms.or(ceiling.wall_ms),
                };
            }
        }
        for (name, table) in raw.settings {
            let settings = self.settings.entry(source.id(&name, "settings")?).or_default();
            settings.extend(table.into_iter().map(|(key, value)| (key, json(value))));
        }
        Ok(())
    }

    /// A plugin's settings as the text of a JSON object.
    pub(crate) fn settings_of(&self, plugin: &PluginId) -> String {
        self.settings
            .get(plugin)
            .map_or_else(|| "{}".to_owned(), |settings| Value::Object(settings.clone()).to_string())
    }
}

/// Where configuration is.
pub(crate) fn directories(places: &Places) -> Vec<((), PathBuf)> {
    places.configuration.iter().map(|path| ((), path.clone())).collect()
}

/// TOML as JSON: a time becomes its text, and a number that JSON hasn't becomes nothing.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, json(value))).collect())
        }
    }
}

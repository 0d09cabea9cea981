//! The administrator's configuration. All files are read in the order of their names: lists are concatenated, and the last file
//! that sets a single value wins.

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

use crate::limits::PartialLimits;
use crate::manifest::raw::RawLimits;
use crate::places::{Owner, Place, Places, TrustedPath, drop_ins, read_text, with_path};
use crate::strict::{Diagnostic, Source, named, one_of};

/// Everything configured.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// The part that the core needs to judge operations.
    pub judging: Judging,
    /// Plugins that are ignored in the location given.
    pub masked: Vec<(PluginId, Place)>,
    /// Whether approved native extensions may run.
    pub native: bool,
    /// The highest limits that policies can get.
    pub policy_ceiling: PartialLimits,
    /// The highest limits that formats can get.
    pub format_ceiling: PartialLimits,
    /// The highest limits that wrappers can get.
    pub command_ceiling: PartialLimits,
    /// The settings of each plugin, a JSON object.
    pub settings: BTreeMap<PluginId, Map<String, Value>>,
    /// Files that could not be read and are missing here. If there are any, operations that change something are refused.
    pub problems: Vec<String>,
}

/// A configuration file.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct RawConfiguration {
    /// What delegated callers (root through sudo, pkexec or doas) may do: `sysroot`, `build`, `load`, `plugins`.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    allow_delegated: Vec<Spanned<String>>,
    /// The audit record.
    audit: RawAudit,
    /// The highest limits that plugins can get, whatever they request.
    ceiling: RawCeilings,
    /// Native extensions.
    native: RawNatives,
    /// Which policies are mandatory, may fail or are masked.
    policy: RawPolicy,
    /// Settings of plugins, by plugin id.
    #[cfg_attr(test, schemars(with = "BTreeMap<String, BTreeMap<String, Value>>"))]
    settings: BTreeMap<Spanned<String>, toml::Table>,
}

/// The audit record.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct RawAudit {
    /// Whether root's operations that only read are recorded too.
    reads: Option<bool>,
}

/// Native extensions.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct RawNatives {
    /// Whether approved native extensions may run, with full authority. By default none runs.
    enabled: Option<bool>,
}

/// The highest limits that plugins can get.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct RawCeilings {
    /// Policies.
    policy: Option<RawLimits>,
    /// Formats.
    format: Option<RawLimits>,
    /// Wrappers of podman's subcommands.
    command: Option<RawLimits>,
}

/// Which policies are mandatory, may fail or are masked.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawPolicy {
    /// Policies that must be installed: without one of them, every operation except `list` is denied.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    mandatory: Vec<Spanned<String>>,
    /// Policies whose failure is logged and does not deny.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    fail_open: Vec<Spanned<String>>,
    /// Plugins that are ignored in the location given.
    masked: Vec<RawMask>,
}

/// A plugin that is ignored in one location.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawMask {
    /// The id of the plugin.
    #[cfg_attr(test, schemars(with = "String"))]
    id: Spanned<String>,
    /// The location: `image`, `installed`, `site` or `user`.
    #[cfg_attr(test, schemars(with = "String"))]
    place: Spanned<String>,
}

impl Configuration {
    /// Reads all files that can be read. The others are left out and listed in `problems`, with file, line and key.
    pub fn read(places: &Places) -> Self {
        let directories = directories(places);
        let found = drop_ins(&directories, |()| Owner::ROOT);
        let mut configuration = Self::default();
        for problem in &found.problems {
            configuration.add_problem(format!("cannot read the configuration: {problem}"));
        }
        configuration.add_files(found.files.iter().map(|((), file)| file));
        configuration
    }

    pub(crate) fn add_files<'a>(&mut self, files: impl IntoIterator<Item = &'a TrustedPath>) {
        for TrustedPath { named, real } in files {
            let text = read_text(real, Owner::ROOT).map_err(|error| error.to_string());
            // A file with an error has no effect at all: half of it could allow what the other half was to restrict.
            let mut with = self.clone();
            match text.and_then(|text| with.add(&text).map_err(|error| error.to_string())) {
                Ok(()) => *self = with,
                Err(why) => self.add_problem(with_path(named, why)),
            }
        }
    }

    fn add_problem(&mut self, problem: String) {
        self.judging.broken.get_or_insert_with(|| problem.clone());
        self.problems.push(problem);
    }

    /// Adds the text of a file.
    ///
    /// # Errors
    /// The first error in the text, with line and key.
    pub fn add(&mut self, text: &str) -> Result<(), Diagnostic> {
        let source = Source(text);
        let raw: RawConfiguration = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        for word in &raw.allow_delegated {
            let Delegated { sysroot, build, load, plugins } = &mut self.judging.allow_delegated;
            let known = [("sysroot", sysroot), ("build", build), ("load", load), ("plugins", plugins)];
            let names = known.each_ref().map(|(name, _)| *name);
            let word =
                source.checked(word, "allow-delegated", |text| one_of(text, &names, "a valid value"))?;
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
            if let Some(given) = given.map(RawLimits::partial) {
                *ceiling = PartialLimits {
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

    /// A plugin's settings as a JSON object.
    pub(crate) fn settings_of(&self, plugin: &PluginId) -> String {
        self.settings
            .get(plugin)
            .map_or_else(|| "{}".to_owned(), |settings| Value::Object(settings.clone()).to_string())
    }
}

/// The configuration directories.
pub(crate) fn directories(places: &Places) -> Vec<((), PathBuf)> {
    places.configuration.iter().map(|path| ((), path.clone())).collect()
}

/// Converts TOML to JSON. A time becomes a string; a number that JSON cannot express, such as `nan`, becomes `null`.
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

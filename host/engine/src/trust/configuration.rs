//! The administrator's configuration. All files are read in the order of their names: lists are concatenated, and the last file
//! that sets a single value wins. `Origins::join` has the rule for the settings of plugins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootc_image_manifest::PartialLimits;
use bootc_image_manifest::raw::RawLimits;
use bootc_image_manifest::strict::{Diagnostic, Source, named, one_of};
use bootc_image_model::configuration::Configuration as Judging;
use bootc_image_model::configuration::Delegated;
use bootc_image_model::digest_list::Shortened;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::plugin_settings::{Origins, PluginSettings, Setting, Table};
#[cfg(test)]
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::way_out::fix_configuration;
use crate::places::{LARGEST_DROP_IN, Owner, Place, Places, TrustedPath, drop_ins, read_drop_in, with_path};

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
    /// The settings of each plugin, and which files they are from.
    pub settings: BTreeMap<PluginId, (Arc<Table>, Origins)>,
    /// Files that could not be read and are missing here. If there are any, operations that change something are refused.
    pub problems: Vec<String>,
    /// For each of the problems: what to do about it, if that is not clear from the file's name.
    pub fixes: Vec<Option<String>>,
    /// The files that make policies mandatory.
    pub mandatory_in: Vec<(PluginId, PathBuf)>,
    /// The directory of the OS image's configuration, and the one whose files replace its files.
    pub replaceable: Option<(PathBuf, PathBuf)>,
    /// Bytes of all files that were read.
    pub length: u64,
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
        let mut configuration = Self { replaceable: places.replaceable_configuration(), ..Self::default() };
        for problem in &found.problems {
            configuration.add_problem(format!("cannot read the configuration: {problem}"), None);
        }
        configuration.add_files(found.files.iter().map(|((), file)| file));
        configuration
    }

    pub(crate) fn add_files<'a>(&mut self, files: impl IntoIterator<Item = &'a TrustedPath>) {
        for TrustedPath { named, real } in files {
            tracing::info!(file = %named.display(), "reading the configuration");
            let text = read_drop_in(real, Owner::ROOT).map_err(|error| error.to_string());
            let text = text.and_then(|text| {
                self.length = self.length.saturating_add(text.len() as u64);
                let fits = self.length <= LARGEST_DROP_IN;
                let most = LARGEST_DROP_IN >> 20;
                fits.then_some(text).ok_or_else(|| format!("all files together are larger than {most} MiB"))
            });
            // A file with an error has no effect at all: half of it could allow what the other half was to restrict.
            let mut with = self.clone();
            match text.and_then(|text| with.add_file(&text, named).map_err(|error| error.to_string())) {
                Ok(()) => {
                    let listed = with.judging.mandatory.iter().skip(self.judging.mandatory.len());
                    with.mandatory_in.extend(listed.map(|id| (id.clone(), named.clone())));
                    *self = with;
                }
                Err(why) => {
                    let fix = fix_configuration(named, &self.replaceable);
                    self.add_problem(with_path(named, &why), fix);
                }
            }
        }
    }

    fn add_problem(&mut self, problem: String, fix: Option<String>) {
        if self.judging.broken.is_none() {
            self.judging.broken = Some(problem.clone());
            self.judging.fix.clone_from(&fix);
        }
        self.problems.push(problem);
        self.fixes.push(fix);
    }

    /// Adds the text of a file.
    ///
    /// # Errors
    /// The first error in the text, with line and key.
    pub fn add(&mut self, text: &str) -> Result<(), Diagnostic> {
        self.add_file(text, Path::new("this file"))
    }

    fn add_file(&mut self, text: &str, file: &Path) -> Result<(), Diagnostic> {
        // Whatever is wrong is found again in the whole text, with its line.
        if let Some(shortened) = Shortened::of(text) {
            let mut with = self.clone();
            if with.add_text(&shortened.text, Some(&shortened), file).is_ok() {
                *self = with;
                return Ok(());
            }
        }
        self.add_text(text, None, file)
    }

    fn add_text(&mut self, text: &str, lists: Option<&Shortened>, file: &Path) -> Result<(), Diagnostic> {
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
        let mut placed = 0;
        for (name, table) in raw.settings {
            let (settings, origins) = self.settings.entry(source.id(&name, "settings")?).or_default();
            let table = below(table, lists);
            placed += table.values().map(Setting::lists).sum::<usize>();
            origins.join(Arc::make_mut(settings), table, file);
        }
        if lists.is_some_and(|lists| placed != lists.count()) {
            return Err(Diagnostic::new("a list of digests is not the value of a setting"));
        }
        Ok(())
    }

    /// A plugin's settings.
    pub(crate) fn settings_of(&self, plugin: &PluginId) -> PluginSettings {
        PluginSettings::new(self.settings.get(plugin).map(|(settings, _)| settings.clone()))
    }
}

/// The configuration directories.
pub(crate) fn directories(places: &Places) -> Vec<((), PathBuf)> {
    places.configuration.iter().map(|path| ((), path.clone())).collect()
}

fn below(table: toml::Table, lists: Option<&Shortened>) -> Table {
    table.into_iter().map(|(key, value)| (key, setting(value, lists))).collect()
}

fn setting(value: toml::Value, lists: Option<&Shortened>) -> Setting {
    match value {
        toml::Value::Table(table) => Setting::Table(below(table, lists)),
        toml::Value::Array(items) if !items.is_empty() && items.iter().all(toml::Value::is_table) => {
            Setting::Tables(items.into_iter().map(|item| setting(item, lists)).collect())
        }
        toml::Value::String(text) => match lists.and_then(|lists| lists.list(&text)) {
            Some(list) => Setting::Digests(list.clone()),
            None => Setting::Value(Value::String(text)),
        },
        other => Setting::Value(json(other)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings of all plugins; none if the file is refused.
    fn settings(text: &str, lists: Option<&Shortened>) -> Option<Vec<String>> {
        let mut all = Configuration::default();
        all.add_text(text, lists, Path::new("a.toml")).ok()?;
        let of_plugin = |(id, (table, _)): (PluginId, (Arc<Table>, Origins))| {
            format!("{id}: {}", PluginSettings::new(Some(table)).full())
        };
        Some(all.settings.into_iter().map(of_plugin).collect())
    }

    #[test]
    fn a_shortened_file_has_the_settings_of_the_whole_file_or_is_refused() {
        let digests: String = (0..64).map(|number| format!("\"sha256:{number:064x}\",")).collect();
        // Short files are not shortened.
        let comment = format!("# {}", "x".repeat(4 << 10));
        let file =
            ["[settings.p]\n", "a", "=", "[", &digests, "# b = ", "\n", "]", "\n", "c = 1\n", &comment];
        let inserted = ["\"", "\"\"", "''", "[", "]", "=", ",", "#", "\n", "\r", "\u{1}"];
        // Every file in which one or two of these are inserted somewhere.
        let places = 0..=file.len();
        let all: Vec<(usize, &str)> =
            places.flat_map(|place| inserted.iter().map(move |text| (place, *text))).collect();
        let mut shortened_files = 0;
        for (number, first) in all.iter().enumerate() {
            for second in all.iter().skip(number) {
                let mut parts = file.to_vec();
                // The later one first, so that the place of the other one stays what it is.
                parts.insert(second.0, second.1);
                parts.insert(first.0, first.1);
                let text = parts.concat();
                let Some(shortened) = Shortened::of(&text) else { continue };
                if let Some(found) = settings(&shortened.text, Some(&shortened)) {
                    assert_eq!(Some(found), settings(&text, None), "{text:?}");
                    shortened_files += 1;
                }
            }
        }
        assert!(shortened_files > 100, "{shortened_files}");
    }
}

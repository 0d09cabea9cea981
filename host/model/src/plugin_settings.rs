//! The settings of a plugin: how those of several files are joined, and what the plugin gets.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::digest::Digest;
use crate::digest_list::DigestList;

/// A table of settings.
pub type Table = BTreeMap<String, Setting>;

/// A setting.
#[derive(Debug, Clone)]
pub enum Setting {
    /// A table. Those of several files are joined key by key.
    Table(Table),
    /// A list that has only tables. Those of several files are joined, in the order of the files.
    Tables(Vec<Self>),
    /// A long list of digests. That of a later file replaces it.
    Digests(DigestList),
    /// Any other value. That of a later file replaces it.
    Value(Value),
}

/// A list of digests is the same setting whether or not its file was long enough to have it kept as a
/// [`DigestList`].
impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Table(mine), Self::Table(others)) => mine == others,
            (Self::Tables(mine), Self::Tables(others)) => mine == others,
            (Self::Digests(mine), Self::Digests(others)) => mine == others,
            (Self::Value(mine), Self::Value(others)) => mine == others,
            (Self::Digests(digests), Self::Value(Value::Array(values)))
            | (Self::Value(Value::Array(values)), Self::Digests(digests)) => digests.is_same_as(values),
            _ => false,
        }
    }
}

impl Setting {
    /// Whether all of `other` is part of this value.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Table(mine), Self::Table(others)) => {
                others.iter().all(|(key, other)| mine.get(key).is_some_and(|mine| mine.covers(other)))
            }
            (Self::Tables(mine), Self::Tables(others)) => others.iter().all(|other| mine.contains(other)),
            (mine, other) => mine == other,
        }
    }

    /// Whether it is joined with a value of this kind, and does not replace it.
    pub fn joins(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Table(_), Self::Table(_)) | (Self::Tables(_), Self::Tables(_)))
    }

    /// The number of long lists of digests in it.
    pub fn lists(&self) -> usize {
        match self {
            Self::Table(table) => table.values().map(Self::lists).sum(),
            Self::Tables(tables) => tables.iter().map(Self::lists).sum(),
            Self::Digests(_) => 1,
            Self::Value(_) => 0,
        }
    }

    fn count(&self) -> usize {
        if let Self::Tables(tables) = self { tables.len() } else { 1 }
    }
}

/// Which file each setting is from. The keys are paths such as `rule`.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    files: BTreeMap<String, Vec<(PathBuf, usize)>>,
    /// Each setting that a later file replaced, with that file and the earlier one.
    replaced: Vec<(String, PathBuf, PathBuf)>,
}

impl Origins {
    /// Joins the settings of a file with those of earlier files.
    pub fn join(&mut self, settings: &mut Table, later: Table, file: &Path) {
        self.join_below("", settings, later, file);
    }

    fn join_below(&mut self, above: &str, settings: &mut Table, later: Table, file: &Path) {
        for (key, later) in later {
            let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
            let origin = (file.to_owned(), later.count());
            match settings.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(later);
                    self.files.insert(path, vec![origin]);
                }
                Entry::Occupied(mut place) => match (place.get_mut(), later) {
                    (Setting::Table(earlier), Setting::Table(later)) => {
                        self.join_below(&path, earlier, later, file);
                    }
                    (Setting::Tables(earlier), Setting::Tables(later)) => {
                        // If the table around them was set as a whole, all earlier ones are from its file.
                        let whole = self.files_of(&path).and_then(<[_]>::first);
                        let whole = whole.map(|(before, _)| (before.clone(), earlier.len()));
                        let files = self.files.entry(path).or_insert_with(|| whole.into_iter().collect());
                        files.push(origin);
                        earlier.extend(later);
                    }
                    (earlier, later) => {
                        if *earlier != later
                            && let Some((before, _)) = self.files_of(&path).and_then(<[_]>::last)
                        {
                            self.replaced.push((path.clone(), file.to_owned(), before.clone()));
                        }
                        // What was below an earlier table is no longer in effect.
                        let below = format!("{path}.");
                        self.files.retain(|key, _| !key.starts_with(&below));
                        self.replaced.retain(|(key, ..)| !key.starts_with(&below));
                        *earlier = later;
                        self.files.insert(path, vec![origin]);
                    }
                },
            }
        }
    }

    /// The files of a setting, or of the table in which it was set as a whole.
    fn files_of(&self, path: &str) -> Option<&[(PathBuf, usize)]> {
        let above = || self.files_of(path.rsplit_once('.')?.0);
        self.files.get(path).map(Vec::as_slice).or_else(above)
    }

    /// In one sentence each, what comes from more than one file.
    pub fn sentences(&self, plugin: &str) -> Vec<String> {
        let replaced = self.replaced.iter().map(|(key, later, earlier)| {
            format!(
                "{} replaces {key} in [settings.{plugin}], which {} also sets",
                later.display(),
                earlier.display()
            )
        });
        let joined = self.files.iter().filter(|(_, files)| files.len() > 1).map(|(key, files)| {
            let files = files.iter().map(|(file, count)| format!("{count} of {}", file.display()));
            let files: Vec<String> = files.collect();
            format!(
                "{key} in [settings.{plugin}] is joined from several files, in this order: {}",
                files.join(", ")
            )
        });
        replaced.chain(joined).collect()
    }
}

/// The settings of one plugin, as it gets them.
#[derive(Debug, Default)]
pub struct PluginSettings {
    brief: String,
    lists: Vec<(String, DigestList)>,
    table: Option<Arc<Table>>,
    full: OnceLock<String>,
    digest: OnceLock<String>,
}

impl PluginSettings {
    /// The settings in this table; none: an empty one.
    pub fn new(table: Option<Arc<Table>>) -> Self {
        let (mut brief, mut lists) = (String::new(), Vec::new());
        match &table {
            Some(table) => write_table(table, "", &mut |piece| brief.push_str(piece), &mut Some(&mut lists)),
            None => brief.push_str("{}"),
        }
        Self { brief, lists, table, ..Self::default() }
    }

    /// All settings as a JSON object.
    pub fn full(&self) -> &str {
        let write = || {
            let mut json = String::with_capacity(self.length());
            self.write_full(&mut |piece| json.push_str(piece));
            json
        };
        if self.lists.is_empty() { &self.brief } else { self.full.get_or_init(write) }
    }

    fn write_full(&self, write: &mut dyn FnMut(&str)) {
        match &self.table {
            Some(table) => write_table(table, "", write, &mut None),
            None => write("{}"),
        }
    }

    /// As [`Self::full`], with an empty list in place of each long list of digests.
    pub fn brief(&self) -> &str {
        &self.brief
    }

    /// The long lists of digests, each with its place, such as `rule[0].digest`.
    pub fn lists(&self) -> &[(String, DigestList)] {
        &self.lists
    }

    /// The length of [`Self::full`].
    pub fn length(&self) -> usize {
        self.brief.len() + self.lists.iter().map(|(_, list)| list.json_length() - 2).sum::<usize>()
    }

    /// SHA-256 of [`Self::full`] in lower-case hexadecimal digits. It is computed once, by the first thread that needs it.
    pub fn digest(&self) -> &str {
        // Not of the text as a whole: with long lists, making it would take longer than hashing it.
        self.digest.get_or_init(|| Digest::of_written(|write| self.write_full(write)).hex().to_owned())
    }
}

type Lists<'a> = Option<&'a mut Vec<(String, DigestList)>>;

fn write_table(table: &Table, above: &str, write: &mut dyn FnMut(&str), lists: &mut Lists<'_>) {
    for (number, (key, setting)) in table.iter().enumerate() {
        let start = if number == 0 { '{' } else { ',' };
        write(&format!("{start}{}:", Value::from(key.as_str())));
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        write_setting(setting, &path, write, lists);
    }
    write(if table.is_empty() { "{}" } else { "}" });
}

fn write_setting(setting: &Setting, path: &str, write: &mut dyn FnMut(&str), lists: &mut Lists<'_>) {
    match setting {
        Setting::Table(table) => write_table(table, path, write, lists),
        Setting::Tables(tables) => {
            for (number, table) in tables.iter().enumerate() {
                write(if number == 0 { "[" } else { "," });
                write_setting(table, &format!("{path}[{number}]"), write, lists);
            }
            write(if tables.is_empty() { "[]" } else { "]" });
        }
        Setting::Digests(list) => match lists {
            Some(lists) => {
                lists.push((path.to_owned(), list.clone()));
                write("[]");
            }
            None => list.write_json(write),
        },
        Setting::Value(value) => write(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::digest_list::Shortened;

    /// A setting as the configuration has it.
    fn setting(value: &Value) -> Setting {
        match value {
            Value::Object(table) => Setting::Table(below(table)),
            Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_object) => {
                Setting::Tables(items.iter().map(setting).collect())
            }
            other => Setting::Value(other.clone()),
        }
    }

    fn below(table: &serde_json::Map<String, Value>) -> Table {
        table.iter().map(|(key, value)| (key.clone(), setting(value))).collect()
    }

    fn table(value: &Value) -> Table {
        below(value.as_object().unwrap())
    }

    fn joined(files: &[Value]) -> (Value, Vec<String>) {
        let (mut origins, mut all) = (Origins::default(), Table::new());
        for (number, file) in files.iter().enumerate() {
            origins.join(&mut all, table(file), Path::new(&format!("{number}.toml")));
        }
        let settings = PluginSettings::new(Some(Arc::new(all)));
        (serde_json::from_str(settings.full()).unwrap(), origins.sentences("p"))
    }

    #[test]
    fn tables_and_lists_of_tables_are_joined_and_other_values_are_replaced() {
        let (all, said) = joined(&[
            json!({"a": 1, "t": {"x": 1, "y": [1, 2]}, "rule": [{"n": 1}], "same": true}),
            json!({"b": 2, "t": {"y": [3], "z": {}}, "rule": [{"n": 2}, {"n": 3}], "same": true}),
            json!({"a": [], "rule": [{"n": 1}]}),
        ]);
        let rules = json!([{"n": 1}, {"n": 2}, {"n": 3}, {"n": 1}]);
        let expected =
            json!({"a": [], "b": 2, "t": {"x": 1, "y": [3], "z": {}}, "rule": rules, "same": true});
        assert_eq!(all, expected);
        assert_eq!(
            said,
            [
                "1.toml replaces t.y in [settings.p], which 0.toml also sets",
                "2.toml replaces a in [settings.p], which 0.toml also sets",
                "rule in [settings.p] is joined from several files, in this order: 1 of 0.toml, 2 of 1.toml, 1 of 2.toml",
            ]
        );
        let (all, _) =
            joined(&[json!({"rule": [{"n": 1}]}), json!({"rule": []}), json!({"rule": [{"n": 2}]})]);
        assert_eq!(all, json!({"rule": [{"n": 2}]}), "an empty list replaces");
        assert_eq!(joined(&[json!({})]).0, json!({}));
    }

    #[test]
    fn what_was_in_a_table_that_is_replaced_is_not_mentioned() {
        let first = [
            json!({"t": {"x": 1, "rule": [{"n": 1}]}, "u": {"rule": [{"n": 1}]}}),
            json!({"t": {"x": 2, "rule": [{"n": 2}]}, "u": {"rule": [{"n": 2}]}}),
            json!({"t": false}),
        ];
        let expected = [
            "2.toml replaces t in [settings.p], which 0.toml also sets",
            "u.rule in [settings.p] is joined from several files, in this order: 1 of 0.toml, 1 of 1.toml",
        ];
        assert_eq!(joined(&first).1, expected);
        // A later table has nothing of the first one.
        let later = [json!({"t": {"x": 3}}), json!({"t": {"x": 4}})];
        let [replaced, joined_rules] = expected;
        assert_eq!(
            joined(&[&first[..], &later].concat()).1,
            [
                replaced,
                "3.toml replaces t in [settings.p], which 2.toml also sets",
                "4.toml replaces t.x in [settings.p], which 3.toml also sets",
                joined_rules
            ]
        );
    }

    #[test]
    fn a_list_of_digests_is_the_same_in_a_short_and_in_a_long_file() {
        let text = |number: usize| format!("sha256:{number:064x}");
        let values = |range: std::ops::Range<usize>| Value::from(range.map(text).collect::<Vec<_>>());
        let file = format!("# {}\nlist = {}\n", "x".repeat(8 << 10), values(0..64));
        let list = Shortened::of(&file).and_then(|short| short.list("\u{0}0").cloned()).unwrap();
        let of_long_file = Setting::Digests(list);
        for (values, is_same) in [
            (values(0..64), true),
            (values(1..65), false),
            (values(0..65), false),
            (values(0..63), false),
            (values(0..0), false),
            (Value::from(text(0)), false),
        ] {
            let of_short_file = Setting::Value(values);
            assert_eq!(of_long_file.covers(&of_short_file), is_same, "{of_short_file:?}");
            assert_eq!(of_short_file.covers(&of_long_file), is_same, "{of_short_file:?}");
            // What is the same is not said to be replaced.
            let (mut origins, mut all) = (Origins::default(), Table::new());
            for (file, setting) in [("0.toml", &of_short_file), ("1.toml", &of_long_file)] {
                let table = Table::from([("list".to_owned(), setting.clone())]);
                origins.join(&mut all, table, Path::new(file));
            }
            assert_eq!(origins.sentences("p").is_empty(), is_same, "{of_short_file:?}");
        }
    }

    #[test]
    fn what_is_part_of_the_whole_is_covered() {
        let covers = |whole: &Value, part: &Value| setting(whole).covers(&setting(part));
        let whole = json!({"a": 1, "t": {"x": 1, "y": 2}, "rule": [{"n": 1}, {"n": 2}]});
        for (part, expected) in [
            (json!({"a": 1, "t": {"y": 2}, "rule": [{"n": 2}]}), true),
            (json!({"a": 2}), false),
            (json!({"rule": [{"n": 3}]}), false),
            (json!({"t": {"z": 1}}), false),
        ] {
            assert_eq!(covers(&whole, &part), expected, "{part}");
        }
    }

    #[test]
    fn a_long_list_is_left_out_of_the_brief_form_only() {
        let all: Vec<String> = (0..200).map(|number| format!("\"sha256:{number:064x}\"")).collect();
        let text = format!("digest = [{}]\n", all.join(","));
        let list = Shortened::of(&text).and_then(|short| short.list("\u{0}0").cloned()).unwrap();
        let digests = Table::from([("digest".to_owned(), Setting::Digests(list))]);
        let rules = Setting::Tables(vec![Setting::Table(Table::new()), Setting::Table(digests)]);
        let settings = PluginSettings::new(Some(Arc::new(Table::from([("rule".to_owned(), rules)]))));
        assert_eq!(settings.brief(), r#"{"rule":[{},{"digest":[]}]}"#);
        assert_eq!(settings.full(), format!(r#"{{"rule":[{{}},{{"digest":[{}]}}]}}"#, all.join(",")));
        assert_eq!(settings.length(), settings.full().len());
        assert_eq!(settings.lists()[0].0, "rule[1].digest");
        assert_eq!(settings.digest(), Digest::of(settings.full().as_bytes()).hex());
        assert_eq!(PluginSettings::new(None).full(), "{}");
    }
}

//! Parsing settings, strictly: everything unknown is a problem, because a misread rule could allow what it should not. All problems
//! are reported at once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bootc_image_plugin_sdk::Problem;
use bootc_image_plugin_sdk::config::{DigestList, problem};

use crate::globs::Glob;
use crate::json::Json;
use crate::registries;
use crate::settings::{Effect, Listed, Role, Rule, Settings};
use crate::suggest::suggest;

mod patterns;

const EFFECTS: &[(&str, Effect)] = &[("allow", Effect::Allow), ("deny", Effect::Deny)];
const ROLES: &[(&str, Role)] = &[("source", Role::Source), ("target", Role::Target), ("image", Role::Image)];

/// The largest user ID; the one above stands for no user.
const LARGEST_UID: u32 = u32::MAX - 1;

/// Parses the text of a JSON object, or returns all problems with it.
pub(crate) fn settings(json: &str) -> Result<Settings<'_>, Vec<Problem>> {
    shortened(json, &[])
}

/// As [`settings`], but these lists are empty in the text, because the host searches them.
pub(crate) fn shortened<'a>(json: &'a str, lists: &[DigestList]) -> Result<Settings<'a>, Vec<Problem>> {
    let entries = match serde_json::from_str(json) {
        Ok(Json::Table(entries)) => entries,
        Ok(other) => {
            return Err(vec![problem("", format!("the settings must be a table, not {}", other.kind()))]);
        }
        Err(_) => return Err(vec![problem("", "the settings are not valid JSON")]),
    };
    let mut problems = Vec::new();
    let mut table = Table::new(None, entries, &mut problems);
    let default = table.effect("default");
    let require_digest = table.truth("require-digest");
    let no_latest = table.truth("no-latest");
    let rules = table.take("rule");
    table.finish();
    let rules = rules.map(|rules| read_rules(rules, lists, &mut problems)).unwrap_or_default();
    match default {
        Some(default) if problems.is_empty() => Ok(Settings { default, require_digest, no_latest, rules }),
        _ => Err(problems),
    }
}

fn read_rules<'a>(value: Json<'a>, lists: &[DigestList], problems: &mut Vec<Problem>) -> Vec<Rule<'a>> {
    let items = match value {
        Json::List(items) => items,
        other => {
            let what = format!(
                "must be a list of tables, not {}; start each rule with [[settings.registry-policy.rule]]",
                other.kind()
            );
            problems.push(bad("rule".to_owned(), &what));
            return Vec::new();
        }
    };
    if items.is_empty() {
        problems.push(bad("rule".to_owned(), "the list is empty; remove the key"));
    }
    let mut rules = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Json::Table(entries) => {
                rules.push(read_rule(Table::new(Some(index), entries, problems), index, lists));
            }
            other => {
                let what = format!("must be a table, not {}", other.kind());
                problems.push(bad(format!("rule[{index}]"), &what));
            }
        }
    }
    check_names(&rules, problems);
    rules
}

fn read_rule<'a>(mut table: Table<'_, 'a>, index: usize, lists: &[DigestList]) -> Rule<'a> {
    let effect = table.effect("effect");
    let listed = listed(lists, index);
    let rule = Rule {
        number: index + 1,
        // If it is missing, that is a problem, and the rule is never used.
        effect: effect.unwrap_or(Effect::Deny),
        name: table.name("name"),
        operations: table.list("operations", operation),
        roles: table.list("roles", |value| one_of(&value, ROLES)),
        callers: table.list("callers", uid),
        registry: table.list("registry", registry),
        repository: table.list("repository", glob),
        tag: table.list("tag", tag),
        digest: match listed {
            // Taken, so that the key is known.
            Some(_) => table.take("digest").map(|_| Vec::new()).unwrap_or_default(),
            None => table.list("digest", digest),
        },
        listed,
        require_digest: table.truth("require-digest"),
        no_latest: table.truth("no-latest"),
    };
    for (key, given) in [("require-digest", rule.require_digest), ("no-latest", rule.no_latest)] {
        if given && effect == Some(Effect::Deny) {
            table.diagnose(key, "is valid only in a rule with effect \"allow\"");
        }
    }
    for (key, what) in patterns::check_rule(&rule, effect) {
        table.diagnose(&key, &what);
    }
    table.finish();
    rule
}

/// The list that has the digests of this rule.
fn listed(lists: &[DigestList], index: usize) -> Option<Listed> {
    if lists.is_empty() {
        return None;
    }
    let place = format!("rule[{index}].digest");
    let (number, list) = (0..).zip(lists).find(|(_, list)| list.place == place)?;
    Some(Listed { number, count: list.count })
}

fn bad(key: String, what: &str) -> Problem {
    let message = format!("`{key}`: {what}");
    problem(key, message)
}

/// Two rules with the same name could not be distinguished in reasons and in the audit record.
fn check_names(rules: &[Rule<'_>], problems: &mut Vec<Problem>) {
    let mut seen = BTreeMap::new();
    for rule in rules {
        let Some(name) = &rule.name else { continue };
        if let Some(first) = seen.insert(name, rule.number) {
            let what = format!("rule {first} already has the name {name:?}");
            problems.push(bad(format!("rule[{}].name", rule.number - 1), &what));
        }
    }
}

/// A table from which known keys are taken one after the other. Keys that are left are unknown.
struct Table<'p, 'a> {
    /// The index of the rule, if the table is one.
    rule: Option<usize>,
    left: Vec<(Cow<'a, str>, Json<'a>)>,
    known: Vec<&'static str>,
    problems: &'p mut Vec<Problem>,
}

impl<'p, 'a> Table<'p, 'a> {
    fn new(rule: Option<usize>, left: Vec<(Cow<'a, str>, Json<'a>)>, problems: &'p mut Vec<Problem>) -> Self {
        Self { rule, left, known: Vec::with_capacity(12), problems }
    }

    fn diagnose(&mut self, key: &str, what: &str) {
        let key = self.rule.map_or_else(|| key.to_owned(), |index| format!("rule[{index}].{key}"));
        self.problems.push(bad(key, what));
    }

    fn take(&mut self, key: &'static str) -> Option<Json<'a>> {
        self.known.push(key);
        let place = self.left.iter().position(|(found, _)| found == key)?;
        Some(self.left.remove(place).1)
    }

    fn effect(&mut self, key: &'static str) -> Option<Effect> {
        let Some(value) = self.take(key) else {
            self.diagnose(key, "missing; it must be \"allow\" or \"deny\"");
            return None;
        };
        one_of(&value, EFFECTS).map_err(|what| self.diagnose(key, &what)).ok()
    }

    fn truth(&mut self, key: &'static str) -> bool {
        match self.take(key) {
            None => false,
            Some(Json::Truth(truth)) => truth,
            Some(other) => {
                self.diagnose(key, &format!("must be true or false, not {}", other.kind()));
                false
            }
        }
    }

    fn name(&mut self, key: &'static str) -> Option<Cow<'a, str>> {
        match name(self.take(key)?) {
            Ok(name) => Some(name),
            Err(what) => {
                self.diagnose(key, &what);
                None
            }
        }
    }

    /// Takes a list. A missing list matches everything, so an empty list is an error: it would look as if it matched nothing.
    fn list<T>(&mut self, key: &'static str, read: impl Fn(Json<'a>) -> Result<T, String>) -> Vec<T> {
        let items = match self.take(key) {
            None => return Vec::new(),
            Some(Json::List(items)) => items,
            Some(other) => {
                self.diagnose(key, &format!("must be a list, not {}", other.kind()));
                return Vec::new();
            }
        };
        if items.is_empty() {
            self.diagnose(key, "the list is empty; to match any value, remove the key");
        }
        let mut entries = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match read(item) {
                Ok(entry) => entries.push(entry),
                Err(what) => self.diagnose(&format!("{key}[{index}]"), &what),
            }
        }
        entries
    }

    fn finish(mut self) {
        let known = std::mem::take(&mut self.known);
        for (key, _) in std::mem::take(&mut self.left) {
            if known.contains(&key.as_ref()) {
                self.diagnose(&key, "given twice");
            } else {
                self.diagnose(&key, &format!("unknown key{}", suggest(&key, known.iter().copied())));
            }
        }
    }
}

fn text(value: Json<'_>) -> Result<Cow<'_, str>, String> {
    match value {
        Json::Text(text) => Ok(text),
        other => Err(format!("must be a string, not {}", other.kind())),
    }
}

fn one_of<T: Copy>(value: &Json<'_>, words: &[(&str, T)]) -> Result<T, String> {
    let Json::Text(word) = value else {
        return Err(format!("must be a string, not {}", value.kind()));
    };
    let found = words.iter().find(|(known, _)| *known == word.as_ref()).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        format!("{word:?} is not a valid value{}", suggest(word, words.iter().map(|(known, _)| *known)))
    })
}

/// The name of a rule. The names that reasons and the audit record use otherwise are reserved.
fn name(value: Json<'_>) -> Result<Cow<'_, str>, String> {
    let name = text(value)?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if name.trim().is_empty() {
        Err("a name must not be empty; to use the default name, remove the key".to_owned())
    } else if name == "default" || name.strip_prefix("rule ").is_some_and(is_number) {
        Err(format!("the name {name:?} is reserved; choose another name"))
    } else {
        Ok(name)
    }
}

fn uid(value: Json<'_>) -> Result<u32, String> {
    let Json::Whole(number) = value else {
        return Err(format!("must be a user ID from 0 to {LARGEST_UID}"));
    };
    let uid = u32::try_from(number).ok().filter(|uid| *uid <= LARGEST_UID);
    uid.ok_or_else(|| format!("must be a user ID from 0 to {LARGEST_UID}, not {number}"))
}

fn glob(value: Json<'_>) -> Result<Glob<'_>, String> {
    Glob::new(text(value)?)
}

fn operation(value: Json<'_>) -> Result<Glob<'_>, String> {
    let glob = glob(value)?;
    patterns::check_operation(&glob)?;
    Ok(glob)
}

fn registry(value: Json<'_>) -> Result<Glob<'_>, String> {
    registries::registry(text(value)?)
}

fn tag(value: Json<'_>) -> Result<Glob<'_>, String> {
    let text = text(value)?;
    if text.contains(['/', ':', '@']) {
        return Err(format!("{text:?} cannot match: a tag is only the part after the colon"));
    }
    Glob::new(text)
}

fn digest(value: Json<'_>) -> Result<Glob<'_>, String> {
    let glob = glob(value)?;
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_digest = |text: &str| match text.split_once(':') {
        Some(("sha256", hex)) => hex.len() == 64 && is_hex(hex),
        Some(("sha512", hex)) => hex.len() == 128 && is_hex(hex),
        _ => false,
    };
    let could_be = |wild: &str| {
        let start = wild.split(['*', '?', '[']).next().unwrap_or_default();
        ["sha256:", "sha512:"].iter().any(|known| start.starts_with(known) || known.starts_with(start))
            && !wild.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    match glob.plain() {
        Some(plain) if !is_digest(plain) => {
            Err(format!("{plain:?} cannot match: a digest is sha256: and 64 lower-case hexadecimal digits"))
        }
        None if !could_be(glob.as_str()) => {
            Err(format!("{:?} cannot match: a digest starts with sha256:, in lower case", glob.as_str()))
        }
        _ => Ok(glob),
    }
}

#[cfg(test)]
mod tests;

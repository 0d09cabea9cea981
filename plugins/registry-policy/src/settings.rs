//! What the administrator has set, already checked. The descriptions are those of the published schema.

use std::borrow::Cow;

#[cfg(test)]
use schemars::JsonSchema;

use crate::globs::Glob;

/// Settings of the plugin `registry-policy`: which images may be used.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename_all = "kebab-case", deny_unknown_fields))]
pub(crate) struct Settings<'a> {
    /// What happens to an image that no rule matches.
    pub(crate) default: Effect,
    /// Whether every image that is fetched from a registry must be named by digest, whatever rule allows it.
    #[cfg_attr(test, schemars(default))]
    pub(crate) require_digest: bool,
    /// Whether no image may be fetched from a registry as `latest`, whatever rule allows it.
    #[cfg_attr(test, schemars(default))]
    pub(crate) no_latest: bool,
    /// The rules. The first that matches an image decides about it.
    #[cfg_attr(test, schemars(rename = "rule", default, length(min = 1)))]
    pub(crate) rules: Vec<Rule<'a>>,
}

/// A rule. It matches an image if everything that it names does; of a list one entry is enough.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename_all = "kebab-case", deny_unknown_fields))]
pub(crate) struct Rule<'a> {
    /// Its place, from 1.
    #[cfg_attr(test, schemars(skip))]
    pub(crate) number: usize,
    /// What happens to an image that it matches.
    pub(crate) effect: Effect,
    /// What reasons and records call it; without a name it is `rule 1`, `rule 2` and so on.
    #[cfg_attr(
        test,
        schemars(with = "String", default, skip_serializing_if = "Option::is_none", length(min = 1))
    )]
    pub(crate) name: Option<Cow<'a, str>>,
    /// Patterns of operations: `copy-to-storage`, `cmd pull`, `cmd *`.
    #[cfg_attr(test, schemars(with = "Vec<String>", default, length(min = 1)))]
    pub(crate) operations: Vec<Glob<'a>>,
    /// The parts that an image plays: it is read or fetched, written or sent to, or named otherwise.
    #[cfg_attr(test, schemars(default, length(min = 1)))]
    pub(crate) roles: Vec<Role>,
    /// Numbers of the users who ask. A caller who can't be told matches none.
    #[cfg_attr(
        test,
        schemars(
            default,
            skip_serializing_if = "Vec::is_empty",
            length(min = 1),
            inner(range(max = 4_294_967_294_u32))
        )
    )]
    pub(crate) callers: Vec<u32>,
    /// Patterns of registries, with the port if there is one; upper and lower case are the same.
    #[cfg_attr(test, schemars(with = "Vec<String>", default, length(min = 1)))]
    pub(crate) registry: Vec<Glob<'a>>,
    /// Patterns of repositories: `*` stays within a part of the path, `**` doesn't.
    #[cfg_attr(test, schemars(with = "Vec<String>", default, length(min = 1)))]
    pub(crate) repository: Vec<Glob<'a>>,
    /// Patterns of tags. An image without a tag matches none.
    #[cfg_attr(test, schemars(with = "Vec<String>", default, length(min = 1)))]
    pub(crate) tag: Vec<Glob<'a>>,
    /// Patterns of digests of manifests, compared with what the name means, and else with the digest in the name.
    #[cfg_attr(test, schemars(with = "Vec<String>", default, length(min = 1)))]
    pub(crate) digest: Vec<Glob<'a>>,
    /// Whether an image that it allows must be named by digest. Only of a rule that allows.
    #[cfg_attr(test, schemars(default))]
    pub(crate) require_digest: bool,
    /// Whether an image that it allows must not be named `latest`, nor without tag and digest. Only of a rule that allows.
    #[cfg_attr(test, schemars(default))]
    pub(crate) no_latest: bool,
}

/// What happens to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename_all = "kebab-case"))]
pub(crate) enum Effect {
    /// It may be used.
    Allow,
    /// It may not.
    Deny,
}

/// The part that an image plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename_all = "kebab-case"))]
pub(crate) enum Role {
    /// It is read or fetched.
    Source,
    /// It is written or sent to.
    Target,
    /// It is named otherwise.
    Image,
}

impl Role {
    /// As the host calls it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Image => "image",
        }
    }
}

impl Rule<'_> {
    /// What reasons and records call it.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        match &self.name {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("rule {}", self.number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::{env, fs};

    use serde_json::{Value, json};

    use super::*;
    use crate::read;

    const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/settings.schema.json");

    fn generated() -> Value {
        serde_json::to_value(schemars::schema_for!(Settings)).unwrap()
    }

    fn keys(of: &Value) -> BTreeSet<String> {
        of["properties"].as_object().unwrap().keys().cloned().collect()
    }

    /// What the reader says it knows.
    fn known(json: &Value) -> BTreeSet<String> {
        let problems = read::settings(&json.to_string()).unwrap_err();
        let message = &problems.last().unwrap().message;
        let (_, known) = message.split_once("; known are ").unwrap();
        known.split(", ").map(str::to_owned).collect()
    }

    #[test]
    fn the_schema_is_up_to_date() {
        if env::var_os("UPDATE").is_some_and(|update| update == "1") {
            fs::write(SCHEMA, serde_json::to_string_pretty(&generated()).unwrap() + "\n").unwrap();
        }
        let committed: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
        assert!(
            committed == generated(),
            "settings.schema.json is out of date; renew it with: UPDATE=1 cargo test -p registry-policy schema"
        );
    }

    #[test]
    fn the_schema_has_the_keys_that_are_read() {
        let schema = generated();
        assert_eq!(keys(&schema), known(&json!({ "default": "deny", "xxxxxxxxxxxxxxxx": 1 })));
        let rule = json!({ "effect": "deny", "xxxxxxxxxxxxxxxx": 1 });
        assert_eq!(keys(&schema["$defs"]["Rule"]), known(&json!({ "default": "deny", "rule": [rule] })));
    }
}

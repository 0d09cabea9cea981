//! The checked settings. The doc comments are the descriptions in the published schema.

use std::borrow::Cow;

#[cfg(test)]
use schemars::JsonSchema;

use crate::globs::Glob;

/// Settings of the plugin `registry-policy`, which allows or denies images.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename_all = "kebab-case", deny_unknown_fields))]
pub(crate) struct Settings<'a> {
    /// The effect on an image that no rule matches.
    pub(crate) default: Effect,
    /// Whether every image that is fetched from a registry must be named by digest, no matter which rule allows it.
    #[cfg_attr(test, schemars(default))]
    pub(crate) require_digest: bool,
    /// Whether images with the tag `latest`, or with neither tag nor digest, must not be fetched from a registry.
    #[cfg_attr(test, schemars(default))]
    pub(crate) no_latest: bool,
    /// The rules. The first rule that matches an image decides.
    #[cfg_attr(test, schemars(rename = "rule", default, length(min = 1)))]
    pub(crate) rules: Vec<Rule<'a>>,
}

/// A rule. It matches an image if all of its keys match. A list matches if one of its entries matches.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename_all = "kebab-case", deny_unknown_fields))]
pub(crate) struct Rule<'a> {
    /// The number of the rule, counted from 1.
    #[cfg_attr(test, schemars(skip))]
    pub(crate) number: usize,
    /// The effect on an image that the rule matches.
    pub(crate) effect: Effect,
    /// The name of the rule in reasons and in the audit record. The default is `rule 1`, `rule 2` and so on.
    #[cfg_attr(
        test,
        schemars(with = "String", default, skip_serializing_if = "Option::is_none", length(min = 1))
    )]
    pub(crate) name: Option<Cow<'a, str>>,
    /// Patterns of operations, such as `copy-to-storage`, `cmd pull` or `cmd *`.
    #[cfg_attr(test, schemars(with = "Vec<String>", default, length(min = 1)))]
    pub(crate) operations: Vec<Glob<'a>>,
    /// Roles of images: `source` is read or fetched, `target` is written or pushed, `image` is used in another way.
    #[cfg_attr(test, schemars(default, length(min = 1)))]
    pub(crate) roles: Vec<Role>,
    /// User IDs of callers. An unknown caller matches none.
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
    /// Patterns of registries, with the port if there is one. Upper and lower case are not distinguished.
    #[cfg_attr(test, schemars(with = "Vec<String>", default, length(min = 1)))]
    pub(crate) registry: Vec<Glob<'a>>,
    /// Patterns of repositories. `*` matches within one part of the path, `**` matches any number of parts.
    #[cfg_attr(test, schemars(with = "Vec<String>", default, length(min = 1)))]
    pub(crate) repository: Vec<Glob<'a>>,
    /// Patterns of tags. An image without a tag matches none.
    #[cfg_attr(test, schemars(with = "Vec<String>", default, length(min = 1)))]
    pub(crate) tag: Vec<Glob<'a>>,
    /// Patterns of digests of manifests. They are compared with the digest to which the name is resolved, or else with the one in the name.
    #[cfg_attr(test, schemars(with = "Vec<String>", default, length(min = 1)))]
    pub(crate) digest: Vec<Glob<'a>>,
    /// The list that has the rule's digests, if it is so long that the host searches it. Then `digest` is empty.
    #[cfg_attr(test, schemars(skip))]
    pub(crate) listed: Option<Listed>,
    /// Whether an image that the rule allows must be named by digest. Only for rules with the effect `allow`.
    #[cfg_attr(test, schemars(default))]
    pub(crate) require_digest: bool,
    /// Whether an image that the rule allows must have a tag or a digest, and not the tag `latest`. Only for rules with the effect `allow`.
    #[cfg_attr(test, schemars(default))]
    pub(crate) no_latest: bool,
}

/// A long list of digests, which the host searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its number for the host.
    pub(crate) number: u32,
    /// How many digests it has.
    pub(crate) count: u32,
}

/// The effect of a rule on an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename_all = "kebab-case"))]
pub(crate) enum Effect {
    /// The image is allowed.
    Allow,
    /// The image is denied.
    Deny,
}

/// The role of an image in an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename_all = "kebab-case"))]
pub(crate) enum Role {
    /// The image is read or fetched.
    Source,
    /// The image is written or pushed.
    Target,
    /// The image is used in another way.
    Image,
}

impl Role {
    /// The name of the role in operations.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Image => "image",
        }
    }
}

impl Rule<'_> {
    /// The name of the rule in reasons and in the audit record.
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

    /// The keys that the parser's message lists.
    fn known(json: &Value) -> BTreeSet<String> {
        let problems = read::settings(&json.to_string()).unwrap_err();
        let message = &problems.last().unwrap().message;
        let (_, known) = message.split_once("; expected one of: ").unwrap();
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
            "settings.schema.json is out of date; update it with: UPDATE=1 cargo test -p registry-policy schema"
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

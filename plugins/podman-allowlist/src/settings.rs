//! The setting `allowed`, with which an administrator narrows the list. It is read without a JSON parser, which would be most of the
//! plugin: only words of the list are accepted, and anything else is an error.

use bootc_image_plugin_sdk::Problem;
use bootc_image_plugin_sdk::config::problem;

/// The entries of `all` that the settings, the text of a JSON object, allow. Without the setting, these are all.
pub(crate) fn narrowed<'a>(json: &str, all: &[&'a str]) -> Result<Vec<&'a str>, Problem> {
    let wrong = |what: String| problem("allowed", what);
    let form = || wrong(format!("the only setting is `allowed`, a list of: {}", all.join(", ")));
    let inner =
        json.trim().strip_prefix('{').and_then(|json| json.strip_suffix('}')).ok_or_else(form)?.trim();
    if inner.is_empty() {
        return Ok(all.to_vec());
    }
    let list = inner.strip_prefix("\"allowed\"").and_then(|rest| rest.trim_start().strip_prefix(':'));
    let list =
        list.and_then(|rest| rest.trim().strip_prefix('[')?.strip_suffix(']')).ok_or_else(form)?.trim();
    let mut allowed = Vec::new();
    for word in list.split(',').filter(|_| !list.is_empty()) {
        let word = word.trim().strip_prefix('"').and_then(|word| word.strip_suffix('"')).ok_or_else(form)?;
        let known = all.iter().find(|known| **known == word);
        allowed.push(*known.ok_or_else(|| {
            wrong(format!(
                "`allowed`: {word:?} is not a subcommand of this plugin; expected: {}",
                all.join(", ")
            ))
        })?);
    }
    Ok(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[&str] = &["build", "list", "pull"];

    #[test]
    fn the_list_can_only_become_shorter() {
        for (json, expected) in [
            ("{}", ALL),
            (" { } ", ALL),
            (r#"{"allowed":[]}"#, &[]),
            (r#"{"allowed":["list"]}"#, &["list"]),
            (r#"{ "allowed" : [ "pull" , "list" ] }"#, &["pull", "list"]),
        ] {
            assert_eq!(narrowed(json, ALL).unwrap(), expected, "{json}");
        }
        for json in [
            "",
            "[]",
            "null",
            r#"{"allowed":"list"}"#,
            r#"{"allowed":["rm"]}"#,
            r#"{"allowed":["li st"]}"#,
            r#"{"allowed":["list\u0000"]}"#,
            r#"{"allowed":["list",]}"#,
            r#"{"allowed":[["list"]]}"#,
            r#"{"allowed":["list"],"denied":["pull"]}"#,
            r#"{"denied":["pull"]}"#,
        ] {
            assert!(narrowed(json, ALL).is_err(), "{json}");
        }
    }
}

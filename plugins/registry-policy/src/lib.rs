//! A policy that allows or denies images by registry, repository, tag and digest, per operation and caller.
//!
//! ```text
//! JSON --read--> Settings --+
//!                           +--judge--> Verdict
//! host --------> Operation -+
//! ```

mod globs;
mod json;
mod read;
mod registries;
mod rules;
mod settings;
mod suggest;

use bootc_image_plugin_sdk::config::{self, Settings, Shortened};
use bootc_image_plugin_sdk::policy::{Operation, Policy, Verdict};
use bootc_image_plugin_sdk::{Problem, export_policy, export_settings};

/// The plugin.
pub struct RegistryPolicy;

impl Policy for RegistryPolicy {
    fn evaluate(operation: &Operation) -> Result<Verdict, Problem> {
        let Shortened { json, lists } = config::shortened();
        match read::shortened(&json, &lists) {
            Ok(settings) => Ok(rules::judge(&settings, operation)),
            // With all lists, so that the problem is the right one.
            Err(_) => evaluate_with(&config::settings(), operation),
        }
    }
}

impl Settings for RegistryPolicy {
    fn check(json: &str) -> Result<(), Vec<Problem>> {
        read::settings(json).map(drop)
    }
}

export_policy!(RegistryPolicy);
export_settings!(RegistryPolicy);

/// Judges with these settings, the text of a JSON object.
///
/// # Errors
/// The first problem with the settings: without valid settings, the policy cannot decide.
pub fn evaluate_with(settings: &str, operation: &Operation) -> Result<Verdict, Problem> {
    match read::settings(settings) {
        Ok(settings) => Ok(rules::judge(&settings, operation)),
        Err(problems) => Err(first(problems)),
    }
}

fn first(problems: Vec<Problem>) -> Problem {
    let more = problems.len().saturating_sub(1);
    let mut first =
        problems.into_iter().next().unwrap_or_else(|| config::problem("", "the settings cannot be read"));
    let more = match more {
        0 => String::new(),
        1 => "; 1 more setting is wrong".to_owned(),
        more => format!("; {more} more settings are wrong"),
    };
    first.hint = Some(format!("fix [settings.registry-policy] in the configuration{more}"));
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_settings_the_policy_cannot_decide() {
        let problem = RegistryPolicy::evaluate(&Operation::default()).unwrap_err();
        assert_eq!(problem.code, "bad-setting");
        assert_eq!(problem.message, "`default`: missing; it must be \"allow\" or \"deny\"");
        assert_eq!(problem.attrs[0].value, "default");
        assert!(RegistryPolicy::check("{}").is_err());
        assert!(RegistryPolicy::check(r#"{"default": "deny"}"#).is_ok());
    }

    #[test]
    fn the_first_of_several_problems_says_how_many_there_are() {
        let json = r#"{"default": "deny", "no-latest": 1, "tags": []}"#;
        let problem = evaluate_with(json, &Operation::default()).unwrap_err();
        assert_eq!(
            problem.hint.as_deref(),
            Some("fix [settings.registry-policy] in the configuration; 1 more setting is wrong")
        );
    }
}

//! Converts the answers of plugins, both components and native code, for the core. Texts for people are sanitized.

use std::collections::BTreeMap;

use bootc_image_core::plugin::{Plan, PlanError, PolicyVerdict};
use bootc_image_model::denial::{Denial, DeniedBy};
use bootc_image_model::plugin::{Annotations, PluginId};
use tracing::{Level, event};

use super::{Reported, Unformatted};
use crate::sanitize::sanitize;

/// The most attributes of one verdict that are kept.
const MOST_ATTRS: usize = 32;

/// Replaces an invalid code.
const NO_CODE: &str = "unspecified";

/// Replaces an empty message.
const NO_MESSAGE: &str = "the plugin gave no reason";

/// A denial or failure as the plugin explains it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Explanation<'a> {
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    pub(crate) hint: Option<&'a str>,
}

/// A policy's verdict: denied if there is a `denial`, else allowed.
pub(crate) fn opinion<'a>(
    plugin: &PluginId,
    denial: Option<Explanation<'_>>,
    reason: &str,
    attrs: impl Iterator<Item = (&'a str, &'a str)>,
) -> PolicyVerdict {
    let who_knows =
        || format!("ask who maintains it; to see where it comes from, run: bootc-image plugin show {plugin}");
    let denial = denial.map(|explanation| Denial {
        denied_by: DeniedBy::Policy(plugin.clone()),
        code: code(explanation.code),
        message: message(explanation.message),
        hint: hint(explanation.hint).or_else(|| explanation.message.trim().is_empty().then(who_knows)),
    });
    let attrs: BTreeMap<String, String> =
        attrs.take(MOST_ATTRS).map(|(key, value)| (sanitize(key), sanitize(value))).collect();
    PolicyVerdict { denial, annotations: Annotations { reason: sanitize(reason), attrs } }
}

/// A wrapper's plan. The arguments are not sanitized, because they are data that the pipeline parses.
pub(crate) fn plan(argv: Vec<String>, message: &str) -> Plan {
    Plan { argv, message: sanitize(message) }
}

/// A wrapper's denial.
pub(crate) fn denied(explanation: Explanation<'_>) -> PlanError {
    PlanError::Denied {
        code: code(explanation.code),
        message: message(explanation.message),
        hint: hint(explanation.hint),
    }
}

/// A wrapper's failure.
pub(crate) fn failed(explanation: Explanation<'_>) -> PlanError {
    PlanError::Failed {
        code: code(explanation.code),
        message: message(explanation.message),
        hint: hint(explanation.hint),
    }
}

/// A failure; `setting` is the setting that caused it, or empty.
pub(crate) fn reported(explanation: Explanation<'_>, setting: &str) -> Reported {
    let at = if setting.is_empty() || explanation.message.contains(setting) {
        String::new()
    } else {
        format!(" (setting {})", sanitize(setting))
    };
    let message = format!("{}{at}", message(explanation.message));
    Reported { message, hint: hint(explanation.hint) }
}

/// A formatter's failure.
pub(crate) fn unformatted(explanation: Explanation<'_>, setting: &str) -> Unformatted {
    let reported = reported(explanation, setting);
    if explanation.code == "usage" { Unformatted::Usage(reported) } else { Unformatted::Reported(reported) }
}

/// Why a policy could not judge, and what to do about it, if the policy says so.
pub(crate) fn reason(explanation: Explanation<'_>) -> (String, Option<String>) {
    (message(explanation.message), hint(explanation.hint))
}

/// The sanitized message, or a replacement for an empty one.
fn message(text: &str) -> String {
    if text.trim().is_empty() { NO_MESSAGE.to_owned() } else { sanitize(text) }
}

fn hint(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty()).map(sanitize)
}

/// Logs a sanitized text of a plugin, in a field of its own and never as the format string.
pub(crate) fn log(level: Level, plugin: &PluginId, text: &str, attrs: &str) {
    /// `tracing` needs the level at compile time.
    macro_rules! log_at {
        ($level:expr) => {
            event!(target: "plugin", $level, plugin = %plugin, text, attrs)
        };
    }
    match level {
        Level::ERROR => log_at!(Level::ERROR),
        Level::WARN => log_at!(Level::WARN),
        Level::INFO => log_at!(Level::INFO),
        Level::DEBUG => log_at!(Level::DEBUG),
        Level::TRACE => log_at!(Level::TRACE),
    }
}

/// The code, or a replacement for an invalid one: an invalid code must not change the verdict.
fn code(code: &str) -> String {
    let kebab = code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if kebab && (1..=64).contains(&code.len()) { code.to_owned() } else { NO_CODE.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kebab_case_is_a_code() {
        assert_eq!(code("not-in-allowlist"), "not-in-allowlist");
        for text in ["", "Two Words", "a\u{1b}b", &"x".repeat(65)] {
            assert_eq!(code(text), NO_CODE);
        }
    }

    #[test]
    fn a_denial_without_a_message_gets_one() {
        let plugin = PluginId::new("p").unwrap();
        let ask = Some("ask who maintains it; to see where it comes from, run: bootc-image plugin show p");
        for (given, expected, next) in [("", NO_MESSAGE, ask), (" \n", NO_MESSAGE, ask), ("no", "no", None)] {
            let explanation = Explanation { code: "", message: given, hint: Some("") };
            let denial = opinion(&plugin, Some(explanation), "", std::iter::empty()).denial.unwrap();
            assert_eq!((&*denial.code, &*denial.message, denial.hint.as_deref()), (NO_CODE, expected, next));
        }
    }
}

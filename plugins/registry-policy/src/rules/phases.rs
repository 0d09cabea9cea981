//! Verdicts before and after names are resolved: an image is denied before if and only if it would be denied afterwards with every
//! digest.

use serde_json::{Value, json};

use super::tests::{attr, denial, digest, image, operation, pull, source};
use super::*;
use crate::read;

/// Keys of rules other than effect and digest.
const KEYS: &[&str] =
    &[r#"{}"#, r#"{ "registry": ["quay.io"] }"#, r#"{ "tag": ["1"] }"#, r#"{ "callers": [0] }"#];

fn denied(settings: &Settings<'_>, image: Image, resolved: bool) -> bool {
    let mut operation = operation("cmd pull", vec![image]);
    operation.attrs.push(attr("resolved", if resolved { "true" } else { "false" }));
    denial(judge(settings, &operation)).is_some()
}

/// Every rule that is tried at a position. Each position has its own digest, so that a name can be resolved to any of them.
fn rules_at(place: char) -> Vec<Value> {
    let mut rules = Vec::new();
    for keys in KEYS {
        for (effect, demand) in [("allow", None), ("allow", Some("require-digest")), ("deny", None)] {
            for with_digest in [false, true] {
                let mut rule: Value = serde_json::from_str(keys).unwrap();
                rule["effect"] = json!(effect);
                if let Some(demand) = demand {
                    rule[demand] = json!(true);
                }
                if with_digest {
                    rule["digest"] = json!([digest(place)]);
                }
                rules.push(rule);
            }
        }
    }
    rules
}

/// Settings with every sequence of at most two rules, and some of three.
fn all_settings() -> Vec<String> {
    let (first, second) = (rules_at('a'), rules_at('b'));
    let mut sequences: Vec<Vec<Value>> = vec![Vec::new()];
    sequences.extend(first.iter().map(|rule| vec![rule.clone()]));
    for a in &first {
        for b in &second {
            sequences.push(vec![a.clone(), b.clone()]);
            sequences.push(vec![a.clone(), b.clone(), json!({ "effect": "allow", "digest": [digest('c')] })]);
            sequences.push(vec![a.clone(), b.clone(), json!({ "effect": "deny", "registry": ["quay.*"] })]);
        }
    }
    let mut all = Vec::new();
    for rules in sequences {
        for default in ["allow", "deny"] {
            for demand in ["require-digest", "no-latest", ""] {
                let mut settings = json!({ "default": default });
                if !rules.is_empty() {
                    settings["rule"] = json!(rules);
                }
                if !demand.is_empty() {
                    settings[demand] = json!(true);
                }
                all.push(settings.to_string());
            }
        }
    }
    all
}

#[test]
fn before_resolution_exactly_what_every_digest_would_deny_is_denied() {
    let meanings = [Some('a'), Some('b'), Some('c'), Some('d'), None].map(|digit| digit.map(digest));
    let (mut early, mut late) = (0, 0);
    for text in all_settings() {
        let settings = read::settings(&text).unwrap();
        for name in ["quay.io/a:1", "quay.io/a:latest", "other.io/a:1"] {
            let before = denied(&settings, source(name), false);
            let after = meanings
                .iter()
                .map(|digest| denied(&settings, Image { digest: digest.clone(), ..source(name) }, true));
            let after: Vec<bool> = after.collect();
            assert_eq!(before, after.iter().all(|denied| *denied), "{name} {after:?} {text}");
            early += usize::from(before);
            late += usize::from(!before && after.contains(&true));
        }
    }
    assert!(early > 1000 && late > 1000, "{early} {late}");
}

#[test]
fn names_with_a_digest_and_targets_get_the_same_verdict_both_times() {
    for text in all_settings() {
        let settings = read::settings(&text).unwrap();
        for digit in ['a', 'b', 'd'] {
            let named = source(&format!("quay.io/a@{}", digest(digit)));
            let looked_up = Image { digest: Some(digest(digit)), ..named.clone() };
            assert_eq!(denied(&settings, named, false), denied(&settings, looked_up, true), "{text}");
        }
        let target = image("target", "docker://quay.io/a:1");
        assert_eq!(denied(&settings, target.clone(), false), denied(&settings, target, true), "{text}");
    }
}

#[test]
fn before_resolution_rules_about_digests_are_undecided() {
    let allow = json!({ "effect": "allow", "name": "good", "digest": [digest('a')] });
    let deny = json!({ "effect": "deny", "name": "bad", "digest": [digest('b')] });
    let strict = json!({ "effect": "allow", "digest": [digest('a')], "require-digest": true });
    let elsewhere = json!({ "effect": "allow", "registry": ["own.io"], "digest": [digest('a')] });
    let nothing = json!({ "effect": "deny" });
    for (what, default, rules, expected) in [
        ("it may have the allowed digest", "deny", vec![&allow], ""),
        ("it may have another digest than the denied one", "allow", vec![&deny], ""),
        ("it may have the digest that a later rule allows", "deny", vec![&deny, &allow], ""),
        ("no rule allows anything", "deny", vec![&deny], "denied-by-default"),
        ("the rule that may match requires a digest in the name", "deny", vec![&strict], "denied-by-default"),
        ("the registry differs", "deny", vec![&elsewhere], "denied-by-default"),
        ("an earlier rule denies everything", "allow", vec![&nothing, &allow], "denied-by-rule"),
        ("a later rule denies everything", "allow", vec![&deny, &nothing], "denied-by-rule"),
        ("an earlier rule may allow what a later one denies", "deny", vec![&allow, &nothing], ""),
    ] {
        let text = json!({ "default": default, "rule": rules }).to_string();
        let settings = read::settings(&text).unwrap();
        let mut operation = operation("cmd pull", vec![source("quay.io/a:1")]);
        operation.attrs.push(attr("resolved", "false"));
        let code = denial(judge(&settings, &operation)).map(|denial| denial.code);
        assert_eq!(code.unwrap_or_default(), expected, "{what}");
    }
}

#[test]
fn a_verdict_that_depends_on_the_digest_says_so() {
    let settings = json!({ "default": "deny", "rule": [{ "effect": "allow", "name": "good", "digest": [digest('a')] }] });
    let text = settings.to_string();
    let settings = read::settings(&text).unwrap();
    let mut operation = operation("cmd pull", vec![source("quay.io/a:1")]);
    operation.attrs.push(attr("resolved", "false"));
    assert_eq!(
        judge(&settings, &operation).reason,
        "quay.io/a:1: allowed by rule \"good\", depending on its digest"
    );
}

/// The digest of an index stands only for the manifest that this host chooses from it.
#[test]
fn an_index_allows_no_other_platform() {
    let fetched = |platform: Option<&str>| {
        let mut image = source("quay.io/a:1");
        image.digest = Some(digest('1'));
        image.attrs = vec![attr("instance", &digest('2'))];
        image.attrs.extend(platform.map(|platform| attr("platform", platform)));
        image
    };
    let rule = |effect: &str, digit| json!({ "effect": effect, "digest": [digest(digit)] });
    for (effect, digit, platform, matches) in [
        ("allow", '1', None, true),
        ("allow", '2', None, true),
        ("allow", '3', None, false),
        ("allow", '1', Some("arm64"), false),
        ("allow", '2', Some("arm64"), true),
        ("deny", '1', Some("arm64"), true),
        ("deny", '2', Some("arm64"), true),
        ("deny", '2', None, true),
    ] {
        let default = if effect == "allow" { "deny" } else { "allow" };
        let settings = json!({ "default": default, "rule": [rule(effect, digit)] });
        let is_allowed = denial(pull(&settings, fetched(platform))).is_none();
        assert_eq!(is_allowed == (effect == "allow"), matches, "{effect} {digit} {platform:?}");
    }
}

use bootc_image_plugin_sdk::policy::{Decision, Reference};
use bootc_image_plugin_sdk::{Attr, Denial};
use serde_json::{Value, json};

use super::*;
use crate::evaluate_with;

/// A digest of one digit.
pub(super) fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

pub(super) fn attr(key: &str, value: &str) -> Attr {
    Attr { key: key.to_owned(), value: value.to_owned() }
}

/// An image by its canonical name.
pub(super) fn image(role: &str, canonical: &str) -> Image {
    Image { role: role.to_owned(), name: Some(name(canonical)), digest: None, attrs: Vec::new() }
}

/// An image that is fetched from a registry.
pub(super) fn source(name: &str) -> Image {
    image("source", &format!("docker://{name}"))
}

/// An image that was requested by its ID.
fn by_id() -> Image {
    let attrs = vec![attr("id", &"c".repeat(64))];
    Image { role: "source".to_owned(), name: None, digest: Some(digest('d')), attrs }
}

/// Splits a name as the host does.
fn name(canonical: &str) -> Reference {
    let (transport, rest) = canonical.split_once(':').unwrap();
    let has_registry = ["docker", "containers-storage"].contains(&transport);
    let (registry, path) =
        if has_registry { rest.trim_start_matches("//").split_once('/').unwrap() } else { ("", rest) };
    let (path, digest) = path.split_once('@').map_or((path, None), |(path, digest)| (path, Some(digest)));
    let (repository, tag) = match path.split_once(':').filter(|_| has_registry) {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (path, None),
    };
    Reference {
        canonical: canonical.to_owned(),
        transport: transport.to_owned(),
        registry: registry.to_owned(),
        repository: repository.to_owned(),
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
    }
}

pub(super) fn operation(kind: &str, images: Vec<Image>) -> Operation {
    Operation {
        kind: kind.to_owned(),
        images,
        attrs: vec![attr("caller.uid", "1000")],
        ..Operation::default()
    }
}

fn judged(settings: &Value, operation: &Operation) -> Verdict {
    evaluate_with(&settings.to_string(), operation).unwrap()
}

/// The verdict on a pull of this image.
pub(super) fn pull(settings: &Value, image: Image) -> Verdict {
    judged(settings, &operation("cmd pull", vec![image]))
}

pub(super) fn denial(verdict: Verdict) -> Option<Denial> {
    match verdict.decision {
        Decision::Allow => None,
        Decision::Deny(denial) => Some(denial),
    }
}

/// The code of the denial, empty if it is allowed.
fn code(verdict: Verdict) -> String {
    denial(verdict).map(|denial| denial.code).unwrap_or_default()
}

/// Whether a rule with these keys matches an image in a pull by user 1000.
fn fits(keys: &Value, image: Image) -> bool {
    let mut rule = keys.clone();
    rule["effect"] = json!("allow");
    code(pull(&json!({ "default": "deny", "rule": [rule] }), image)).is_empty()
}

#[test]
fn an_image_that_no_rule_matches_gets_the_default() {
    let rule = json!({ "effect": "allow", "registry": ["own.example"] });
    let deny = pull(&json!({ "default": "deny", "rule": [rule] }), source("quay.io/a:1"));
    assert_eq!(deny.attrs, [attr("rule", "default")]);
    let denial = denial(deny).unwrap();
    assert_eq!(denial.code, "denied-by-default");
    assert_eq!(denial.message, "quay.io/a:1: denied by default: no rule matches it");
    assert_eq!(
        denial.hint.as_deref(),
        Some("for `cmd pull` the rules allow these images as the source: registry own.example (rule 1)")
    );
    let allow = pull(&json!({ "default": "allow" }), source("quay.io/a:1"));
    assert_eq!(allow.decision, Decision::Allow);
    assert_eq!(
        (allow.reason.as_str(), allow.attrs),
        ("quay.io/a:1: allowed by default", vec![attr("rule", "default")])
    );
}

#[test]
fn a_key_of_a_rule_matches_as_it_says() {
    let pinned = format!("quay.io/a/b@{}", digest('a'));
    for (keys, name, expected) in [
        (json!({}), "quay.io/a/b:1", true),
        (json!({ "registry": ["quay.io"] }), "quay.io/a/b:1", true),
        (json!({ "registry": ["quay.io"] }), "QUAY.IO/a/b:1", true),
        (json!({ "registry": ["Quay.io"] }), "quay.io/a/b:1", true),
        (json!({ "registry": ["quay.io"] }), "quay.io:443/a/b:1", false),
        (json!({ "registry": ["quay.io"] }), "xquay.io/a/b:1", false),
        (json!({ "registry": ["x.io", "*.quay.io"] }), "r.quay.io/a/b:1", true),
        (json!({ "registry": ["[0:0::1]:5000"] }), "[::1]:5000/a:1", true),
        (json!({ "registry": ["localhost:5000"] }), "localhost:5000/a:1", true),
        (json!({ "repository": ["a/*"] }), "quay.io/a/b:1", true),
        (json!({ "repository": ["a/*"] }), "quay.io/a/b/c:1", false),
        (json!({ "repository": ["a/**"] }), "quay.io/a/b/c:1", true),
        (json!({ "repository": ["a"] }), "quay.io/a/b:1", false),
        (json!({ "tag": ["9.*"] }), "quay.io/a:9.4", true),
        (json!({ "tag": ["9.*"] }), "quay.io/a:8.4", false),
        (json!({ "tag": ["*"] }), "quay.io/a", false),
        (json!({ "tag": ["*"] }), &pinned, false),
        (json!({ "digest": [digest('a')] }), &pinned, true),
        (json!({ "digest": [digest('b')] }), &pinned, false),
        (json!({ "digest": ["sha256:a*"] }), &pinned, true),
        (json!({ "digest": ["sha256:*"] }), "quay.io/a:1", false),
        (json!({ "operations": ["cmd pull"] }), "quay.io/a:1", true),
        (json!({ "operations": ["cmd *"] }), "quay.io/a:1", true),
        (json!({ "operations": ["cmd push", "copy-to-storage"] }), "quay.io/a:1", false),
        (json!({ "roles": ["target", "source"] }), "quay.io/a:1", true),
        (json!({ "roles": ["target"] }), "quay.io/a:1", false),
        (json!({ "callers": [0, 1000] }), "quay.io/a:1", true),
        (json!({ "callers": [0] }), "quay.io/a:1", false),
        (json!({ "registry": ["quay.io"], "tag": ["2"] }), "quay.io/a:1", false),
        (json!({ "registry": ["quay.io"], "tag": ["1"] }), "quay.io/a:1", true),
    ] {
        assert_eq!(fits(&keys, source(name)), expected, "{keys} {name}");
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let (deny, allow) = (json!({ "effect": "deny", "tag": ["1"] }), json!({ "effect": "allow" }));
    let first = json!({ "default": "deny", "rule": [deny, allow] });
    assert_eq!(code(pull(&first, source("quay.io/a:1"))), "denied-by-rule");
    assert_eq!(code(pull(&first, source("quay.io/a:2"))), "");
    let second = json!({ "default": "deny", "rule": [allow, deny] });
    assert_eq!(code(pull(&second, source("quay.io/a:1"))), "");
}

#[test]
fn a_denial_names_the_image_and_the_rule() {
    let rule = json!({ "effect": "deny", "name": "nothing foreign", "registry": ["*.foreign"] });
    let verdict = pull(&json!({ "default": "allow", "rule": [rule] }), source("x.foreign/a:1"));
    assert_eq!(verdict.attrs, [attr("rule", "nothing foreign")]);
    let denial = denial(verdict).unwrap();
    assert_eq!(
        (denial.code.as_str(), denial.message.as_str()),
        ("denied-by-rule", "x.foreign/a:1: denied by rule \"nothing foreign\"")
    );
    assert_eq!(
        denial.hint.as_deref(),
        Some("an administrator can allow it in [settings.registry-policy] of the configuration")
    );
}

#[test]
fn one_denied_image_denies_the_operation() {
    let settings =
        json!({ "default": "deny", "rule": [{ "effect": "allow", "name": "own", "registry": ["own.io"] }] });
    let both = |first: &str, second: &str| {
        judged(&settings, &operation("cmd build", vec![source(first), source(second)]))
    };
    assert_eq!(code(both("own.io/a:1", "quay.io/a:1")), "denied-by-default");
    assert_eq!(code(both("quay.io/a:1", "own.io/a:1")), "denied-by-default");
    let allowed = both("own.io/a:1", "own.io/b:1");
    assert_eq!(allowed.reason, "own.io/a:1: allowed by rule \"own\"; own.io/b:1: allowed by rule \"own\"");
    assert_eq!(allowed.attrs, [attr("rule", "own")]);
}

#[test]
fn every_rule_that_allowed_something_is_recorded() {
    let rules = json!([{ "effect": "allow", "name": "in", "roles": ["source"] }]);
    let images = vec![source("quay.io/a:1"), image("target", "containers-storage:localhost/b:latest")];
    let verdict =
        judged(&json!({ "default": "allow", "rule": rules }), &operation("copy-to-storage", images));
    assert_eq!(
        verdict.reason,
        "quay.io/a:1: allowed by rule \"in\"; containers-storage:localhost/b:latest: allowed by default"
    );
    assert_eq!(verdict.attrs, [attr("rule", "in, default")]);
}

/// An operation that brings in images that are not named.
fn unpinned(kind: &str, images: Vec<Image>) -> Operation {
    let mut operation = operation(kind, images);
    operation.attrs.push(attr("pinned", "false"));
    operation
}

#[test]
fn what_is_about_no_image_is_allowed() {
    let settings = json!({ "default": "deny", "rule": [{ "effect": "deny" }] });
    let verdict = judged(&settings, &operation("cmd list", vec![]));
    assert_eq!(verdict.decision, Decision::Allow);
    assert_eq!((&*verdict.reason, verdict.attrs), ("`cmd list` uses no images", vec![]));
    // Before resolution, it is unknown what is pushed.
    let mut push = unpinned("cmd push", vec![]);
    push.attrs.push(attr("resolved", "false"));
    assert_eq!(judged(&settings, &push).decision, Decision::Allow);
}

#[test]
fn images_that_nobody_names_are_matched_by_rules_that_say_nothing_of_a_name() {
    let load = |default: &str, rules: Value| {
        judged(&json!({ "default": default, "rule": rules }), &unpinned("cmd load", vec![]))
    };
    for effect in ["allow", "deny"] {
        // Rules about names, other operations and other callers do not apply.
        for rule in [
            json!({ "effect": effect, "registry": ["*"] }),
            json!({ "effect": effect, "repository": ["**"] }),
            json!({ "effect": effect, "tag": ["*"] }),
            json!({ "effect": effect, "digest": ["*"] }),
            json!({ "effect": effect, "roles": ["target"] }),
            json!({ "effect": effect, "operations": ["cmd pull"] }),
            json!({ "effect": effect, "callers": [0] }),
        ] {
            assert_eq!(code(load("deny", json!([rule]))), "unseen-images", "{rule}");
            assert_eq!(code(load("allow", json!([rule]))), "", "{rule}");
        }
    }
    for rule in [json!({ "effect": "deny", "operations": ["cmd load"] }), json!({ "effect": "deny" })] {
        let denied = load("allow", json!([{ "effect": "allow", "operations": ["cmd pull"] }, rule]));
        assert_eq!(denied.attrs, [attr("rule", "rule 2")]);
        let denial = denial(denied).unwrap();
        assert_eq!((&*denial.code, &*denial.message), ("denied-by-rule", "`cmd load`: denied by rule 2"));
    }
    // The first one decides.
    let allowed =
        load("deny", json!([{ "effect": "allow", "name": "ours", "callers": [1000] }, { "effect": "deny" }]));
    assert_eq!(allowed.reason, "`cmd load`: allowed by rule \"ours\"");
}

#[test]
fn that_the_name_of_what_is_built_is_allowed_says_nothing_of_what_is_fetched() {
    let build = unpinned("cmd build", vec![image("target", "containers-storage:localhost/a:1")]);
    let names = json!({ "effect": "allow", "registry": ["localhost"] });
    let settings = json!({ "default": "deny", "rule": [names] });
    let denied = judged(&settings, &build);
    let denial = denial(denied).unwrap();
    assert_eq!(denial.code, "unseen-images");
    assert_eq!(
        denial.message,
        "`cmd build`: denied by default: the names of the images that it brings in are unknown beforehand, and no rule allows that"
    );
    let settings =
        json!({ "default": "deny", "rule": [names, { "effect": "allow", "operations": ["cmd build"] }] });
    let allowed = judged(&settings, &build);
    assert_eq!(
        allowed.reason,
        "containers-storage:localhost/a:1: allowed by rule 1; `cmd build`: allowed by rule 2"
    );
}

#[test]
fn an_unknown_caller_matches_no_rule_about_callers() {
    let settings = json!({ "default": "deny", "rule": [{ "effect": "allow", "callers": [0, 1000] }] });
    let known = operation("cmd pull", vec![source("quay.io/a:1")]);
    assert_eq!(code(judged(&settings, &known)), "");
    for attrs in [vec![], vec![attr("caller.uid", "root")], vec![attr("caller.uid", "-1")]] {
        assert_eq!(code(judged(&settings, &Operation { attrs, ..known.clone() })), "denied-by-default");
    }
}

#[test]
fn an_image_by_its_id_matches_only_rules_without_names() {
    for (keys, expected) in [
        (json!({}), true),
        (json!({ "operations": ["cmd *"], "roles": ["source"], "callers": [1000] }), true),
        (json!({ "digest": [digest('d')] }), true),
        (json!({ "digest": [digest('e')] }), false),
        (json!({ "registry": ["*"] }), false),
        (json!({ "repository": ["**"] }), false),
        (json!({ "tag": ["*"] }), false),
    ] {
        assert_eq!(fits(&keys, by_id()), expected, "{keys}");
    }
    let settings = json!({ "default": "deny", "rule": [{ "effect": "allow", "registry": ["quay.io"] }] });
    let denial = denial(pull(&settings, by_id())).unwrap();
    assert_eq!(denial.code, "unnamed-image");
    assert_eq!(
        denial.message,
        "image cccccccccccc: denied by default: it was requested by ID, so rules about names do not match it"
    );
    assert!(denial.hint.unwrap().starts_with(
        "use its name (REGISTRY/REPOSITORY:TAG) instead of its ID; for `cmd pull` the rules allow these images as the source: "
    ));
    assert_eq!(code(pull(&json!({ "default": "allow" }), by_id())), "");
}

#[test]
fn a_transport_without_registries_matches_no_registry() {
    let archive = || image("source", "oci:/srv/os:1");
    for (keys, expected) in [
        (json!({ "registry": ["*"] }), false),
        (json!({ "registry": ["**"] }), false),
        (json!({ "repository": ["/srv/*"] }), true),
        (json!({ "tag": ["1"] }), false),
    ] {
        assert_eq!(fits(&keys, archive()), expected, "{keys}");
    }
    let denied = denial(pull(&json!({ "default": "deny" }), archive())).unwrap();
    assert_eq!(denied.message, "oci:/srv/os:1: denied by default: no rule matches it");
}

#[test]
fn an_image_of_a_storage_is_known_by_its_name() {
    let stored = || image("source", "containers-storage:quay.io/a/b:1");
    assert!(fits(&json!({ "registry": ["quay.io"], "repository": ["a/*"], "tag": ["1"] }), stored()));
    assert!(fits(
        &json!({ "registry": ["localhost"] }),
        image("target", "containers-storage:localhost/b:latest")
    ));
}

#[test]
fn what_runs_counts_more_than_the_digest_in_the_name() {
    let image = Image { digest: Some(digest('b')), ..source(&format!("quay.io/a@{}", digest('a'))) };
    assert!(fits(&json!({ "digest": [digest('b')] }), image.clone()));
    assert!(!fits(&json!({ "digest": [digest('a')] }), image));
}

#[test]
fn a_rule_can_demand_a_digest_in_the_name() {
    let settings =
        json!({ "default": "deny", "rule": [{ "effect": "allow", "name": "own", "require-digest": true }] });
    let tagged = Image { digest: Some(digest('a')), ..source("quay.io/a:1") };
    let denied = denial(pull(&settings, tagged)).unwrap();
    assert_eq!(
        (denied.code.as_str(), denied.message.as_str()),
        ("not-by-digest", "quay.io/a:1: rule \"own\" allows it only if it is named by digest")
    );
    assert_eq!(denied.hint, Some(format!("name it by digest: quay.io/a@{}", digest('a'))));
    let unknown = denial(pull(&settings, source("quay.io/a:1"))).unwrap();
    assert_eq!(
        unknown.hint.as_deref(),
        Some(
            "name it by digest: quay.io/a@sha256:DIGEST; find the digest with: skopeo inspect --format '{{.Digest}}' docker://quay.io/a:1"
        )
    );
    for name in [format!("quay.io/a@{}", digest('a')), format!("quay.io/a:1@{}", digest('a'))] {
        assert_eq!(code(pull(&settings, source(&name))), "", "{name}");
    }
    assert_eq!(code(pull(&settings, by_id())), "not-by-digest");
}

#[test]
fn a_rule_can_forbid_latest() {
    let settings =
        json!({ "default": "deny", "rule": [{ "effect": "allow", "name": "own", "no-latest": true }] });
    for (name, expected) in [
        ("quay.io/a:1".to_owned(), ""),
        ("quay.io/a:latest-1".to_owned(), ""),
        (format!("quay.io/a@{}", digest('a')), ""),
        ("quay.io/a:latest".to_owned(), "latest-tag"),
        ("quay.io/a".to_owned(), "latest-tag"),
        (format!("quay.io/a:latest@{}", digest('a')), "latest-tag"),
    ] {
        assert_eq!(code(pull(&settings, source(&name))), expected, "{name}");
    }
    assert_eq!(code(pull(&settings, by_id())), "");
    let denied = denial(pull(&settings, source("quay.io/a:latest"))).unwrap();
    assert_eq!(denied.message, "quay.io/a:latest: rule \"own\" does not allow it with the tag `latest`");
    assert_eq!(denied.hint.as_deref(), Some("use another tag, or only the digest: quay.io/a@sha256:DIGEST"));
}

#[test]
fn demands_on_all_are_about_what_is_fetched_from_registries() {
    for (key, expected) in [("require-digest", "not-by-digest"), ("no-latest", "latest-tag")] {
        for rules in [json!([{ "effect": "allow" }]), json!([{ "effect": "deny", "tag": ["x"] }])] {
            let settings = json!({ "default": "allow", key: true, "rule": rules });
            assert_eq!(code(pull(&settings, source("quay.io/a:latest"))), expected);
            assert_eq!(code(pull(&settings, source(&format!("quay.io/a@{}", digest('a'))))), "");
            for free in [
                image("target", "docker://quay.io/a:latest"),
                image("source", "containers-storage:quay.io/a:latest"),
                image("source", "oci:/srv/os"),
                by_id(),
            ] {
                assert_eq!(code(pull(&settings, free.clone())), "", "{key} {free:?}");
            }
        }
        let denied = json!({ "default": "deny", key: true });
        assert_eq!(code(pull(&denied, source("quay.io/a:latest"))), "denied-by-default");
    }
}

#[test]
fn a_hint_lists_a_few_rules_of_those_that_could_help() {
    let rule =
        |n: u32| json!({ "effect": "allow", "name": format!("r{n}"), "registry": [format!("h{n}.io")] });
    let mut rules: Vec<Value> = (1..=7).map(rule).collect();
    rules.insert(0, json!({ "effect": "allow", "operations": ["cmd push"] }));
    rules.insert(1, json!({ "effect": "allow", "callers": [0] }));
    rules.insert(2, json!({ "effect": "allow", "roles": ["target"] }));
    let settings = json!({ "default": "deny", "rule": rules });
    let denied = denial(pull(&settings, source("quay.io/a:1"))).unwrap();
    assert_eq!(
        denied.hint.as_deref(),
        Some(
            "for `cmd pull` the rules allow these images as the source: registry h1.io (rule \"r1\"); registry h2.io (rule \"r2\"); \
             registry h3.io (rule \"r3\"); registry h4.io (rule \"r4\"); registry h5.io (rule \"r5\"); and 2 more"
        )
    );
    let full = json!({ "effect": "allow", "registry": ["a.io", "b.io"], "repository": ["c/**"], "tag": ["1"],
        "require-digest": true, "no-latest": true });
    let denied = denial(pull(&json!({ "default": "deny", "rule": [full] }), source("quay.io/a:1"))).unwrap();
    assert_eq!(
        denied.hint.as_deref(),
        Some(
            "for `cmd pull` the rules allow these images as the source: registry a.io or b.io, repository c/**, tag 1, named by digest, not `latest` \
             (rule 1)"
        )
    );
}

/// The examples in the README: the verdict for each caller and operation.
#[test]
fn the_examples_of_the_readme_do_what_they_say() {
    let own = json!({ "default": "deny", "rule": [
        { "name": "own images", "effect": "allow", "registry": ["registry.example.com"] },
        { "name": "local names", "effect": "allow", "registry": ["localhost"] },
    ] });
    let pinned = json!({ "default": "allow", "no-latest": true, "rule": [
        { "name": "pulls", "effect": "allow", "operations": ["cmd pull"], "roles": ["source"], "require-digest": true },
    ] });
    let callers = json!({ "default": "deny", "rule": [
        { "name": "nobody pushes to production", "effect": "deny", "operations": ["cmd push"], "roles": ["target"],
          "repository": ["production/**"] },
        { "name": "root", "effect": "allow", "callers": [0] },
        { "name": "operators", "effect": "allow", "callers": [1000, 1001], "operations": ["cmd pull"],
          "registry": ["quay.io"], "repository": ["centos-bootc/**"], "tag": ["9.*", "10.*"] },
    ] });
    let by_digest = format!("docker://quay.io/a/b@{}", digest('a'));
    for (settings, uid, kind, role, name, expected) in [
        (&own, "0", "cmd pull", "source", "docker://registry.example.com/a:1", ""),
        (&own, "0", "cmd pull", "source", "docker://docker.io/library/nginx:1", "denied-by-default"),
        (&own, "0", "copy-to-storage", "target", "containers-storage:localhost/bootc:latest", ""),
        (&pinned, "0", "cmd pull", "source", "docker://quay.io/a/b:9.4", "not-by-digest"),
        (&pinned, "0", "cmd pull", "source", &by_digest, ""),
        (&pinned, "0", "cmd push", "source", "containers-storage:quay.io/a/b:9.4", ""),
        (&pinned, "0", "copy-to-storage", "source", "docker://quay.io/a/b:9.4", ""),
        (&pinned, "0", "copy-to-storage", "source", "docker://quay.io/a/b:latest", "latest-tag"),
        (&pinned, "0", "copy-to-storage", "target", "containers-storage:localhost/bootc:latest", ""),
        (&callers, "0", "cmd push", "target", "docker://quay.io/production/a:1", "denied-by-rule"),
        (&callers, "0", "cmd push", "target", "docker://quay.io/test/a:1", ""),
        (&callers, "1001", "cmd pull", "source", "docker://quay.io/centos-bootc/os/a:9.4", ""),
        (&callers, "1001", "cmd pull", "source", "docker://quay.io/centos-bootc/os:8", "denied-by-default"),
        (&callers, "1001", "cmd push", "target", "docker://quay.io/centos-bootc/os:9.4", "denied-by-default"),
        (&callers, "1002", "cmd pull", "source", "docker://quay.io/centos-bootc/os:9.4", "denied-by-default"),
    ] {
        let attrs = vec![attr("caller.uid", uid)];
        let asked = Operation { attrs, ..operation(kind, vec![image(role, name)]) };
        assert_eq!(code(judged(settings, &asked)), expected, "{uid} {kind} {name}");
    }
}

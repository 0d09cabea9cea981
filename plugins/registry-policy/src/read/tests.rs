use serde_json::{Value, json};

use super::*;

/// Key and message of each problem.
fn problems(json: &Value) -> Vec<(String, String)> {
    let problems = settings(&json.to_string()).expect_err(&json.to_string());
    let told = problems.into_iter().map(|problem| {
        assert_eq!((problem.code.as_str(), problem.attrs.len()), ("bad-setting", 1));
        assert_eq!(problem.attrs[0].key, "key");
        (problem.attrs[0].value.clone(), problem.message)
    });
    told.collect()
}

/// The only problem of a rule with one key more than it needs.
fn rule_problem(key: &str, value: Value) -> (String, String) {
    let mut rule = json!({ "effect": "allow" });
    rule[key] = value;
    let problems = problems(&json!({ "default": "deny", "rule": [rule] }));
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.into_iter().next().unwrap()
}

#[test]
fn everything_that_can_be_set_is_read() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let json = json!({
        "default": "allow", "require-digest": true, "no-latest": true,
        "rule": [
            { "effect": "deny" },
            {
                "effect": "allow", "name": "own", "operations": ["cmd pull", "copy-to-storage", "c*"],
                "roles": ["source", "target", "image"], "callers": [0, 1000], "registry": ["QUAY.io", "*.a.b"],
                "repository": ["b/**"], "tag": ["9.*"], "digest": [digest, "sha256:a*"],
                "require-digest": true, "no-latest": true,
            },
        ],
    });
    let text = json.to_string();
    let settings = settings(&text).unwrap();
    assert_eq!((settings.default, settings.require_digest, settings.no_latest), (Effect::Allow, true, true));
    let [first, own] = settings.rules.as_slice() else { panic!("not two rules") };
    assert_eq!((first.name().as_ref(), first.effect), ("rule 1", Effect::Deny));
    assert_eq!((own.name().as_ref(), own.effect), ("own", Effect::Allow));
    assert_eq!((own.roles.len(), own.callers.as_slice(), own.tag.len()), (3, [0, 1000].as_slice(), 1));
    assert_eq!((own.registry[0].as_str(), own.operations.len(), own.digest.len()), ("quay.io", 3, 2));
    assert!(own.require_digest && own.no_latest);
}

#[test]
fn what_isnt_a_table_is_one_problem() {
    for (json, message) in [
        ("", "the settings aren't JSON"),
        ("{", "the settings aren't JSON"),
        ("{} {}", "the settings aren't JSON"),
        ("[]", "the settings must be a table, not a list"),
        (r#"{"default": "deny"} {}"#, "the settings aren't JSON"),
        ("null", "the settings must be a table, not nothing"),
        ("1", "the settings must be a table, not a number"),
    ] {
        let problems = settings(json).unwrap_err();
        assert_eq!((problems.len(), problems[0].message.as_str()), (1, message), "{json}");
    }
}

#[test]
fn a_wrong_value_is_told_with_its_key() {
    for (key, value, told_key, message) in [
        ("effect", json!("alow"), "effect", "\"alow\" isn't known here; did you mean \"allow\"?"),
        ("effect", json!("maybe"), "effect", "\"maybe\" isn't known here; known are allow, deny"),
        ("effect", json!(1), "effect", "must be a string, not a number"),
        ("name", json!(["a"]), "name", "must be a string, not a list"),
        ("name", json!(" "), "name", "a name must not be empty; leave the key out"),
        (
            "name",
            json!("default"),
            "name",
            "\"default\" is what something else is called; choose another name",
        ),
        ("name", json!("rule 7"), "name", "\"rule 7\" is what something else is called; choose another name"),
        ("operations", json!("cmd *"), "operations", "must be a list, not a string"),
        (
            "operations",
            json!(["set-unify"]),
            "operations[0]",
            "\"set-unify\" is no operation that is judged; did you mean \"set-unified\"?",
        ),
        (
            "operations",
            json!(["cmd *", "list"]),
            "operations[1]",
            "\"list\" is no operation that is judged; known are copy-to-storage, pull-from-default-storage, set-unified, repair, cmd SUBCOMMAND",
        ),
        (
            "operations",
            json!(["cmd rmi"]),
            "operations[0]",
            "\"cmd rmi\" is judged as \"remove\", which this policy isn't asked about",
        ),
        (
            "operations",
            json!(["cmd load", "cmd prune"]),
            "operations[1]",
            "\"cmd prune\" is judged as \"prune\", which this policy isn't asked about",
        ),
        ("roles", json!(["sorce"]), "roles[0]", "\"sorce\" isn't known here; did you mean \"source\"?"),
        ("roles", json!([true]), "roles[0]", "must be a string, not true or false"),
        ("callers", json!([0, -1]), "callers[1]", "must be a user's number, 0 to 4294967294"),
        ("callers", json!([1.5]), "callers[0]", "must be a user's number, 0 to 4294967294"),
        (
            "callers",
            json!([4_294_967_295_u32]),
            "callers[0]",
            "must be a user's number, 0 to 4294967294, not 4294967295",
        ),
        ("callers", json!(["root"]), "callers[0]", "must be a user's number, 0 to 4294967294"),
        ("callers", json!(0), "callers", "must be a list, not a number"),
        (
            "registry",
            json!(["quay.io/a"]),
            "registry[0]",
            "\"quay.io/a\" can't match: a registry is HOST or HOST:PORT, and what follows is `repository`",
        ),
        (
            "registry",
            json!(["quay.io", "INDEX.docker.io"]),
            "registry[1]",
            "\"index.docker.io\" can't match: this registry is compared as \"docker.io\"",
        ),
        (
            "registry",
            json!(["quay.io:443"]),
            "registry[0]",
            "\"quay.io:443\" can't match: the port 443, which every registry has, isn't compared; write \"quay.io\"",
        ),
        (
            "registry",
            json!(["evil"]),
            "registry[0]",
            "\"evil\" can't match: a registry has a dot or a port, or is localhost",
        ),
        ("registry", json!(["qu ay"]), "registry[0]", "\"qu ay\" can't match: no registry has such a name"),
        (
            "digest",
            json!(["sha265:*"]),
            "digest[0]",
            "\"sha265:*\" can't match: a digest begins with sha256:, in lower case",
        ),
        (
            "operations",
            json!(["cmd pul"]),
            "operations[0]",
            "\"cmd pul\" is no operation that is judged; did you mean \"cmd pull\"?",
        ),
        (
            "operations",
            json!(["cmd rm*"]),
            "operations[0]",
            "\"cmd rm\" is judged as \"remove\", which this policy isn't asked about",
        ),
        ("registry", json!([""]), "registry[0]", "an empty pattern matches nothing"),
        ("registry", json!(["a.b", "[b"]), "registry[1]", "\"[b\" isn't a pattern: invalid range pattern"),
        (
            "repository",
            json!(["a**"]),
            "repository[0]",
            "\"a**\" isn't a pattern: recursive wildcards must form a single path component",
        ),
        ("repository", json!([null]), "repository[0]", "must be a string, not nothing"),
        ("tag", json!([":1"]), "tag[0]", "\":1\" can't match: a tag is what follows the colon"),
        ("tag", json!([9.1]), "tag[0]", "must be a string, not a number"),
        (
            "digest",
            json!(["sha256:abc"]),
            "digest[0]",
            "\"sha256:abc\" can't match: a digest is sha256: and 64 lower-case hexadecimal digits",
        ),
        ("require-digest", json!("yes"), "require-digest", "must be true or false, not a string"),
        ("no-latest", json!(0), "no-latest", "must be true or false, not a number"),
        ("registies", json!([]), "registies", "unknown key; did you mean \"registry\"?"),
        ("require_digest", json!(true), "require_digest", "unknown key; did you mean \"require-digest\"?"),
    ] {
        let key_there = format!("rule[0].{told_key}");
        assert_eq!(
            rule_problem(key, value),
            (key_there.clone(), format!("`{key_there}`: {message}")),
            "{key}"
        );
    }
}

#[test]
fn names_that_nothing_has_and_names_of_strangers_are_problems() {
    let told = |effect: &str, registry: &str, repository: &str| {
        let rule = json!({ "effect": effect, "registry": [registry], "repository": [repository] });
        match settings(&json!({ "default": "deny", "rule": [rule] }).to_string()) {
            Ok(_) => String::new(),
            Err(problems) => problems[0].message.clone(),
        }
    };
    for (effect, registry, repository, expected) in [
        ("allow", "quay.io", "a/*", ""),
        ("allow", "*", "a/b", ""),
        ("allow", "*.example.com", "**", ""),
        ("allow", "docker.io", "library/*", ""),
        ("allow", "docker.io", "**", ""),
        ("deny", "quay.io*", "a/b", ""),
        ("allow", "quay.io*", "a/b", "registries of strangers, such as quay.io.example.net:"),
        ("deny", "*quay.io", "a/b", ""),
        ("deny", "127.0.0.*", "a/b", ""),
        ("allow", "*quay.io", "a/b", "registries of strangers, such as evilquay.io:"),
        ("allow", "q?ay.io", "a/b", "registries of strangers, such as q9ay.io:"),
        ("allow", "[pq]uay.io", "a/b", "registries of strangers, such as quay.io:"),
        ("allow", "*.io", "a/b", "registries of strangers, such as evil.io:"),
        ("allow", "example.com:*", "a/b", ""),
        ("allow", "[0:0::1]:5000", "a/b", ""),
        ("allow", "quay.io", "**/[a-c]?/*-x", ""),
        ("allow", "quay.io", "-x", "lower-case letters and digits"),
        ("deny", "quay.io", "a/x y", "lower-case letters and digits"),
        ("allow", "quay.io", "*/.x", "lower-case letters and digits"),
        ("allow", "127.0.0.?:5000", "a/b", "registries of strangers"),
        ("allow", "quay.io", "A/b", "in lower case"),
        ("allow", "quay.io", "a/b:1", "keys of their own"),
        ("allow", "quay.io", "/a/b", "without slashes at its ends"),
        ("deny", "docker.io", "nginx", "in library/"),
        ("allow", "docker.io", "*", "in library/"),
    ] {
        let told = told(effect, registry, repository);
        assert_eq!(told.is_empty(), expected.is_empty(), "{registry} {repository}: {told}");
        assert!(told.contains(expected), "{registry} {repository}: {told}");
    }
}

#[test]
fn an_empty_list_is_a_problem_since_it_would_match_everything() {
    for key in ["operations", "roles", "callers", "registry", "repository", "tag", "digest"] {
        let (told, message) = rule_problem(key, json!([]));
        assert_eq!(told, format!("rule[0].{key}"));
        assert!(message.contains("the list is empty"), "{message}");
    }
    let told = problems(&json!({ "default": "deny", "rule": [] }));
    assert_eq!(told, [("rule".to_owned(), "`rule`: the list is empty; leave the key out".to_owned())]);
}

#[test]
fn rules_must_be_a_list_of_tables() {
    let told = problems(&json!({ "default": "deny", "rule": { "effect": "deny" } }));
    assert!(
        told[0].1.contains("not a table; a rule begins with [[settings.registry-policy.rule]]"),
        "{told:?}"
    );
    let told = problems(&json!({ "default": "deny", "rule": [{ "effect": "deny" }, 3] }));
    assert_eq!(told, [("rule[1]".to_owned(), "`rule[1]`: must be a table, not a number".to_owned())]);
}

#[test]
fn only_a_rule_that_allows_makes_demands() {
    for key in ["require-digest", "no-latest"] {
        let rule = |value: bool| json!({ "default": "deny", "rule": [{ "effect": "deny", key: value }] });
        assert_eq!(
            problems(&rule(true)),
            [(
                format!("rule[0].{key}"),
                format!("`rule[0].{key}`: only a rule with effect \"allow\" can ask for it")
            )]
        );
        assert!(settings(&rule(false).to_string()).is_ok());
    }
}

#[test]
fn no_two_rules_have_one_name() {
    let rule = |name: &str| json!({ "effect": "deny", "name": name });
    let told = problems(&json!({ "default": "deny", "rule": [rule("a"), rule("b"), rule("a")] }));
    assert_eq!(
        told,
        [("rule[2].name".to_owned(), "`rule[2].name`: \"a\" is the name of rule 1 already".to_owned())]
    );
}

#[test]
fn every_problem_is_told() {
    let told = problems(&json!({
        "defualt": "deny", "no-latest": "no",
        "rule": [
            { "effect": "deny", "tag": [], "registry": ["a/b", "c.d", "["], "require-digest": true },
            { "name": "x", "callers": [-1], "colour": 1 },
            { "effect": "allow", "name": "x" },
        ],
    }));
    let keys: Vec<&str> = told.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "default",
            "no-latest",
            "defualt",
            "rule[0].registry[0]",
            "rule[0].registry[2]",
            "rule[0].tag",
            "rule[0].require-digest",
            "rule[1].effect",
            "rule[1].callers[0]",
            "rule[1].colour",
            "rule[2].name",
        ]
    );
}

#[test]
fn a_key_is_given_once() {
    let told = settings(r#"{"default": "allow", "default": "deny"}"#).unwrap_err();
    assert_eq!((told.len(), told[0].message.as_str()), (1, "`default`: given twice"));
}

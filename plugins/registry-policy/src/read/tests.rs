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
        ("", "the settings are not valid JSON"),
        ("{", "the settings are not valid JSON"),
        ("{} {}", "the settings are not valid JSON"),
        ("[]", "the settings must be a table, not a list"),
        (r#"{"default": "deny"} {}"#, "the settings are not valid JSON"),
        ("null", "the settings must be a table, not null"),
        ("1", "the settings must be a table, not a number"),
    ] {
        let problems = settings(json).unwrap_err();
        assert_eq!((problems.len(), problems[0].message.as_str()), (1, message), "{json}");
    }
}

#[test]
fn a_wrong_value_is_told_with_its_key() {
    for (key, value, told_key, message) in [
        ("effect", json!("alow"), "effect", "\"alow\" is not a valid value; did you mean \"allow\"?"),
        ("effect", json!("maybe"), "effect", "\"maybe\" is not a valid value; expected one of: allow, deny"),
        ("effect", json!(1), "effect", "must be a string, not a number"),
        ("name", json!(["a"]), "name", "must be a string, not a list"),
        ("name", json!(" "), "name", "a name must not be empty; to use the default name, remove the key"),
        ("name", json!("default"), "name", "the name \"default\" is reserved; choose another name"),
        ("name", json!("rule 7"), "name", "the name \"rule 7\" is reserved; choose another name"),
        ("operations", json!("cmd *"), "operations", "must be a list, not a string"),
        (
            "operations",
            json!(["set-unify"]),
            "operations[0]",
            "\"set-unify\" is not an operation that this policy judges; did you mean \"set-unified\"?",
        ),
        (
            "operations",
            json!(["cmd *", "list"]),
            "operations[1]",
            "\"list\" is not an operation that this policy judges; expected one of: copy-to-storage, \
             pull-from-default-storage, set-unified, repair, cmd SUBCOMMAND",
        ),
        (
            "operations",
            json!(["cmd rmi"]),
            "operations[0]",
            "\"cmd rmi\" is judged as \"remove\", which this policy does not judge",
        ),
        (
            "operations",
            json!(["cmd load", "cmd prune"]),
            "operations[1]",
            "\"cmd prune\" is judged as \"prune\", which this policy does not judge",
        ),
        ("roles", json!(["sorce"]), "roles[0]", "\"sorce\" is not a valid value; did you mean \"source\"?"),
        ("roles", json!([true]), "roles[0]", "must be a string, not a boolean"),
        ("callers", json!([0, -1]), "callers[1]", "must be a user ID from 0 to 4294967294"),
        ("callers", json!([1.5]), "callers[0]", "must be a user ID from 0 to 4294967294"),
        (
            "callers",
            json!([4_294_967_295_u32]),
            "callers[0]",
            "must be a user ID from 0 to 4294967294, not 4294967295",
        ),
        ("callers", json!(["root"]), "callers[0]", "must be a user ID from 0 to 4294967294"),
        ("callers", json!(0), "callers", "must be a list, not a number"),
        (
            "registry",
            json!(["quay.io/a"]),
            "registry[0]",
            "\"quay.io/a\" cannot match: a registry is HOST or HOST:PORT; put the rest into `repository`",
        ),
        (
            "registry",
            json!(["quay.io", "INDEX.docker.io"]),
            "registry[1]",
            "\"index.docker.io\" cannot match: this registry is called \"docker.io\" here",
        ),
        (
            "registry",
            json!(["quay.io:443"]),
            "registry[0]",
            "\"quay.io:443\" cannot match: the default port 443 is left out; write \"quay.io\"",
        ),
        (
            "registry",
            json!(["evil"]),
            "registry[0]",
            "\"evil\" cannot match: a registry has a dot or a port, or is localhost",
        ),
        (
            "registry",
            json!(["qu ay"]),
            "registry[0]",
            "\"qu ay\" cannot match: this is not a valid registry name",
        ),
        (
            "digest",
            json!(["sha265:*"]),
            "digest[0]",
            "\"sha265:*\" cannot match: a digest starts with sha256:, in lower case",
        ),
        (
            "operations",
            json!(["cmd pul"]),
            "operations[0]",
            "\"cmd pul\" is not an operation that this policy judges; did you mean \"cmd pull\"?",
        ),
        (
            "operations",
            json!(["cmd rm*"]),
            "operations[0]",
            "\"cmd rm\" is judged as \"remove\", which this policy does not judge",
        ),
        ("registry", json!([""]), "registry[0]", "an empty pattern matches nothing"),
        (
            "registry",
            json!(["a.b", "[b"]),
            "registry[1]",
            "\"[b\" is not a valid pattern: invalid range pattern",
        ),
        (
            "repository",
            json!(["a**"]),
            "repository[0]",
            "\"a**\" is not a valid pattern: recursive wildcards must form a single path component",
        ),
        ("repository", json!([null]), "repository[0]", "must be a string, not null"),
        ("tag", json!([":1"]), "tag[0]", "\":1\" cannot match: a tag is only the part after the colon"),
        ("tag", json!([9.1]), "tag[0]", "must be a string, not a number"),
        (
            "digest",
            json!(["sha256:abc"]),
            "digest[0]",
            "\"sha256:abc\" cannot match: a digest is sha256: and 64 lower-case hexadecimal digits",
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
fn names_that_no_image_has_and_wildcards_in_registries_are_problems() {
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
        ("allow", "quay.io*", "a/b", "registries of other owners, such as quay.io.example.net:"),
        ("deny", "*quay.io", "a/b", ""),
        ("deny", "127.0.0.*", "a/b", ""),
        ("allow", "*quay.io", "a/b", "registries of other owners, such as evilquay.io:"),
        ("allow", "q?ay.io", "a/b", "registries of other owners, such as q9ay.io:"),
        ("allow", "[pq]uay.io", "a/b", "registries of other owners, such as quay.io:"),
        ("allow", "*.io", "a/b", "registries of other owners, such as evil.io:"),
        ("allow", "example.com:*", "a/b", ""),
        ("allow", "[0:0::1]:5000", "a/b", ""),
        ("allow", "quay.io", "**/[a-c]?/*-x", ""),
        ("allow", "quay.io", "-x", "lower-case letters and digits"),
        ("deny", "quay.io", "a/x y", "lower-case letters and digits"),
        ("allow", "quay.io", "*/.x", "lower-case letters and digits"),
        ("allow", "127.0.0.?:5000", "a/b", "registries of other owners"),
        ("allow", "quay.io", "A/b", "in lower case"),
        ("allow", "quay.io", "a/b:1", "belongs into the key `tag` or `digest`"),
        ("allow", "quay.io", "/a/b", "no slash at its start or end"),
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
    assert_eq!(told, [("rule".to_owned(), "`rule`: the list is empty; remove the key".to_owned())]);
}

#[test]
fn rules_must_be_a_list_of_tables() {
    let told = problems(&json!({ "default": "deny", "rule": { "effect": "deny" } }));
    assert!(
        told[0].1.contains("not a table; start each rule with [[settings.registry-policy.rule]]"),
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
                format!("`rule[0].{key}`: is valid only in a rule with effect \"allow\"")
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
        [("rule[2].name".to_owned(), "`rule[2].name`: rule 1 already has the name \"a\"".to_owned())]
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

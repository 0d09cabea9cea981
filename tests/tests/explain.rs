//! `policy explain`: also without a network, for somebody else, as JSON, and with what `policy.json` will demand. Nothing runs.

mod plugins;

use std::path::Path;

use bootc_image_tests::World;
use bootc_image_tests::oracle::{self, Store};
use bootc_image_tests::world::Enter;
use plugins::install_in_image;
use serde_json::Value;

const APP: &str = "127.0.0.1:5000/lab/app:3";
const POLICY: &str = "/etc/containers/policy.json";

/// Explains a pull of the registry's image, with these options.
fn explain<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["bootc-image", "policy", "explain"], options, &["cmd", "pull", APP]].concat()
}

fn does(enter: Enter, what: &str) -> Enter {
    install_in_image(enter, "policy-does")
        .file("/usr/lib/bootc-image/config.d/50-test.toml", format!("settings.policy-does.do = \"{what}\"\n"))
}

/// What `--format json` printed, which is as the schema says.
fn answer(stdout: &str) -> Value {
    let answer: Value = serde_json::from_str(stdout).unwrap_or_else(|_| panic!("{stdout}"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/explain.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let wrong = faults(&schema, &schema, &answer, "");
    assert!(wrong.is_empty(), "{wrong:#?}\n{answer:#}");
    answer
}

/// Where a value isn't as a schema says. Only what that schema uses is known here.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = &root["$defs"][name.trim_start_matches("#/$defs/")];
        assert!(definition.is_object(), "{name}");
        return faults(root, definition, value, at);
    }
    let mut wrong = Vec::new();
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.is_empty() && !types.contains(&is) {
        wrong.push(format!("{at}: {is} instead of {types:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        wrong.push(format!("{at}: {value} is none of {allowed:?}"));
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        wrong.push(format!("{at}: {value} isn't {}", schema["const"]));
    }
    if let Value::Object(object) = value {
        for required in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(required.as_str().unwrap()) {
                wrong.push(format!("{at}: {required} is missing"));
            }
        }
        for (key, value) in object {
            match (&schema["properties"][key], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => wrong.push(format!("{at}: {key} is unknown")),
                (Value::Null, others @ Value::Object(_)) => {
                    wrong.extend(faults(root, others, value, &format!("{at}.{key}")));
                }
                (Value::Null, _) => {}
                (known, _) => wrong.extend(faults(root, known, value, &format!("{at}.{key}"))),
            }
        }
    }
    for item in value.as_array().into_iter().flatten().filter(|_| schema["items"].is_object()) {
        wrong.extend(faults(root, &schema["items"], item, &format!("{at}[]")));
    }
    wrong
}

#[test]
fn what_isnt_as_the_schema_says_is_found() {
    let root: Value = serde_json::from_str(
        r##"{"$defs":{"a":{"type":"object","required":["x"],"additionalProperties":false,
            "properties":{"x":{"type":["string","null"],"enum":["1",null]},"y":{"type":"array","items":{"const":1}}}}},
            "$ref":"#/$defs/a"}"##,
    )
    .unwrap();
    let found = |text: &str| faults(&root, &root, &serde_json::from_str(text).unwrap(), "").len();
    assert_eq!(found(r#"{"x":"1","y":[1]}"#) + found(r#"{"x":null}"#), 0);
    for bad in
        [r#"{}"#, r#"{"x":"2"}"#, r#"{"x":"1","z":1}"#, r#"{"x":"1","y":[2]}"#, r#"{"x":"1","y":""}"#, "[]"]
    {
        assert_eq!(found(bad), 1, "{bad}");
    }
}

#[test]
fn without_a_registry_the_verdict_is_unknown_and_what_was_judged_is_shown() {
    let world = World::new();
    let enter = || does(world.enter(), "allow").registry(false);
    let output = enter().run(&explain(&[])).exits(1);
    assert!(
        output.stdout.starts_with("cmd pull: unknown, because a name cannot be resolved (operation sha256:"),
        "{output:#?}"
    );
    for row in [
        "delegation   allows",
        "grammar      allows",
        "pinning      unknown  it judges only after names are resolved",
    ] {
        assert!(output.stdout.contains(row), "{row}: {output:#?}");
    }
    assert!(output.stdout.contains("policy-does  unknown"), "{output:#?}");
    assert!(!output.stdout.contains("allowed"), "{output:#?}");
    assert!(output.stderr.contains(&format!("error: cannot resolve {APP} in its registry: ")), "{output:#?}");
    let output = enter().run(&explain(&["--format", "json"])).exits(1);
    let unknown = answer(&output.stdout);
    assert_eq!((&unknown["verdict"], &unknown["unresolved"]["name"]), (&"unknown".into(), &APP.into()));
    let operation = &unknown["operations"][0];
    assert_eq!((&operation["verdict"], &operation["resolved"]), (&"unknown".into(), &false.into()));
    assert_eq!(operation["canonical"]["resolved"], false);
    // A registry was contacted, which is recorded, and nothing else is.
    let record = world.record();
    assert!(record.iter().all(|line| line["event"] == "resolved"), "{record:#?}");
    // Whoever denies before doesn't wait for the registry.
    let output = does(world.enter(), "deny-unresolved").registry(false);
    let manifest = String::from_utf8(plugins::files_of("policy-does").swap_remove(0).1).unwrap()
        + "before-lookup = true\n";
    let output = output
        .file("/usr/lib/bootc-image/plugins/policy-does/plugin.toml", manifest)
        .run(&explain(&[]))
        .exits(77);
    assert!(output.stdout.starts_with("cmd pull: denied ("), "{output:#?}");
    let missing = enter().without("skopeo").run(&explain(&[])).exits(69);
    assert!(missing.stdout.starts_with("cmd pull: unknown"), "{missing:#?}");
}

#[test]
fn root_asks_what_another_caller_gets() {
    let world = World::new();
    let enter = || does(world.enter(), "deny-sudo").registry(true);
    enter().run(&explain(&[])).ok();
    assert!(world.record().is_empty(), "{:#?}", world.record());
    let output = enter().run(&explain(&["--as", "1000", "--via", "sudo"])).exits(77);
    assert!(
        output.stdout.contains("policy-does  denies   sudo is not enough [not-by-others]"),
        "{output:#?}"
    );
    let record = world.record();
    let [line] = record.as_slice() else { panic!("{record:#?}") };
    assert_eq!((&line["event"], &line["subject"]["uid"]), (&"explained".into(), &0.into()));
    assert_eq!((&line["subject"]["delegation"], &line["assumed"]["uid"]), (&Value::Null, &1000.into()));
    assert_eq!(
        (&line["assumed"]["delegation"], &line["denial"]["code"]),
        (&"sudo".into(), &"not-by-others".into())
    );
    assert_eq!(line["canonical"]["subject"]["uid"], 1000);

    for (options, code, expected) in [
        (&["--as", "0"][..], 0, "cmd pull: allowed ("),
        (&["--as", "1000", "--via", "doas"], 77, "doas is not enough"),
        (&["--as", "1000", "--via", "pkexec"], 77, "pkexec is not enough"),
        (&["--as", "1000", "--via", "setuid"], 77, "setuid is not enough"),
        (&["--as", "1000"], 1, ""),
    ] {
        let before = world.record().len();
        let output = enter().run(&explain(options)).exits(code);
        assert!(output.stdout.contains(expected), "{options:?}: {output:#?}");
        let record = world.record();
        let new: Vec<&Value> = record[before..].iter().map(|line| &line["event"]).collect();
        assert_eq!(new, ["explained"], "{options:?}");
    }
    let what = [
        "bootc-image",
        "policy",
        "explain",
        "--as",
        "1000",
        "--via",
        "sudo",
        "--format",
        "json",
        "cmd",
        "build",
        "/root",
    ];
    let denied = answer(&enter().run(&what).exits(77).stdout);
    let caller = serde_json::json!({ "uid": 1000, "via": "sudo", "assumed": true });
    assert_eq!((&denied["caller"], &denied["denial"]["code"]), (&caller, &"delegated-build".into()));
    // Nothing was fetched.
    let names = oracle::podman_names(&world, Store::Bootc);
    assert!(!names.iter().any(|name| name.contains("lab/app:3")), "{names:?}");
    let events: Vec<Value> = world.record().iter().map(|line| line["event"].clone()).collect();
    assert!(events.iter().all(|event| event == "explained"), "{events:?}");
}

#[test]
fn nobody_else_asks_about_others() {
    let world = World::new();
    let asks = explain(&["--as", "0"]);
    let output = world.enter().registry(true).env("SUDO_UID", "1000").run(&asks).exits(77);
    assert!(
        output.stdout.is_empty()
            && output.stderr.contains("`policy explain --as` is not allowed for a caller who"),
        "{output:#?}"
    );
    let record = world.record();
    let [line] = record.as_slice() else { panic!("{record:#?}") };
    assert_eq!((&line["event"], &line["denial"]["code"]), (&"denied".into(), &"delegated-as".into()));
    assert_eq!(line["subject"]["uid"], 1000);
    let output = world.enter().as_uid(1000).run(&asks).exits(1);
    assert!(output.stderr.contains("must be executed as the root user"), "{output:#?}");
    world.enter().run(&["bootc-image", "policy", "explain", "--via", "sudo", "list"]).exits(2);
    world.enter().run(&["bootc-image", "policy", "explain", "--as", "lab", "list"]).exits(2);
    assert_eq!(world.record().len(), 1);
}

/// A list that a plugin needs while it plans isn't recorded as if the other caller had run it.
#[test]
fn an_explanation_is_no_read_of_the_other_callers() {
    let world = World::new();
    let enter = || world.enter().file("/etc/bootc-image/config.d/60-site.toml", "audit.reads = true\n");
    let lists = ["bootc-image", "policy", "explain", "--as", "1000", "--via", "sudo", "list"];
    enter().run(&lists).ok();
    let events: Vec<Value> = world.record().iter().map(|line| line["event"].clone()).collect();
    assert_eq!(events, ["explained"]);
}

#[test]
fn explanations_in_json_are_as_the_schema_says() {
    let world = World::new();
    let run = |enter: Enter, what: &[&str], code: i32| {
        let command = [&["bootc-image", "policy", "explain", "--format", "json"], what].concat();
        answer(&enter.run(&command).exits(code).stdout)
    };
    let allowed = run(does(world.enter(), "allow").registry(true), &["cmd", "pull", APP], 0);
    assert_eq!(allowed["verdict"], "allowed");
    assert_eq!(allowed["operations"][0]["signature_policy"][0]["verdict"], "accepts");
    assert_eq!(allowed["operations"][0]["canonical"]["operation"]["kind"], "cmd");
    let policy = allowed["operations"][0]["verdicts"].as_array().unwrap().iter();
    let policy = policy.filter(|verdict| verdict["validator"] == "policy-does").collect::<Vec<_>>();
    assert_eq!((&policy[0]["verdict"], &policy[0]["attributes"]["rule"]), (&"allows".into(), &"all".into()));
    let denied = run(does(world.enter(), "deny"), &["copy-to-storage"], 77);
    assert_eq!((&denied["verdict"], &denied["denial"]["code"]), (&"denied".into(), &"not-today".into()));
    // Before it becomes an operation.
    let denied = run(world.enter(), &["cmd", "nothing"], 77);
    assert_eq!(
        (&denied["denial"]["code"], &denied["operations"]),
        (&"unclaimed".into(), &Value::Array(Vec::new()))
    );
    let listed = run(does(world.enter(), "panic"), &["list"], 0);
    let verdicts = listed["operations"][0]["verdicts"].as_array().unwrap();
    assert!(verdicts.iter().any(|verdict| verdict["verdict"] == "failed-open"), "{listed:#}");
    let none = world.enter().sh("bootc-image --quiet prune --all >/dev/null 2>&1; bootc-image policy explain --format json prune --all");
    assert_eq!(answer(&none.ok().stdout)["verdict"], "nothing-to-do");
    let text = world.enter().run(&["bootc-image", "policy", "explain", "prune", "--all"]).ok().stdout;
    assert_eq!(text, "nothing would run: there is nothing to do\n");
}

/// Which scope of `policy.json` applies, and what podman does then.
#[test]
fn what_policy_json_demands_is_what_podman_does() {
    let world = World::new();
    let anything = r#"[{"type":"insecureAcceptAnything"}]"#;
    let reject = r#"[{"type":"reject"}]"#;
    let signed = r#"[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/etc/containers/lab.gpg"}]"#;
    let later = r#"[{"type":"later"}]"#;
    let of_tag = "docker 127.0.0.1:5000/lab/app:3";
    let docker = |default: &str, scopes: &[(&str, &str)]| {
        let scopes: Vec<String> = scopes.iter().map(|(scope, what)| format!("{scope:?}:{what}")).collect();
        format!(
            r#"{{"default":{default},"transports":{{"containers-storage":{{"":{anything}}},"docker":{{{}}}}}}}"#,
            scopes.join(",")
        )
    };
    // Policy, verdict, scope, and whether podman pulls.
    for (policy, verdict, scope, pulls) in [
        (docker(anything, &[]), "accepts", "default", true),
        (docker(reject, &[]), "rejects", "default", false),
        (docker(reject, &[("", anything)]), "accepts", "docker", true),
        (docker(anything, &[("", reject)]), "rejects", "docker", false),
        (docker(reject, &[("127.0.0.1:5000", anything)]), "accepts", "docker 127.0.0.1:5000", true),
        (
            docker(anything, &[("127.0.0.1:5000", anything), ("127.0.0.1:5000/lab", reject)]),
            "rejects",
            "docker 127.0.0.1:5000/lab",
            false,
        ),
        (
            docker(reject, &[("127.0.0.1:5000/lab", reject), ("127.0.0.1:5000/lab/app", anything)]),
            "accepts",
            "docker 127.0.0.1:5000/lab/app",
            true,
        ),
        // Images are fetched by digest, and then get a name with a tag.
        (docker(anything, &[(APP, reject)]), "rejects", of_tag, false),
        (docker(anything, &[(APP, signed)]), "rejects", of_tag, false),
        (
            docker(anything, &[(APP, anything), ("127.0.0.1:5000", anything)]),
            "accepts",
            "docker 127.0.0.1:5000",
            true,
        ),
        // podman refuses the whole file.
        (docker(anything, &[("quay.io", later)]), "unknown", "default", false),
        (docker(anything, &[("127.0.0.1:5000", later)]), "unknown", "docker 127.0.0.1:5000", false),
        (docker(anything, &[("*.0.0.1", reject)]), "rejects", "docker *.0.0.1", false),
        (docker(anything, &[("127.0.0.1", reject)]), "accepts", "default", true),
        (docker(anything, &[("127.0.0.1:5000/la", reject)]), "accepts", "default", true),
        (docker(anything, &[("127.0.0.1:5000", signed)]), "needs-signature", "docker 127.0.0.1:5000", false),
    ] {
        let enter = || world.enter().registry(true).file(POLICY, &policy);
        let code = if matches!(verdict, "rejects" | "unknown") { 77 } else { 0 };
        let output = enter().run(&explain(&["--format", "json"])).exits(code);
        let answer = answer(&output.stdout);
        let demand = &answer["operations"][0]["signature_policy"][0];
        assert_eq!(
            (&demand["verdict"], &demand["scope"]),
            (&verdict.into(), &scope.into()),
            "{policy}: {answer:#}"
        );
        assert_eq!(demand["file"], POLICY);
        let overall = match verdict {
            "rejects" => "rejected",
            "unknown" => "unknown",
            _ => "allowed",
        };
        assert_eq!(answer["verdict"], overall, "{answer:#}");
        let pulled = enter().run(&["bootc-image", "cmd", "pull", "--quiet", APP]);
        assert_eq!(pulled.code == 0, pulls, "{policy}: {pulled:#?}");
    }
    let enter = |policy: &str| world.enter().registry(true).file(POLICY, policy);
    let output = enter(&docker(anything, &[("127.0.0.1:5000", reject)])).run(&explain(&[])).exits(77);
    assert!(
        output
            .stdout
            .starts_with("cmd pull: allowed by bootc-image, but rejected by policy.json (operation sha256:"),
        "{output:#?}"
    );
    assert!(
        output.stdout.contains("rejected by policy.json: scope docker 127.0.0.1:5000 of /etc/containers/policy.json demands reject"),
        "{output:#?}"
    );
    assert!(output.stderr.contains("change /etc/containers/policy.json"), "{output:#?}");
    let output = enter(&docker(anything, &[(APP, signed)])).run(&explain(&[])).exits(77);
    assert!(output.stdout.contains(&format!("demands signedBy of {APP} (scope {of_tag})")), "{output:#?}");
    let output = enter(&docker(anything, &[("quay.io", later)])).run(&explain(&[])).exits(77);
    assert!(
        output.stdout.starts_with("cmd pull: allowed by bootc-image, but unknown for policy.json ("),
        "{output:#?}"
    );
    assert!(output.stdout.contains("the file has requirements of type later"), "{output:#?}");
    let output = enter(&docker(anything, &[("127.0.0.1:5000", signed)])).run(&explain(&[])).ok();
    assert!(output.stdout.contains("demands signedBy (keys: /etc/containers/lab.gpg)"), "{output:#?}");
    // Nobody fetches anything without the file, or if it can't be read.
    let output = enter("{").run(&explain(&[])).exits(77);
    assert!(output.stdout.contains("rejected by policy.json: "), "{output:#?}");
    let pull = format!(
        "rm {POLICY}; bootc-image policy explain cmd pull {APP} || echo $?; exec bootc-image cmd pull {APP}"
    );
    let output = world.enter().registry(true).file(POLICY, "{}").sh(&pull).exits(125);
    assert!(
        output.stdout.contains("there is no policy.json") && output.stdout.contains("\n77\n"),
        "{output:#?}"
    );
    // Where names can't be resolved, the file is read all the same.
    let output = world
        .enter()
        .registry(false)
        .file(POLICY, docker(reject, &[]))
        .run(&explain(&["--format", "json"]))
        .exits(1);
    let unknown = answer(&output.stdout);
    assert_eq!(
        (&unknown["verdict"], &unknown["operations"][0]["signature_policy"][0]["verdict"]),
        (&"unknown".into(), &"rejects".into())
    );
}

//! Plugins that misbehave, one test each. The pipeline checks what is planned; here a dishonest plan is returned unchanged, and a plugin
//! that cannot be used is distinguished from one that denies.

// Clippy's leave for tests covers only functions that are tests themselves.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::RefCell;
use std::sync::Arc;

use bootc_image_core::error::Error;
use bootc_image_core::listing::{ImageRow, Listing};
use bootc_image_core::plugin::{
    Granted, Host, Plan, PlanError, PluginRequest, Plugins, PolicyFailure, PolicyVerdict,
};
use bootc_image_engine::configuration::Configuration;
use bootc_image_engine::formats::{Formats as _, Wanted};
use bootc_image_engine::{Environment, PluginSet};
use bootc_image_model::columns::{ImageType, ListType};
use bootc_image_model::denial::{Denial, DeniedBy};
use bootc_image_model::policy_input::PolicyInput;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_test_guests::guest;

use common::{Nobody, alone, id, unusable, words};

// A guest without a test of the same name is a compile error.
macro_rules! has_a_test {
    ($guest:ident) => {
        #[allow(unused_imports)]
        use self::$guest as _;
    };
}
bootc_image_test_guests::for_each_guest!(has_a_test);

#[test]
fn command_panics() {
    let reason = unusable("command-panics", &[]);
    assert!(
        reason.starts_with("panicked: no plan for list\u{fffd}[31m (tests/guests/command-panics/src/lib.rs:"),
        "{reason}"
    );
}

#[test]
fn command_recurses() {
    assert_eq!(unusable("command-recurses", &[]), "crashed: call stack exhausted");
}

#[test]
fn command_foreign_import() {
    let reason = unusable("command-foreign-import", &[]);
    assert_eq!(reason, "it imports `site:doors/back@0.1.0.open`, which this host does not provide");
}

#[test]
fn command_loops() {
    assert_eq!(unusable("command-loops", &[]), "exceeded its processor time limit (2 s)");
}

#[test]
fn command_memory_bomb() {
    assert_eq!(unusable("command-memory-bomb", &[]), "exceeded its memory limit (64 MiB)");
}

#[test]
fn command_other_subcommand() {
    let plan = alone("command-other-subcommand")
        .plan(&id("command-other-subcommand"), "list", &[], &Nobody)
        .unwrap();
    assert_eq!(plan.argv[0], "pull");
}

/// Answers every list with some images, and denies other requests.
struct Answers(RefCell<Vec<PluginRequest>>);

impl Host for Answers {
    fn ask(&self, request: PluginRequest) -> Result<Granted, Error> {
        self.0.borrow_mut().push(request.clone());
        match request {
            PluginRequest::List { .. } => {
                let names = ["127.0.0.1:5000/lab/app:1", "quay.io/lab/app:1", "A B"];
                let row = |name: &str| ImageRow::new(ImageType::Unified, name.to_owned());
                Ok(Granted::Listing(Listing { rows: names.map(row).to_vec(), problems: Vec::new() }))
            }
            PluginRequest::CopyToStorage { .. } => Err(Error::Denied(Denial {
                denied_by: DeniedBy::Host("somebody"),
                code: "no".to_owned(),
                message: "not today".to_owned(),
                hint: None,
            })),
            _ => Err(StoresError::ImageNotFound { name: "x".to_owned(), hint: "ls" }.into()),
        }
    }
}

#[test]
fn command_asks() {
    let asked = |what: &str| {
        let mut configuration = Configuration::default();
        configuration.add(&format!("settings.command-asks.do = {what:?}")).unwrap();
        let builtins = vec![guest("command-asks").unwrap()];
        let set = PluginSet::new(Environment { builtins, configuration, ..Environment::default() });
        let host = Answers(RefCell::default());
        let plan = set.plan(&id("command-asks"), "diff", &[], &host);
        (plan.map(|plan| plan.message), host.0.into_inner())
    };
    let list = |details| PluginRequest::List { image_type: ListType::All, details };
    // Only images within the scope that match the filter.
    assert_eq!(asked("list"), (Ok("unified 127.0.0.1:5000/lab/app:1 ".to_owned()), vec![list(true)]));
    let some = PluginRequest::List { image_type: ListType::Unified, details: false };
    assert_eq!(asked("list-some"), (Ok("127.0.0.1:5000/lab/app:1".to_owned()), vec![some]));
    for what in ["bad-column", "bad-filter", "columns-twice"] {
        let (plan, requests) = asked(what);
        assert!(matches!(plan, Err(PlanError::Failed { code, .. }) if code == "usage"), "{what}");
        assert_eq!(requests, [], "{what}");
    }
    let (plan, requests) = asked("copy");
    assert!(matches!(plan, Err(PlanError::Denied { code, .. }) if code == "no"));
    assert_eq!(requests.len(), 1);
    assert_eq!(asked("go-on").0, Ok("went on in spite of no".to_owned()));
    let (plan, _) = asked("pull");
    assert!(matches!(plan, Err(PlanError::Failed { code, .. }) if code == "not-found"));
    let (plan, requests) = asked("many");
    let reason = "exceeded its limit of 64 requested operations";
    assert!(matches!(plan, Err(PlanError::Unusable { reason: why, .. }) if why == reason));
    assert_eq!(requests.len(), 64);
}

#[test]
fn command_unclaimed() {
    let set = alone("command-unclaimed");
    let plan = set.plan(&id("command-unclaimed"), "list", &[], &Nobody).unwrap();
    assert_eq!(plan.argv, words(&["build", "/"]));
    assert!(set.provided_commands().unwrap().iter().all(|claim| claim.name != "build"));
}

#[test]
fn command_escapes() {
    let set = alone("command-escapes");
    let harmless = "\u{fffd}[2Ja\u{fffd}31mb\u{fffd}\u{fffd}c\u{fffd}d\u{fffd} error: forged";
    let plan = set.plan(&id("command-escapes"), "list", &[], &Nobody);
    assert_eq!(plan, Ok(Plan { argv: words(&["list"]), message: harmless.to_owned() }));
    let refusal = set.plan(&id("command-escapes"), "list", &words(&["deny"]), &Nobody);
    let expected = PlanError::Denied {
        code: "unspecified".to_owned(),
        message: harmless.to_owned(),
        hint: Some(harmless.to_owned()),
    };
    assert_eq!(refusal, Err(expected));
}

#[test]
fn command_log_bomb() {
    assert_eq!(
        unusable("command-log-bomb", &[]),
        "exceeded its limit of 1024 KiB of log messages and results"
    );
}

#[test]
fn command_huge_argv() {
    assert_eq!(
        unusable("command-huge-argv", &[]),
        "exceeded its limit of 1024 KiB of log messages and results"
    );
    assert_eq!(
        unusable("command-huge-argv", &["more"]),
        "exceeded its limit of 4 MiB of data passed between plugin and host"
    );
}

#[test]
fn allowlist_without_pull() {
    let set = alone("allowlist-without-pull");
    assert!(
        set.provided_commands().unwrap().iter().any(|claim| claim.name == "pull"),
        "the manifest still claims it"
    );
    assert!(set.plan(&id("podman-allowlist"), "list", &[], &Nobody).is_ok());
    let refusal = set.plan(&id("podman-allowlist"), "pull", &words(&["registry.example/a"]), &Nobody);
    assert!(matches!(refusal, Err(PlanError::Denied { code, .. }) if code == "not-in-allowlist"));
}

/// Has `policy-does` judge a list, with `do` set to this.
fn does(what: &str) -> Result<PolicyVerdict, PolicyFailure> {
    let mut configuration = Configuration::default();
    configuration.add(&format!("settings.policy-does.do = {what:?}")).unwrap();
    let builtins = vec![guest("policy-does").unwrap()];
    evaluate(Environment { builtins, configuration, ..Environment::default() }, "policy-does", "list")
}

fn evaluate(environment: Environment, name: &str, kind: &str) -> Result<PolicyVerdict, PolicyFailure> {
    let set = PluginSet::new(environment);
    let policies = set.policies().unwrap();
    let policy = policies.iter().find(|policy| policy.plugin() == &id(name)).unwrap();
    policy.evaluate(&policy_input(kind))
}

fn policy_input(kind: &str) -> Arc<PolicyInput> {
    let digest = format!("sha256:{}", "0".repeat(64));
    Arc::new(PolicyInput {
        kind: kind.to_owned(),
        argv: Vec::new(),
        images: Vec::new(),
        digest,
        attrs: Vec::new(),
    })
}

fn reason(what: &str) -> String {
    does(what).unwrap_err().reason
}

#[test]
fn policy_does() {
    let allowed = does("allow").unwrap();
    assert_eq!((allowed.denial, allowed.annotations.reason.as_str()), (None, "list is fine"));
    assert_eq!(allowed.annotations.attrs.get("rule").map(String::as_str), Some("all"));
    let denial = does("deny").unwrap().denial.unwrap();
    assert_eq!((denial.denied_by.to_string().as_str(), denial.code.as_str()), ("policy-does", "not-today"));
    assert_eq!(denial.hint.as_deref(), Some("try tomorrow"));
}

#[test]
fn a_policy_that_cannot_judge_names_the_setting_that_is_the_cause() {
    assert_eq!(reason("problem"), "it cannot decide (setting do)");
}

#[test]
fn whatever_a_policy_does_to_itself_is_a_failure_with_its_reason() {
    for (what, expected) in [
        ("panic", "panicked: no verdict\u{fffd}[31m"),
        ("loop", "exceeded its processor time limit (0.25 s)"),
        ("recurse", "crashed: call stack exhausted"),
        ("memory", "exceeded its memory limit (64 MiB)"),
        ("log-bomb", "exceeded its limit of 64 KiB of log messages and results"),
        ("read-bomb", "exceeded its limit of 4 MiB of data passed between plugin and host"),
        ("huge-reason", "exceeded its limit of 64 KiB of log messages and results"),
        ("huge-answer", "exceeded its limit of 4 MiB of data passed between plugin and host"),
    ] {
        let reason = reason(what);
        // On a busy machine it may exceed the time limit before the processor time limit.
        let is_late = what == "loop" && reason == "exceeded its time limit (2 s)";
        assert!(is_late || reason.starts_with(expected), "{what}: {reason}");
    }
}

#[test]
fn what_a_policy_says_is_harmless_and_capped() {
    let PolicyVerdict { denial, annotations } = does("escapes").unwrap();
    let denial = denial.unwrap();
    assert_eq!(denial.code, "unspecified");
    assert_eq!(denial.message, "a\u{fffd}[2Jb bootc-image: allowed\u{fffd}");
    assert_eq!(denial.hint.as_deref(), Some("c\u{fffd}d"));
    assert_eq!(annotations.attrs.get("k\u{fffd}").map(String::as_str), Some("v\u{fffd}"));
    assert_eq!(does("many-attrs").unwrap().annotations.attrs.len(), 32);
}

#[test]
fn wasi_policy() {
    let environment =
        || Environment { builtins: vec![guest("wasi-policy").unwrap()], ..Environment::default() };
    let annotations = evaluate(environment(), "wasi-policy", "list").unwrap().annotations.reason;
    assert_eq!(annotations, "stdin 0, variables 0, arguments 0, opened 0, written false, clock true");
    assert!(!std::path::Path::new("/tmp/from-a-policy").exists());
    let failure = evaluate(environment(), "wasi-policy", "set-unified").unwrap_err();
    assert_eq!(failure.reason, "the plugin called exit() instead of returning a result");
}

/// Why a guest that is a policy could not judge.
fn failure(guest_name: &str) -> String {
    let environment = Environment { builtins: vec![guest(guest_name).unwrap()], ..Environment::default() };
    evaluate(environment, guest_name, "list").unwrap_err().reason
}

#[test]
fn wasi_waits() {
    let reason = failure("wasi-waits");
    assert!(reason.starts_with("called `wasi:clocks/monotonic-clock.subscribe-"), "{reason}");
    assert!(reason.ends_with("`, which this host does not provide to plugins"), "{reason}");
}

#[test]
fn policy_connects() {
    let reason = failure("policy-connects");
    let expected = "called `wasi:sockets/instance-network@0.2.0.instance-network`, which this host does not provide to plugins";
    assert_eq!(reason, expected);
}

#[test]
fn policy_hoards() {
    assert_eq!(failure("policy-hoards"), "exceeded its limit of 1024 host resources");
}

#[test]
fn format_does() {
    let set = alone("format-does");
    let row = |number: u32| ImageRow::new(ImageType::Host, number.to_string());
    let rows = Arc::new((0..1000).map(row).collect::<Vec<_>>());
    let wanted = |format| Wanted { format, argument: None, terminal: true, color: false };
    let mut out = Vec::new();
    set.format(wanted("does"), &rows, &mut out).unwrap();
    let lines = "does image_type terminal=true\n512 rows, 512 ends: hosthost";
    assert!(out.starts_with(lines.as_bytes()), "{:?}", String::from_utf8_lossy(&out[..100]));
    assert_eq!(String::from_utf8(out).unwrap().matches("host").count(), 1000);
    let unknown = set.format(wanted("dose"), &rows, &mut Vec::new()).unwrap_err();
    assert_eq!(unknown.to_string(), "unknown format \"dose\"");
}

#[test]
fn a_policy_keeps_nothing_in_memory_between_runs() {
    let mut configuration = Configuration::default();
    configuration.add("settings.policy-does.do = \"remember\"").unwrap();
    let builtins = vec![guest("policy-does").unwrap(), guest("wasi-policy").unwrap()];
    let set = PluginSet::new(Environment { builtins, configuration, ..Environment::default() });
    let policies = set.policies().unwrap();
    assert_eq!(policies.len(), 2);
    let policy_input = policy_input("list");
    for _ in 0..20 {
        // Twice in a row, and then another one, which gets the same slot of the pool.
        for policy in [policies[0], policies[0], policies[1]] {
            let opinion = policy.evaluate(&policy_input).unwrap();
            assert_eq!(opinion.denial, None);
        }
    }
}

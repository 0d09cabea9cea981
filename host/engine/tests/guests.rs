//! Plugins that misbehave, one test each. What a plan may ask for is the pipeline's business; here a plan that lies comes
//! out as it is, and everything that can't be used is told apart from a refusal.

mod common;

use std::time::{Duration, Instant};

use bootc_image_core::plugin::{Plan, PlanError, Plugins};
use common::{alone, id, unusable, words};

// A guest without a test of its name doesn't compile.
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
    assert_eq!(unusable("command-recurses", &[]), "trapped: call stack exhausted");
}

#[test]
fn command_foreign_import() {
    let reason = unusable("command-foreign-import", &[]);
    assert_eq!(reason, "it imports `site:doors/back@0.1.0.open`, which this host doesn't offer");
}

#[test]
fn command_loops() {
    let start = Instant::now();
    assert_eq!(unusable("command-loops", &[]), "ran longer than 2 s");
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn command_memory_bomb() {
    assert_eq!(unusable("command-memory-bomb", &[]), "used more than 64 MiB of memory");
}

#[test]
fn command_other_subcommand() {
    let plan = alone("command-other-subcommand").plan(&id("command-other-subcommand"), "list", &[]).unwrap();
    assert_eq!(plan.argv[0], "pull");
}

#[test]
fn command_unclaimed() {
    let set = alone("command-unclaimed");
    let plan = set.plan(&id("command-unclaimed"), "list", &[]).unwrap();
    assert_eq!(plan.argv, words(&["build", "/"]));
    assert!(set.command_claims().unwrap().iter().all(|claim| claim.name != "build"));
}

#[test]
fn command_escapes() {
    let set = alone("command-escapes");
    let harmless = "\u{fffd}[2Ja\u{fffd}31mb\u{fffd}\u{fffd}c\u{fffd}d\u{fffd} error: forged";
    let plan = set.plan(&id("command-escapes"), "list", &[]);
    assert_eq!(plan, Ok(Plan { argv: words(&["list"]), message: harmless.to_owned() }));
    let refusal = set.plan(&id("command-escapes"), "list", &words(&["deny"]));
    let expected = PlanError::Denied {
        code: "unspecified".to_owned(),
        message: harmless.to_owned(),
        hint: Some(harmless.to_owned()),
    };
    assert_eq!(refusal, Err(expected));
}

#[test]
fn command_log_bomb() {
    assert_eq!(unusable("command-log-bomb", &[]), "wrote more than 1 MiB of log and plan");
}

#[test]
fn command_huge_argv() {
    assert_eq!(unusable("command-huge-argv", &[]), "wrote more than 1 MiB of log and plan");
    assert_eq!(unusable("command-huge-argv", &["more"]), "exchanged more than 4 MiB with the host");
}

#[test]
fn allowlist_without_pull() {
    let set = alone("allowlist-without-pull");
    assert!(
        set.command_claims().unwrap().iter().any(|claim| claim.name == "pull"),
        "the manifest still claims it"
    );
    assert!(set.plan(&id("podman-allowlist"), "list", &[]).is_ok());
    let refusal = set.plan(&id("podman-allowlist"), "pull", &words(&["registry.example/a"]));
    assert!(matches!(refusal, Err(PlanError::Denied { code, .. }) if code == "not-in-allowlist"));
}

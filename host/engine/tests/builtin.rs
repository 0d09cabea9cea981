//! The built-in plugins, and what all plugins have in common.

mod common;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::{io, thread};

use bootc_image_core::plugin::{PlanError, PluginSetError, Plugins};
use bootc_image_engine::{Artefact, Builtin, PluginSet, builtins};
use bootc_image_test_guests::guest;
use tracing_subscriber::fmt::MakeWriter;

use common::{Nobody, alone, id, unusable, words};

fn builtin_set() -> PluginSet {
    common::with(builtins())
}

const MANIFEST: &str = include_str!("../../../plugins/podman-allowlist/plugin.toml");
const DIGEST: &str = "1111111111111111111111111111111111111111111111111111111111111111";

/// A set with one plugin whose machine code is not the output of the compiler.
fn with(manifest: &str, bytes: &'static [u8]) -> PluginSet {
    // SAFETY: none of these is ever run, because loading them fails at their headers.
    #[allow(unsafe_code)]
    let artefact = unsafe { Artefact::trusted(Cow::Borrowed(bytes)) };
    common::with(vec![Builtin::new("built-in x", manifest.to_owned(), artefact, DIGEST)])
}

#[test]
fn allowed_commands_are_provided_and_planned_as_typed() {
    let set = builtin_set();
    let claims = set.provided_commands().unwrap();
    let names: Vec<_> = claims.iter().map(|claim| claim.name.as_str()).collect();
    assert_eq!(names, ["build", "list", "pull", "push"]);
    for claim in claims {
        assert_eq!(claim.plugin, id("podman-allowlist"));
        let args = words(&["--quiet", "a b", "", "-x=ü"]);
        let plan = set.plan(&claim.plugin, &claim.name, &args, &Nobody).unwrap();
        assert_eq!(plan.argv[0], claim.name);
        assert_eq!(plan.argv[1..], args);
        assert_eq!(plan.message, "");
    }
}

#[test]
fn a_command_that_the_manifest_does_not_provide_is_not_planned() {
    let refusal = builtin_set().plan(&id("podman-allowlist"), "rm\u{1b}", &[], &Nobody).unwrap_err();
    let reason = "its manifest does not provide `cmd rm\u{fffd}`".to_owned();
    assert_eq!(refusal, PlanError::Unusable { plugin: id("podman-allowlist"), reason });
}

#[test]
fn without_plugins_no_command_is_provided_or_planned() {
    let set = common::with(Vec::new());
    assert_eq!(set.provided_commands(), Ok(Vec::new()));
    let refusal = set.plan(&id("podman-allowlist"), "list", &[], &Nobody).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "plugin podman-allowlist cannot be used: it is not installed or not enabled"
    );
}

#[test]
fn an_invalid_artefact_is_refused() {
    for bytes in [&b""[..], b"\0asm\x0d\0\x01\0", &[0x7f; 4096]] {
        let refusal = with(MANIFEST, bytes).plan(&id("podman-allowlist"), "list", &[], &Nobody);
        assert!(matches!(refusal, Err(PlanError::Unusable { .. })), "{refusal:?}");
    }
}

#[test]
fn an_id_belongs_to_one_plugin() {
    let twice = [builtins(), vec![guest("allowlist-without-pull").unwrap()]].concat();
    let set = common::with(twice);
    assert_eq!(
        set.broken().unwrap().to_string(),
        "plugin podman-allowlist: plugin id `podman-allowlist` is used by both built-in podman-allowlist and guest \
         allowlist-without-pull"
    );
    assert_eq!(set.provided_commands(), Ok(Vec::new()));
    // One of them could be a policy.
    assert_eq!(set.policies().unwrap().len(), 1);
}

#[test]
fn a_command_belongs_to_one_plugin() {
    let both = [builtins(), vec![guest("command-loops").unwrap()]].concat();
    let set = common::with(both);
    let expected = PluginSetError::ProvidedTwice {
        what: "command `list`".to_owned(),
        first: "command-loops".to_owned(),
        second: "podman-allowlist".to_owned(),
    };
    assert_eq!(set.provided_commands(), Err(expected));
}

#[test]
fn a_broken_manifest_names_its_plugin() {
    let error = with(&MANIFEST.replace("summary", "sumary"), b"").broken().unwrap();
    let place = "plugin built-in x: line 12: `sumary`";
    assert_eq!(error.to_string(), format!("{place}: unknown key; did you mean `summary`?"));
}

#[test]
fn a_component_of_another_digest_is_refused() {
    let other = "0".repeat(64);
    let world = "world = \"bootc-image:command/wrapper\"\n";
    let manifest = MANIFEST.replace(world, &format!("{world}sha256 = \"{other}\"\n"));
    let error = with(&manifest, b"").broken().unwrap();
    assert!(
        error.to_string().ends_with(&format!(
            "its manifest names component {other}, but the built-in component is {DIGEST}"
        )),
        "{error}"
    );
}

#[test]
fn concurrent_runs_have_their_own_time_limits() {
    let set = builtin_set();
    let looping = thread::spawn(|| unusable("command-loops", &[]));
    for _ in 0..200 {
        set.plan(&id("podman-allowlist"), "list", &[], &Nobody).unwrap();
    }
    assert_eq!(looping.join().unwrap(), "exceeded its processor time limit (2 s)");
}

#[test]
fn a_guest_that_failed_once_starts_afresh() {
    let set = alone("command-escapes");
    let first = set.plan(&id("command-escapes"), "list", &[], &Nobody);
    assert_eq!(set.plan(&id("command-escapes"), "list", &[], &Nobody), first);
    let panicking = alone("command-panics");
    let again = || panicking.plan(&id("command-panics"), "list", &[], &Nobody).unwrap_err().to_string();
    assert_eq!(again(), again());
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::Error::other("poisoned"))?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn a_log_message_of_a_guest_is_in_a_field_of_its_own() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(captured.clone()).finish();
    let plan = || alone("command-escapes").plan(&id("command-escapes"), "list", &[], &Nobody).unwrap();
    // tracing asks for interest when it comes to a call site for the first time. A test on another thread, which has no subscriber, may be
    // first and switch it off for all. After the first plan all call sites are known, and interest is asked for anew, on this thread.
    tracing::subscriber::with_default(subscriber, || {
        plan();
        tracing::callsite::rebuild_interest_cache();
        captured.0.lock().unwrap().clear();
        plan();
    });
    let all = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let of_guest: Vec<&str> = all.lines().filter(|line| line.contains("\"target\":\"plugin\"")).collect();
    let [log] = of_guest.as_slice() else { panic!("{all}") };
    assert!(log.contains("\"level\":\"ERROR\""), "{log}");
    assert!(
        log.contains("\"plugin\":\"command-escapes\"") && log.contains("\"text\":\"\u{fffd}[2Ja\u{fffd}31mb"),
        "{log}"
    );
    assert!(!log.contains('\u{1b}'), "{log}");
}

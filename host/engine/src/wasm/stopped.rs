//! Why a run ended early, in words for a person.

use wasmtime::Trap;
use wasmtime::component::ResourceTableError;
use wasmtime_wasi::I32Exit;

use crate::limits::{Exceeded, Limits};
use crate::sanitize::sanitize;

/// What wasmtime says when one call moves more than its share. It has no type of its own to look for.
const CALL_TOO_LARGE: &str = "fuel allocated for hostcalls has been exhausted";

/// What is known of a run that ended early; nothing, if it didn't begin.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ran<'a> {
    /// What the guest said when it panicked, already harmless.
    pub(super) last_words: Option<&'a str>,
    /// What it could use.
    pub(super) limits: Option<Limits>,
}

/// The reason behind `error`. A guest's last words explain a trap, but never excuse a limit.
pub(super) fn reason(error: &wasmtime::Error, ran: Ran<'_>) -> String {
    let limits = ran.limits.unwrap_or(Limits::COMMAND);
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return exceeded.to_string();
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return Exceeded::Handles(limits.handles).to_string();
    }
    let text = format!("{error:#}");
    if text.contains(CALL_TOO_LARGE) {
        return Exceeded::Transfer(limits.call).to_string();
    }
    if error.is::<I32Exit>() {
        return "the plugin called exit() instead of returning a result".to_owned();
    }
    match (error.downcast_ref::<Trap>(), ran.last_words) {
        (Some(_), Some(words)) => format!("panicked: {words}"),
        (Some(trap), None) => format!("crashed: {}", trap.to_string().trim_start_matches("wasm trap: ")),
        (None, _) => sanitize(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &str) -> Ran<'_> {
        Ran { last_words: Some(words), limits: Some(Limits::FORMAT) }
    }

    #[test]
    fn a_limit_is_told_as_it_was() {
        let full = wasmtime::Error::from(ResourceTableError::Full);
        assert_eq!(reason(&full, said("")), "exceeded its limit of 256 host resources");
    }

    #[test]
    fn a_trap_is_told_with_the_words_of_its_panic() {
        let trap = wasmtime::Error::from(Trap::UnreachableCodeReached);
        assert_eq!(reason(&trap, said("oh no (lib.rs:1:1)")), "panicked: oh no (lib.rs:1:1)");
        assert_eq!(reason(&trap, Ran::default()), "crashed: wasm `unreachable` instruction executed");
    }

    #[test]
    fn a_limit_counts_more_than_last_words() {
        let error = wasmtime::Error::from(Exceeded::Memory(64 << 20)).context("somewhere");
        assert_eq!(reason(&error, said("innocent")), "exceeded its memory limit (64 MiB)");
    }

    #[test]
    fn anything_else_is_told_harmlessly() {
        let error = wasmtime::Error::msg("bad \u{1b}[31m name").context("linking");
        assert_eq!(reason(&error, Ran::default()), "linking: bad \u{fffd}[31m name");
    }
}

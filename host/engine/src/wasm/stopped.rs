//! Why a run ended early, in words for a person.

use wasmtime::Trap;
use wasmtime::component::ResourceTableError;
use wasmtime_wasi::I32Exit;

use super::limits::{Exceeded, Limits};
use crate::sanitize::sanitize;

/// What wasmtime says when one call moves more than its share. It has no type of its own to look for.
const CALL_TOO_LARGE: &str = "fuel allocated for hostcalls has been exhausted";

/// The reason behind `error`. A guest's last words explain a trap, but never excuse a limit.
pub(super) fn reason(error: &wasmtime::Error, last_words: Option<&str>) -> String {
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return exceeded.to_string();
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return Exceeded::Handles(Limits::COMMAND.handles).to_string();
    }
    let text = format!("{error:#}");
    if text.contains(CALL_TOO_LARGE) {
        return Exceeded::Transfer(Limits::COMMAND.transfer).to_string();
    }
    if error.is::<I32Exit>() {
        return "it wanted to leave, and only its answer ends it".to_owned();
    }
    match (error.downcast_ref::<Trap>(), last_words) {
        (Some(_), Some(words)) => format!("panicked: {words}"),
        (Some(trap), None) => format!("trapped: {}", trap.to_string().trim_start_matches("wasm trap: ")),
        (None, _) => sanitize(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_is_told_with_the_words_of_its_panic() {
        let trap = wasmtime::Error::from(Trap::UnreachableCodeReached);
        assert_eq!(reason(&trap, Some("oh no (lib.rs:1:1)")), "panicked: oh no (lib.rs:1:1)");
        assert_eq!(reason(&trap, None), "trapped: wasm `unreachable` instruction executed");
    }

    #[test]
    fn a_limit_counts_more_than_last_words() {
        let error = wasmtime::Error::from(Exceeded::Memory(64 << 20)).context("somewhere");
        assert_eq!(reason(&error, Some("innocent")), "used more than 64 MiB of memory");
    }

    #[test]
    fn anything_else_is_told_harmlessly() {
        let error = wasmtime::Error::msg("bad \u{1b}[31m name").context("linking");
        assert_eq!(reason(&error, None), "linking: bad \u{fffd}[31m name");
    }
}

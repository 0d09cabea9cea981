//! Why a run ended early, as a message.

use wasmtime::Trap;
use wasmtime::component::ResourceTableError;
use wasmtime_wasi::I32Exit;

use super::wasi::Unsupported;
use crate::limits::{Exceeded, Limits};
use crate::sanitize::sanitize;

/// wasmtime's message if one call passes too much data. The error has no type that could be checked instead.
const CALL_TOO_LARGE: &str = "fuel allocated for hostcalls has been exhausted";

/// What is known about a run that ended early. Empty if no code has run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RunInfo<'a> {
    /// The sanitized message of the component's panic.
    pub(super) panic_message: Option<&'a str>,
    /// The limits of the run.
    pub(super) limits: Option<Limits>,
}

/// The message for `error`. A panic's message explains a trap, but does not hide an exceeded limit.
pub(super) fn reason(error: &wasmtime::Error, run: RunInfo<'_>) -> String {
    let limits = run.limits.unwrap_or(Limits::COMMAND);
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return exceeded.to_string();
    }
    if let Some(unsupported) = error.downcast_ref::<Unsupported>() {
        return sanitize(&unsupported.to_string());
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
    match (error.downcast_ref::<Trap>(), run.panic_message) {
        (Some(_), Some(message)) => format!("panicked: {message}"),
        (Some(trap), None) => format!("crashed: {}", trap.to_string().trim_start_matches("wasm trap: ")),
        (None, _) => sanitize(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panicked(message: &str) -> RunInfo<'_> {
        RunInfo { panic_message: Some(message), limits: Some(Limits::FORMAT) }
    }

    #[test]
    fn an_exceeded_limit_is_named() {
        let full = wasmtime::Error::from(ResourceTableError::Full);
        assert_eq!(reason(&full, panicked("")), "exceeded its limit of 256 host resources");
    }

    #[test]
    fn a_trap_is_explained_by_its_panic() {
        let trap = wasmtime::Error::from(Trap::UnreachableCodeReached);
        assert_eq!(reason(&trap, panicked("oh no (lib.rs:1:1)")), "panicked: oh no (lib.rs:1:1)");
        assert_eq!(reason(&trap, RunInfo::default()), "crashed: wasm `unreachable` instruction executed");
    }

    #[test]
    fn an_exceeded_limit_takes_precedence_over_a_panic() {
        let error = wasmtime::Error::from(Exceeded::Memory(64 << 20)).context("somewhere");
        assert_eq!(reason(&error, panicked("innocent")), "exceeded its memory limit (64 MiB)");
    }

    #[test]
    fn other_errors_are_sanitized() {
        let error = wasmtime::Error::msg("bad \u{1b}[31m name").context("linking");
        assert_eq!(reason(&error, RunInfo::default()), "linking: bad \u{fffd}[31m name");
    }
}

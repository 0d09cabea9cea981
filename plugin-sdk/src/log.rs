//! Log messages for the administrator. They never reach standard output. They count towards the plugin's output limit.

use std::fmt::Display;

use crate::Attr;
use crate::bindings::imports::bootc_image::host::log as host;

pub use host::Level;

/// Logs an error: the plugin failed.
pub fn error(message: impl Display) {
    emit(Level::Error, message, &[]);
}

/// Logs a warning: the plugin succeeded, but the administrator should check something.
pub fn warn(message: impl Display) {
    emit(Level::Warn, message, &[]);
}

/// Logs what the plugin did.
pub fn info(message: impl Display) {
    emit(Level::Info, message, &[]);
}

/// Logs how the plugin did it.
pub fn debug(message: impl Display) {
    emit(Level::Debug, message, &[]);
}

/// Logs details for debugging.
pub fn trace(message: impl Display) {
    emit(Level::Trace, message, &[]);
}

/// Logs one message with attributes. If its level is not logged, the message is not even formatted.
pub fn emit(level: Level, message: impl Display, attrs: &[Attr]) {
    if enabled(level) {
        host::emit(level, &message.to_string(), attrs);
    }
}

/// Returns whether messages of this level are written to the log. Always `false` in a native build.
pub fn enabled(level: Level) -> bool {
    cfg!(target_arch = "wasm32") && host::enabled(level)
}

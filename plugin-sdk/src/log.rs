//! Messages for the administrator. They never reach standard output, and count against the plugin's output limit.

use std::fmt::Display;

use crate::Attr;
use crate::bindings::imports::bootc_image::host::log as host;

pub use host::Level;

/// The plugin couldn't do its work.
pub fn error(message: impl Display) {
    emit(Level::Error, message, &[]);
}

/// The work was done, but the administrator should look at something.
pub fn warn(message: impl Display) {
    emit(Level::Warn, message, &[]);
}

/// What the plugin did.
pub fn info(message: impl Display) {
    emit(Level::Info, message, &[]);
}

/// How it did it.
pub fn debug(message: impl Display) {
    emit(Level::Debug, message, &[]);
}

/// Everything else.
pub fn trace(message: impl Display) {
    emit(Level::Trace, message, &[]);
}

/// Writes one message with details, if its level is kept; else it isn't even put together.
pub fn emit(level: Level, message: impl Display, attrs: &[Attr]) {
    if enabled(level) {
        host::emit(level, &message.to_string(), attrs);
    }
}

/// Whether a message of this level would be kept. Natively never.
pub fn enabled(level: Level) -> bool {
    cfg!(target_arch = "wasm32") && host::enabled(level)
}

//! `bootc-image:host/log`: passes log messages of plugins to `tracing`, in a field of their own and never as the format string.

use tracing::{Level as Kept, enabled};

use super::bindings::imports::bootc_image::host::log::{Host, Level};
use super::bindings::imports::bootc_image::types::attrs::Attr;
use super::guest::Guest;
use super::texts::of_attrs;
use crate::run::answers;
use crate::sanitize::sanitize;

/// The attribute with which the SDK marks the message of a panic.
const PANIC: &str = "panic";

impl Host for Guest {
    fn enabled(&mut self, level: Level) -> wasmtime::Result<bool> {
        Ok(match level {
            // Always enabled: otherwise the message of a panic would be lost.
            Level::Error => true,
            Level::Warn => enabled!(target: "plugin", Kept::WARN),
            Level::Info => enabled!(target: "plugin", Kept::INFO),
            Level::Debug => enabled!(target: "plugin", Kept::DEBUG),
            Level::Trace => enabled!(target: "plugin", Kept::TRACE),
        })
    }

    fn emit(&mut self, level: Level, message: String, attrs: Vec<Attr>) -> wasmtime::Result<()> {
        self.budget().write(of_attrs(&attrs).chain([message.as_str()]))?;
        let text = sanitize(&message);
        if let Some(place) = attrs.iter().find(|attr| attr.key == PANIC) {
            self.set_panic_message(sanitize(&format!("{message} ({})", place.value)));
        }
        let attrs: Vec<String> = attrs.iter().map(|attr| format!("{}={}", attr.key, attr.value)).collect();
        let attrs = sanitize(&attrs.join(" "));
        let level = match level {
            Level::Error => Kept::ERROR,
            Level::Warn => Kept::WARN,
            Level::Info => Kept::INFO,
            Level::Debug => Kept::DEBUG,
            Level::Trace => Kept::TRACE,
        };
        answers::log(level, self.plugin(), &text, &attrs);
        Ok(())
    }
}

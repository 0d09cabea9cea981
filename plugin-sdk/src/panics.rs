//! A panic in a component is a trap, which carries no message. This sends the message to bootc-image first.

use std::panic::{self, PanicHookInfo};
use std::sync::Once;

use crate::Attr;
use crate::log::{self, Level};

/// Installs a panic hook that sends the message to bootc-image. Native tests keep their own hook.
pub(crate) fn forward() {
    static ONCE: Once = Once::new();
    if cfg!(target_arch = "wasm32") {
        ONCE.call_once(|| panic::set_hook(Box::new(send)));
    }
}

fn send(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    log::emit(Level::Error, message, &[Attr { key: "panic".to_owned(), value: place }]);
}

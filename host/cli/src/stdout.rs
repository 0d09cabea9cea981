//! Whether stdout was open when the program was started. Before `main`, Rust's runtime replaces a closed stdout with `/dev/null`.
//! A list written there would be lost without an error.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// The C runtime calls the functions in this section before Rust's runtime starts.
#[allow(unsafe_code)]
#[used]
// SAFETY: the section holds pointers to functions of this type, and `look` needs no initialised runtime.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    let closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()) == Err(rustix::io::Errno::BADF);
    WAS_CLOSED.store(closed, Ordering::Relaxed);
}

/// Fails if stdout was closed.
pub(crate) fn check_open() -> io::Result<()> {
    if WAS_CLOSED.load(Ordering::Relaxed) { Err(rustix::io::Errno::BADF.into()) } else { Ok(()) }
}

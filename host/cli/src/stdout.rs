//! Whether stdout was open when the program was started. Rust's runtime opens `/dev/null` in the place of a closed one before
//! `main`, and a list written there would be lost without a word (D11.4).

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// The C runtime calls what stands in this section before Rust's own runtime starts.
#[allow(unsafe_code)]
#[used]
// SAFETY: the section holds pointers to functions of this type, and `look` needs nothing to be initialised.
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

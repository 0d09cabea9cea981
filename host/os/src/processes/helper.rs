//! What bootc-image-helper is used for, and the meaning of its exit status.

use std::fs::File;
use std::path::PathBuf;

use super::Process;
use crate::error::Error;

/// Runs bootc-image-helper to compile the WebAssembly component in `component` to machine code in `code`, an empty file.
///
/// # Errors
/// [`Error::Process`] with the compiler's message; as [`Own::find`](super::Own::find); [`Error::Io`].
pub fn compile(directories: &[PathBuf], component: &File, code: &File) -> Result<(), Error> {
    let mut child = Process::helper(directories)?;
    child.descriptor(component, 3)?.descriptor(code, 4)?;
    child.arg("compile");
    child.run_quietly()
}

/// The helper's exit code for a component that cannot be compiled on any host; `host/helper` defines it.
const UNCOMPILABLE: &str = "exit code 65";

/// Whether the component itself is invalid, as opposed to a compiler that failed for want of memory or the like.
pub fn is_uncompilable(error: &Error) -> bool {
    matches!(error, Error::Process { status, .. } if status == UNCOMPILABLE)
}

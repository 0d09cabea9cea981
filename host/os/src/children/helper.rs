//! What our helper does for us, and what its end says.

use std::fs::File;
use std::path::PathBuf;

use super::Child;
use crate::error::Error;

/// Has our helper compile the component in `component` to machine code in `code`, an empty file.
///
/// # Errors
/// [`Error::Child`] with what the compiler says; as [`Own::find`](super::Own::find); the system's.
pub fn compile(directories: &[PathBuf], component: &File, code: &File) -> Result<(), Error> {
    let mut child = Child::helper(directories)?;
    child.descriptor(component, 3)?.descriptor(code, 4)?;
    child.arg("compile");
    child.run_quietly()
}

/// The exit code of the helper if a component can't be compiled, whichever machine tries. Its own is in `host/helper`.
const UNCOMPILABLE: &str = "exit code 65";

/// Whether the compiler refused the component itself, and ran out of nothing.
pub fn is_uncompilable(error: &Error) -> bool {
    matches!(error, Error::Child { status, .. } if status == UNCOMPILABLE)
}

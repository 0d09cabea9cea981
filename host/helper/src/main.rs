//! `bootc-image-helper`: the tasks with large dependencies (libostree and a compiler), which `bootc-image` starts when needed. This
//! keeps `bootc-image` itself small and static (docs/adr/0001-executables.md).
//!
//! It works only on the file descriptors that it is given, and checks no policy: running it by hand gives access to nothing that the
//! caller could not read and write anyway.
//!
//! - `export COMMIT`: descriptor 3 is an ostree repository, descriptor 4 an empty directory. Writes the image from which COMMIT was
//!   made into the directory, as an OCI directory. For the protocol on stdin and stdout see [`export`].
//! - `compile`: descriptor 3 is a WebAssembly component, descriptor 4 an empty file. Writes the machine code into the file.

mod advice;
mod archive;
mod blobs;
mod bounds;
mod compile;
mod derived;
mod documents;
mod encapsulated;
mod export;
mod objects;

use std::io::Write as _;
use std::process::ExitCode;

/// The exit code if a component cannot be compiled on any host. `bootc-image` caches this failure (`host/os/src/processes/helper.rs`
/// has the same number).
const UNCOMPILABLE: u8 = 65;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["export", commit] => export::export(commit),
        ["compile"] => compile::compile(),
        _ => Err(anyhow::anyhow!("this program is started by bootc-image; see: bootc-image --help")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr is closed, the error cannot be reported.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            if error.downcast_ref::<compile::Uncompilable>().is_some() {
                ExitCode::from(UNCOMPILABLE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

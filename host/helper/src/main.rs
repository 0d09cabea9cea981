//! `bootc-image-helper`: what is too heavy for `bootc-image` itself, started by it when needed (D2.2).
//!
//! It works on descriptors and can't name a store, a target or a reference. It judges nothing: running it by hand gains
//! nothing that its caller couldn't read and write anyway.
//!
//! - `export COMMIT`: descriptor 3 is an ostree repository, descriptor 4 an empty directory, which becomes an OCI
//!   directory with the image that COMMIT was made from. What is said meanwhile: see [`export`].
//! - `compile`: descriptor 3 is a WebAssembly component, descriptor 4 an empty file, which becomes its machine code.

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

/// A component can't be compiled, whichever machine tries. The host remembers that (`host/os/src/children/helper.rs` has the same number).
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
            // Nobody is left to tell if stderr is gone.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            if error.downcast_ref::<compile::Uncompilable>().is_some() {
                ExitCode::from(UNCOMPILABLE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

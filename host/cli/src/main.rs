//! The program `bootc-image`; see the library of the same package.

use std::process::ExitCode;

fn main() -> ExitCode {
    bootc_image::main(std::env::args_os(), bootc_image_engine::builtins())
}

//! Prints the SHA-256 of a plugin's component, built from the sources in the current directory, which must be the root of a clone. The
//! package is `podman-allowlist` unless another one is given. Two clones of the same commit must print the same digest.

use std::{env, error, process};

use bootc_image_plugin_builder::Builder;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers")]
fn main() {
    match digests() {
        Ok(lines) => println!("{lines}"),
        Err(error) => {
            eprintln!("error: {error}");
            process::exit(1);
        }
    }
}

fn digests() -> Result<String, Box<dyn error::Error>> {
    let package = env::args().nth(1).unwrap_or_else(|| "podman-allowlist".to_owned());
    let workspace = env::current_dir()?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), Into::into);
    let components = Builder::new(&workspace, target.join("components")).build(&[&package])?;
    let lines = components.iter().map(|component| format!("{}  {}", component.sha256(), component.package()));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

//! Builds the plugins that are embedded in the host.

use std::error::Error;

use bootc_image_plugin_builder::embed;

fn main() -> Result<(), Box<dyn Error>> {
    for plugin in embed(&["podman-allowlist"])? {
        let name = plugin.package.replace('-', "_").to_uppercase();
        println!("cargo:rustc-env={name}_CWASM={}", plugin.artefact.display());
        println!("cargo:rustc-env={name}_SHA256={}", plugin.sha256);
    }
    Ok(())
}

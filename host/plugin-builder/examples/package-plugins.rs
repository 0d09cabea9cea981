//! Packages plugins for installation: `package-plugins DIRECTORY PACKAGE...` creates `DIRECTORY/PACKAGE` with the manifest (including
//! the component's digest), the component and its documentation. Builds the sources in the current directory.

use std::path::Path;
use std::{env, error, fs, process};

use bootc_image_plugin_builder::{Builder, Component};

#[expect(clippy::print_stderr, reason = "a tool for developers")]
fn main() {
    if let Err(error) = package() {
        eprintln!("error: {error}");
        process::exit(1);
    }
}

fn package() -> Result<(), Box<dyn error::Error>> {
    let mut words = env::args().skip(1);
    let directory = words.next().ok_or("usage: package-plugins DIRECTORY PACKAGE...")?;
    let packages: Vec<String> = words.collect();
    let workspace = env::current_dir()?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), Into::into);
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    for component in Builder::new(&workspace, target.join("components")).build(&packages)? {
        put(&workspace.join("plugins").join(component.package()), Path::new(&directory), &component)?;
    }
    Ok(())
}

fn put(source: &Path, directory: &Path, component: &Component) -> Result<(), Box<dyn error::Error>> {
    let target = directory.join(component.package());
    fs::create_dir_all(&target)?;
    let manifest = fs::read_to_string(source.join("plugin.toml"))?;
    fs::write(target.join("plugin.toml"), component.named_in(&manifest))?;
    let file = format!("{}.wasm", component.package().replace('-', "_"));
    fs::write(target.join(file), component.bytes())?;
    for text in ["README.md", "settings.schema.json"] {
        if source.join(text).exists() {
            fs::copy(source.join(text), target.join(text))?;
        }
    }
    Ok(())
}

//! Builds every guest next to this file, all in one run of cargo, and lists them for the library.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use bootc_image_plugin_builder::{Builder, Embedded, embed, embed_with};

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    // A guest that is added or taken away changes this directory.
    println!("cargo:rerun-if-changed={}", here.display());
    let names = guests(&here)?;
    let (wasi, others): (Vec<&str>, Vec<&str>) =
        names.iter().map(String::as_str).partition(|name| name.starts_with("wasi-"));
    let mut built = embed(&others)?;
    built.extend(embed_with(&Builder::from_build_script()?.for_wasi(), &wasi)?);
    fs::write(Path::new(&env::var("OUT_DIR")?).join("guests.rs"), listing(&here, &built)?)?;
    Ok(())
}

/// The directories that hold a plugin, in order.
fn guests(here: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(here)? {
        let entry = entry?;
        if entry.path().join("plugin.toml").is_file() {
            names.push(entry.file_name().into_string().map_err(|name| format!("{name:?} isn't UTF-8"))?);
        }
    }
    names.sort();
    Ok(names)
}

fn listing(here: &Path, guests: &[Embedded]) -> Result<String, std::fmt::Error> {
    let mut code = "const GUESTS: &[Guest] = &[\n".to_owned();
    for Embedded { package, sha256, artefact, component } in guests {
        let manifest = here.join(package).join("plugin.toml");
        writeln!(
            code,
            "Guest {{ name: {package:?}, manifest: include_str!({manifest:?}), artefact: include_bytes!({artefact:?}), \
             component: include_bytes!({component:?}), sha256: {sha256:?} }},"
        )?;
    }
    code.push_str("];\n");
    code.push_str(
        "/// Calls the macro `$each` with the name of every guest, as an identifier.\n\
         #[macro_export]\nmacro_rules! for_each_guest {\n    ($each:ident) => {\n",
    );
    for guest in guests {
        writeln!(code, "        $each!({});", guest.package.replace('-', "_"))?;
    }
    code.push_str("    };\n}\n");
    Ok(code)
}

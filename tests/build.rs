//! Reads the matrix of hostile plugins: a row without a guest doesn't compile, and neither does one whose test isn't there,
//! see `tests/hostile.rs`.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let matrix = here.join("hostile/MATRIX.md");
    println!("cargo:rerun-if-changed={}", here.join("hostile").display());
    let text = fs::read_to_string(&matrix)?;
    let (mut rows, mut tests) = (String::new(), String::new());
    for line in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| threat ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, mechanism, guest, test] = cells[..] else { return Err(format!("not a row: {line}").into()) };
        if !there_is(&here, guest) {
            return Err(format!("there is no guest {guest:?}: {line}").into());
        }
        if test.is_empty() || mechanism.is_empty() {
            return Err(format!("no test or no mechanism: {line}").into());
        }
        let mechanism = if ["*wasmtime*", "*process*"].contains(&mechanism) { "" } else { mechanism };
        writeln!(rows, "Row {{ mechanism: {mechanism:?}, guest: {guest:?}, test: {test:?} }},")?;
        writeln!(tests, "$each!({test});")?;
    }
    let code = format!(
        "const ROWS: &[Row] = &[\n{rows}];\nmacro_rules! for_each_row {{\n($each:ident) => {{\n{tests}}};\n}}\n"
    );
    fs::write(Path::new(&env::var("OUT_DIR")?).join("hostile.rs"), code)?;
    Ok(())
}

fn there_is(here: &Path, guest: &str) -> bool {
    let plain = !guest.is_empty() && !guest.contains('/');
    let manifest = |below: &str| here.join(below).join(guest).join("plugin.toml").is_file();
    plain
        && if [".wat", ".c", ".cpp", ".rs"].iter().any(|ending| guest.ends_with(ending)) {
            here.join("hostile").join(guest).is_file()
        } else {
            manifest("guests") || manifest("../plugins")
        }
}

//! Writes the sources with switches: see `bootc_image_tests::mutants` and `scripts/mutants.sh`, which compiles them.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize();
    let copy = std::env::args_os().nth(1).expect("the directory to write to");
    match workspace
        .map_err(Into::into)
        .and_then(|workspace| bootc_image_tests::mutants::write(&workspace, Path::new(&copy)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem:#}");
            ExitCode::FAILURE
        }
    }
}

//! No file and no crate that is too long to know.

use std::collections::BTreeMap;

use super::modules::Modules;
use super::{House, is_for_tests};

const OF_A_FILE: usize = 500;
const OF_A_CRATE: usize = 6_000;

/// Lines of code count: not empty ones, comments, and what only tests are built with. What is below tests/ isn't shipped:
/// there only the files of the test bench have a limit.
pub fn sizes(house: &House) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in &house.packages {
        let mut files = BTreeMap::new();
        for root in &package.roots {
            match Modules::load(house, root) {
                Ok(modules) => files.extend(modules.lines),
                Err(error) => complaints.push(error),
            }
        }
        for (file, lines) in &files {
            let limited = !is_for_tests(file) || file.starts_with("tests/src/");
            if limited && *lines > OF_A_FILE {
                complaints
                    .push(format!("{file}: {lines} lines of code, and no file has more than {OF_A_FILE}"));
            }
        }
        let all: usize = files.values().sum();
        if !is_for_tests(&package.folder) && all > OF_A_CRATE {
            complaints.push(format!(
                "{} in {}: {all} lines of code, and no crate has more than {OF_A_CRATE}",
                package.name, package.folder
            ));
        }
    }
    complaints
}

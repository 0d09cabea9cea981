//! Which crate may be built with which.

use super::{House, Package, folder, is_for_tests};

/// A crate, and those of ours that it may depend on. `x/*` is any crate in a folder of the folder x.
pub type Row = (&'static str, &'static [&'static str]);

/// Dependencies for tests aren't edges, and crates below tests/ may depend on all; nothing shipped may depend on them.
pub fn edges(house: &House, table: &[Row]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in &house.packages {
        for on in package.dependencies.iter().filter(|_| !is_for_tests(&package.folder)) {
            let row = table.iter().find(|row| is_row_of(row, package));
            if !row.is_some_and(|(_, may)| may.contains(&on.as_str())) {
                let may = row.map_or("it has no row".to_owned(), |(_, may)| format!("its row has {may:?}"));
                complaints.push(format!(
                    "{} -> {on}: {}/Cargo.toml has an edge that isn't in the table: {may}",
                    package.name, package.folder
                ));
            }
        }
    }
    complaints
}

fn is_row_of((key, _): &Row, package: &Package) -> bool {
    match key.strip_suffix("/*") {
        Some(above) => folder(&package.folder) == above,
        None => *key == package.name,
    }
}

//! A module that has modules below it in files is `x/mod.rs`.

use super::{House, folder};

pub fn style(house: &House) -> Vec<String> {
    let is_root = |file: &String| {
        house
            .packages
            .iter()
            .any(|package| package.roots.contains(file) || package.other_roots.contains(file))
    };
    let beside = house.files.keys().filter(|file| !is_root(file)).filter_map(|file| {
        let below = format!("{}/", file.strip_suffix(".rs")?);
        let has_children = house.files.keys().any(|other| folder(other) == below.trim_end_matches('/'));
        has_children.then(|| format!("{file} is beside {below}: git mv {file} {below}mod.rs"))
    });
    beside.collect()
}

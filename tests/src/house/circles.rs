//! No circle of imports between files of different folders.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::modules::Modules;
use super::names::Arrows;
use super::{House, folder};

/// A complaint for each set of files that all need each other and aren't in one folder; it names a shortest circle.
pub fn circles(house: &House) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in &house.packages {
        let mut arrows = Arrows::new();
        for root in &package.roots {
            match Modules::load(house, root) {
                Ok(modules) => modules.arrows(&mut arrows),
                Err(error) => complaints.push(error),
            }
        }
        for files in Components::of(&arrows) {
            if let Some(circle) = shortest(&arrows, &files) {
                let circle = described(&arrows, &circle);
                complaints.push(format!("{}: {circle} ({} files in all)", package.name, files.len()));
            }
        }
    }
    complaints
}

/// Tarjan's strongly connected components.
struct Components<'a> {
    arrows: &'a Arrows,
    /// When each file was met.
    met: BTreeMap<&'a str, usize>,
    open: Vec<&'a str>,
    done: Vec<BTreeSet<&'a str>>,
}

impl<'a> Components<'a> {
    fn of(arrows: &'a Arrows) -> Vec<BTreeSet<&'a str>> {
        let mut all = Self { arrows, met: BTreeMap::new(), open: Vec::new(), done: Vec::new() };
        for file in arrows.keys() {
            if !all.met.contains_key(file.as_str()) {
                all.visit(file);
            }
        }
        all.done
    }

    /// Gives the first that the file leads back to.
    fn visit(&mut self, file: &'a str) -> usize {
        let number = self.met.len();
        let mut first = number;
        self.met.insert(file, number);
        self.open.push(file);
        for next in takes_from(self.arrows, file) {
            match self.met.get(next) {
                None => first = first.min(self.visit(next)),
                Some(met) if self.open.contains(&next) => first = first.min(*met),
                Some(_) => {}
            }
        }
        if first == number
            && let Some(start) = self.open.iter().position(|open| *open == file)
        {
            self.done.push(self.open.split_off(start).into_iter().collect());
        }
        first
    }
}

fn takes_from<'a>(arrows: &'a Arrows, file: &str) -> impl Iterator<Item = &'a str> {
    arrows.get(file).into_iter().flat_map(|to| to.keys().map(String::as_str))
}

/// A shortest circle that leaves a folder, its first file again at its end. None in a component of one folder.
fn shortest<'a>(arrows: &'a Arrows, files: &BTreeSet<&'a str>) -> Option<Vec<&'a str>> {
    let leaves = files.iter().flat_map(|from| takes_from(arrows, from).map(move |to| (*from, to)));
    let leaves = leaves.filter(|(from, to)| files.contains(to) && folder(from) != folder(to));
    let circles = leaves.filter_map(|(from, to)| {
        let mut circle = vec![from];
        circle.extend(way(arrows, files, to, from)?);
        Some(circle)
    });
    circles.min_by_key(Vec::len)
}

/// A shortest way, both ends included.
fn way<'a>(arrows: &'a Arrows, files: &BTreeSet<&'a str>, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![from]]);
    let mut met = BTreeSet::from([from]);
    while let Some(way) = ways.pop_front() {
        let last = *way.last()?;
        if last == to {
            return Some(way);
        }
        for next in takes_from(arrows, last).filter(|next| files.contains(next)) {
            if met.insert(next) {
                ways.push_back([way.as_slice(), &[next]].concat());
            }
        }
    }
    None
}

fn described(arrows: &Arrows, circle: &[&str]) -> String {
    let mut text = circle.first().copied().unwrap_or_default().to_owned();
    for pair in circle.windows(2) {
        text += &format!(" -> {} (takes {})", pair[1], arrows[pair[0]][pair[1]]);
    }
    text
}

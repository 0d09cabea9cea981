//! Source mutants: switches with which a test turns one check of the host off, to show that the check is what holds. The
//! shipped sources have none. Each is an entry of `tests/mutants/switches.diff`, applied to a copy of the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// Where the entries are, from the root of the workspace.
pub const SWITCHES: &str = "tests/mutants/switches.diff";

/// The function that they call. It is appended to each file that has a switch.
const IS_OFF: &str = include_str!("../mutants/is_off.rs");

/// What to do about an entry that doesn't fit.
const FIX: &str = "If the code has changed, write the entry anew, for the code as it is. If the check is gone, delete the entry, and \
                   what tests the check in tests/hostile/MATRIX.md or tests/tests/harms/mod.rs";

/// A few lines of one file, and the same lines with a switch.
#[derive(Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Its line in the table.
    line: usize,
    /// The checks that it can switch off.
    pub checks: Vec<String>,
    /// From the root of the workspace.
    file: String,
    original: String,
    mutated: String,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SWITCHES}:{}: {} in {}", self.line, self.checks.join(", "), self.file)
    }
}

/// The entries of the table of this workspace.
pub fn all(workspace: &Path) -> Result<Vec<Mutant>> {
    parse(&fs::read_to_string(workspace.join(SWITCHES)).context(SWITCHES)?)
}

/// Reads entries, which empty lines separate:
///
/// ```text
/// CHECK, ...: FILE
///  a line that is the same with the switch
/// -a line as it is
/// +a line with the switch
/// ```
pub fn parse(table: &str) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    let mut lines = (1..).zip(table.lines()).filter(|(_, line)| !line.starts_with('#')).peekable();
    while let Some((number, header)) = lines.next() {
        if header.is_empty() {
            continue;
        }
        let (checks, file) = header
            .split_once(": ")
            .with_context(|| format!("{SWITCHES}:{number}: not `CHECK, ...: FILE`: {header}"))?;
        let checks = checks.split(", ").map(str::to_owned).collect();
        let (mut original, mut mutated) = (String::new(), String::new());
        while let Some((number, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
            let (kind, text) = line.split_at_checked(1).unwrap_or_default();
            match kind {
                "-" => original.extend([text, "\n"]),
                "+" => mutated.extend([text, "\n"]),
                " " => {
                    original.extend([text, "\n"]);
                    mutated.extend([text, "\n"]);
                }
                _ => bail!("{SWITCHES}:{number}: begins with neither `-`, `+` nor a space: {line}"),
            }
        }
        let mutant = Mutant { line: number, checks, file: file.to_owned(), original, mutated };
        mutant.check()?;
        mutants.push(mutant);
    }
    Ok(mutants)
}

impl Mutant {
    /// The names in its header are those that it asks for.
    fn check(&self) -> Result<()> {
        ensure!(
            !self.original.is_empty() && self.mutated.contains("is_off("),
            "{self}: no lines, or no switch"
        );
        for check in &self.checks {
            ensure!(self.mutated.contains(&format!("{check:?}")), "{self}: asks for no {check:?}");
        }
        let asked = self.mutated.split("is_off(\"").skip(1).filter_map(|rest| rest.split('"').next());
        for check in asked {
            ensure!(self.checks.iter().any(|known| known == check), "{self}: asks for {check:?}, too");
        }
        Ok(())
    }

    /// The crate whose sources it changes.
    fn sources(&self) -> Result<&str> {
        let end = self.file.find("/src/").with_context(|| format!("{self}: not a source of a crate"))?;
        Ok(&self.file[..end + "/src".len()])
    }

    /// Where its lines are in the file, which has them once.
    fn place(&self, text: &str) -> Result<Range<usize>> {
        let begins_line = |at: usize| at == 0 || text[..at].ends_with('\n');
        let found: Vec<usize> =
            text.match_indices(&self.original).map(|(at, _)| at).filter(|at| begins_line(*at)).collect();
        let [start] = found[..] else {
            let lines = self.original.trim_end();
            bail!("{self}: the file has these lines {} times, not once:\n{lines}", found.len());
        };
        Ok(start..start + self.original.len())
    }
}

/// The text of a file with all its switches; what doesn't fit is added to `problems`.
fn mutated(text: &str, mutants: &[&Mutant], problems: &mut Vec<String>) -> String {
    let mut places = Vec::new();
    for mutant in mutants {
        match mutant.place(text) {
            Ok(place) => places.push((place, mutant)),
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    places.sort_by_key(|(place, _)| place.start);
    let (mut all, mut done) = (String::new(), 0);
    for (place, mutant) in places {
        if place.start < done {
            problems.push(format!("{mutant}: changes lines that the entry before it changes: make them one"));
            continue;
        }
        all.extend([&text[done..place.start], &mutant.mutated]);
        done = place.end;
    }
    all.extend([&text[done..], IS_OFF]);
    all
}

/// The mutated files, by name. All that doesn't fit is told at once.
pub fn apply(workspace: &Path, mutants: &[Mutant]) -> Result<BTreeMap<String, String>> {
    let mut by_file = BTreeMap::<&str, Vec<&Mutant>>::new();
    for mutant in mutants {
        by_file.entry(&mutant.file).or_default().push(mutant);
    }
    let (mut files, mut problems) = (BTreeMap::new(), Vec::new());
    for (file, mutants) in by_file {
        match fs::read_to_string(workspace.join(file)) {
            Ok(text) => drop(files.insert(file.to_owned(), mutated(&text, &mutants, &mut problems))),
            Err(error) => problems.push(format!("{}: {error}", mutants[0])),
        }
    }
    ensure!(problems.is_empty(), "{}\n\n{FIX}.", problems.join("\n\n"));
    Ok(files)
}

/// Makes `copy` a copy of the sources of every crate that has a switch, with the switches. What hasn't changed isn't written, so
/// that cargo compiles nothing anew.
pub fn write(workspace: &Path, copy: &Path) -> Result<()> {
    let mutants = all(workspace)?;
    let mutated = apply(workspace, &mutants)?;
    let crates = mutants.iter().map(Mutant::sources).collect::<Result<BTreeSet<_>>>()?;
    let mut kept = BTreeSet::new();
    for sources in crates {
        for file in files(&workspace.join(sources))? {
            let name = file.strip_prefix(workspace)?.to_owned();
            let text = match name.to_str().and_then(|name| mutated.get(name)) {
                Some(text) => text.clone().into_bytes(),
                None => fs::read(&file)?,
            };
            let to = copy.join(&name);
            if fs::read(&to).ok().as_ref() != Some(&text) {
                fs::create_dir_all(to.parent().context("a file is in a directory")?)?;
                fs::write(&to, text)?;
            }
            kept.insert(to);
        }
    }
    for file in files(&copy.join("host"))?.iter().filter(|file| !kept.contains(*file)) {
        fs::remove_file(file)?;
    }
    // What the sources include from elsewhere.
    match std::os::unix::fs::symlink(workspace.join("plugins"), copy.join("plugins")) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// All files below a directory.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

//! What podman's own argument parser knows, hidden options included, to compare the grammar's tables with.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use object::{Object, ObjectSection};

use crate::{World, programs};

/// Every subcommand that has a table, as podman is called.
pub const SUBCOMMANDS: [&str; 18] = [
    "build",
    "diff",
    "exists",
    "history",
    "inspect",
    "list",
    "load",
    "prune",
    "pull",
    "push",
    "rm",
    "save",
    "search",
    "sign",
    "tag",
    "tree",
    "trust show",
    "untag",
];

/// How an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Takes {
    Nothing,
    Optionally,
    Always,
}

/// An option that podman knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    pub subcommand: String,
    pub name: String,
    pub takes: Takes,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takes = match self.takes {
            Takes::Nothing => "nothing",
            Takes::Optionally => "optionally",
            Takes::Always => "always",
        };
        write!(f, "{} --{} {takes}", self.subcommand, self.name)
    }
}

impl Known {
    fn parse(line: &str) -> Option<Self> {
        let (subcommand, rest) = line.split_once(" --")?;
        let (name, takes) = rest.split_once(' ')?;
        let takes = match takes {
            "nothing" => Takes::Nothing,
            "optionally" => Takes::Optionally,
            "always" => Takes::Always,
            _ => return None,
        };
        Some(Self { subcommand: subcommand.into(), name: name.into(), takes })
    }
}

/// A version of podman and what it knows, as it was found by trying every word in its program.
pub struct Record {
    pub version: String,
    pub known: BTreeSet<Known>,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("drift")
}

impl Record {
    /// All that are checked in.
    pub fn all() -> Vec<Self> {
        let files = std::fs::read_dir(directory()).expect("there are records");
        let mut records: Vec<Self> = files
            .map(|file| {
                let path = file.expect("a directory can be read").path();
                let text = std::fs::read_to_string(&path).expect("a record is text");
                let known = text.lines().map(|line| Known::parse(line).unwrap_or_else(|| panic!("{line}")));
                let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a record has a name");
                Self { version: stem.trim_start_matches("podman-").into(), known: known.collect() }
            })
            .collect();
        records.sort_by(|a, b| a.version.cmp(&b.version));
        records
    }

    pub fn write(&self) -> Result<()> {
        std::fs::create_dir_all(directory())?;
        let lines: String = self.known.iter().map(|known| format!("{known}\n")).collect();
        Ok(std::fs::write(directory().join(format!("podman-{}.txt", self.version)), lines)?)
    }
}

/// The version of the machine's podman.
pub fn version() -> String {
    let output = World::new().enter().run(&["podman", "--version"]).ok();
    output.stdout.trim().rsplit(' ').next().expect("a version").to_owned()
}

/// Asks podman which of these it knows; each is a subcommand and the name of an option. It answers without doing anything:
/// `--help` stands in front.
pub fn ask<'a>(questions: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeSet<Known> {
    let script = r#"
        ask() {
            read -r option subcommand <<END
$1
END
            # shellcheck disable=SC2086
            error=$(podman image $subcommand --help "--$option=" 2>&1 >/dev/null)
            case $error in
                *'unknown flag'*) return ;;
                *ParseBool*) echo "$subcommand --$option nothing"; return ;;
            esac
            error=$(podman image $subcommand --help "--$option" 2>&1 >/dev/null)
            case $error in
                *'needs an argument'*) echo "$subcommand --$option always" ;;
                *) echo "$subcommand --$option optionally" ;;
            esac
        }
        export -f ask
        xargs -P "$(nproc)" -d '\n' -n 1 bash -c 'ask "$1"; true' bash </run/questions"#;
    let text: String = questions.map(|(subcommand, name)| format!("{name} {subcommand}\n")).collect();
    let world = World::new();
    let enter = world.enter().file("/run/questions", text).limit(Duration::from_secs(3600));
    let output = enter.run(&["bash", "-c", script]).ok();
    output.lines().into_iter().map(|line| Known::parse(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

/// Every text constant of the machine's podman that could be the name of an option: what its code loads the address and the
/// length of.
pub fn words() -> Result<BTreeSet<String>> {
    let program = std::fs::read(programs::machine().join("usr/bin/podman"))?;
    let program = object::File::parse(&*program)?;
    let section = |name: &str| -> Result<(u64, Vec<u8>)> {
        let section = program.section_by_name(name).with_context(|| format!("podman has no {name}"))?;
        Ok((section.address(), section.data()?.to_vec()))
    };
    let ((code_at, code), (data_at, data)) = (section(".text")?, section(".rodata")?);
    let mut words = BTreeSet::new();
    for at in 0..code.len().saturating_sub(7) {
        // lea register, [rip + offset]
        let is_lea = matches!(code[at], 0x48 | 0x4c) && code[at + 1] == 0x8d && code[at + 2] & 0xc7 == 0x05;
        if !is_lea {
            continue;
        }
        let offset = i32::from_le_bytes([code[at + 3], code[at + 4], code[at + 5], code[at + 6]]);
        let target = (code_at + at as u64 + 7).wrapping_add_signed(offset.into());
        let Some(start) = target.checked_sub(data_at).and_then(|start| usize::try_from(start).ok()) else {
            continue;
        };
        // mov register, length; somewhere near.
        let near = &code[at.saturating_sub(24)..(at + 31).min(code.len())];
        for window in near.windows(5).filter(|window| (0xb8..=0xbf).contains(&window[0])) {
            let length = u32::from_le_bytes([window[1], window[2], window[3], window[4]]) as usize;
            let text = (2..40).contains(&length).then(|| data.get(start..start + length)).flatten();
            words.extend(
                text.and_then(|text| std::str::from_utf8(text).ok())
                    .filter(|text| is_name(text))
                    .map(str::to_owned),
            );
        }
    }
    Ok(words)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

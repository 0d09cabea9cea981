//! Disks that are full, of room or of inodes, and what must be possible there all the same: to take something away.

use serde_json::Value;

use crate::oracle::Store;
use crate::world::Enter;
use crate::{World, programs};

const PREPARE: &str = include_str!("prepare.sh");
const DISK: &str = include_str!("disk.sh");

/// What of the host is on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// bootc's storage, `/var` and `/etc`.
    All,
    /// The audit record alone.
    Record,
    /// bootc's storage alone.
    Store,
}

/// What a disk has none left of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    Room,
    Inodes,
}

/// What there is to fall back on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// Nothing: the first use ever of a program on a disk that holds nothing back.
    None,
    /// What the file system holds back: the first use ever.
    Kernels,
    /// Also what was made while there was room.
    All,
}

/// A disk, and how it is full.
#[derive(Debug, Clone, Copy)]
pub struct Disk {
    pub file_system: &'static str,
    pub size: &'static str,
    pub options: &'static str,
    pub holds: Holds,
    pub full: Full,
    pub reserve: Reserve,
}

/// Everything that takes something away: names, images by their only name, what has no name, what nobody needs, an approval.
pub const ALL: [&str; 8] = [
    "cmd untag app:stable app:two",
    "remove app:three",
    "remove shared:1",
    "cmd rmi other:1",
    "remove large:1",
    "cmd prune",
    "plugin revoke csv-format",
    "prune --all",
];

/// Of these the names and images that stay.
pub const STAY: &str = "127.0.0.1:5000/lab/app:1 localhost/app:four localhost/app:stable localhost/kept:1";

/// How commands ended.
pub struct Ended {
    /// Each with its exit code and all that it said; before them the one that would add something.
    pub commands: Vec<(String, i32, String)>,
    /// All names in bootc's storage.
    pub names: String,
    pub record: Vec<Value>,
}

/// A world with what is taken away.
pub fn world() -> World {
    let world = World::new();
    enter(&world).sh(&format!("{}{PREPARE}", Store::Bootc.shell())).ok();
    world
}

/// With plugins that are shipped.
fn enter(world: &World) -> Enter {
    let plugins = programs::required("plugins");
    ["podman-maintenance", "csv-format"].into_iter().fold(world.enter(), |enter, name| {
        let files = std::fs::read_dir(plugins.join(name)).expect("`make lab` has packaged it").flatten();
        files.fold(enter, |enter, file| {
            let inside = format!("/run/plugins/{name}/{}", file.file_name().to_string_lossy());
            enter.file(&inside, std::fs::read(file.path()).expect("`make lab` has packaged it"))
        })
    })
}

impl Disk {
    /// Makes the disk in a world, and runs commands on it, each when it is full. Panics if a neighbour isn't whole afterwards,
    /// or if what the file system holds back isn't what it was.
    pub fn run(&self, world: &World, commands: &[&str]) -> Ended {
        let holds = match self.holds {
            Holds::All => "all",
            Holds::Record => "record",
            Holds::Store => "store",
        };
        let full = match self.full {
            Full::Room => "room",
            Full::Inodes => "inodes",
        };
        let reserve = match self.reserve {
            Reserve::None => "none",
            Reserve::Kernels => "kernel",
            Reserve::All => "all",
        };
        let words: Vec<String> = commands.iter().map(|words| format!("'{words}'")).collect();
        let script = format!("{}set -- {}\n{DISK}", Store::Bootc.shell(), words.join(" "));
        let output = enter(world)
            .env("FS", self.file_system)
            .env("SIZE", self.size)
            .env("OPTIONS", self.options)
            .env("HOLDS", holds)
            .env("FULL", full)
            .env("RESERVE", reserve)
            .sh(&script);
        assert!(output.code == 0, "{self:?}: {output:#?}");
        let (said, record) = output.stdout.split_once("--- record\n").expect("the script prints it");
        let (said, names) = said.split_once("names: ").expect("the script prints them");
        let mut ended: Vec<(String, i32, String)> = Vec::new();
        for line in said.lines() {
            match (line.strip_prefix("    "), line.split_once(' '), ended.last_mut()) {
                (Some(said), _, Some((_, _, all))) => *all += &format!("{said}\n"),
                (None, Some((code, words)), _) => {
                    let code = code.parse().unwrap_or_else(|_| panic!("{self:?}: {output:#?}"));
                    ended.push((words.to_owned(), code, String::new()));
                }
                _ => panic!("{self:?}: {output:#?}"),
            }
        }
        let record = record.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{self:?}: {error}: {line}"))
        });
        Ended { commands: ended, names: names.trim().to_owned(), record: record.collect() }
    }

    /// As [`Disk::run`] with [`ALL`], all of which must succeed and be on record, in order.
    pub fn check(&self, world: &World) {
        let ended = self.run(world, &ALL);
        let (adds, takes) = ended.commands.split_first().expect("one adds something");
        // Where a record exists, a few lines fit into what the file system has given it already.
        let fits = self.reserve == Reserve::All;
        let is_told = adds.2.contains("free space on ");
        let right = match adds.1 {
            78 => is_told,
            1 => is_told && (fits || self.holds == Holds::Store),
            0 => fits && self.holds == Holds::Record,
            _ => false,
        };
        assert!(right, "{self:?}: {adds:?}");
        for (words, code, said) in takes {
            assert!(*code == 0, "{self:?}: {words}: {code}: {said}");
        }
        assert_eq!(ended.names, STAY, "{self:?}");
        ended.check_record(self);
    }
}

impl Ended {
    /// Every command that took something away has its intent and its outcome, in the order in which they were given.
    pub fn check_record(&self, disk: &Disk) {
        let kinds = ["remove", "prune", "revoke-plugin", "cmd"];
        let mut seen = Vec::new();
        let mut open: Option<&Value> = None;
        for line in &self.record {
            match (line["event"].as_str().unwrap_or_default(), open) {
                ("intent", None) => {
                    let kind = line["canonical"]["operation"]["kind"].as_str().unwrap_or_default();
                    seen.push(if kinds.contains(&kind) { kind } else { "other" });
                    open = Some(&line["id"]);
                }
                ("outcome", Some(id)) if *id == line["id"] => open = None,
                ("denied", None) => {}
                _ => panic!("{disk:?}: out of order: {line} in {:#?}", self.record),
            }
        }
        assert!(open.is_none(), "{disk:?}: {:#?}", self.record);
        seen.retain(|kind| *kind != "other");
        if disk.reserve == Reserve::All {
            assert_eq!(seen.remove(0), "cmd", "{disk:?}");
        }
        let mut expected: Vec<&str> = Vec::new();
        for (words, ..) in &self.commands {
            match words.split_whitespace().collect::<Vec<_>>()[..] {
                ["cmd", "untag", ..] => expected.push("cmd"),
                ["remove", ..] | ["cmd", "rmi", ..] => expected.push("remove"),
                ["cmd", "prune"] => expected.push("prune"),
                ["plugin", ..] => expected.push("revoke-plugin"),
                // What adds something: it may have begun.
                ["pull-from-default-storage", ..] => {}
                // Of several images.
                _ => expected.resize(seen.len().max(expected.len() + 1), "prune"),
            }
        }
        assert_eq!(seen, expected, "{disk:?}");
    }
}

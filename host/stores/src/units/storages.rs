//! The storages that a unit's arguments or environment configure for its podman.
//!
//! The driver that a unit configures is ignored, because only containers of bootc's driver can use bootc's images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Unit;
use super::arguments::option;
use super::search::Manager;
use crate::error::Error;
use crate::podman;
use crate::system::System;

/// Options of podman whose values are directories.
const DIRECTORIES: [&str; 3] = ["--root", "--runroot", "--imagestore"];
/// Storage options whose values are directories, with or without a driver's name in front.
const STORES: [&str; 2] = ["additionalimagestore", "imagestore"];

/// The directories that a unit with this group names. `EnvironmentFile=` is not read.
///
/// # Errors
/// Any I/O error; errors of podman's configuration; [`Error::Unit`] if a directory is unknown before the unit starts.
pub(super) fn of_unit(
    system: &System,
    manager: Manager,
    group: &str,
    unit: &Unit,
) -> Result<BTreeSet<PathBuf>, Error> {
    let place = |text: &str| {
        let unknown = |why: &str| Error::Unit {
            unit: system.path(&unit.path),
            why: format!("cannot determine where its podman keeps containers: {text} {why}"),
        };
        let path = expanded(text, manager)
            .map(PathBuf::from)
            .ok_or_else(|| unknown("has a part that systemd expands only when the unit starts"))?;
        if path.is_absolute() { Ok(path) } else { Err(unknown("is not an absolute path")) }
    };
    let mut places = BTreeSet::new();
    // podman accepts its global options after a subcommand as well.
    for key in ["GlobalArgs", "PodmanArgs"] {
        let words = unit.file.words(group, key);
        let directories = DIRECTORIES.iter().flat_map(|name| option(&words, name));
        for directory in directories.chain(option(&words, "--storage-opt").filter_map(store)) {
            places.insert(place(directory)?);
        }
    }
    let environment = environment(&unit.file.words("Service", "Environment"));
    for directory in environment.get("STORAGE_OPTS").iter().flat_map(|all| all.split(',')).filter_map(store) {
        places.insert(place(directory)?);
    }
    let file = |name: &str| environment.get(name).map(|path| place(path)).transpose();
    let (instead, over) = (file("CONTAINERS_STORAGE_CONF")?, file("CONTAINERS_STORAGE_CONF_OVERRIDE")?);
    for configuration in podman::readings_of_unit(system, instead.as_deref(), over.as_deref())? {
        places.extend(configuration.places().map(Path::to_owned));
    }
    Ok(places)
}

/// The directory of an additional storage.
fn store(option: &str) -> Option<&str> {
    let (name, directory) = option.split_once('=')?;
    let name = name.rsplit_once('.').map_or(name, |(_, name)| name);
    Some(directory).filter(|_| STORES.contains(&name))
}

/// The variables in `Environment=`: the last value of a name counts, an empty one as unset. Dollar signs are literal here.
fn environment(words: &[String]) -> BTreeMap<String, String> {
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    let all: BTreeMap<_, _> =
        pairs.map(|(name, value)| (name.to_owned(), value.replace('$', "$$"))).collect();
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Expands the specifiers whose values are the same on every host; `None` if there are others.
fn expanded(text: &str, manager: Manager) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '%' => filled.push_str(specifier(rest.next()?, manager)?),
            '$' => filled.push(rest.next().filter(|&next| next == '$')?),
            other => filled.push(other),
        }
    }
    Some(filled)
}

fn specifier(letter: char, manager: Manager) -> Option<&'static str> {
    Some(match (letter, manager) {
        ('%', _) => "%",
        ('h', _) => "/root",
        ('u', _) => "root",
        ('U', _) => "0",
        ('S', Manager::System) => "/var/lib",
        ('C', Manager::System) => "/var/cache",
        ('L', Manager::System) => "/var/log",
        ('E', Manager::System) => "/etc",
        ('t', Manager::System) => "/run",
        ('t', Manager::Root) => "/run/user/0",
        // For root's user manager the others depend on root's environment.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::UnitFile;
    use super::*;

    fn places(text: &str, manager: Manager) -> Result<Vec<String>, Error> {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("etc/site")).unwrap();
        fs::create_dir_all(scratch.path().join("etc/containers")).unwrap();
        let configurations = [
            ("etc/site/storage.conf", "graphroot=\"/srv/graph\"\nrunroot=\"/srv/run\"\n"),
            ("etc/site/over.conf", "imagestore=\"/srv/images\"\n"),
            ("etc/containers/storage.conf", "graphroot=\"/srv/usual\"\n"),
        ];
        for (path, text) in configurations {
            fs::write(scratch.path().join(path), format!("[storage]\n{text}")).unwrap();
        }
        let system = System::in_directory(scratch.path()).unwrap();
        let unit = Unit { path: "/etc/a.container".into(), file: UnitFile::parse(text).unwrap() };
        let found = of_unit(&system, manager, "Container", &unit)?;
        Ok(found.into_iter().map(|path| path.display().to_string()).collect())
    }

    #[test]
    fn units_name_storages_in_several_ways() {
        for (text, expected) in [
            ("[Container]\nGlobalArgs=--root /srv/a --runroot=/run/a\n", vec!["/run/a", "/srv/a"]),
            (
                "[Container]\nPodmanArgs=--root=/srv/c --runroot=/run/c --storage-driver=overlay\n",
                vec!["/run/c", "/srv/c"],
            ),
            ("[Container]\nPodmanArgs=--storage-driver overlay --imagestore /srv/i\n", vec!["/srv/i"]),
            ("[Container]\nPodmanArgs=--rootfs\nEnvironment=CONTAINERS_STORAGE_CONF=/x\n", vec![]),
            (
                "[Container]\nGlobalArgs=--root=%S/site/c --runroot %t/%%$$\n",
                vec!["/run/%$", "/var/lib/site/c"],
            ),
            (
                "[Container]\nGlobalArgs=--storage-opt overlay.imagestore=/srv/more --storage-opt size=1\n",
                vec!["/srv/more"],
            ),
            (
                "[Service]\nEnvironment=A=1 \"STORAGE_OPTS=additionalimagestore=/srv/more,size=1\"\n",
                vec!["/srv/more"],
            ),
            (
                "[Service]\nEnvironment=CONTAINERS_STORAGE_CONF=%E/site/storage.conf\n",
                vec!["/srv/graph", "/srv/run"],
            ),
            (
                "[Service]\nEnvironment=CONTAINERS_STORAGE_CONF=/etc/site/storage.conf\n\
                 Environment=CONTAINERS_STORAGE_CONF_OVERRIDE=/etc/site/over.conf STORAGE_DRIVER=vfs\n",
                vec!["/srv/graph", "/srv/images", "/srv/run"],
            ),
            (
                "[Service]\nEnvironment=CONTAINERS_STORAGE_CONF_OVERRIDE=/etc/site/over.conf\n",
                vec!["/run/containers/storage", "/srv/images", "/srv/usual"],
            ),
            ("[Service]\nEnvironment=CONTAINERS_STORAGE_CONF=/x\nEnvironment=\n", vec![]),
        ] {
            assert_eq!(places(text, Manager::System).unwrap(), expected, "{text}");
        }
        let root = places("[Container]\nGlobalArgs=--runroot=%t/c --root=%h/c\n", Manager::Root);
        assert_eq!(root.unwrap(), ["/root/c", "/run/user/0/c"]);
    }

    #[test]
    fn what_isnt_known_before_the_start_is_an_error() {
        let later = "has a part that systemd expands only when the unit starts";
        for (text, place, why) in [
            ("[Container]\nGlobalArgs=--root=/srv/%i\n", "/srv/%i", later),
            ("[Container]\nPodmanArgs=--runroot $WHERE\n", "$WHERE", later),
            ("[Container]\nPodmanArgs=--root=srv/c\n", "srv/c", "is not an absolute path"),
            ("[Container]\nPodmanArgs=--root=/srv/%\n", "/srv/%", later),
            ("[Service]\nEnvironment=CONTAINERS_STORAGE_CONF=/etc/%i.conf\n", "/etc/%i.conf", later),
        ] {
            let Err(Error::Unit { why: found, .. }) = places(text, Manager::System) else { panic!("{text}") };
            assert_eq!(found, format!("cannot determine where its podman keeps containers: {place} {why}"));
        }
        assert!(places("[Container]\nGlobalArgs=--root=%S/c\n", Manager::Root).is_err());
    }
}

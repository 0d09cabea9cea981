//! Where podman keeps what root has: what its configuration says in all its parts.
//!
//! Up to version 5 podman reads one file. Version 6 reads drop-ins over it, and root's own file in `/root`. Which version a
//! system has isn't written anywhere, so a configuration that the versions understand differently has several readings.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::system::System;
use crate::error::Error;

/// The main file: the first that is there counts alone.
const MAIN: [&str; 2] = ["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"];
/// Of two drop-ins with one name the one in the later directory counts.
const DROP_INS: [&str; 4] = [
    "/usr/share/containers/storage.conf.d",
    "/usr/share/containers/storage.rootful.conf.d",
    "/etc/containers/storage.conf.d",
    "/etc/containers/storage.rootful.conf.d",
];
/// What root has of its own, if `HOME` is what it is in a login or in a service.
const OWN_MAIN: &str = "/root/.config/containers/storage.conf";
const OWN_DROP_INS: &str = "/root/.config/containers/storage.conf.d";
/// Where everything is if nobody says otherwise.
const GRAPHROOT: &str = "/var/lib/containers/storage";
const RUNROOT: &str = "/run/containers/storage";
const MAX_CONFIGURATION: u64 = 1 << 20;

/// What podman's configuration says of its storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The driver, if one is named. Else podman takes the one whose directories it finds, or overlay.
    pub driver: Option<String>,
    /// Where containers are, and images unless `imagestore` says otherwise.
    pub graphroot: PathBuf,
    /// Where is what doesn't outlive a boot; in a transient storage that is containers and their layers.
    pub runroot: PathBuf,
    /// Where images are written to, if not to `graphroot`, whose images are only read then.
    pub imagestore: Option<PathBuf>,
    /// Storages whose images podman sees beside its own, and can't write to.
    pub additional: Vec<PathBuf>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            driver: None,
            graphroot: GRAPHROOT.into(),
            runroot: RUNROOT.into(),
            imagestore: None,
            additional: Vec::new(),
        }
    }
}

impl Configuration {
    /// Every directory in which podman keeps something or looks for it.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        let places = [&self.graphroot, &self.runroot].into_iter().chain(&self.imagestore);
        places.chain(&self.additional).map(PathBuf::as_path)
    }

    /// Where images are written to.
    pub fn images(&self) -> &Path {
        self.imagestore.as_ref().unwrap_or(&self.graphroot)
    }
}

/// All that the configuration of a system can mean, each once: to podman up to version 5, to version 6 as this program starts
/// it, and to version 6 in root's own sessions and services.
///
/// # Errors
/// The system's; [`Error::Corrupt`] if a file can't be understood.
pub fn readings(system: &System) -> Result<Vec<Configuration>, Error> {
    let mut readings = started_by_us(system)?;
    let own = read(system, &[&[OWN_MAIN], &MAIN[..]].concat(), &[&DROP_INS[..], &[OWN_DROP_INS]].concat())?;
    if !readings.contains(&own) {
        readings.push(own);
    }
    Ok(readings)
}

/// What the configuration can mean to a podman that this program starts.
///
/// # Errors
/// As [`readings`].
pub fn started_by_us(system: &System) -> Result<Vec<Configuration>, Error> {
    let mut readings = vec![read(system, &MAIN, &[])?];
    let with_drop_ins = read(system, &MAIN, &DROP_INS)?;
    if !readings.contains(&with_drop_ins) {
        readings.push(with_drop_ins);
    }
    Ok(readings)
}

fn read(system: &System, main: &[&str], drop_ins: &[&str]) -> Result<Configuration, Error> {
    let mut configuration = Configuration::default();
    for path in main {
        if apply(system, Path::new(path), &mut configuration)? {
            break;
        }
    }
    for path in drop_in_files(system, drop_ins)? {
        apply(system, &path, &mut configuration)?;
    }
    Ok(configuration)
}

/// In the order of their names, whichever directory they are in.
fn drop_in_files(system: &System, directories: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let mut files = BTreeMap::new();
    for directory in directories {
        let entries = match system.entries(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(system.error("read", directory)(error)),
        };
        // podman reads no links here.
        for entry in entries.into_iter().filter(|entry| entry.file_type.is_file()) {
            let path = Path::new(directory).join(&entry.name);
            if path.extension().is_some_and(|extension| extension == "conf") {
                files.insert(entry.name, path);
            }
        }
    }
    Ok(files.into_values().collect())
}

/// Lays a file over what has been read; false if it isn't there.
fn apply(system: &System, path: &Path, configuration: &mut Configuration) -> Result<bool, Error> {
    let text = match system.read_text(path, MAX_CONFIGURATION) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(system.error("read", path)(error)),
    };
    let corrupt = |why: String| Error::Corrupt {
        path: system.path(path),
        why,
        hint: "podman can't read it either; see: man containers-storage.conf",
    };
    let table: Table = toml::from_str(&text).map_err(|error| corrupt(error.message().to_owned()))?;
    let empty = Table::new();
    let section = |table: &Table, name: &str| match table.get(name) {
        None => Ok(empty.clone()),
        Some(Value::Table(section)) => Ok(section.clone()),
        Some(_) => Err(corrupt(format!("{name} isn't a table"))),
    };
    let storage = section(&table, "storage")?;
    let options = section(&storage, "options")?;
    let text = |name: &str| match storage.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(corrupt(format!("{name} isn't a text"))),
    };
    let place = |name: &str| match text(name)? {
        None => Ok(None),
        Some(text) => expand(&text).map(Some).map_err(corrupt),
    };
    if let Some(driver) = text("driver")? {
        configuration.driver = Some(if driver == "overlay2" { "overlay".to_owned() } else { driver });
    }
    if let Some(graphroot) = place("graphroot")? {
        configuration.graphroot = graphroot;
    }
    if let Some(runroot) = place("runroot")? {
        configuration.runroot = runroot;
    }
    if let Some(imagestore) = place("imagestore")? {
        configuration.imagestore = Some(imagestore);
    }
    if let Some(stores) = options.get("additionalimagestores") {
        let stores = additional(stores, &mut configuration.additional).map_err(corrupt)?;
        configuration.additional = stores;
    }
    Ok(true)
}

/// A list, or what is appended to the list so far if it says so.
fn additional(value: &Value, so_far: &mut Vec<PathBuf>) -> Result<Vec<PathBuf>, String> {
    let wrong = || "additionalimagestores isn't a list of paths".to_owned();
    let mut stores = Vec::new();
    let mut appends = false;
    for value in value.as_array().ok_or_else(wrong)? {
        match value {
            Value::String(text) => stores.push(expand(text)?),
            Value::Table(attributes) => {
                appends = attributes.get("append").and_then(Value::as_bool).ok_or_else(wrong)?;
            }
            _ => return Err(wrong()),
        }
    }
    if appends {
        let mut all = std::mem::take(so_far);
        all.append(&mut stores);
        return Ok(all);
    }
    Ok(stores)
}

/// podman fills in the number of the user, who is root, and variables of its environment, of which only root's home is known.
fn expand(text: &str) -> Result<PathBuf, String> {
    let text = text.replace("$UID", "0").replace("${HOME}", "/root").replace("$HOME", "/root");
    if text.contains('$') {
        return Err(format!("{text:?} names a variable of podman's environment, which isn't known here"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Result<Vec<Configuration>, Error> {
        let scratch = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = scratch.path().join(path.strip_prefix('/').unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        readings(&System::in_directory(scratch.path()).unwrap())
    }

    fn at(graphroot: &str) -> String {
        format!("[storage]\ngraphroot = \"{graphroot}\"\nrunroot = \"{graphroot}-run\"\n")
    }

    fn graphroots(files: &[(&str, &str)]) -> Vec<String> {
        found(files).unwrap().into_iter().map(|one| one.graphroot.display().to_string()).collect()
    }

    #[test]
    fn one_main_file_counts() {
        let [etc, usr] = MAIN;
        assert_eq!(found(&[]).unwrap(), [Configuration::default()]);
        assert_eq!(graphroots(&[(usr, &at("/a"))]), ["/a"]);
        assert_eq!(graphroots(&[(usr, &at("/a")), (etc, &at("/b"))]), ["/b"]);
        assert_eq!(graphroots(&[(usr, &at("/a")), (etc, "[storage]\n")]), [GRAPHROOT]);
        assert_eq!(graphroots(&[(etc, &at("/a")), (OWN_MAIN, &at("/own"))]), ["/a", "/own"]);
        for bad in
            ["[storage\n", "storage = 1", "[storage]\ngraphroot = 1\n", "[storage]\ngraphroot = \"$X/c\"\n"]
        {
            assert!(matches!(found(&[(etc, bad)]), Err(Error::Corrupt { .. })), "{bad}");
        }
    }

    #[test]
    fn drop_ins_lie_over_it_for_podman_6_alone() {
        let [etc, _] = MAIN;
        let [usr, usr_rootful, etc_all, etc_rootful] = DROP_INS;
        let file = |directory: &str, name: &str| format!("{directory}/{name}");
        let sorted = [
            (etc.to_owned(), at("/main")),
            (file(etc_rootful, "10-a.conf"), at("/ten")),
            (file(usr, "20-b.conf"), at("/twenty")),
            (file(usr, "30-c.txt"), at("/no")),
        ];
        let files: Vec<_> = sorted.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert_eq!(graphroots(&files), ["/main", "/twenty"]);
        let replaced = [usr, usr_rootful, etc_all, etc_rootful].map(|directory| file(directory, "10.conf"));
        let texts = ["/1", "/2", "/3", "/4"].map(at);
        let files: Vec<_> =
            replaced.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
        assert_eq!(graphroots(&files), [GRAPHROOT, "/4"]);
    }

    #[test]
    fn every_part_is_read() {
        let text = "[storage]\ndriver = \"overlay2\"\nrunroot = \"/r/$UID\"\ngraphroot = \"$HOME/c\"\n\
                    imagestore = \"/i\"\n[storage.options]\nadditionalimagestores = [\"/a\", \"/b\"]\n";
        let [configuration] = <[_; 1]>::try_from(found(&[(MAIN[0], text)]).unwrap()).unwrap();
        let expected = Configuration {
            driver: Some("overlay".to_owned()),
            graphroot: "/root/c".into(),
            runroot: "/r/0".into(),
            imagestore: Some("/i".into()),
            additional: vec!["/a".into(), "/b".into()],
        };
        assert_eq!(configuration, expected);
        assert_eq!(configuration.images(), Path::new("/i"));
        assert_eq!(configuration.places().count(), 5);
        let more = "[storage.options]\nadditionalimagestores = [\"/c\", {append = true}]\n";
        let drop_in = format!("{}/x.conf", DROP_INS[0]);
        let found = found(&[(MAIN[0], text), (&drop_in, more)]).unwrap();
        assert_eq!(found[1].additional, ["/a", "/b", "/c"].map(PathBuf::from));
    }
}

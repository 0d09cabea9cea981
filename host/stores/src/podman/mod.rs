//! The storage configuration of root's podman.
//!
//! Up to version 5 podman reads one file. Version 6 also reads drop-ins, and root's own file in `/root`. The version in a deployment is
//! unknown, so a configuration that the versions read differently has several readings, all of which are used. See
//! `docs/adr/0013-what-podman-and-units-say.md`.

pub(super) mod files;
mod infra;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bootc_image_os::error::Error as OsError;

pub use infra::infra_images;
use toml::{Table, Value};

use bootc_image_containers_storage::error::Error as StorageError;
use bootc_image_containers_storage::{Store, drivers};
use bootc_image_os::root::RootDir;

use crate::error::Error;
use crate::system::System;

/// The main file: only the first that exists is read.
const MAIN: [&str; 2] = ["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"];
/// Directories of drop-ins: of two files with the same name, the one in the later directory counts.
const DROP_INS: [&str; 4] = [
    "/usr/share/containers/storage.conf.d",
    "/usr/share/containers/storage.rootful.conf.d",
    "/etc/containers/storage.conf.d",
    "/etc/containers/storage.rootful.conf.d",
];
/// Root's own files, if `HOME` is `/root` as in a login or a service.
const OWN_MAIN: &str = "/root/.config/containers/storage.conf";
const OWN_DROP_INS: &str = "/root/.config/containers/storage.conf.d";
/// The default directories.
const GRAPHROOT: &str = "/var/lib/containers/storage";
const RUNROOT: &str = "/run/containers/storage";
const MAX_CONFIGURATION: u64 = 1 << 20;

/// podman's storage configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The driver, if one is named. Otherwise podman uses the one whose directories exist, or overlay.
    pub driver: Option<String>,
    /// The directory of containers, and of images unless `imagestore` is set.
    pub graphroot: PathBuf,
    /// The directory of files that are removed at boot; in a transient storage that includes containers and their layers.
    pub runroot: PathBuf,
    /// The directory to which images are written instead of `graphroot`, whose images are only read in that case.
    pub imagestore: Option<PathBuf>,
    /// Additional storages, whose images podman only reads.
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
    /// All these directories.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        let places = [&self.graphroot, &self.runroot].into_iter().chain(&self.imagestore);
        places.chain(&self.additional).map(PathBuf::as_path)
    }

    /// Where images are written to.
    pub fn images(&self) -> &Path {
        self.imagestore.as_ref().unwrap_or(&self.graphroot)
    }
}

/// All distinct readings of an operating system's configuration: by podman up to version 5, by version 6 as bootc-image starts it, and
/// by version 6 in root's sessions and services.
///
/// # Errors
/// Any I/O error; [`OsError::Corrupt`] if a file cannot be parsed.
pub fn readings(system: &System) -> Result<Vec<Configuration>, Error> {
    let mut readings = started_by_us(system)?;
    let own = Read::Own.configuration(system, None)?;
    if !readings.contains(&own) {
        readings.push(own);
    }
    Ok(readings)
}

/// The readings by a podman that bootc-image starts.
///
/// # Errors
/// As [`readings`].
pub fn started_by_us(system: &System) -> Result<Vec<Configuration>, Error> {
    let mut readings = vec![Read::Main.configuration(system, None)?];
    let with_drop_ins = Read::DropIns.configuration(system, None)?;
    if !readings.contains(&with_drop_ins) {
        readings.push(with_drop_ins);
    }
    Ok(readings)
}

/// The storage in `root`. If more than one driver has stored something there, opens it with the driver that the running system's
/// configuration names.
///
/// # Errors
/// As [`Store::open`]; errors of the configuration.
pub fn open_store(root: &RootDir) -> Result<Store<'_>, Error> {
    match Store::open(root) {
        Err(StorageError::SeveralDrivers { path }) => {
            let configured = started_by_us(&System::running()?)?.swap_remove(0).driver;
            let driver = drivers(root)?.into_iter().find(|driver| Some(driver) == configured.as_ref());
            let driver = driver.ok_or(StorageError::SeveralDrivers { path })?;
            Ok(Store::with_driver(root, &driver)?)
        }
        opened => Ok(opened?),
    }
}

/// The additional readings by a podman whose environment names a file that is read instead of all others, or one that is read in
/// addition, which only version 6 supports.
///
/// # Errors
/// As [`readings`].
pub(super) fn readings_of_unit(
    system: &System,
    instead: Option<&Path>,
    over: Option<&Path>,
) -> Result<Vec<Configuration>, Error> {
    match (instead, over) {
        (None, None) => Ok(Vec::new()),
        (None, over) => {
            [Read::DropIns, Read::Own].iter().map(|read| read.configuration(system, over)).collect()
        }
        (Some(instead), over) => {
            [None, over].into_iter().map(|over| Read::This(instead).configuration(system, over)).collect()
        }
    }
}

/// Which files are read.
enum Read<'a> {
    /// The main file: podman up to version 5.
    Main,
    /// Drop-ins as well: version 6.
    DropIns,
    /// Root's own files as well.
    Own,
    /// This file instead of all others.
    This(&'a Path),
}

impl Read<'_> {
    fn configuration(&self, system: &System, over: Option<&Path>) -> Result<Configuration, Error> {
        let main = MAIN.map(Path::new);
        let (main, drop_ins) = match self {
            Self::Main => (main.to_vec(), Vec::new()),
            Self::DropIns => (main.to_vec(), DROP_INS.to_vec()),
            Self::Own => {
                ([&[Path::new(OWN_MAIN)], &main[..]].concat(), [&DROP_INS[..], &[OWN_DROP_INS]].concat())
            }
            Self::This(file) => (vec![*file], Vec::new()),
        };
        let mut written = Written::default();
        for path in main {
            if written.add(system, path)? {
                break;
            }
        }
        for path in drop_in_files(system, &drop_ins)?.iter().map(PathBuf::as_path).chain(over) {
            written.add(system, path)?;
        }
        written.meaning()
    }
}

/// The drop-ins, sorted by name, whichever directory they are in.
fn drop_in_files(system: &System, directories: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let mut files = BTreeMap::new();
    for directory in directories {
        let entries = match system.entries(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(system.error("read", directory)(error)),
        };
        // podman ignores links here.
        for entry in entries.into_iter().filter(|entry| entry.file_type.is_file()) {
            let path = Path::new(directory).join(&entry.name);
            if path.extension().is_some_and(|extension| extension == "conf") {
                files.insert(entry.name, path);
            }
        }
    }
    Ok(files.into_values().collect())
}

/// The merged contents of the files that have been read. An empty string in a later file resets the value.
#[derive(Default)]
struct Written {
    driver: Option<String>,
    graphroot: Option<Place>,
    runroot: Option<Place>,
    imagestore: Option<Place>,
    additional: Vec<PathBuf>,
    /// Whether lists are appended: once a file sets this, it also applies to later files.
    appends: bool,
}

/// The unexpanded name of a directory, and the file that has it.
struct Place {
    text: String,
    file: PathBuf,
}

impl Place {
    fn path(&self) -> Result<PathBuf, Error> {
        expand(&self.text).map_err(|why| corrupt(&self.file, why))
    }
}

fn corrupt(path: &Path, why: String) -> Error {
    let hint = "fix the file, which podman cannot read either; see: man containers-storage.conf";
    OsError::Corrupt { path: path.to_owned(), why, hint }.into()
}

impl Written {
    /// Merges a file; false if it does not exist.
    fn add(&mut self, system: &System, path: &Path) -> Result<bool, Error> {
        let text = match system.read_text(path, MAX_CONFIGURATION) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(system.error("read", path)(error)),
        };
        let file = system.path(path);
        let corrupt = |why: String| corrupt(&file, why);
        let table: Table = toml::from_str(&text).map_err(|error| corrupt(error.message().to_owned()))?;
        let empty = Table::new();
        let section = |table: &Table, name: &str| match table.get(name) {
            None => Ok(empty.clone()),
            Some(Value::Table(section)) => Ok(section.clone()),
            Some(_) => Err(corrupt(format!("`{name}` is not a table"))),
        };
        let storage = section(&table, "storage")?;
        let options = section(&storage, "options")?;
        let text = |name: &str| match storage.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(corrupt(format!("`{name}` is not a string"))),
        };
        if let Some(driver) = text("driver")? {
            self.driver = Some(if driver == "overlay2" { "overlay".to_owned() } else { driver });
        }
        let places = [
            ("graphroot", &mut self.graphroot),
            ("runroot", &mut self.runroot),
            ("imagestore", &mut self.imagestore),
        ];
        for (name, place) in places {
            if let Some(text) = text(name)? {
                *place = Some(Place { text, file: file.clone() });
            }
        }
        if let Some(stores) = options.get("additionalimagestores") {
            self.add_stores(stores).map_err(corrupt)?;
        }
        Ok(true)
    }

    fn add_stores(&mut self, value: &Value) -> Result<(), String> {
        let wrong = || "`additionalimagestores` is not a list of paths".to_owned();
        let mut stores = Vec::new();
        for value in value.as_array().ok_or_else(wrong)? {
            match value {
                Value::String(text) => stores.push(expand(text)?),
                Value::Table(attributes) => {
                    for (name, value) in attributes {
                        self.appends =
                            value.as_bool().filter(|_| name.as_str() == "append").ok_or_else(wrong)?;
                    }
                }
                _ => return Err(wrong()),
            }
        }
        if !self.appends {
            self.additional.clear();
        }
        self.additional.append(&mut stores);
        Ok(())
    }

    fn meaning(self) -> Result<Configuration, Error> {
        let said = |place: Option<Place>| {
            place.filter(|place| !place.text.is_empty()).map(|place| place.path()).transpose()
        };
        Ok(Configuration {
            driver: self.driver.filter(|driver| !driver.is_empty()),
            graphroot: said(self.graphroot)?.unwrap_or_else(|| GRAPHROOT.into()),
            runroot: said(self.runroot)?.unwrap_or_else(|| RUNROOT.into()),
            imagestore: said(self.imagestore)?,
            additional: self.additional,
        })
    }
}

/// Expands `$UID`, which is 0 for root, and `$HOME`. Other variables of podman's environment are unknown.
fn expand(text: &str) -> Result<PathBuf, String> {
    let text = text.replace("$UID", "0").replace("${HOME}", "/root").replace("$HOME", "/root");
    if text.contains('$') {
        return Err(format!("{text:?} uses an environment variable of podman whose value is unknown here"));
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

    /// What is wrong with a file.
    fn corruption(found: Result<Vec<Configuration>, Error>) -> String {
        match found {
            Err(Error::Os(OsError::Corrupt { why, .. })) => why,
            other => panic!("{other:?}"),
        }
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
        for (bad, why) in [
            ("[storage\n", "unclosed table, expected `]`"),
            ("storage = 1", "`storage` is not a table"),
            ("[storage]\noptions = 1\n", "`options` is not a table"),
            ("[storage]\ngraphroot = 1\n", "`graphroot` is not a string"),
            (
                "[storage]\ngraphroot = \"$X/c\"\n",
                "\"$X/c\" uses an environment variable of podman whose value is unknown here",
            ),
        ] {
            assert_eq!(corruption(found(&[(etc, bad)])), why, "{bad}");
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

    #[test]
    fn an_empty_text_in_a_drop_in_takes_back_what_stood_before() {
        let text =
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"/g\"\nrunroot = \"/r/$SITE\"\nimagestore = \"/i\"\n";
        let drop_in = format!("{}/x.conf", DROP_INS[3]);
        let nothing = "[storage]\ndriver = \"\"\ngraphroot = \"\"\nrunroot = \"\"\nimagestore = \"\"\n";
        // Up to version 5 podman reads the main file alone.
        let known = text.replace("$SITE", "0");
        let found = |text: &str| found(&[(MAIN[0], text), (&drop_in, nothing)]);
        let [old, new] = <[_; 2]>::try_from(found(&known).unwrap()).unwrap();
        assert_eq!((old.driver.as_deref(), old.images()), (Some("vfs"), Path::new("/i")));
        assert_eq!(new, Configuration::default());
        assert!(matches!(found(text), Err(Error::Os(OsError::Corrupt { .. }))));
        // The error names the file that has precedence.
        let unknown = format!("{}/w.conf", DROP_INS[0]);
        let found = super::tests::found(&[(&unknown, text), (&drop_in, nothing)]).unwrap();
        assert_eq!(found, [Configuration::default()]);
    }

    #[test]
    fn once_a_list_is_appended_later_ones_are_too() {
        let list = |stores: &str| format!("[storage.options]\nadditionalimagestores = [{stores}]\n");
        let path = |number: &str| format!("{}/{number}.conf", DROP_INS[0]);
        let additional = |texts: [&str; 3]| {
            let [one, two, three] = texts.map(list);
            let found = found(&[(MAIN[0], &one), (&path("1"), &two), (&path("2"), &three)]).unwrap();
            let stores = found[1].additional.iter().map(|path| path.display().to_string());
            stores.collect::<Vec<_>>().concat()
        };
        assert_eq!(additional(["'/a'", "'/b', {append = true}", "'/c'"]), "/a/b/c");
        assert_eq!(additional(["'/a', {append = true}", "'/b'", "'/c'"]), "/a/b/c");
        assert_eq!(additional(["'/a', {append = true}", "'/b'", "'/c', {append = false}"]), "/c");
        assert_eq!(additional(["'/a'", "'/b', {}", "'/c'"]), "/c");
        for bad in ["{append = 1}", "{prepend = true}", "1"] {
            let why = corruption(found(&[(MAIN[0], &list(bad))]));
            assert_eq!(why, "`additionalimagestores` is not a list of paths", "{bad}");
        }
    }

    #[test]
    fn a_link_to_null_is_an_empty_configuration() {
        let scratch = tempfile::tempdir().unwrap();
        let etc = scratch.path().join("etc/containers");
        std::fs::create_dir_all(&etc).unwrap();
        std::os::unix::fs::symlink("../../dev/null", etc.join("storage.conf")).unwrap();
        let usr = scratch.path().join(&MAIN[1][1..]);
        std::fs::create_dir_all(usr.parent().unwrap()).unwrap();
        std::fs::write(usr, at("/masked")).unwrap();
        let found = readings(&System::in_directory(scratch.path()).unwrap());
        assert_eq!(found.unwrap(), [Configuration::default()]);
    }
}

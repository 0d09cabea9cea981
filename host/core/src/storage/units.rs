//! Units that start containers, read as Quadlet reads them: podman's generator, which makes services of them at boot.
//!
//! - [`file`]: the text of a unit
//! - [`Units`]: the units of a system, and the images that they start
//! - [`ImageName`]: what a unit says of an image, as far as that is known before it starts

mod file;
mod kube;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

pub(super) use file::UnitFile;
use rustix::io::Errno;

use super::system::System;
use crate::error::Error;

/// Where Quadlet looks for root's units: the first of a name counts.
const DIRECTORIES: [&str; 3] =
    ["/run/containers/systemd", "/etc/containers/systemd", "/usr/share/containers/systemd"];
/// Below it are units of users, which root's Quadlet passes over.
const USERS: &str = "/etc/containers/systemd/users";
/// Kinds of unit, by the ending of their names, that can name an image.
const KINDS: [&str; 6] = ["build", "container", "image", "kube", "pod", "volume"];
/// Largest unit, and largest file of Kubernetes that one names.
const MAX_FILE: u64 = 1 << 20;
/// Deepest directory of units.
const MAX_DEPTH: usize = 32;

/// An image as a unit names it. What systemd fills in when it starts the unit isn't known before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageName {
    /// All of the name.
    Known(String),
    /// The parts of the name between those that systemd fills in: at least two, of which some are empty.
    Partly(Vec<String>),
}

impl ImageName {
    /// From a value in which `%%` is a percent sign, `$$` a dollar sign, and `%i`, `$NAME` and `${NAME}` are filled in.
    pub fn new(value: &str) -> Self {
        let mut parts = vec![String::new()];
        let mut rest = value.chars().peekable();
        while let Some(character) = rest.next() {
            let is_doubled = matches!(character, '%' | '$') && rest.peek() == Some(&character);
            match character {
                '%' | '$' if is_doubled => {
                    rest.next();
                    push(&mut parts, character);
                }
                '%' => {
                    rest.next();
                    parts.push(String::new());
                }
                '$' if rest.peek() == Some(&'{') => {
                    rest.by_ref().take_while(|&inside| inside != '}').for_each(drop);
                    parts.push(String::new());
                }
                '$' => {
                    while rest.next_if(|&next| next.is_ascii_alphanumeric() || next == '_').is_some() {}
                    parts.push(String::new());
                }
                other => push(&mut parts, other),
            }
        }
        match <[String; 1]>::try_from(parts) {
            Ok([text]) => Self::Known(text),
            Err(parts) => Self::Partly(parts),
        }
    }

    /// Whether a name in a storage may be this one. Of a name that isn't known in full any registry may stand in front.
    pub fn may_be(&self, stored: &str) -> bool {
        let Self::Partly(parts) = self else { return false };
        let ends = stored.match_indices('/').map(|(slash, _)| &stored[slash + 1..]);
        std::iter::once(stored).chain(ends).any(|text| fits(parts, text))
    }
}

fn push(parts: &mut [String], character: char) {
    if let Some(last) = parts.last_mut() {
        last.push(character);
    }
}

/// Whether a text begins with the first part, ends with the last one, and has the others in between, in their order.
fn fits(parts: &[String], text: &str) -> bool {
    let Some((first, rest)) = parts.split_first() else { return false };
    let Some((last, between)) = rest.split_last() else { return text == first };
    let Some(mut text) = text.strip_prefix(first.as_str()) else { return false };
    for part in between {
        match text.find(part.as_str()) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    // podman adds the tag that isn't written.
    text.ends_with(last.as_str())
        || text.strip_suffix(":latest").is_some_and(|text| text.ends_with(last.as_str()))
}

/// One unit, with its drop-ins.
#[derive(Debug)]
struct Unit {
    path: PathBuf,
    file: UnitFile,
}

/// An image that a unit starts or fetches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The unit, by its path in its system.
    pub unit: PathBuf,
    /// What it says.
    pub image: ImageName,
}

/// The units of a system in Quadlet's directories.
#[derive(Debug)]
pub struct Units<'a> {
    system: &'a System,
    units: BTreeMap<String, Unit>,
}

impl<'a> Units<'a> {
    /// Reads them. Quadlet passes over a unit that isn't well-formed, and so does this.
    ///
    /// # Errors
    /// The system's, if a directory or a file is there but can't be read.
    pub fn read(system: &'a System) -> Result<Self, Error> {
        let directories = directories(system)?;
        let mut units = BTreeMap::new();
        for directory in &directories {
            for name in names(system, directory)? {
                if units.contains_key(&name) || kind(&name).is_none_or(|kind| !KINDS.contains(&kind)) {
                    continue;
                }
                let path = directory.join(&name);
                if let Some(file) = read(system, &path)? {
                    units.insert(name, Unit { path, file });
                }
            }
        }
        for (name, unit) in &mut units {
            for path in drop_ins(system, &directories, name)? {
                if let Some(file) = read(system, &path)? {
                    unit.file.append(file);
                }
            }
        }
        Ok(Self { system, units })
    }

    /// The images of all units. A unit that refers to one that isn't there isn't started by anybody.
    ///
    /// # Errors
    /// The system's; [`Error::Unit`] if what a unit starts can't be determined.
    pub fn images(&self) -> Result<BTreeSet<Wanted>, Error> {
        let mut wanted = BTreeSet::new();
        for (name, unit) in &self.units {
            for value in values(self.system, name, &unit.path, &unit.file)? {
                let image = match self.resolve(&value) {
                    Resolved::Name(name) => ImageName::new(&name),
                    Resolved::Absent => continue,
                };
                wanted.insert(Wanted { unit: unit.path.clone(), image });
            }
        }
        Ok(wanted)
    }

    /// Where podman keeps the containers of units that name a storage of their own: with `GlobalArgs=--root=DIR` and the like.
    pub fn storages(&self) -> impl Iterator<Item = PathBuf> {
        const GROUPS: [&str; 6] = ["Build", "Container", "Image", "Kube", "Pod", "Volume"];
        let words =
            self.units.values().flat_map(|unit| GROUPS.map(|group| unit.file.words(group, "GlobalArgs")));
        words.flat_map(|words| {
            let named = ["--root", "--runroot", "--imagestore"].into_iter();
            let named: Vec<PathBuf> =
                named.flat_map(|name| option(&words, name).map(PathBuf::from).collect::<Vec<_>>()).collect();
            named
        })
    }

    /// What a value of `Image=` stands for: it may be the name of another unit.
    pub(super) fn resolve(&self, value: &str) -> Resolved {
        match kind(value) {
            Some("image" | "build") => match self.units.get(value).and_then(|unit| made(value, &unit.file)) {
                Some(name) => Resolved::Name(name),
                None => Resolved::Absent,
            },
            _ => Resolved::Name(value.to_owned()),
        }
    }
}

/// What a value of `Image=` stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// This image.
    Name(String),
    /// A unit that isn't there, or that makes no image.
    Absent,
}

/// The ending of a unit's name.
pub(super) fn kind(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, kind)| kind)
}

/// The image that an `.image` or `.build` unit makes available under this name.
pub(super) fn made(name: &str, file: &UnitFile) -> Option<String> {
    match kind(name)? {
        "image" => {
            let tag = file.last("Image", "ImageTag").filter(|tag| !tag.is_empty());
            tag.or_else(|| file.last("Image", "Image")).filter(|image| !image.is_empty())
        }
        "build" => file.all("Build", "ImageTag").into_iter().next(),
        _ => None,
    }
}

/// A unit's text; none if it isn't one.
///
/// # Errors
/// The system's, but for "not there".
pub(super) fn read(system: &System, path: &Path) -> Result<Option<UnitFile>, Error> {
    if system.is_directory(path) {
        return Ok(None);
    }
    match system.read(path, MAX_FILE) {
        Ok(text) => Ok(UnitFile::parse(&String::from_utf8_lossy(&text)).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(system.error("read", path)(error)),
    }
}

/// Every value of a unit that names an image or a unit that makes one.
///
/// # Errors
/// [`Error::Unit`] if that can't be determined.
pub(super) fn values(
    system: &System,
    name: &str,
    path: &Path,
    file: &UnitFile,
) -> Result<Vec<String>, Error> {
    let mut values = Vec::new();
    match kind(name) {
        Some("container") => {
            values.extend(file.last("Container", "Image"));
            values.extend(file.all("Container", "Mount").iter().filter_map(|mount| image_of_mount(mount)));
            let words = file.words("Container", "PodmanArgs");
            values.extend(option(&words, "--mount").filter_map(image_of_mount));
        }
        Some("image") => {
            values.extend(file.last("Image", "Image"));
            values.extend(file.last("Image", "ImageTag"));
        }
        Some("build") => values.extend(file.all("Build", "ImageTag")),
        Some("volume") if file.last("Volume", "Driver").as_deref() == Some("image") => {
            values.extend(file.last("Volume", "Image"));
        }
        Some("pod") => {
            let words = file.words("Pod", "PodmanArgs");
            values.extend(option(&words, "--infra-image").map(str::to_owned));
        }
        Some("kube") => {
            for yaml in file.words("Kube", "Yaml") {
                values.extend(kube::images(system, path, &yaml)?);
            }
        }
        _ => {}
    }
    values.retain(|value| !value.is_empty());
    Ok(values)
}

/// The values of an option among the arguments of a command.
fn option<'a>(words: &'a [String], name: &'a str) -> impl Iterator<Item = &'a str> {
    words.iter().enumerate().filter_map(move |(number, word)| match word.strip_prefix(name)? {
        "" => words.get(number + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}

/// The source of a mount of an image: `type=image,source=NAME,destination=/path`.
fn image_of_mount(mount: &str) -> Option<String> {
    let fields: Vec<_> = mount.split(',').map(|field| field.split_once('=').unwrap_or((field, ""))).collect();
    let value = |keys: &[&str]| {
        let found = fields.iter().find(|(key, _)| keys.contains(&key.trim()));
        found.map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    value(&["source", "src"]).filter(|_| value(&["type"]).as_deref() == Some("image"))
}

/// Quadlet's directories and those below them, in the order in which it looks, each once.
fn directories(system: &System) -> Result<Vec<PathBuf>, Error> {
    let users = system.canonical(USERS).map_err(system.error("follow", USERS))?;
    let mut found = Vec::new();
    for directory in DIRECTORIES {
        add_directory(system, Path::new(directory), &users, 0, &mut found)?;
    }
    Ok(found)
}

fn add_directory(
    system: &System,
    path: &Path,
    users: &Path,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    let path = match system.canonical(path) {
        Ok(path) => path,
        // A link in a circle leads to no directory.
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Ok(()),
        Err(error) => return Err(system.error("follow", path)(error)),
    };
    let is_of_drop_ins = path.extension().is_some_and(|extension| extension == "d");
    if found.contains(&path) || is_of_drop_ins || path.starts_with(users) || !system.is_directory(&path) {
        return Ok(());
    }
    if depth > MAX_DEPTH {
        let source = io::Error::other("directories of units are nested too deeply");
        return Err(system.error("read", &path)(source));
    }
    found.push(path.clone());
    for name in names(system, &path)? {
        add_directory(system, &path.join(name), users, depth + 1, found)?;
    }
    Ok(())
}

/// The names in a directory, sorted; none if it isn't there.
fn names(system: &System, directory: &Path) -> Result<Vec<String>, Error> {
    match system.entries(directory) {
        Ok(entries) => Ok(entries.into_iter().filter_map(|entry| entry.name.into_string().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(system.error("read", directory)(error)),
    }
}

/// The drop-ins of a unit, in the order of their names: of two with one name the one in the more specific directory counts.
fn drop_ins(system: &System, directories: &[PathBuf], unit: &str) -> Result<Vec<PathBuf>, Error> {
    let mut files = BTreeMap::new();
    for name in drop_in_directories(unit) {
        for directory in directories {
            let directory = directory.join(&name);
            for file in names(system, &directory)? {
                if kind(&file) == Some("conf") {
                    let path = directory.join(&file);
                    files.entry(file).or_insert(path);
                }
            }
        }
    }
    Ok(files.into_values().collect())
}

/// `web-app@1.container.d`, `web-app@.container.d`, `web-@.container.d`, `web-.container.d`, `container.d`.
fn drop_in_directories(unit: &str) -> Vec<String> {
    let Some((stem, kind)) = unit.rsplit_once('.') else { return Vec::new() };
    let (name, instance) = match stem.split_once('@') {
        Some((name, instance)) => (name, Some(instance)),
        None => (stem, None),
    };
    let mut broad_first = vec![format!("{kind}.d")];
    for (dash, _) in name.match_indices('-') {
        broad_first.push(format!("{}-.{kind}.d", &name[..dash]));
        if instance.is_some() {
            broad_first.push(format!("{}-@.{kind}.d", &name[..dash]));
        }
    }
    if instance.is_some_and(|instance| !instance.is_empty()) {
        broad_first.push(format!("{name}@.{kind}.d"));
    }
    broad_first.push(format!("{unit}.d"));
    broad_first.reverse();
    broad_first
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// The images of a system with these files; those that begin with `->` are links.
    fn images(files: &[(&str, &str)]) -> Result<Vec<String>, Error> {
        let scratch = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("->") {
                Some(target) => symlink(target, path).unwrap(),
                None => fs::write(path, text).unwrap(),
            }
        }
        let system = System::in_directory(scratch.path()).unwrap();
        let wanted = Units::read(&system)?.images()?;
        let text = |wanted: Wanted| match wanted.image {
            ImageName::Known(name) => name,
            ImageName::Partly(parts) => parts.join("*"),
        };
        let mut names: Vec<_> = wanted.into_iter().map(text).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    const ETC: &str = "etc/containers/systemd/";
    const USR: &str = "usr/share/containers/systemd/";

    fn in_etc(name: &str, text: &str) -> Vec<String> {
        images(&[(&format!("{ETC}{name}"), text)]).unwrap()
    }

    #[test]
    fn every_kind_of_unit_names_its_images() {
        for (name, text, expected) in [
            ("a.container", "[Container]\nImage=quay.io/a:1\n", vec!["quay.io/a:1"]),
            ("a.container", "[Unit]\nImage=no\n[Container]\nImage = \"quay.io/a\"  \n", vec!["quay.io/a"]),
            ("a.container", "[Container]\nImage=quay.io/a:\\\n1\n", vec!["quay.io/a:1"]),
            ("a.container", "[Container]\nImage=\\\n# words\n\nquay.io/a:1\n", vec!["quay.io/a:1"]),
            ("a.container", "[Container]\nImage=old\nImage=new\n", vec!["new"]),
            ("a@.container", "[Container]\nImage=quay.io/%p:%i\n", vec!["quay.io/*:*"]),
            ("a.container", "[Container]\nImage=quay.io/a:${TAG}-$X.%%\n", vec!["quay.io/a:*-*.%"]),
            (
                "a.container",
                "[Container]\nImage=a\nMount=type=image,source=b,destination=/b\nMount=type=bind,source=/c\n",
                vec!["a", "b"],
            ),
            (
                "a.container",
                "[Container]\nRootfs=/x\nPodmanArgs=--rm --mount \"type=image,src=d\"\n",
                vec!["d"],
            ),
            ("a.image", "[Image]\nImage=quay.io/a\nImageTag=localhost/b\n", vec!["localhost/b", "quay.io/a"]),
            (
                "a.build",
                "[Build]\nImageTag=localhost/a\nImageTag=localhost/b\n",
                vec!["localhost/a", "localhost/b"],
            ),
            ("a.volume", "[Volume]\nDriver=image\nImage=quay.io/a\n", vec!["quay.io/a"]),
            ("a.volume", "[Volume]\nImage=quay.io/a\n", vec![]),
            ("a.pod", "[Pod]\nPodmanArgs=--infra-image=quay.io/a\n", vec!["quay.io/a"]),
            ("a.network", "[Container]\nImage=quay.io/a\n", vec![]),
            ("a.container", "nonsense\n[Container]\nImage=quay.io/a\n", vec![]),
            ("a.container", "[Container]\nImage=b.image\n", vec![]),
            ("users/1000/a.container", "[Container]\nImage=quay.io/a\n", vec![]),
            ("below/a.container", "[Container]\nImage=quay.io/a\n", vec!["quay.io/a"]),
            ("below.d/a.container", "[Container]\nImage=quay.io/a\n", vec![]),
        ] {
            assert_eq!(in_etc(name, text), expected, "{name}: {text}");
        }
    }

    #[test]
    fn units_refer_to_units_wherever_those_are() {
        let etc = |name: &str| format!("{ETC}{name}");
        let usr = |name: &str| format!("{USR}{name}");
        let web = "[Container]\nImage=db.image\n";
        let found = images(&[
            (&etc("web.container"), web),
            (&usr("deep/db.image"), "[Image]\nImage=quay.io/db:1\nImageTag=quay.io/db:tag\n"),
            (&etc("built.container"), "[Container]\nImage=my.build\n"),
            (&etc("my.build"), "[Build]\nImageTag=localhost/mine\n"),
        ]);
        assert_eq!(found.unwrap(), ["localhost/mine", "quay.io/db:1", "quay.io/db:tag"]);
    }

    #[test]
    fn the_first_unit_of_a_name_counts_and_drop_ins_lie_over_it() {
        let unit = |image: &str| format!("[Container]\nImage={image}\n");
        let [etc, usr] = [ETC, USR].map(|directory| format!("{directory}web-app.container"));
        let (one, two, three) = (unit("one"), unit("two"), unit("three"));
        assert_eq!(images(&[(&etc, &one), (&usr, &two)]).unwrap(), ["one"]);
        assert_eq!(images(&[(&etc, "->/dev/null"), (&usr, &two)]).unwrap(), [""; 0]);
        assert_eq!(images(&[(&etc, "nonsense"), (&usr, &two)]).unwrap(), ["two"]);
        assert_eq!(images(&[(&etc, "->/nowhere"), (&usr, &two)]).unwrap(), ["two"]);
        for directory in ["web-app.container.d", "web-.container.d", "container.d"] {
            let drop_in = format!("{USR}{directory}/10.conf");
            assert_eq!(images(&[(&etc, &one), (&drop_in, &two)]).unwrap(), ["two"], "{directory}");
        }
        let (specific, broad) =
            (format!("{USR}web-app.container.d/10.conf"), format!("{ETC}container.d/10.conf"));
        assert_eq!(images(&[(&etc, &one), (&specific, &two), (&broad, &three)]).unwrap(), ["two"]);
        let later = format!("{ETC}container.d/20.conf");
        assert_eq!(images(&[(&etc, &one), (&specific, &two), (&later, &three)]).unwrap(), ["three"]);
    }

    #[test]
    fn what_systemd_fills_in_may_be_anything() {
        let may_be = |written: &str, stored: &str| ImageName::new(written).may_be(stored);
        for (written, stored, expected) in [
            ("quay.io/a:%i", "quay.io/a:1", true),
            ("quay.io/a:%i", "quay.io/b:1", false),
            ("quay.io/%i", "quay.io/a:latest", true),
            ("%i", "quay.io/a:1", true),
            ("app:%i", "docker.io/library/app:2", true),
            ("app-%i", "localhost/app-1:latest", true),
            ("app-%i", "localhost/app:latest", false),
            ("a%ib%ic", "axbxc", true),
            ("a%ib%ic", "axc", false),
            ("quay.io/a:1", "quay.io/a:1", false),
        ] {
            assert_eq!(may_be(written, stored), expected, "{written} {stored}");
        }
    }
}

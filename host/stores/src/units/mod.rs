//! Quadlet units, which podman's generator turns into services at boot, read in the same way as by the generator.
//!
//! - `file`: parsing a unit file
//! - [`Units`]: the units of an operating system, and their images
//! - [`ImageName`]: an image's name in a unit, as far as it is known before the unit starts

mod arguments;
mod file;
mod kube;
mod name;
mod search;
mod storages;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arguments::{image_of_mount, option};
pub(super) use file::UnitFile;
use file::{MAX_FILE, is_missing};
pub use name::ImageName;
use search::{Manager, directories, drop_ins, names};

use crate::error::Error;
use crate::system::System;

/// The extensions of units that can name an image.
const KINDS: [&str; 6] = ["build", "container", "image", "kube", "pod", "volume"];
/// The groups of these units with podman's options.
const GROUPS: [&str; 6] = ["Build", "Container", "Image", "Kube", "Pod", "Volume"];

/// A unit with its drop-ins.
#[derive(Debug)]
struct Unit {
    path: PathBuf,
    file: UnitFile,
}

/// An image that a unit starts or pulls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The path of the unit in its operating system.
    pub unit: PathBuf,
    /// The image.
    pub image: ImageName,
}

/// The units in Quadlet's directories of an operating system.
#[derive(Debug)]
pub struct Units<'a> {
    system: &'a System,
    of_system: BTreeMap<String, Unit>,
    /// The units of root's user manager, which starts them when root logs in or lingers.
    of_root: BTreeMap<String, Unit>,
}

impl<'a> Units<'a> {
    /// Reads the units. Invalid ones are ignored, as by Quadlet.
    ///
    /// # Errors
    /// Any I/O error, if a directory or a file exists but cannot be read.
    pub fn read(system: &'a System) -> Result<Self, Error> {
        let of_system = units(system, Manager::System)?;
        Ok(Self { system, of_system, of_root: units(system, Manager::Root)? })
    }

    fn all(&self) -> impl Iterator<Item = (Manager, &String, &Unit)> {
        let of = |manager| move |(name, unit)| (manager, name, unit);
        let of_root = self.of_root.iter().map(of(Manager::Root));
        self.of_system.iter().map(of(Manager::System)).chain(of_root)
    }

    /// The images of all units. A unit that refers to a missing unit is ignored, because it cannot start.
    ///
    /// # Errors
    /// Any I/O error; [`Error::Unit`] if the images of a unit cannot be determined.
    pub fn images(&self) -> Result<BTreeSet<Wanted>, Error> {
        let mut wanted = BTreeSet::new();
        for (manager, name, unit) in self.all() {
            for value in image_values(self.system, name, &unit.path, &unit.file)? {
                let value = match value {
                    ImageValue::Itself(text) => match resolve(self.of(manager), &text) {
                        Resolved::Name(name) => ImageValue::Itself(name),
                        Resolved::Absent => continue,
                    },
                    in_file => in_file,
                };
                wanted.insert(Wanted { unit: unit.path.clone(), image: value.image() });
            }
        }
        Ok(wanted)
    }

    /// The storages that units configure themselves.
    ///
    /// # Errors
    /// Any I/O error; errors of podman's configuration; [`Error::Unit`] if a storage is unknown before a unit starts.
    pub fn storages(&self) -> Result<BTreeSet<PathBuf>, Error> {
        let mut places = BTreeSet::new();
        for (manager, name, unit) in self.all() {
            let group =
                kind(name).and_then(|kind| GROUPS.iter().find(|group| group.eq_ignore_ascii_case(kind)));
            if let Some(group) = group {
                places.extend(storages::of_unit(self.system, manager, group, unit)?);
            }
        }
        Ok(places)
    }

    fn of(&self, manager: Manager) -> &BTreeMap<String, Unit> {
        match manager {
            Manager::System => &self.of_system,
            Manager::Root => &self.of_root,
        }
    }

    /// Resolves the value of `Image=` in a unit of the system manager, which may be the name of another unit.
    pub(super) fn resolve(&self, value: &str) -> Resolved {
        resolve(&self.of_system, value)
    }
}

fn units(system: &System, manager: Manager) -> Result<BTreeMap<String, Unit>, Error> {
    let directories = directories(system, manager)?;
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
    Ok(units)
}

fn resolve(units: &BTreeMap<String, Unit>, value: &str) -> Resolved {
    match kind(value) {
        Some("image" | "build") => {
            match units.get(value).and_then(|unit| provided_image(value, &unit.file)) {
                Some(name) => Resolved::Name(name),
                None => Resolved::Absent,
            }
        }
        _ => Resolved::Name(value.to_owned()),
    }
}

/// The resolved value of `Image=`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// This image.
    Name(String),
    /// A unit that does not exist, or does not provide an image.
    Absent,
}

/// The extension of a unit's name.
pub(super) fn kind(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, kind)| kind)
}

/// The image that an `.image` or `.build` unit provides.
pub(super) fn provided_image(name: &str, file: &UnitFile) -> Option<String> {
    match kind(name)? {
        "image" => {
            let tag = file.last("Image", "ImageTag").filter(|tag| !tag.is_empty());
            tag.or_else(|| file.last("Image", "Image")).filter(|image| !image.is_empty())
        }
        "build" => file.all("Build", "ImageTag").into_iter().next(),
        _ => None,
    }
}

/// Reads a unit; `None` if it does not exist or is invalid.
///
/// # Errors
/// Any I/O error, except that the file does not exist.
pub(super) fn read(system: &System, path: &Path) -> Result<Option<UnitFile>, Error> {
    if system.is_directory(path) {
        return Ok(None);
    }
    match system.read(path, MAX_FILE) {
        Ok(text) => Ok(UnitFile::parse(&String::from_utf8_lossy(&text)).ok()),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(system.error("read", path)(error)),
    }
}

/// The value of a unit that names an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ImageValue {
    /// From the unit itself: it may be the name of another unit, and systemd expands parts of it.
    Itself(String),
    /// From a file that the unit names, in which nothing is expanded.
    InFile(String),
}

impl ImageValue {
    /// The image, assuming that it is not the name of another unit.
    pub(super) fn image(self) -> ImageName {
        match self {
            Self::Itself(value) => ImageName::new(&value),
            Self::InFile(name) => ImageName::Known(name),
        }
    }
}

/// All values of a unit that name an image, or a unit that provides one.
///
/// # Errors
/// [`Error::Unit`] if they cannot be determined.
pub(super) fn image_values(
    system: &System,
    name: &str,
    path: &Path,
    file: &UnitFile,
) -> Result<Vec<ImageValue>, Error> {
    let mut values = Vec::new();
    let mut in_files = Vec::new();
    match kind(name) {
        Some("container") => {
            values.extend(file.last("Container", "Image"));
            // Only newer versions of Quadlet remove quotes, so take both forms.
            let mut mounts = file.all("Container", "Mount");
            mounts.extend(file.words("Container", "Mount"));
            let words = file.words("Container", "PodmanArgs");
            mounts.extend(option(&words, "--mount").map(str::to_owned));
            values.extend(mounts.iter().filter_map(|mount| image_of_mount(mount)));
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
                in_files.extend(kube::images(system, path, &yaml)?);
            }
        }
        _ => {}
    }
    let values = values.into_iter().filter(|value| !value.is_empty()).map(ImageValue::Itself);
    Ok(values.chain(in_files.into_iter().map(ImageValue::InFile)).collect())
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
                "[Container]\nMount=type=image,\"source=quay.io/a:1\",destination=/x\n",
                vec!["quay.io/a:1"],
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
    fn what_quadlet_passes_over_blocks_nothing() {
        let (unit, etc) = ("[Container]\nImage=a\n", format!("{ETC}web.container"));
        let file = format!("{ETC}web.container.d");
        assert_eq!(images(&[(&etc, unit), (&file, "")]).unwrap(), ["a"]);
        let circle = format!("{ETC}circle.container");
        assert_eq!(images(&[(&etc, unit), (&circle, "->circle.container")]).unwrap(), ["a"]);
        let through = format!("{ETC}through.container");
        assert_eq!(images(&[(&etc, unit), (&through, "->web.container/x")]).unwrap(), ["a"]);
        let masked = format!("{ETC}masked.container");
        assert_eq!(images(&[(&etc, unit), (&masked, "->../../../dev/null")]).unwrap(), ["a"]);
    }

    #[test]
    fn units_of_roots_own_manager_count() {
        let unit = |image: &str| format!("[Container]\nImage={image}\n");
        let (one, two) = (unit("one"), unit("db.image"));
        let db = "[Image]\nImage=two\n";
        for (path, expected) in [
            ("run/user/0/containers/systemd/a.container", &["one"][..]),
            ("root/.config/containers/systemd/below/a.container", &["one"]),
            ("etc/containers/systemd/users/a.container", &["one"]),
            ("etc/containers/systemd/users/site/a.container", &["one"]),
            ("etc/containers/systemd/users/0/a.container", &["one"]),
            ("usr/share/containers/systemd/users/0/a.container", &["one"]),
            ("etc/containers/systemd/users/1000/a.container", &[]),
            ("run/user/1000/containers/systemd/a.container", &[]),
        ] {
            assert_eq!(images(&[(path, &one)]).unwrap(), expected, "{path}");
        }
        // Each manager has its own first unit of a name, and its own units to refer to.
        let [system, root] = [format!("{ETC}a.container"), format!("{ETC}users/a.container")];
        assert_eq!(images(&[(&system, &one), (&root, &unit("two"))]).unwrap(), ["one", "two"]);
        let db_of_root = format!("{ETC}users/0/db.image");
        assert_eq!(images(&[(&system, &two), (&db_of_root, db)]).unwrap(), ["two"]);
        assert_eq!(images(&[(&root, &two), (&db_of_root, db)]).unwrap(), ["two"]);
        let root_first = "root/.config/containers/systemd/a.container";
        assert_eq!(images(&[(root_first, &one), (&root, &unit("two"))]).unwrap(), ["one"]);
    }

    #[test]
    fn nobody_fills_in_what_stands_in_a_file_of_kubernetes() {
        let kube = format!("{ETC}a.kube");
        let found =
            |text: &str| images(&[(&kube, "[Kube]\nYaml=../a.yaml\n"), ("etc/containers/a.yaml", text)]);
        assert_eq!(found("image: quay.io/a:1\n").unwrap(), ["quay.io/a:1"]);
        assert_eq!(found("image: quay.io/db.image\n").unwrap(), ["quay.io/db.image"]);
        for bad in ["image: quay.io/a:$TAG\n", "image: quay.io/%i\n", "image: \u{fffd}\n"] {
            assert!(matches!(found(bad), Err(Error::Unit { .. })), "{bad}");
        }
    }
}

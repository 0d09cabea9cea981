//! Logically bound images: links in `/usr/lib/bootc/bound-images.d` to units that name an image. The rules for links and the messages
//! for invalid ones are those of bootc; units are read in the same way as by Quadlet, which starts them. An invalid file is reported
//! and does not hide the others.

use std::io;
use std::path::{Path, PathBuf};

use bootc_image_os::root::Entry;
use rustix::fs::FileType;

use crate::error::Error;
use crate::keyfile;
use crate::system::System;
use crate::units::{self, ImageName, ImageValue, Resolved, UnitFile, Units};

/// The directory of the links.
const DIRECTORY: &str = "/usr/lib/bootc/bound-images.d";
/// The file extensions that bootc accepts, and the section that names the image in such a unit.
const SECTIONS: [(&str, &str); 2] = [("image", "Image"), ("container", "Container")];
/// The maximum size of a unit.
const MAX_UNIT: u64 = 1 << 20;

/// The images that are bound to an operating system.
#[derive(Debug, Default)]
pub struct Bound {
    /// The names of images, sorted.
    pub images: Vec<String>,
    /// The invalid links.
    pub problems: Vec<Problem>,
}

/// A link that is invalid by bootc's rules.
#[derive(Debug)]
pub struct Problem {
    /// What is wrong.
    pub error: Error,
    /// The images that it may mean nevertheless, and which must be kept.
    pub may_mean: MayMean,
}

/// The images that an invalid link may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MayMean {
    /// None: nothing can be started by it.
    Nothing,
    /// These.
    Images(Vec<ImageName>),
    /// They cannot be determined.
    Anything,
}

/// The images that are bound to an operating system.
///
/// # Errors
/// Any I/O error, if the directory exists but cannot be read.
pub fn bound_images(system: &System) -> Result<Bound, Error> {
    tracing::info!(path = %system.path(DIRECTORY).display(), "reading the list of bound images");
    let entries = match system.entries(DIRECTORY) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(system.error("read", DIRECTORY)(error)),
    };
    let mut bound = Bound::default();
    for entry in entries {
        match bound_image(system, &entry) {
            Ok(image) => bound.images.push(image),
            Err(problem) => bound.problems.push(*problem),
        }
    }
    bound.images.sort_unstable();
    Ok(bound)
}

fn bound_image(system: &System, entry: &Entry) -> Result<String, Box<Problem>> {
    let file = entry.name.to_string_lossy().into_owned();
    let wrong = |why: String, may_mean| {
        Box::new(Problem { error: Error::BoundImage { file: file.clone(), why }, may_mean })
    };
    let Some(name) = entry.name.to_str() else {
        let why = format!("Invalid non-UTF8 filename: {:?} in {DIRECTORY}", entry.name);
        return Err(wrong(why, MayMean::Anything));
    };
    if entry.file_type != FileType::Symlink {
        return Err(wrong(format!("Not a symlink: {name}"), MayMean::Anything));
    }
    let path = Path::new(DIRECTORY).join(name);
    let section = SECTIONS.into_iter().find(|(kind, _)| units::kind(name) == Some(kind));
    let Some((_, section)) = section else {
        let may_mean = of_other_unit(system, name, &path).unwrap_or(MayMean::Anything);
        return Err(wrong(format!("Invalid file extension: {name}"), may_mean));
    };
    let text = match system.read(&path, MAX_UNIT) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => {
            return Err(wrong(format!("cannot read it: {error}"), of_missing(system, &path, &error)));
        }
    };
    let of_unit = |why: String, may_mean| wrong(format!("Parsing {}: {why}", path.display()), may_mean);
    // bootc is less strict than Quadlet, which does not start units that it cannot parse.
    let image = match UnitFile::parse(&text) {
        Ok(unit) => unit.last(section, "Image"),
        Err(_) => keyfile::value(&text, section, "Image").map(|image| image.trim_matches('"').to_owned()),
    };
    let Some(image) = image else {
        return Err(of_unit("Missing Image field".to_owned(), MayMean::Nothing));
    };
    let itself = || MayMean::Images(vec![ImageName::new(&image)]);
    if section == "Image" && keyfile::value(&text, section, "AuthFile").is_some() {
        return Err(of_unit("AuthFile is not supported by bound bootc images".to_owned(), itself()));
    }
    match units::kind(&image) {
        Some("image" | "build") => match resolve(system, &path, &image) {
            Ok(Some(image)) => named(&image).map_err(|(why, may_mean)| of_unit(why, may_mean)),
            Ok(None) => Err(of_unit(
                format!(
                    "Image={image} names a unit, but that unit is neither in this unit's directory nor in a Quadlet directory"
                ),
                MayMean::Anything,
            )),
            Err(error) => Err(of_unit(error.with_causes(), MayMean::Anything)),
        },
        _ => named(&image).map_err(|(why, may_mean)| of_unit(why, may_mean)),
    }
}

/// The image that an `.image` or `.build` unit provides. The unit is searched beside the target of the link, then in Quadlet's
/// directories.
fn resolve(system: &System, link: &Path, unit: &str) -> Result<Option<String>, Error> {
    let target = system.canonical(link).map_err(system.error("resolve the path", link))?;
    let beside = target.parent().unwrap_or(Path::new("/")).join(unit);
    if !unit.contains('/')
        && let Some(file) = units::read(system, &beside)?
        && let Some(image) = units::provided_image(unit, &file)
    {
        return Ok(Some(image));
    }
    Ok(match Units::read(system)?.resolve(unit) {
        Resolved::Name(image) => Some(image),
        Resolved::Absent => None,
    })
}

/// Replaces `%%` by a percent sign. Other specifiers are invalid, because systemd expands them only at run time.
fn named(value: &str) -> Result<String, (String, MayMean)> {
    let itself = || MayMean::Images(vec![ImageName::new(value)]);
    let mut text = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        match rest.next() {
            Some('%') => text.push('%'),
            Some(_) => {
                let why = format!("Systemd specifiers are not supported by bound bootc images: {value}");
                return Err((format!("Invalid image value: {why}"), itself()));
            }
            None => return Err(("Invalid image value: Unterminated %".to_owned(), itself())),
        }
    }
    if text.is_empty() {
        return Err((format!("Invalid image value: not an image name: {text:?}"), MayMean::Nothing));
    }
    if text.chars().any(char::is_control) {
        return Err((format!("Invalid image value: not an image name: {text:?}"), MayMean::Anything));
    }
    Ok(text)
}

/// The images of a unit with an extension that bootc does not accept, but Quadlet may.
fn of_other_unit(system: &System, name: &str, path: &Path) -> Option<MayMean> {
    let Some(file) = units::read(system, path).ok()? else { return Some(MayMean::Nothing) };
    let target = system.canonical(path).ok()?;
    let values = units::image_values(system, name, &target, &file).ok()?;
    Some(MayMean::Images(values.into_iter().map(ImageValue::image).collect()))
}

/// The images of a link whose target is missing. If the target is a glob pattern that no shell has expanded, all matching files count.
/// Files that are created at boot are unknown for a deployment that is not running.
fn of_missing(system: &System, path: &Path, error: &io::Error) -> MayMean {
    if error.kind() != io::ErrorKind::NotFound {
        return MayMean::Anything;
    }
    let Ok(target) = system.canonical(path) else { return MayMean::Anything };
    if !system.is_running() && target.starts_with("/run") {
        return MayMean::Anything;
    }
    let pattern = target.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (Some(directory), true) = (target.parent(), pattern.contains(['*', '?', '['])) else {
        return MayMean::Nothing;
    };
    let Ok(pattern) = glob::Pattern::new(pattern) else { return MayMean::Anything };
    let fitting = match system.entries(directory) {
        Ok(entries) => entries.into_iter().filter_map(|entry| entry.name.into_string().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return MayMean::Nothing,
        Err(_) => return MayMean::Anything,
    };
    let fitting: Vec<PathBuf> =
        fitting.filter(|name| pattern.matches(name)).map(|name| directory.join(name)).collect();
    let mut images = Vec::new();
    for path in fitting {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match of_other_unit(system, name, &path) {
            Some(MayMean::Images(found)) => images.extend(found),
            Some(MayMean::Nothing) => {}
            Some(MayMean::Anything) | None => return MayMean::Anything,
        }
    }
    MayMean::Images(images)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Writes `unit`, links to it as `link`, and returns the bound images.
    fn found(link: &str, unit: &str) -> (Vec<String>, Vec<String>) {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join(DIRECTORY.trim_start_matches('/'));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(scratch.path().join("unit"), unit).unwrap();
        symlink("/unit", directory.join(link)).unwrap();
        symlink("/unit-good", directory.join("zz.container")).unwrap();
        std::fs::write(scratch.path().join("unit-good"), "[Container]\nImage=good\n").unwrap();
        let bound = bound_images(&System::in_directory(scratch.path()).unwrap()).unwrap();
        (bound.images, bound.problems.iter().map(|problem| problem.error.to_string()).collect())
    }

    #[test]
    fn both_kinds_of_unit_name_images() {
        for (link, unit, image) in [
            ("a.image", "[Image]\nImage=quay.io/x/y:1\n", "quay.io/x/y:1"),
            ("a.container", "[Unit]\nImage=no\n[Container]\nImage=quay.io/x/y\nAuthFile=/x\n", "quay.io/x/y"),
            ("a.image", "[Image]\nImage=a%%b\n", "a%b"),
        ] {
            let (images, problems) = found(link, unit);
            assert!(images.len() == 2 && images.iter().any(|found| found == image), "{images:?} for {unit}");
            assert!(problems.is_empty(), "{problems:?}");
        }
    }

    #[test]
    fn a_broken_file_is_reported_and_hides_nothing() {
        for (link, unit, why) in [
            ("a.conf", "[Image]\nImage=x\n", "Invalid file extension: a.conf"),
            ("a", "[Image]\nImage=x\n", "Invalid file extension: a"),
            ("a.image", "[Container]\nImage=x\n", "Missing Image field"),
            ("a.container", "[Image]\nImage=x\n", "Missing Image field"),
            ("a.image", "[Image]\nImage=x\nAuthFile=/y\n", "AuthFile is not supported by bound bootc images"),
            ("a.image", "[Image]\nImage=x%\n", "Unterminated %"),
            (
                "a.image",
                "[Image]\nImage=x:%v\n",
                "Systemd specifiers are not supported by bound bootc images: x:%v",
            ),
            ("a.image", "[Image]\nImage=\n", "not an image name"),
            ("a.image", "", "Missing Image field"),
        ] {
            let (images, problems) = found(link, unit);
            assert_eq!(images, ["good"], "{unit}");
            assert!(problems.len() == 1 && problems[0].contains(why), "{problems:?} for {unit}");
        }
    }

    #[test]
    fn only_links_that_lead_to_a_file_inside_count() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join(DIRECTORY.trim_start_matches('/'));
        let system = System::in_directory(scratch.path()).unwrap();
        let none = bound_images(&system).unwrap();
        assert!(none.images.is_empty() && none.problems.is_empty());
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("a.image"), "[Image]\nImage=x\n").unwrap();
        symlink("/nowhere", directory.join("b.image")).unwrap();
        symlink("../../../../../../../../etc/passwd", directory.join("c.image")).unwrap();
        symlink("/usr", directory.join("d.image")).unwrap();
        let Bound { images, problems } = bound_images(&system).unwrap();
        assert!(images.is_empty());
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert_eq!(problems[0].error.to_string(), "bound image a.image: Not a symlink: a.image");
        let may_mean: Vec<_> = problems.iter().map(|problem| problem.may_mean.clone()).collect();
        assert_eq!(
            may_mean,
            [MayMean::Anything, MayMean::Nothing, MayMean::Nothing, MayMean::Anything],
            "a file instead of a link; links to nothing; a directory"
        );
    }

    #[test]
    fn a_unit_may_be_named_instead_of_an_image() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let bound = |unit: &str| {
            let directory = path(DIRECTORY.trim_start_matches('/'));
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::create_dir_all(path("usr/share/site")).unwrap();
            std::fs::write(path("usr/share/site/web.container"), unit).unwrap();
            let _ = symlink("/usr/share/site/web.container", directory.join("web.container"));
            bound_images(&System::in_directory(scratch.path()).unwrap()).unwrap()
        };
        let unit = "[Container]\nImage=db.image\n";
        let missing = bound(unit);
        assert!(missing.images.is_empty());
        assert_eq!(missing.problems[0].may_mean, MayMean::Anything);
        assert!(missing.problems[0].error.to_string().contains("Image=db.image names a unit"));
        std::fs::create_dir_all(path("etc/containers/systemd")).unwrap();
        std::fs::write(path("etc/containers/systemd/db.image"), "[Image]\nImage=quay.io/far\n").unwrap();
        assert_eq!(bound(unit).images, ["quay.io/far"]);
        std::fs::write(path("usr/share/site/db.image"), "[Image]\nImage=quay.io/db\n").unwrap();
        assert_eq!(bound(unit).images, ["quay.io/db"]);
        std::fs::write(path("usr/share/site/db.image"), "[Image]\nImage=quay.io/db\nImageTag=tag\n").unwrap();
        assert_eq!(bound(unit).images, ["tag"]);
        std::fs::write(path("usr/share/site/my.build"), "[Build]\nImageTag=localhost/mine\n").unwrap();
        assert_eq!(bound("[Container]\nImage=my.build\n").images, ["localhost/mine"]);
        let filled_in = bound("[Container]\nImage=quay.io/x:%i\n");
        assert!(
            matches!(&filled_in.problems[0].may_mean, MayMean::Images(names) if names[0].may_be("quay.io/x:1"))
        );
    }

    #[test]
    fn a_pattern_that_no_shell_has_filled_in_means_all_that_it_fits() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let directory = path(DIRECTORY.trim_start_matches('/'));
        std::fs::create_dir_all(&directory).unwrap();
        symlink("/etc/containers/systemd/*.container", directory.join("*.container")).unwrap();
        let may_mean = || {
            let bound = bound_images(&System::in_directory(scratch.path()).unwrap()).unwrap();
            bound.problems[0].may_mean.clone()
        };
        assert_eq!(may_mean(), MayMean::Nothing);
        std::fs::create_dir_all(path("etc/containers/systemd")).unwrap();
        assert_eq!(may_mean(), MayMean::Images(Vec::new()));
        std::fs::write(path("etc/containers/systemd/a.container"), "[Container]\nImage=quay.io/a\n").unwrap();
        assert_eq!(may_mean(), MayMean::Images(vec![ImageName::new("quay.io/a")]));
    }

    #[test]
    fn a_name_that_is_not_text_may_be_of_any_image() {
        use std::os::unix::ffi::OsStrExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join(DIRECTORY.trim_start_matches('/'));
        std::fs::create_dir_all(&directory).unwrap();
        symlink("/unit", directory.join(std::ffi::OsStr::from_bytes(b"\xff.image"))).unwrap();
        let bound = bound_images(&System::in_directory(scratch.path()).unwrap()).unwrap();
        assert_eq!(
            bound.problems[0].error.to_string(),
            format!("bound image \u{fffd}.image: Invalid non-UTF8 filename: \"\\xFF.image\" in {DIRECTORY}")
        );
        assert_eq!(bound.problems[0].may_mean, MayMean::Anything);
    }
}

//! The images in a Kubernetes file that `podman kube play` starts.
//!
//! - [`images`]: the files that a unit names
//! - [`text`]: the images in them

mod text;

use std::path::{Path, PathBuf};

use super::file::{MAX_FILE, is_missing};
use super::name::{ImageName, fits};
use crate::error::Error;
use crate::system::System;

/// The systemd specifiers whose values have no slash, so that they do not lead to another directory.
const WITHOUT_SLASH: &str = "aABbgGHijlmMnNopuUvwW";

/// The images that a unit's `Yaml=` starts.
///
/// # Errors
/// Any I/O error; [`Error::Unit`] if the images cannot be determined.
pub(super) fn images(system: &System, unit: &Path, yaml: &str) -> Result<Vec<String>, Error> {
    let unknown = |why: String| Error::Unit { unit: system.path(unit), why };
    if yaml.starts_with("http://") || yaml.starts_with("https://") {
        return Err(unknown(format!(
            "its file {yaml} is downloaded when the unit starts: store the file on this host and name it by its path, or mask the unit"
        )));
    }
    let files = match files(unit, yaml) {
        Some(Files::One(file)) => vec![file],
        Some(Files::Fitting { directory, parts }) => fitting(system, &directory, &parts)?,
        None => {
            return Err(unknown(format!(
                "the path of its file, {yaml}, has a part that systemd expands only when the unit starts"
            )));
        }
    };
    let mut images = Vec::new();
    for path in files {
        let text = match system.read(&path, MAX_FILE) {
            Ok(text) => text,
            // A unit whose file is missing does not start.
            Err(error) if is_missing(&error) => continue,
            Err(error) => return Err(system.error("read", &path)(error)),
        };
        let file = system.path(&path);
        let text =
            String::from_utf8(text).map_err(|_| unknown(format!("{} is not valid UTF-8", file.display())))?;
        images.extend(text::images(&text).map_err(|line| {
            unknown(format!("cannot determine the image in line {line} of {}", file.display()))
        })?);
    }
    Ok(images)
}

/// The files that a unit may mean.
enum Files {
    One(PathBuf),
    /// All files in a directory whose names have these parts, between those that systemd expands.
    Fitting {
        directory: PathBuf,
        parts: Vec<String>,
    },
}

/// The files of a unit; `None` if they may be in any directory.
fn files(unit: &Path, yaml: &str) -> Option<Files> {
    let beside = unit.parent().unwrap_or(Path::new("/"));
    let (directory, name) = match yaml.rsplit_once('/') {
        Some((directory, name)) => (format!("{directory}/"), name),
        None => (String::new(), yaml),
    };
    let ImageName::Known(directory) = ImageName::new(&directory) else { return None };
    let directory = beside.join(directory);
    match ImageName::new(name) {
        ImageName::Known(name) => Some(Files::One(directory.join(name))),
        // Quadlet does not prepend the unit's directory to a path that begins with a specifier.
        ImageName::Partly(_) if name.len() == yaml.len() && name.starts_with('%') => None,
        ImageName::Partly(parts) => stays_in_directory(name).then_some(Files::Fitting { directory, parts }),
    }
}

/// Whether no expanded part may contain a slash. A variable may.
fn stays_in_directory(name: &str) -> bool {
    let name = name.replace("%%", "").replace("$$", "");
    let mut specifiers = name.split('%').skip(1);
    !name.contains('$')
        && specifiers.all(|specifier| specifier.starts_with(|letter| WITHOUT_SLASH.contains(letter)))
}

fn fitting(system: &System, directory: &Path, parts: &[String]) -> Result<Vec<PathBuf>, Error> {
    let entries = match system.entries(directory) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(system.error("read", directory)(error)),
    };
    let fitting = entries.into_iter().filter(|entry| fits(parts, &entry.name.to_string_lossy()));
    let paths = fitting.map(|entry| directory.join(entry.name));
    Ok(paths.filter(|path| !system.is_directory(path)).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn found(yaml: &str) -> Result<Vec<String>, Error> {
        let scratch = tempfile::tempdir().unwrap();
        let pods = scratch.path().join("etc/pods");
        fs::create_dir_all(pods.join("below.yaml")).unwrap();
        fs::create_dir_all(scratch.path().join("etc/units")).unwrap();
        for name in ["a", "b", "c%d"] {
            let short = name.replace('%', "");
            fs::write(pods.join(format!("{name}.yaml")), format!("image: quay.io/{short}\n")).unwrap();
        }
        fs::write(pods.join("notes"), "image: >").unwrap();
        let system = System::in_directory(scratch.path()).unwrap();
        images(&system, Path::new("/etc/units/pod@.kube"), yaml)
    }

    #[test]
    fn every_file_counts_that_a_template_may_mean() {
        let all = ["quay.io/a", "quay.io/b", "quay.io/cd"];
        for (yaml, images) in [
            ("/etc/pods/%i.yaml", &all[..]),
            ("../pods/%i.yaml", &all),
            ("/etc/pods/%i%%d.yaml", &all[2..]),
            ("/etc/pods/a.yaml", &all[..1]),
            ("/etc/pods/c%%d.yaml", &all[2..]),
            ("/etc/pods/%i.yml", &[]),
            ("/etc/gone/%i.yaml", &[]),
            ("/etc/pods/a.yaml/x", &[]),
        ] {
            assert_eq!(found(yaml).unwrap(), images, "{yaml}");
        }
    }

    #[test]
    fn a_file_that_may_be_anywhere_is_an_error() {
        for yaml in [
            "/etc/%i/a.yaml",
            "/etc/pods/%I.yaml",
            "/etc/pods/${POD}.yaml",
            "%i.yaml",
            "%E/pods/a.yaml",
            "$POD",
        ] {
            let Err(Error::Unit { why, .. }) = found(yaml) else { panic!("{yaml}") };
            let expected = format!(
                "the path of its file, {yaml}, has a part that systemd expands only when the unit starts"
            );
            assert_eq!(why, expected);
        }
        let fetched = found("https://example.com/pod.yaml").unwrap_err().to_string();
        assert!(fetched.contains("store the file") && fetched.contains("mask the unit"), "{fetched}");
        let Err(Error::Unit { why, .. }) = found("/etc/pods/note%i") else { panic!() };
        assert!(
            why.starts_with("cannot determine the image in line 1 of /") && why.ends_with("/etc/pods/notes"),
            "{why}"
        );
    }
}

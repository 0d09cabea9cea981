//! Logically bound images: links in `/usr/lib/bootc/bound-images.d` to quadlet units that name an image. The rules and the
//! words are bootc's; one broken file doesn't hide the others (D11.3).

use std::io;
use std::path::Path;

use rustix::fs::FileType;

use super::keyfile;
use super::root::{Entry, RootDir};
use crate::error::Error;

/// Where the links are.
const DIRECTORY: &str = "usr/lib/bootc/bound-images.d";
/// Largest unit.
const MAX_UNIT: u64 = 1 << 20;

/// The images that a root names, sorted, and what is wrong with files that name none.
///
/// # Errors
/// The system's, if the directory is there but can't be read.
pub fn bound_images(root: &RootDir) -> Result<(Vec<String>, Vec<Error>), Error> {
    let entries = match root.entries(DIRECTORY) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(root.error("read", DIRECTORY)(error)),
    };
    let (mut images, mut problems) = (Vec::new(), Vec::new());
    for entry in entries {
        match bound_image(root, &entry) {
            Ok(image) => images.push(image),
            Err(problem) => problems.push(problem),
        }
    }
    images.sort_unstable();
    Ok((images, problems))
}

fn bound_image(root: &RootDir, entry: &Entry) -> Result<String, Error> {
    let file = entry.name.to_string_lossy().into_owned();
    let wrong = |why: String| Error::BoundImage { file: file.clone(), why };
    let Some(name) = entry.name.to_str() else {
        return Err(wrong(format!("Invalid non-UTF8 filename: {:?} in {DIRECTORY}", entry.name)));
    };
    if entry.file_type != FileType::Symlink {
        return Err(wrong(format!("Not a symlink: {name}")));
    }
    let section = match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("image") => "Image",
        Some("container") => "Container",
        _ => return Err(wrong(format!("Invalid file extension: {name}"))),
    };
    let path = Path::new(DIRECTORY).join(name);
    let unit = root.read_text(&path, MAX_UNIT).map_err(|error| wrong(format!("can't read it: {error}")))?;
    image_of_unit(&unit, section).map_err(|why| wrong(format!("Parsing {}: {why}", path.display())))
}

fn image_of_unit(unit: &str, section: &str) -> Result<String, String> {
    let image = keyfile::value(unit, section, "Image").ok_or("Missing Image field")?;
    if section == "Image" && keyfile::value(unit, section, "AuthFile").is_some() {
        return Err("AuthFile is not supported by bound bootc images".to_owned());
    }
    without_specifiers(image).map_err(|why| format!("Invalid image value: {why}"))
}

/// `%%` is a percent sign; what systemd would fill in at run time can't be known here.
fn without_specifiers(value: &str) -> Result<String, String> {
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
                return Err(format!("Systemd specifiers are not supported by bound bootc images: {value}"));
            }
            None => return Err("Unterminated %".to_owned()),
        }
    }
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(format!("not an image name: {text:?}"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Writes `unit` and links to it as `link`; then what is found.
    fn found(link: &str, unit: &str) -> (Vec<String>, Vec<String>) {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join(DIRECTORY);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(scratch.path().join("unit"), unit).unwrap();
        symlink("/unit", directory.join(link)).unwrap();
        symlink("/unit-good", directory.join("zz.container")).unwrap();
        std::fs::write(scratch.path().join("unit-good"), "[Container]\nImage=good\n").unwrap();
        let (images, problems) = bound_images(&RootDir::open(scratch.path()).unwrap()).unwrap();
        (images, problems.iter().map(ToString::to_string).collect())
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
        let directory = scratch.path().join(DIRECTORY);
        let root = RootDir::open(scratch.path()).unwrap();
        assert!(
            matches!(bound_images(&root), Ok((images, problems)) if images.is_empty() && problems.is_empty())
        );
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("a.image"), "[Image]\nImage=x\n").unwrap();
        symlink("/nowhere", directory.join("b.image")).unwrap();
        symlink("../../../../../../../../etc/passwd", directory.join("c.image")).unwrap();
        symlink("/usr", directory.join("d.image")).unwrap();
        let (images, problems) = bound_images(&root).unwrap();
        assert!(images.is_empty());
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[0].to_string().contains("Not a symlink: a.image"));
    }
}

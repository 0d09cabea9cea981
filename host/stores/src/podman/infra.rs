//! The infra image of pods, if podman's configuration names one.

use serde::Deserialize;

use super::files::read_all;
use crate::error::Error;
use crate::system::System;

const FILES: [&str; 3] = [
    "/usr/share/containers/containers.conf",
    "/etc/containers/containers.conf",
    "/root/.config/containers/containers.conf",
];
const DIRECTORIES: [&str; 5] = [
    "/usr/share/containers/containers.conf.d",
    "/usr/share/containers/containers.rootful.conf.d",
    "/etc/containers/containers.conf.d",
    "/etc/containers/containers.rootful.conf.d",
    "/root/.config/containers/containers.conf.d",
];

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    engine: Engine,
}

#[derive(Default, Deserialize)]
struct Engine {
    infra_image: Option<String>,
}

/// The images that all files name, although podman uses only one.
///
/// # Errors
/// Any I/O error; [`OsError::Corrupt`](bootc_image_os::error::Error::Corrupt) if a file cannot be parsed.
pub fn infra_images(system: &System) -> Result<Vec<String>, Error> {
    let hint = "fix the file, which podman cannot read either; see: man containers.conf";
    let all: Vec<Configuration> = read_all(system, &FILES, &DIRECTORIES, hint)?;
    let images = all.into_iter().filter_map(|configuration| configuration.engine.infra_image);
    Ok(images.filter(|image| !image.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use bootc_image_os::error::Error as OsError;

    use super::*;

    #[test]
    fn every_file_may_name_the_image_of_pods() {
        let scratch = tempfile::tempdir().unwrap();
        let system = System::in_directory(scratch.path()).unwrap();
        assert_eq!(infra_images(&system).unwrap(), [""; 0]);
        let in_directories = DIRECTORIES.map(|directory| format!("{directory}/1.conf"));
        let paths: Vec<&str> = FILES.into_iter().chain(in_directories.iter().map(String::as_str)).collect();
        for path in &paths {
            let path = scratch.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text =
                format!("[containers]\ntz = \"local\"\n[engine]\ninfra_image = \"{}\"\n", path.display());
            std::fs::write(path, text).unwrap();
        }
        let expected: Vec<String> =
            paths.iter().map(|path| format!("{}{path}", scratch.path().display())).collect();
        assert_eq!(infra_images(&system).unwrap(), expected);
        std::fs::write(scratch.path().join(&FILES[1][1..]), "[engine]\ninfra_image = 1\n").unwrap();
        let Err(Error::Os(OsError::Corrupt { hint, .. })) = infra_images(&system) else { panic!() };
        assert_eq!(hint, "fix the file, which podman cannot read either; see: man containers.conf");
    }
}

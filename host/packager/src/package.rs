//! Checks a plugin, and writes it to where it is copied from. A plugin is staged first: what was checked is what is written.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bootc_image_engine::Artefact;
use bootc_image_engine::manifest::Manifest;
use bootc_image_engine::packaged;
use bootc_image_plugin_builder::{Component, Error};

use crate::Trouble;

const HELPER: &str = "bootc-image-helper";
const MANIFEST: &str = "plugin.toml";
/// What is installed beside manifest and component, if there is any.
const DOCUMENTATION: [&str; 2] = ["README.md", "settings.schema.json"];

/// A checked plugin in a directory of its own.
pub(crate) struct Staged {
    from: PathBuf,
    to: PathBuf,
    described: String,
}

/// The helper, in `programs` or next to where cargo builds it, or where it is installed.
pub(crate) fn helper(programs: Option<&Path>) -> Result<PathBuf, Trouble> {
    let executable = std::env::current_exe().unwrap_or_default();
    let profile = executable.parent().unwrap_or(Path::new("."));
    let directories = match programs {
        Some(directory) => vec![directory.to_owned()],
        None => vec![
            profile.to_owned(),
            profile.join("../lab"),
            profile.join("../release"),
            "/usr/libexec/bootc-image".into(),
        ],
    };
    let candidates: Vec<PathBuf> = directories.iter().map(|directory| directory.join(HELPER)).collect();
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let searched: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
        Trouble::new(
            format!(
                "{HELPER}, which compiles components, is not in any of these places: {}",
                searched.join(", ")
            ),
            "build it with `make lab` in the clone of bootc-image, or name its directory with --programs DIR",
        )
    })
}

fn staging(directory: &Path) -> PathBuf {
    directory.join(".package-plugins")
}

/// Removes what was staged. What cannot be removed is removed before the next plugin is staged, or reported then.
pub(crate) fn tidy(directory: &Path) {
    let _ = fs::remove_dir_all(staging(directory));
}

/// Checks the plugins.
pub(crate) fn stage(
    components: &[Component],
    directory: &Path,
    helper: &Path,
) -> Result<Vec<Staged>, Trouble> {
    tidy(directory);
    let mut staged: Vec<Staged> = Vec::new();
    for component in components {
        let next = stage_one(component, directory, helper)?;
        if staged.iter().any(|earlier| earlier.to == next.to) {
            let what = format!("two of the packages have the id of {}", next.to.display());
            return Err(Trouble::new(what, "write another `id` into one of the manifests"));
        }
        staged.push(next);
    }
    Ok(staged)
}

fn stage_one(component: &Component, directory: &Path, helper: &Path) -> Result<Staged, Trouble> {
    let source = component.directory();
    let manifest_path = source.join(MANIFEST);
    let text = fs::read_to_string(&manifest_path).map_err(|error| {
        Trouble::new(
            format!("cannot read {}: {error}", manifest_path.display()),
            "write a manifest for the plugin",
        )
    })?;
    let wrong = |what: &dyn std::fmt::Display, hint: &str| {
        Trouble::new(format!("{}: {what}", manifest_path.display()), hint)
    };
    let manifest = Manifest::parse(&text).map_err(|error| {
        wrong(&error, "correct the manifest; docs/reference/manifest.md describes its keys")
    })?;
    if manifest.component.native {
        let hint = "install the library and its manifest as they are";
        return Err(wrong(&"the plugin has a native library, and only components are packaged", hint));
    }
    let text = component.named_in(&text).ok_or_else(|| {
        let hint = "write the component as a section that begins with the line [[component]]: its digest is added below";
        wrong(&"there is no line [[component]]", hint)
    })?;
    let id = manifest.id.as_str();
    let (from, to) = (staging(directory).join(id), directory.join(id));
    if to.join("Cargo.toml").exists() {
        let what = format!("{} is the directory of a crate", to.display());
        return Err(Trouble::new(what, "name another DIRECTORY, such as out"));
    }
    let cannot_write = |error: io::Error| {
        Trouble::new(format!("cannot write to {}: {error}", from.display()), "correct that")
    };
    let file = from.join(&manifest.component.file);
    DirBuilder::new().recursive(true).mode(0o755).create(&from).map_err(cannot_write)?;
    let write = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes)?;
        // Whatever the umask is: a host refuses files that others may write.
        fs::set_permissions(path, Permissions::from_mode(0o644))
    };
    write(&from.join(MANIFEST), text.as_bytes()).map_err(cannot_write)?;
    write(&file, component.bytes()).map_err(cannot_write)?;
    fs::set_permissions(&from, Permissions::from_mode(0o755)).map_err(cannot_write)?;
    check(component, &from, id, helper)?;
    for name in DOCUMENTATION {
        match fs::read(source.join(name)) {
            Ok(bytes) => write(&from.join(name), &bytes).map_err(cannot_write)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Trouble::new(format!("cannot read {name}: {error}"), "correct that")),
        }
    }
    let described = format!("Packaged: {id} {} in {}", manifest.version, to.display());
    Ok(Staged { from, to, described })
}

/// Has the component compiled as on a host, and then checked by the code that checks it there.
fn check(component: &Component, staged: &Path, id: &str, helper: &Path) -> Result<(), Trouble> {
    let code = component.compile(helper, &staged.with_extension("compiled")).map_err(|error| {
        let hint = match error {
            Error::Helper { .. } => "a host could not run this component: correct what the compiler reports",
            _ => "correct that",
        };
        Trouble::new(format!("{id}: {error}"), hint)
    })?;
    // SAFETY: the helper has just compiled it. Whoever can replace the helper can replace this program as well.
    #[allow(unsafe_code)]
    let artefact = unsafe { Artefact::trusted(code.into()) };
    packaged::check(staged, artefact)
        .map_err(|finding| Trouble::new(format!("{}: {}", finding.about, finding.what), finding.fix))
}

impl Staged {
    /// Checks that it can be written, so that no other plugin is written if it cannot.
    pub(crate) fn prepare(&self) -> Result<(), Trouble> {
        let probe = self.to.join(".package-plugins");
        let write = || {
            fs::create_dir_all(&self.to)?;
            fs::write(&probe, "")?;
            fs::remove_file(&probe)
        };
        write().map_err(|error| self.cannot_write(&error))
    }

    /// Replaces what an earlier run has written. Returns a line about it.
    pub(crate) fn put(&self) -> Result<String, Trouble> {
        let replace = || {
            let mut written = Vec::new();
            for entry in fs::read_dir(&self.from)? {
                let name = entry?.file_name();
                fs::rename(self.from.join(&name), self.to.join(&name))?;
                written.push(name);
            }
            for entry in fs::read_dir(&self.to)? {
                let entry = entry?;
                let is_component = entry.path().extension().is_some_and(|end| end == "wasm");
                // The manifest no longer names it.
                if is_component && !written.contains(&entry.file_name()) {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        replace().map_err(|error: io::Error| self.cannot_write(&error))?;
        Ok(self.described.clone())
    }

    fn cannot_write(&self, error: &io::Error) -> Trouble {
        Trouble::new(format!("cannot write to {}: {error}", self.to.display()), "correct that")
    }
}

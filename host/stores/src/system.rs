//! The files of an operating system by its own paths: those of the running one, or of a deployment that is not running, whose `/var` is
//! that of its stateroot and whose links are resolved as if it were running.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use bootc_image_os::root::{Entry, RootDir};

use crate::error::Error;
use crate::sysroot::{self, Deployment};

/// The maximum number of links in a path, as in the kernel.
const MAX_LINKS: usize = 40;

/// An operating system.
#[derive(Debug)]
pub struct System {
    root: RootDir,
    mapping: Option<Mapping>,
    name: String,
}

/// A deployment's directories, within the physical root.
#[derive(Debug)]
struct Mapping {
    deployment: PathBuf,
    etc: PathBuf,
    var: PathBuf,
}

impl System {
    /// The running one.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn running() -> Result<Self, Error> {
        let root = RootDir::open("/").map_err(Error::io("open", "/"))?;
        Ok(Self { root, mapping: None, name: "the running system".to_owned() })
    }

    /// The one in this directory, which is treated as `/`.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn in_directory(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = RootDir::open(root)?;
        let name = root.path(".").display().to_string();
        Ok(Self { root, mapping: None, name })
    }

    /// A deployment as it will be when it runs. If it has never run, its `/etc` will be merged from its own `/usr/etc` and the `/etc`
    /// of the deployment that runs when the next boot is prepared. Which of the two a file will come from is unknown, so such a
    /// deployment is returned several times, with each possible `/etc`.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn of_deployment(physical: &RootDir, deployment: &Deployment) -> Result<Vec<Self>, Error> {
        let own = deployment.path.join("etc");
        let exists = |path: &Path| physical.exists(path).map_err(physical.error("examine", path));
        let mut candidates = vec![own.clone()];
        if !exists(&own)? {
            candidates = vec![deployment.path.join("usr/etc")];
            for other in sysroot::all(physical)? {
                let etc = other.path.join("etc");
                if other.stateroot() == deployment.stateroot() && exists(&etc)? {
                    candidates.push(etc);
                }
            }
        }
        let system = |etc| {
            let mapping =
                Mapping { deployment: deployment.path.clone(), etc, var: deployment.stateroot().join("var") };
            Ok(Self {
                root: physical.open_root(".").map_err(physical.error("open", "."))?,
                mapping: Some(mapping),
                name: format!("deployment {}", deployment.short_name()),
            })
        };
        candidates.into_iter().map(system).collect()
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is running.
    pub fn is_running(&self) -> bool {
        self.mapping.is_none()
    }

    /// The contents of a regular file of at most `max` bytes. A link to `/dev/null` counts as an empty file, as in systemd's
    /// directories.
    ///
    /// # Errors
    /// As [`RootDir::read`].
    pub fn read(&self, path: impl AsRef<Path>, max: u64) -> io::Result<Vec<u8>> {
        let path = path.as_ref();
        if self.is_link_to_null(path)? {
            return Ok(Vec::new());
        }
        self.root.read(self.locate(path)?, max)
    }

    /// As [`System::read`], for UTF-8 text.
    ///
    /// # Errors
    /// As [`RootDir::read_text`].
    pub fn read_text(&self, path: impl AsRef<Path>, max: u64) -> io::Result<String> {
        let path = path.as_ref();
        if self.is_link_to_null(path)? {
            return Ok(String::new());
        }
        self.root.read_text(self.locate(path)?, max)
    }

    /// The entries of a directory; see [`RootDir::entries`].
    ///
    /// # Errors
    /// Any I/O error.
    pub fn entries(&self, path: impl AsRef<Path>) -> io::Result<Vec<Entry>> {
        self.root.entries(self.locate(path.as_ref())?)
    }

    /// Whether a path is a directory, following links.
    pub fn is_directory(&self, path: impl AsRef<Path>) -> bool {
        let stat = self.locate(path.as_ref()).and_then(|path| self.root.stat(path));
        stat.is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
    }

    /// A directory, as a root; `None` if it does not exist.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open_root(&self, path: impl AsRef<Path>) -> Result<Option<RootDir>, Error> {
        let path = path.as_ref();
        match self.locate(path).and_then(|place| self.root.open_root(place)) {
            Ok(root) => Ok(Some(root)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error("open", path)(error)),
        }
    }

    /// Whether it is a link that resolves to `/dev/null`, which does not exist in a deployment that is not running.
    fn is_link_to_null(&self, path: &Path) -> io::Result<bool> {
        Ok(self.link_target(path)?.is_some() && self.canonical(path)? == Path::new("/dev/null"))
    }

    /// The target of a link, as written; `None` if it does not exist or is not a link.
    fn link_target(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => link_target(&self.root, &self.locate(parent)?.join(name)),
            _ => Ok(None),
        }
    }

    /// The absolute path, in this operating system's own view, to which a path resolves.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn canonical(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        Ok(Path::new("/").join(self.walk(path.as_ref())?.iter().collect::<PathBuf>()))
    }

    /// The real path, for messages and for other readers.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let place = self.locate(path.as_ref()).unwrap_or_else(|_| path.as_ref().to_owned());
        self.root.path(place)
    }

    /// Converts an I/O error about `path`, for `map_err`.
    pub fn error(&self, what: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        Error::io(what, self.path(path))
    }

    /// The path within the root directory.
    fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.mapping {
            // The kernel resolves links.
            None => Ok(path.to_owned()),
            Some(mapping) => Ok(mapping.physical(&self.walk(path)?)),
        }
    }

    /// The parts of the resolved path. Missing parts are kept as they are.
    fn walk(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut pending = parts(path);
        let mut found: Vec<OsString> = Vec::new();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            if part == ".." {
                found.pop();
                continue;
            }
            found.push(part);
            let place = match &self.mapping {
                Some(mapping) => mapping.physical(&found),
                None => found.iter().collect(),
            };
            let Some(target) = link_target(&self.root, &place)? else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(rustix::io::Errno::LOOP.into());
            }
            found.pop();
            if target.is_absolute() {
                found.clear();
            }
            pending.extend(parts(&target));
        }
        Ok(found)
    }
}

/// The target of a link, as written; `None` if it does not exist or is not a link.
fn link_target(root: &RootDir, place: &Path) -> io::Result<Option<PathBuf>> {
    use io::ErrorKind::{InvalidInput, NotADirectory, NotFound};
    match root.read_link(place) {
        Ok(target) => Ok(Some(target)),
        Err(error) if matches!(error.kind(), NotFound | InvalidInput | NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().rev().filter_map(part).collect()
}

impl Mapping {
    fn physical(&self, parts: &[OsString]) -> PathBuf {
        let rest = |number: usize| parts.iter().skip(number).collect::<PathBuf>();
        match parts.first().and_then(|first| first.to_str()) {
            Some("var") => self.var.join(rest(1)),
            Some("etc") => self.etc.join(rest(1)),
            Some("sysroot") => Path::new(".").join(rest(1)),
            _ => self.deployment.join(rest(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A physical root with a deployment that has run and one that hasn't.
    fn deployments() -> (tempfile::TempDir, RootDir, Vec<Deployment>) {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join("ostree/deploy/os").join(name);
        let (old, new) = ("a".repeat(64), "b".repeat(64));
        for directory in
            [format!("deploy/{old}.0/etc"), format!("deploy/{new}.0/usr/etc"), "var/data/c".to_owned()]
        {
            fs::create_dir_all(path(&directory)).unwrap();
        }
        fs::write(path(&format!("deploy/{old}.0/etc/site")), "site").unwrap();
        fs::write(path(&format!("deploy/{new}.0/usr/etc/vendor")), "vendor").unwrap();
        fs::write(path("var/data/c/file"), "in var").unwrap();
        symlink("/var/data", path(&format!("deploy/{new}.0/absolute"))).unwrap();
        symlink("var/data", path(&format!("deploy/{new}.0/relative"))).unwrap();
        symlink("../../../../../../../../../etc/passwd", path("var/data/out")).unwrap();
        symlink("/loop", path(&format!("deploy/{new}.0/loop"))).unwrap();
        fs::create_dir(scratch.path().join("boot")).unwrap();
        fs::write(scratch.path().join("boot/file"), "physical").unwrap();
        let physical = RootDir::open(scratch.path()).unwrap();
        let deployments = sysroot::all(&physical).unwrap();
        (scratch, physical, deployments)
    }

    #[test]
    fn a_deployment_is_read_as_it_would_run() {
        let (_scratch, physical, deployments) = deployments();
        let [own, merged] = <[_; 2]>::try_from(System::of_deployment(&physical, &deployments[1]).unwrap())
            .unwrap_or_else(|systems| panic!("{systems:?}"));
        for path in ["/var/data/c/file", "/absolute/c/file", "/relative/c/file", "/absolute/../data/c/file"] {
            assert_eq!(own.read_text(path, 10).unwrap(), "in var", "{path}");
        }
        assert_eq!(own.read_text("/etc/vendor", 10).unwrap(), "vendor");
        assert_eq!(merged.read_text("/etc/site", 10).unwrap(), "site");
        assert_eq!(own.read_text("/sysroot/boot/file", 10).unwrap(), "physical");
        assert_eq!(own.canonical("/absolute/c").unwrap(), Path::new("/var/data/c"));
        // The link refers to the deployment's own file, which does not exist.
        assert!(own.read_text("/var/data/out", 10).is_err());
        assert!(own.read_text("/loop/x", 10).is_err());
        assert!(own.open_root("/nowhere").unwrap().is_none());
        let old = System::of_deployment(&physical, &deployments[0]).unwrap();
        assert_eq!(old.len(), 1);
        assert_eq!(old[0].read_text("/etc/site", 10).unwrap(), "site");
    }

    #[test]
    fn a_link_to_null_is_an_empty_file() {
        let (scratch, physical, deployments) = deployments();
        let etc = scratch.path().join(&deployments[0].path).join("etc");
        let deployed = System::of_deployment(&physical, &deployments[0]).unwrap().swap_remove(0);
        let plain = System::in_directory(etc.parent().unwrap()).unwrap();
        for (name, target) in [
            ("absolute", "/dev/null"),
            ("relative", "../dev/null"),
            ("far", "../../../dev/null"),
            ("two", "far"),
        ] {
            symlink(target, etc.join(name)).unwrap();
            for system in [&deployed, &plain] {
                let path = format!("/etc/{name}");
                assert_eq!(system.read(&path, 10).unwrap(), b"", "{name}");
                assert_eq!(system.read_text(&path, 10).unwrap(), "", "{name}");
            }
        }
        assert!(deployed.read_text("/dev/null", 10).is_err());
        symlink("circle", etc.join("circle")).unwrap();
        assert!(plain.read_text("/etc/circle", 10).is_err());
    }
}

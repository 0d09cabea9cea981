//! Deployments of a physical root: the booted one, the default one, and their images.

use std::io;
use std::path::{Path, PathBuf};

use bootc_image_model::digest::{Commit, Digest};
use bootc_image_os::root::{Entry, RootDir};

use crate::error::Error;
use crate::gvariant;
use crate::keyfile;
use crate::ostree::Repository;

/// The maximum size of an origin file or boot entry.
const MAX_TEXT: u64 = 1 << 20;
/// The directory of deployments.
const DEPLOYMENTS: &str = "ostree/deploy";

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its commit.
    pub commit: Commit,
    /// Its directory, within the physical root.
    pub path: PathBuf,
}

/// The image of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The image's name in the origin, with the transport: `docker://quay.io/fedora/fedora-bootc:42`. `None` if it was made from an
    /// ostree ref.
    pub name: Option<String>,
    /// The image's commit and manifest. `None` if no commit in the repository was made from an image.
    pub image: Option<(Commit, Digest)>,
    /// Whether the deployment's commit differs from the image's, as with layered or overridden packages.
    pub is_layered: bool,
}

/// The deployment that was booted as `root`, the running system's `/`.
///
/// # Errors
/// Any I/O error; [`Error::NoDeployment`] if no deployment matches.
pub fn booted(physical: &RootDir, root: &RootDir) -> Result<Deployment, Error> {
    let here = match backing_device_and_inode(root) {
        Some(identity) => identity,
        None => root.identity().map_err(root.error("examine", "/"))?,
    };
    let deployments = all(physical)?;
    if let Some(deployment) = with_identity(physical, &deployments, "", here)? {
        return Ok(deployment);
    }
    // With composefs, ostree before 2024.4 does not record the backing deployment, but `/etc` is still the deployment's own.
    let etc = root.stat("etc").map_err(root.error("examine", "/etc"))?;
    with_identity(physical, &deployments, "etc", (etc.st_dev, etc.st_ino))?
        .ok_or_else(|| Error::NoDeployment(physical.path(".")))
}

/// The deployment in which this directory has this device and inode number.
fn with_identity(
    physical: &RootDir,
    deployments: &[Deployment],
    directory: &str,
    wanted: (u64, u64),
) -> Result<Option<Deployment>, Error> {
    for deployment in deployments {
        let path = deployment.path.join(directory);
        match physical.stat(&path) {
            Ok(found) if (found.st_dev, found.st_ino) == wanted => return Ok(Some(deployment.clone())),
            Ok(_) => {}
            // A staged deployment has no `/etc` yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(physical.error("examine", &path)(error).into()),
        }
    }
    Ok(None)
}

/// If `/` is an overlay (ostree with composefs), ostree records which deployment backs it.
fn backing_device_and_inode(root: &RootDir) -> Option<(u64, u64)> {
    let note = root.read("run/ostree-booted", MAX_TEXT).ok()?;
    gvariant::lookup(&note, "backing-root-device-inode").and_then(gvariant::pair_of_u64)
}

/// Whether a physical root belongs to a composefs host, which has no ostree deployments.
///
/// # Errors
/// Any I/O error.
pub fn is_composefs(physical: &RootDir) -> Result<bool, Error> {
    let exists = |path| physical.exists(path).map_err(physical.error("examine", path));
    Ok(!exists("ostree/repo")? && exists("composefs")?)
}

/// The directories of all stateroots, within the physical root.
fn stateroots(physical: &RootDir) -> Result<Vec<PathBuf>, Error> {
    let entries = physical.entries(DEPLOYMENTS).map_err(physical.error("read", DEPLOYMENTS))?;
    let directories = entries.into_iter().filter(Entry::is_directory);
    Ok(directories.map(|entry| Path::new(DEPLOYMENTS).join(entry.name)).collect())
}

/// All deployments, including staged ones.
///
/// # Errors
/// Any I/O error.
pub fn all(physical: &RootDir) -> Result<Vec<Deployment>, Error> {
    let mut deployments = Vec::new();
    for stateroot in stateroots(physical)? {
        let directory = stateroot.join("deploy");
        let entries = match physical.entries(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(physical.error("read", &directory)(error).into()),
        };
        let directories = entries.into_iter().filter(Entry::is_directory);
        deployments.extend(directories.filter_map(|entry| at(&directory, entry.name.to_str()?)));
    }
    Ok(deployments)
}

/// The deployment in the directory `COMMIT.SERIAL`.
fn at(directory: &Path, name: &str) -> Option<Deployment> {
    let (commit, serial) = name.split_once('.')?;
    serial.parse::<u32>().ok()?;
    Some(Deployment { commit: Commit::new(commit).ok()?, path: directory.join(name) })
}

/// The default deployment: that of the boot entry with the highest version. If there are no boot entries, because `/boot` is a separate
/// partition that is not mounted, the only deployment.
///
/// # Errors
/// Any I/O error; [`Error::NoDeployment`] if no entry refers to one; [`Error::NoBootEntries`].
pub fn default(physical: &RootDir) -> Result<Deployment, Error> {
    const ENTRIES: &str = "boot/loader/entries";
    let none = || Error::NoDeployment(physical.path("."));
    let entries = match physical.entries(ENTRIES) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(physical.error("read", ENTRIES)(error).into()),
    };
    // Boot loaders ignore other files, such as backup copies.
    let is_entry = |entry: &&Entry| Path::new(&entry.name).extension().is_some_and(|end| end == "conf");
    let mut entries = entries.iter().filter(is_entry).peekable();
    if entries.peek().is_none() {
        let mut all = all(physical).map_err(|_| none())?;
        return match (all.pop(), all.len()) {
            (None, _) => Err(none()),
            (Some(only), 0) => Ok(only),
            (Some(_), others) => {
                Err(Error::NoBootEntries { path: physical.path(ENTRIES), deployments: others + 1 })
            }
        };
    }
    let mut best: Option<(u64, String)> = None;
    for entry in entries {
        let path = Path::new(ENTRIES).join(&entry.name);
        let text = physical.read_text(&path, MAX_TEXT).map_err(physical.error("read", &path))?;
        let Some((version, target)) = boot_entry(&text) else { continue };
        if best.as_ref().is_none_or(|(highest, _)| version > *highest) {
            best = Some((version, target));
        }
    }
    let (_, target) = best.ok_or_else(none)?;
    deployment_of(physical, &target)?.ok_or_else(none)
}

/// The version and `ostree=` argument of a boot entry.
fn boot_entry(text: &str) -> Option<(u64, String)> {
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix([' ', '\t']).map(str::trim))
    };
    let target = field("options")?.split_ascii_whitespace().find_map(|word| word.strip_prefix("ostree="))?;
    Some((field("version").and_then(|version| version.parse().ok()).unwrap_or(0), target.to_owned()))
}

/// `/ostree/boot.1/STATEROOT/BOOTCSUM/0` is a link to `../../../deploy/STATEROOT/deploy/COMMIT.SERIAL`.
fn deployment_of(physical: &RootDir, target: &str) -> Result<Option<Deployment>, Error> {
    let link = physical.read_link(target).map_err(physical.error("read", target))?;
    let parts: Vec<&str> = link.iter().filter_map(|part| part.to_str()).collect();
    let [.., "deploy", stateroot, "deploy", name] = parts.as_slice() else { return Ok(None) };
    Ok(at(&Path::new(DEPLOYMENTS).join(stateroot).join("deploy"), name))
}

impl Deployment {
    /// The directory of its stateroot, within the physical root.
    pub fn stateroot(&self) -> &Path {
        self.path.parent().and_then(Path::parent).unwrap_or(&self.path)
    }

    /// The beginning of its commit, and its serial, which together identify it.
    pub fn short_name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let (commit, serial) = name.split_once('.').unwrap_or((&name, "0"));
        format!("{}.{serial}", commit.get(..12).unwrap_or(commit))
    }

    /// Its image: the origin has the name, and the commit or an ancestor has the manifest.
    ///
    /// # Errors
    /// Any I/O error; [`OsError::Corrupt`](bootc_image_os::error::Error::Corrupt).
    pub fn deployed(&self, physical: &RootDir) -> Result<Deployed, Error> {
        let mut origin = self.path.clone().into_os_string();
        origin.push(".origin");
        let text = physical.read_text(&origin, MAX_TEXT).map_err(physical.error("read", &origin))?;
        let name = keyfile::value(&text, "origin", "container-image-reference").and_then(image_of_origin);
        let image = Repository::open(physical)?.image_below(&self.commit)?;
        let is_layered = image.as_ref().is_some_and(|(commit, _)| *commit != self.commit);
        Ok(Deployed { name, image, is_layered })
    }
}

/// The image in an origin, without ostree's signature verification prefix.
fn image_of_origin(reference: &str) -> Option<String> {
    let (policy, rest) = reference.split_once(':')?;
    let image = match policy {
        "ostree-unverified-registry" => format!("docker://{rest}"),
        "ostree-unverified-image" | "ostree-image-signed" => rest.to_owned(),
        "ostree-remote-image" => rest.split_once(':')?.1.to_owned(),
        "ostree-remote-registry" => format!("docker://{}", rest.split_once(':')?.1),
        _ => return None,
    };
    let image = match image.strip_prefix("registry:") {
        Some(name) => format!("docker://{name}"),
        None => image,
    };
    Some(image).filter(|image| !image.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn origins_of_every_form_name_the_image() {
        for (origin, image) in [
            ("ostree-unverified-registry:quay.io/a:1", Some("docker://quay.io/a:1")),
            ("ostree-unverified-image:docker://quay.io/a", Some("docker://quay.io/a")),
            ("ostree-unverified-image:registry:quay.io/a", Some("docker://quay.io/a")),
            ("ostree-image-signed:oci:/x:y", Some("oci:/x:y")),
            ("ostree-remote-image:fedora:docker://quay.io/a", Some("docker://quay.io/a")),
            ("ostree-remote-registry:fedora:quay.io/a:1", Some("docker://quay.io/a:1")),
            ("quay.io/a", None),
            ("docker://quay.io/a", None),
        ] {
            assert_eq!(image_of_origin(origin).as_deref(), image, "{origin}");
        }
    }

    #[test]
    fn the_newest_boot_entry_is_the_default_deployment() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        std::fs::create_dir_all(path("boot/loader/entries")).unwrap();
        std::fs::create_dir_all(path("ostree/boot.1/lab/csum")).unwrap();
        let commits = ["a".repeat(64), "b".repeat(64)];
        for (index, version) in [(0, 2), (1, 10)] {
            let target = format!("../../../deploy/lab/deploy/{}.0", commits[index]);
            symlink(target, path(&format!("ostree/boot.1/lab/csum/{index}"))).unwrap();
            let text =
                format!("title x\nversion {version}\noptions rw ostree=/ostree/boot.1/lab/csum/{index}\n");
            std::fs::write(path(&format!("boot/loader/entries/ostree-{index}.conf")), text).unwrap();
        }
        let physical = RootDir::open(scratch.path()).unwrap();
        let deployment = default(&physical).unwrap();
        assert_eq!(deployment.commit.as_str(), commits[1]);
        assert!(deployment.path.ends_with(format!("lab/deploy/{}.0", commits[1])));
    }

    #[test]
    fn only_boot_entries_count_and_without_them_the_only_deployment() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let [old, new] = ["a".repeat(64), "b".repeat(64)];
        let physical = RootDir::open(scratch.path()).unwrap();
        std::fs::create_dir_all(path(&format!("ostree/deploy/os/deploy/{old}.0"))).unwrap();
        assert_eq!(default(&physical).unwrap().commit.as_str(), old);
        std::fs::create_dir_all(path(&format!("ostree/deploy/os/deploy/{new}.0"))).unwrap();
        assert!(matches!(default(&physical), Err(Error::NoBootEntries { deployments: 2, .. })));
        std::fs::create_dir_all(path("boot/loader/entries")).unwrap();
        std::fs::create_dir_all(path("ostree/boot.1/os/csum")).unwrap();
        for (name, commit, version) in [("1.conf", &old, 1), ("2.conf.rpmsave", &new, 2)] {
            let link = format!("ostree/boot.1/os/csum/{version}");
            symlink(format!("../../../deploy/os/deploy/{commit}.0"), path(&link)).unwrap();
            let text = format!("version {version}\noptions ostree=/{link}\n");
            std::fs::write(path(&format!("boot/loader/entries/{name}")), text).unwrap();
        }
        assert_eq!(default(&physical).unwrap().commit.as_str(), old);
    }

    #[test]
    fn an_old_overlay_is_known_by_its_etc() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let [staged, booted] = ["a".repeat(64), "b".repeat(64)];
        std::fs::create_dir_all(path(&format!("ostree/deploy/os/deploy/{staged}.0/usr/etc"))).unwrap();
        let etc = path(&format!("ostree/deploy/os/deploy/{booted}.0/etc"));
        std::fs::create_dir_all(&etc).unwrap();
        // What is seen as the root is another directory; its `/etc` is the deployment's.
        std::fs::create_dir(path("root")).unwrap();
        std::fs::rename(&etc, path("root/etc")).unwrap();
        let physical = RootDir::open(scratch.path()).unwrap();
        let root = RootDir::open(path("root")).unwrap();
        assert!(super::booted(&physical, &root).is_err());
        std::fs::rename(path("root/etc"), &etc).unwrap();
        // As a bind mount would show it.
        let root = RootDir::open(etc.parent().unwrap()).unwrap();
        let identity = root.stat("etc").unwrap();
        let found =
            with_identity(&physical, &all(&physical).unwrap(), "etc", (identity.st_dev, identity.st_ino));
        assert_eq!(found.unwrap().unwrap().commit.as_str(), booted);
    }

    #[test]
    fn a_directory_without_deployments_says_so() {
        let scratch = tempfile::tempdir().unwrap();
        let physical = RootDir::open(scratch.path()).unwrap();
        assert!(matches!(default(&physical), Err(Error::NoDeployment(_))));
    }
}

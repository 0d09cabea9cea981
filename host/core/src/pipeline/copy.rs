//! Copying the booted image to podman's storage: the commit itself, not what its ref points at by now (D11.2).

use super::{Pipeline, physical, running_root};
use crate::children::{Child, Program, Scratch};
use crate::error::Error;
use crate::export::{OciImage, read_oci};
use crate::operation::{DEFAULT_TARGET, HostImage, Operation};
use crate::reference::{InvalidReference, Reference};
use crate::report::Report;
use crate::settings::Settings;
use crate::storage::containers::Store;
use crate::storage::ostree::Repository;
use crate::storage::root::RootDir;
use crate::storage::sysroot;

pub(super) fn resolve(settings: &Settings, target: Option<&str>) -> Result<Operation, Error> {
    let target = target_name(target.unwrap_or(DEFAULT_TARGET))?;
    let physical = physical(settings)?;
    let deployment = match settings.sysroot {
        Some(_) => sysroot::default(&physical)?,
        None => sysroot::booted(&physical, &running_root()?)?,
    };
    let name = deployment.image(&physical)?;
    let manifest_digest = Repository::open(&physical)?.manifest_digest(&deployment.commit)?;
    Ok(Operation::CopyToStorage {
        source: HostImage { name, commit: deployment.commit, manifest_digest },
        target,
    })
}

/// A name under which something can be kept: a digest isn't ours to choose.
fn target_name(text: &str) -> Result<Reference, Error> {
    let reference = Reference::parse_local(text)?;
    match reference.digest() {
        Some(_) => {
            let why = "a target is named by tag: its digest comes from what is copied";
            Err(InvalidReference::Malformed { text: text.to_owned(), why }.into())
        }
        None => Ok(reference),
    }
}

pub(super) fn execute(
    pipeline: &Pipeline<'_>,
    source: HostImage,
    target: Reference,
) -> Result<Report, Error> {
    let settings = pipeline.settings;
    let mut podman = Child::new(Program::Podman, &settings.proxies)?;
    let mut skopeo = Child::new(Program::Skopeo, &settings.proxies)?;
    let physical = physical(settings)?;
    let scratch = Scratch::new()?;

    pipeline.talk.progress(&format!("exporting {}", source.name));
    pipeline.exporter.export(&Repository::open(&physical)?, &source.commit, scratch.path())?;
    let exported = read_oci(scratch.path())?;

    // podman must touch its storage before skopeo does: it decides on the network then.
    podman.args(["system", "info"]);
    podman.run_quietly()?;

    pipeline.talk.progress(&format!("copying to {target}"));
    skopeo.args(["copy", "--quiet"]);
    skopeo.arg(format!("oci:{}", scratch.path().display())).arg(format!("containers-storage:{target}"));
    skopeo.run_quietly()?;

    check_copied(pipeline, &target, &exported)?;
    let image_id = exported.configuration.hex().to_owned();
    Ok(Report::Copied { source, target, image_id, manifest_digest: exported.manifest })
}

/// The name must mean what was exported.
fn check_copied(pipeline: &Pipeline<'_>, target: &Reference, exported: &OciImage) -> Result<(), Error> {
    let path = &pipeline.settings.default_store;
    let root = RootDir::open(path).map_err(Error::io("open", path))?;
    let images = Store::open(&root)?.images(pipeline.settings.lock_limit, pipeline.talk)?;
    let name = target.to_string();
    let found = images.iter().find(|image| image.names.contains(&name));
    if found.is_some_and(|image| image.id == exported.configuration.hex()) {
        return Ok(());
    }
    let why = match found {
        Some(image) => format!("its id is {}, not {}", image.id, exported.configuration.hex()),
        None => format!("it isn't in {}", path.display()),
    };
    Err(Error::Verification { what: name, why })
}

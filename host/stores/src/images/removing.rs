//! Removing an image, or names of one, from bootc's storage. Images that a deployment or a container needs are kept.

use bootc_image_containers_storage::{Image, Images};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::Removal;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::root::RootDir;

use super::full_disk::{self, Room};
use super::in_use::InUse;
use super::local;
use super::names::LIST_WITH;
use super::needs::Needs;
use crate::bootc_store::BootcStore;
use crate::error::Error;
use crate::host::{Host, writable_physical};
use crate::podman;

/// Checks an id from the index before it is passed to podman, because a damaged index may have any text.
pub fn check_id(store: &BootcStore, image: &Image) -> Result<(), Error> {
    match Digest::new(format!("sha256:{}", image.id)) {
        Ok(_) => Ok(()),
        Err(_) => Err(OsError::Corrupt {
            path: store.root().path("."),
            why: format!("the index lists an image with the invalid id {:?}", image.id),
            hint: "restore the images.json of this storage from a backup",
        }
        .into()),
    }
}

/// The manifest lists that include an image: podman finds the image by their names.
pub fn lists_of<'a>(images: &'a Images<'_>, image: &'a Image) -> impl Iterator<Item = &'a Image> {
    let others = images.iter().filter(|list| list.id != image.id);
    others.filter(|list| images.instances(list).iter().any(|manifest| image.is_of(manifest)))
}

/// As [`needed_by`]; a manifest list that includes the image and is needed keeps the whole image.
pub fn kept_by<'a>(
    needs: &'a Needs,
    used: &'a InUse,
    images: &Images<'_>,
    image: &Image,
    names: &[String],
    whole: bool,
) -> Option<&'a str> {
    let of_list = || {
        let mut lists = lists_of(images, image).filter(|_| whole);
        lists.find_map(|list| needed_by(needs, used, list, &list.names, true))
    };
    needed_by(needs, used, image, names, whole).or_else(of_list)
}

/// What needs these names of an image, or, if `whole`, the image.
pub fn needed_by<'a>(
    needs: &'a Needs,
    used: &'a InUse,
    image: &Image,
    names: &[String],
    whole: bool,
) -> Option<&'a str> {
    let of_names = names.iter().find_map(|name| needs.of_name(name, Some(image)));
    let of_image = || needs.of_image(image).or_else(|| used.by(image));
    of_names.or_else(|| if whole { of_image() } else { None })
}

pub fn removal_of(image: &Image, names: Vec<String>, whole: bool, needed_by: Option<String>) -> Removal {
    Removal { id: image.id.clone(), manifest_digest: image.digest.clone(), names, whole, needed_by }
}

fn not_found(removal: &Removal) -> Error {
    Error::ImageNotFound { name: removal.to_string(), hint: LIST_WITH }
}

/// Removes it, unless something relevant changed since the removal was judged.
pub fn remove(host: Host<'_>, removal: Removal) -> Result<Removal, Error> {
    let settings = host.settings;
    let physical = writable_physical(settings)?;
    let _alone = local::store_lock(host, "bootc")?;
    let store = BootcStore::open(&physical)?.ok_or_else(|| not_found(&removal))?;
    check(host, &physical, &store, &removal)?;
    let room = Room::make(settings, &physical, &store);
    let whole = removal.whole.then_some(removal.id.as_str());
    let podman = |words: &[&str]| {
        full_disk::remove(host, &room, whole, &mut || {
            let mut podman = store.podman(settings, host.reporter)?;
            podman.arg("image").args(words.iter().copied());
            Ok(podman.run_quietly()?)
        })
    };
    // podman does not remove an image with several names by its id, and a name may refer to another image by now.
    if !removal.whole || removal.names.len() > 1 {
        let mut words = vec!["untag", "--", &removal.id];
        words.extend(removal.names.iter().map(String::as_str));
        podman(&words)?;
    }
    if removal.whole {
        podman(&["rm", "--no-prune", "--", &removal.id])?;
    }
    let contents = podman::open_store(store.root())?;
    let images = contents.images(settings.lock_limit, host.reporter)?;
    if is_left(&images, &removal) {
        return Err(OsError::Verification {
            what: removal.to_string(),
            why: "podman reported success, but bootc's storage still has it".to_owned(),
        }
        .into());
    }
    Ok(removal)
}

/// Fails if the image's names or needs changed since the removal was judged.
fn check(host: Host<'_>, physical: &RootDir, store: &BootcStore, removal: &Removal) -> Result<(), Error> {
    let needs = Needs::find(physical, host.settings)?;
    let contents = podman::open_store(store.root())?;
    let images = contents.images(host.settings.lock_limit, host.reporter)?;
    let image = images.iter().find(|image| image.id == removal.id).ok_or_else(|| not_found(removal))?;
    let used = InUse::find(physical, host.settings, &contents, &images)?;
    let has_others = image.names.iter().any(|name| !removal.names.contains(name));
    let who = kept_by(&needs, &used, &images, image, &removal.names, removal.whole);
    let why = if let Some(who) = who {
        format!("it is now needed by {who}")
    } else if has_others == removal.whole || removal.names.iter().any(|name| !image.names.contains(name)) {
        "its names changed since the removal was judged".to_owned()
    } else {
        return Ok(());
    };
    Err(OsError::Verification { what: removal.to_string(), why }.into())
}

fn is_left(images: &Images<'_>, removal: &Removal) -> bool {
    let of_image = |image: &&Image| image.id == removal.id;
    images
        .iter()
        .filter(of_image)
        .any(|image| removal.whole || image.names.iter().any(|name| removal.names.contains(name)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bootc_image_os::reporter::doubles::Silent;

    use super::*;
    use crate::bootc_store::SUBPATH;
    use crate::host::doubles::{deploy, settings};

    /// What has changed since it was judged is something that another process did meanwhile.
    #[test]
    fn a_removal_that_does_not_fit_any_more_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let (_, deployment) = deploy(scratch.path());
        let storage = scratch.path().join(SUBPATH);
        fs::create_dir_all(storage.join("overlay-images")).unwrap();
        let id = "0".repeat(64);
        let index = format!(r#"[{{"id":"{id}","names":["localhost/a:1","localhost/b:1"]}}]"#);
        fs::write(storage.join("overlay-images/images.json"), index).unwrap();
        let host = Host { settings: &settings(scratch.path()), reporter: &Silent };
        let physical = RootDir::open(scratch.path()).unwrap();
        let store = BootcStore::open(&physical).unwrap().unwrap();
        let checked = |names: &[&str], whole| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            let removal = Removal { id: id.clone(), manifest_digest: None, names, whole, needed_by: None };
            check(host, &physical, &store, &removal).map_err(|error| error.to_string())
        };
        let (one, both) = (["localhost/a:1"], ["localhost/a:1", "localhost/b:1"]);
        assert_eq!(checked(&one, false), Ok(()));
        assert_eq!(checked(&both, true), Ok(()));
        let changed = "localhost/a:1 is not as expected: its names changed since the removal was judged";
        assert_eq!(checked(&one, true), Err(changed.to_owned()));
        assert_eq!(checked(&["localhost/a:1", "localhost/c:1"], false), Err(changed.to_owned()));
        let units = deployment.join("usr/lib/bootc/bound-images.d");
        fs::create_dir_all(&units).unwrap();
        fs::write(deployment.join("usr/a.image"), "[Image]\nImage=localhost/a:1\n").unwrap();
        std::os::unix::fs::symlink("/usr/a.image", units.join("a.image")).unwrap();
        let needed = "localhost/a:1 is not as expected: it is now needed by deployment aaaaaaaaaaaa.0, to which it is bound";
        assert_eq!(checked(&one, false), Err(needed.to_owned()));
    }
}

//! Removing images from bootc's storage: by name, or all that nobody needs. What a deployment or a container needs stays.

use bootc_image_os::error::Error as OsError;
use bootc_image_stores::podman;
use std::collections::BTreeMap;

use super::full_disk::{self, Room};
use super::in_use::InUse;
use super::local::{self, LIST_WITH, in_contents};
use super::needs::Needs;
use super::{Pipeline, physical, writable_physical};
use crate::error::Error;
use crate::operation::Operation;
use crate::report::Report;
use bootc_image_containers_storage::{Image, Images};
use bootc_image_model::digest::Digest;
use bootc_image_model::image::Removal;
use bootc_image_model::reference::Reference;
use bootc_image_os::root::RootDir;
use bootc_image_stores::bootc_store::BootcStore;

/// How an image is named that is to go.
enum Named {
    /// By a text that is a name to the storage alone.
    Exactly,
    /// By this name, however the storage writes it.
    As(Reference),
}

/// The operations that remove these images, one for each image.
pub(super) fn resolve(pipeline: &Pipeline<'_>, wanted: &[String]) -> Result<Vec<Operation>, Error> {
    let settings = pipeline.settings;
    let physical = physical(settings)?;
    let not_found = |name: &String| Error::ImageNotFound { name: name.clone(), list_with: LIST_WITH };
    let Some(store) = BootcStore::open(&physical)? else {
        return Err(wanted.first().map_or(Error::NothingNamed, not_found));
    };
    let needs = Needs::find(&physical, settings)?;
    let contents = podman::open_store(store.root())?;
    let images = contents.images(settings.lock_limit, pipeline.talk)?;
    // Two names of one image are one removal, which takes both.
    let mut going: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut order: Vec<&Image> = Vec::new();
    for text in wanted {
        let listed = images.iter().find(|image| image.names.contains(text));
        let (image, name) = match listed {
            // Whatever it is, it goes by the name that lists show.
            Some(image) if Reference::parse_local(text).is_err() => (image, Some(Named::Exactly)),
            _ => in_contents(&images, text).map(|(image, name)| (image, name.map(Named::As)))?,
        };
        let names = match name {
            Some(Named::Exactly) => vec![text.clone()],
            Some(Named::As(name)) => image.names_meaning(&name).cloned().collect(),
            None if image.listed_names().nth(1).is_some() => {
                let candidates = image.listed_names().map(str::to_owned).collect();
                return Err(Error::Ambiguous { name: text.clone(), candidates });
            }
            None => image.names.clone(),
        };
        if !going.contains_key(image.id.as_str()) {
            order.push(image);
        }
        going.entry(&image.id).or_default().extend(names);
    }
    order.iter().try_for_each(|image| check_id(&store, image))?;
    let used = InUse::find(&physical, settings, &contents, &images)?;
    let removal = |image: &Image| {
        let names =
            with_digest_forms(image, going.get(image.id.as_str()).map(Vec::as_slice).unwrap_or_default());
        let whole = image.names.iter().all(|name| names.contains(name));
        let who = kept_by(&needs, &used, &images, image, &names, whole);
        let needed_by = who.map(str::to_owned);
        Operation::Remove { image: removal_of(image, names, whole, needed_by) }
    };
    Ok(order.into_iter().map(removal).collect())
}

/// The operations that remove what nobody needs: images without a name, or with `all` any.
pub(super) fn resolve_prune(pipeline: &Pipeline<'_>, all: bool) -> Result<Vec<Operation>, Error> {
    let settings = pipeline.settings;
    let physical = physical(settings)?;
    let Some(store) = BootcStore::open(&physical)? else { return Ok(Vec::new()) };
    let needs = Needs::find(&physical, settings)?;
    let contents = podman::open_store(store.root())?;
    let images = contents.images(settings.lock_limit, pipeline.talk)?;
    let used = InUse::find(&physical, settings, &contents, &images)?;
    let goes = |image: &Image| {
        (all || image.names.is_empty()) && needed_by(&needs, &used, image, &image.names, true).is_none()
    };
    let superfluous: Vec<&Image> =
        images.iter().filter(|image| goes(image) && lists_of(&images, image).all(goes)).collect();
    superfluous.iter().try_for_each(|image| check_id(&store, image))?;
    let prune =
        |image: &Image| Operation::Prune { all, image: removal_of(image, image.names.clone(), true, None) };
    let operations: Vec<Operation> = superfluous.into_iter().map(prune).collect();
    if operations.is_empty() {
        pipeline.talk.note(if all {
            "nothing to remove: every image is needed"
        } else {
            "nothing to remove: every image has a name"
        });
    }
    Ok(operations)
}

/// podman is given ids as they stand in the index, which anybody may have written who could write there.
fn check_id(store: &BootcStore, image: &Image) -> Result<(), Error> {
    match Digest::new(format!("sha256:{}", image.id)) {
        Ok(_) => Ok(()),
        Err(_) => Err(OsError::Corrupt {
            path: store.root().path("."),
            why: format!("the index lists an image with the invalid id {:?}", image.id),
            hint: "let podman look at that storage: bootc-image cmd list",
        }
        .into()),
    }
}

/// The manifest lists that stand for an image: podman finds it by their names.
fn lists_of<'a>(images: &'a Images<'_>, image: &'a Image) -> impl Iterator<Item = &'a Image> {
    let others = images.iter().filter(|list| list.id != image.id);
    others.filter(|list| images.instances(list).iter().any(|manifest| image.is_of(manifest)))
}

/// As [`needed_by`]; who needs a manifest list that stands for the image needs the whole image.
fn kept_by<'a>(
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

/// Who needs that these names of an image stay, or, if the whole image would go, that it does.
fn needed_by<'a>(
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

/// These names of an image, and forms with a digest of the same repository, unless it has another tag there: nobody gave the
/// image those.
fn with_digest_forms(image: &Image, names: &[String]) -> Vec<String> {
    let repository = |name: &str| {
        let name = name.split('@').next().unwrap_or(name);
        let tag = name.rfind(':').filter(|colon| !name[*colon..].contains('/'));
        tag.map_or(name, |tag| &name[..tag]).to_owned()
    };
    let stays = |name: &&String| !names.contains(name) && !name.contains('@');
    let keeps: Vec<String> = image.names.iter().filter(stays).map(|name| repository(name)).collect();
    let goes: Vec<String> = names.iter().map(|name| repository(name)).collect();
    let form = |name: &&String| {
        name.contains('@') && goes.contains(&repository(name)) && !keeps.contains(&repository(name))
    };
    let mut all: Vec<String> = image.names.iter().filter(form).chain(names).cloned().collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn removal_of(image: &Image, names: Vec<String>, whole: bool, needed_by: Option<String>) -> Removal {
    Removal { id: image.id.clone(), manifest_digest: image.digest.clone(), names, whole, needed_by }
}

fn not_found(removal: &Removal) -> Error {
    Error::ImageNotFound { name: removal.to_string(), list_with: "bootc-image list --type unified" }
}

/// Removes it, if everything is still as it was when that was judged.
pub(super) fn execute(pipeline: &Pipeline<'_>, removal: Removal) -> Result<Report, Error> {
    let settings = pipeline.settings;
    let physical = writable_physical(settings)?;
    let _alone = local::alone(pipeline, "bootc")?;
    let store = BootcStore::open(&physical)?.ok_or_else(|| not_found(&removal))?;
    check(pipeline, &physical, &store, &removal)?;
    let room = Room::make(settings, &physical, &store);
    let whole = removal.whole.then_some(removal.id.as_str());
    let podman = |words: &[&str]| {
        full_disk::remove(pipeline, &room, whole, &mut || {
            let mut podman = store.podman(settings, pipeline.talk)?;
            podman.arg("image").args(words.iter().copied());
            Ok(podman.run_quietly()?)
        })
    };
    // An image with several names can't be removed by its id, and by a name only if that still means it.
    if !removal.whole || removal.names.len() > 1 {
        let mut words = vec!["untag", "--", &removal.id];
        words.extend(removal.names.iter().map(String::as_str));
        podman(&words)?;
    }
    if removal.whole {
        podman(&["rm", "--no-prune", "--", &removal.id])?;
    }
    let contents = podman::open_store(store.root())?;
    let images = contents.images(settings.lock_limit, pipeline.talk)?;
    if is_left(&images, &removal) {
        return Err(OsError::Verification {
            what: removal.to_string(),
            why: "podman says that it is gone, and bootc's storage still has it".to_owned(),
        }
        .into());
    }
    Ok(Report::Removed(removal))
}

/// What was judged may have changed: then it isn't what was judged any more.
fn check(
    pipeline: &Pipeline<'_>,
    physical: &RootDir,
    store: &BootcStore,
    removal: &Removal,
) -> Result<(), Error> {
    let needs = Needs::find(physical, pipeline.settings)?;
    let contents = podman::open_store(store.root())?;
    let images = contents.images(pipeline.settings.lock_limit, pipeline.talk)?;
    let image = images.iter().find(|image| image.id == removal.id).ok_or_else(|| not_found(removal))?;
    let used = InUse::find(physical, pipeline.settings, &contents, &images)?;
    let has_others = image.names.iter().any(|name| !removal.names.contains(name));
    let who = kept_by(&needs, &used, &images, image, &removal.names, removal.whole);
    let why = if let Some(who) = who {
        format!("{who} needs it now")
    } else if has_others == removal.whole || removal.names.iter().any(|name| !image.names.contains(name)) {
        "its names have changed since it was judged".to_owned()
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
    use super::*;

    #[test]
    fn a_tag_takes_the_digest_forms_of_its_repository_with_it() {
        let image = Image::named_in_tests(&[
            "r:5000/a:1",
            "r:5000/a@sha256:d",
            "r:5000/b:1",
            "r:5000/b@sha256:d",
            "r:5000/b:2",
        ]);
        let going = |names: &[&str]| {
            with_digest_forms(&image, &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(going(&["r:5000/a:1"]), ["r:5000/a:1", "r:5000/a@sha256:d"]);
        assert_eq!(going(&["r:5000/b:1"]), ["r:5000/b:1"]);
        assert_eq!(going(&["r:5000/b:1", "r:5000/b:2"]), ["r:5000/b:1", "r:5000/b:2", "r:5000/b@sha256:d"]);
        assert_eq!(going(&["r:5000/a@sha256:d"]), ["r:5000/a@sha256:d"]);
    }
}

//! Removing images from bootc's storage, by name or id. Images that a deployment, a bound image, a unit or a container needs are
//! denied (docs/adr/0008-removing-images.md).

use std::collections::BTreeMap;

use bootc_image_containers_storage::Image;
use bootc_image_grammar::OwnOperation;
use bootc_image_model::image::{LocalImage, Removal};
use bootc_image_model::reference::Reference;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::host::physical;
use bootc_image_stores::images::in_use::InUse;
use bootc_image_stores::images::names::{NOTHING_STORED, in_contents};
use bootc_image_stores::images::needs::Needs;
use bootc_image_stores::images::removing::{check_id, kept_by, removal_of, remove};
use bootc_image_stores::podman;
use serde::Serialize;

use super::seen::{self, PolicyInputParts};
use super::{ForPlugins, Operate, Operation, Report, Resolve, Resolved};
use crate::assumed::Assumed;
use crate::commands::resolver::{Resolver as _, Stored};
use crate::context::Context;
use crate::error::Error;

/// Remove images from bootc's storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Their names or ids, as typed.
    pub images: Vec<String>,
}

/// Removes an image, or names of one, from bootc's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remove {
    /// The image to remove, or its names.
    pub image: Removal,
}

/// How a request names an image.
enum Named {
    /// By the exact text that the storage has, which is not a valid reference.
    Exactly,
    /// By this reference, in whatever spelling the storage has it.
    As(Reference),
}

impl Resolve for Request {
    fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error> {
        let settings = context.host.settings;
        let physical = physical(settings)?;
        let not_found = |name: &String| {
            Error::from(StoresError::ImageNotFound { name: name.clone(), hint: NOTHING_STORED })
        };
        let Some(store) = BootcStore::open(&physical)? else {
            return Err(self.images.first().map_or(Error::NoImageGiven, not_found));
        };
        let needs = Needs::find(&physical, settings)?;
        let contents = podman::open_store(store.root())?;
        let images = contents.images(settings.lock_limit, context.host.reporter)?;
        // Two names of one image are one operation, which removes both.
        let mut going: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut order: Vec<&Image> = Vec::new();
        for text in &self.images {
            let listed = images.iter().find(|image| image.names.contains(text));
            let (image, name) = match listed {
                // Not a valid reference, but it can be removed under the name that lists show.
                Some(image) if Reference::parse_local(text).is_err() => (image, Some(Named::Exactly)),
                _ => in_contents(&images, text).map(|(image, name)| (image, name.map(Named::As)))?,
            };
            let names = match name {
                Some(Named::Exactly) => vec![text.clone()],
                Some(Named::As(name)) => image.names_meaning(&name).cloned().collect(),
                None if image.listed_names().nth(1).is_some() => {
                    let candidates = image.listed_names().map(str::to_owned).collect();
                    return Err(StoresError::Ambiguous { name: text.clone(), candidates }.into());
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
            Operation::Remove(Remove { image: removal_of(image, names, whole, needed_by) })
        };
        Ok(order.into_iter().map(removal).collect::<Vec<_>>().into())
    }

    fn assume(&self, assumed: &Assumed) -> Result<Vec<Operation>, Error> {
        let remove = |image: &String| {
            let Stored { name, image: LocalImage { id, manifest_digest }, .. } = assumed.in_store(image)?;
            let names = name.into_iter().map(|name| name.to_string()).collect();
            let manifest_digest = Some(manifest_digest);
            let image = Removal { id, manifest_digest, names, whole: true, needed_by: None };
            Ok(Operation::Remove(Remove { image }))
        };
        self.images.iter().map(remove).collect()
    }
}

impl Operate for Remove {
    const KIND: &'static str = OwnOperation::Remove.name();

    fn seen(&self, _: bool) -> Option<PolicyInputParts> {
        Some(PolicyInputParts::images(seen::removed(&self.image)))
    }

    fn for_plugins(&self) -> ForPlugins {
        ForPlugins::Provides(OwnOperation::Remove)
    }

    fn only_removes(&self) -> bool {
        true
    }

    fn removal(&self) -> Option<&Removal> {
        Some(&self.image)
    }

    fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        Ok(Report::Removed(remove(context.host, self.image)?))
    }
}

/// Adds the image's names with a digest in the same repositories, unless the image keeps a tag there: podman gives an image these
/// names by itself.
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

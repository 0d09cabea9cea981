//! `cmd build` on images that may be damaged. podman does not verify the layers of a base image, so the image that it builds would
//! be damaged as well. Such an image keeps no name, and names that it took from other images are restored.

use std::collections::HashMap;

use bootc_image_containers_storage::Damage;
use bootc_image_model::reference::Reference;
use bootc_image_stores::bootc_store::BootcStore;
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::images::storages::Storage;

use crate::context::Context;
use crate::error::Error;

/// Names, and the ids of their images.
type Names = HashMap<String, String>;

/// Runs the build with `run`, which runs podman, and checks the result. Returns podman's exit code.
pub(crate) fn build(
    context: &Context<'_>,
    store: &BootcStore,
    run: &dyn Fn() -> Result<u8, Error>,
) -> Result<u8, Error> {
    let storage = Storage::Bootc(store);
    let before = storage.images(context.host, |images, _| {
        let ids: Vec<String> = images.iter().map(|image| image.id.clone()).collect();
        let names =
            images.iter().flat_map(|image| image.names.iter().map(|name| (name.clone(), image.id.clone())));
        Ok((ids, names.collect::<Names>()))
    })?;
    let code = run()?;
    let (ids, names) = before;
    let built = storage.images(context.host, |images, others| {
        let new = |name: &&String, id: &String| names.get(*name) != Some(id);
        for image in images.iter() {
            let given: Vec<String> =
                image.names.iter().filter(|name| new(name, &image.id)).cloned().collect();
            if ids.contains(&image.id) && given.is_empty() {
                continue;
            }
            if let Some(damage) = images.damage(image, others)?.filter(|damage| !damage.is_of_metadata()) {
                return Ok(Some((image.id.clone(), given, damage)));
            }
        }
        Ok(None)
    })?;
    let Some((id, given, damage)) = built else { return Ok(code) };
    take_back(context, &storage, &id, &given, &names)?;
    if code == 0 { Err(built_on_damage(context, &storage, &id, &given, &damage)) } else { Ok(code) }
}

/// Removes names from an image, and gives those that another image had before back to it.
fn take_back(
    context: &Context<'_>,
    storage: &Storage<'_>,
    id: &str,
    given: &[String],
    before: &Names,
) -> Result<(), Error> {
    let mut new = Vec::new();
    for name in given {
        match (before.get(name), Reference::parse_local(name)) {
            (Some(earlier), Ok(reference)) => storage.tag(context.host, earlier, &reference)?,
            _ => new.push(name.clone()),
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let mut podman = storage.podman(context.host)?;
    podman.args(["image", "untag", id]).args(new);
    Ok(podman.run_quietly()?)
}

fn built_on_damage(
    context: &Context<'_>,
    storage: &Storage<'_>,
    id: &str,
    given: &[String],
    damage: &Damage,
) -> Error {
    let image = given.first().cloned().unwrap_or_else(|| id.to_owned());
    let below =
        damage.layer().and_then(|layer| storage.names_with(context.host, layer, id).ok()).unwrap_or_default();
    let hint = format!(
        "the build used a damaged base image, so the new image did not get this name; repair the base image with: \
         bootc-image repair {below}; then build again"
    );
    StoresError::Damaged { image, what: damage.to_string(), hint }.into()
}

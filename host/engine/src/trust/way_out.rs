//! How to continue without a policy that cannot judge. On most hosts `/usr` is read-only, so nothing here changes a file of the OS
//! image: a file of the same name in `/etc` replaces it, and a mask in `/etc` switches off a plugin of it.

use std::path::{Path, PathBuf};

use bootc_image_model::plugin::PluginId;

use super::configuration::Configuration;
use super::grants::Found;
use crate::places::{Place, Replaceable};

/// Where administrators write configuration.
const DIRECTORY: &str = "/etc/bootc-image/config.d";

/// What to do to continue without a plugin, as an imperative. None for a user's own plugins, which nobody else can mask, and for a
/// directory whose name is not an id.
pub(crate) fn without(
    configuration: &Configuration,
    grants: &[Found],
    id: &str,
    place: Place,
) -> Option<String> {
    let mask = mask(id, place)?;
    // A mandatory policy that is masked is missing, and then everything is denied.
    let required = PluginId::new(id).map(|id| stop_requiring(configuration, grants, &id)).unwrap_or_default();
    Some(if required.is_empty() { mask } else { format!("{mask}, and {required}") })
}

/// How to mask the copy of a plugin in a place, as an imperative.
pub(crate) fn mask(id: &str, place: Place) -> Option<String> {
    entry(id, place).map(|entry| format!("mask it with {entry}"))
}

/// The entry that masks the copy of a plugin in a place, and where to write it.
pub(crate) fn entry(id: &str, place: Place) -> Option<String> {
    let id = PluginId::new(id).ok().filter(|_| place != Place::User)?;
    let place = place.name();
    Some(format!("policy.masked = [{{ id = \"{id}\", place = \"{place}\" }}] in a file in {DIRECTORY}"))
}

/// What to do so that a policy is no longer mandatory, as an imperative; empty if it is not.
pub(crate) fn stop_requiring(configuration: &Configuration, grants: &[Found], id: &PluginId) -> String {
    let granted = grants.iter().filter(|grant| grant.mandatory && grant.plugin == *id);
    let mut all = unlist(configuration, id);
    all.extend(granted.map(Found::how_to_revoke));
    all.join(" and ")
}

/// What to do so that no file lists a policy as mandatory, as imperatives.
pub(crate) fn unlist(configuration: &Configuration, id: &PluginId) -> Vec<String> {
    let listed = configuration.mandatory_in.iter().filter(|(listed, _)| listed == id);
    let from_file = |file: &Path| match replacement(file, &configuration.replaceable) {
        Some(copy) => format!(
            "copy {} to {} and remove it from [policy] mandatory there",
            file.display(),
            copy.parent().unwrap_or(&copy).display()
        ),
        None => format!("remove it from [policy] mandatory in {}", file.display()),
    };
    listed.map(|(_, file)| from_file(file)).collect()
}

/// A file or directory that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) what: String,
    /// What to do about it, if that is not clear from the file's name.
    pub(crate) fix: Option<String>,
}

/// The file that replaces this file of the OS image. None for any other file.
pub(crate) fn replacement(file: &Path, directories: &Replaceable) -> Option<PathBuf> {
    let (of_image, of_site) = directories.as_ref()?;
    let name = file.file_name().filter(|_| file.parent() == Some(of_image))?;
    Some(of_site.join(name))
}

/// What to do about a file of the configuration that cannot be read, if it belongs to the OS image.
pub(crate) fn fix_configuration(file: &Path, directories: &Replaceable) -> Option<String> {
    let copy = replacement(file, directories)?;
    let directory = copy.parent().unwrap_or(&copy).display();
    Some(format!(
        "copy {} to {directory} and correct the copy, which replaces the file of the OS image",
        file.display()
    ))
}

/// What to do about a file of grants that cannot be read. A copy of the image's file in `/etc` would need digests that it does not have.
pub(crate) fn fix_grants(file: &Path, directories: &Replaceable) -> Option<String> {
    let empty = replacement(file, directories)?;
    Some(format!(
        "replace it by an empty file with: touch {}; then approve its plugins again with: bootc-image plugin approve ID",
        empty.display()
    ))
}

//! Policies that were approved or are mandatory, and are not installed.

use bootc_image_core::plugin::MissingPolicy;
use bootc_image_manifest::World;
use bootc_image_model::plugin::PluginId;

use super::grants::Found;
use super::inventory::{Inventory, Masked};
use crate::places::Place;
use crate::sanitize::sanitize;

/// Mandatory policies that are not installed, and what makes them mandatory. A list of the installed plugins would not show them.
pub(crate) fn missing(inventory: &Inventory, configured: &[PluginId]) -> Vec<(PluginId, String)> {
    let granted = inventory.grants.iter().filter(|grant| grant.mandatory);
    let granted = granted.map(|grant| {
        (&grant.plugin, format!("{} approves it as mandatory", sanitize(&grant.file.display().to_string())))
    });
    let configured = configured.iter().map(|id| (id, "[policy] mandatory lists it".to_owned()));
    let mut missing: Vec<(PluginId, String)> = Vec::new();
    for (id, who) in configured.chain(granted) {
        if !inventory.has(id) && missing.iter().all(|(other, _)| other != id) {
            missing.push((
                id.clone(),
                format!("{who}, but it is not installed: every operation except `list` is denied"),
            ));
        }
    }
    missing.sort();
    missing
}

/// Policies that were approved and are no longer installed as policies. Disabled and broken ones are not among them, because they
/// deny; neither are those that are masked where they were approved, because the administrator chose that.
pub(crate) fn missed(inventory: &Inventory) -> Vec<MissingPolicy> {
    // All operations are refused then, and which plugins are installed is unknown.
    if !inventory.problems.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<MissingPolicy> = Vec::new();
    for grant in inventory.grants.iter().filter(|grant| grant.is_of_policy()) {
        let Found { plugin, file, .. } = grant;
        let id = plugin.as_str();
        let found = inventory.plugins.get(plugin).map(|found| found.manifest.component.world);
        let broken =
            inventory.broken.iter().find(|broken| broken.id == id).map(|broken| broken.may_be_policy);
        let why = match (found, broken) {
            (Some(World::PolicyValidator), _) | (_, Some(true)) => continue,
            (Some(_), _) | (_, Some(false)) => MissingPolicy::NO_POLICY,
            (None, None) if inventory.masked.iter().any(|masked| is_of_masked(grant, masked)) => continue,
            (None, None) if inventory.masked.iter().any(|masked| is_in_place_of(grant, masked)) => {
                "is installed only in another version, which is masked"
            }
            (None, None) => "is not installed",
        };
        if all.iter().all(|missed| missed.plugin != *plugin) {
            let revoke = grant.how_to_revoke();
            all.push(MissingPolicy { plugin: plugin.clone(), file: file.clone(), why, revoke });
        }
    }
    all
}

/// Whether an expected plugin is not installed. A masked copy counts as installed only if every grant approves
/// this copy: beside a masked copy of the OS image, the site's own one judges, and that one could be missing.
pub(super) fn is_absent(inventory: &Inventory, id: &PluginId) -> bool {
    let grants = inventory.grants.iter().filter(|grant| grant.plugin == *id && !grant.built_in);
    let grants: Vec<&Found> = grants.collect();
    let approves_masked = |grant: &&Found| inventory.masked.iter().any(|masked| is_of_masked(grant, masked));
    let is_masked_on_purpose = !grants.is_empty() && grants.iter().all(approves_masked);
    !inventory.has_unmasked(id) && !is_masked_on_purpose
}

/// Whether a grant approves this masked copy.
fn is_of_masked(grant: &Found, masked: &Masked) -> bool {
    let differs = |masked: &String| grant.manifest().is_some_and(|granted| granted != masked);
    is_in_place_of(grant, masked) && !masked.manifest_sha256.as_ref().is_some_and(differs)
}

/// Whether a masked copy is in the location of the plugin that a grant approves. The same plugin masked elsewhere is no reason not
/// to report a missing one.
fn is_in_place_of(grant: &Found, masked: &Masked) -> bool {
    let place = match grant.place {
        Place::Image => masked.place == Place::Image,
        Place::User => masked.place == Place::User,
        Place::Installed | Place::Site => matches!(masked.place, Place::Installed | Place::Site),
        Place::BuiltIn => false,
    };
    place && masked.id == grant.plugin.as_str()
}

//! Approving and revoking plugins, and who is missed of those that were approved.

use std::path::{Path, PathBuf};

use bootc_image_core::error::Error;
use bootc_image_core::operation::{Grant, Role};
use bootc_image_core::plugin::{CommandClaim, FormatClaim, Missed, PluginId, Plugins as _};

use crate::code::Code;
use crate::grants::{self, Found};
use crate::inventory::Inventory;
use crate::manifest::World;
use crate::places::Places;
use crate::set::PluginSet;

impl PluginSet {
    pub(crate) fn to_grant(&self, plugin: &str) -> Result<Grant, Error> {
        let found = self.find(plugin)?;
        let problem = |reason: String, fix: &str| Error::Plugin {
            plugin: plugin.to_owned(),
            reason,
            fix: fix.to_owned(),
        };
        let Code::File { file, sha256, .. } = &found.code else {
            return Err(problem(
                "it is part of this program and needs no grant".to_owned(),
                "there is nothing to do",
            ));
        };
        for claim in found.claims() {
            let of_another = |other: &&CommandClaim| other.name == claim.name && other.plugin != claim.plugin;
            if let Some(other) = self.command_claims()?.iter().find(of_another) {
                let reason = format!("it claims `{}`, which {} owns", claim.name, other.plugin);
                return Err(problem(reason, "revoke or mask the other one first: a command has one owner"));
            }
        }
        let claims = self.format_claims()?;
        for format in &found.manifest.formats {
            let of_another =
                |other: &&FormatClaim| other.name == format.name && other.plugin != found.manifest.id;
            if let Some(other) = claims.iter().find(of_another) {
                let reason = format!("it offers the format {}, which {} offers", format.name, other.plugin);
                return Err(problem(reason, "revoke or mask the other one first: a format has one owner"));
            }
        }
        let now = self.component_digest(found)?.unwrap_or_default();
        if now != *sha256 {
            let named = file.named.display();
            let reason = format!("{named} has the digest {now}, and its manifest says {sha256}");
            return Err(problem(
                reason,
                &format!(
                    "install it again, or write the digest into it: manifest and {} don't belong together",
                    found.manifest.component.what()
                ),
            ));
        }
        let capabilities =
            found.manifest.capabilities.iter().map(|wanted| wanted.capability.clone()).collect();
        let role = role_of(found.manifest.component.world);
        let was_mandatory = |grant: &Found| grant.mandatory && grant.plugin == found.manifest.id;
        Ok(Grant {
            plugin: found.manifest.id.clone(),
            sha256: now,
            manifest: found.manifest_sha256.clone(),
            native: found.manifest.component.native,
            role,
            // An update that is approved takes no guard away.
            mandatory: role == Role::Policy && self.look().grants.iter().any(was_mandatory),
            capabilities,
        })
    }

    pub(crate) fn write_grant(&self, grant: &Grant) -> Result<PathBuf, Error> {
        let places = self.places();
        let Some(path) = grants::file_of(places, &grant.plugin) else {
            return Err(Error::NoSuchPlugin { name: grant.plugin.to_string(), hint: String::new() });
        };
        if let Some(file) = self.approved_by_image(&grant.plugin) {
            return Err(Error::Plugin {
                plugin: grant.plugin.to_string(),
                reason: format!("the OS image approves it in {}", file.display()),
                fix: "there is nothing to do".to_owned(),
            });
        }
        refuse_shared(&read_grants(places)?, &path, &grant.plugin)?;
        grants::write(&path, grant).map_err(Error::io("write", &path))?;
        Ok(path)
    }

    pub(crate) fn remove_grant(&self, plugin: &PluginId) -> Result<PathBuf, Error> {
        let places = self.places();
        let problem = |reason: String, fix: String| Error::Plugin { plugin: plugin.to_string(), reason, fix };
        let granted = read_grants(places)?;
        let own = grants::file_of(places, plugin);
        let mut of_plugin = granted.iter().filter(|grant| grant.plugin == *plugin);
        if let Some(other) = of_plugin.find(|grant| Some(&grant.file) != own.as_ref()) {
            let file = other.file.display();
            return Err(problem(
                format!("it is granted by {file}, which `plugin approve` didn't write"),
                format!("take it out of {file}, or mask the plugin: [policy] masked in the configuration"),
            ));
        }
        match own.filter(|own| granted.iter().any(|grant| grant.file == *own)) {
            Some(path) => {
                refuse_shared(&granted, &path, plugin)?;
                std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
                Ok(path)
            }
            None => {
                self.find(plugin.as_str())?;
                Err(problem(
                    "nothing was granted to it".to_owned(),
                    "see what there is with: bootc-image plugin list".to_owned(),
                ))
            }
        }
    }
}

fn role_of(world: World) -> Role {
    match world {
        World::CommandWrapper => Role::Command,
        World::FormatOutput => Role::Format,
        World::PolicyValidator => Role::Policy,
    }
}

/// What is written down replaces or removes: nothing may be unknown.
fn read_grants(places: &Places) -> Result<Vec<Found>, Error> {
    let (found, problems) = grants::read(places);
    problems.into_iter().next().map_or(Ok(found), |problem| Err(Error::Configuration(problem)))
}

/// A file that grants something to others as well isn't ours to replace or to remove.
fn refuse_shared(granted: &[grants::Found], path: &Path, plugin: &PluginId) -> Result<(), Error> {
    match granted.iter().find(|grant| grant.file == path && grant.plugin != *plugin) {
        None => Ok(()),
        Some(other) => Err(Error::Plugin {
            plugin: plugin.to_string(),
            reason: format!("{} is about {} as well", path.display(), other.plugin),
            fix: format!("give {} a file of its own", other.plugin),
        }),
    }
}

/// Policies that were approved, and are none any more. One that is held or broken denies, and isn't among them; one that is
/// masked isn't to be asked.
pub(crate) fn missed(inventory: &Inventory) -> Vec<Missed> {
    // Nothing runs, and what is there can't be told.
    if !inventory.problems.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<Missed> = Vec::new();
    for Found { plugin, file, .. } in inventory.grants.iter().filter(|grant| grant.role == Some(Role::Policy))
    {
        let id = plugin.as_str();
        let found = inventory.plugins.get(plugin).map(|found| found.manifest.component.world);
        let broken =
            inventory.broken.iter().find(|broken| broken.id == id).map(|broken| broken.may_be_policy);
        let why = match (found, broken) {
            (Some(World::PolicyValidator), _) | (_, Some(true)) => continue,
            (Some(_), _) | (_, Some(false)) => "isn't a policy any more",
            (None, None) if inventory.masked.iter().any(|masked| masked.id == id) => continue,
            (None, None) => "isn't installed",
        };
        if all.iter().all(|missed| missed.plugin != *plugin) {
            all.push(Missed { plugin: plugin.clone(), file: file.clone(), why });
        }
    }
    all
}

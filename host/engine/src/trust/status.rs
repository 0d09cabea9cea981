//! Whether a plugin is enabled: compares what it requests with what was granted.

use std::path::PathBuf;

use bootc_image_manifest::{Manifest, World};
use bootc_image_model::capability::Capability;

use super::environment::Environment;
use super::grants::{self, Found};
use crate::places::Place;

/// Whether a plugin is enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Every capability that it requests was granted.
    Enabled,
    /// It was not approved, or not with all capabilities that it requests.
    Disabled {
        /// Why.
        reason: String,
        /// What to do next.
        fix: String,
    },
}

impl Status {
    /// Whether the plugin may run.
    pub fn is_enabled(&self) -> bool {
        *self == Self::Enabled
    }
}

/// The reason if native code is disabled regardless of its grants.
pub(crate) fn native_status(environment: &Environment, place: Place, manifest: &Manifest) -> Option<Status> {
    let disabled =
        |reason: &str, fix: &str| Status::Disabled { reason: reason.to_owned(), fix: fix.to_owned() };
    if !manifest.component.native {
        None
    } else if place == Place::User {
        let fix = "ask an administrator to install it in /var/lib/bootc-image/plugins";
        Some(disabled("it is native code, which never runs from a user's own plugin directory", fix))
    } else if !environment.configuration.native {
        let fix = "to let native code run on this host, without a sandbox, set [native] enabled = true in the configuration";
        Some(disabled("native extensions are disabled on this host", fix))
    } else {
        None
    }
}

/// Whether a grant applies to a plugin with this manifest in this location.
fn is_about(grant: &Found, place: Place, manifest: &Manifest) -> bool {
    grant.plugin == manifest.id
        && !grant.built_in
        && match grant.place {
            Place::Image => place == Place::Image,
            Place::User => place == Place::User,
            Place::Installed | Place::Site => true,
            Place::BuiltIn => false,
        }
}

fn is_of_manifest(grant: &Found, manifest_sha256: &str) -> bool {
    grant.manifest.as_deref().is_none_or(|digest| digest == manifest_sha256)
}

/// Whether the `when` of a disabled policy is respected. If the administrator approved the policy or made it mandatory, only an
/// approved manifest is: otherwise a manifest with a narrower `when` could switch the policy off.
pub(crate) fn when_counts(
    place: Place,
    manifest: &Manifest,
    manifest_sha256: &str,
    grants: &[Found],
    is_mandatory: bool,
) -> bool {
    let approves = |grant: &Found| {
        is_about(grant, place, manifest)
            && grant.native == manifest.component.native
            && is_of_manifest(grant, manifest_sha256)
    };
    let is_known = is_mandatory || grants.iter().any(|grant| grant.plugin == manifest.id);
    !is_known || grants.iter().any(approves)
}

/// Compares what a plugin requests with what it was granted.
pub(crate) fn status(
    place: Place,
    manifest: &Manifest,
    sha256: &str,
    manifest_sha256: &str,
    grants: &[Found],
) -> Status {
    let id = &manifest.id;
    let about = |grant: &&Found| is_about(grant, place, manifest);
    let (of_plugin, of_another_kind): (Vec<&Found>, Vec<&Found>) =
        grants.iter().filter(about).partition(|grant| grant.native == manifest.component.native);
    let was_policy = match manifest.component.world {
        World::PolicyValidator => None,
        World::CommandWrapper | World::FormatOutput => grants::was_policy(grants, id),
    };
    // Approving would be refused then, so it is not recommended.
    let fix = was_policy.map_or_else(
        || format!("review it with: bootc-image plugin show {id}; then approve it with: bootc-image plugin approve {id}"),
        |(_, fix)| fix,
    );
    if let ([], [grant, ..]) = (of_plugin.as_slice(), of_another_kind.as_slice()) {
        let file = grant.file.display();
        let reason = if grant.native {
            format!("{file} approves native code, but the plugin is a component")
        } else {
            format!("the plugin is native code, but {file} does not set kind = \"native\"")
        };
        return Status::Disabled { reason, fix };
    }
    if of_plugin.is_empty() {
        return Status::Disabled { reason: "it has not been approved".to_owned(), fix };
    }
    let of_component: Vec<&Found> = of_plugin
        .into_iter()
        .filter(|grant| grant.sha256.as_deref().is_none_or(|digest| digest == sha256))
        .collect();
    if of_component.is_empty() {
        let what = manifest.component.what();
        let reason = format!("the installed {what} ({sha256}) is not the one that was approved");
        return Status::Disabled { reason, fix };
    }
    let (of_manifest, of_another): (Vec<&Found>, Vec<&Found>) =
        of_component.into_iter().partition(|grant| is_of_manifest(grant, manifest_sha256));
    // Grants of another manifest approve nothing. They only show which capabilities are new in this one.
    let is_approved = !of_manifest.is_empty();
    let compared = if is_approved { of_manifest } else { of_another };
    let granted: Vec<&Capability> = compared.iter().flat_map(|grant| &grant.capabilities).collect();
    let missing: Vec<String> = manifest
        .capabilities
        .iter()
        .filter(|wanted| !granted.contains(&&wanted.capability))
        .map(|wanted| format!("{} ({})", wanted.capability, wanted.reason))
        .collect();
    if missing.is_empty() && is_approved {
        Status::Enabled
    } else if missing.is_empty() {
        let reason =
            "its manifest changed since it was approved, and may now judge less or provide more".to_owned();
        Status::Disabled { reason, fix }
    } else {
        Status::Disabled {
            reason: format!("it requests capabilities that were not granted: {}", missing.join(", ")),
            fix,
        }
    }
}

/// The file in the OS image that approves this plugin, if the plugin is in the OS image and requests no more than is granted there.
pub(crate) fn approved_by_image(
    place: Option<Place>,
    manifest: &Manifest,
    manifest_sha256: &str,
    grants: &[Found],
) -> Option<PathBuf> {
    let place = place.filter(|place| *place == Place::Image)?;
    let of_image: Vec<Found> = grants
        .iter()
        .filter(|grant| grant.place == Place::Image && is_about(grant, place, manifest))
        .cloned()
        .collect();
    let sha256 = manifest.component.sha256.as_deref()?;
    let approves = status(place, manifest, sha256, manifest_sha256, &of_image).is_enabled();
    of_image.first().filter(|_| approves).map(|grant| grant.file.clone())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::trust::code;
    use crate::trust::inventory::tests::{COMPONENT, manifest};

    fn grant(id: &str, manifest: &str, capabilities: &str) -> Found {
        let digest = code::hex(manifest.as_bytes());
        let text = format!(
            "[[grant]]\nplugin = {id:?}\nsha256 = \"{COMPONENT}\"\nmanifest = \"{digest}\"\n{capabilities}"
        );
        grants::parse(&text, Place::Site, Path::new("p.toml")).unwrap().remove(0)
    }

    /// The status of a policy of the site with these grants, and whether its `when` is respected.
    fn status_of(text: &str, grants: &[Found], is_mandatory: bool) -> (Status, bool) {
        let (manifest, digest) = (Manifest::parse(text).unwrap(), code::hex(text.as_bytes()));
        let counts = when_counts(Place::Site, &manifest, &digest, grants, is_mandatory);
        (status(Place::Site, &manifest, COMPONENT, &digest, grants), counts)
    }

    #[test]
    fn a_manifest_that_wasnt_approved_narrows_no_policy_that_the_administrator_knows() {
        let (wide, narrow) =
            (manifest("p", ""), manifest("p", "when = { operations = [\"set-unified\"] }\n"));
        let approved = [grant("p", &wide, "")];
        let of_another = [grant("q", &wide, "")];
        assert_eq!(status_of(&wide, &approved, true), (Status::Enabled, true));
        for (grants, is_mandatory, counts) in [
            (&approved[..], false, false),
            (&approved, true, false),
            (&[], true, false),
            (&[], false, true),
            (&of_another, false, true),
        ] {
            let (status, counted) = status_of(&narrow, grants, is_mandatory);
            assert!(!status.is_enabled());
            assert_eq!(counted, counts, "{grants:?} {is_mandatory}");
        }
    }

    #[test]
    fn what_was_granted_to_another_manifest_isnt_granted() {
        let asks = |scope: &str| {
            format!("[[capability]]\nname = \"podman-reads\"\nscope = {scope:?}\nreason = \"x\"\n")
        };
        let granted =
            |scope: &str| format!("[[grant.capability]]\nname = \"podman-reads\"\nscope = {scope:?}\n");
        let (earlier, now) = (manifest("p", &asks("/a")), manifest("p", &asks("/b")));
        let earlier = grant("p", &earlier, &granted("/a"));
        let reason = |grants: &[Found]| match status_of(&now, grants, false).0 {
            Status::Disabled { reason, .. } => reason,
            Status::Enabled => String::new(),
        };
        let more = "it requests capabilities that were not granted: podman-reads /b (x)";
        assert_eq!(reason(std::slice::from_ref(&earlier)), more);
        assert_eq!(reason(&[grant("p", &now, &granted("/b"))]), "");
        // One grant names the manifest, another one the capability.
        let of_another_manifest = grant("p", "another", &granted("/b"));
        assert_eq!(reason(&[grant("p", &now, ""), of_another_manifest, earlier]), more);
    }

    #[test]
    fn the_os_image_approves_what_is_its_own_and_asks_for_no_more() {
        let asks = "[[capability]]\nname = \"podman-reads\"\nscope = \"/a\"\nreason = \"x\"\n";
        let (plain, asking) = (manifest("p", ""), manifest("p", asks));
        let of_image =
            |text: &str| grants::parse(text, Place::Image, Path::new("/usr/p.toml")).unwrap().remove(0);
        let granted = of_image("[[grant]]\nplugin = \"p\"\n");
        let approved = |text: &str, place: Option<Place>, grants: &[Found]| {
            let digest = code::hex(text.as_bytes());
            approved_by_image(place, &Manifest::parse(text).unwrap(), &digest, grants).is_some()
        };
        assert!(approved(&plain, Some(Place::Image), std::slice::from_ref(&granted)));
        assert!(!approved(&asking, Some(Place::Image), std::slice::from_ref(&granted)));
        for place in [None, Some(Place::Installed), Some(Place::Site)] {
            assert!(!approved(&plain, place, std::slice::from_ref(&granted)), "{place:?}");
        }
        let of_site = grant("p", &plain, "");
        assert!(!approved(&plain, Some(Place::Image), &[of_site]));
    }
}

//! Grants: drop-in files in which the administrator approves plugins, written by hand or by `plugin approve`.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use bootc_image_manifest::raw::RawCapability;
use bootc_image_manifest::strict::{Diagnostic, Source, named, one_of, sha256 as sha256_text};
use bootc_image_model::capability::Capability;
use bootc_image_model::grant::{Grant, Role};
use bootc_image_model::plugin::PluginId;
use bootc_image_os::files::replace;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::way_out::{Problem, fix_grants, replacement};
use crate::places::{Place, Places, TrustedPath, drop_ins, read_drop_in, with_path};

/// A grants file.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGrants {
    /// Approved plugins.
    #[serde(default)]
    grant: Vec<RawGrant>,
}

/// An approved plugin.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawGrant {
    /// The id of the plugin.
    #[cfg_attr(test, schemars(with = "String"))]
    plugin: Spanned<String>,
    /// SHA-256 of its component or library, in lower-case hexadecimal. May be left out only in the OS image, and never for native
    /// code: the image is trusted for what is in it.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    sha256: Option<Spanned<String>>,
    /// SHA-256 of its `plugin.toml`, with the same rules.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    manifest: Option<Spanned<String>>,
    /// `native` if it is native code, which runs with full authority; `built-in` if it gives capabilities to a plugin that is built
    /// into bootc-image. A built-in plugin needs no approval, so its grant has no digests.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    kind: Option<Spanned<String>>,
    /// The role in which it was approved: `policy`, `format` or `command`. A policy that is later missing is reported.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    role: Option<Spanned<String>>,
    /// Whether every operation except `list` is denied while it is not installed. Only for policies.
    #[cfg_attr(test, schemars(with = "Option<bool>"))]
    mandatory: Option<Spanned<bool>>,
    /// The capabilities that it was granted.
    #[serde(default)]
    capability: Vec<RawCapability>,
}

/// A grant that was read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub(crate) plugin: PluginId,
    /// None: any component that the OS image ships.
    pub(crate) sha256: Option<String>,
    pub(crate) manifest: Option<String>,
    /// Whether it approves native code.
    pub(crate) native: bool,
    /// Whether it gives capabilities to a built-in plugin. It approves no other.
    pub(crate) built_in: bool,
    /// The role in which the plugin was approved, if the grant names it.
    pub(crate) role: Option<Role>,
    /// Whether every operation except `list` is denied while the policy is not installed.
    pub(crate) mandatory: bool,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) file: PathBuf,
    /// Where it was found. A grant in the OS image approves only plugins in the OS image.
    pub(crate) place: Place,
    /// The site's file that would replace this one, if this one belongs to the OS image.
    pub(crate) replacement: Option<PathBuf>,
}

impl Found {
    /// Digest of the approved component, in lower-case hexadecimal; none: any component that the OS image ships.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// Digest of the approved manifest, in lower-case hexadecimal; none: any manifest that the OS image ships.
    pub fn manifest(&self) -> Option<&str> {
        self.manifest.as_deref()
    }

    /// Whether it approves a policy. A mandatory grant without a role does, because only policies can be mandatory.
    pub(crate) fn is_of_policy(&self) -> bool {
        self.mandatory || self.role == Some(Role::Policy)
    }

    /// Whether `plugin revoke` removes it.
    pub(crate) fn is_own(&self) -> bool {
        self.place != Place::Image && self.file.file_stem() == Some(self.plugin.as_str().as_ref())
    }

    /// How to revoke the grant, for somebody who no longer needs the plugin.
    pub(crate) fn how_to_revoke(&self) -> String {
        if self.is_own() {
            format!("revoke the approval with: bootc-image plugin revoke {}", self.plugin)
        } else if let Some(empty) = &self.replacement {
            format!("replace {} by an empty file with: touch {}", self.file.display(), empty.display())
        } else {
            format!("remove its grant from {}", self.file.display())
        }
    }
}

/// Why a plugin is refused that was approved as a policy and no longer is one, and what to do next. Approving it in its new role
/// would silently remove a policy.
pub(crate) fn was_policy(grants: &[Found], plugin: &PluginId) -> Option<(String, String)> {
    let grant = grants.iter().find(|grant| grant.plugin == *plugin && grant.is_of_policy())?;
    let reason = format!(
        "{} approves it as a policy, but the installed version is not a policy",
        grant.file.display()
    );
    Some((reason, revoke_if_not_needed(grant)))
}

/// What to do if an approved policy has become a plugin of another kind.
pub(crate) fn revoke_if_not_needed(grant: &Found) -> String {
    format!("if it is no longer needed as a policy, {}", grant.how_to_revoke())
}

/// Reads all grants that can be read, and returns with them why others cannot be read.
pub(crate) fn read(places: &Places) -> (Vec<Found>, Vec<Problem>) {
    let drop_ins = drop_ins(&places.grants, |place| places.owner(*place));
    let of_directory = |error: &io::Error| Problem {
        what: format!("cannot read the approvals of plugins: {error}"),
        fix: None,
    };
    let mut problems: Vec<Problem> = drop_ins.problems.iter().map(of_directory).collect();
    let mut found = Vec::new();
    for (place, file) in &drop_ins.files {
        match read_file(places, **place, file) {
            Ok(grants) => found.extend(grants),
            Err(why) => problems.push(Problem {
                what: with_path(&file.named, &why),
                fix: fix_grants(&file.named, &places.replaceable_grants()),
            }),
        }
    }
    (found, problems)
}

/// Reads a grants file.
pub(crate) fn read_file(places: &Places, place: Place, file: &TrustedPath) -> Result<Vec<Found>, String> {
    tracing::info!(file = %file.named.display(), "reading grants");
    let text = read_drop_in(&file.real, places.owner(place)).map_err(|error| error.to_string())?;
    let mut found = parse(&text, place, &file.named).map_err(|error| error.to_string())?;
    let replacement = replacement(&file.named, &places.replaceable_grants());
    found.iter_mut().for_each(|grant| grant.replacement.clone_from(&replacement));
    Ok(found)
}

/// Reads the text of the grants file `file`, which was found in `place`.
///
/// # Errors
/// The first error in the text, with line and key.
pub fn parse(text: &str, place: Place, file: &Path) -> Result<Vec<Found>, Diagnostic> {
    let source = Source(text);
    let raw: RawGrants = toml::from_str(text).map_err(|error| source.syntax(&error))?;
    let grant = |raw: &RawGrant| {
        let plugin = source.id(&raw.plugin, "plugin")?;
        let sha256 = source.maybe(raw.sha256.as_ref(), "sha256", sha256_text)?;
        let manifest = source.maybe(raw.manifest.as_ref(), "manifest", sha256_text)?;
        let kind = |text: &str| one_of(text, &["native", "built-in"], "a plugin kind");
        let kind = source.maybe(raw.kind.as_ref(), "kind", kind)?;
        let (native, built_in) = (kind == Some("native"), kind == Some("built-in"));
        let role = |text: &str| named(text, Role::ALL, |role| role.name(), "a plugin role");
        let role = source.maybe(raw.role.as_ref(), "role", role)?;
        let mandatory = raw.mandatory.as_ref().filter(|mandatory| *mandatory.get_ref());
        if let (Some(mandatory), Some(Role::Format | Role::Command)) = (mandatory, role) {
            return Err(source.error_at(mandatory.span(), "mandatory", "only a policy can be mandatory"));
        }
        let mandatory = mandatory.is_some();
        for (key, given) in [("sha256", &sha256), ("manifest", &manifest)] {
            if given.is_none() && !built_in && (place != Place::Image || native) {
                let what = format!(
                    "missing: a grant of {plugin} needs the SHA-256 of its component or library (`sha256`) and of its \
                     plugin.toml (`manifest`); compute them with sha256sum"
                );
                return Err(source.error_at(raw.plugin.span(), key, what));
            }
        }
        if built_in {
            refuse_excess(source, raw, place)?;
        }
        let mut capabilities =
            raw.capability.iter().map(|raw| raw.capability(source)).collect::<Result<Vec<_>, _>>()?;
        capabilities.sort();
        Ok(Found {
            plugin,
            sha256,
            manifest,
            native,
            built_in,
            role,
            mandatory,
            capabilities,
            file: file.to_owned(),
            place,
            replacement: None,
        })
    };
    raw.grant.iter().map(grant).collect()
}

/// What a grant of a built-in plugin cannot have.
fn refuse_excess(source: Source<'_>, raw: &RawGrant, place: Place) -> Result<(), Diagnostic> {
    let excess = |span, key: &str, what: &str| Err(source.error_at(span, key, what));
    for (key, given) in [("sha256", &raw.sha256), ("manifest", &raw.manifest), ("role", &raw.role)] {
        if let Some(given) = given {
            let what =
                "is not accepted in a grant of a built-in plugin, which changes with bootc-image: remove it";
            return excess(given.span(), key, what);
        }
    }
    if let Some(mandatory) = &raw.mandatory {
        return excess(mandatory.span(), "mandatory", "only a policy can be mandatory");
    }
    if place == Place::User {
        return excess(
            raw.plugin.span(),
            "kind",
            "only an administrator can grant capabilities to a built-in plugin",
        );
    }
    match raw.capability.iter().find(|capability| !capability.name.get_ref().starts_with("podman-")) {
        Some(capability) => excess(
            capability.name.span(),
            "name",
            "a built-in plugin can be granted only podman-machine, podman-reads and podman-writes",
        ),
        None => Ok(()),
    }
}

/// The file that `plugin approve` writes.
pub(crate) fn file_of(places: &Places, plugin: &PluginId) -> Option<PathBuf> {
    let (_, directory) = places.grants.last()?;
    Some(directory.join(format!("{plugin}.toml")))
}

/// Writes a grant and replaces an earlier one. The file is on disk when this returns.
pub(crate) fn write(path: &Path, grant: &Grant) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    // The name begins with a dot, so that a file written in part is never read as a grant.
    let unfinished = directory.join(format!(".{}.unfinished", grant.plugin));
    let text = text(grant)?;
    replace(path, &unfinished, 0o644, |file| file.write_all(text.as_bytes()))?;
    File::open(directory)?.sync_all()
}

/// The content of a grants file.
#[derive(Serialize)]
struct Written<'a> {
    grant: [WrittenGrant<'a>; 1],
}

#[derive(Serialize)]
struct WrittenGrant<'a> {
    plugin: &'a str,
    sha256: &'a str,
    manifest: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    role: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    mandatory: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    capability: Vec<WrittenCapability<'a>>,
}

#[derive(Serialize)]
struct WrittenCapability<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
}

fn text(grant: &Grant) -> io::Result<String> {
    let Grant { plugin, sha256, manifest, native, role, mandatory, capabilities } = grant;
    let capabilities =
        capabilities.iter().map(|Capability { name, scope }| WrittenCapability { name, scope });
    let written = Written {
        grant: [WrittenGrant {
            plugin: plugin.as_str(),
            sha256,
            manifest,
            kind: native.then_some("native"),
            role: role.name(),
            mandatory: *mandatory,
            capability: capabilities.collect(),
        }],
    };
    let full_authority = if *native {
        "# It runs without a sandbox, with all rights of the user who starts bootc-image.\n"
    } else {
        ""
    };
    let grant = toml::to_string(&written).map_err(io::Error::other)?;
    Ok(format!("# Written by: bootc-image plugin approve {plugin}\n{full_authority}{grant}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was_granted() {
        let capability =
            |name: &str, scope: &str| Capability { name: name.to_owned(), scope: scope.to_owned() };
        let awkward = "/srv/e\u{301} \"\\u{e9}' # ]";
        for (native, role, mandatory, capabilities) in [
            (false, Role::Policy, true, Vec::new()),
            (false, Role::Command, false, Vec::new()),
            (true, Role::Format, false, vec![capability("color", ""), capability("podman-reads", awkward)]),
        ] {
            let grant = Grant {
                plugin: PluginId::new("p").unwrap(),
                sha256: "0".repeat(64),
                manifest: "1".repeat(64),
                native,
                role,
                mandatory,
                capabilities,
            };
            let file = Path::new("/etc/bootc-image/grants.d/p.toml");
            let found = parse(&text(&grant).unwrap(), Place::Site, file).unwrap();
            let [found] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!((found.sha256(), found.manifest()), (Some(&*grant.sha256), Some(&*grant.manifest)));
            assert_eq!((&found.plugin, found.native), (&grant.plugin, native));
            assert_eq!((found.role, found.mandatory), (Some(role), mandatory));
            assert_eq!(found.capabilities, grant.capabilities);
        }
    }

    #[test]
    fn only_policies_are_mandatory_and_what_a_grant_is_for_may_be_left_out() {
        let read = |rest: &str| {
            let text = format!("[[grant]]\nplugin = \"p\"\n{rest}\n");
            let found = parse(&text, Place::Image, Path::new("p.toml")).map_err(|error| error.to_string())?;
            Ok::<_, String>((found[0].role, found[0].mandatory))
        };
        assert_eq!(read(""), Ok((None, false)));
        assert_eq!(read("mandatory = true"), Ok((None, true)));
        assert_eq!(read("role = \"policy\"\nmandatory = true"), Ok((Some(Role::Policy), true)));
        assert_eq!(read("role = \"format\"\nmandatory = false"), Ok((Some(Role::Format), false)));
        assert_eq!(
            read("role = \"format\"\nmandatory = true").unwrap_err(),
            "line 4: `mandatory`: only a policy can be mandatory"
        );
        let unknown = read("role = \"polcy\"").unwrap_err();
        assert!(unknown.starts_with("line 3: `role`: \"polcy\"") && unknown.contains("policy"), "{unknown}");
    }

    #[test]
    fn only_an_administrator_gives_capabilities_to_a_built_in_plugin() {
        let text = "[[grant]]\nplugin = \"p\"\nkind = \"built-in\"\n\
                    capability = [{ name = \"podman-reads\", scope = \"/etc/x\" }]\n";
        for place in [Place::Image, Place::Site] {
            let found = parse(text, place, Path::new("p.toml")).unwrap().remove(0);
            assert!(found.built_in && !found.native && found.sha256().is_none(), "{found:?}");
        }
        let refused = parse(text, Place::User, Path::new("p.toml")).unwrap_err().to_string();
        assert_eq!(
            refused,
            "line 2: `kind`: only an administrator can grant capabilities to a built-in plugin"
        );
    }
}

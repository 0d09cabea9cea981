//! The shape of `plugin.toml`, before anything in it is believed. Its descriptions are those of the published schema.

use std::num::NonZeroU32;

use bootc_image_model::capability::Capability;
use bootc_image_model::pattern::Pattern;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::capabilities::{Bounds, CAPABILITIES};
use crate::limits::Wishes;
use crate::sanitize;
use crate::strict::{Complaint, Source, named};

/// What a plugin is, what it is made of, and what it asks for.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawManifest {
    /// The form of this file: 1.
    #[cfg_attr(test, schemars(with = "i64"))]
    pub(crate) schema: Spanned<i64>,
    /// Name of the plugin and of its directory: lower-case letters, digits and `-`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) id: Spanned<String>,
    /// The plugin's own version.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) version: Spanned<String>,
    /// Versions of the WIT packages that it works with, or of `bootc_image_extension.h`, as a requirement such as `^0.1`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) api: Spanned<String>,
    /// What it is made of: exactly one component, or one library.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<Vec<RawComponent>>"))]
    pub(crate) component: Option<Spanned<Vec<RawComponent>>>,
    /// Native code that it is made of instead, which runs with full authority.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<Vec<RawNative>>"))]
    pub(crate) native: Option<Spanned<Vec<RawNative>>>,
    /// Subcommands of `cmd` that it owns, of a plugin that plans commands.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<Vec<RawCommand>>"))]
    pub(crate) command: Option<Spanned<Vec<RawCommand>>>,
    /// Formats of lists that it offers, of a plugin that formats.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<Vec<RawFormat>>"))]
    pub(crate) format: Option<Spanned<Vec<RawFormat>>>,
    /// What it asks the host for.
    #[serde(default)]
    pub(crate) capability: Vec<RawCapability>,
    /// What it would like to use.
    pub(crate) limits: Option<RawLimits>,
}

/// A component.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawComponent {
    /// Plain name of a `.wasm` file next to the manifest.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) file: Spanned<String>,
    /// `bootc-image:policy/validator`, `bootc-image:format/output` or `bootc-image:command/wrapper`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) world: Spanned<String>,
    /// Digest of the file in lower-case hexadecimal.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(crate) sha256: Option<Spanned<String>>,
    /// What a policy is asked about; without it, everything.
    #[cfg_attr(test, schemars(with = "Option<RawWhen>"))]
    pub(crate) when: Option<Spanned<RawWhen>>,
    /// Whether a policy is also asked before names are looked up, when no image has a digest.
    #[cfg_attr(test, schemars(with = "Option<bool>"))]
    pub(crate) before_lookup: Option<Spanned<bool>>,
}

/// A shared library.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawNative {
    /// Plain name of a `.so` file next to the manifest.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) file: Spanned<String>,
    /// What it does: `policy`, `format` or `command`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) role: Spanned<String>,
    /// Digest of the file in lower-case hexadecimal.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) sha256: Spanned<String>,
    /// What a policy is asked about; without it, everything.
    #[cfg_attr(test, schemars(with = "Option<RawWhen>"))]
    pub(crate) when: Option<Spanned<RawWhen>>,
    /// Whether a policy is also asked before names are looked up, when no image has a digest.
    #[cfg_attr(test, schemars(with = "Option<bool>"))]
    pub(crate) before_lookup: Option<Spanned<bool>>,
}

/// Which operations concern a policy. Both must match, where both are given.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWhen {
    /// Kinds of operations, `*` stands for anything: `copy-to-storage`, `cmd pull`, `cmd *`.
    #[cfg_attr(test, schemars(with = "Option<Vec<String>>"))]
    pub(crate) operations: Option<Vec<Spanned<String>>>,
    /// Names of images without tag and digest: `quay.io/example/*`, `quay.io/**`. One image that matches is enough.
    #[cfg_attr(test, schemars(with = "Option<Vec<String>>"))]
    pub(crate) references: Option<Vec<Spanned<String>>>,
}

/// A claim on a subcommand of `cmd`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCommand {
    /// The subcommand.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) name: Spanned<String>,
    /// One line for help.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) summary: Spanned<String>,
    /// The arguments, as help shows them after the name.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(crate) args: Option<Spanned<String>>,
}

/// A format of lists.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFormat {
    /// Its name, as typed after `list --format`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) name: Spanned<String>,
    /// One line for help.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) summary: Spanned<String>,
    /// What may be typed after its name and `=`, as help calls it.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(crate) argument: Option<Spanned<String>>,
    /// The columns that it wants, in this order: the plugin sees no others.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub(crate) columns: Spanned<Vec<Spanned<String>>>,
}

/// Something that a plugin asks the host for, or is granted.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCapability {
    /// Its name.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) name: Spanned<String>,
    /// How far it goes: names of images, as in `when`, of `lists-images`, `copies-images` and `pulls-images`; a directory of
    /// `podman-reads` and `podman-writes`; an option of `podman-machine`; none of `color`.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(crate) scope: Option<Spanned<String>>,
    /// Why a plugin asks for it, in one sentence; not of a grant.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(crate) reason: Option<Spanned<String>>,
}

/// What a run may use.
#[derive(Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawLimits {
    /// Memory in MiB.
    memory_mib: Option<NonZeroU32>,
    /// Processor time in ms.
    guest_ms: Option<NonZeroU32>,
    /// Time in ms.
    wall_ms: Option<NonZeroU32>,
}

impl RawLimits {
    pub(crate) fn wishes(self) -> Wishes {
        Wishes {
            memory_mib: self.memory_mib.map(NonZeroU32::get),
            guest_ms: self.guest_ms.map(NonZeroU32::get),
            wall_ms: self.wall_ms.map(NonZeroU32::get),
        }
    }
}

impl RawCapability {
    pub(crate) fn capability(&self, source: Source<'_>) -> Result<Capability, Complaint> {
        let known = source.checked(&self.name, "name", |text| {
            named(text, CAPABILITIES, |known| known.name, "a known capability")
        })?;
        let bounds = known.bounds;
        let scope = match &self.scope {
            None if bounds == Bounds::Nothing => String::new(),
            None => {
                return Err(source.complain(
                    self.name.span(),
                    "scope",
                    format!("missing: {}", bounds.what()),
                ));
            }
            Some(given) => source.checked(given, "scope", |text| {
                if !bounds.fit(text) || !sanitize::is_clean(text) {
                    return Err(format!("{text:?} is not {}", bounds.what()));
                }
                if bounds == Bounds::Names {
                    Pattern::new(text)?.check_names()?;
                }
                Ok(text.to_owned())
            })?,
        };
        Ok(Capability { name: known.name.to_owned(), scope })
    }
}

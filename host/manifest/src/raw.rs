//! The structure of `plugin.toml`, before its values are validated. The doc comments are the descriptions in the published schema.

use std::num::NonZeroU32;

use bootc_image_model::capability::Capability;
use bootc_image_model::pattern::Pattern;
use bootc_image_model::sanitize;
#[cfg(feature = "schemas")]
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::PartialLimits;
use crate::capabilities::{Bounds, CAPABILITIES};
use crate::strict::{Diagnostic, Source, named};

/// A plugin's manifest: what it is, which code it has, what it provides and what it requests.
#[derive(Deserialize)]
#[cfg_attr(feature = "schemas", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawManifest {
    /// Version of the manifest format: 1.
    #[cfg_attr(feature = "schemas", schemars(with = "i64"))]
    pub(crate) schema: Spanned<i64>,
    /// Name of the plugin and of its directory: lower-case letters, digits and `-`.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) id: Spanned<String>,
    /// The plugin's own version.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) version: Spanned<String>,
    /// Versions of the plugin interface that it works with, as a requirement such as `^0.1`: of the WIT packages, or of
    /// `bootc_image_extension.h` for native code.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) api: Spanned<String>,
    /// Its WebAssembly component: exactly one, unless it has a native library.
    #[serde(default)]
    #[cfg_attr(feature = "schemas", schemars(with = "Option<Vec<RawComponent>>"))]
    pub(crate) component: Option<Spanned<Vec<RawComponent>>>,
    /// Its native library instead of a component: exactly one, which runs with full authority.
    #[serde(default)]
    #[cfg_attr(feature = "schemas", schemars(with = "Option<Vec<RawNative>>"))]
    pub(crate) native: Option<Spanned<Vec<RawNative>>>,
    /// Subcommands of `cmd` that it provides. Only for wrappers, which need at least one.
    #[serde(default)]
    #[cfg_attr(feature = "schemas", schemars(with = "Option<Vec<RawCommand>>"))]
    pub(crate) command: Option<Spanned<Vec<RawCommand>>>,
    /// Formats of lists that it provides. Only for formats, which need at least one.
    #[serde(default)]
    #[cfg_attr(feature = "schemas", schemars(with = "Option<Vec<RawFormat>>"))]
    pub(crate) format: Option<Spanned<Vec<RawFormat>>>,
    /// Capabilities that it requests.
    #[serde(default)]
    pub(crate) capability: Vec<RawCapability>,
    /// Limits that it requests.
    pub(crate) limits: Option<RawLimits>,
}

/// A WebAssembly component.
#[derive(Deserialize)]
#[cfg_attr(feature = "schemas", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawComponent {
    /// Name of the `.wasm` file, which is next to the manifest.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) file: Spanned<String>,
    /// The WIT world that it implements: `bootc-image:policy/validator`, `bootc-image:format/output` or
    /// `bootc-image:command/wrapper`.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) world: Spanned<String>,
    /// SHA-256 of the file in lower-case hexadecimal.
    #[cfg_attr(feature = "schemas", schemars(with = "Option<String>"))]
    pub(crate) sha256: Option<Spanned<String>>,
    /// Operations that a policy judges. Without it, the policy judges all operations.
    #[cfg_attr(feature = "schemas", schemars(with = "Option<RawWhen>"))]
    pub(crate) when: Option<Spanned<RawWhen>>,
    /// Whether a policy also judges operations before references are resolved, when no image has a digest yet.
    #[cfg_attr(feature = "schemas", schemars(with = "Option<bool>"))]
    pub(crate) before_lookup: Option<Spanned<bool>>,
}

/// A native shared library.
#[derive(Deserialize)]
#[cfg_attr(feature = "schemas", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawNative {
    /// Name of the `.so` file, which is next to the manifest.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) file: Spanned<String>,
    /// Its role: `policy`, `format` or `command`.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) role: Spanned<String>,
    /// SHA-256 of the file in lower-case hexadecimal.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) sha256: Spanned<String>,
    /// Operations that a policy judges. Without it, the policy judges all operations.
    #[cfg_attr(feature = "schemas", schemars(with = "Option<RawWhen>"))]
    pub(crate) when: Option<Spanned<RawWhen>>,
    /// Whether a policy also judges operations before references are resolved, when no image has a digest yet.
    #[cfg_attr(feature = "schemas", schemars(with = "Option<bool>"))]
    pub(crate) before_lookup: Option<Spanned<bool>>,
}

/// Operations that a policy judges. If both keys are given, an operation must match both.
#[derive(Deserialize)]
#[cfg_attr(feature = "schemas", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWhen {
    /// Kinds of operations, where `*` matches anything: `copy-to-storage`, `cmd pull`, `cmd *`.
    #[cfg_attr(feature = "schemas", schemars(with = "Option<Vec<String>>"))]
    pub(crate) operations: Option<Vec<Spanned<String>>>,
    /// Patterns of image names without tag and digest: `quay.io/example/*`, `quay.io/**`. One matching image is enough.
    #[cfg_attr(feature = "schemas", schemars(with = "Option<Vec<String>>"))]
    pub(crate) references: Option<Vec<Spanned<String>>>,
}

/// A subcommand of `cmd` that a plugin provides.
#[derive(Deserialize)]
#[cfg_attr(feature = "schemas", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCommand {
    /// The subcommand.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) name: Spanned<String>,
    /// One line for help.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) summary: Spanned<String>,
    /// The arguments, as shown in the help after the name.
    #[cfg_attr(feature = "schemas", schemars(with = "Option<String>"))]
    pub(crate) args: Option<Spanned<String>>,
}

/// A format of lists.
#[derive(Deserialize)]
#[cfg_attr(feature = "schemas", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFormat {
    /// Its name, as typed after `list --format`.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) name: Spanned<String>,
    /// One line for help.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub(crate) summary: Spanned<String>,
    /// Placeholder in the help for an argument typed as `NAME=ARGUMENT`. Without it, the format takes no argument.
    #[cfg_attr(feature = "schemas", schemars(with = "Option<String>"))]
    pub(crate) argument: Option<Spanned<String>>,
    /// The columns that the plugin gets, in this order. It sees no others.
    #[cfg_attr(feature = "schemas", schemars(with = "Vec<String>"))]
    pub(crate) columns: Spanned<Vec<Spanned<String>>>,
}

/// A capability that a plugin requests or was granted.
#[derive(Deserialize)]
#[cfg_attr(feature = "schemas", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawCapability {
    /// Its name.
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub name: Spanned<String>,
    /// What it covers. `lists-images`, `copies-images` and `pulls-images`: a pattern of image names, as in `when`. `podman-reads`
    /// and `podman-writes`: a directory. `podman-machine`: an option of podman. `color` has no scope.
    #[cfg_attr(feature = "schemas", schemars(with = "Option<String>"))]
    pub(crate) scope: Option<Spanned<String>>,
    /// Why the plugin requests it, in one sentence. Not used in grants.
    #[cfg_attr(feature = "schemas", schemars(with = "Option<String>"))]
    pub(crate) reason: Option<Spanned<String>>,
}

/// The names of the formats in an invalid manifest, as far as they can be read.
pub fn format_names(text: &str) -> Vec<String> {
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let formats = table.get("format").and_then(toml::Value::as_array).into_iter().flatten();
    let names = formats.filter_map(|format| format.get("name").and_then(toml::Value::as_str));
    names.map(str::to_owned).collect()
}

/// Limits of one run.
#[derive(Clone, Copy, Deserialize)]
#[cfg_attr(feature = "schemas", derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawLimits {
    /// Memory in MiB.
    memory_mib: Option<NonZeroU32>,
    /// Processor time in ms.
    guest_ms: Option<NonZeroU32>,
    /// Elapsed time in ms.
    wall_ms: Option<NonZeroU32>,
}

impl RawLimits {
    /// The limits that are given.
    pub fn partial(self) -> PartialLimits {
        PartialLimits {
            memory_mib: self.memory_mib.map(NonZeroU32::get),
            guest_ms: self.guest_ms.map(NonZeroU32::get),
            wall_ms: self.wall_ms.map(NonZeroU32::get),
        }
    }
}

impl RawCapability {
    /// The capability, if it is known and has a valid scope.
    ///
    /// # Errors
    /// What is wrong, with the line and the key.
    pub fn capability(&self, source: Source<'_>) -> Result<Capability, Diagnostic> {
        let known = source.checked(&self.name, "name", |text| {
            named(text, CAPABILITIES, |known| known.name, "a known capability")
        })?;
        let bounds = known.bounds;
        let scope = match &self.scope {
            None if bounds == Bounds::Nothing => String::new(),
            None => {
                return Err(source.error_at(
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

//! The shape of `plugin.toml`, before anything in it is believed.

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawManifest {
    pub(super) schema: Spanned<i64>,
    pub(super) id: Spanned<String>,
    pub(super) version: Spanned<String>,
    pub(super) api: Spanned<String>,
    pub(super) component: Spanned<Vec<RawComponent>>,
    pub(super) command: Spanned<Vec<RawCommand>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawComponent {
    pub(super) file: Spanned<String>,
    pub(super) world: Spanned<String>,
    pub(super) sha256: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCommand {
    pub(super) name: Spanned<String>,
    pub(super) summary: Spanned<String>,
    pub(super) args: Option<Spanned<String>>,
}

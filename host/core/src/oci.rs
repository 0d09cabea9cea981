//! Documents of the OCI image format, as far as they are read here.

use serde::Deserialize;

use crate::digest::Digest;

#[derive(Deserialize)]
struct Configuration {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

/// The digests of an image's layers, not compressed, lowest first, as its configuration names them.
///
/// # Errors
/// If it isn't such a configuration.
pub(crate) fn diff_ids(configuration: &[u8]) -> serde_json::Result<Vec<Digest>> {
    serde_json::from_slice(configuration).map(|configuration: Configuration| configuration.rootfs.diff_ids)
}

//! What operations may use. It gives no access to the pipeline, so no operation can start another one unjudged.

use bootc_image_stores::host::Host;

use crate::plugin::Plugins;

/// The host and the plugins.
pub struct Context<'a> {
    /// The host that operations act on.
    pub host: Host<'a>,
    /// The plugins, which plan commands and judge operations.
    pub plugins: &'a dyn Plugins,
}

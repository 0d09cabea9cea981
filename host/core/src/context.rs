//! What operations may use of the world. Nobody gets from here back into the pipeline.

use bootc_image_stores::host::Host;

use crate::plugin::Plugins;

/// Everything that operations need of the world.
pub struct Context<'a> {
    /// The host that they are about.
    pub host: Host<'a>,
    /// Who plans commands and judges.
    pub plugins: &'a dyn Plugins,
}

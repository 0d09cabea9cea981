//! Which plugins are installed, which of them are enabled, and why. Their code is not run here; only its digest is computed.
//!
//! ```text
//! config.d --configuration----\
//! plugin.toml --manifest------ inventory --> Plugin, with its status, or Broken, or Masked
//! grants.d --grants, status---/                |
//!                                            missed: policies that were approved or are mandatory, and are not installed
//!                                            way_out: how to continue without a policy that cannot judge
//! ```

pub(crate) mod code;
pub mod configuration;
pub(crate) mod entries;
pub(crate) mod environment;
pub mod grants;
pub mod hidden;
pub mod inventory;
pub(crate) mod missed;
pub(crate) mod status;
pub(crate) mod way_out;

//! Which plugins there are, which of them count, and why. Nothing of their code is run here, and nothing but its digest looked at.
//!
//! ```text
//! config.d --configuration----\
//! plugin.toml --manifest------ inventory --> Plugin, with its standing, or Broken, or Masked
//! grants.d --grants, standing-/                |
//!                                            missed: what was approved, or must be there, and isn't
//! ```

pub(crate) mod code;
pub mod configuration;
pub mod grants;
pub mod hidden;
pub mod inventory;
pub(crate) mod missed;
pub(crate) mod standing;
pub(crate) mod surroundings;

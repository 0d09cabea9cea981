//! The domain of bootc-image.
pub mod plugin;

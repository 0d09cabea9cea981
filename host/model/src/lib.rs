//! Values of bootc-image. Nothing here does I/O, reads a clock or looks at the environment.
//!
//! - [`mod@reference`], [`digest`], [`pattern`], [`oci`]: names of images and what they mean
//! - [`image`]: images as operations name them; [`columns`]: what a list tells of one
//! - [`subject`]: who asks; [`capability`], [`grant`], [`plugin`]: what plugins may do
//! - [`view`]: what policies see; [`denial`]: how they refuse
//! - [`settings`], [`configuration`]: what the outside says

pub mod capability;
pub mod columns;
pub mod configuration;
pub mod denial;
pub mod digest;
pub mod grant;
pub mod image;
pub mod oci;
pub mod pattern;
pub mod plugin;
pub mod reference;
pub mod settings;
pub mod subject;
pub mod view;

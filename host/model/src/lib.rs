//! The values of bootc-image. Nothing here does I/O (except [`subject::login_uid`]), reads a clock or depends on the environment.
//!
//! - [`mod@reference`], [`digest`], [`pattern`], [`oci`]: names and contents of images
//! - [`image`]: the images of operations; [`columns`]: the columns of lists
//! - [`subject`]: the caller; [`capability`], [`grant`], [`plugin`]: plugins and their permissions
//! - [`policy_input`]: the policy input; [`denial`]: denials
//! - [`settings`], [`configuration`]: settings of this run and of the administrator
//! - [`sanitize`]: the texts of plugins
//! - [`plugin_settings`], [`digest_list`]: settings of plugins

pub mod capability;
pub mod columns;
pub mod configuration;
pub mod denial;
pub mod digest;
pub mod digest_list;
pub mod grant;
pub mod image;
pub mod oci;
pub mod pattern;
pub mod plugin;
pub mod plugin_settings;
pub mod policy_input;
pub mod reference;
pub mod sanitize;
pub mod settings;
pub mod subject;

//! One file a command: its arguments, whose comments are its help, and how they become a request.

pub(crate) mod cmd;
pub(crate) mod completion;
pub(crate) mod copy_to_storage;
pub(crate) mod list;
pub(crate) mod plugin;
pub(crate) mod policy;
pub(crate) mod prune;
pub(crate) mod pull_from_default_storage;
pub(crate) mod remove;
pub(crate) mod repair;
pub(crate) mod set_unified;

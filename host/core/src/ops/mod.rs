//! What can be done to a host. An operation is one file: what is asked for, what that becomes once every name in it is resolved,
//! what policies see of it, who may ask for it, how it runs and what it answers. Here they are gathered, so that a new one is a
//! line in each of these lists.

pub mod approve_plugin;
pub mod cmd;
pub mod copy_to_storage;
pub mod exists;
pub mod list;
pub mod prune;
pub mod pull_from_default_storage;
pub mod remove;
pub mod repair;
pub mod revoke_plugin;
pub(crate) mod seen;
pub mod set_unified;
#[cfg(test)]
mod tests;

use bootc_image_grammar::OwnOperation;
use bootc_image_model::image::Removal;
use bootc_image_model::plugin::PluginId;
use serde::Serialize;

use crate::assumed::Assumed;
use crate::context::Context;
use crate::error::Error;
use crate::listing::Listing;
use crate::policy::approved::Approved;
use seen::Seen;

/// What a caller asks for, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// List images.
    List(list::List),
    /// Tell whether this host has an image.
    Exists(exists::Exists),
    /// Copy an image of this host to podman's storage.
    CopyToStorage(copy_to_storage::Request),
    /// Copy images of podman's storage to bootc's.
    PullFromDefaultStorage(pull_from_default_storage::Request),
    /// Get the booted image into bootc's storage.
    SetUnified(set_unified::Request),
    /// Remove images from bootc's storage.
    Remove(remove::Request),
    /// Remove what nobody needs from bootc's storage.
    Prune(prune::Request),
    /// Replace the layers of images of bootc's storage by ones that are fetched anew.
    Repair(repair::Request),
    /// Run a plugin's command.
    Cmd(cmd::Request),
    /// Let a plugin run that was found, with what its manifest asks for.
    ApprovePlugin(approve_plugin::Request),
    /// Take that back.
    RevokePlugin(revoke_plugin::Request),
}

/// What is judged and what runs: typed, with every name resolved to what it means now (D3.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Operation {
    /// List images.
    List(list::List),
    /// Tell whether this host has an image.
    Exists(exists::Exists),
    /// Copy an image of this host to podman's storage.
    CopyToStorage(copy_to_storage::CopyToStorage),
    /// Copy an image of podman's storage to bootc's.
    PullFromDefaultStorage(pull_from_default_storage::PullFromDefaultStorage),
    /// Get the booted image into bootc's storage, so that updates build on it there.
    SetUnified(set_unified::SetUnified),
    /// Remove an image, or names of one, from bootc's storage.
    Remove(remove::Remove),
    /// Remove an image that nobody needs from bootc's storage.
    Prune(prune::Prune),
    /// Replace the layers and documents of an image of bootc's storage by ones that are fetched anew. Its names stay.
    Repair(repair::Repair),
    /// Run podman on bootc's storage.
    Cmd(cmd::Cmd),
    /// Write down that a plugin may run.
    ApprovePlugin(approve_plugin::ApprovePlugin),
    /// Remove what was written down.
    RevokePlugin(revoke_plugin::RevokePlugin),
}

/// What an operation answers. Renderers turn it into text; nothing here prints.
#[derive(Debug)]
pub enum Report {
    /// Images.
    Listing(Listing),
    /// Whether an image is there.
    Existence(exists::Existence),
    /// An image was copied to podman's storage.
    Copied(copy_to_storage::Copied),
    /// An image was copied to bootc's storage.
    Pulled(pull_from_default_storage::Pulled),
    /// An image, or names of one, are gone from bootc's storage.
    Removed(Removal),
    /// The layers and documents of an image of bootc's storage were replaced.
    Repaired(repair::Repaired),
    /// podman ran, and its output is already where it belongs.
    Exited {
        /// Its own code; 128 + N if signal N ended it.
        code: u8,
    },
    /// A plugin may run now.
    Approved(approve_plugin::Granted),
    /// A plugin may no longer run.
    Revoked(revoke_plugin::Revoked),
}

/// A request: what it becomes.
trait Ask {
    /// Whether it changes something or starts podman on a store: such a request needs root and is recorded (D3.4).
    fn acts(&self) -> bool {
        true
    }

    /// Finds out what every name in it means now.
    fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error>;

    /// What it would be if names meant what a test of policies says.
    fn assume(&self, assumed: &Assumed) -> Result<Vec<Operation>, Error>;
}

/// An operation: what everybody must know of it who judges or records it.
trait Operate {
    /// Its name in records and messages.
    const KIND: &'static str;

    /// Its name for policies: what a person would type.
    fn policy_kind(&self) -> String {
        Self::KIND.to_owned()
    }

    /// What policies see of it; none if they have no say in it. `resolved` says whether its names were looked up.
    fn seen(&self, resolved: bool) -> Option<Seen>;

    /// Whether a plugin may ask for it.
    fn for_plugins(&self) -> ForPlugins;

    /// What a caller needs leave for who is root on another's behalf.
    fn delegated(&self) -> Vec<Delegated> {
        Vec::new()
    }

    /// Whether it takes something away and adds nothing: that must be possible on a full disk.
    fn only_takes_away(&self) -> bool {
        false
    }

    /// What it removes.
    fn removal(&self) -> Option<&Removal> {
        None
    }

    /// Does it. Only [`Approved`] operations come here.
    fn execute(self, context: &Context<'_>) -> Result<Report, Error>;
}

/// The operations that a request becomes.
#[derive(Default)]
pub(crate) struct Resolved {
    /// One after the other; none if there is nothing to do.
    pub(crate) operations: Vec<Operation>,
    /// Why others can't be done, which nobody named.
    pub(crate) failed: Vec<Error>,
}

impl From<Operation> for Resolved {
    fn from(operation: Operation) -> Self {
        vec![operation].into()
    }
}

impl From<Vec<Operation>> for Resolved {
    fn from(operations: Vec<Operation>) -> Self {
        Self { operations, failed: Vec::new() }
    }
}

/// Whether a plugin may ask for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForPlugins {
    /// With this capability, and within its scope.
    Needs(&'static str),
    /// It plans podman's commands, which the grammar bounds.
    PlansIt,
    /// If it owns a subcommand of podman that is another name for this operation.
    Owns(OwnOperation),
    /// Never.
    Never,
}

/// What a caller needs leave for who is root on another's behalf (D0.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delegated {
    /// Approving and revoking plugins.
    Plugins,
    /// Building images.
    Builds,
    /// Loading archives.
    Loads,
    /// There is none to be had: it could hand root's credentials to anybody.
    Insecure,
}

impl Request {
    fn ask(&self) -> &dyn Ask {
        match self {
            Self::List(request) => request,
            Self::Exists(request) => request,
            Self::CopyToStorage(request) => request,
            Self::PullFromDefaultStorage(request) => request,
            Self::SetUnified(request) => request,
            Self::Remove(request) => request,
            Self::Prune(request) => request,
            Self::Repair(request) => request,
            Self::Cmd(request) => request,
            Self::ApprovePlugin(request) => request,
            Self::RevokePlugin(request) => request,
        }
    }

    /// Whether it changes something or starts podman on a store: such a request needs root and is recorded (D3.4).
    pub fn acts(&self) -> bool {
        self.ask().acts()
    }

    pub(crate) fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error> {
        self.ask().resolve(context)
    }

    pub(crate) fn assume(&self, assumed: &Assumed) -> Result<Vec<Operation>, Error> {
        self.ask().assume(assumed)
    }
}

/// Does something with the operation itself, whichever it is.
macro_rules! with_each {
    ($operation:expr, $one:ident => $do:expr) => {
        match $operation {
            Operation::List($one) => $do,
            Operation::Exists($one) => $do,
            Operation::CopyToStorage($one) => $do,
            Operation::PullFromDefaultStorage($one) => $do,
            Operation::SetUnified($one) => $do,
            Operation::Remove($one) => $do,
            Operation::Prune($one) => $do,
            Operation::Repair($one) => $do,
            Operation::Cmd($one) => $do,
            Operation::ApprovePlugin($one) => $do,
            Operation::RevokePlugin($one) => $do,
        }
    };
}

impl Operation {
    /// The kinds of those that policies judge, but for `cmd`: there it is a subcommand that counts.
    pub const JUDGED: &[&str] = &[
        list::List::KIND,
        exists::Exists::KIND,
        copy_to_storage::CopyToStorage::KIND,
        pull_from_default_storage::PullFromDefaultStorage::KIND,
        set_unified::SetUnified::KIND,
        remove::Remove::KIND,
        prune::Prune::KIND,
        repair::Repair::KIND,
    ];

    /// Its name in records and messages.
    pub fn kind(&self) -> &'static str {
        fn kind<T: Operate>(_: &T) -> &'static str {
            T::KIND
        }
        with_each!(self, operation => kind(operation))
    }

    pub(crate) fn policy_kind(&self) -> String {
        with_each!(self, operation => operation.policy_kind())
    }

    pub(crate) fn seen(&self, resolved: bool) -> Option<Seen> {
        with_each!(self, operation => operation.seen(resolved))
    }

    pub(crate) fn for_plugins(&self) -> ForPlugins {
        with_each!(self, operation => operation.for_plugins())
    }

    pub(crate) fn delegated(&self) -> Vec<Delegated> {
        with_each!(self, operation => operation.delegated())
    }

    pub(crate) fn only_takes_away(&self) -> bool {
        with_each!(self, operation => operation.only_takes_away())
    }

    pub(crate) fn removal(&self) -> Option<&Removal> {
        with_each!(self, operation => operation.removal())
    }

    /// The plugin whose plan it is.
    pub(crate) fn plugin(&self) -> Option<&PluginId> {
        match self {
            Self::Cmd(cmd) => Some(&cmd.plugin),
            _ => None,
        }
    }
}

impl Approved<Operation> {
    /// Does what was approved.
    pub(crate) fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        with_each!(self.into_inner(), operation => operation.execute(context))
    }
}

//! The operations. Each has its own file: the request, the operation that the request resolves to, its policy input, who may request
//! it, how it runs, and its report. A new operation is one file, and one line in each of the lists below.

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
use seen::PolicyInputParts;

/// A request of a caller, with names as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    List(list::List),
    Exists(exists::Exists),
    CopyToStorage(copy_to_storage::Request),
    PullFromDefaultStorage(pull_from_default_storage::Request),
    SetUnified(set_unified::Request),
    Remove(remove::Request),
    Prune(prune::Request),
    Repair(repair::Request),
    Cmd(cmd::Request),
    ApprovePlugin(approve_plugin::Request),
    RevokePlugin(revoke_plugin::Request),
}

/// An operation that is judged and then run. Every name in it is resolved to a digest or an id, so what runs is what was judged even
/// if a tag moves in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Operation {
    List(list::List),
    Exists(exists::Exists),
    CopyToStorage(copy_to_storage::CopyToStorage),
    PullFromDefaultStorage(pull_from_default_storage::PullFromDefaultStorage),
    SetUnified(set_unified::SetUnified),
    Remove(remove::Remove),
    Prune(prune::Prune),
    Repair(repair::Repair),
    Cmd(cmd::Cmd),
    ApprovePlugin(approve_plugin::ApprovePlugin),
    RevokePlugin(revoke_plugin::RevokePlugin),
}

/// The result of an operation. The command line renders it; nothing here prints.
#[derive(Debug)]
pub enum Report {
    Listing(Listing),
    Existence(exists::Existence),
    Copied(copy_to_storage::Copied),
    Pulled(pull_from_default_storage::Pulled),
    Removed(Removal),
    Repaired(repair::Repaired),
    /// podman ran, with its output connected to ours.
    Exited {
        /// podman's exit code, or 128 + N if signal N ended it.
        code: u8,
    },
    Approved(approve_plugin::Granted),
    Revoked(revoke_plugin::Revoked),
}

/// Implemented by all requests.
trait Resolve {
    /// Whether it changes something, or starts podman on a storage. Such a request needs root and is recorded.
    fn acts(&self) -> bool {
        true
    }

    /// Resolves every name on this host.
    fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error>;

    /// Resolves every name to the values that a test of policies assumes.
    fn assume(&self, assumed: &Assumed) -> Result<Vec<Operation>, Error>;
}

/// Implemented by all operations, for judging, recording and running them.
trait Operate {
    /// Its name in the audit record and in messages.
    const KIND: &'static str;

    /// Its name in the policy input: the words that a user types.
    fn policy_kind(&self) -> String {
        Self::KIND.to_owned()
    }

    /// Its part of the policy input; none if policies do not judge it. `resolved` tells whether its names are resolved.
    fn seen(&self, resolved: bool) -> Option<PolicyInputParts>;

    /// Whether plugins may request it.
    fn for_plugins(&self) -> ForPlugins;

    /// What a delegated caller must be allowed in order to run it.
    fn delegated(&self) -> Vec<Delegated> {
        Vec::new()
    }

    /// Whether it only removes something, and so must be possible on a full disk.
    fn only_removes(&self) -> bool {
        false
    }

    /// The image or names that it removes.
    fn removal(&self) -> Option<&Removal> {
        None
    }

    /// Runs it. Only reached through [`Approved`].
    fn execute(self, context: &Context<'_>) -> Result<Report, Error>;
}

/// The operations that a request resolves to.
#[derive(Default)]
pub(crate) struct Resolved {
    /// In the order in which they run; empty if there is nothing to do.
    pub(crate) operations: Vec<Operation>,
    /// Errors of images that the request did not name itself, and that do not prevent the others.
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

/// Whether plugins may request an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForPlugins {
    /// With this capability, and within its scope.
    Needs(&'static str),
    /// As a plan, which the grammar limits.
    PlansIt,
    /// If the plugin provides a subcommand of podman that stands for this operation.
    Provides(OwnOperation),
    Never,
}

/// What the configuration must allow a delegated caller, who became root through sudo, pkexec, doas or setuid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delegated {
    /// Approving and revoking plugins.
    Plugins,
    /// Building images.
    Builds,
    /// Loading archives.
    Loads,
    /// Connections without TLS verification. Never allowed: root's credentials could be intercepted.
    Insecure,
}

impl Request {
    fn inner(&self) -> &dyn Resolve {
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

    /// Whether it changes something, or starts podman on a storage. Such a request needs root and is recorded.
    pub fn acts(&self) -> bool {
        self.inner().acts()
    }

    pub(crate) fn resolve(&self, context: &Context<'_>) -> Result<Resolved, Error> {
        self.inner().resolve(context)
    }

    pub(crate) fn assume(&self, assumed: &Assumed) -> Result<Vec<Operation>, Error> {
        self.inner().assume(assumed)
    }
}

/// Evaluates an expression with the inner operation, of whichever type it is.
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
    /// The kinds that policies judge, except `cmd`, whose kinds include the subcommand.
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

    /// Its name in the audit record and in messages.
    pub fn kind(&self) -> &'static str {
        fn kind<T: Operate>(_: &T) -> &'static str {
            T::KIND
        }
        with_each!(self, operation => kind(operation))
    }

    pub(crate) fn policy_kind(&self) -> String {
        with_each!(self, operation => operation.policy_kind())
    }

    pub(crate) fn seen(&self, resolved: bool) -> Option<PolicyInputParts> {
        with_each!(self, operation => operation.seen(resolved))
    }

    pub(crate) fn for_plugins(&self) -> ForPlugins {
        with_each!(self, operation => operation.for_plugins())
    }

    pub(crate) fn delegated(&self) -> Vec<Delegated> {
        with_each!(self, operation => operation.delegated())
    }

    pub(crate) fn only_removes(&self) -> bool {
        with_each!(self, operation => operation.only_removes())
    }

    pub(crate) fn removal(&self) -> Option<&Removal> {
        with_each!(self, operation => operation.removal())
    }

    /// The plugin that planned it.
    pub(crate) fn plugin(&self) -> Option<&PluginId> {
        match self {
            Self::Cmd(cmd) => Some(&cmd.plugin),
            _ => None,
        }
    }
}

impl Approved<Operation> {
    pub(crate) fn execute(self, context: &Context<'_>) -> Result<Report, Error> {
        with_each!(self.into_inner(), operation => operation.execute(context))
    }
}

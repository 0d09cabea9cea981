//! The known capabilities, and which scopes each can have.

use bootc_image_model::capability::{COPIES_IMAGES, LISTS_IMAGES, PULLS_IMAGES};
use bootc_image_model::pattern::Pattern;

use crate::World;

/// A known capability.
#[derive(Clone, Copy)]
pub(crate) struct KnownCapability {
    pub(crate) name: &'static str,
    /// The only kind of plugin that can request it. None: any kind; capabilities of plans have no effect for other kinds.
    pub(crate) world: Option<World>,
    pub(crate) bounds: Bounds,
}

/// The kind of scope that a capability has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// No scope.
    Nothing,
    /// A pattern of image names.
    Names,
    /// A directory.
    Directory,
    /// An option of podman, possibly with its only value.
    Option,
}

impl Bounds {
    pub(crate) fn fit(self, scope: &str) -> bool {
        match self {
            Self::Nothing => scope.is_empty(),
            Self::Names => {
                let last = scope.rsplit('/').next().unwrap_or(scope);
                let is_path = !scope.contains("://") && !scope.contains('@') && !last.contains(':');
                is_path && !scope.is_empty() && Pattern::new(scope).is_ok()
            }
            Self::Directory => {
                scope.starts_with('/') && scope.split('/').all(|part| part != ".." && part != ".")
            }
            Self::Option => {
                let (option, value) = scope.split_once('=').unwrap_or((scope, "-"));
                let is_name = option.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
                !option.is_empty() && is_name && !value.is_empty()
            }
        }
    }

    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Nothing => "empty: this capability has no scope",
            Self::Names => {
                "a pattern of image names without transport, tag or digest, such as quay.io/example/**"
            }
            Self::Directory => "an absolute path",
            Self::Option => "the long name of an option, or OPTION=VALUE",
        }
    }
}

/// All known capabilities, sorted by name.
pub(crate) const CAPABILITIES: &[KnownCapability] = &[
    KnownCapability { name: "color", world: Some(World::FormatOutput), bounds: Bounds::Nothing },
    KnownCapability { name: COPIES_IMAGES, world: Some(World::CommandWrapper), bounds: Bounds::Names },
    KnownCapability { name: LISTS_IMAGES, world: Some(World::CommandWrapper), bounds: Bounds::Names },
    KnownCapability { name: "podman-machine", world: None, bounds: Bounds::Option },
    KnownCapability { name: "podman-reads", world: None, bounds: Bounds::Directory },
    KnownCapability { name: "podman-writes", world: None, bounds: Bounds::Directory },
    KnownCapability { name: PULLS_IMAGES, world: Some(World::CommandWrapper), bounds: Bounds::Names },
];

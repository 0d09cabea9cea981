//! The plugins that are built into this executable. Apart from that they are ordinary plugins.

use std::borrow::Cow;

/// A built-in plugin: its manifest, which is not parsed yet, and its compiled component.
#[derive(Debug, Clone)]
pub struct Builtin {
    pub(crate) origin: Cow<'static, str>,
    pub(crate) manifest: Cow<'static, str>,
    pub(crate) artefact: Artefact,
    pub(crate) component_sha256: Cow<'static, str>,
}

impl Builtin {
    /// Creates a built-in plugin. `origin` names it in messages, also if its manifest is invalid. `component_sha256` is the digest, in
    /// lower-case hexadecimal, of the component that `artefact` was compiled from.
    pub fn new(
        origin: impl Into<Cow<'static, str>>,
        manifest: impl Into<Cow<'static, str>>,
        artefact: Artefact,
        component_sha256: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            origin: origin.into(),
            manifest: manifest.into(),
            artefact,
            component_sha256: component_sha256.into(),
        }
    }
}

/// Machine code that a component was compiled to. The sandbox is part of this code, so loading altered code would run it with all
/// rights of the host. Therefore an artefact can only be created with `unsafe`.
#[derive(Clone)]
pub struct Artefact(Cow<'static, [u8]>);

impl Artefact {
    /// Declares `bytes` to be trusted machine code.
    ///
    /// # Safety
    /// They must be the unchanged output of `bootc-image-plugin-builder`. An artefact with other settings or of another version of
    /// wasmtime is safe: it is refused when it is loaded.
    #[allow(unsafe_code)]
    pub const unsafe fn trusted(bytes: Cow<'static, [u8]>) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Artefact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Artefact({} bytes)", self.0.len())
    }
}

/// The built-in plugins.
pub fn builtins() -> Vec<Builtin> {
    let code = include_bytes!(env!("PODMAN_ALLOWLIST_CWASM"));
    // SAFETY: the build script of this crate compiled it, and it has been part of this executable since.
    #[allow(unsafe_code)]
    let artefact = unsafe { Artefact::trusted(Cow::Borrowed(code)) };
    vec![Builtin::new(
        "built-in podman-allowlist",
        include_str!("../../../plugins/podman-allowlist/plugin.toml"),
        artefact,
        env!("PODMAN_ALLOWLIST_SHA256"),
    )]
}

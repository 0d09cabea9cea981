//! The plugins that are part of this executable. They are ordinary plugins otherwise.

use std::borrow::Cow;

/// A plugin before anything of it has been looked at: its manifest and its compiled component.
#[derive(Debug, Clone)]
pub struct Builtin {
    pub(crate) origin: Cow<'static, str>,
    pub(crate) manifest: Cow<'static, str>,
    pub(crate) artefact: Artefact,
    pub(crate) component_sha256: Cow<'static, str>,
}

impl Builtin {
    /// Puts a plugin together. `origin` names it where its manifest can't; `component_sha256` is the digest, in lower-case
    /// hexadecimal, of the component that `artefact` was compiled from.
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

/// Machine code that a component was compiled to. It runs with the rights of the host once it is loaded: the sandbox is in
/// the code itself. So having one means that somebody vouched for it.
#[derive(Clone)]
pub struct Artefact(Cow<'static, [u8]>);

impl Artefact {
    /// Vouches for `bytes`.
    ///
    /// # Safety
    /// They must be what `bootc-image-plugin-builder` compiled, unchanged since. An artefact of other settings or of
    /// another version of wasmtime is safe: it is refused when it is loaded.
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
    // SAFETY: the build script of this crate has just compiled it, and it is part of this executable since.
    #[allow(unsafe_code)]
    let artefact = unsafe { Artefact::trusted(Cow::Borrowed(code)) };
    vec![Builtin::new(
        "built-in podman-allowlist",
        include_str!("../../../plugins/podman-allowlist/plugin.toml"),
        artefact,
        env!("PODMAN_ALLOWLIST_SHA256"),
    )]
}

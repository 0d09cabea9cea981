//! Converts core modules to components, and compiles components to machine code.

use std::path::PathBuf;

#[cfg(feature = "precompile")]
use bootc_image_engine_config::baseline;
use sha2::{Digest, Sha256};
use wit_component::ComponentEncoder;

use crate::Error;

/// The first bytes of a component, in which it differs from a core module.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A component. It depends only on the sources, the lock file and the toolchain.
#[derive(Debug)]
pub struct Component {
    package: String,
    bytes: Vec<u8>,
    pub(crate) sources: Vec<PathBuf>,
}

impl Component {
    /// Converts the core module of a plugin crate to a component; a component is kept as it is. `sources` are the files from which it
    /// was built.
    pub(crate) fn from_module(package: &str, module: &[u8], sources: Vec<PathBuf>) -> Result<Self, Error> {
        if module.starts_with(COMPONENT) {
            return Ok(Self { package: package.to_owned(), bytes: module.to_owned(), sources });
        }
        let encode = || ComponentEncoder::default().validate(true).module(module)?.encode();
        let bytes = encode().map_err(|error| Error::Componentise {
            package: package.to_owned(),
            reason: format!("{error:#}"),
        })?;
        Ok(Self { package: package.to_owned(), bytes, sources })
    }

    /// The package from which it was built.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// The bytes of the component.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of [`bytes`](Self::bytes) in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        Sha256::digest(&self.bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Adds the digest of this component to the text of a manifest.
    pub fn named_in(&self, manifest: &str) -> String {
        let line = format!("[[component]]\nsha256 = \"{}\"\n", self.sha256());
        manifest.replacen("[[component]]\n", &line, 1)
    }

    /// Compiles it to machine code for `target`, a target triple of rustc.
    ///
    /// # Errors
    /// [`Error::UnsupportedTarget`] or [`Error::Compile`].
    #[cfg(feature = "precompile")]
    pub fn precompile(&self, target: &str) -> Result<Vec<u8>, Error> {
        let target = baseline(target).ok_or_else(|| Error::UnsupportedTarget(target.to_owned()))?;
        let compile = || {
            let mut config = bootc_image_engine_config::engine_config();
            config.target(target)?;
            wasmtime::Engine::new(&config)?.precompile_component(&self.bytes)
        };
        compile().map_err(|error| Error::Compile {
            package: self.package.clone(),
            target,
            reason: format!("{error:#}"),
        })
    }
}

#[cfg(all(test, feature = "precompile"))]
mod tests {
    use super::*;

    #[test]
    fn both_c_libraries_share_a_baseline() {
        assert_eq!(baseline("x86_64-unknown-linux-gnu"), Some("x86_64-unknown-linux-gnu"));
        assert_eq!(baseline("x86_64-unknown-linux-musl"), Some("x86_64-unknown-linux-gnu"));
    }

    #[test]
    fn another_target_is_named_in_the_error() {
        for target in ["aarch64-unknown-linux-gnu", "x86_64-pc-windows-msvc", ""] {
            assert_eq!(baseline(target), None);
            let error = Error::UnsupportedTarget(target.to_owned()).to_string();
            assert!(error.contains(&format!("for {target}: only x86_64 Linux")), "{error}");
        }
    }

    #[test]
    fn a_module_without_a_world_is_no_component() {
        let error = Component::from_module("nothing", b"\0asm", Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("cannot make a component of nothing: "), "{error}");
    }
}

//! Converts core modules to components, and compiles components to machine code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    directory: PathBuf,
    bytes: Vec<u8>,
    pub(crate) sources: Vec<PathBuf>,
}

impl Component {
    /// Converts the core module of a plugin crate in `directory` to a component; a component is kept as it is. `sources` are the files
    /// from which it was built.
    pub(crate) fn from_module(
        package: &str,
        directory: PathBuf,
        module: &[u8],
        sources: Vec<PathBuf>,
    ) -> Result<Self, Error> {
        let package = package.to_owned();
        if module.starts_with(COMPONENT) {
            return Ok(Self { package, directory, bytes: module.to_owned(), sources });
        }
        let encode = || ComponentEncoder::default().validate(true).module(module)?.encode();
        match encode() {
            Ok(bytes) => Ok(Self { package, directory, bytes, sources }),
            Err(error) => Err(Error::Componentise { package, reason: format!("{error:#}") }),
        }
    }

    /// The package from which it was built.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// The directory of the package.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The bytes of the component.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of [`bytes`](Self::bytes) in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        Sha256::digest(&self.bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The text of a manifest with the digest of this component, instead of another one if it has one. None if it has no line
    /// `[[component]]`, below which the digest belongs.
    pub fn named_in(&self, manifest: &str) -> Option<String> {
        let is_section = |line: &str| line.split('#').next().unwrap_or_default().trim() == "[[component]]";
        let is_digest = |line: &str| line.split_once('=').is_some_and(|(key, _)| key.trim() == "sha256");
        let mut text = String::new();
        let (mut is_there, mut is_inside) = (false, false);
        for line in manifest.lines() {
            if line.trim_start().starts_with('[') {
                is_inside = is_section(line);
            } else if is_inside && is_digest(line) {
                continue;
            }
            text.push_str(line);
            text.push('\n');
            if is_inside && is_section(line) {
                text.push_str(&format!("sha256 = \"{}\"\n", self.sha256()));
                is_there = true;
            }
        }
        is_there.then_some(text)
    }

    /// Has bootc-image-helper compile it to machine code, as a host does. Intermediate files are in `scratch`, which is created and
    /// removed.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Start`], or [`Error::Helper`] with the reason that the helper reports.
    pub fn compile(&self, helper: &Path, scratch: &Path) -> Result<Vec<u8>, Error> {
        let file = |source| Error::File { path: scratch.to_owned(), source };
        let (component, code) = (scratch.join("component"), scratch.join("code"));
        fs::create_dir_all(scratch).map_err(file)?;
        fs::write(&component, &self.bytes).map_err(file)?;
        // The helper works on descriptors 3 and 4, which the shell opens.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec \"$0\" compile 3<\"$1\" 4>\"$2\""]).arg(helper).arg(&component).arg(&code);
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|source| Error::Start { program: helper.to_owned(), source })?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Helper { status: output.status, reason });
        }
        let compiled = fs::read(&code).map_err(file)?;
        fs::remove_dir_all(scratch).map_err(file)?;
        Ok(compiled)
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
    fn the_digest_is_added_or_replaced() {
        let component = Component::from_module("p", PathBuf::new(), COMPONENT, Vec::new()).unwrap();
        let digest = format!("sha256 = \"{}\"\n", component.sha256());
        let expected =
            format!("id = \"p\"\n[[component]] # it\n{digest}file = \"p.wasm\"\n\n[limits]\nsha256 = 1\n");
        let without = expected.replace(&digest, "");
        let with_another = expected.replace(&digest, "").replace("file", "sha256 = \"0\"\nfile");
        for text in [&without, &with_another, &without.replace('\n', "\r\n"), &expected] {
            assert_eq!(component.named_in(text).as_ref(), Some(&expected), "{text}");
        }
        assert_eq!(component.named_in("component = [{ file = \"p.wasm\" }]\n"), None);
    }

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
        let error = Component::from_module("nothing", PathBuf::new(), b"\0asm", Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("cannot make a component of nothing: "), "{error}");
    }
}

//! Builds plugin crates of this workspace as components, and compiles components to machine code. It is only a build dependency, so
//! that no shipped executable contains Cranelift.
//!
//! ```text
//! crate --Builder::build--> Component (sha256: the same in every clone) --Component::precompile--> artefact (this target)
//! ```
//!
//! A build script calls [`embed`], which does both and tells cargo which files to watch.

mod component;
mod nested;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::{env, fs};

pub use component::Component;
pub use nested::Builder;

/// Why a plugin could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process is not a build script run by cargo in a workspace.
    #[error("{0}: plugins are built by a build script of this workspace")]
    Environment(String),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// cargo cannot be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The path of cargo.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The toolchain has no standard library for components.
    #[error("the target {target} is not installed; install it with `rustup target add {target}`")]
    TargetMissing {
        /// The missing target.
        target: &'static str,
    },
    /// cargo failed, and has written the reason to stderr.
    #[error("building {packages} for {target} failed; see the output of cargo above")]
    Cargo {
        /// The packages.
        packages: String,
        /// The target.
        target: &'static str,
    },
    /// cargo has built no WebAssembly module of the package.
    #[error("package {package} builds no WebAssembly module")]
    NoModule {
        /// The package.
        package: String,
    },
    /// The module cannot be converted to a component.
    #[error("cannot make a component of {package}: {reason}")]
    Componentise {
        /// The package of the module.
        package: String,
        /// The error of wit-component.
        reason: String,
    },
    /// bootc-image-helper cannot compile the component.
    #[error("bootc-image-helper cannot compile the component ({status}): {reason}")]
    Helper {
        /// How it ended.
        status: ExitStatus,
        /// What it reported.
        reason: String,
    },
    /// Plugins cannot be compiled for this target.
    #[error("plugins cannot be compiled ahead of time for {0}: only x86_64 Linux is supported")]
    UnsupportedTarget(String),
    /// wasmtime cannot compile the component.
    #[error("cannot compile {package} for {target}: {reason}")]
    Compile {
        /// The package of the component.
        package: String,
        /// The target.
        target: &'static str,
        /// The error of wasmtime.
        reason: String,
    },
}

/// A compiled plugin in `OUT_DIR`.
#[derive(Debug)]
pub struct Embedded {
    /// The package.
    pub package: String,
    /// SHA-256 of the component in lower-case hexadecimal.
    pub sha256: String,
    /// The file with the machine code, for `include_bytes!`.
    pub artefact: PathBuf,
    /// The file with the component.
    pub component: PathBuf,
}

/// Builds `packages` with one run of cargo, compiles them for the target of this build, and writes `<package>.cwasm` for each of them
/// to `OUT_DIR`. For build scripts.
///
/// # Errors
/// Any [`Error`].
#[cfg(feature = "precompile")]
pub fn embed(packages: &[&str]) -> Result<Vec<Embedded>, Error> {
    embed_with(&Builder::from_build_script()?, packages)
}

/// Like [`embed`], with a builder for another target.
///
/// # Errors
/// Any [`Error`].
#[cfg(feature = "precompile")]
pub fn embed_with(builder: &Builder, packages: &[&str]) -> Result<Vec<Embedded>, Error> {
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let target = variable("TARGET")?;
    let components = builder.build(packages)?;
    watch(builder.inputs(&components));
    let embed_one = |component: &Component| {
        let artefact = out_dir.join(format!("{}.cwasm", component.package()));
        write(&artefact, &component.precompile(&target)?)?;
        let path = artefact.with_extension("wasm");
        write(&path, component.bytes())?;
        let (package, sha256) = (component.package().to_owned(), component.sha256());
        Ok(Embedded { package, sha256, artefact, component: path })
    };
    components.iter().map(embed_one).collect()
}

#[cfg(feature = "precompile")]
#[expect(clippy::print_stdout, reason = "a build script passes instructions to cargo on stdout")]
fn watch(paths: impl IntoIterator<Item = PathBuf>) {
    for path in paths {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}

fn variable(name: &str) -> Result<String, Error> {
    env::var(name).map_err(|_| Error::Environment(format!("{name} is not set")))
}

#[cfg(feature = "precompile")]
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

//! Turns plugin crates of this workspace into components, and components into machine code. Only ever a build dependency:
//! nothing of it, Cranelift least of all, reaches an executable that is shipped.
//!
//! ```text
//! crate --Builder::build--> Component (sha256: the same in every clone) --Component::precompile--> artefact (this target)
//! ```
//!
//! A build script calls [`embed`], which does all of it and tells cargo what to watch.

mod component;
mod nested;

use std::io;
use std::path::{Path, PathBuf};
use std::{env, fs};

pub use component::Component;
pub use nested::Builder;

/// Why a plugin couldn't be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not run by cargo as a build script, or in a place without a workspace.
    #[error("{0}: plugins are built by a build script of this workspace")]
    Surroundings(String),
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// cargo can't be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// What was to be started.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The toolchain has no standard library for components.
    #[error("the target {target} is not installed; install it with `rustup target add {target}`")]
    TargetMissing {
        /// Its name.
        target: &'static str,
    },
    /// cargo has said why on stderr.
    #[error("building {packages} for {target} failed; see the output of cargo above")]
    Cargo {
        /// What was built.
        packages: String,
        /// For what.
        target: &'static str,
    },
    /// The module isn't a component of one of our worlds.
    #[error("cannot make a component of {package}: {reason}")]
    Componentise {
        /// Whose module.
        package: String,
        /// What wit-component says.
        reason: String,
    },
    /// No compiled plugins for this machine.
    #[error("plugins cannot be compiled ahead of time for {0}: only x86_64 Linux is supported")]
    UnsupportedTarget(String),
    /// Cranelift refuses the component.
    #[error("cannot compile {package} for {target}: {reason}")]
    Compile {
        /// Whose component.
        package: String,
        /// For what.
        target: &'static str,
        /// What wasmtime says.
        reason: String,
    },
}

/// A plugin that lies ready in `OUT_DIR`.
#[derive(Debug)]
pub struct Embedded {
    /// The package.
    pub package: String,
    /// Digest of the component, in lower-case hexadecimal.
    pub sha256: String,
    /// The machine code, to be embedded with `include_bytes!`.
    pub artefact: PathBuf,
    /// The component itself.
    pub component: PathBuf,
}

/// Builds `packages` in one go, compiles them for the target of this build, and puts `<package>.cwasm` for each into
/// `OUT_DIR`. For build scripts.
///
/// # Errors
/// [`Error`]; its text is meant for whoever builds.
#[cfg(feature = "precompile")]
pub fn embed(packages: &[&str]) -> Result<Vec<Embedded>, Error> {
    embed_with(&Builder::from_build_script()?, packages)
}

/// As [`embed`], with a builder for another target.
///
/// # Errors
/// As [`embed`].
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
#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn watch(paths: impl IntoIterator<Item = PathBuf>) {
    for path in paths {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}

fn variable(name: &str) -> Result<String, Error> {
    env::var(name).map_err(|_| Error::Surroundings(format!("{name} is not set")))
}

#[cfg(feature = "precompile")]
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

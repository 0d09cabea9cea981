//! Runs cargo inside cargo: compiles plugin crates to core modules, in an environment that does not depend on the outer build.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use serde::Deserialize;

use crate::component::Component;
use crate::{Error, read, variable};

const TARGET: &str = "wasm32-unknown-unknown";
/// The target that produces components, which import WASI.
pub(crate) const WASI: &str = "wasm32-wasip2";
const PROFILE: &str = "component";

/// Environment variables that are passed on. All others are removed: flags, wrappers and settings of the outer build, such as clippy's
/// wrapper, would change the component or break the build.
const KEPT: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "TERM",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUSTC",
    // Both runs of cargo share the job limit.
    "CARGO_MAKEFLAGS",
];

/// Prefixes of environment variables that are passed on too: they affect how the registry is reached, but not what is built.
const KEPT_PREFIXES: &[&str] = &["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTRIES_", "SSL_CERT_"];

/// Builds plugin crates of one workspace.
#[derive(Debug)]
pub struct Builder {
    cargo: PathBuf,
    workspace: PathBuf,
    target_dir: PathBuf,
    target: &'static str,
    options: Vec<OsString>,
}

/// What cargo reports of a crate that it has compiled, or that was compiled already.
#[derive(Deserialize)]
struct Artifact {
    package_id: String,
    manifest_path: PathBuf,
    filenames: Vec<PathBuf>,
}

impl Artifact {
    /// Reads one line of cargo's output, which also has lines of other kinds.
    fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The name of its package. Its id ends with `#NAME@VERSION`, or with `/NAME#VERSION`.
    fn package(&self) -> Option<&str> {
        let (source, version) = self.package_id.rsplit_once('#')?;
        match version.split_once('@') {
            Some((name, _)) => Some(name),
            None => source.rsplit('/').next(),
        }
    }

    fn module(&self) -> Option<&Path> {
        let is_module = |file: &&PathBuf| file.extension().is_some_and(|end| end == "wasm");
        self.filenames.iter().find(is_module).map(PathBuf::as_path)
    }
}

impl Builder {
    /// A builder for the workspace in `workspace`, with intermediate files in `target_dir`.
    pub fn new(workspace: impl Into<PathBuf>, target_dir: impl Into<PathBuf>) -> Self {
        let cargo = env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from);
        let (workspace, target_dir) = (workspace.into(), target_dir.into());
        Self { cargo, workspace, target_dir, target: TARGET, options: vec!["--locked".into()] }
    }

    /// A builder for the workspace of the running build script.
    ///
    /// Intermediate files are next to the profiles of the outer build and not in `OUT_DIR`, so that debug and release builds, and
    /// plugins that are shipped and those of the tests, compile the binding generator only once. cargo locks this directory, so only
    /// one nested build runs at a time.
    ///
    /// # Errors
    /// [`Error::Environment`] if the process is not a build script of a workspace.
    pub fn from_build_script() -> Result<Self, Error> {
        let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
        let out_dir = PathBuf::from(variable("OUT_DIR")?);
        let workspace = ancestor_with(&manifest_dir, "Cargo.lock")
            .ok_or_else(|| Error::Environment(format!("no Cargo.lock above {}", manifest_dir.display())))?;
        // PROFILE/build/PACKAGE/out is below it.
        let target_dir = out_dir.ancestors().nth(4).unwrap_or(&out_dir).join("components");
        Ok(Self::new(workspace, target_dir))
    }

    /// Builds for WASI instead.
    #[must_use]
    pub fn for_wasi(self) -> Self {
        Self { target: WASI, ..self }
    }

    /// Passes these options to cargo instead of `--locked`.
    #[must_use]
    pub fn with_options(self, options: Vec<OsString>) -> Self {
        Self { options, ..self }
    }

    /// Builds `packages` with one run of cargo. Each must be a `cdylib` of the workspace.
    ///
    /// # Errors
    /// Any [`Error`]. The messages of cargo go to stderr.
    pub fn build(&self, packages: &[&str]) -> Result<Vec<Component>, Error> {
        let mut command = self.command(packages)?;
        // Only cargo knows which files it built: a file with the expected name may be left from an earlier build.
        let output =
            command.output().map_err(|source| Error::Start { program: self.cargo.clone(), source })?;
        if !output.status.success() {
            return Err(if target_installed(self.target) {
                Error::Cargo { packages: packages.join(", "), target: self.target }
            } else {
                Error::TargetMissing { target: self.target }
            });
        }
        let lines = output.stdout.split(|&byte| byte == b'\n');
        let built: Vec<Artifact> = lines.filter_map(Artifact::parse).collect();
        packages.iter().map(|package| component(package, &built)).collect()
    }

    /// All files on which `components` depend, for cargo to watch: their sources and those of local dependencies, the manifests of
    /// these packages, and the workspace's manifest and lock file.
    pub fn inputs(&self, components: &[Component]) -> BTreeSet<PathBuf> {
        let sources = components.iter().flat_map(|component| &component.sources);
        let manifests = sources
            .clone()
            .filter_map(|source| ancestor_with(source, "Cargo.toml"))
            .map(|package| package.join("Cargo.toml"));
        let pins = ["Cargo.toml", "Cargo.lock"].map(|name| self.workspace.join(name));
        sources.cloned().chain(manifests).chain(pins).collect()
    }

    fn command(&self, packages: &[&str]) -> Result<Command, Error> {
        let mut command = Command::new(&self.cargo);
        command
            .current_dir(&self.workspace)
            .env_clear()
            .envs(env::vars_os().filter(|(name, _)| is_kept(name)));
        command.env("CARGO_ENCODED_RUSTFLAGS", self.rustflags()?);
        command.args(["build", "--message-format=json-render-diagnostics", "--profile", PROFILE]);
        command.args(["--target", self.target, "--target-dir"]).arg(&self.target_dir).args(&self.options);
        for package in packages {
            command.args(["--package", package]);
        }
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        Ok(command)
    }

    /// Replaces the paths of the build machine in panic messages, the only place where they would remain in a component.
    fn rustflags(&self) -> Result<OsString, Error> {
        let cargo_home = match env::var_os("CARGO_HOME") {
            Some(home) => PathBuf::from(home),
            None => PathBuf::from(variable("HOME")?).join(".cargo"),
        };
        // The last matching prefix wins, and the target directory is usually inside the workspace.
        let prefixes = [
            (cargo_home.as_path(), "/cargo"),
            (&self.workspace, "/workspace"),
            (&self.target_dir, "/target"),
        ];
        let mut flags = OsString::new();
        for (from, to) in prefixes {
            if !flags.is_empty() {
                flags.push("\x1f");
            }
            flags.push("--remap-path-prefix=");
            flags.push(from);
            flags.push("=");
            flags.push(to);
        }
        Ok(flags)
    }
}

/// The component of a package, from the module that cargo reports.
fn component(package: &str, built: &[Artifact]) -> Result<Component, Error> {
    let of_package = built.iter().filter(|artifact| artifact.package() == Some(package));
    let found =
        of_package.filter_map(|artifact| artifact.module().map(|module| (artifact, module))).next_back();
    let Some((artifact, module)) = found else { return Err(Error::NoModule { package: package.to_owned() }) };
    let listing = read(&module.with_extension("d"))?;
    let sources = dependencies(&String::from_utf8_lossy(&listing));
    let directory = artifact.manifest_path.parent().unwrap_or(Path::new("")).to_owned();
    Component::from_module(package, directory, &read(module)?, sources)
}

fn is_kept(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let proxy = name.to_ascii_lowercase().ends_with("_proxy");
    proxy || KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The nearest directory at or above `start` that contains the file `name`.
fn ancestor_with<'a>(start: &'a Path, name: &str) -> Option<&'a Path> {
    start.ancestors().find(|directory| directory.join(name).is_file())
}

/// The prerequisites in a makefile with one rule, as cargo writes it: `target: file file`, with spaces in names escaped.
fn dependencies(makefile: &str) -> Vec<PathBuf> {
    let Some((_, files)) = makefile.lines().next().and_then(|line| line.split_once(": ")) else {
        return Vec::new();
    };
    let protected = files.replace("\\ ", "\0");
    protected.split_whitespace().map(|file| PathBuf::from(file.replace('\0', " "))).collect()
}

/// Whether the toolchain has a standard library for the target. If that is unknown, returns true, and the error of cargo is shown.
fn target_installed(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    output.map_or(true, |output| {
        let directory = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        !output.status.success() || fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_outer_build_are_dropped() {
        let dropped = [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTC_WORKSPACE_WRAPPER",
            "CARGO_TARGET_DIR",
            "CARGO_CFG_UNIX",
        ];
        assert!(dropped.iter().all(|name| !is_kept(OsStr::new(name))));
        assert!(
            ["PATH", "https_proxy", "NO_PROXY", "CARGO_NET_OFFLINE"]
                .iter()
                .all(|name| is_kept(OsStr::new(name)))
        );
    }

    #[test]
    fn the_artifacts_of_cargo_are_read() {
        let line = |id: &str, file: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"package_id\":\"path+file:///w/{id}\",\"manifest_path\":\"/w/p/Cargo.toml\",\
                 \"filenames\":[\"/t/{file}\"],\"fresh\":true}}"
            )
        };
        for (id, name) in [("p#1.0.0", "p"), ("plugins/x#p@1.0.0", "p"), ("other#1.0.0", "other")] {
            let artifact = Artifact::parse(line(id, "p.wasm").as_bytes()).unwrap();
            assert_eq!((artifact.package(), artifact.module()), (Some(name), Some(Path::new("/t/p.wasm"))));
        }
        let library = Artifact::parse(line("p#1.0.0", "libp.rlib").as_bytes()).unwrap();
        let error = component("p", &[library]).unwrap_err();
        assert_eq!(error.to_string(), "package p builds no WebAssembly module");
        for other in ["", "{\"reason\":\"build-finished\",\"success\":true}", "text of a build script"] {
            assert!(Artifact::parse(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn the_makefile_of_cargo_is_read() {
        let files = dependencies("/t/x.wasm: /w/a.rs /w/with\\ blank.rs /w/c.wit\n");
        assert_eq!(files, ["/w/a.rs", "/w/with blank.rs", "/w/c.wit"].map(PathBuf::from));
        assert!(dependencies("").is_empty());
    }

    #[test]
    fn paths_of_this_machine_are_remapped() {
        let flags = Builder::new("/w o/rk", "/w o/rk/target/components").rustflags().unwrap();
        let flags = flags.to_str().unwrap().split('\x1f').collect::<Vec<_>>();
        assert_eq!(
            flags[1..],
            [
                "--remap-path-prefix=/w o/rk=/workspace",
                "--remap-path-prefix=/w o/rk/target/components=/target"
            ]
        );
    }
}

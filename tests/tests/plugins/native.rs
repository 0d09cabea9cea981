//! Native extensions, compiled here and installed as a vendor would.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use bootc_image_tests::programs;
use bootc_image_tests::world::Enter;
use sha2::{Digest as _, Sha256};

use super::INSTALLED;

/// Switches native extensions on.
pub const ENABLED: &str = "[native]\nenabled = true\n";
pub const CONFIG: &str = "/etc/bootc-image/config.d/50-native.toml";
pub const GRANT: &str = "/etc/bootc-image/grants.d/50-native.toml";

/// A library that was compiled, and the manifest that goes with it.
pub struct Extension {
    pub id: String,
    pub manifest: String,
    pub code: Vec<u8>,
    /// Where it was compiled.
    pub path: PathBuf,
}

impl Extension {
    /// Compiles C or C++ with these options. `rest` is what its manifest says after `[[native]]`, file and digest.
    pub fn compiled(id: &str, source: &str, options: &[&str], rest: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let library =
            directory().join(format!("{id}-{:x}.so", Sha256::digest(format!("{source} {options:?}"))));
        // Tests run side by side: each library is compiled once by a process, and is whole whenever it is there.
        static COMPILED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        if !compiled.contains(&library) {
            let unfinished = library.with_extension(std::process::id().to_string());
            compile(&root, source, options, &unfinished);
            std::fs::rename(unfinished, &library).unwrap();
            compiled.insert(library.clone());
        }
        Self { path: library.clone(), ..Self::of(id, std::fs::read(library).unwrap(), rest) }
    }

    pub fn of(id: &str, code: Vec<u8>, rest: &str) -> Self {
        let manifest = format!(
            "schema = 1\nid = {id:?}\nversion = \"1.0.0\"\napi = \"^1.0\"\n[[native]]\nfile = \"extension.so\"\n\
             sha256 = \"{:x}\"\n{rest}",
            Sha256::digest(&code)
        );
        Self { id: id.to_owned(), manifest, code, path: PathBuf::new() }
    }

    pub fn install(&self, enter: Enter) -> Enter {
        let Self { id, manifest, code, .. } = self;
        enter
            .file(&format!("{INSTALLED}/{id}/plugin.toml"), manifest)
            .file(&format!("{INSTALLED}/{id}/extension.so"), code)
    }

    pub fn grant(&self) -> String {
        let (library, manifest) = (Sha256::digest(&self.code), Sha256::digest(&self.manifest));
        let id = &self.id;
        format!(
            "[[grant]]\nplugin = {id:?}\nkind = \"native\"\nsha256 = \"{library:x}\"\nmanifest = \"{manifest:x}\"\n"
        )
    }

    /// Installed, approved and enabled.
    pub fn enabled(&self, enter: Enter, settings: &str) -> Enter {
        self.install(enter).file(GRANT, self.grant()).file(CONFIG, format!("{ENABLED}{settings}"))
    }
}

fn compile(root: &Path, source: &str, options: &[&str], to: &Path) {
    let (compiler, standard) =
        if source.ends_with(".cpp") { ("c++", "-std=c++17") } else { ("cc", "-std=gnu11") };
    let output = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-shared", "-fvisibility=hidden"])
        .arg("-I")
        .arg(root.join("extension-sdk/include"))
        .args(options)
        .arg("-o")
        .arg(to)
        .arg(root.join(source))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn directory() -> PathBuf {
    let directory = programs::target().join("native");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

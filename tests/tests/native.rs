//! Native extensions on real storage: libraries compiled here, installed as a vendor would, held until they are approved and
//! enabled, and judging, formatting and planning as components do (D8).

mod plugins;

use std::path::{Path, PathBuf};
use std::process::Command;

use bootc_image_tests::world::Enter;
use bootc_image_tests::{World, programs};
use plugins::INSTALLED;
use sha2::{Digest as _, Sha256};

const ENABLED: &str = "[native]\nenabled = true\n";
const CONFIG: &str = "/etc/bootc-image/config.d/50-native.toml";
const GRANT: &str = "/etc/bootc-image/grants.d/50-native.toml";

/// A library that was compiled, and the manifest that goes with it.
struct Extension {
    id: String,
    manifest: String,
    library: Vec<u8>,
}

impl Extension {
    /// Compiles C with these options. `rest` is what its manifest says after `[[native]]`, file and digest.
    fn c(id: &str, source: &str, options: &[&str], rest: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let library = directory().join(format!("{id}.so"));
        let output = Command::new("cc")
            .args([
                "-std=c11",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-O2",
                "-fPIC",
                "-shared",
                "-fvisibility=hidden",
            ])
            .arg("-I")
            .arg(root.join("extension-sdk/include"))
            .args(options)
            .arg("-o")
            .arg(&library)
            .arg(root.join(source))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        Self::of(id, std::fs::read(library).unwrap(), rest)
    }

    fn of(id: &str, library: Vec<u8>, rest: &str) -> Self {
        let manifest = format!(
            "schema = 1\nid = {id:?}\nversion = \"1.0.0\"\napi = \"^1.0\"\n[[native]]\nfile = \"extension.so\"\n\
             sha256 = \"{:x}\"\n{rest}",
            Sha256::digest(&library)
        );
        Self { id: id.to_owned(), manifest, library }
    }

    fn install(&self, enter: Enter) -> Enter {
        let Self { id, manifest, library } = self;
        enter
            .file(&format!("{INSTALLED}/{id}/plugin.toml"), manifest)
            .file(&format!("{INSTALLED}/{id}/extension.so"), library)
    }

    fn grant(&self) -> String {
        let (library, manifest) = (Sha256::digest(&self.library), Sha256::digest(&self.manifest));
        let id = &self.id;
        format!(
            "[[grant]]\nplugin = {id:?}\nkind = \"native\"\nsha256 = \"{library:x}\"\nmanifest = \"{manifest:x}\"\n"
        )
    }

    /// Installed, approved and enabled.
    fn enabled(&self, enter: Enter, settings: &str) -> Enter {
        self.install(enter).file(GRANT, self.grant()).file(CONFIG, format!("{ENABLED}{settings}"))
    }
}

fn directory() -> PathBuf {
    let directory = programs::target().join("native");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

const ONE_REGISTRY: &str = "extension-sdk/examples/one-registry/one_registry.c";

fn one_registry() -> Extension {
    Extension::c("one-registry", ONE_REGISTRY, &[], "role = \"policy\"\n")
}

/// The policy's setting.
fn registry(name: &str) -> String {
    format!("[settings.one-registry]\nregistry = {name:?}\n")
}

#[test]
fn the_example_judges_real_copies() {
    let (world, extension) = (World::new(), one_registry());
    let enter = extension.enabled(world.enter(), &registry("127.0.0.1:5000"));
    let listed = enter.sh("bootc-image copy-to-storage && bootc-image list").ok().stdout;
    assert!(listed.contains("localhost/bootc"), "{listed}");

    let world = World::new();
    let denied = extension
        .enabled(world.enter(), &registry("quay.io"))
        .sh("bootc-image copy-to-storage || echo $?; bootc-image list")
        .ok();
    let reason = "denied: images come from one registry only, and this isn't it (see the setting registry of one-registry)";
    assert!(denied.stderr.contains(reason), "{denied:#?}");
    assert!(denied.stdout.starts_with("77\n") && !denied.stdout.contains("localhost/bootc"), "{denied:#?}");
    let said = &world.record().into_iter().find(|line| line.to_string().contains("other-registry")).unwrap();
    assert!(said.to_string().contains("docker://127.0.0.1:5000/lab/os:1"), "{said}");
}

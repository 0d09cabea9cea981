//! `package-plugins`: what authors do with it, and that it packages nothing that a host would refuse.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bootc_image_tests::programs;
use sha2::{Digest as _, Sha256};

const POLICY: &str = "\
use bootc_image_plugin_sdk::policy::{Operation, Policy, Verdict};
use bootc_image_plugin_sdk::{Problem, export_policy};

struct Packed;

impl Policy for Packed {
    fn evaluate(_: &Operation) -> Result<Verdict, Problem> {
        Ok(Verdict::allow(\"anything\"))
    }
}

export_policy!(Packed);
";

const WRAPPER: &str = "\
use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command, images};

struct Packed;

impl Command for Packed {
    fn plan(_: &str, _: &[String]) -> Result<Plan, Failure> {
        let listed = images::list(&[\"image\"], &[])?;
        Ok(Plan::run([\"list\"]).with_message(format!(\"{} images\", listed.len())))
    }
}

export_command!(Packed);
";

const PACKAGE: &str = "\
[package]
name = \"packed\"
version = \"1.0.0\"
edition = \"2024\"

[lib]
crate-type = [\"cdylib\"]

[dependencies]
bootc-image-plugin-sdk = { path = \"SDK\" }
";

const HEAD: &str = "schema = 1\nid = \"packed\"\nversion = \"1.0.0\"\napi = \"^0.1\"\n";
const COMPONENT: &str = "[[component]]\nfile = \"packed.wasm\"\nworld = \"bootc-image:policy/validator\"\n";

/// All workspaces use one target directory, and the plugins in them have one name.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An author's workspace with one plugin.
struct Workspace(PathBuf, #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

struct Packaged {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Workspace {
    fn new(name: &str) -> Self {
        let held = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let workspace = Self(programs::target().join("tmp").join(name), held);
        let _ = fs::remove_dir_all(&workspace.0);
        let members = "[workspace]\nresolver = \"3\"\nmembers = [\"plugins/*\"]\n\n[profile.component]\ninherits = \"release\"\n";
        workspace.write("Cargo.toml", members);
        workspace.package(PACKAGE);
        workspace.write("plugins/packed/src/lib.rs", POLICY);
        workspace.manifest(&format!("{HEAD}{COMPONENT}"));
        workspace
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn package(&self, text: &str) {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-sdk").canonicalize().unwrap();
        self.write("plugins/packed/Cargo.toml", &text.replace("SDK", sdk.to_str().unwrap()));
    }

    fn manifest(&self, text: &str) {
        self.write("plugins/packed/plugin.toml", text);
    }

    /// With the versions that were fetched for the project itself: no registry is asked.
    fn lock(&self) {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
        fs::copy(lock, self.0.join("Cargo.lock")).unwrap();
        let mut update = Command::new("cargo");
        update.args(["update", "--quiet", "--offline", "--workspace"]).current_dir(&self.0);
        assert!(update.status().unwrap().success());
    }

    fn run(&self, arguments: &[&str]) -> Packaged {
        let output = Command::new(programs::required("package-plugins"))
            .args(arguments)
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", programs::target())
            .env("CARGO_NET_OFFLINE", "true")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap();
        Packaged { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// It is refused for this reason and with this hint, and what was packaged before stays as it was.
    fn refused(&self, expected: &[&str]) {
        let before = self.packaged();
        let Packaged { code, stdout, stderr } = self.run(&["out", "packed"]);
        assert_eq!((code, &*stdout), (1, ""), "{expected:?}: {stderr}");
        for part in expected.iter().chain(&["error: ", "\n  hint: "]) {
            assert!(stderr.contains(part), "{part}: {stderr}");
        }
        assert_eq!(self.packaged(), before, "{expected:?}");
    }

    /// Names and digests of the files in `out/packed`.
    fn packaged(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.0.join("out/packed")).into_iter().flatten().flatten();
        let mut files: Vec<(String, String)> = entries
            .map(|entry| {
                let digest = Sha256::digest(fs::read(entry.path()).unwrap());
                (entry.file_name().into_string().unwrap(), format!("{digest:x}"))
            })
            .collect();
        files.sort();
        files
    }
}

#[test]
fn what_a_host_would_refuse_is_not_packaged() {
    let workspace = Workspace::new("packager-refuses");
    workspace.lock();
    let good = workspace.run(&["out", "packed"]);
    assert_eq!((good.code, &*good.stdout), (0, "Packaged: packed 1.0.0 in out/packed\n"), "{}", good.stderr);
    let files = workspace.packaged();
    assert_eq!(files.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["packed.wasm", "plugin.toml"]);
    let manifest = fs::read_to_string(workspace.0.join("out/packed/plugin.toml")).unwrap();
    assert!(manifest.contains(&format!("[[component]]\nsha256 = \"{}\"\n", files[0].1)), "{manifest}");

    // The component of the last build is still there, and cargo builds no other.
    workspace.package(&PACKAGE.replace("crate-type", "bench = false #"));
    workspace.refused(&["error: package packed builds no WebAssembly module", "crate-type = [\"cdylib\"]"]);
    workspace.package(PACKAGE);

    workspace.write("plugins/packed/src/lib.rs", &POLICY.replace("export_policy!(Packed);", ""));
    workspace.refused(&["export_policy!"]);
    workspace.write("plugins/packed/src/lib.rs", "");
    workspace.refused(&["export_policy!"]);
    workspace.write("plugins/packed/src/lib.rs", POLICY);

    let format = "[[format]]\nname = \"packed\"\nsummary = \"Packed\"\ncolumns = [\"image\"]\n";
    let of_format = COMPONENT.replace("policy/validator", "format/output");
    workspace.manifest(&format!("{HEAD}{of_format}{format}"));
    workspace.refused(&[
        "packed: ",
        "`world` in the manifest is bootc-image:format/output",
        "export_format!",
    ]);
    for (manifest, expected) in [
        (
            format!("{HEAD}{of_format}{}", format.replace("image", "imgae")),
            "line 11: `columns`: \"imgae\" is not",
        ),
        (
            format!("{HEAD}{of_format}{}", format.replace("packed\"", "json\"")),
            "\"json\" is a built-in format",
        ),
        (
            format!("{HEAD}{}", COMPONENT.replace("validator", "judge")),
            "is not a world that this host supports",
        ),
        (
            format!("{HEAD}{}", COMPONENT.replace("packed.wasm", "../packed.wasm")),
            "is not the plain name of a .wasm",
        ),
        (format!("{HEAD}{COMPONENT}nonsense = 1\n"), "line 8: `nonsense`: unknown key"),
        (HEAD.replace("1.0.0", "1") + COMPONENT, "line 3: `version`: \"1\" is not a version"),
        (
            format!(
                "{HEAD}component = [{{ file = \"p.wasm\", world = \"bootc-image:policy/validator\" }}]\n"
            ),
            "there is no line [[component]]",
        ),
    ] {
        workspace.manifest(&manifest);
        workspace.refused(&["plugins/packed/plugin.toml: ", expected]);
    }

    // It imports what needs a capability.
    workspace.write("plugins/packed/src/lib.rs", WRAPPER);
    let command = "[[command]]\nname = \"list\"\nsummary = \"List\"\n";
    let wrapper = COMPONENT.replace("policy/validator", "command/wrapper");
    workspace.manifest(&format!("{HEAD}{wrapper}{command}"));
    workspace.refused(&["it needs the capability lists-images", "[[capability]]"]);
}

#[test]
fn the_manifest_names_the_files() {
    let workspace = Workspace::new("packager-names");
    workspace.lock();
    assert_eq!(workspace.run(&["out", "packed"]).code, 0);
    workspace.write("out/packed/notes", "of the author");
    // Another name of the component; the digest of an earlier one.
    let manifest = format!("{HEAD}{COMPONENT}sha256 = \"{}\"\n", "0".repeat(64));
    workspace.manifest(&manifest.replace("packed.wasm", "other.wasm"));
    let again = workspace.run(&["out", "packed"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let names: Vec<String> = workspace.packaged().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["notes", "other.wasm", "plugin.toml"]);
    // Sources are not overwritten.
    let into = workspace.run(&["plugins", "packed"]);
    assert_eq!(into.code, 1);
    assert!(into.stderr.contains("plugins/packed is the directory of a crate"), "{}", into.stderr);
    for arguments in [&[][..], &["out"], &["out", "packed", "--offline"]] {
        let usage = workspace.run(arguments);
        assert_eq!(usage.code, 2, "{arguments:?}");
        assert!(usage.stderr.contains("usage: package-plugins "), "{}", usage.stderr);
    }
    let unknown = workspace.run(&["out", "nothing"]);
    assert_eq!(unknown.code, 1, "{}", unknown.stderr);
}

#[test]
fn if_one_of_several_cannot_be_written_none_is() {
    let workspace = Workspace::new("packager-several");
    let copy = |from: &str| {
        let text = fs::read_to_string(workspace.0.join("plugins/packed").join(from)).unwrap();
        workspace.write(&format!("plugins/second/{from}"), &text.replace("packed", "second"));
    };
    for file in ["Cargo.toml", "plugin.toml", "src/lib.rs"] {
        copy(file);
    }
    workspace.lock();
    assert_eq!(workspace.run(&["out", "packed"]).code, 0);
    let before = workspace.packaged();
    workspace.manifest(&format!("{HEAD}{COMPONENT}").replace("1.0.0", "1.0.1"));
    workspace.write("out/second", "not a directory");
    let refused = workspace.run(&["out", "packed", "second"]);
    assert_eq!((refused.code, &*refused.stdout), (1, ""), "{}", refused.stderr);
    assert!(refused.stderr.contains("\nerror: cannot write to out/second: "), "{}", refused.stderr);
    assert_eq!(workspace.packaged(), before);
    fs::remove_file(workspace.0.join("out/second")).unwrap();
    let both = workspace.run(&["out", "packed", "second"]);
    let expected = "Packaged: packed 1.0.1 in out/packed\nPackaged: second 1.0.0 in out/second\n";
    assert_eq!((both.code, &*both.stdout), (0, expected), "{}", both.stderr);
}

#[test]
fn the_author_decides_about_dependencies() {
    let workspace = Workspace::new("packager-options");
    // Without a lock file, cargo writes one.
    let first = workspace.run(&["out", "packed"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(workspace.0.join("Cargo.lock").exists());
    workspace.package(&format!("{PACKAGE}semver = \"1\"\n"));
    workspace.refused(&["--locked", "run this again with `--` at the end"]);
    let with_options = workspace.run(&["out", "packed", "--", "--offline"]);
    assert_eq!(with_options.code, 0, "{}", with_options.stderr);
    let without = workspace.run(&["out", "packed"]);
    assert_eq!(without.code, 0, "the lock file has it: {}", without.stderr);
}

/// The manifests of the reference, with the code of the how-to guides.
#[test]
fn the_examples_of_the_reference_can_be_packaged() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let read = |path: &str| fs::read_to_string(docs.join(path)).unwrap();
    let workspace = Workspace::new("packager-examples");
    workspace.lock();
    let page = read("reference/manifest.md");
    let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let manifests: Vec<&str> = blocks.filter(|block| block.starts_with("schema = ")).collect();
    let guides = ["write-policy", "write-format", "write-wrapper"];
    assert_eq!(manifests.len(), guides.len());
    for ((manifest, guide), id) in
        manifests.iter().zip(guides).zip(["no-latest", "names-format", "image-diff"])
    {
        let guide = read(&format!("how-to/{guide}.md"));
        let code = guide.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        workspace.write("plugins/packed/src/lib.rs", code);
        workspace.manifest(manifest);
        let packaged = workspace.run(&["out", "packed"]);
        assert_eq!(packaged.stdout, format!("Packaged: {id} 1.0.0 in out/{id}\n"), "{}", packaged.stderr);
    }
}

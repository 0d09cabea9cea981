//! What is linked into what (ADR 0001), and that the component is the same wherever it is built.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use bootc_image_tests::programs;

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:#?}");
    String::from_utf8(output.stdout).unwrap()
}

fn dynamic_libraries(program: &str) -> Vec<String> {
    let section =
        output(Command::new("readelf").args(["--dynamic", "--wide"]).arg(programs::required(program)));
    let needed = section.lines().filter(|line| line.contains("(NEEDED)"));
    needed.filter_map(|line| Some(line.split_once('[')?.1.trim_end_matches(']').to_owned())).collect()
}

#[test]
fn the_host_needs_no_library_and_has_no_compiler() {
    assert_eq!(dynamic_libraries("bootc-image"), [] as [&str; 0]);
    let symbols = output(Command::new("nm").arg("--demangle").arg(programs::required("bootc-image")));
    assert!(symbols.contains("wasmtime::"), "it has symbols");
    for absent in ["cranelift_codegen", "glib::", "ostree_ext::"] {
        assert!(
            !symbols.contains(absent),
            "{absent}: {:?}",
            symbols.lines().find(|line| line.contains(absent))
        );
    }
    assert!(dynamic_libraries("bootc-image-helper").iter().any(|library| library.starts_with("libostree")));
}

#[test]
fn what_native_code_runs_in_needs_the_c_library_alone() {
    let needed = dynamic_libraries("bootc-image-native");
    let system = ["libc.so", "libgcc_s.so", "ld-linux"];
    assert!(!needed.is_empty(), "it can load libraries");
    assert!(needed.iter().all(|library| system.iter().any(|name| library.starts_with(name))), "{needed:?}");
}

/// A clone of the sources at another path.
struct Clone(PathBuf);

impl Clone {
    fn at(path: PathBuf) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let _ = fs::remove_dir_all(&path);
        let files = output(Command::new("git").arg("-C").arg(root).args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
        ]));
        for file in files.lines().filter(|file| root.join(file).symlink_metadata().is_ok()) {
            let (original, copy) = (root.join(file), path.join(file));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            match fs::read_link(&original) {
                Ok(target) => symlink(target, copy).unwrap(),
                Err(_) => drop(fs::copy(original, copy).unwrap()),
            }
        }
        Self(path)
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Here, where what was compiled before may be used again, and in a clone where nothing was.
#[test]
fn two_clones_at_different_paths_build_the_same_component() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let builder =
        ["-p", "bootc-image-plugin-builder", "--no-default-features", "--example", "component-digest"];
    output(Command::new("cargo").current_dir(root).args(["build", "--quiet", "--locked"]).args(builder));
    let tool = programs::ours("examples/component-digest");
    let digest = |directory: &Path, target: &Path| {
        output(Command::new(&tool).current_dir(directory).env("CARGO_TARGET_DIR", target))
    };
    let other = Clone::at(programs::target().join("tmp/another place/two"));
    let (here, there) = (digest(root, &programs::target()), digest(&other.0, &other.0.join("target")));
    assert!(here.split_whitespace().next().is_some_and(|digest| digest.len() == 64), "{here}");
    assert_eq!(here, there);
}

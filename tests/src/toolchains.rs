//! Components as toolchains of other languages make them; `scripts/toolchains.sh` has made them.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::programs;
use crate::world::Enter;

/// A component, by its name in `target/toolchains`.
pub fn component(name: &str) -> Vec<u8> {
    let path = programs::target().join("toolchains").join(name);
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `scripts/toolchains.sh` first", path.display()))
}

/// The cache of a host has the component's machine code. It is what the helper makes of it, once for all tests: that takes 12 s of a
/// processor.
pub fn cached(enter: Enter, component: &[u8]) -> Enter {
    let digest = format!("{:x}", Sha256::digest(component));
    let directory = programs::target().join("toolchains/code");
    fs::create_dir_all(&directory).unwrap();
    let path = |extension: &str| directory.join(format!("{digest}.{extension}"));
    let lock = File::create(path("lock")).unwrap();
    lock.lock().unwrap();
    let helper = programs::required("bootc-image-helper");
    let code = path("cwasm");
    if changed(&code) < changed(&helper) {
        let (source, unfinished) = (path("wasm"), path("unfinished"));
        fs::write(&source, component).unwrap();
        let mut compile = Command::new("sh");
        compile
            .args(["-c", "exec \"$0\" compile 3<\"$1\" 4<>\"$2\""])
            .arg(helper)
            .arg(&source)
            .arg(&unfinished);
        assert!(compile.status().unwrap().success(), "{} is compiled", source.display());
        fs::rename(unfinished, &code).unwrap();
    }
    enter.file(&format!("/var/cache/bootc-image/{digest}.cwasm"), fs::read(code).unwrap())
}

fn changed(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

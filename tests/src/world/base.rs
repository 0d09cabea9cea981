//! Making the base world, from nothing but the machine's own programs and `labtool`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{World, enter, facts, worlds};
use crate::programs;
use crate::sandbox::{Sandbox, Step};

pub(super) const FACTS: &str = "facts.json";

const MAKE_HOST: &str = include_str!("make-host.sh");
const FILL_STORES: &str = concat!(include_str!("bootc-podman.sh"), include_str!("fill-stores.sh"));
const LIMIT: Duration = Duration::from_secs(300);

const REGISTRY: &str = "\
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: DIRECTORY}, delete: {enabled: true}}
http: {addr: '127.0.0.1:5000'}
";

/// Differs whenever a base world that was made before might not be what this crate expects.
pub(super) fn version() -> String {
    let sources = [MAKE_HOST, FILL_STORES, include_str!("base.rs"), include_str!("facts.rs")];
    let hash = sources.iter().fold(Sha256::new(), |hash, source| hash.chain_update(source));
    // What it is made with: another machine's podman writes another store.
    let podman = programs::machine().join("usr/bin/podman");
    let changed = fs::metadata(&podman).and_then(|file| file.modified()).ok();
    let hash = hash.chain_update(format!("{podman:?} {changed:?}"));
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Made under another name first: a base world that exists is complete.
pub(super) fn build(path: &Path) {
    let unfinished = path.with_extension("unfinished");
    if unfinished.exists() {
        worlds::remove(&unfinished);
    }
    fs::create_dir(&unfinished).expect("the directory of the worlds is ours");
    make_host(&unfinished);
    worlds::clear_immutable(&unfinished);
    let world = World { path: unfinished.clone(), facts: facts::Facts::default(), in_use: None };
    world.enter().registry(true).limit(LIMIT).sh(FILL_STORES).ok();
    let facts = serde_json::to_vec_pretty(&facts::gather(&world)).expect("facts are plain data");
    fs::write(unfinished.join(FACTS), facts).expect("the world is ours");
    fs::rename(&unfinished, path).expect("only one process builds");
}

fn make_host(world: &Path) {
    let registry = world.join("registry");
    fs::create_dir(&registry).expect("the world is ours");
    // Inside, registry and configuration are always at the same place.
    let configuration = REGISTRY.replace("DIRECTORY", "/run/lab/registry");
    fs::write(registry.join("configuration.yml"), configuration).expect("the world is ours");
    workshop(world, MAKE_HOST).run(LIMIT).ok();
}

/// The machine's own programs, with everything they could write to out of their reach.
fn workshop(world: &Path, script: &str) -> Sandbox {
    let bind = |from: &Path, to: &str| Step::Bind { from: from.into(), to: to.into() };
    let directory = |path: &str| Step::Directory { path: path.into() };
    let tmpfs = |to: &str| Step::Tmpfs { to: to.into(), mode: 0o1777 };
    let labtool = programs::required("labtool");
    let mut mounts = vec![tmpfs("/run"), directory("/run/world"), bind(world, "/run/world")];
    mounts.extend(["/run/build/bin", "/run/lab/registry", "/run/home"].map(directory));
    mounts.push(Step::File { path: "/run/build/bin/labtool".into(), content: Vec::new(), mode: 0o755 });
    mounts.push(bind(&labtool, "/run/build/bin/labtool"));
    mounts.push(bind(&world.join("registry"), "/run/lab/registry"));
    for read_only in ["/etc", "/usr", "/root"].map(PathBuf::from) {
        mounts.push(Step::Bind { from: read_only.clone(), to: read_only.clone() });
        mounts.push(Step::ReadOnly { path: read_only });
    }
    mounts.extend(["/tmp", "/var", "/dev/shm"].map(tmpfs));
    mounts.extend(["/var/tmp", "/var/lib"].map(directory));
    mounts.push(Step::Proc { to: "/proc".into() });
    let environment =
        [("PATH", "/run/build/bin:/usr/bin:/usr/sbin"), ("HOME", "/run/home"), ("LANG", "C.UTF-8")];
    Sandbox {
        mounts,
        services: vec![enter::registry(Path::new("/run/lab"))],
        command: ["sh", "-euc", script].map(String::from).into(),
        environment: environment.map(|(name, value)| (name.into(), value.into())).into(),
        ..Sandbox::default()
    }
}

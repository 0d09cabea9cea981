//! A world with images in all three places, and what podman and skopeo say of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;

use super::report::{Images, parts};
use crate::oracle::Store;
use crate::{World, programs};

pub(super) const LIMIT: Duration = Duration::from_secs(180);
/// The registry's names, as they are typed.
pub(super) const HOSTS: [&str; 3] = ["127.0.0.1:5000", "registry.lab:5000", "Registry.LAB:5000"];
/// What the registry has, once the world is prepared. Where `now` points is generated.
pub(super) const TAGS: [(&str, &str); 12] = [
    ("lab/app", "1"),
    ("lab/app", "2"),
    ("lab/app", "3"),
    ("lab/multi", "1"),
    ("lab/moving", "1"),
    ("lab/moving", "2"),
    ("lab/moving", "3"),
    ("lab/moving", "multi"),
    ("lab/moving", "now"),
    ("lab/tool", "latest"),
    ("lab/tool", "multi"),
    ("lab/deep/er_x.y", "T.1-a"),
];
const GRANTS: &str = r#"
[[grant]]
plugin = "policy-does"
[[grant]]
plugin = "registry-policy"
[[grant]]
plugin = "podman-maintenance"
[[grant.capability]]
name = "podman-reads"
scope = "/var/lib/bootc-image/archives"
[[grant.capability]]
name = "podman-writes"
scope = "/var/lib/bootc-image/archives"
"#;
/// Once in a world: more images in all three places.
const PREPARE: &str = r#"
printf '127.0.0.1 localhost registry.lab\n' >/etc/hosts
printf 'passwd: files\ngroup: files\nhosts: files\n' >/etc/nsswitch.conf
printf '[[registry]]\nlocation = "registry.lab:5000"\ninsecure = true\n' >>/etc/containers/registries.conf
registry=127.0.0.1:5000
publish() { skopeo copy --quiet --all docker://$registry/$1 docker://$registry/$2; }
for tag in 1 2 3; do publish lab/app:$tag lab/moving:$tag; done
publish lab/multi:1 lab/moving:multi
publish lab/app:1 lab/moving:now
publish lab/app:2 lab/tool:latest
publish lab/multi:1 lab/tool:multi
publish lab/app:3 lab/deep/er_x.y:T.1-a
bootc_podman image pull --quiet $registry/lab/app:3 >/dev/null
bootc_podman image pull --quiet $registry/lab/tool:multi >/dev/null
make() {
    mkdir -p /tmp/c; echo $1 >/tmp/c/f; printf 'FROM scratch\nCOPY f /f\n' >/tmp/c/Containerfile
    shift; "$@" /tmp/c >/dev/null
}
for n in 1 2 3 4; do make $n bootc_podman build --quiet --timestamp $n --tag localhost/made:$n; done
bootc_podman image untag localhost/made:4
for n in 5 6 7; do make $n podman build --quiet --timestamp $n --tag localhost/made:$n; done
mkdir -p /var/kept
cp -a /sysroot/ostree/bootc/storage /var/kept/bootc
cp -a /var/lib/containers/storage /var/kept/default
# Compiles the policies, which are kept then.
mkdir -p /etc/bootc-image/config.d
printf 'settings.policy-does.do = "tell"\nsettings.registry-policy.default = "allow"\n' >/etc/bootc-image/config.d/50-generated.toml
bootc-image cmd list >/dev/null
"#;

/// What a raw manifest says.
#[derive(Debug)]
pub(super) struct Document {
    /// The image's id, of a manifest.
    pub(super) id: Option<String>,
    /// Digest and architecture of each manifest, of an index.
    pub(super) manifests: Vec<(String, String)>,
}

/// A world with images in all three places, and what there is in it.
pub(super) struct Lab {
    pub(super) world: World,
    pub(super) bootc: Images,
    pub(super) default: Images,
    /// All documents of the registry, by digest.
    pub(super) documents: BTreeMap<String, Document>,
    /// Which of them each repository has.
    pub(super) digests: BTreeMap<&'static str, Vec<String>>,
}

impl Lab {
    pub(super) fn prepare(guest: &[(String, Vec<u8>)]) -> Self {
        let world = World::new();
        install(&world, guest);
        let mut script = format!("{}{PREPARE}", Store::Bootc.shell());
        script.push_str("echo '--- bootc'; bootc_podman image list --all --no-trunc --format json\n");
        script.push_str("echo '--- default'; podman image list --all --no-trunc --format json\n");
        for (repository, tag) in TAGS {
            let name = format!("docker://{}/{repository}:{tag}", HOSTS[0]);
            writeln!(
                script,
                "echo '--- {repository}:{tag}'; skopeo inspect --raw {name} >/tmp/raw; sha256sum </tmp/raw; cat /tmp/raw; echo"
            )
            .expect("a text");
        }
        let enter = world.enter().registry(true).limit(LIMIT).file("/run/prepare.sh", &script);
        let output = enter.run(&["sh", "-eu", "/run/prepare.sh"]).ok();
        let parts = parts(&output.stdout);
        let (mut documents, mut digests) = (BTreeMap::new(), BTreeMap::<&str, Vec<String>>::new());
        let mut indexes = Vec::new();
        for (repository, tag) in TAGS {
            let (digest, raw) = parts[&*format!("{repository}:{tag}")].split_once('\n').expect("two lines");
            let digest = format!("sha256:{}", digest.split(' ').next().expect("sha256sum prints it first"));
            let document = Document::of(raw).expect("a registry has manifests");
            let all = std::iter::once(&digest).chain(document.manifests.iter().map(|(manifest, _)| manifest));
            digests.entry(repository).or_default().extend(all.cloned());
            indexes.extend(document.manifests.iter().map(|(manifest, _)| (repository, manifest.clone())));
            documents.insert(digest, document);
        }
        // What the indexes name.
        let mut script = String::new();
        for (repository, manifest) in &indexes {
            let name = format!("docker://{}/{repository}@{manifest}", HOSTS[0]);
            writeln!(script, "echo '--- {manifest}'; skopeo inspect --raw {name}; echo").expect("a text");
        }
        let output = world.enter().registry(true).sh(&script).ok();
        for (manifest, raw) in self::parts(&output.stdout) {
            documents.insert(manifest.to_owned(), Document::of(raw).expect("an index names manifests"));
        }
        let images = |name: &str| Images::of(parts[name]).expect("podman prints JSON");
        Self { bootc: images("bootc"), default: images("default"), documents, digests, world }
    }
}

impl Document {
    pub(super) fn of(raw: &str) -> Option<Self> {
        let raw: Value = serde_json::from_str(raw).ok()?;
        let manifest = |manifest: &Value| {
            let architecture = manifest["platform"]["architecture"].as_str()?;
            Some((manifest["digest"].as_str()?.to_owned(), architecture.to_owned()))
        };
        let manifests = raw["manifests"].as_array().into_iter().flatten().filter_map(manifest).collect();
        let id =
            raw["config"]["digest"].as_str().map(|digest| digest.trim_start_matches("sha256:").to_owned());
        Some(Self { id, manifests })
    }
}

/// The plugins are part of the OS image, and none of the policies may be missing.
fn install(world: &World, guest: &[(String, Vec<u8>)]) {
    let put = |path: &str, content: &[u8]| {
        let path = world.outside(&format!("/usr/lib/bootc-image/{path}"));
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("the world is ours");
        fs::write(&path, content).expect("the world is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("the world is ours");
    };
    for (name, content) in guest {
        put(&format!("plugins/policy-does/{name}"), content);
    }
    for plugin in ["registry-policy", "podman-maintenance"] {
        for file in
            fs::read_dir(programs::required("plugins").join(plugin)).expect("it is packaged").flatten()
        {
            let name = file.file_name().into_string().expect("it is UTF-8");
            put(&format!("plugins/{plugin}/{name}"), &fs::read(file.path()).expect("it can be read"));
        }
    }
    put("grants.d/grants.toml", GRANTS.as_bytes());
    put("config.d/10-mandatory.toml", b"[policy]\nmandatory = [\"policy-does\", \"registry-policy\"]\n");
    for directory in ["", "plugins", "plugins/policy-does", "grants.d", "config.d"] {
        let path = world.outside("/usr/lib/bootc-image").join(directory);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("the world is ours");
    }
}

//! Generated policies and operations: what a policy is shown must be what the storages and the registry hold afterwards, and
//! what is denied must change nothing.
//!
//! The guest `policy-does` puts all that it is shown into its verdict, so the audit record has it. Beside it the shipped
//! `registry-policy` judges by settings that are generated, too. What there is say podman, skopeo, tar and the registry's own
//! files, before and after; names are compared by a few lines here. Our own reader has no say in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::oracle::Store;
use crate::{World, programs};

/// How many operations share a world, one after the other.
const BATCH: u64 = 50;
/// At once: each waits for podman most of the time.
const WORKERS: u64 = 2;
const LIMIT: Duration = Duration::from_secs(180);
/// What is generated, by turns: what has most spellings comes most often.
const KINDS: [Kind; 15] = [
    Kind::Pull,
    Kind::Push,
    Kind::Save,
    Kind::Tag,
    Kind::Pull,
    Kind::Remove,
    Kind::Untag,
    Kind::PullFromDefault,
    Kind::Copy,
    Kind::Prune,
    Kind::Pull,
    Kind::Inspect,
    Kind::Push,
    Kind::Remove,
    Kind::Pull,
];
/// The registry's names, as they are typed.
const HOSTS: [&str; 3] = ["127.0.0.1:5000", "registry.lab:5000", "Registry.LAB:5000"];
/// What the registry has, once the world is prepared. Where `now` points is generated.
const TAGS: [(&str, &str); 12] = [
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
/// Names that images of a storage may have.
const NAMES: [&str; 14] = [
    "quay.io/zz/a:1",
    "quay.io/zz/a:2",
    "quay.io/zz/a:latest",
    "quay.io/zz/b:1",
    "Quay.io/zz/cap:1",
    "quay.io/zz/h.i_j:T.1",
    "docker.io/library/zz:1",
    "docker.io/zz/d:latest",
    "localhost/zz:1",
    "localhost/zz:latest",
    "localhost/deep/er/k:1",
    "registry.example.com:443/zz/e:1",
    "registry.example.com/zz/f-app:1",
    "127.0.0.1:5000/zz/f:1",
];
/// Names that none has before.
const NEW_NAMES: [&str; 5] = [
    "localhost/new:latest",
    "localhost/new:1",
    "quay.io/new/x:latest",
    "docker.io/library/new:2",
    // The bound image, whose name stays with it.
    "127.0.0.1:5000/lab/app:1",
];
/// Where plugins may have podman write.
const ARCHIVE: &str = "/var/lib/bootc-image/archives/s.tar";
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
const PRELUDE: &str = r#"
snapshot() {
    echo "--- bootc $1"; bootc_podman image list --all --no-trunc --format json
    echo "--- default $1"; podman image list --all --no-trunc --format json
    echo "--- registry $1"
    (cd /run/lab/registry/docker/registry/v2/repositories; find . -type f -exec grep -aH '' {} + | sort)
}
digests() { for name; do skopeo inspect --raw docker://$name | sha256sum | cut -c 1-64; done; }
inspected() {
    podman=$1; shift
    for name; do
        $podman image inspect --format '{{.Id}} {{.Architecture}} {{len .RootFS.Layers}}' $name 2>/dev/null || echo none
    done
}
archived() {
    [ -s $1 ] || { echo none; return; }
    tar -tf $1 | grep -qx manifest.json && tar -xOf $1 manifest.json || skopeo inspect --raw oci-archive:$1
}
rm -rf /sysroot/ostree/bootc/storage /var/lib/containers/storage /var/lib/bootc-image /tmp/archive.tar
cp -a /var/kept/bootc /sysroot/ostree/bootc/storage
cp -a /var/kept/default /var/lib/containers/storage
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Pull,
    Push,
    Save,
    Inspect,
    Tag,
    Untag,
    Remove,
    Prune,
    PullFromDefault,
    Copy,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It was allowed, and did what was shown.
    Done,
    /// Nothing was to be done.
    Nothing,
    /// By a policy or by the host.
    Denied,
    /// Before it was judged: a name that means two images, or none.
    Refused,
}

/// What came of the operations.
#[derive(Debug, Default)]
pub struct Counts {
    /// For each kind: how many were done, had nothing to do, were denied, and were refused before they were judged.
    kinds: BTreeMap<Kind, [u64; 4]>,
    /// How many images were shown.
    pub shown: u64,
    pub failed: u64,
}

impl Counts {
    pub fn allowed(&self) -> u64 {
        self.kinds.values().map(|ended| ended[0]).sum()
    }

    pub fn denied(&self) -> u64 {
        self.kinds.values().map(|ended| ended[2]).sum()
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (kind, [done, nothing, denied, refused]) in &self.kinds {
            writeln!(
                f,
                "{kind:?}: {done} allowed and done, {nothing} with nothing to do, {denied} denied, {refused} refused unjudged"
            )?;
        }
        let (allowed, denied) = (self.allowed(), self.denied());
        write!(f, "{allowed} allowed, {denied} denied, {} images shown, {} failed", self.shown, self.failed)
    }
}

/// Runs these seeds and prints a line for each that fails. `guest` is `policy-does` as it is installed: its files, by name.
pub fn run(seeds: Range<u64>, guest: &[(String, Vec<u8>)]) -> Counts {
    let lab = Lab::prepare(guest);
    let batch = BATCH.min((seeds.end - seeds.start).div_ceil(WORKERS)).max(1);
    let (next, counts) = (AtomicU64::new(seeds.start), Mutex::new(Counts::default()));
    let worker = || {
        loop {
            let first = next.fetch_add(batch, Ordering::Relaxed);
            if first >= seeds.end {
                return;
            }
            let world = lab.world.copy();
            for seed in first..seeds.end.min(first + batch) {
                let case = generate(&lab, seed);
                let judged = Report::of(&world, &case).and_then(|report| {
                    check(&lab, &case, &report)
                        .map(|ended| {
                            (ended, report.shown.iter().map(|shown| shown.images.len() as u64).sum::<u64>())
                        })
                        .map_err(|what| format!("{what}{report}"))
                });
                let mut counts = counts.lock().expect("no thread panics with it");
                match judged {
                    Ok((ended, shown)) => {
                        counts.kinds.entry(case.kind).or_default()[ended as usize] += 1;
                        counts.shown += shown;
                    }
                    Err(what) => {
                        counts.failed += 1;
                        println!("seed {seed}: {}: {what}", case.command());
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(worker);
        }
    });
    counts.into_inner().expect("no thread panics with it")
}

/// What a raw manifest says.
#[derive(Debug)]
struct Document {
    /// The image's id, of a manifest.
    id: Option<String>,
    /// Digest and architecture of each manifest, of an index.
    manifests: Vec<(String, String)>,
}

/// A world with images in all three places, and what there is in it.
struct Lab {
    world: World,
    bootc: Images,
    default: Images,
    /// All documents of the registry, by digest.
    documents: BTreeMap<String, Document>,
    /// Which of them each repository has.
    digests: BTreeMap<&'static str, Vec<String>>,
}

impl Lab {
    fn prepare(guest: &[(String, Vec<u8>)]) -> Self {
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
    fn of(raw: &str) -> Option<Self> {
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

/// Numbers from a seed: always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("it is smaller")
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// An image of a storage as a command line names it.
#[derive(Debug, Clone)]
enum Operand {
    /// By this name in full.
    Name(String),
    /// By its id.
    Id(String),
}

/// One operation, and what must come of it.
struct Case {
    seed: u64,
    kind: Kind,
    /// Settings of both policies.
    policies: String,
    /// What is done to the storages and the registry before, by podman and skopeo.
    before: String,
    words: Vec<String>,
    /// Where its output goes, if that is an archive.
    redirected: bool,
    /// The images of the storage that it names.
    operands: Vec<Operand>,
    /// The names in full that it pulls, gives or takes, or to which it pushes or copies.
    names: Vec<String>,
    /// The platform that is asked for, as it is shown, and its architecture.
    platform: Option<(String, &'static str)>,
    /// The image of the host that is copied.
    host: Option<String>,
}

impl Case {
    fn command(&self) -> String {
        let words = self.words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        words.replace("'bootc-image'", "bootc-image")
            + if self.redirected { " >/tmp/archive.tar" } else { "" }
    }

    fn script(&self) -> String {
        let mut script = format!("{}{PRELUDE}", Store::Bootc.shell());
        let configuration = "/etc/bootc-image/config.d/50-generated.toml";
        write!(script, "cat >{configuration} <<'END'\n{}END\n{}", self.policies, self.before)
            .expect("a text");
        // Beside a digest no tag is looked at, and skopeo wants none.
        let by_digest = |name: &String| match name.split_once('@') {
            Some((name, digest)) => format!("{}@{digest}", without_tag(name)),
            None => name.clone(),
        };
        let names = self.names.iter().map(by_digest).collect::<Vec<_>>().join(" ");
        script.push_str("snapshot before\n");
        if self.kind == Kind::Pull {
            writeln!(script, "echo '--- digests'; digests {names}").expect("a text");
        }
        writeln!(script, "code=0; {} >/tmp/out 2>/tmp/err || code=$?", in_braces(&self.command()))
            .expect("a text");
        script.push_str(
            "echo \"--- code\"; echo $code; echo '--- out'; cat /tmp/out; echo '--- err'; cat /tmp/err\n",
        );
        script.push_str("snapshot after\n");
        let after = match self.kind {
            Kind::Pull => format!("echo '--- inspected'; inspected bootc_podman {names}\n"),
            Kind::Copy => format!("echo '--- inspected'; inspected podman {names}\n"),
            Kind::Push => {
                format!("echo '--- pushed'; skopeo inspect --raw docker://{names} 2>/dev/null || echo none\n")
            }
            Kind::Save if self.redirected => "echo '--- archive'; archived /tmp/archive.tar\n".to_owned(),
            Kind::Save => format!("echo '--- archive'; archived {ARCHIVE}\n"),
            _ => String::new(),
        };
        script.push_str(&after);
        script
            .push_str("echo '--- record'; cat /var/lib/bootc-image/audit/audit.jsonl 2>/dev/null || true\n");
        script
    }
}

/// So that what is written to the standard output of a command with a redirection of its own stays there.
fn in_braces(command: &str) -> String {
    format!("{{ {command}; }}")
}

fn generate(lab: &Lab, seed: u64) -> Case {
    let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ 0x0be1);
    let turn = usize::try_from(seed % KINDS.len() as u64).expect("it is small");
    let mut case = Case {
        seed,
        kind: KINDS[turn],
        policies: policies(&mut random, lab),
        before: String::new(),
        words: vec!["bootc-image".to_owned()],
        redirected: false,
        operands: Vec::new(),
        names: Vec::new(),
        platform: None,
        host: None,
    };
    let mut images = lab.bootc.clone();
    name_some(&mut random, &mut images, "bootc_podman", &mut case.before);
    let generate: fn(&mut Random, &Lab, &Images, &mut Case) = match case.kind {
        Kind::Pull => pull,
        Kind::Push => push,
        Kind::Save => save,
        Kind::Inspect => inspect,
        Kind::Tag => tag,
        Kind::Untag => untag,
        Kind::Remove => remove,
        Kind::Prune => prune,
        Kind::PullFromDefault => pull_from_default,
        Kind::Copy => copy,
    };
    generate(&mut random, lab, &images, &mut case);
    case
}

/// Settings for the policy that tells and for the one that is shipped.
fn policies(random: &mut Random, lab: &Lab) -> String {
    let tells = if random.once_in(4) { "tell-some" } else { "tell" };
    let allows = !random.once_in(3);
    let mut text = format!(
        "settings.policy-does.do = \"{tells}\"\n[settings.registry-policy]\ndefault = \"{}\"\n",
        if allows { "allow" } else { "deny" }
    );
    for key in ["require-digest", "no-latest"] {
        if random.once_in(12) {
            writeln!(text, "{key} = true").expect("a text");
        }
    }
    let digests: Vec<&String> = lab.documents.keys().collect();
    for _ in 0..random.below(4) {
        let effect = if allows != random.once_in(4) { "deny" } else { "allow" };
        writeln!(text, "[[settings.registry-policy.rule]]\neffect = \"{effect}\"").expect("a text");
        let digest = random.of(&digests).clone();
        for (key, times, values) in [
            (
                "operations",
                2,
                &["cmd pull", "cmd *", "cmd push", "cmd save", "cmd tag", "copy-to-storage", "pull-from-*"][..],
            ),
            ("roles", 4, &["source", "target", "image"]),
            (
                "registry",
                2,
                &["127.0.0.1:5000", "registry.lab:5000", "*.lab:5000", "quay.io", "localhost", "docker.io"],
            ),
            ("repository", 3, &["lab/**", "lab/app", "lab/moving", "zz/*", "library/**"]),
            ("tag", 4, &["1", "latest", "now", "[2-3]", "multi"]),
            ("digest", 6, &[&digest]),
        ] {
            if random.once_in(times) {
                writeln!(text, "{key} = [\"{}\"]", random.of(values)).expect("a text");
            }
        }
    }
    // With a default that denies hardly anything would be left.
    if !allows && !random.once_in(3) {
        text.push_str("[[settings.registry-policy.rule]]\neffect = \"allow\"\n");
    }
    text
}

/// Gives images names and takes some, in a storage and in what is known of it.
fn name_some(random: &mut Random, images: &mut Images, podman: &str, script: &mut String) {
    let mut ids: Vec<String> = images.0.keys().cloned().collect();
    while ids.len() > 4 {
        ids.remove(random.below(ids.len()));
    }
    let mut given: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in NAMES {
        let which = random.below(ids.len() + 2);
        if let Some(id) = ids.get(which) {
            given.entry(id.clone()).or_default().push(name);
        }
    }
    for (id, names) in given {
        writeln!(script, "{podman} image tag {id} {}", names.join(" ")).expect("a text");
        let image = images.0.get_mut(&id).expect("it is one of them");
        image.names.extend(names.into_iter().map(str::to_owned));
    }
    let id = random.of(&ids);
    let image = images.0.get_mut(&id).expect("it is one of them");
    let taken = image.names.iter().find(|name| !name.contains('@')).cloned();
    if let Some(name) = taken.filter(|_| random.once_in(2)) {
        writeln!(script, "{podman} image untag {id} {name}").expect("a text");
        image.names.remove(&name);
    }
}

/// One of the spellings of a name that mean the same in a storage.
fn spelled(random: &mut Random, name: &str) -> String {
    let (host, rest) = name.split_once('/').expect("it is a full name");
    match random.below(6) {
        0 if !name.contains('@') => name.strip_suffix(":latest").unwrap_or(name).to_owned(),
        1 if host == "localhost" => rest.to_owned(),
        1 => name.replacen("docker.io/library/", "docker.io/", 1),
        2 if host != "localhost" => format!("{}/{rest}", host.to_uppercase()),
        3 if host == "quay.io" => format!("quay.io:443/{rest}"),
        4 if host == "docker.io" => format!("index.docker.io/{rest}"),
        _ => name.to_owned(),
    }
}

/// An image of a storage, and how it is typed.
fn operand(random: &mut Random, images: &Images, ids: &[String]) -> (Operand, String) {
    let id = random.of(ids);
    let names: Vec<&String> = images.0[&id].names.iter().collect();
    if names.is_empty() || random.once_in(3) {
        let typed = match random.below(4) {
            0 => id[..12].to_owned(),
            1 => id[..20].to_owned(),
            2 => format!("sha256:{id}"),
            _ => id.clone(),
        };
        return (Operand::Id(id), typed);
    }
    let name = random.of(&names).clone();
    let typed = spelled(random, &name);
    (Operand::Name(name), typed)
}

impl Case {
    fn say(&mut self, words: &[&str]) {
        self.words.extend(words.iter().map(|&word| word.to_owned()));
    }

    fn operate(&mut self, random: &mut Random, images: &Images, ids: &[String]) {
        let (operand, typed) = operand(random, images, ids);
        self.operands.push(operand);
        self.words.push(typed);
    }
}

fn all(images: &Images) -> Vec<String> {
    images.0.keys().cloned().collect()
}

fn pull(random: &mut Random, lab: &Lab, _: &Images, case: &mut Case) {
    let now = random.of(&["1", "2", "3", "multi"]);
    writeln!(
        case.before,
        "skopeo copy --quiet --all docker://{host}/lab/moving:{now} docker://{host}/lab/moving:now",
        host = HOSTS[0]
    )
    .expect("a text");
    case.say(&["cmd", "pull"]);
    if !random.once_in(3) {
        case.say(&[random.of(&["-q", "--quiet", "--tls-verify=false"])]);
    }
    if random.once_in(3) {
        let architecture = random.of(&["amd64", "arm64"]);
        let (option, platform) = match random.below(3) {
            0 => (format!("--arch={architecture}"), architecture.to_owned()),
            1 => (format!("--platform=linux/{architecture}"), format!("linux/{architecture}")),
            _ => (format!("--os=linux --arch={architecture}"), format!("linux/{architecture}")),
        };
        case.words.extend(option.split(' ').map(str::to_owned));
        case.platform = Some((platform, architecture));
    }
    // A manifest says for itself for which machine it is.
    let is_index = |digest: &String| !lab.documents[digest].manifests.is_empty();
    let tags: Vec<_> = if case.platform.is_some() {
        let of_index = |tag: &str| tag == "multi" || tag == "now" && now == "multi";
        TAGS.into_iter().filter(|(repository, tag)| *repository == "lab/multi" || of_index(tag)).collect()
    } else {
        TAGS.to_vec()
    };
    for _ in 0..=random.below(3) {
        let (repository, tag) = random.of(&tags);
        let host = random.of(&HOSTS);
        let digests: Vec<&String> = lab.digests[repository]
            .iter()
            .filter(|digest| case.platform.is_none() || is_index(digest))
            .collect();
        let digest = random.of(&digests);
        let rest = match random.below(6) {
            0 => format!("{repository}@{digest}"),
            // Most often the tag means something else.
            1 => format!("{repository}:{tag}@{digest}"),
            _ => format!("{repository}:{tag}"),
        };
        let mut typed = format!("{host}/{rest}");
        if random.once_in(2) {
            typed = typed.strip_suffix(":latest").unwrap_or(&typed).to_owned();
        }
        if random.once_in(3) {
            typed = format!("docker://{typed}");
        }
        case.names.push(format!("{}/{rest}", host.to_lowercase()));
        case.words.push(typed);
    }
}

fn push(random: &mut Random, _: &Lab, images: &Images, case: &mut Case) {
    case.say(&["cmd", "push", "-q"]);
    let seed = case.seed;
    if random.once_in(4) {
        // To its own name.
        let (id, name) = (random.of(&all(images)), format!("{}/lab/own-{seed}:1", HOSTS[0]));
        writeln!(case.before, "bootc_podman image tag {id} {name}").expect("a text");
        case.say(&[&name]);
        case.operands.push(Operand::Name(name.clone()));
        case.names.push(name);
        return;
    }
    case.operate(random, images, &all(images));
    let host = random.of(&HOSTS);
    let rest = format!("lab/pushed-{seed}{}", random.of(&[":1", ":latest", "/x.y:T-1"]));
    let mut typed = format!("{host}/{rest}");
    if random.once_in(2) {
        typed = typed.strip_suffix(":latest").unwrap_or(&typed).to_owned();
    }
    if random.once_in(3) {
        typed = format!("docker://{typed}");
    }
    case.words.push(typed);
    case.names.push(format!("{}/{rest}", host.to_lowercase()));
}

fn save(random: &mut Random, _: &Lab, images: &Images, case: &mut Case) {
    case.say(&["cmd", "save", "-q"]);
    case.redirected = random.once_in(3);
    if !case.redirected {
        case.say(&["-o", ARCHIVE]);
    }
    if random.once_in(4) {
        case.say(&["-m"]);
        for _ in 0..2 {
            case.operate(random, images, &all(images));
        }
        return;
    }
    if random.once_in(4) {
        case.say(&["--format=oci-archive"]);
    }
    let id = [random.of(&all(images))];
    for _ in 0..=random.below(3) {
        case.operate(random, images, &id);
    }
}

fn inspect(random: &mut Random, _: &Lab, images: &Images, case: &mut Case) {
    case.say(&["cmd", "inspect"]);
    for _ in 0..=random.below(3) {
        case.operate(random, images, &all(images));
    }
}

fn tag(random: &mut Random, _: &Lab, images: &Images, case: &mut Case) {
    case.say(&["cmd", "tag"]);
    case.operate(random, images, &all(images));
    for _ in 0..=random.below(3) {
        let name = if random.once_in(2) { random.of(&NAMES) } else { random.of(&NEW_NAMES) };
        // podman finds only what is written in small letters.
        let name = name.to_lowercase().replace(":t.1", ":T.1");
        let typed = spelled(random, &name);
        case.names.push(name);
        case.words.push(typed);
    }
}

fn untag(random: &mut Random, _: &Lab, images: &Images, case: &mut Case) {
    case.say(&["cmd", "untag"]);
    let tags = |id: &String| {
        images.0[id].names.iter().filter(|name| !name.contains('@')).cloned().collect::<Vec<_>>()
    };
    let ids: Vec<String> = all(images).into_iter().filter(|id| !tags(id).is_empty()).collect();
    let id = [random.of(&ids)];
    case.operate(random, images, &id);
    for _ in 0..=random.below(2) {
        let name = random.of(&tags(&id[0]));
        let typed = spelled(random, &name);
        case.names.push(name);
        case.words.push(typed);
    }
}

fn remove(random: &mut Random, _: &Lab, images: &Images, case: &mut Case) {
    match random.below(3) {
        0 => case.say(&["cmd", "rm"]),
        1 => case.say(&["cmd", "rmi"]),
        _ => case.say(&["remove"]),
    }
    for _ in 0..=random.below(3) {
        case.operate(random, images, &all(images));
    }
}

fn prune(random: &mut Random, _: &Lab, _: &Images, case: &mut Case) {
    let words: [&[&str]; 4] = [&["prune"], &["prune", "--all"], &["cmd", "prune"], &["cmd", "prune", "-a"]];
    case.say(random.of(&words));
}

fn pull_from_default(random: &mut Random, lab: &Lab, _: &Images, case: &mut Case) {
    case.say(&["pull-from-default-storage"]);
    let mut images = lab.default.clone();
    name_some(random, &mut images, "podman", &mut case.before);
    let names: Vec<String> = images.0.values().flat_map(|image| image.names.iter().cloned()).collect();
    for _ in 0..=random.below(2) {
        let name = random.of(&names);
        let typed = spelled(random, &name);
        case.names.push(name);
        case.words.push(typed);
    }
}

fn copy(random: &mut Random, lab: &Lab, images: &Images, case: &mut Case) {
    case.say(&["copy-to-storage"]);
    let facts = lab.world.facts();
    if random.once_in(3) {
        let host = random.of(&[&facts.booted, &facts.rollback]);
        if host.image != facts.booted.image || random.once_in(2) {
            let transport = random.of(&["", "docker://"]);
            case.say(&["--source", &format!("{transport}{}", host.image)]);
        }
        case.host = Some(host.image.clone());
    } else {
        // Ids aren't names here.
        let names: Vec<&String> = images.0.values().flat_map(|image| &image.names).collect();
        let name = random.of(&names).clone();
        let typed = spelled(random, &name);
        case.say(&["--source", &typed]);
        case.operands.push(Operand::Name(name));
    }
    if random.once_in(3) {
        case.names.push("localhost/bootc:latest".to_owned());
        return;
    }
    let name = random.of(&[NAMES[0], NAMES[6], NAMES[9], NEW_NAMES[0], NEW_NAMES[3]]).to_owned();
    let typed = spelled(random, &name);
    case.say(&["--target", &typed]);
    case.names.push(name);
}

/// An image of a storage, as podman lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Image {
    names: BTreeSet<String>,
    digest: String,
}

/// All images of a storage, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Images(BTreeMap<String, Image>);

/// An image's id and one of its names.
type Pair = (String, String);

impl Images {
    /// podman lists an image once for each of its names.
    fn of(json: &str) -> Result<Self, String> {
        let mut images = Self::default();
        for listed in from_json::<Vec<Value>>(json)? {
            let id = listed["Id"].as_str().ok_or("podman lists no id")?.trim_start_matches("sha256:");
            let image = images.0.entry(id.to_owned()).or_default();
            image.digest = listed["Digest"].as_str().unwrap_or_default().to_owned();
            let names = listed["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
            image.names.extend(names.map(str::to_owned));
        }
        Ok(images)
    }

    fn pairs(&self) -> BTreeSet<Pair> {
        let pairs = |(id, image): (&String, &Image)| {
            image.names.iter().map(|name| (id.clone(), name.clone())).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(pairs).collect()
    }

    /// What the names of an image mean.
    fn meanings(&self, id: &str) -> BTreeSet<String> {
        self.0.get(id).into_iter().flat_map(|image| &image.names).map(|name| meaning(name)).collect()
    }

    fn ids(&self) -> BTreeSet<&String> {
        self.0.keys().collect()
    }
}

/// A name without the transport and everything in which two that mean the same may differ.
fn meaning(name: &str) -> String {
    let name = name.trim_start_matches("docker://").trim_start_matches("containers-storage:");
    let (host, rest) = name.split_once('/').unwrap_or((name, ""));
    let host = host.to_lowercase();
    let host = host.strip_suffix(":443").unwrap_or(&host);
    let rest = match rest.split_once('@') {
        Some((path, digest)) => format!("{}@{digest}", without_tag(path)),
        None => rest.to_owned(),
    };
    format!("{host}/{rest}")
}

fn without_tag(name: &str) -> &str {
    let colon = name.rfind(':').filter(|colon| !name[*colon..].contains('/'));
    colon.map_or(name, |colon| &name[..colon])
}

/// What the policy was shown of one operation.
struct Shown {
    /// Whether nobody objected.
    allowed: bool,
    kind: String,
    images: Vec<ShownImage>,
}

#[derive(Debug, Deserialize)]
struct ShownImage {
    role: String,
    name: Option<ShownName>,
    digest: Option<String>,
    attrs: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct ShownName {
    canonical: String,
    transport: String,
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl ShownImage {
    fn id(&self) -> &str {
        self.attrs.get("id").map_or("", String::as_str)
    }

    fn meaning(&self) -> Option<String> {
        self.name.as_ref().map(|name| meaning(&name.canonical))
    }

    fn pair(&self) -> Pair {
        (self.id().to_owned(), self.meaning().unwrap_or_default())
    }
}

impl std::fmt::Display for ShownImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name.as_ref().map_or("-", |name| &name.canonical);
        write!(f, "[{} {name} {} {:?}]", self.role, self.digest.as_deref().unwrap_or("-"), self.attrs)
    }
}

/// What there was before and after, and what was shown in between.
struct Report {
    code: i32,
    out: String,
    err: String,
    bootc: [Images; 2],
    default: [Images; 2],
    registry: [String; 2],
    /// What skopeo, podman or tar said of what the operation is about.
    said: BTreeMap<&'static str, String>,
    shown: Vec<Shown>,
    /// The code of a refusal that is on record.
    denied: Option<String>,
    outcomes: Vec<Value>,
    intents: usize,
}

impl Report {
    fn of(world: &World, case: &Case) -> Result<Self, String> {
        let enter = world.enter().registry(true).limit(LIMIT).file("/run/operation.sh", case.script());
        let output = enter.run(&["sh", "-eu", "/run/operation.sh"]);
        if output.code != 0 || output.timed_out {
            return Err(format!("it couldn't be tried: {output:?}"));
        }
        let parts = parts(&output.stdout);
        let part = |name: &str| parts.get(name).copied().ok_or_else(|| format!("no {name} in {output:?}"));
        let images = |name: &str| {
            Ok::<_, String>([
                Images::of(part(&format!("{name} before"))?)?,
                Images::of(part(&format!("{name} after"))?)?,
            ])
        };
        let said = ["digests", "inspected", "pushed", "archive"];
        let mut report = Self {
            code: part("code")?.parse().map_err(|error| format!("{error}"))?,
            out: part("out")?.to_owned(),
            err: part("err")?.to_owned(),
            bootc: images("bootc")?,
            default: images("default")?,
            registry: [part("registry before")?.to_owned(), part("registry after")?.to_owned()],
            said: said.into_iter().filter_map(|name| Some((name, (*parts.get(name)?).to_owned()))).collect(),
            shown: Vec::new(),
            denied: None,
            outcomes: Vec::new(),
            intents: 0,
        };
        for line in part("record")?.lines() {
            report.add(&from_json(line)?)?;
        }
        Ok(report)
    }

    /// Adds a line of the record.
    fn add(&mut self, line: &Value) -> Result<(), String> {
        match line["event"].as_str() {
            Some("intent") => self.intents += 1,
            Some("denied") => {
                self.denied = Some(line["denial"]["code"].as_str().unwrap_or_default().to_owned());
            }
            Some("outcome") => self.outcomes.push(line.clone()),
            Some("looked-up") => {}
            _ => return Err(format!("a line of another kind in the record: {line}")),
        }
        let verdicts = line["verdicts"].as_array().into_iter().flatten();
        let Some(verdict) = verdicts.clone().find(|verdict| verdict["validator"] == "policy-does") else {
            return if line["event"] == "intent" { Err("nobody was shown it".to_owned()) } else { Ok(()) };
        };
        let told = &verdict["said"]["attrs"];
        let text = |key: &str| told[key].as_str().ok_or_else(|| format!("{key} wasn't told: {verdict}"));
        if text("digest")? != line["digest"].as_str().unwrap_or_default() {
            return Err(format!("shown as {}, recorded as {}", text("digest")?, line["digest"]));
        }
        let count: usize = text("images")?.parse().map_err(|error| format!("{error}"))?;
        let images = (0..count).map(|number| from_json(text(&format!("image {number}"))?));
        let shown = Shown {
            allowed: verdicts.clone().all(|verdict| verdict["allowed"] == true),
            kind: text("kind")?.to_owned(),
            images: images.collect::<Result<_, String>>()?,
        };
        if shown.allowed != (line["event"] == "intent") {
            return Err(format!("what ran isn't what was allowed: {line}"));
        }
        self.shown.push(shown);
        Ok(())
    }

    /// Whether everything is as it was.
    fn unchanged(&self) -> Result<(), String> {
        same("bootc's storage", &self.bootc)?;
        same("podman's storage", &self.default)?;
        self.registry_unchanged(None)
    }

    /// But for one repository.
    fn registry_unchanged(&self, except: Option<&str>) -> Result<(), String> {
        let prefix = except.map(|name| format!("./{name}/"));
        let others = |text: &String| {
            let other = |line: &&str| prefix.as_ref().is_none_or(|prefix| !line.starts_with(prefix));
            text.lines().filter(other).map(str::to_owned).collect::<Vec<_>>()
        };
        let [before, after] = [&self.registry[0], &self.registry[1]].map(others);
        if before == after {
            return Ok(());
        }
        let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
        Err(format!("the registry has changed: {new:?}"))
    }
}

impl std::fmt::Display for Report {
    /// On one line: what was shown and what was found.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "; exit code {}", self.code)?;
        for shown in &self.shown {
            let images: Vec<String> = shown.images.iter().map(ToString::to_string).collect();
            write!(
                f,
                "; shown ({}): {}",
                if shown.allowed { "allowed" } else { "denied" },
                images.join(" ")
            )?;
        }
        write!(f, "; found: {:?}", self.said)?;
        for (what, [before, after]) in [("bootc's", &self.bootc), ("podman's", &self.default)] {
            let (before, after) = (before.pairs(), after.pairs());
            let gone: Vec<_> = before.difference(&after).collect();
            let new: Vec<_> = after.difference(&before).collect();
            write!(f, "; {what} storage: gone {gone:?}, new {new:?}")?;
        }
        write!(f, "; {:?} {:?}", self.denied, self.err)
    }
}

fn same(what: &str, images: &[Images; 2]) -> Result<(), String> {
    if images[0] == images[1] { Ok(()) } else { Err(format!("{what} has changed")) }
}

/// The parts of a script's output, by the names that stand before them.
fn parts(text: &str) -> BTreeMap<&str, &str> {
    let parts = text.split("--- ").filter_map(|part| part.split_once('\n'));
    parts.map(|(name, part)| (name, part.trim_end_matches('\n'))).collect()
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, shown: T, found: T) -> Result<(), String> {
    if shown == found { Ok(()) } else { Err(format!("{what}: {shown:?}, found: {found:?}")) }
}

/// Whether what was shown is what there was, and what there is.
fn check(lab: &Lab, case: &Case, report: &Report) -> Result<Ended, String> {
    for shown in &report.shown {
        let expected = match case.kind {
            Kind::Pull => "cmd pull",
            Kind::Push => "cmd push",
            Kind::Save => "cmd save",
            Kind::Inspect => "cmd inspect",
            Kind::Tag => "cmd tag",
            Kind::Untag => "cmd untag",
            Kind::Remove => "remove",
            Kind::Prune => "prune",
            Kind::PullFromDefault => "pull-from-default-storage",
            Kind::Copy => "copy-to-storage",
        };
        expect("the kind", &*shown.kind, expected)?;
        shown.images.iter().try_for_each(check_name)?;
        check_shown(lab, case, report, &shown.images)?;
    }
    if let Some(code) = &report.denied {
        if ["policy-failed", "bad-setting"].contains(&code.as_str()) {
            return Err("a policy couldn't be asked".to_owned());
        }
        expect("the exit code of what is denied", report.code, 77)?;
        expect("intents of what is denied", report.intents, 0)?;
        report.unchanged()?;
        if case.kind == Kind::Save {
            expect("the archive", "none", &*report.said["archive"])?;
        }
        return Ok(Ended::Denied);
    }
    if report.intents == 0 {
        report.unchanged()?;
        let is_nothing = case.kind == Kind::Prune && report.code == 0;
        if !is_nothing && report.code == 0 {
            return Err("nothing of it is on record".to_owned());
        }
        return Ok(if is_nothing { Ended::Nothing } else { Ended::Refused });
    }
    expect("outcomes", report.outcomes.len(), report.intents)?;
    let worked = |outcome: &Value| match outcome["result"].as_str() {
        Some("done") => true,
        Some("exited") => outcome["code"] == 0,
        _ => false,
    };
    if report.code != 0 || !report.outcomes.iter().all(worked) {
        return Err("it was allowed and failed".to_owned());
    }
    check_effects(lab, case, report)?;
    Ok(Ended::Done)
}

/// The parts of a name are those of the whole.
fn check_name(image: &ShownImage) -> Result<(), String> {
    let Some(name) = &image.name else { return Ok(()) };
    let transport = match name.transport.as_str() {
        "docker" => "docker://",
        "containers-storage" => "containers-storage:",
        other => return Err(format!("a name with the transport {other}")),
    };
    let mut whole = format!("{}/{}", name.registry, name.repository);
    if let Some(tag) = &name.tag {
        write!(whole, ":{tag}").expect("a text");
    }
    if let Some(digest) = &name.digest {
        write!(whole, "@{digest}").expect("a text");
    }
    let rest = name.canonical.strip_prefix(transport).unwrap_or_default();
    expect("the parts of a name", meaning(&whole), meaning(rest))?;
    expect("capital letters in a registry's name", rest, &with_small_host(rest))
}

fn with_small_host(name: &str) -> String {
    let (host, rest) = name.split_once('/').unwrap_or((name, ""));
    format!("{}/{rest}", host.to_lowercase())
}

/// What was shown was so when it was shown.
fn check_shown(lab: &Lab, case: &Case, report: &Report, images: &[ShownImage]) -> Result<(), String> {
    let bootc = &report.bootc[0];
    match case.kind {
        Kind::Pull => {
            expect("images", images.len(), case.names.len())?;
            let digests = report.said["digests"].lines();
            for ((image, name), digest) in images.iter().zip(&case.names).zip(digests) {
                fetched(lab, case, image, name, &format!("sha256:{digest}"))?;
            }
            Ok(())
        }
        Kind::Remove | Kind::Prune => {
            let pairs = bootc.pairs().into_iter().map(|(id, name)| (id, meaning(&name)));
            let pairs: BTreeSet<Pair> = pairs.collect();
            for image in images {
                let known = match image.name {
                    Some(_) => pairs.contains(&image.pair()),
                    None => bootc.0.get(image.id()).is_some_and(|image| image.names.is_empty()),
                };
                expect("an image that is there", known, true)?;
                stored(image, "image", bootc)?;
            }
            Ok(())
        }
        Kind::PullFromDefault => match images {
            [source, target] => {
                stored(source, "source", &report.default[0])?;
                let name = source.meaning().unwrap_or_default();
                let has = report.default[0].meanings(source.id()).contains(&name);
                expect("an image of this name", has, true)?;
                targets(&[target], &[name], "containers-storage")
            }
            _ => Err("a copy has a source and a target".to_owned()),
        },
        Kind::Copy => match (images, &case.host) {
            ([source, target], host) => {
                match host {
                    Some(host) => of_host(lab, source, host)?,
                    None => _ = operands(case, std::slice::from_ref(source), bootc)?,
                }
                targets(&[target], &case.names, "containers-storage")
            }
            _ => Err("a copy has a source and a target".to_owned()),
        },
        Kind::Push => {
            let (target, sources) = images.split_last().ok_or("no images")?;
            operands(case, sources, bootc)?;
            targets(&[target], &case.names, "docker")
        }
        Kind::Tag | Kind::Untag => {
            let (sources, given) = images.split_at(images.len().saturating_sub(case.names.len()));
            operands(case, sources, bootc)?;
            targets(&given.iter().collect::<Vec<_>>(), &case.names, "containers-storage")
        }
        Kind::Save | Kind::Inspect => operands(case, images, bootc).map(drop),
    }
}

/// An image of a registry: its digest is that of the bytes that skopeo gets, and the instance is the manifest itself, or one of
/// the index for the platform that is asked for.
fn fetched(lab: &Lab, case: &Case, image: &ShownImage, name: &str, digest: &str) -> Result<(), String> {
    expect("role", &*image.role, "source")?;
    let transport = image.name.as_ref().map_or("", |name| &name.transport);
    expect("transport", transport, "docker")?;
    expect("name", image.meaning(), Some(meaning(name)))?;
    expect("digest", image.digest.as_deref(), Some(digest))?;
    if let Some((_, given)) = name.split_once('@') {
        expect("the digest that is given", image.digest.as_deref(), Some(given))?;
    }
    let platform = case.platform.as_ref();
    let shown = image.attrs.get("platform");
    expect("platform", shown, platform.map(|(platform, _)| platform))?;
    let instance = image.attrs.get("instance").map(String::as_str);
    let document = lab.documents.get(digest).ok_or("the registry has something new")?;
    if document.manifests.is_empty() {
        return expect("instance", instance, Some(digest));
    }
    let here = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
    let architecture = platform.map_or(here, |(_, architecture)| architecture);
    let mut found = document.manifests.iter().filter(|(_, of)| of == architecture);
    expect("instance", instance, found.next().map(|(manifest, _)| manifest.as_str()))
}

/// An image of a storage: its digest is what podman lists.
fn stored(image: &ShownImage, role: &str, storage: &Images) -> Result<(), String> {
    expect("role", &*image.role, role)?;
    let transport = image.name.as_ref().map_or("containers-storage", |name| &name.transport);
    expect("transport", transport, "containers-storage")?;
    let found = storage.0.get(image.id()).ok_or_else(|| format!("there is no image {:?}", image.id()))?;
    expect("digest", image.digest.as_deref(), Some(&*found.digest))
}

/// The images of bootc's storage that are named on the command line: whoever names one by its id is shown all its names.
/// Returns their ids.
fn operands(case: &Case, images: &[ShownImage], storage: &Images) -> Result<Vec<String>, String> {
    let (mut rest, mut ids) = (images, Vec::new());
    for operand in &case.operands {
        let (id, names) = match operand {
            Operand::Name(name) => {
                let name = meaning(name);
                let id = rest.first().map_or("", ShownImage::id);
                expect("an image of this name", storage.meanings(id).contains(&name), true)?;
                (id.to_owned(), vec![name])
            }
            Operand::Id(id) => {
                let names = storage.0.get(id).into_iter().flat_map(|image| &image.names);
                (id.clone(), names.map(|name| meaning(name)).collect())
            }
        };
        let count = names.len().max(1);
        let (these, others) = rest.split_at_checked(count).ok_or("an image isn't shown")?;
        for image in these {
            stored(image, "source", storage)?;
            expect("id", image.id(), &*id)?;
        }
        let shown: BTreeSet<String> = these.iter().filter_map(ShownImage::meaning).collect();
        expect("names", shown, names.into_iter().collect())?;
        (rest, _) = (others, ids.push(id));
    }
    expect("further images", rest.len(), 0)?;
    Ok(ids)
}

/// What is written: it has no digest yet.
fn targets(images: &[&ShownImage], names: &[String], transport: &str) -> Result<(), String> {
    expect("targets", images.len(), names.len())?;
    for (image, name) in images.iter().zip(names) {
        expect("role", &*image.role, "target")?;
        expect("transport", image.name.as_ref().map_or("", |name| &name.transport), transport)?;
        expect("name", image.meaning(), Some(meaning(name)))?;
        expect("digest", &image.digest, &None)?;
    }
    Ok(())
}

/// An image of the ostree repository.
fn of_host(lab: &Lab, image: &ShownImage, name: &str) -> Result<(), String> {
    let facts = lab.world.facts();
    let found = if facts.booted.image == name { &facts.booted } else { &facts.rollback };
    expect("role", &*image.role, "source")?;
    expect("name", image.name.as_ref().map(|name| name.canonical.clone()), Some(format!("docker://{name}")))?;
    expect("digest", image.digest.as_ref(), Some(&found.digest))?;
    expect("commit", image.attrs.get("commit"), Some(&found.commit))
}

/// What was shown is what there is now, and nothing else has changed.
fn check_effects(lab: &Lab, case: &Case, report: &Report) -> Result<(), String> {
    let [bootc, bootc_after] = &report.bootc;
    let [default, default_after] = &report.default;
    if case.kind != Kind::Copy {
        same("podman's storage", &report.default)?;
    }
    if case.kind == Kind::Push {
        let target = case.names[0].split_once('/').map_or("", |(_, rest)| without_tag(rest));
        report.registry_unchanged(Some(target))?;
    } else {
        report.registry_unchanged(None)?;
    }
    let images: Vec<&ShownImage> = report.shown.iter().flat_map(|shown| &shown.images).collect();
    let ids = || operands(case, &report.shown[0].images[..shown_operands(case, report)], bootc);
    match case.kind {
        Kind::Pull => pulled(lab, case, report, &images),
        Kind::Push => {
            same("bootc's storage", &report.bootc)?;
            let pushed = Document::of(&report.said["pushed"]).and_then(|document| document.id);
            expect("what was pushed", ids()?.first(), pushed.as_ref())
        }
        Kind::Save => {
            same("bootc's storage", &report.bootc)?;
            saved(case, report, &ids()?, &images)
        }
        Kind::Inspect => {
            same("bootc's storage", &report.bootc)?;
            let found: Vec<Value> = from_json(&report.out)?;
            let found = found.iter().map(|image| image["Id"].as_str().unwrap_or_default().to_owned());
            expect("what was inspected", ids()?, found.collect())
        }
        Kind::Tag => {
            let (id, names) = (ids()?.remove(0), stored_names(&images, "target"));
            moved(&names.into_iter().map(|name| (id.clone(), name)).collect::<Vec<_>>(), &report.bootc)
        }
        Kind::Untag => {
            let id = ids()?.remove(0);
            let names =
                images.iter().filter(|image| image.role == "target").filter_map(|image| image.meaning());
            taken(&names.map(|name| (id.clone(), name)).collect(), &report.bootc)?;
            expect("images", bootc.ids(), bootc_after.ids())
        }
        Kind::Remove | Kind::Prune => removed(case, report, &images),
        Kind::PullFromDefault => {
            let mut meant: Vec<String> = images
                .iter()
                .filter(|image| image.role == "target")
                .filter_map(|image| image.meaning())
                .collect();
            let mut named: Vec<String> = case.names.iter().map(|name| meaning(name)).collect();
            meant.sort();
            named.sort();
            expect("names", meant, named)?;
            let (sources, names) =
                (images.iter().filter(|image| image.role == "source"), stored_names(&images, "target"));
            let pairs: Vec<Pair> = sources.map(|image| image.id().to_owned()).zip(names).collect();
            for (id, _) in &pairs {
                expect("an image of podman's storage", default.0.contains_key(id), true)?;
            }
            moved(&pairs, &report.bootc)
        }
        Kind::Copy => {
            same("bootc's storage", &report.bootc)?;
            let inspected: Vec<&str> = report.said["inspected"].split(' ').collect();
            let [id, _, layers] = inspected[..] else { return Err("the target isn't there".to_owned()) };
            match &case.host {
                None => expect("id", images[0].id(), id)?,
                Some(host) => {
                    // It is written anew, so it has another id than in the registry.
                    let facts = lab.world.facts();
                    let found = if facts.booted.image == *host { &facts.booted } else { &facts.rollback };
                    expect("layers", found.layers.to_string().as_str(), layers)?;
                    let others = default_after.ids().into_iter().filter(|other| *other != id);
                    expect("images", others.collect::<BTreeSet<_>>().is_subset(&default.ids()), true)?;
                }
            }
            let names = stored_names(&images, "target");
            moved(&names.into_iter().map(|name| (id.to_owned(), name)).collect::<Vec<_>>(), &report.default)
        }
    }
}

/// How many of the images that are shown first are those of the operands.
fn shown_operands(case: &Case, report: &Report) -> usize {
    let all = report.shown[0].images.len();
    match case.kind {
        Kind::Push | Kind::Tag | Kind::Untag => all - case.names.len(),
        _ => all,
    }
}

/// Names as a storage gets them.
fn stored_names(images: &[&ShownImage], role: &str) -> Vec<String> {
    let of_role = images.iter().filter(|image| image.role == role).filter_map(|image| image.name.as_ref());
    of_role.map(|name| name.canonical.trim_start_matches("containers-storage:").to_owned()).collect()
}

/// These images have these names now, nobody else has them, and nothing else has changed. The last one of a name has it.
fn moved(pairs: &[Pair], [before, after]: &[Images; 2]) -> Result<(), String> {
    let mut expected = before.pairs();
    for (id, name) in pairs {
        expected.retain(|(_, other)| other != name);
        expected.insert((id.clone(), name.clone()));
    }
    expect("names", expected, after.pairs())?;
    let ids: BTreeSet<&String> = before.ids().into_iter().chain(pairs.iter().map(|(id, _)| id)).collect();
    expect("images", ids, after.ids())
}

/// The names that are gone are these, and none has come.
fn taken(pairs: &BTreeSet<Pair>, [before, after]: &[Images; 2]) -> Result<(), String> {
    let (before, after) = (before.pairs(), after.pairs());
    let gone = before.difference(&after).map(|(id, name)| (id.clone(), meaning(name)));
    expect("names that go", pairs, &gone.collect())?;
    expect("new names", 0, after.difference(&before).count())
}

fn removed(case: &Case, report: &Report, images: &[&ShownImage]) -> Result<(), String> {
    let [before, after] = &report.bootc;
    let named = |image: &&&ShownImage| image.name.is_some();
    let pairs: BTreeSet<Pair> = images.iter().filter(named).map(|image| image.pair()).collect();
    taken(&pairs, &report.bootc)?;
    // Whoever loses all names goes.
    let goes = |id: &&String| {
        let mut names = before.meanings(id).into_iter().map(|name| ((*id).clone(), name));
        images.iter().any(|image| image.id() == **id) && names.all(|pair| pairs.contains(&pair))
    };
    let stay: BTreeSet<&String> = before.ids().into_iter().filter(|id| !goes(id)).collect();
    expect("images that stay", stay, after.ids())?;
    for operand in &case.operands {
        let is_shown = match operand {
            Operand::Name(name) => pairs.iter().any(|(_, shown)| *shown == meaning(name)),
            Operand::Id(id) => goes(&id),
        };
        if !is_shown {
            return Err(format!("{operand:?} isn't shown"));
        }
    }
    Ok(())
}

fn saved(case: &Case, report: &Report, ids: &[String], images: &[&ShownImage]) -> Result<(), String> {
    let archive: Value = from_json(&report.said["archive"])?;
    // An OCI archive has a manifest; one of docker a list of images.
    let Some(archived) = archive.as_array() else {
        let id = archive["config"]["digest"].as_str().map(|digest| digest.trim_start_matches("sha256:"));
        return expect("what was saved", ids.first().map(String::as_str), id);
    };
    let id = |image: &Value| {
        let file = image["Config"].as_str().unwrap_or_default();
        file.trim_start_matches("sha256:").trim_end_matches(".json").to_owned()
    };
    let found: BTreeSet<String> = archived.iter().map(id).collect();
    expect("what was saved", ids.iter().cloned().collect(), found)?;
    for image in archived {
        let tags = image["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let tags: BTreeSet<String> = tags.map(meaning).collect();
        let shown: BTreeSet<String> = images
            .iter()
            .filter(|shown| shown.id() == id(image))
            .filter_map(|image| image.meaning())
            .collect();
        expect(
            "names in the archive that weren't shown",
            BTreeSet::new(),
            tags.difference(&shown).collect(),
        )?;
        let of_id = report.bootc[0].meanings(&id(image));
        expect(
            "names in the archive that the image hadn't",
            BTreeSet::new(),
            tags.difference(&of_id).collect(),
        )?;
        // Of one image the names that are given are kept.
        if archived.len() == 1 && !case.words.contains(&"-m".to_owned()) && case.operands.len() > 1 {
            let given = case.operands.iter().filter_map(|operand| match operand {
                Operand::Name(name) if !name.contains('@') => Some(meaning(name)),
                _ => None,
            });
            expect("names in the archive", given.collect(), tags)?;
        }
    }
    Ok(())
}

/// The storage has each name, of the image whose manifest was shown as the instance, and nothing else has changed.
fn pulled(lab: &Lab, case: &Case, report: &Report, images: &[&ShownImage]) -> Result<(), String> {
    let [before, after] = &report.bootc;
    let mut allowed = BTreeSet::new();
    for ((image, name), line) in images.iter().zip(&case.names).zip(report.said["inspected"].lines()) {
        let instance = image.attrs.get("instance").map_or("", String::as_str);
        let id = lab.documents.get(instance).and_then(|document| document.id.clone()).unwrap_or_default();
        let mut words = line.split(' ');
        expect("id", Some(id.as_str()), words.next())?;
        if let Some((_, architecture)) = &case.platform {
            expect("architecture", Some(*architecture), words.next())?;
        }
        let name = image.name.as_ref().map_or("", |_| name);
        let repository = without_tag(name.split('@').next().unwrap_or(name));
        let kept = if let Some((_, digest)) = name.split_once('@') {
            format!("{repository}@{digest}")
        } else {
            name.to_owned()
        };
        let has = after.0.get(&id).is_some_and(|image| image.names.contains(&kept));
        expect("an image of this name", has, true)?;
        let digest = image.digest.as_deref().unwrap_or_default();
        let names = [kept, format!("{repository}@{digest}"), format!("{repository}@{instance}")];
        allowed.extend(names.map(|name| (id.clone(), name)));
    }
    let (old, new) = (before.pairs(), after.pairs());
    let added: BTreeSet<&Pair> = new.difference(&old).filter(|pair| !allowed.contains(pair)).collect();
    expect("names that weren't shown", BTreeSet::new(), added)?;
    // A name that means another image now is taken from the one before.
    let is_moved = |(_, name): &&Pair| allowed.iter().any(|(_, allowed)| allowed == name);
    let gone: BTreeSet<&Pair> = old.difference(&new).filter(|pair| !is_moved(pair)).collect();
    expect("names that went", BTreeSet::new(), gone)?;
    let ids: BTreeSet<&String> = before.ids().into_iter().chain(allowed.iter().map(|(id, _)| id)).collect();
    expect("images", ids, after.ids())
}

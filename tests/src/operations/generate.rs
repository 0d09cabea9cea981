//! Operations, storages and policies from a seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::lab::{HOSTS, Lab, TAGS};
use super::report::{Images, without_tag};
use super::{KINDS, Kind};
use crate::oracle::Store;

/// Names that images of a storage may have.
const NAMES: [&str; 18] = [
    "quay.io/zz/a:1",
    "quay.io:443/zz/a:1",
    "QUAY.io/zz/a:1",
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
    // What the registry has under these names is another image.
    "127.0.0.1:5000/lab/moving:now",
    "registry.lab:5000/lab/multi:1",
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
pub(super) enum Operand {
    /// By this name in full; and whether it is typed just as the storage has it.
    Name(String, bool),
    /// By its id.
    Id(String),
}

/// One operation, and what must come of it.
pub(super) struct Case {
    pub(super) seed: u64,
    pub(super) kind: Kind,
    /// Settings of both policies.
    pub(super) policies: String,
    /// What is done to the storages and the registry before, by podman and skopeo.
    pub(super) before: String,
    pub(super) words: Vec<String>,
    /// Where its output goes, if that is an archive.
    pub(super) redirected: bool,
    /// The images of the storage that it names.
    pub(super) operands: Vec<Operand>,
    /// The names in full that it pulls, gives or takes, or to which it pushes or copies.
    pub(super) names: Vec<String>,
    /// The platform that is asked for, as it is shown, and its architecture.
    pub(super) platform: Option<(String, &'static str)>,
    /// The image of the host that is copied.
    pub(super) host: Option<String>,
}

impl Case {
    pub(super) fn command(&self) -> String {
        let words = self.words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        words.replace("'bootc-image'", "bootc-image")
            + if self.redirected { " >/tmp/archive.tar" } else { "" }
    }

    pub(super) fn script(&self) -> String {
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

pub(super) fn generate(lab: &Lab, seed: u64) -> Case {
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
                &[
                    "127.0.0.1:5000",
                    "registry.lab:5000",
                    "*.example.com",
                    "quay.io",
                    "localhost",
                    "docker.io",
                ],
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
    (meant(images, name, &typed), typed)
}

/// What is typed just as a name in the storage means that one, and else what it is a spelling of.
fn meant(images: &Images, name: String, typed: &str) -> Operand {
    let is_exact = images.0.values().any(|image| image.names.contains(typed));
    if is_exact { Operand::Name(typed.to_owned(), true) } else { Operand::Name(name, false) }
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
        case.operands.push(Operand::Name(name.clone(), true));
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
        // Registries are given in small letters, however they are typed.
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
        // By an id alone none goes that has several names.
        while let Some(Operand::Id(id)) = case.operands.last()
            && images.0[id].names.len() > 1
            && !random.once_in(4)
        {
            case.operands.pop();
            case.words.pop();
            case.operate(random, images, &all(images));
        }
        if let (Some(Operand::Name(..)), Some(word)) = (case.operands.last(), case.words.last_mut())
            && random.once_in(6)
        {
            *word = format!("{}{word}", random.of(&["docker://", "containers-storage:"]));
        }
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
        case.operands.push(meant(&images, name.clone(), &typed));
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
        case.operands.push(meant(images, name, &typed));
    }
    if random.once_in(3) {
        case.names.push("localhost/bootc:latest".to_owned());
        return;
    }
    // Only what is in small letters is found by podman afterwards.
    let name = random.of(&[NAMES[0], NAMES[3], NAMES[4], NEW_NAMES[0], NEW_NAMES[3]]).to_owned();
    let typed = spelled(random, &name);
    case.say(&["--target", &typed]);
    // A port that is typed is kept, though it says nothing.
    case.names.push(if typed.contains(":443/") { name.replacen('/', ":443/", 1) } else { name });
}

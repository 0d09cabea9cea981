//! Generated hosts: deployments, units, containers and configurations of podman, in which `prune --all` and `remove` must not
//! take what podman, Quadlet or a deployment would still start.
//!
//! What is needed is asked of podman and of Quadlet's own generator: the words of the services that it makes, as far as podman
//! finds an image by them, must mean the same images afterwards. Our own reader has no say in it. What nothing refers to must
//! be gone, unless nothing could be removed at all.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::oracle::Store;
use crate::{World, programs};

/// The images in bootc's store of every host.
const IMAGES: usize = 6;
/// How many hosts share a stay in a world.
const BATCH: u64 = 20;
const LIMIT: Duration = Duration::from_secs(580);
/// Names that a storage has; each image has some of them.
const NAMES: [&str; 18] = [
    // What the deployments were made from.
    "127.0.0.1:5000/lab/os:0",
    "127.0.0.1:5000/lab/os:1",
    "quay.io/zz/a:1",
    "quay.io/zz/a:2",
    "quay.io/zz/a:latest",
    "quay.io/zz/b:1",
    "quay.io/zz/c:latest",
    "docker.io/library/zz:1",
    "docker.io/zz/d:latest",
    "localhost/zz:1",
    "localhost/zz:latest",
    "registry.example.com:443/zz/e:1",
    "127.0.0.1:5000/zz/f:1",
    "registry.example.com/zz/f-app:1",
    "registry.example.com/zz/f-app:2",
    "Quay.io/zz/g:1",
    "quay.io/zz/h.i_j:T.1",
    "quay.io/zz/deep/er/k:1",
];
/// What systemd fills in, here: `%i` and `$V` as 1, `%p` as app.
const PRELUDE: &str = r#"
store=/sysroot/ostree/bootc/storage
quadlet=/usr/libexec/podman/quadlet
words() {
    sed -n 's/^Exec[A-Za-z]*=//p' | tr ' ,=' '\n\n\n' | sed 's/^"//; s/"$//; s/%i/1/g; s/%p/app/g; s/\${V}/1/g; s/%%/%/g' |
        grep -E 'zz|lab/os|^(sha256:)?[0-9a-f]{6,64}$' | sort -u || true
}
services() {
    if [ -x $quadlet ]; then
        QUADLET_UNIT_DIRS=$1 $quadlet -dryrun 2>/dev/null || true
    fi
}
needed() {
    old=/sysroot/ostree/deploy/lab/deploy/$other.0
    {
        services /run/containers/systemd:/etc/containers/systemd:/usr/share/containers/systemd
        services $old/etc/containers/systemd:$old/usr/share/containers/systemd
        services $old/usr/etc/containers/systemd:$old/usr/share/containers/systemd
        sed -n 's/^container-image-reference=ostree-unverified-registry:/ExecStart=/p' ${old%/*}/*.origin
        cat /run/kube-words 2>/dev/null || true
    } | words >/run/words
    : >/run/needed
    while read -r word; do
        id=$(bootc_podman image inspect --format '{{.Id}}' "$word" 2>/dev/null) || continue
        echo "$word $id" >>/run/needed
    done </run/words
    cat /run/containers-of-host >>/run/needed 2>/dev/null || true
    while read -r id; do
        bootc_podman image exists $id && echo "container $id" >>/run/needed
    done </run/container-ids
    cat /run/needed
}
"#;

/// What came of the hosts.
#[derive(Debug, Default)]
pub struct Counts {
    pub hosts: u64,
    /// In how many nothing could be removed, since what is needed couldn't be determined.
    pub refused: u64,
    /// Images that the oracles said are needed, and that stayed.
    pub needed: u64,
    /// Images that went.
    pub removed: u64,
}

/// Numbers from a seed: always the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("it is smaller")
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// One host, as a script that makes it.
struct Host {
    seed: u64,
    script: String,
    /// Which images something refers to, perhaps.
    mentioned: Vec<usize>,
    /// Something refers to images in a way that leaves open which.
    vague: bool,
}

/// Generates hosts from these seeds and prunes them.
///
/// # Panics
/// With its seed, if something that a host needs is gone, or something that nobody needs is left.
pub fn run(seeds: std::ops::Range<u64>) -> Counts {
    let world = World::new();
    let images = fill_store(&world);
    let mut counts = Counts::default();
    let mut first = seeds.start;
    while first < seeds.end {
        let last = seeds.end.min(first + BATCH);
        let hosts: Vec<Host> = (first..last).map(|seed| generate(&world, &images, seed)).collect();
        let mut script =
            format!("{}{PRELUDE}other={}\n", Store::Bootc.shell(), world.facts().rollback.commit);
        script.push_str("chattr -i /sysroot/ostree/deploy/lab/deploy/$other.0 2>/dev/null || true\n");
        script.push_str("for d in /usr/share/containers/systemd /usr/lib/bootc/bound-images.d; do mount -t tmpfs none $d; done\n");
        for host in &hosts {
            script.push_str(&host.script);
        }
        // It is too long for an argument.
        let enter = world.enter().limit(LIMIT).file("/run/hosts.sh", &script);
        let output = enter.run(&["sh", "-eu", "/run/hosts.sh"]).ok();
        let mut reports = output.stdout.split("=== ").skip(1);
        for host in &hosts {
            let report = reports.next().unwrap_or_else(|| panic!("seed {}: {output:#?}", host.seed));
            check(host, &images, report, &mut counts);
        }
        first = last;
    }
    counts
}

/// Makes small images in bootc's store, without names, and keeps a copy of it.
fn fill_store(world: &World) -> Vec<Value> {
    let script = format!(
        "{}bootc_podman image rm --all --force >/dev/null
        for n in $(seq {IMAGES}); do
            mkdir -p /tmp/c; echo $n >/tmp/c/f; printf 'FROM scratch\\nCOPY f /f\\n' >/tmp/c/Containerfile
            bootc_podman build --quiet --timestamp $n --tag localhost/made:$n /tmp/c >/dev/null
        done
        cp -a /sysroot/ostree/bootc/storage /var/kept-store",
        Store::Bootc.shell()
    );
    world.enter().sh(&script).ok();
    let index = world.outside("/var/kept-store/overlay-images/images.json");
    let all: Vec<Value> = serde_json::from_slice(&fs::read(index).expect("an index")).expect("JSON");
    let made = |image: &Value| image["names"].to_string().contains("localhost/made:");
    let images: Vec<Value> = all.into_iter().filter(made).collect();
    assert_eq!(images.len(), IMAGES);
    images
}

fn generate(world: &World, images: &[Value], seed: u64) -> Host {
    let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ 0xb00c);
    let mut host = Host { seed, script: String::new(), mentioned: Vec::new(), vague: false };
    let names = give_names(&mut random, images);
    let index: Vec<Value> = images
        .iter()
        .zip(&names)
        .map(|(image, names)| {
            let mut image = image.clone();
            image["names"] = json!(names);
            image
        })
        .collect();
    let mut script = String::from(
        "rm -rf $store/* /var/lib/containers/storage /run/containers /etc/containers/systemd /etc/containers/storage.* /root/.config \
         /var/hosts /run/hosts /run/kube-words /usr/share/containers/systemd/* /usr/lib/bootc/bound-images.d/* \
         /sysroot/ostree/deploy/lab/deploy/$other.0/etc/containers/systemd \
         /sysroot/ostree/deploy/lab/deploy/$other.0/usr/etc/containers/systemd\n\
         [ ! -d /var/kept-etc ] || mv /var/kept-etc /sysroot/ostree/deploy/lab/deploy/$other.0/etc\n\
         cp -a /var/kept-store/. $store/; : >/run/container-ids\n",
    );
    let file = |script: &mut String, path: &str, text: &str| {
        let directory = path.rsplit_once('/').expect("a path").0;
        write!(script, "mkdir -p '{directory}'; cat >'{path}' <<'END'\n{text}END\n").expect("a text");
    };
    file(
        &mut script,
        "/sysroot/ostree/bootc/storage/overlay-images/images.json",
        &format!("{}\n", json!(index)),
    );
    let configuration = configure(&mut random, &mut script, &file);
    // The other deployment is staged: it has no `/etc` of its own yet.
    let staged = random.once_in(4);
    if staged {
        script.push_str("mv /sysroot/ostree/deploy/lab/deploy/$other.0/etc /var/kept-etc\n");
    }
    for number in 0..random.below(5) {
        let mut part = String::new();
        unit(&mut random, &mut host, &mut part, number, images, &names, &file);
        let etc = if staged { "$other.0'/usr/etc" } else { "$other.0'/etc" };
        script.push_str(&part.replace("$other.0'/etc", etc));
    }
    for (which, names) in names.iter().enumerate() {
        if names.iter().any(|name| name.contains("lab/os")) {
            host.mentioned.push(which);
        }
    }
    if random.once_in(3) {
        // podman has a container there that was made from one of the images.
        let which = random.below(IMAGES);
        let id = images[which]["id"].as_str().expect("an id");
        host.mentioned.push(which);
        let (root, run) = configuration;
        let command = format!(
            "podman --root {root} --runroot {run} --storage-driver overlay \
             --storage-opt additionalimagestore=$store create --name keep {id} true >/dev/null\n"
        );
        script.push_str(&command);
        writeln!(script, "echo {id} >>/run/container-ids").expect("a text");
    }
    let _ = world;
    writeln!(script, "echo '=== {seed}'; echo '--- before'; needed").expect("a text");
    script.push_str("echo '--- prune'; code=0; bootc-image prune --all >/run/out 2>&1 || code=$?; echo \"code $code\"; cat /run/out\n");
    let removed: Vec<&String> = names.iter().flatten().filter(|_| random.once_in(3)).collect();
    for name in removed {
        writeln!(script, "bootc-image remove '{name}' >>/run/out 2>&1 || true").expect("a text");
    }
    script.push_str("echo '--- after'; needed; echo '--- left'; bootc_podman image list --all --no-trunc --quiet | sort -u\n");
    host.script = script;
    host
}

/// Each name to one image at most; an image may have none, and a form with its digest.
fn give_names(random: &mut Random, images: &[Value]) -> Vec<Vec<String>> {
    let mut names = vec![Vec::new(); images.len()];
    for name in NAMES {
        let which = random.below(images.len() + 2);
        if which < images.len() {
            names[which].push(name.to_owned());
        }
    }
    for (image, names) in images.iter().zip(&mut names) {
        if random.once_in(5) {
            names.push(format!("quay.io/zz/pinned@{}", image["digest"].as_str().expect("a digest")));
        }
    }
    names
}

/// Where podman's configuration puts its storage, and its run directory.
fn configure(
    random: &mut Random,
    script: &mut String,
    file: &dyn Fn(&mut String, &str, &str),
) -> (&'static str, &'static str) {
    let text = |root: &str, run: &str| {
        format!("[storage]\ndriver = \"overlay\"\ngraphroot = \"{root}\"\nrunroot = \"{run}\"\n")
    };
    let (root, run) = ("/var/hosts/c", "/run/hosts/c");
    let standard = ("/var/lib/containers/storage", "/run/containers/storage");
    // podman itself reads this one in any case.
    file(script, "/etc/containers/storage.conf", &text(standard.0, standard.1));
    match random.below(7) {
        0 => standard,
        1 => {
            file(script, "/etc/containers/storage.conf", &text(root, run));
            (root, run)
        }
        2 => {
            let directory = random.of(&[
                "/etc/containers/storage.conf.d",
                "/etc/containers/storage.rootful.conf.d",
                "/root/.config/containers/storage.conf.d",
            ]);
            file(script, &format!("{directory}/50-site.conf"), &text(root, run));
            (root, run)
        }
        3 => {
            file(script, "/root/.config/containers/storage.conf", &text(root, run));
            (root, run)
        }
        4 => {
            file(
                script,
                "/etc/containers/storage.conf.d/1.conf",
                &text("/var/hosts/other", "/run/hosts/other"),
            );
            file(
                script,
                "/etc/containers/storage.conf.d/2.conf",
                &format!("[storage]\ngraphroot = \"{root}\"\n"),
            );
            (root, "/run/hosts/other")
        }
        5 => {
            let more = format!("[storage.options]\nadditionalimagestores = [\"{root}\"]\n");
            file(script, "/etc/containers/storage.conf.d/more.conf", &more);
            (root, run)
        }
        _ => {
            // A link on the way.
            script.push_str("mkdir -p /var/hosts/real; ln -s real /var/hosts/c\n");
            file(script, "/etc/containers/storage.conf", &text(root, run));
            (root, run)
        }
    }
}

/// How a unit may write an image, what podman would find by it, and whether it leaves something open.
fn written(random: &mut Random, host: &mut Host, images: &[Value], names: &[Vec<String>]) -> String {
    let which = random.below(IMAGES);
    let id = images[which]["id"].as_str().expect("an id");
    let digest = images[which]["digest"].as_str().expect("a digest");
    host.mentioned.push(which);
    let tagged: Vec<&String> = names[which].iter().filter(|name| !name.contains('@')).collect();
    let Some(name) = (!tagged.is_empty()).then(|| tagged[random.below(tagged.len())]) else {
        return match random.below(3) {
            0 => id.to_owned(),
            1 => id[..12].to_owned(),
            _ => format!("sha256:{id}"),
        };
    };
    let short = name.strip_prefix("docker.io/library/").or(name.strip_prefix("localhost/"));
    let (repository, tag) = name.rsplit_once(':').expect("a tag");
    match random.below(12) {
        0 => name.strip_suffix(":latest").unwrap_or(name).to_owned(),
        1 => {
            // Any registry may be meant.
            host.vague |= short.is_some();
            short.unwrap_or(name).to_owned()
        }
        2 => format!("{repository}@{digest}"),
        3 => format!("{name}@{digest}"),
        4 => format!("docker://{name}"),
        5 => format!("\"{name}\""),
        6 if tag == "1" => {
            host.vague = true;
            format!("{repository}:%i")
        }
        7 if tag == "1" => {
            host.vague = true;
            format!("{repository}:${{V}}")
        }
        8 if repository.contains("app") => {
            host.vague = true;
            name.replacen("app", "%p", 1)
        }
        9 => id[..12].to_owned(),
        10 => format!("{}\\\n  # words\n{}", &name[..name.len() / 2], &name[name.len() / 2..]),
        _ => name.clone(),
    }
}

fn unit(
    random: &mut Random,
    host: &mut Host,
    script: &mut String,
    number: usize,
    images: &[Value],
    names: &[Vec<String>],
    file: &dyn Fn(&mut String, &str, &str),
) {
    let other = "/sysroot/ostree/deploy/lab/deploy/$other.0";
    let directory = random.of(&[
        "/etc/containers/systemd",
        "/usr/share/containers/systemd",
        "/run/containers/systemd",
        "/etc/containers/systemd/below",
        "OTHER/etc/containers/systemd",
    ]);
    let mut place = |name: &str, text: &str| {
        let path = format!("{directory}/{name}");
        let mut part = String::new();
        file(&mut part, &path, text);
        // The shell fills in which deployment that is.
        script.push_str(&part.replace("'OTHER", &format!("{other}'")));
    };
    let image = written(random, host, images, names);
    let name = random.of(&["app", "web-app", "app@", "z"]);
    let stem =
        format!("{name}{number}").replace("@", &format!("{number}@")).replace(&format!("@{number}"), "@");
    match random.below(9) {
        0 => place(&format!("{stem}.image"), &format!("[Image]\nImage={image}\n")),
        1 => {
            let tag = written(random, host, images, names);
            place(&format!("db{number}.image"), &format!("[Image]\nImage={image}\nImageTag={tag}\n"));
            place(&format!("{stem}.container"), &format!("[Container]\nImage=db{number}.image\n"));
        }
        2 => {
            place(
                &format!("my{number}.build"),
                &format!("[Build]\nImageTag={image}\nFile=/x/Containerfile\n"),
            );
            place(&format!("{stem}.container"), &format!("[Container]\nImage=my{number}.build\n"));
        }
        3 => place(&format!("{stem}.volume"), &format!("[Volume]\nDriver=image\nImage={image}\n")),
        4 => {
            let over = written(random, host, images, names);
            place(&format!("{stem}.container"), &format!("[Container]\nImage={image}\n"));
            let drop_in = random.of(&["container.d", "OWN"]).replace("OWN", &format!("{stem}.container.d"));
            place(&format!("{drop_in}/{number}.conf"), &format!("[Container]\nImage={over}\n"));
        }
        5 => {
            let plain = names.iter().flatten().find(|name| !name.contains('@'));
            let Some(plain) = plain else { return };
            let which = names.iter().position(|names| names.contains(plain)).expect("it is one of them");
            host.mentioned.push(which);
            place(&format!("{stem}.kube"), &format!("[Kube]\nYaml=k{number}.yaml\n"));
            place(
                &format!("k{number}.yaml"),
                &format!("spec:\n  containers:\n  - name: x\n    image: \"{plain}\" # words\n"),
            );
            if !directory.starts_with("OTHER") {
                writeln!(script, "echo 'ExecStart={plain}' >>/run/kube-words").expect("a text");
            }
        }
        6 => {
            let mount = written(random, host, images, names).replace("\\\n  # words\n", "").replace('"', "");
            let text =
                format!("[Container]\nImage={image}\nMount=type=image,source={mount},destination=/m\n");
            place(&format!("{stem}.container"), &text);
        }
        7 => {
            // Bound, from a directory of nobody's.
            let path = format!("/etc/site/{stem}.container");
            file(script, &path, &format!("[Container]\nImage={image}\n"));
            let link = format!("/usr/lib/bootc/bound-images.d/{stem}.container");
            writeln!(script, "ln -sf {path} {link}").expect("a text");
        }
        _ => place(&format!("{stem}.container"), &format!("[Unit]\nImage=no\n[Container]\nImage={image}\n")),
    }
}

fn check(host: &Host, images: &[Value], report: &str, counts: &mut Counts) {
    let fail = |what: &str| -> ! { panic!("seed {}: {what}\n{report}\n{}", host.seed, host.script) };
    let part = |name: &str| {
        let text = report.split_once(&format!("--- {name}\n")).unwrap_or_else(|| fail("no report")).1;
        text.split("--- ").next().unwrap_or_default().trim().to_owned()
    };
    let (before, after, prune, left) = (part("before"), part("after"), part("prune"), part("left"));
    if before != after {
        fail("something that is needed is gone");
    }
    let refused = prune.contains("nothing was removed");
    if !prune.starts_with("code 0") && !refused {
        fail("prune failed");
    }
    counts.hosts += 1;
    counts.refused += u64::from(refused);
    let needed: std::collections::BTreeSet<&str> =
        before.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    counts.needed += needed.len() as u64;
    let left_ids: Vec<&str> = left.lines().map(|id| id.trim_start_matches("sha256:")).collect();
    for (number, image) in images.iter().enumerate() {
        let is_left = left_ids.iter().any(|id| image["id"] == *id);
        counts.removed += u64::from(!is_left);
        if is_left && !host.mentioned.contains(&number) && !host.vague && !refused {
            fail(&format!("nobody needs {}", image["id"]));
        }
    }
}

/// Whether the programs of worlds have Quadlet.
pub fn have_quadlet() -> bool {
    programs::machine().join("usr/libexec/podman/quadlet").exists()
}

//! What must stay as it is, byte for byte: the audit record, canonical operations and their digests, exit codes and messages,
//! grants, the keys of JSON and the interfaces of plugins are compared with the files in `tests/golden`. After a change that is
//! meant: `BLESS=1 cargo test --locked --test golden`, and read the difference.
//!
//! What can't be the same twice is replaced before, and nothing else is:
//!
//! - of each line of the record its `id` (`<record 1>`, the same for an intent and its outcome), its `time`, and of `process`
//!   all: `pid`, `login_uid`, `boot`, and the `version` of this program;
//! - digests of what is compiled here, with the toolchain of this machine: `code` and `manifest` of the policy that was asked;
//! - digests of the images of the world, which are made anew on each machine: those in [`Facts`] get their names, as in
//!   `<booted commit>`, others numbers in the order in which they come, as in `<digits 1>`. Images that are made here byte by
//!   byte (see [`handmade`]) and what is only about them keep their digests;
//! - what podman prints, and what is logged, which names modules, is left out.
//!
//! Replaced or not, the digest of each recorded operation is computed again from its text here.

mod plugins;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bootc_image_tests::oracle::Store;
use bootc_image_tests::world::{Enter, Facts};
use bootc_image_tests::{Output, World};
use plugins::native::{CONFIG, ENABLED, Extension};
use plugins::{IMAGE, SITE, components, granted_capabilities, install, install_in_image, ship_in_image};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const RECORD: &str = "/var/lib/bootc-image/audit/audit.jsonl";
/// Of the OS image, so that it is there before anything is written to `/etc`.
const SETTINGS: &str = "/usr/lib/bootc-image/config.d/50-test.toml";
/// The policy has all that it is shown recorded, and reads are recorded too.
const TELL: &str = "audit.reads = true\nsettings.policy-does.do = \"tell\"\n";

/// Fails with the lines that differ unless the file has this text; with `BLESS` it has it afterwards.
#[track_caller]
fn is_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "tests/golden/{name} isn't what there is now (-: the file, +: now); if that is meant: \
         BLESS=1 cargo test --locked --test golden\n{}",
        difference(&kept, text)
    );
}

/// The lines that differ, with their numbers in the old text or the new one.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    // The length of what two rests have in common.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for o in (0..old.len()).rev() {
        for n in (0..new.len()).rev() {
            common[o][n] = if old[o] == new[n] {
                common[o + 1][n + 1] + 1
            } else {
                common[o + 1][n].max(common[o][n + 1])
            };
        }
    }
    let (mut o, mut n, mut text) = (0, 0, String::new());
    while o < old.len() || n < new.len() {
        let (was, is) = (old.get(o), new.get(n));
        if was.is_some() && was == is {
            (o, n) = (o + 1, n + 1);
        } else if is.is_none() || was.is_some() && common[o + 1][n] >= common[o][n + 1] {
            let other = is.copied().unwrap_or_default();
            writeln!(text, "-{:>4} {}", o + 1, around_difference(old[o], other)).unwrap();
            o += 1;
        } else {
            let other = o.checked_sub(1).and_then(|before| old.get(before)).copied().unwrap_or_default();
            writeln!(text, "+{:>4} {}", n + 1, around_difference(new[n], other)).unwrap();
            n += 1;
        }
    }
    text
}

/// A line of the record is long: of a line that begins like the other, only what comes around the first difference.
fn around_difference(line: &str, other: &str) -> String {
    const BEFORE: usize = 60;
    const AFTER: usize = 140;
    let same = line.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let skipped = same.saturating_sub(BEFORE);
    let shown: String = line.chars().skip(skipped).take(BEFORE + AFTER).collect();
    let (before, after) = (skipped > 0, line.chars().count() > skipped + BEFORE + AFTER);
    format!("{}{shown}{}", if before { "..." } else { "" }, if after { "..." } else { "" })
}

#[test]
fn a_difference_is_told_by_line_and_place() {
    let long = "x".repeat(300);
    let old = format!("same\ngone\n{long}1{long}\nlast");
    let new = format!("same\n{long}2{long}\nlast\nmore");
    let shown = |digit: char| format!("...{}{digit}{}...", "x".repeat(60), "x".repeat(139));
    let expected = format!("-   2 gone\n-   3 {}\n+   2 {}\n+   4 more\n", shown('1'), shown('2'));
    assert_eq!(difference(&old, &new), expected);
}

/// Which digests the same operation has on every machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Digests {
    /// All of them: it is about what is made here byte by byte.
    Literal,
    /// None but those of settings: images of the world are in it.
    OfThisWorld,
}

/// Replaces what can't be the same twice.
struct Normal {
    digests: Digests,
    /// Of the world's images: what is replaced, and by what.
    names: BTreeMap<String, String>,
    records: Vec<String>,
    numbered: Vec<String>,
}

impl Normal {
    fn new(digests: Digests, facts: &Facts) -> Self {
        let Facts { booted, rollback, app1, app2, app3, mine, multi, .. } = facts;
        let mut names = BTreeMap::new();
        let mut name = |digits: &str, name: String| {
            let digits = digits.trim_start_matches("sha256:");
            // An index has no id.
            if !digits.is_empty() {
                names.insert(digits.to_owned(), format!("<{name}>"));
            }
        };
        for (deployment, which) in [(booted, "booted"), (rollback, "rollback")] {
            name(&deployment.commit, format!("{which} commit"));
            name(&deployment.digest, format!("{which} manifest"));
        }
        for (image, which) in
            [(app1, "app:1"), (app2, "app:2"), (app3, "app:3"), (mine, "mine:1"), (multi, "multi:1")]
        {
            name(&image.digest, format!("{which} manifest"));
            name(&image.id, format!("{which} id"));
        }
        Self { digests, names, records: Vec::new(), numbered: Vec::new() }
    }

    /// A line of the record, or of what is printed.
    fn line(&mut self, line: &str) -> String {
        let mut line = line.to_owned();
        if line.starts_with("{\"schema\":2,\"event\":") {
            // The first one is the line's own; images have an `id` too.
            if let Some(own) = between(&line, "\"id\":\"", "\"") {
                let name = format!("<record {}>", number(&mut self.records, own));
                line = line.replacen(own, &name, 1);
            }
            line = replace(&line, "\"time\":\"", "\"", |_| "<time>".to_owned());
            line = replace(&line, "\"process\":{", "}", |fields| {
                let key = |field: &str| field.split(':').next().unwrap_or_default().to_owned() + ":<>";
                fields.split(',').map(key).collect::<Vec<_>>().join(",")
            });
        }
        let of_this_build = |_: &str| "<of this build>".to_owned();
        line = replace(&line, "\"provenance\":{", "}", |made| {
            let made = replace(made, "\"code\":\"", "\"", of_this_build);
            replace(&made, "\"manifest\":\"", "\"", of_this_build)
        });
        // The same on lines of their own, in a dry run; a denial has a code, too.
        let is_of_this_build =
            ["\"code\": \"", "\"manifest\": \""].map(|key| line.trim_start().starts_with(key));
        if is_of_this_build.contains(&true) && digits(&line).is_some() {
            line = replace(&line, "\": \"", "\"", of_this_build);
        }
        self.digests(&line)
    }

    /// Replaces numbers of 64 hexadecimal digits.
    fn digests(&mut self, line: &str) -> String {
        let mut text = String::new();
        let mut rest = line;
        while let Some((before, digits, after)) = digits(rest) {
            text.push_str(before);
            let is_of_settings = text.ends_with("\"settings\":\"");
            match self.names.get(digits) {
                Some(name) => text.push_str(name),
                None if self.digests == Digests::Literal || is_of_settings => text.push_str(digits),
                None => write!(text, "<digits {}>", number(&mut self.numbered, digits)).unwrap(),
            }
            rest = after;
        }
        text.push_str(rest);
        // People are told the first twelve.
        self.names.iter().fold(text, |text, (digits, name)| text.replace(&digits[..12], name))
    }
}

/// Counts from 1, in the order in which they come.
fn number(known: &mut Vec<String>, new: &str) -> usize {
    let found = known.iter().position(|known| known == new).unwrap_or_else(|| {
        known.push(new.to_owned());
        known.len() - 1
    });
    found + 1
}

/// What stands between a beginning and an end, where it does first.
fn between<'a>(text: &'a str, beginning: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(beginning)?.1.split_once(end)?.0)
}

/// What stands between a beginning and an end is replaced, wherever it does.
fn replace(text: &str, beginning: &str, end: &str, mut by: impl FnMut(&str) -> String) -> String {
    let mut parts = text.split(beginning);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (value, rest) = part.split_once(end).unwrap_or((part, ""));
        write!(replaced, "{beginning}{}{end}{rest}", by(value)).unwrap();
    }
    replaced
}

/// The first 64 hexadecimal digits, no more and no fewer, with what comes before and after them.
fn digits(text: &str) -> Option<(&str, &str, &str)> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let mut start = 0;
    while let Some(begin) = text.as_bytes()[start..].iter().position(is_digit).map(|found| found + start) {
        let length = text.as_bytes()[begin..].iter().take_while(|byte| is_digit(byte)).count();
        if length == 64 {
            return Some((&text[..begin], &text[begin..begin + length], &text[begin + length..]));
        }
        start = begin + length;
    }
    None
}

/// Commands in one world, with what came of each.
struct Transcript<'a> {
    world: &'a World,
    normal: Normal,
    text: String,
    /// How many lines of the record are in it.
    lines: usize,
}

impl<'a> Transcript<'a> {
    fn new(world: &'a World, digests: Digests) -> Self {
        Self { world, normal: Normal::new(digests, world.facts()), text: String::new(), lines: 0 }
    }

    fn record(&self) -> Vec<String> {
        let text = fs::read_to_string(self.world.outside(RECORD)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Runs `bootc-image` with words that have no blanks in them; `how` says what is special about it.
    fn run(&mut self, how: &str, enter: Enter, words: &str) -> &mut Self {
        let command: Vec<&str> = std::iter::once("bootc-image").chain(words.split_whitespace()).collect();
        let output = enter.env("RUST_LOG", "off").run(&command);
        self.add(how, words, &output)
    }

    /// As it would be judged, and then for real.
    fn judge_and_run(&mut self, enter: impl Fn() -> Enter, words: &str) -> &mut Self {
        self.run("", enter(), &format!("--dry-run {words}"));
        self.run("", enter(), words)
    }

    /// What came of a command.
    fn add(&mut self, how: &str, words: &str, output: &Output) -> &mut Self {
        let how = if how.is_empty() { String::new() } else { format!("   # {how}") };
        let words = self.normal.line(words);
        writeln!(self.text, "$ bootc-image {words}{how}").unwrap();
        let record = self.record();
        let new = &record[self.lines..];
        let is_of_podman = new.iter().any(|line| line.contains("\"result\":\"exited\""));
        for (mark, stream) in [("  ", &output.stdout), ("! ", &output.stderr)] {
            for line in stream.lines().filter(|_| !is_of_podman) {
                let line = self.normal.line(line);
                writeln!(self.text, "{}", format!("{mark}{line}").trim_end()).unwrap();
            }
        }
        for line in new {
            assert_digest(line);
            let line = self.normal.line(line);
            writeln!(self.text, "{line}").unwrap();
        }
        self.lines = record.len();
        writeln!(self.text, "exit code {}\n", output.code).unwrap();
        self
    }

    /// A file of the world as it is now, with its mode.
    fn file(&mut self, path: &str) -> &mut Self {
        let outside = self.world.outside(path);
        match fs::read_to_string(&outside) {
            Ok(text) => {
                let mode = fs::metadata(&outside).unwrap().mode() & 0o7777;
                writeln!(self.text, "{path} ({mode:04o})").unwrap();
                for line in text.lines() {
                    writeln!(self.text, "{}", format!("| {line}").trim_end()).unwrap();
                }
            }
            Err(error) => writeln!(self.text, "{path}: {}", error.kind()).unwrap(),
        }
        self.text.push('\n');
        self
    }
}

/// The digest of a recorded operation is that of its text, as docs/reference/audit-record.md says.
#[track_caller]
fn assert_digest(line: &str) {
    let Some((_, rest)) = line.split_once("\"canonical\":") else { return };
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    values.next().unwrap().unwrap();
    let digest = format!("\"digest\":\"sha256:{}\"", sha256(&rest[..values.byte_offset()]));
    assert!(line.contains(&digest), "{digest} isn't in {line}");
}

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// An image that is made byte by byte, so that all its digests are the same on every machine.
struct Handmade {
    /// Where its files are inside, in skopeo's format `dir`.
    directory: String,
    files: Vec<(String, Vec<u8>)>,
    id: String,
}

/// One layer without files. Images with another label are other images.
fn handmade(label: &str) -> Handmade {
    // The end of a tar archive, and so an empty one.
    let layer = vec![0; 1024];
    let digest = sha256(&layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Labels":{{"made":"{label}"}}}},"rootfs":{{"type":"layers","diff_ids":["sha256:{digest}"]}}}}"#
    );
    let id = sha256(&config);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{id}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:{digest}","size":1024}}]}}"#,
        config.len()
    );
    let files = vec![
        ("version".to_owned(), b"Directory Transport Version: 1.1\n".to_vec()),
        ("manifest.json".to_owned(), manifest.into_bytes()),
        (id.clone(), config.into_bytes()),
        (digest, layer),
    ];
    Handmade { directory: format!("/run/handmade/{label}"), files, id }
}

impl Handmade {
    fn manifest(&self) -> String {
        let manifest = self.files.iter().find(|(name, _)| name == "manifest.json");
        format!("sha256:{}", sha256(&manifest.unwrap().1))
    }

    fn enter(&self, enter: Enter) -> Enter {
        let directory = &self.directory;
        self.files
            .iter()
            .fold(enter, |enter, (name, bytes)| enter.file(&format!("{directory}/{name}"), bytes))
    }
}

/// A world whose registry has `hand/a:1` and `hand/b:1`, its default storage `localhost/a:1`, and bootc's storage nothing but
/// what is bound.
fn world_with_handmade() -> (World, [Handmade; 2]) {
    let (world, images) = (World::new(), [handmade("a"), handmade("b")]);
    let script = format!(
        "{}for image in a b; do
            skopeo copy --quiet --preserve-digests dir:/run/handmade/$image docker://127.0.0.1:5000/hand/$image:1
        done
        skopeo copy --quiet dir:/run/handmade/a containers-storage:localhost/a:1
        store_podman image untag localhost/app:stable localhost/app:stable
        store_podman image rm {} >/dev/null",
        Store::Bootc.shell(),
        world.facts().app2.id
    );
    let enter = images.iter().fold(world.enter().registry(true), |enter, image| image.enter(enter));
    enter.sh(&script).ok();
    (world, images)
}

/// With the policy that tells what it is shown, and the plugin that has all of podman's subcommands.
fn enter_telling(world: &World) -> Enter {
    let enter = ship_in_image(world.enter(), "podman-maintenance");
    install_in_image(enter, "policy-does").file(SETTINGS, TELL)
}

/// Everything in these is literal.
#[test]
fn operations_on_handmade_images_are_as_they_were() {
    let (world, [a, b]) = world_with_handmade();
    let enter = || {
        let context = "FROM scratch\nCOPY Containerfile /\n";
        enter_telling(&world)
            .file("/run/context/Containerfile", context)
            .file("/var/lib/bootc-image/archives/.keep", "")
    };
    let online = || enter().registry(true);
    let mut all = Transcript::new(&world, Digests::Literal);
    all.run("", enter(), "--dry-run list");
    all.run("", enter(), "--dry-run list --type unified --format json");
    all.judge_and_run(enter, "list --type logical");
    all.judge_and_run(enter, "--quiet pull-from-default-storage localhost/a:1");
    all.run("it is there", enter(), "--quiet pull-from-default-storage a:1");
    all.judge_and_run(online, "cmd pull --quiet 127.0.0.1:5000/hand/b:1");
    all.run(
        "",
        online(),
        &format!("--dry-run cmd pull 127.0.0.1:5000/hand/a:1 127.0.0.1:5000/hand/b@{}", b.manifest()),
    );
    all.judge_and_run(enter, "cmd list --all --no-trunc");
    all.judge_and_run(enter, "cmd tag localhost/a:1 localhost/second:1 quay.io/third/name");
    all.judge_and_run(enter, &format!("cmd inspect --format {{{{.Id}}}} {}", a.id));
    all.judge_and_run(enter, "cmd history a:1");
    all.judge_and_run(enter, "cmd exists a:1");
    all.judge_and_run(enter, "cmd tree a:1");
    all.judge_and_run(online, "cmd push --quiet a:1 127.0.0.1:5000/hand/pushed:1");
    all.judge_and_run(online, &format!("cmd push --quiet {} 127.0.0.1:5000/hand/pushed", &a.id[..12]));
    all.judge_and_run(enter, "cmd save --quiet --output /var/lib/bootc-image/archives/a.tar a:1");
    all.judge_and_run(enter, "cmd load --quiet --input /var/lib/bootc-image/archives/a.tar");
    all.judge_and_run(enter, "cmd untag a:1 quay.io/third/name");
    all.judge_and_run(enter, "cmd build --quiet --timestamp 0 --tag localhost/built:1 /run/context");
    all.judge_and_run(enter, "--quiet repair localhost/second:1");
    all.run("", enter(), &format!("--dry-run repair {}", b.id));
    all.run("", enter(), "--dry-run cmd rm a:1 second:1");
    all.judge_and_run(enter, "remove a:1");
    all.judge_and_run(enter, "cmd rmi localhost/second:1");
    all.judge_and_run(enter, "prune");
    all.judge_and_run(enter, "prune --all");
    all.run("nothing is left", enter(), "prune --all");
    is_golden("operations-literal.txt", &all.text);
}

/// What a command fails with in place of a program that can't be made to fail at will.
const NO_ROOM: &str = "#!/bin/sh\necho no room >&2\nexit 1\n";

/// The system's own images, callers who are root through sudo, and what plugins ask for.
#[test]
fn operations_on_the_images_of_the_world_are_as_they_were() {
    let world = World::new();
    let enter = || enter_telling(&world);
    let online = || enter().registry(true);
    let sudo = || enter().env("SUDO_UID", "1000");
    let asks = |what: &str| {
        let settings = format!("{TELL}settings.command-asks.do = {what:?}\n");
        install_in_image(enter(), "command-asks").file(SETTINGS, settings)
    };
    let mut all = Transcript::new(&world, Digests::OfThisWorld);
    all.run("", enter(), "list");
    all.run("", enter(), "list --format json");
    all.judge_and_run(enter, "--quiet copy-to-storage");
    all.run("it is there", enter(), "--quiet copy-to-storage --target bootc");
    all.run("another deployment", enter().boot(1), "--quiet copy-to-storage --target quay.io/rolled/back");
    all.judge_and_run(enter, "--quiet copy-to-storage --source app:stable --target stable:2");
    let fails = || enter().file_with_mode("/usr/bin/skopeo", NO_ROOM, 0o755);
    all.run("skopeo fails", fails(), "--quiet copy-to-storage --target localhost/never:1");
    let without = |program: &str| enter().without(program);
    all.run("no podman", without("podman"), "copy-to-storage --target localhost/never:1");
    all.run("no skopeo", without("skopeo"), "copy-to-storage --target localhost/never:1");
    all.run("no helper", without("bootc-image-helper"), "--quiet copy-to-storage --target localhost/never:1");
    all.run("podman fails", enter(), "cmd list --sort nonsense");
    all.judge_and_run(online, "--quiet set-unified");
    all.run("it is there", enter(), "--quiet set-unified");
    all.run("an index", online(), "--quiet cmd pull --platform linux/arm64 127.0.0.1:5000/lab/multi:1");
    all.run("needed", enter(), "remove 127.0.0.1:5000/lab/os:1");
    all.run("needed", enter(), "remove 127.0.0.1:5000/lab/app:1");
    all.run("one is needed", enter(), "remove app:stable 127.0.0.1:5000/lab/app:1");
    all.judge_and_run(enter, "--quiet repair app:stable");
    all.run("through sudo", sudo(), "--quiet pull-from-default-storage localhost/mine:1");
    all.run("through sudo", sudo().registry(true), "policy explain cmd pull 127.0.0.1:5000/lab/app:3");
    all.run("through sudo", sudo(), "cmd load --input /var/lib/bootc-image/archives/a.tar");
    all.run("through sudo", sudo(), "--sysroot /sysroot copy-to-storage");
    all.run("through sudo", sudo(), "plugin revoke policy-does");
    all.run("a plugin asks for a copy", asks("copy"), "--quiet cmd diff");
    all.run("a plugin asks for a pull", asks("pull"), "--quiet cmd diff");
    all.run("a plugin asks for too much", asks("copy-outside"), "--quiet cmd diff");
    all.run("a plugin asks for a list", asks("list"), "--quiet cmd diff");
    all.run("another system", enter(), "--quiet --sysroot /sysroot copy-to-storage --target sysroot:1");
    all.run("", enter(), "prune --all");
    is_golden("operations-of-the-world.txt", &all.text);
}

/// What makes of a stay one where operations aren't possible.
type Elsewhere = fn(Enter) -> Enter;

/// What policies, plugins and the host refuse, on record or not; and what makes no sense or isn't possible here.
#[test]
fn refusals_and_exit_codes_are_as_they_were() {
    let (world, _) = world_with_handmade();
    let does = |what: &str, more: &str| {
        let settings = format!("settings.policy-does.do = {what:?}\n{more}");
        install_in_image(world.enter(), "policy-does").file(SETTINGS, settings)
    };
    let policy = || {
        let rules = "[settings.registry-policy]\ndefault = \"deny\"\n\
                     [[settings.registry-policy.rule]]\neffect = \"allow\"\nregistry = [\"quay.io\"]\n";
        ship_in_image(world.enter(), "registry-policy").file(SETTINGS, rules)
    };
    let enter = || world.enter();
    let with = |settings: &str| world.enter().file(SETTINGS, settings);
    let mut all = Transcript::new(&world, Digests::Literal);

    all.run("a policy denies", does("deny", ""), "pull-from-default-storage localhost/a:1");
    all.run("a policy denies", does("deny", ""), "--dry-run pull-from-default-storage localhost/a:1");
    all.run("before names are resolved", policy(), "cmd pull docker.io/evil/a:1");
    all.run("a rule denies", policy(), "pull-from-default-storage localhost/a:1");
    all.run("a policy is stuck", does("problem", ""), "pull-from-default-storage localhost/a:1");
    let may_fail = "[policy]\nfail-open = [\"policy-does\"]\n";
    all.run(
        "a policy may fail",
        does("problem", may_fail),
        "--quiet pull-from-default-storage localhost/a:1",
    );
    all.run("a policy is missing", with("[policy]\nmandatory = [\"gone\"]\n"), "remove localhost/a:1");
    all.run("a policy is missing", with("[policy]\nmandatory = [\"gone\"]\n"), "list --type logical");
    all.run("explained", does("deny", ""), "policy explain pull-from-default-storage localhost/a:1");
    all.run("explained", does("allow", ""), "policy explain remove localhost/a:1");

    all.run("", enter(), "cmd mount a:1");
    all.run("", enter(), "cmd list --root /x");
    all.run("", enter(), "cmd pull --all-tags quay.io/a");
    all.run("", enter(), "cmd pull dir:/tmp/x");
    all.run("", enter(), "cmd push localhost/nothing:1");
    all.run("", enter(), "cmd build /nowhere");
    all.run("", enter().registry(true), "cmd pull 127.0.0.1:5000/hand/nothing:1");
    all.run("", enter(), "remove localhost/nothing:1");
    all.run("", enter(), "repair localhost/nothing:1");
    all.run("", enter(), "pull-from-default-storage localhost/nothing:1");
    all.run("", enter(), "pull-from-default-storage UPPER");
    all.run("", enter(), "copy-to-storage --source localhost/nothing:1");
    all.run("", enter(), "copy-to-storage --target dir:/tmp/x");
    all.run("", enter(), "plugin show nothing");
    all.run("", enter(), "plugin approve podman-allowlist");
    all.run("", enter(), "plugin revoke podman-allowlist");

    for words in [
        "",
        "lists",
        "list --type nothing",
        "list --format nothing",
        "list --format table=x",
        "copy-to-storage --unknown",
        "pull-from-default-storage",
        "set-unified x",
        "remove",
        "prune x",
        "repair",
        "repair --all x",
        "cmd",
        "cmd --status-fd 1 list",
        "cmd --status-fd 7 list",
        "plugin",
        "plugin list --format csv",
        "plugin approve",
        "policy explain plugin list",
        "policy test /nowhere",
        "completion nothing",
    ] {
        all.run("", enter(), words);
    }

    let elsewhere: [(&str, Elsewhere); 3] = [
        ("not root", |enter| enter.as_uid(1000)),
        ("not booted", Enter::not_booted),
        ("in a container", Enter::in_container),
    ];
    for (how, enter) in elsewhere {
        for words in [
            "list",
            "list --type logical",
            "copy-to-storage",
            "set-unified",
            "cmd list",
            "prune",
            "plugin list",
        ] {
            all.run(how, enter(world.enter()), words);
        }
    }
    let command = Plugin::new("site-command", COMMAND);
    let asks = |what: &str| {
        let settings = format!("settings.command-asks.do = {what:?}\n");
        install_in_image(world.enter(), "command-asks").file(SETTINGS, settings)
    };
    for (how, enter, words) in [
        ("an unknown key", with("[policy]\nmandatry = [\"a\"]\n"), "cmd list"),
        ("an unknown key", with("[policy]\nmandatry = [\"a\"]\n"), "list --type logical"),
        ("two plugins for one command", install_in_image(world.enter(), "command-panics"), "cmd list"),
        ("a plugin that nobody approved", command.install(world.enter(), IMAGE), "cmd history a:1"),
        ("a component that crashes", command.install_in_image(world.enter()), "cmd history a:1"),
        ("a NUL in a plan", asks("nul"), "cmd diff"),
        ("a plan for another subcommand", asks("again"), "cmd diff"),
        ("a plan for removing", asks("remove"), "cmd diff"),
        (
            "an unreadable manifest",
            world.enter().file(&format!("{IMAGE}/broken/plugin.toml"), "schema = 2\n"),
            "cmd list",
        ),
        (
            "an unreadable grant",
            world.enter().file("/usr/lib/bootc-image/grants.d/a.toml", "[[grants]]\n"),
            "cmd list",
        ),
    ] {
        all.run(how, enter, words);
    }
    let no_record = "rm -r /var/lib/bootc-image/audit; touch /var/lib/bootc-image/audit; exec bootc-image remove localhost/a:1";
    let output = world.enter().sh(no_record);
    // It begins anew, and stays empty.
    all.lines = 0;
    all.add("an unwritable audit record", "remove localhost/a:1", &output);
    is_golden("refusals.txt", &all.text);
}

/// A plugin whose component was made of text: nothing compiled is in it, and so its digests are the same everywhere. It can be looked
/// at and approved, and crashes when it is called.
struct Plugin {
    id: &'static str,
    manifest: String,
    component: Vec<u8>,
}

const POLICY: &str = "world = \"bootc-image:policy/validator\"\nbefore-lookup = true\n\
                      when = { operations = [\"cmd pull\"], references = [\"quay.io/**\"] }\n";
const FORMAT: &str = "world = \"bootc-image:format/output\"\n[[format]]\nname = \"lines\"\nsummary = \"A line an image\"\n\
                      argument = \"WIDTH\"\ncolumns = [\"image\", \"size\"]\n";
const COMMAND: &str = "world = \"bootc-image:command/wrapper\"\n\
                       [[capability]]\nname = \"podman-reads\"\nscope = \"/var/lib/archives\"\nreason = \"archives are there\"\n\
                       [[capability]]\nname = \"copies-images\"\nscope = \"quay.io/site/*\"\nreason = \"copies\"\n\
                       [[command]]\nname = \"history\"\nsummary = \"All of an image's\"\nargs = \"IMAGE\"\n";

impl Plugin {
    /// `rest` is what its manifest says after file and digest of the component.
    fn new(id: &'static str, rest: &str) -> Self {
        let (world, functions): (_, &[(&str, usize)]) = match rest {
            POLICY => ("policy/validator", &[("policy/validate@0.1.0#evaluate", 1)]),
            FORMAT => {
                ("format/output", &[("format/formatter@0.1.0#begin", 6), ("format/formatter@0.1.0#chunk", 1)])
            }
            _ => ("command/wrapper", &[("command/commands@0.1.0#plan-run", 4)]),
        };
        let function = |(name, parameters): &(&str, usize)| {
            let parameters = "i32 ".repeat(*parameters);
            format!("(func (export \"bootc-image:{name}\") (param {parameters}) (result i32) unreachable)")
        };
        let module = format!(
            "(module (memory (export \"memory\") 1)
                (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) unreachable)
                {})",
            functions.iter().map(function).collect::<String>()
        );
        let component = components::component(&module, &format!("include bootc-image:{world}@0.1.0;"), "");
        let manifest = components::manifest(id, &component, rest);
        Self { id, manifest, component }
    }

    fn install(&self, enter: Enter, place: &str) -> Enter {
        let directory = format!("{place}/{}", self.id);
        enter
            .file(&format!("{directory}/plugin.toml"), &self.manifest)
            .file(&format!("{directory}/plugin.wasm"), &self.component)
    }

    fn install_in_image(&self, enter: Enter) -> Enter {
        let grant = format!("[[grant]]\nplugin = {:?}\n{}", self.id, granted_capabilities(&self.manifest));
        self.install(enter, IMAGE).file(&format!("/usr/lib/bootc-image/grants.d/{}.toml", self.id), grant)
    }
}

/// Everything in these is literal, too.
#[test]
fn approvals_and_what_plugins_say_of_themselves_are_as_they_were() {
    let world = World::new();
    let plugins = [
        Plugin::new("site-policy", POLICY),
        Plugin::new("site-format", FORMAT),
        Plugin::new("site-command", COMMAND),
    ];
    let native = Extension::of("site-native", b"no library".to_vec(), "role = \"policy\"\n");
    let enter = || {
        let enter = plugins.iter().fold(world.enter(), |enter, plugin| plugin.install(enter, SITE));
        native.install(enter)
    };
    let mut all = Transcript::new(&world, Digests::Literal);
    all.run("", enter(), "plugin list");
    for id in ["site-policy", "site-format", "site-command", "site-native"] {
        let grant = format!("/etc/bootc-image/grants.d/{id}.toml");
        all.run("", enter(), &format!("plugin show {id}"));
        all.judge_and_run(enter, &format!("plugin approve {id}")).file(&grant);
        all.run("", enter(), &format!("plugin show {id}"));
        all.run("", enter(), &format!("plugin approve --mandatory {id}")).file(&grant);
        // What is mandatory stays so.
        all.run("again", enter(), &format!("plugin approve {id}")).file(&grant);
    }
    all.run("", enter(), "plugin list");
    all.run("native code may run", enter().file(CONFIG, ENABLED), "plugin list --format json");
    all.run("native code may run", enter().file(CONFIG, ENABLED), "plugin doctor");
    all.run("", enter(), "cmd list");
    all.run("through sudo", enter().env("SUDO_UID", "1000"), "plugin approve site-policy");
    for id in ["site-policy", "site-format", "site-command", "site-native"] {
        let grant = format!("/etc/bootc-image/grants.d/{id}.toml");
        all.judge_and_run(enter, &format!("plugin revoke {id}")).file(&grant);
    }
    all.run("", enter(), "plugin revoke site-policy");
    all.run("", world.enter(), "plugin approve nothing");
    is_golden("plugins.txt", &all.text);
}

/// Verdicts on operations with assumed names, by the policy that is shipped.
#[test]
fn verdicts_on_assumed_operations_are_as_they_were() {
    let world = World::new();
    let rules = "[settings.registry-policy]\ndefault = \"deny\"\n[[settings.registry-policy.rule]]\n\
                 effect = \"allow\"\nregistry = [\"quay.io\", \"localhost\"]\n";
    let operations = [
        "list",
        "list --type unified",
        "copy-to-storage",
        "copy-to-storage --source docker.io/a/b:1 --target quay.io/c",
        "copy-to-storage --source containers-storage:quay.io/a/b:1",
        "pull-from-default-storage quay.io/a/b:1 docker.io/evil/c",
        "set-unified",
        "remove quay.io/a/b",
        "prune",
        "prune --all",
        "repair docker.io/evil/c",
        "repair --all",
        "cmd build --tag localhost/built .",
        "cmd list",
        "cmd pull quay.io/a/b:1",
        "cmd pull docker.io/evil/c",
        "cmd pull --platform linux/arm64 quay.io/a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "cmd push localhost/a docker.io/evil/c",
        "cmd tag localhost/a docker.io/evil/c",
        "cmd untag localhost/a docker.io/evil/c",
        "cmd save localhost/a",
        "cmd load",
        "cmd history localhost/a",
        "cmd rm quay.io/a/b",
        "cmd list --root /x",
        "cmd mount x",
    ];
    // Who was expected to deny is nobody: so it is said who did, and why.
    let case = |words: &str, more: &str| {
        let run: Vec<&str> = words.split(' ').collect();
        format!("[[case]]\nrun = {run:?}\nexpect = \"deny\"\nby = \"nobody\"\n{more}\n")
    };
    let sudo = "caller = 1000\nvia = \"sudo\"\nbooted = \"docker://docker.io/evil/os:1\"\n";
    let mut all = Transcript::new(&world, Digests::Literal);
    for (how, more) in [("as root", ""), ("through sudo, and another image is booted", sudo)] {
        let cases: String = operations.iter().map(|words| case(words, more)).collect();
        let enter = ship_in_image(ship_in_image(world.enter(), "registry-policy"), "podman-maintenance");
        let enter = enter.file(SETTINGS, rules).file("/tmp/cases.toml", cases).not_booted().as_uid(1000);
        all.run(how, enter, "policy test /tmp/cases.toml");
    }
    is_golden("verdicts.txt", &all.text);
}

/// The paths to all values, with the kind of each, as in `[].image: string`.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| keys(value, &format!("{path}.{key}"), found));
            return;
        }
        Value::Array(values) => {
            values.iter().for_each(|value| keys(value, &format!("{path}[]"), found));
            return;
        }
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
    };
    found.insert(format!("{path}: {kind}"));
}

#[test]
fn json_has_the_keys_that_it_had() {
    let world = World::new();
    let enter = || {
        install_in_image(install(world.enter(), "wasi-policy", IMAGE), "policy-does")
            .file(SETTINGS, "settings.policy-does.do = \"allow\"\npolicy.mandatory = [\"gone\"]\n")
    };
    let mut text = String::new();
    for command in [
        "bootc-image list --format json",
        "bootc-image plugin list --format json",
        "bootc-image --dry-run list || true",
        "bootc-image --dry-run copy-to-storage || true",
        "bootc-image cmd --status-fd 5 list 5>/tmp/status >/dev/null || true; cat /tmp/status",
        "bootc-image cmd --status-fd 5 mount x 5>/tmp/status >/dev/null || true; cat /tmp/status",
    ] {
        let mut found = BTreeSet::new();
        keys(&enter().sh(command).ok().json(), "", &mut found);
        writeln!(text, "{command}").unwrap();
        found.iter().for_each(|path| writeln!(text, "  {path}").unwrap());
    }
    is_golden("json-keys.txt", &text);
}

/// What is compiled against must not change without anybody's noticing; what is said about it may.
#[test]
fn the_interfaces_of_plugins_are_as_they_were() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = vec!["extension-sdk/include/bootc_image_extension.h".to_owned()];
    for package in names(&root.join("wit")) {
        let interfaces = names(&root.join("wit").join(&package));
        files.extend(interfaces.into_iter().map(|name| format!("wit/{package}/{name}")));
    }
    let mut text = String::new();
    for file in files {
        let digest = sha256(without_comments(&fs::read_to_string(root.join(&file)).unwrap()));
        writeln!(text, "{digest}  {file}").unwrap();
    }
    is_golden("interfaces.txt", &text);
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Without comments, blank lines and blanks at the ends of lines. Neither C headers of ours nor WIT have texts in which a
/// comment could seem to begin.
fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    code.push_str(rest);
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default().trim_end());
    lines.filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

#[test]
fn comments_dont_count() {
    let text = "/* a\n b */\n// c\n\nrecord x { // d\n    /// e\n    y: u8,\n}\n";
    assert_eq!(without_comments(text), "record x {\n    y: u8,\n}\n");
}

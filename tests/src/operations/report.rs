//! What there was before and after an operation, and what the policy was shown in between.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::generate::Case;
use super::lab::LIMIT;
use crate::World;

/// An image of a storage, as podman lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) names: BTreeSet<String>,
    pub(super) digest: String,
}

/// All images of a storage, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Images(pub(super) BTreeMap<String, Image>);

/// An image's id and one of its names.
pub(super) type Pair = (String, String);

impl Images {
    /// podman lists an image once for each of its names.
    pub(super) fn of(json: &str) -> Result<Self, String> {
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

    pub(super) fn pairs(&self) -> BTreeSet<Pair> {
        let pairs = |(id, image): (&String, &Image)| {
            image.names.iter().map(|name| (id.clone(), name.clone())).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(pairs).collect()
    }

    /// What the names of an image mean.
    pub(super) fn meanings(&self, id: &str) -> BTreeSet<String> {
        self.0.get(id).into_iter().flat_map(|image| &image.names).map(|name| meaning(name)).collect()
    }

    /// These with one difference each, and which.
    fn tampered_with(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        let mut with = |what: String, change: &dyn Fn(&mut BTreeMap<String, Image>)| {
            let mut images = self.clone();
            change(&mut images.0);
            all.push((what, images));
        };
        with("a new image".to_owned(), &|images| _ = images.insert(FORGED.to_owned(), Image::default()));
        for (id, image) in &self.0 {
            let named = |names: BTreeSet<String>| Image { names, ..image.clone() };
            let more = image.names.iter().cloned().chain(["evil.example/x:1".to_owned()]).collect();
            let more = named(more);
            with(format!("a new name of {id}"), &|images| _ = images.insert(id.clone(), more.clone()));
            with(format!("no {id}"), &|images| _ = images.remove(id));
            // podman gives and takes forms with a digest by itself.
            for name in image.names.iter().filter(|name| !name.contains('@')) {
                let less = named(image.names.iter().filter(|other| *other != name).cloned().collect());
                with(format!("no name {name}"), &|images| _ = images.insert(id.clone(), less.clone()));
            }
        }
        all
    }

    pub(super) fn ids(&self) -> BTreeSet<&String> {
        self.0.keys().collect()
    }
}

/// A name without the transport and everything in which two that mean the same may differ.
pub(super) fn meaning(name: &str) -> String {
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

pub(super) fn without_tag(name: &str) -> &str {
    let colon = name.rfind(':').filter(|colon| !name[*colon..].contains('/'));
    colon.map_or(name, |colon| &name[..colon])
}

/// What the policy was shown of one operation.
#[derive(Clone)]
pub(super) struct Shown {
    /// Whether nobody objected.
    pub(super) allowed: bool,
    pub(super) kind: String,
    pub(super) images: Vec<ShownImage>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ShownImage {
    pub(super) role: String,
    pub(super) name: Option<ShownName>,
    pub(super) digest: Option<String>,
    pub(super) attrs: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ShownName {
    pub(super) canonical: String,
    pub(super) transport: String,
    pub(super) registry: String,
    pub(super) repository: String,
    pub(super) tag: Option<String>,
    pub(super) digest: Option<String>,
}

/// Nothing has this digest or id.
const FORGED: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl ShownName {
    fn forged() -> Self {
        Self {
            canonical: "containers-storage:evil.example/x:1".to_owned(),
            transport: "containers-storage".to_owned(),
            registry: "evil.example".to_owned(),
            repository: "x".to_owned(),
            tag: Some("1".to_owned()),
            digest: None,
        }
    }
}

impl ShownImage {
    pub(super) fn id(&self) -> &str {
        self.attrs.get("id").map_or("", String::as_str)
    }

    pub(super) fn meaning(&self) -> Option<String> {
        self.name.as_ref().map(|name| meaning(&name.canonical))
    }

    pub(super) fn pair(&self) -> Pair {
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
#[derive(Clone)]
pub(super) struct Report {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
    pub(super) bootc: [Images; 2],
    pub(super) default: [Images; 2],
    pub(super) registry: [String; 2],
    /// What skopeo, podman or tar said of what the operation is about.
    pub(super) said: BTreeMap<&'static str, String>,
    pub(super) shown: Vec<Shown>,
    /// The code of a refusal that is on record.
    pub(super) denied: Option<String>,
    pub(super) outcomes: Vec<Value>,
    pub(super) intents: usize,
}

impl Report {
    pub(super) fn of(world: &World, case: &Case) -> Result<Self, String> {
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
            Some("resolved") => {}
            _ => return Err(format!("a line of another kind in the record: {line}")),
        }
        let verdicts = line["verdicts"].as_array().into_iter().flatten();
        let Some(verdict) = verdicts.clone().find(|verdict| verdict["validator"] == "policy-does") else {
            return if line["event"] == "intent" { Err("nobody was shown it".to_owned()) } else { Ok(()) };
        };
        let told = &verdict["annotations"]["attrs"];
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

    /// Reports that differ from this one in one thing that was shown or found, and in which thing: each must be noticed.
    pub(super) fn tampered_with(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        let mut with = |what: String, change: &dyn Fn(&mut Self)| {
            let mut report = self.clone();
            change(&mut report);
            all.push((what, report));
        };
        for (at, shown) in self.shown.iter().enumerate() {
            for (number, image) in shown.images.iter().enumerate() {
                with(format!("another role of {image}"), &|report| {
                    report.shown[at].images[number].role.push('x');
                });
                with(format!("another name of {image}"), &|report| {
                    report.shown[at].images[number].name = Some(ShownName::forged());
                });
                with(format!("another digest of {image}"), &|report| {
                    report.shown[at].images[number].digest = Some(format!("sha256:{FORGED}"));
                });
                for key in image.attrs.keys() {
                    with(format!("another {key} of {image}"), &|report| {
                        report.shown[at].images[number].attrs.insert(key.clone(), FORGED.to_owned());
                    });
                }
                // Of several that are denied only the first is on record.
                if shown.allowed {
                    with(format!("no {image}"), &|report| _ = report.shown[at].images.remove(number));
                }
            }
        }
        for (what, images) in self.bootc[1].tampered_with() {
            with(format!("bootc's storage with {what}"), &|report| report.bootc[1] = images.clone());
        }
        for (what, images) in self.default[1].tampered_with() {
            with(format!("podman's storage with {what}"), &|report| report.default[1] = images.clone());
        }
        with("a new tag in the registry".to_owned(), &|report| {
            report.registry[1].push_str("\n./lab/x/link:y");
        });
        // Where nothing ran there is nothing of it to be found.
        for (&name, text) in self.said.iter().filter(|_| self.intents > 0) {
            let changed = match name {
                // A line for each image, with a digest or an id in front.
                "digests" | "inspected" => text.replacen(['0', '1', '2', '3'], "f", 1),
                // A document with ids.
                _ => {
                    let ids = self.shown[0].images.iter().map(ShownImage::id).filter(|id| !id.is_empty());
                    ids.fold(text.clone(), |text, id| text.replace(id, FORGED))
                }
            };
            with(format!("something else {name}"), &|report| {
                report.said.insert(name, changed.clone());
            });
        }
        all
    }

    /// Whether everything is as it was.
    pub(super) fn unchanged(&self) -> Result<(), String> {
        same("bootc's storage", &self.bootc)?;
        same("podman's storage", &self.default)?;
        self.registry_unchanged(None)
    }

    /// But for one repository.
    pub(super) fn registry_unchanged(&self, except: Option<&str>) -> Result<(), String> {
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

pub(super) fn same(what: &str, images: &[Images; 2]) -> Result<(), String> {
    if images[0] == images[1] { Ok(()) } else { Err(format!("{what} has changed")) }
}

/// The parts of a script's output, by the names that stand before them.
pub(super) fn parts(text: &str) -> BTreeMap<&str, &str> {
    let parts = text.split("--- ").filter_map(|part| part.split_once('\n'));
    parts.map(|(name, part)| (name, part.trim_end_matches('\n'))).collect()
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))
}

pub(super) fn expect<T: PartialEq + std::fmt::Debug>(what: &str, shown: T, found: T) -> Result<(), String> {
    if shown == found { Ok(()) } else { Err(format!("{what}: {shown:?}, found: {found:?}")) }
}

//! Whether what was shown is what there was, and what there is.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::generate::{Case, Operand};
use super::lab::{Document, Lab};
use super::report::{Images, Pair, Report, ShownImage, expect, from_json, meaning, same, without_tag};
use super::{Ended, Kind};

/// Whether what was shown is what there was, and what there is.
pub(super) fn check(lab: &Lab, case: &Case, report: &Report) -> Result<Ended, String> {
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
                targets(std::slice::from_ref(target), &[name], "containers-storage")
            }
            _ => Err("a copy has a source and a target".to_owned()),
        },
        Kind::Copy => match (images, &case.host) {
            ([source, target], host) => {
                match host {
                    Some(host) => of_host(lab, source, host)?,
                    None => _ = operands(case, std::slice::from_ref(source), bootc)?,
                }
                targets(std::slice::from_ref(target), &case.names, "containers-storage")
            }
            _ => Err("a copy has a source and a target".to_owned()),
        },
        Kind::Push => {
            let (target, sources) = images.split_last().ok_or("no images")?;
            operands(case, sources, bootc)?;
            targets(std::slice::from_ref(target), &case.names, "docker")
        }
        Kind::Tag | Kind::Untag => {
            let (sources, given) = images.split_at(sources(images));
            operands(case, sources, bootc)?;
            if case.kind == Kind::Tag {
                return targets(given, &case.names, "containers-storage");
            }
            // What is typed twice is taken once.
            let shown: Vec<String> = given.iter().filter_map(ShownImage::meaning).collect();
            targets(given, &shown, "containers-storage")?;
            let typed = case.names.iter().map(|name| meaning(name)).collect::<BTreeSet<_>>();
            expect("names", shown.into_iter().collect(), typed)
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
            Operand::Name(name, is_exact) => {
                let id = rest.first().map_or("", ShownImage::id);
                expect("an image of this name", has_name(storage, id, name, *is_exact), true)?;
                (id.to_owned(), vec![meaning(name)])
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

/// Whether an image is called so. One that is called exactly so is meant before those that are called the same.
fn has_name(storage: &Images, id: &str, name: &str, is_exact: bool) -> bool {
    let Some(image) = storage.0.get(id) else { return false };
    if is_exact { image.names.contains(name) } else { storage.meanings(id).contains(&meaning(name)) }
}

/// What is written: it has no digest yet.
fn targets(images: &[ShownImage], names: &[String], transport: &str) -> Result<(), String> {
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
    let ids = || {
        let images = &report.shown[0].images;
        operands(case, &images[..sources(images)], bootc)
    };
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
            let pairs = stored_names(&images, "target").into_iter().map(|name| (id.clone(), name));
            taken(pairs.collect(), &report.bootc)?;
            // What is typed just as the storage has it is that name, and no other spelling of it.
            let typed = &case.words[case.words.len() - case.names.len()..];
            let names = bootc_after.0.get(&id).map(|image| image.names.clone()).unwrap_or_default();
            let stay = typed.iter().find(|typed| names.contains(*typed));
            expect("a name that is typed just so, and stays", stay, None)?;
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
            for ((id, _), operand) in pairs.iter().zip(&case.operands) {
                if let Operand::Name(name, is_exact) = operand {
                    expect("an image of this name", has_name(default, id, name, *is_exact), true)?;
                }
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

/// How many of the images that are shown first are sources.
fn sources(images: &[ShownImage]) -> usize {
    images.iter().take_while(|image| image.role == "source").count()
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

/// The names that are gone are these, each as often as it is shown, and none has come: those that differ in capital letters
/// alone look the same.
fn taken(mut pairs: Vec<Pair>, [before, after]: &[Images; 2]) -> Result<(), String> {
    let (before, after) = (before.pairs(), after.pairs());
    let gone = before.difference(&after).map(|(id, name)| (id.clone(), with_small_host(name)));
    let mut gone: Vec<Pair> = gone.collect();
    gone.sort();
    pairs.sort();
    expect("names that go", pairs, gone)?;
    expect("new names", 0, after.difference(&before).count())
}

fn removed(case: &Case, report: &Report, images: &[&ShownImage]) -> Result<(), String> {
    let [before, after] = &report.bootc;
    let named: Vec<&ShownImage> = images.iter().copied().filter(|image| image.name.is_some()).collect();
    let ids = named.iter().map(|image| image.id().to_owned());
    taken(ids.zip(stored_names(&named, "image")).collect(), &report.bootc)?;
    let pairs: BTreeSet<Pair> = named.iter().map(|image| image.pair()).collect();
    // Whoever loses all names goes.
    let goes = |id: &&String| {
        let mut names = before.meanings(id).into_iter().map(|name| ((*id).clone(), name));
        images.iter().any(|image| image.id() == **id) && names.all(|pair| pairs.contains(&pair))
    };
    let stay: BTreeSet<&String> = before.ids().into_iter().filter(|id| !goes(id)).collect();
    expect("images that stay", stay, after.ids())?;
    for operand in &case.operands {
        let is_shown = match operand {
            Operand::Name(name, is_exact) => pairs
                .iter()
                .any(|(id, shown)| *shown == meaning(name) && has_name(before, id, name, *is_exact)),
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
        if archived.len() == 1 && !case.words.contains(&"-m".to_owned()) {
            let given = case.operands.iter().filter_map(|operand| match operand {
                Operand::Name(name, _) if !name.contains('@') => Some(meaning(name)),
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
        let repository = without_tag(name.split('@').next().unwrap_or(name));
        let kept = if let Some((_, digest)) = name.split_once('@') {
            format!("{repository}@{digest}")
        } else {
            name.clone()
        };
        let has = after.0.get(&id).is_some_and(|image| image.names.contains(&kept));
        expect("an image of this name", has, true)?;
        let digest = image.digest.as_deref().unwrap_or_default();
        let names = [kept, format!("{repository}@{digest}"), format!("{repository}@{instance}")];
        allowed.extend(names.map(|name| (id.clone(), name)));
    }
    let (old, new) = (before.pairs(), after.pairs());
    let added: BTreeSet<&Pair> = new.difference(&old).filter(|pair| !allowed.contains(*pair)).collect();
    expect("names that weren't shown", BTreeSet::new(), added)?;
    // A name that means another image now is taken from the one before.
    let is_moved = |(_, name): &&Pair| allowed.iter().any(|(_, allowed)| allowed == name);
    let gone: BTreeSet<&Pair> = old.difference(&new).filter(|pair| !is_moved(pair)).collect();
    expect("names that went", BTreeSet::new(), gone)?;
    let ids: BTreeSet<&String> = before.ids().into_iter().chain(allowed.iter().map(|(id, _)| id)).collect();
    expect("images", ids, after.ids())
}

//! The messages of verdicts.

use std::borrow::Cow;

use bootc_image_plugin_sdk::policy::{Image, Verdict};

use super::{Allowed, Asked, Demand, Denied, Why};
use crate::globs::Glob;
use crate::settings::{Effect, Rule};

/// The number of rules that a hint lists.
const MOST_OFFERS: usize = 5;
/// How many patterns of one kind are named.
const MOST_GLOBS: usize = 8;

/// The hint if no rule could allow the image.
const UNOFFERED: &str = "an administrator can allow it in [settings.registry-policy] of the configuration";

/// The number of digits of an ID that are shown.
const SHORT_ID: usize = 12;

/// The name of a rule, or `default` if there is none.
pub(super) fn name<'a>(rule: Option<&'a Rule<'_>>) -> Cow<'a, str> {
    rule.map_or(Cow::Borrowed("default"), Rule::name)
}

/// The rule in a sentence: `default`, `rule 1`, or `rule "NAME"`, so that its name does not read like a part of the sentence.
fn quoted(rule: Option<&Rule<'_>>) -> String {
    match rule {
        Some(rule) if rule.name.is_some() => format!("rule \"{}\"", rule.name()),
        _ => name(rule).into_owned(),
    }
}

pub(super) fn reason(asked: &Asked<'_>, allowed: &Allowed<'_>) -> String {
    let perhaps = if allowed.perhaps { ", depending on its digest" } else { "" };
    format!("{}: allowed by {}{perhaps}", subject(asked), quoted(allowed.by))
}

pub(super) fn denial(asked: &Asked<'_>, denied: &Denied<'_>) -> Verdict {
    let (image, rule) = (subject(asked), quoted(denied.by));
    let (code, what) = match denied.why {
        Why::Rule => ("denied-by-rule", format!("denied by {rule}")),
        Why::Default => ("denied-by-default", format!("denied by {rule}: no rule matches it")),
        Why::Unnamed => (
            "unnamed-image",
            format!("denied by {rule}: it was requested by ID, so rules about names do not match it"),
        ),
        Why::Unseen => (
            "unseen-images",
            format!(
                "denied by {rule}: the names of the images that it brings in are unknown beforehand, and no rule allows that"
            ),
        ),
        Why::NotByDigest(Demand::Rule) => {
            ("not-by-digest", format!("{rule} allows it only if it is named by digest"))
        }
        Why::NotByDigest(Demand::All) => (
            "not-by-digest",
            format!("images from registries must be named by digest, even those allowed by {rule}"),
        ),
        Why::Latest(Demand::Rule) => {
            ("latest-tag", format!("{rule} does not allow it with the tag `latest`"))
        }
        Why::Latest(Demand::All) => (
            "latest-tag",
            format!("images from registries must not have the tag `latest`, even those allowed by {rule}"),
        ),
    };
    let hint = match denied.why {
        Why::Rule | Why::Default => offers(asked),
        Why::Unnamed => {
            format!("use its name (REGISTRY/REPOSITORY:TAG) instead of its ID; {}", offers(asked))
        }
        Why::Unseen => format!(
            "an administrator can allow it in [settings.registry-policy] with a rule that names no registry, repository, tag \
             or digest: effect = \"allow\", operations = [\"{}\"]",
            asked.operation.kind
        ),
        Why::NotByDigest(_) => format!("name it by digest: {}{}", by_digest(asked), how_to_find(asked)),
        Why::Latest(_) => format!("use another tag, or only the digest: {}", by_digest(asked)),
    };
    Verdict::deny(code, format!("{image}: {what}")).with_hint(hint).with_attr("rule", name(denied.by))
}

/// The subject of a message: an image, or an operation that brings in images.
fn subject(asked: &Asked<'_>) -> String {
    if asked.is_unseen() { format!("`{}`", asked.operation.kind) } else { shown(asked.image) }
}

/// The name of an image as users write it: without `docker://`.
fn shown(image: &Image) -> String {
    match &image.name {
        Some(name) => name.canonical.strip_prefix("docker://").unwrap_or(&name.canonical).to_owned(),
        None => {
            let id = image.attrs.iter().find(|attr| attr.key == "id").map(|attr| attr.value.as_str());
            let known = id.map(|id| id.get(..SHORT_ID).unwrap_or(id)).or(image.digest.as_deref());
            known.map_or_else(|| "an image without a name".to_owned(), |known| format!("image {known}"))
        }
    }
}

/// The name with its digest, or with a placeholder for the digest.
fn by_digest(asked: &Asked<'_>) -> String {
    let digest = asked.digest.unwrap_or("sha256:DIGEST");
    match (&asked.registry, asked.repository) {
        (Some(registry), Some(repository)) => format!("{registry}/{repository}@{digest}"),
        _ => format!("REGISTRY/REPOSITORY@{digest}"),
    }
}

/// How to find the digest, if it is unknown.
fn how_to_find(asked: &Asked<'_>) -> String {
    match &asked.image.name {
        Some(name) if asked.digest.is_none() && name.transport == "docker" => {
            format!("; find the digest with: skopeo inspect --format '{{{{.Digest}}}}' {}", name.canonical)
        }
        _ => String::new(),
    }
}

/// The rules that allow this caller other images in this operation.
fn offers(asked: &Asked<'_>) -> String {
    let allows = |rule: &&Rule<'_>| rule.effect == Effect::Allow && asked.concerns(rule);
    let offers: Vec<String> = asked.settings.rules.iter().filter(allows).map(offer).collect();
    let kind = &asked.operation.kind;
    let uses = match asked.image.role.as_str() {
        "source" => " as the source",
        "target" => " as the target",
        _ => "",
    };
    match offers.len() {
        0 => UNOFFERED.to_owned(),
        1..=MOST_OFFERS => format!("for `{kind}` the rules allow these images{uses}: {}", offers.join("; ")),
        many => {
            let (some, more) = (offers[..MOST_OFFERS].join("; "), many - MOST_OFFERS);
            format!("for `{kind}` the rules allow these images{uses}: {some}; and {more} more")
        }
    }
}

/// The conditions of a rule, and the rule.
fn offer(rule: &Rule<'_>) -> String {
    let list = |what: &str, globs: &[Glob<'_>]| {
        let named: Vec<&str> = globs.iter().take(MOST_GLOBS).map(Glob::as_str).collect();
        let more = globs.len().saturating_sub(MOST_GLOBS);
        let more = if more == 0 { String::new() } else { format!(" or {more} others") };
        (!globs.is_empty()).then(|| format!("{what} {}{more}", named.join(" or ")))
    };
    let mut takes: Vec<String> = [
        list("registry", &rule.registry),
        list("repository", &rule.repository),
        list("tag", &rule.tag),
        rule.listed.map_or_else(
            || list("digest", &rule.digest),
            |listed| Some(format!("one of {} digests", listed.count)),
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    if rule.require_digest {
        takes.push("named by digest".to_owned());
    }
    if rule.no_latest {
        takes.push("not `latest`".to_owned());
    }
    let by = quoted(Some(rule));
    if takes.is_empty() {
        format!("any image that no earlier rule denies ({by})")
    } else {
        format!("{} ({by})", takes.join(", "))
    }
}

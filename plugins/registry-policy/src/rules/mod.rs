//! Judges an operation by its images. The verdict depends only on the settings and the operation.

mod messages;

use bootc_image_plugin_sdk::config::list_contains;
use bootc_image_plugin_sdk::policy::{Image, Operation, Verdict};

use crate::globs::Glob;
use crate::registries::compared;
use crate::settings::{Effect, Role, Rule, Settings};

/// Judges an operation. One denied image denies the operation.
pub(crate) fn judge(settings: &Settings<'_>, operation: &Operation) -> Verdict {
    let unseen = brings_unseen(operation).then(unseen);
    let images: Vec<&Image> = operation.images.iter().chain(&unseen).collect();
    if images.is_empty() {
        return Verdict::allow(format!("`{}` uses no images", operation.kind));
    }
    let (mut reasons, mut by) = (Vec::new(), Vec::new());
    for image in images {
        let asked = Asked::new(settings, operation, image);
        match asked.decide() {
            Ok(allowed) => {
                let reason = messages::reason(&asked, &allowed);
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
                let name = messages::name(allowed.by).into_owned();
                if !by.contains(&name) {
                    by.push(name);
                }
            }
            Err(denied) => return messages::denial(&asked, &denied),
        }
    }
    Verdict::allow(reasons.join("; ")).with_attr("rule", by.join(", "))
}

/// Whether the operation brings in images that are not named: those that a build fetches or an archive contains. Cannot be determined
/// before names are resolved, because nothing is pinned then.
fn brings_unseen(operation: &Operation) -> bool {
    operation.resolved() && operation.attr("pinned") == Some("false")
}

/// Stands for images that are not named. Only rules without registry, repository, tag and digest match it.
fn unseen() -> Image {
    Image { role: Role::Source.as_str().to_owned(), name: None, digest: None, attrs: Vec::new() }
}

impl Rule<'_> {
    /// Whether the rule applies to this operation and its caller.
    fn is_about(&self, operation: &Operation) -> bool {
        let caller = || operation.uid().is_some_and(|uid| self.callers.contains(&uid));
        matches(&self.operations, Some(&operation.kind)) && (self.callers.is_empty() || caller())
    }
}

/// Why an image may be used.
struct Allowed<'a> {
    /// The rule, or none for the default.
    by: Option<&'a Rule<'a>>,
    /// Whether that depends on a digest that is not known yet.
    perhaps: bool,
}

/// Why an image may not be used.
struct Denied<'a> {
    /// The rule, or none for the default.
    by: Option<&'a Rule<'a>>,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Rule,
    Default,
    /// The default, for an image that was requested by its ID.
    Unnamed,
    /// The default, for images that are not named.
    Unseen,
    NotByDigest(Demand),
    Latest(Demand),
}

/// The origin of a requirement (`require-digest` or `no-latest`) that an otherwise allowed image does not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// The rule that allows it.
    Rule,
    /// The top level of the settings, for everything that is fetched.
    All,
}

/// Whether a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    No,
    /// That depends on the digest to which the name will be resolved.
    Perhaps,
    Yes,
}

/// An image of an operation, with the values that are compared with rules.
struct Asked<'a> {
    settings: &'a Settings<'a>,
    operation: &'a Operation,
    image: &'a Image,
    /// In the form in which registries are compared. None if the image has no name or its transport has no registries.
    registry: Option<String>,
    repository: Option<&'a str>,
    tag: Option<&'a str>,
    /// The digest that will be used if it is known, otherwise the one in the name.
    digest: Option<&'a str>,
    /// If the digest is that of an index: the digest of the manifest that will be used.
    instance: Option<&'a str>,
    /// Whether another platform than the host's was requested.
    of_another_platform: bool,
}

impl<'a> Asked<'a> {
    fn new(settings: &'a Settings<'a>, operation: &'a Operation, image: &'a Image) -> Self {
        let name = image.name.as_ref();
        let registry = name.map(|name| name.registry.as_str()).filter(|registry| !registry.is_empty());
        Self {
            settings,
            operation,
            image,
            registry: registry.map(|registry| compared(registry.into()).into_owned()),
            repository: name.map(|name| name.repository.as_str()),
            tag: name.and_then(|name| name.tag.as_deref()),
            digest: image.digest.as_deref().or_else(|| name?.digest.as_deref()),
            instance: attr(image, "instance"),
            of_another_platform: attr(image, "platform").is_some(),
        }
    }

    /// Before names are resolved, denies only what would be denied with every digest. Everything else is resolved and judged again.
    fn decide(&self) -> Result<Allowed<'a>, Denied<'a>> {
        for rule in &self.settings.rules {
            match self.fit(rule) {
                Fit::No => {}
                Fit::Yes => return self.outcome(Some(rule), false),
                Fit::Perhaps => {
                    // If this rule denies, later rules can still allow other digests. If they deny as well, there is nothing to
                    // resolve.
                    if let Ok(allowed) = self.outcome(Some(rule), true) {
                        return Ok(allowed);
                    }
                }
            }
        }
        self.outcome(None, false)
    }

    fn fit(&self, rule: &Rule<'_>) -> Fit {
        let fits = self.concerns(rule)
            && matches(&rule.registry, self.registry.as_deref())
            && matches(&rule.repository, self.repository)
            && matches(&rule.tag, self.tag);
        if !fits {
            Fit::No
        } else if self.has_digest_of(rule) {
            Fit::Yes
        } else if self.digest_is_to_come() {
            Fit::Perhaps
        } else {
            Fit::No
        }
    }

    /// Whether the rule applies to this operation, its caller and the role of the image.
    fn concerns(&self, rule: &Rule<'_>) -> bool {
        let role = |role: &Role| role.as_str() == self.image.role;
        rule.is_about(self.operation) && (rule.roles.is_empty() || rule.roles.iter().any(role))
    }

    /// Whether the rule has the digest of the image that will be used. The digest of an index allows the manifest that this host chooses
    /// from it; for another platform, the digest of the manifest itself must be allowed.
    fn has_digest_of(&self, rule: &Rule<'_>) -> bool {
        let index = self.digest.filter(|_| rule.effect == Effect::Deny || !self.of_another_platform);
        let has = |digest: Option<&str>| match rule.listed {
            Some(list) => digest.is_some_and(|digest| list_contains(list.number, digest)),
            None => matches(&rule.digest, digest),
        };
        has(index) || self.instance.is_some() && has(self.instance)
    }

    /// Whether the name will still be resolved to a digest. Targets never are.
    fn digest_is_to_come(&self) -> bool {
        self.digest.is_none() && !self.operation.resolved() && !self.is(Role::Target)
    }

    fn is_unseen(&self) -> bool {
        *self.image == unseen()
    }

    fn is(&self, role: Role) -> bool {
        self.image.role == role.as_str()
    }

    /// The outcome if this rule decides, or the default if there is none.
    fn outcome(&self, by: Option<&'a Rule<'a>>, perhaps: bool) -> Result<Allowed<'a>, Denied<'a>> {
        let denied = |why| Err(Denied { by, why });
        if by.map_or(self.settings.default, |rule| rule.effect) == Effect::Deny {
            return denied(match (by, &self.image.name) {
                (Some(_), _) => Why::Rule,
                (None, Some(_)) => Why::Default,
                (None, None) if self.is_unseen() => Why::Unseen,
                (None, None) => Why::Unnamed,
            });
        }
        let demand = |of_rule: fn(&Rule<'_>) -> bool, of_all: bool| {
            let of_all = of_all && self.is_fetched();
            if by.is_some_and(of_rule) { Some(Demand::Rule) } else { of_all.then_some(Demand::All) }
        };
        if let Some(demand) = demand(|rule| rule.require_digest, self.settings.require_digest)
            && !self.is_by_digest()
        {
            return denied(Why::NotByDigest(demand));
        }
        if let Some(demand) = demand(|rule| rule.no_latest, self.settings.no_latest)
            && self.is_latest()
        {
            return denied(Why::Latest(demand));
        }
        Ok(Allowed { by, perhaps })
    }

    /// Whether the image is fetched from a registry.
    fn is_fetched(&self) -> bool {
        self.is(Role::Source) && self.image.name.as_ref().is_some_and(|name| name.transport == "docker")
    }

    fn is_by_digest(&self) -> bool {
        self.image.name.as_ref().is_some_and(|name| name.digest.is_some())
    }

    /// Whether the image has the tag `latest`, or neither tag nor digest. An ID is not `latest`: it always names the same image.
    fn is_latest(&self) -> bool {
        self.image.name.as_ref().is_some_and(|name| match &name.tag {
            Some(tag) => tag == "latest",
            None => name.digest.is_none(),
        })
    }
}

fn attr<'a>(image: &'a Image, key: &str) -> Option<&'a str> {
    image.attrs.iter().find(|attr| attr.key == key).map(|attr| attr.value.as_str())
}

/// Whether one of the patterns matches, or there are no patterns. An unknown value matches no pattern.
fn matches(globs: &[Glob<'_>], text: Option<&str>) -> bool {
    globs.is_empty() || text.is_some_and(|text| globs.iter().any(|glob| glob.matches(text)))
}

#[cfg(test)]
mod phases;
#[cfg(test)]
mod tests;

//! Tests with policies that give fixed verdicts.

use std::path::PathBuf;
use std::sync::Arc;

use bootc_image_model::capability::{Capability, LISTS_IMAGES};
use bootc_image_model::columns::ListType;
use bootc_image_model::grant::Grant;
use bootc_image_model::image::Removal;
use bootc_image_model::subject::Delegation;
use bootc_image_model::view::View;

use super::*;
use crate::error::Error;
use crate::ops::{list, remove};
use crate::plugin::{Host, Missed, Opinion, Plan, PlanError, PluginSetError, Policy, PolicyFailure};

/// A policy with a fixed verdict.
pub(crate) struct Fixed {
    plugin: PluginId,
    concerned: bool,
    early: bool,
    opinion: Result<Opinion, PolicyFailure>,
}

impl Policy for Fixed {
    fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    fn made(&self) -> Option<&Made> {
        None
    }

    fn concerns(&self, _: &View) -> bool {
        self.concerned
    }

    fn judges_unresolved(&self) -> bool {
        self.early
    }

    fn evaluate(&self, _: &Arc<View>) -> Result<Opinion, PolicyFailure> {
        self.opinion.clone()
    }
}

/// A set of plugins with these policies, or with an error.
pub(crate) struct Only {
    pub(crate) policies: Result<Vec<Fixed>, PluginSetError>,
    pub(crate) mandatory: Vec<PluginId>,
    pub(crate) missed: Vec<Missed>,
    /// The grant that approving any plugin would write.
    pub(crate) grant: Option<Grant>,
    /// The file in which the OS image approves all of them.
    pub(crate) of_image: Option<PathBuf>,
    /// The capabilities of every plugin.
    pub(crate) granted: Vec<Capability>,
}

/// A host without plugins.
pub(crate) fn alone() -> Only {
    only(Ok(Vec::new()))
}

pub(crate) fn only(policies: Result<Vec<Fixed>, PluginSetError>) -> Only {
    Only {
        policies,
        mandatory: Vec::new(),
        missed: Vec::new(),
        grant: None,
        of_image: None,
        granted: Vec::new(),
    }
}

impl Plugins for Only {
    fn command_claims(&self) -> Result<Vec<CommandClaim>, PluginSetError> {
        Ok(Vec::new())
    }

    fn held(&self, _: &str) -> Option<String> {
        None
    }

    fn granted(&self, _: &PluginId) -> Vec<Capability> {
        self.granted.clone()
    }

    fn broken(&self) -> Option<PluginSetError> {
        None
    }

    fn plan(&self, plugin: &PluginId, _: &str, _: &[String], _: &dyn Host) -> Result<Plan, PlanError> {
        Err(PlanError::Unusable { plugin: plugin.clone(), reason: String::new() })
    }

    fn policies(&self) -> Result<Vec<&dyn Policy>, PluginSetError> {
        let policies = self.policies.as_ref().map_err(Clone::clone)?;
        Ok(policies.iter().map(|policy| policy as &dyn Policy).collect())
    }

    fn mandatory(&self) -> Vec<PluginId> {
        self.mandatory.clone()
    }

    fn missed(&self) -> Vec<Missed> {
        self.missed.clone()
    }

    fn grant_for(&self, plugin: &str) -> Result<Grant, Error> {
        let none = || Error::NoSuchPlugin { name: plugin.to_owned(), hint: String::new() };
        self.grant.clone().ok_or_else(none)
    }

    fn approved_by_image(&self, _: &PluginId) -> Option<PathBuf> {
        self.of_image.clone()
    }

    fn approve(&self, grant: &Grant) -> Result<PathBuf, Error> {
        self.grant_for(grant.plugin.as_str()).map(|_| PathBuf::new())
    }

    fn revoke(&self, plugin: &PluginId) -> Result<PathBuf, Error> {
        self.grant_for(plugin.as_str()).map(|_| PathBuf::new())
    }
}

fn id(text: &str) -> PluginId {
    PluginId::new(text).unwrap()
}

pub(crate) fn allows(plugin: &str) -> Fixed {
    let opinion = Ok(Opinion { denial: None, said: Said::default() });
    Fixed { plugin: id(plugin), concerned: true, early: false, opinion }
}

pub(crate) fn denies(plugin: &str) -> Fixed {
    let denial =
        Denial { by: By::Policy(id(plugin)), code: "no".to_owned(), message: "no".to_owned(), hint: None };
    Fixed { opinion: Ok(Opinion { denial: Some(denial), said: Said::default() }), ..allows(plugin) }
}

pub(crate) fn fails(plugin: &str) -> Fixed {
    let failure = PolicyFailure { reason: "trapped".to_owned(), fix: "fix it".to_owned(), asked: true };
    Fixed { opinion: Err(failure), ..allows(plugin) }
}

const LIST: Operation = Operation::List(list::List { image_type: ListType::All, details: false });

/// An operation that changes something.
fn act() -> Frozen {
    let image = Removal {
        id: "0".repeat(64),
        manifest_digest: None,
        names: Vec::new(),
        whole: true,
        needed_by: None,
    };
    Frozen::new(Operation::Remove(remove::Remove { image }), Subject::new(Some(0), None), None)
}

fn judged(configuration: &Configuration, policies: Vec<Fixed>) -> Judged {
    validators(configuration, Vec::new(), &only(Ok(policies))).judge(act())
}

/// Validator and code of the denial.
fn denial(configuration: &Configuration, policies: Vec<Fixed>) -> Option<(String, String)> {
    let judged = judged(configuration, policies);
    let denial = judged.denial().map(|denial| (denial.by.to_string(), denial.code.clone()));
    assert_eq!(judged.approve().is_err(), denial.is_some());
    denial
}

fn by(by: &str, code: &str) -> Option<(String, String)> {
    Some((by.to_owned(), code.to_owned()))
}

#[test]
fn every_policy_must_allow() {
    let default = Configuration::default();
    assert_eq!(denial(&default, vec![allows("a"), allows("b")]), None);
    assert_eq!(denial(&default, vec![allows("a"), denies("b")]), by("b", "no"));
    let both = judged(&default, vec![denies("a"), allows("b")]);
    assert_eq!(both.verdicts().iter().filter(|verdict| verdict.validator == "b").count(), 1);
}

#[test]
fn a_policy_that_fails_denies_unless_it_may() {
    assert_eq!(denial(&Configuration::default(), vec![fails("a")]), by("a", "policy-failed"));
    let open = Configuration { fail_open: vec![id("a")], ..Configuration::default() };
    assert_eq!(denial(&open, vec![fails("a")]), None);
    assert_eq!(denial(&open, vec![denies("a")]), by("a", "no"));
    assert_eq!(denial(&open, vec![fails("a"), fails("b")]), by("b", "policy-failed"));
    let verdicts = judged(&open, vec![fails("a")]);
    assert!(verdicts.verdicts().iter().any(|verdict| verdict.failed_open.as_deref() == Some("trapped")));
}

#[test]
fn a_mandatory_policy_that_is_absent_denies() {
    let configuration = Configuration { mandatory: vec![id("a")], ..Configuration::default() };
    assert_eq!(denial(&configuration, vec![allows("b")]), by("a", "policy-failed"));
    assert_eq!(denial(&configuration, vec![allows("a")]), None);
    let open = Configuration { fail_open: vec![id("a")], ..configuration };
    assert_eq!(denial(&open, vec![allows("b")]), by("a", "policy-failed"));
}

#[test]
fn one_that_was_approved_as_mandatory_is_as_mandatory_as_one_of_the_configuration() {
    let denial = |policies: Vec<Fixed>| {
        let plugins = Only { mandatory: vec![id("a")], ..only(Ok(policies)) };
        let judged = validators(&Configuration::default(), Vec::new(), &plugins).judge(act());
        judged.denial().cloned()
    };
    assert_eq!(denial(vec![allows("a")]), None);
    assert_eq!(denial(vec![denies("a")]).unwrap().code, "no");
    let denial = denial(vec![allows("b")]).unwrap();
    assert_eq!((denial.by, &*denial.code), (By::Policy(id("a")), POLICY_FAILED));
    assert!(denial.hint.unwrap().ends_with("bootc-image plugin revoke a"));
}

fn unreadable() -> PluginSetError {
    PluginSetError::Manifest { plugin: "p".to_owned(), reason: "unreadable".to_owned() }
}

/// Who denies a list, and how many policies gave no verdict.
fn listed(subject: &Subject, plugins: &Only) -> (Option<String>, usize) {
    let frozen = Frozen::new(LIST, subject.clone(), None);
    let configuration = Configuration { mandatory: vec![id("gone")], ..Configuration::default() };
    let judged = validators(&configuration, Vec::new(), plugins).judge(frozen);
    let silent = judged.verdicts().iter().filter(|verdict| verdict.failed_open.is_some()).count();
    let denial = judged.denial().map(|denial| denial.by.to_string());
    assert_eq!(judged.approve().is_err(), denial.is_some());
    (denial, silent)
}

#[test]
fn a_person_sees_what_there_is_whatever_policy_cant_be_asked() {
    let person = Subject::new(Some(0), None);
    assert_eq!(listed(&person, &only(Err(unreadable()))), (None, 1));
    let granted = Only { mandatory: vec![id("too")], ..only(Ok(vec![fails("a"), allows("b")])) };
    assert_eq!(listed(&person, &granted), (None, 3));
    let denied = only(Ok(vec![fails("a"), denies("b")]));
    assert_eq!(listed(&person, &denied), (Some("b".to_owned()), 2));
    // A verdict is not mistaken for a failure, whatever its code.
    let mut denies = denies("c");
    if let Ok(Opinion { denial: Some(denial), .. }) = &mut denies.opinion {
        denial.code = POLICY_FAILED.to_owned();
    }
    assert_eq!(listed(&person, &only(Ok(vec![denies]))).0, Some("c".to_owned()));
}

#[test]
fn a_plugin_lists_nothing_and_a_delegated_caller_stops_no_policy() {
    let plugin = Subject::new(Some(0), None).through(&id("wrapper"));
    let granted = vec![Capability { name: LISTS_IMAGES.to_owned(), scope: "**".to_owned() }];
    let of_plugin = |policies| Only { granted: granted.clone(), ..only(policies) };
    assert_eq!(listed(&plugin, &of_plugin(Ok(Vec::new()))).0, Some("gone".to_owned()));
    assert_eq!(listed(&plugin, &of_plugin(Err(unreadable()))).0, Some("plugins".to_owned()));
    let delegated = Subject::new(Some(1000), Some(Delegation::Sudo));
    assert_eq!(listed(&delegated, &alone()), (None, 1));
    assert_eq!(listed(&delegated, &only(Ok(vec![fails("a")]))).0, Some("a".to_owned()));
}

#[test]
fn a_policy_whom_it_doesnt_concern_isnt_asked() {
    let unconcerned = Fixed { concerned: false, ..denies("a") };
    let judged = judged(&Configuration::default(), vec![unconcerned]);
    assert_eq!(judged.unconcerned(), [id("a")]);
    assert!(judged.denial().is_none());
}

#[test]
fn where_nobody_knows_what_policies_there_are_nothing_runs() {
    let plugins = only(Err(unreadable()));
    let judged = validators(&Configuration::default(), Vec::new(), &plugins).judge(act());
    assert_eq!(judged.approve().unwrap_err().code, "policy-failed");
}

#[test]
fn before_names_are_looked_up_only_those_are_asked_that_can_tell() {
    let unresolved = |policies: Vec<Fixed>| {
        let subject = Subject::new(Some(0), None);
        let frozen = Frozen::unresolved(LIST, subject, None);
        let plugins = only(Ok(policies));
        let judged = validators(&Configuration::default(), Vec::new(), &plugins).judge(frozen);
        judged.denial().map(|denial| denial.by.to_string())
    };
    assert_eq!(unresolved(vec![denies("late")]), None);
    assert_eq!(unresolved(vec![Fixed { early: true, ..denies("early") }]), Some("early".to_owned()));
}

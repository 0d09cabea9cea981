//! Tests with policies that give fixed verdicts.

use std::path::PathBuf;
use std::sync::Arc;

use bootc_image_model::capability::{Capability, LISTS_IMAGES};
use bootc_image_model::columns::ListType;
use bootc_image_model::grant::Grant;
use bootc_image_model::image::Removal;
use bootc_image_model::policy_input::PolicyInput;
use bootc_image_model::subject::Delegation;

use super::*;
use crate::error::Error;
use crate::ops::{list, remove};
use crate::plugin::{
    Host, MissingPolicy, Plan, PlanError, PluginSetError, Policy, PolicyFailure, PolicyVerdict,
};

/// A policy with a fixed verdict.
pub(crate) struct FakePolicy {
    plugin: PluginId,
    concerned: bool,
    early: bool,
    opinion: Result<PolicyVerdict, PolicyFailure>,
}

impl Policy for FakePolicy {
    fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    fn provenance(&self) -> Option<&Provenance> {
        None
    }

    fn concerns(&self, _: &PolicyInput) -> bool {
        self.concerned
    }

    fn judges_unresolved(&self) -> bool {
        self.early
    }

    fn evaluate(&self, _: &Arc<PolicyInput>) -> Result<PolicyVerdict, PolicyFailure> {
        self.opinion.clone()
    }
}

/// A set of plugins with these policies, or with an error.
pub(crate) struct FakePlugins {
    pub(crate) policies: Result<Vec<FakePolicy>, PluginSetError>,
    pub(crate) mandatory: Vec<PluginId>,
    pub(crate) missed: Vec<MissingPolicy>,
    /// The grant that approving any plugin would write.
    pub(crate) grant: Option<Grant>,
    /// The file in which the OS image approves all of them.
    pub(crate) of_image: Option<PathBuf>,
    /// The capabilities of every plugin.
    pub(crate) granted: Vec<Capability>,
}

/// A host without plugins.
pub(crate) fn no_plugins() -> FakePlugins {
    plugins_with(Ok(Vec::new()))
}

pub(crate) fn plugins_with(policies: Result<Vec<FakePolicy>, PluginSetError>) -> FakePlugins {
    FakePlugins {
        policies,
        mandatory: Vec::new(),
        missed: Vec::new(),
        grant: None,
        of_image: None,
        granted: Vec::new(),
    }
}

impl Plugins for FakePlugins {
    fn provided_commands(&self) -> Result<Vec<ProvidedCommand>, PluginSetError> {
        Ok(Vec::new())
    }

    fn disabled_reason(&self, _: &str) -> Option<String> {
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

    fn how_to_stop_requiring(&self, policy: &PluginId) -> String {
        format!("stop requiring {policy}")
    }

    fn missed(&self) -> Vec<MissingPolicy> {
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

pub(crate) fn allows(plugin: &str) -> FakePolicy {
    let opinion = Ok(PolicyVerdict { denial: None, annotations: Annotations::default() });
    FakePolicy { plugin: id(plugin), concerned: true, early: false, opinion }
}

pub(crate) fn denies(plugin: &str) -> FakePolicy {
    let denial = Denial {
        denied_by: DeniedBy::Policy(id(plugin)),
        code: "no".to_owned(),
        message: "no".to_owned(),
        hint: None,
    };
    FakePolicy {
        opinion: Ok(PolicyVerdict { denial: Some(denial), annotations: Annotations::default() }),
        ..allows(plugin)
    }
}

pub(crate) fn fails(plugin: &str) -> FakePolicy {
    let failure = PolicyFailure { reason: "trapped".to_owned(), fix: "fix it".to_owned(), asked: true };
    FakePolicy { opinion: Err(failure), ..allows(plugin) }
}

const LIST: Operation = Operation::List(list::List { image_type: ListType::All, details: false });

/// An operation that changes something.
fn act() -> CanonicalOperation {
    let image = Removal {
        id: "0".repeat(64),
        manifest_digest: None,
        names: Vec::new(),
        whole: true,
        needed_by: None,
    };
    CanonicalOperation::new(Operation::Remove(remove::Remove { image }), Subject::new(Some(0), None), None)
}

fn judged(configuration: &Configuration, policies: Vec<FakePolicy>) -> Judged {
    validators(configuration, Vec::new(), &plugins_with(Ok(policies))).judge(act())
}

/// Validator and code of the denial.
fn denial(configuration: &Configuration, policies: Vec<FakePolicy>) -> Option<(String, String)> {
    let judged = judged(configuration, policies);
    let denial = judged.denial().map(|denial| (denial.denied_by.to_string(), denial.code.clone()));
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
fn a_policy_that_fails_denies_unless_fail_open_lists_it() {
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
fn a_policy_can_be_made_mandatory_by_its_approval_as_well_as_by_the_configuration() {
    let denial = |policies: Vec<FakePolicy>| {
        let plugins = FakePlugins { mandatory: vec![id("a")], ..plugins_with(Ok(policies)) };
        let judged = validators(&Configuration::default(), Vec::new(), &plugins).judge(act());
        judged.denial().cloned()
    };
    assert_eq!(denial(vec![allows("a")]), None);
    assert_eq!(denial(vec![denies("a")]).unwrap().code, "no");
    let denial = denial(vec![allows("b")]).unwrap();
    assert_eq!((denial.denied_by, &*denial.code), (DeniedBy::Policy(id("a")), POLICY_FAILED));
    assert_eq!(denial.hint.unwrap(), "install it or remove its mask, or stop requiring a");
}

fn unreadable() -> PluginSetError {
    PluginSetError::Manifest { plugin: "p".to_owned(), reason: "unreadable".to_owned() }
}

/// Who denies a list, and how many policies gave no verdict.
fn listed(subject: &Subject, plugins: &FakePlugins) -> (Option<String>, usize) {
    let canonical = CanonicalOperation::new(LIST, subject.clone(), None);
    let configuration = Configuration { mandatory: vec![id("gone")], ..Configuration::default() };
    let judged = validators(&configuration, Vec::new(), plugins).judge(canonical);
    let silent = judged.verdicts().iter().filter(|verdict| verdict.failed_open.is_some()).count();
    let denial = judged.denial().map(|denial| denial.denied_by.to_string());
    assert_eq!(judged.approve().is_err(), denial.is_some());
    (denial, silent)
}

#[test]
fn users_can_list_images_even_if_policies_fail() {
    let person = Subject::new(Some(0), None);
    assert_eq!(listed(&person, &plugins_with(Err(unreadable()))), (None, 1));
    let granted =
        FakePlugins { mandatory: vec![id("too")], ..plugins_with(Ok(vec![fails("a"), allows("b")])) };
    assert_eq!(listed(&person, &granted), (None, 3));
    let denied = plugins_with(Ok(vec![fails("a"), denies("b")]));
    assert_eq!(listed(&person, &denied), (Some("b".to_owned()), 2));
    // A verdict is not mistaken for a failure, whatever its code.
    let mut denies = denies("c");
    if let Ok(PolicyVerdict { denial: Some(denial), .. }) = &mut denies.opinion {
        denial.code = POLICY_FAILED.to_owned();
    }
    assert_eq!(listed(&person, &plugins_with(Ok(vec![denies]))).0, Some("c".to_owned()));
}

#[test]
fn plugins_and_delegated_callers_cannot_list_without_a_verdict() {
    let plugin = Subject::new(Some(0), None).through(&id("wrapper"));
    let granted = vec![Capability { name: LISTS_IMAGES.to_owned(), scope: "**".to_owned() }];
    let of_plugin = |policies| FakePlugins { granted: granted.clone(), ..plugins_with(policies) };
    assert_eq!(listed(&plugin, &of_plugin(Ok(Vec::new()))).0, Some("gone".to_owned()));
    assert_eq!(listed(&plugin, &of_plugin(Err(unreadable()))).0, Some("plugins".to_owned()));
    let delegated = Subject::new(Some(1000), Some(Delegation::Sudo));
    assert_eq!(listed(&delegated, &no_plugins()), (None, 1));
    assert_eq!(listed(&delegated, &plugins_with(Ok(vec![fails("a")]))).0, Some("a".to_owned()));
}

#[test]
fn a_policy_judges_only_operations_that_concern_it() {
    let not_selected = FakePolicy { concerned: false, ..denies("a") };
    let judged = judged(&Configuration::default(), vec![not_selected]);
    assert_eq!(judged.not_selected(), [id("a")]);
    assert!(judged.denial().is_none());
}

#[test]
fn where_nobody_knows_what_policies_there_are_nothing_runs() {
    let plugins = plugins_with(Err(unreadable()));
    let judged = validators(&Configuration::default(), Vec::new(), &plugins).judge(act());
    assert_eq!(judged.approve().unwrap_err().code, "policy-failed");
}

#[test]
fn only_some_policies_judge_before_names_are_resolved() {
    let unresolved = |policies: Vec<FakePolicy>| {
        let subject = Subject::new(Some(0), None);
        let canonical = CanonicalOperation::unresolved(LIST, subject, None);
        let plugins = plugins_with(Ok(policies));
        let judged = validators(&Configuration::default(), Vec::new(), &plugins).judge(canonical);
        judged.denial().map(|denial| denial.denied_by.to_string())
    };
    assert_eq!(unresolved(vec![denies("late")]), None);
    assert_eq!(unresolved(vec![FakePolicy { early: true, ..denies("early") }]), Some("early".to_owned()));
}

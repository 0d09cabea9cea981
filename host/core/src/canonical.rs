//! The canonical form of an operation: JSON with sorted keys and no whitespace. Its SHA-256, the operation digest, identifies the
//! operation in verdicts and in the audit record, and can be recomputed from the record.

use bootc_image_model::digest::Digest;
use bootc_image_model::policy_input::PolicyInput;
use bootc_image_model::subject::Subject;
use serde::Serialize;
use serde_json::Value;

use crate::ops::Operation;
use crate::ops::seen::PolicyInputParts;

/// An operation in its canonical form, with everything that it is judged by. It is immutable.
#[derive(Debug, Clone)]
pub struct CanonicalOperation {
    operation: Operation,
    subject: Subject,
    sysroot: Option<String>,
    resolved: bool,
    json: String,
    digest: Digest,
}

#[derive(Serialize)]
struct Contents<'a> {
    operation: &'a Operation,
    subject: &'a Subject,
    sysroot: Option<&'a str>,
    /// Written only if false, that is for an operation that cannot run.
    #[serde(skip_serializing_if = "is_true")]
    resolved: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

impl CanonicalOperation {
    /// `sysroot` is the physical root of the system, if it is not the booted one.
    pub fn new(operation: Operation, subject: Subject, sysroot: Option<String>) -> Self {
        Self::with(operation, subject, sysroot, true)
    }

    /// As [`CanonicalOperation::new`], for an operation whose names are not resolved yet: it can be denied, but never approved.
    pub fn unresolved(operation: Operation, subject: Subject, sysroot: Option<String>) -> Self {
        Self::with(operation, subject, sysroot, false)
    }

    fn with(operation: Operation, subject: Subject, sysroot: Option<String>, resolved: bool) -> Self {
        let contents =
            Contents { operation: &operation, subject: &subject, sysroot: sysroot.as_deref(), resolved };
        // NOTE(unwrap): serialising fails only for maps with keys that are not text, and none of these types has one. Readers
        // would reject the empty object.
        let value = serde_json::to_value(&contents).unwrap_or_default();
        let mut json = String::new();
        canonical(&value, &mut json);
        let digest = Digest::of(json.as_bytes());
        Self { operation, subject, sysroot, resolved, json, digest }
    }

    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The physical root of the system, if it is not the booted one.
    pub fn sysroot(&self) -> Option<&str> {
        self.sysroot.as_deref()
    }

    /// Whether its names are resolved.
    pub fn is_resolved(&self) -> bool {
        self.resolved
    }

    /// The canonical form.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The operation digest: SHA-256 of the canonical form.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The policy input. None if policies do not judge this operation.
    pub fn policy_input(&self) -> Option<PolicyInput> {
        let PolicyInputParts { argv, images, pinned } = self.operation.seen(self.resolved)?;
        let subject = &self.subject;
        let plugin = self.operation.plugin().or(subject.plugin.as_ref());
        let attrs = [
            ("caller.uid", subject.uid.map(|uid| uid.to_string())),
            ("caller.via", subject.delegation.map(|by| by.as_str().to_owned())),
            ("pinned", Some(pinned.to_string())),
            ("plugin", plugin.map(ToString::to_string)),
            ("resolved", Some(self.resolved.to_string())),
            ("sysroot", self.sysroot.clone()),
        ];
        Some(PolicyInput {
            kind: self.operation.policy_kind(),
            argv,
            images,
            digest: self.digest.to_string(),
            attrs: attrs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
        })
    }

    pub(crate) fn into_operation(self) -> Operation {
        self.operation
    }
}

/// Writes JSON without whitespace and with keys sorted by their bytes. It does not rely on the order of `serde_json`'s map.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_bytes());
            out.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::list;
    use bootc_image_model::columns::ListType;

    fn list(uid: u32, sysroot: Option<&str>) -> CanonicalOperation {
        let subject = Subject::new(Some(uid), None);
        CanonicalOperation::new(
            Operation::List(list::List { image_type: ListType::All, details: false }),
            subject,
            sysroot.map(str::to_owned),
        )
    }

    #[test]
    fn the_form_is_sorted_and_stable() {
        let canonical = list(0, None);
        assert_eq!(
            canonical.json(),
            r#"{"operation":{"image_type":"all","kind":"list"},"subject":{"delegation":null,"plugin":null,"uid":0},"sysroot":null}"#
        );
        assert_eq!(canonical.digest(), list(0, None).digest());
    }

    #[test]
    fn everything_that_is_judged_changes_the_digest() {
        let base = list(0, None);
        assert_ne!(base.digest(), list(1, None).digest());
        assert_ne!(base.digest(), list(0, Some("/mnt")).digest());
        let operation = Operation::List(list::List { image_type: ListType::All, details: false });
        let unresolved = CanonicalOperation::unresolved(operation, base.subject().clone(), None);
        assert_ne!(base.digest(), unresolved.digest());
    }

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value: Value = serde_json::from_str(r#"{"b":[{"z":1,"a":"\n"}],"a":null}"#).unwrap();
        let mut out = String::new();
        canonical(&value, &mut out);
        assert_eq!(out, r#"{"a":null,"b":[{"a":"\n","z":1}]}"#);
    }
}

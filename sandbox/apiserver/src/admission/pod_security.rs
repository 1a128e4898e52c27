//! The Pod Security Standards, by the labels of the namespace.

mod baseline;
mod pod_view;
mod restricted;

use kinds::Cause;
use serde_json::Value;

use super::{Attempt, Operation};
use crate::{Api, ListOptions, Status, metadata};
use pod_view::Pod;

const PREFIX: &str = "pod-security.kubernetes.io/";
const LEVELS: [&str; 3] = ["privileged", "baseline", "restricted"];

/// Why a pod is not allowed: the reason in short, and who does what.
#[derive(Debug, Clone, PartialEq)]
struct Violation {
    reason: String,
    detail: String,
}

impl Violation {
    fn new(reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason: reason.into(), detail: detail.into() }
    }
}

/// A level and the version of its rules, as in `restricted:latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    level: &'static str,
    version: String,
}

impl Policy {
    /// What the namespace's labels say for a mode (`enforce`, `warn`); the version is only told, the rules are the latest.
    fn of(namespace: &Value, mode: &str) -> Self {
        let label =
            |name: &str| namespace["metadata"]["labels"][format!("{PREFIX}{name}")].as_str().unwrap_or_default();
        let level = LEVELS.into_iter().find(|level| *level == label(mode)).unwrap_or("privileged");
        let version = match label(&format!("{mode}-version")) {
            "" => "latest",
            version => version,
        };
        Self { level, version: version.to_owned() }
    }

    /// Without a label of its own the mode `warn` follows `enforce`.
    fn to_warn(namespace: &Value) -> Self {
        let is_told = namespace["metadata"]["labels"][format!("{PREFIX}warn")].is_string();
        Self::of(namespace, if is_told { "warn" } else { "enforce" })
    }

    fn violations(&self, metadata: &Value, spec: &Value) -> Vec<Violation> {
        let pod = Pod { metadata, spec };
        match self.level {
            "baseline" => baseline::check(&pod, true),
            "restricted" => {
                let mut all = baseline::check(&pod, false);
                all.extend(restricted::check(&pod));
                all
            }
            _ => Vec::new(),
        }
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "\"{}:{}\"", self.level, self.version)
    }
}

/// Refuses pods that the namespace does not allow, and warns of pods and templates that it would not.
pub(super) fn check(
    api: &Api,
    attempt: &Attempt<'_>,
    object: &Value,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    if attempt.subresource.is_some() || attempt.operation == Operation::Delete {
        return Ok(());
    }
    if attempt.resource == kinds::NAMESPACES {
        return check_namespace(api, attempt, object, warnings);
    }
    let is_pod = attempt.resource == kinds::PODS;
    let template = if is_pod { object } else { &object["spec"]["template"] };
    if template["spec"].is_null() || (is_pod && attempt.old.is_some_and(|old| !is_significant(old, object))) {
        return Ok(());
    }
    let Ok(namespace) = api.get(kinds::NAMESPACES, "", attempt.namespace) else { return Ok(()) };
    if is_pod {
        let policy = Policy::of(&namespace, "enforce");
        let violations = policy.violations(&template["metadata"], &template["spec"]);
        if !violations.is_empty() {
            let why = format!("violates PodSecurity {policy}: {}", details(&violations));
            return Err(attempt.forbidden(object, &why));
        }
    }
    let policy = Policy::to_warn(&namespace);
    let violations = policy.violations(&template["metadata"], &template["spec"]);
    if !violations.is_empty() {
        warnings.push(format!("would violate PodSecurity {policy}: {}", details(&violations)));
    }
    Ok(())
}

/// Of a pod that is there, only other images can matter.
fn is_significant(old: &Value, new: &Value) -> bool {
    let images = |pod: &Value| -> Vec<Value> {
        super::containers(&pod["spec"]).map(|container| container["image"].clone()).collect()
    };
    images(old) != images(new)
}

fn details(violations: &[Violation]) -> String {
    let told = violations.iter().map(|violation| match violation.detail.as_str() {
        "" => violation.reason.clone(),
        detail => format!("{} ({detail})", violation.reason),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Refuses labels that say nothing, and warns of the pods that a stricter level would not have let in.
fn check_namespace(
    api: &Api,
    attempt: &Attempt<'_>,
    namespace: &Value,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    let causes = label_problems(namespace);
    if !causes.is_empty() && attempt.old.is_none_or(|old| label_problems(old) != causes) {
        return Err(Status::invalid(kinds::NAMESPACES, metadata::text(namespace, "name"), causes));
    }
    let Some(old) = attempt.old else { return Ok(()) };
    let (before, now) = (Policy::of(old, "enforce"), Policy::of(namespace, "enforce"));
    let strictness = |policy: &Policy| LEVELS.iter().position(|level| *level == policy.level);
    let is_relaxed = before.version == now.version && strictness(&now) <= strictness(&before);
    if before == now || now.level == "privileged" || is_relaxed {
        return Ok(());
    }
    let name = metadata::text(namespace, "name");
    let mut told: Vec<(String, String, usize)> = Vec::new();
    for pod in api.list(kinds::PODS, Some(name), &ListOptions::default())?.items {
        let violations = now.violations(&pod["metadata"], &pod["spec"]);
        if violations.is_empty() {
            continue;
        }
        let reasons = violations.into_iter().map(|violation| violation.reason).collect::<Vec<_>>().join(", ");
        match told.iter_mut().find(|(known, ..)| *known == reasons) {
            Some((_, _, others)) => *others += 1,
            None => told.push((reasons, metadata::text(&pod, "name").to_owned(), 0)),
        }
    }
    if !told.is_empty() {
        let what = format!("existing pods in namespace \"{name}\" violate the new PodSecurity enforce level {now}");
        warnings.push(what);
    }
    let mut lines: Vec<String> = told
        .into_iter()
        .map(|(reasons, pod, others)| match others {
            0 => format!("{pod}: {reasons}"),
            1 => format!("{pod} (and 1 other pod): {reasons}"),
            _ => format!("{pod} (and {others} other pods): {reasons}"),
        })
        .collect();
    lines.sort();
    warnings.append(&mut lines);
    Ok(())
}

fn label_problems(namespace: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        let label = |name: &str| namespace["metadata"]["labels"][format!("{PREFIX}{name}")].as_str();
        let mut refuse = |name: &str, value: &str, why: &str| {
            let field = format!("metadata.labels[{PREFIX}{name}]");
            causes.push(Cause {
                reason: "FieldValueInvalid",
                field,
                message: format!("Invalid value: \"{value}\": {why}"),
            });
        };
        if let Some(level) = label(mode).filter(|level| !LEVELS.contains(level)) {
            refuse(mode, level, "must be one of privileged, baseline, restricted");
        }
        let name = format!("{mode}-version");
        let is_version = |version: &str| {
            let minor = version.strip_prefix("v1.").filter(|minor| *minor == "0" || !minor.starts_with('0'));
            version == "latest" || minor.is_some_and(|minor| minor.parse::<u16>().is_ok())
        };
        if let Some(version) = label(&name).filter(|version| !is_version(version)) {
            refuse(&name, version, "must be \"latest\" or \"v1.x\"");
        }
    }
    causes
}

#[cfg(test)]
mod tests;

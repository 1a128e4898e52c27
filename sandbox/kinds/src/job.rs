//! Jobs.

use crate::cause::Causes;
use crate::checks::{self, all_not_negative, choice, immutable};
use crate::edit::{fill, fill_empty, has, items, list, object, part, text};
use crate::node::Node;
use crate::pod::default_template;
use crate::rules::{Label, Rules};
use crate::shown::{self, AGE, CONTAINERS, IMAGES, NAME, SELECTOR, column};
use crate::table_columns::Column;
use crate::{job_policy, names, pod};
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules {
    default,
    prepare_create,
    has_generation: true,
    has_status: true,
    columns: COLUMNS,
    cells,
    field_labels: &[Label("status.successful", "status.succeeded", "0")],
    validate,
    validate_update,
    ..Rules::NONE
};

const COLUMNS: &[Column] = &[
    NAME,
    column("Status", "What has become of the job."),
    column("Completions", "Pods that succeeded, of those wanted."),
    column("Duration", "Time from its start to its end, or to now."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// Labels with the job's name, old and new.
const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
/// Labels with the job's uid, old and new; the last one is selected.
const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];

/// Labels that a job's pods must have, in the order of the checks, and the field of metadata that gives them.
const GENERATED: [(&str, &str); 4] =
    [(UID_LABELS[0], "uid"), (NAME_LABELS[0], "name"), (UID_LABELS[1], "uid"), (NAME_LABELS[1], "name")];

fn default(job: &mut Value) {
    let Some(spec) = object(job, "spec") else { return };
    if !has(spec, "completions") && !has(spec, "parallelism") {
        fill(spec, "completions", 1);
    }
    fill(spec, "parallelism", 1);
    let limit = if has(spec, "backoffLimitPerIndex") { i32::MAX } else { 6 };
    fill(spec, "backoffLimit", limit);
    fill(spec, "completionMode", "NonIndexed");
    fill(spec, "suspend", false);
    let replacement = if has(spec, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    fill(spec, "podReplacementPolicy", replacement);
    fill(spec, "manualSelector", false);
    if let Some(policy) = part(spec, "podFailurePolicy") {
        for rule in items(policy, "rules") {
            items(rule, "onPodConditions").for_each(|pattern| fill_empty(pattern, "status", "True"));
        }
    }
    default_labels(job);
    default_template(job);
}

/// A job without labels has those of its pods, once these are complete: the ones that the server makes are among them.
fn default_labels(job: &mut Value) {
    let spec = &job["spec"];
    let labels = &spec["template"]["metadata"]["labels"];
    if !labels.is_object() || !(spec["manualSelector"] == true || has(labels, UID_LABELS[1])) {
        return;
    }
    let labels = labels.clone();
    if let Some(metadata) = part(job, "metadata") {
        fill(metadata, "labels", labels);
    }
}

/// Unless the job selects by itself, its pods are told apart by its uid.
fn prepare_create(job: &mut Value) {
    if job["spec"]["manualSelector"] == true {
        return;
    }
    let (name, uid) = (job["metadata"]["name"].clone(), job["metadata"]["uid"].clone());
    let Some(spec) = part(job, "spec") else { return };
    let labels = object(spec, "template").and_then(|it| object(it, "metadata")).and_then(|it| object(it, "labels"));
    if let Some(labels) = labels {
        for label in NAME_LABELS {
            fill(labels, label, name.clone());
        }
        for label in UID_LABELS {
            fill(labels, label, uid.clone());
        }
    }
    if let Some(selected) = object(spec, "selector").and_then(|selector| object(selector, "matchLabels")) {
        fill(selected, UID_LABELS[1], uid);
    }
}

fn cells(job: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&job["spec"], &job["status"]);
    let succeeded = status["succeeded"].as_i64().unwrap_or_default();
    let completions = match (spec["completions"].as_i64(), spec["parallelism"].as_i64().unwrap_or_default()) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let time = |field: &str| shown::read_time(text(status, field));
    let end = time("completionTime").unwrap_or(now);
    let duration = time("startTime").map(|start| shown::duration(end.as_second() - start.as_second()));
    let [names, images] = shown::containers(job);
    vec![
        shown::name(job),
        state(job).into(),
        completions.into(),
        duration.unwrap_or_default().into(),
        shown::age(job, now),
        names,
        images,
        shown::selector(&spec["selector"]),
    ]
}

/// What has become of the job, in one word.
fn state(job: &Value) -> &'static str {
    let conditions = list(&job["status"], "conditions");
    let is = |name: &str| conditions.iter().any(|each| each["type"] == name && each["status"] == "True");
    let ended = ["Complete", "Failed"].into_iter().find(|name| is(name));
    let states =
        [("Suspended", "Suspended"), ("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet")];
    match ended {
        Some(ended) => ended,
        None if has(&job["metadata"], "deletionTimestamp") => "Terminating",
        None => states.iter().find(|(name, _)| is(name)).map_or("Running", |(_, state)| state),
    }
}

const MODES: &[&str] = &["NonIndexed", "Indexed"];

/// Numbers that may not be negative.
const NUMBERS: [&str; 7] = [
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
];

fn validate(job: &Node, causes: &mut Causes) {
    generated_selector(job, causes);
    specification(&job.get("spec"), causes);
    indexed_names(job, causes);
}

fn specification(spec: &Node, causes: &mut Causes) {
    all_not_negative(spec, &NUMBERS, causes);
    completion_mode(spec, causes);
    job_policy::validate(spec, causes);
    let template = spec.get("template");
    pod::validate_template(&template, causes);
    restart_policy(spec, causes);
    let selector = spec.get("selector");
    if selector.is_set() {
        checks::selector(&selector, causes);
    } else {
        causes.required(&selector, "");
    }
    let metadata = template.get("metadata");
    let labels = metadata.get("labels");
    if !checks::selects(selector.value, labels.value) {
        causes.invalid_value(&labels, checks::shown(labels.value), "`selector` does not match template `labels`");
    }
}

fn restart_policy(spec: &Node, causes: &mut Causes) {
    let (template, policy) = (spec.get("template"), spec.get("podFailurePolicy"));
    let pod = template.get("spec");
    let restart = pod.get("restartPolicy");
    match restart.text() {
        "Always" | "" => causes.required(&restart, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if policy.is_set() => {
            causes.invalid(&restart, "only \"Never\" is supported when podFailurePolicy is specified");
        }
        "OnFailure" | "Never" => {}
        _ => causes.unsupported(&restart, &["OnFailure", "Never"]),
    }
}

fn completion_mode(spec: &Node, causes: &mut Causes) {
    let (mode, completions) = (spec.get("completionMode"), spec.get("completions"));
    let (per_index, most_failed) = (spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes"));
    if most_failed.is_set() && !per_index.is_set() {
        causes.required(&per_index, "when maxFailedIndexes is specified");
    }
    choice(&mode, MODES, causes);
    if mode.text() == "Indexed" {
        if !completions.is_set() {
            causes.required(&completions, "when completion mode is Indexed");
        }
        let parallelism = spec.get("parallelism");
        if parallelism.integer().is_some_and(|number| number > 100_000) {
            causes.invalid(&parallelism, "must be less than or equal to 100000 when completion mode is Indexed");
        }
        if most_failed.integer().zip(completions.integer()).is_some_and(|(most, all)| most > all) {
            causes.invalid(&most_failed, "must be less than or equal to completions");
        }
    } else {
        for each in [&per_index, &most_failed] {
            if each.is_set() {
                causes.invalid(each, "requires indexed completion mode");
            }
        }
    }
}

/// Pods of an indexed job are named after it: the longest name must be one.
fn indexed_names(job: &Node, causes: &mut Causes) {
    let (spec, metadata) = (job.get("spec"), job.get("metadata"));
    let name = metadata.get("name");
    let completions = spec.get("completions").integer().unwrap_or_default();
    if spec.get("completionMode").text() == "Indexed" && completions > 0 {
        let pod = format!("{}-{}", name.text(), completions - 1);
        if !names::dns_label(&pod).is_empty() {
            causes.invalid(&name, &format!("will not able to create pod with invalid DNS label: {pod}"));
        }
    }
}

/// A job that does not select by itself must have the selector and the labels that it was given.
fn generated_selector(job: &Node, causes: &mut Causes) {
    let (metadata, spec) = (job.get("metadata"), job.get("spec"));
    let selector = spec.get("selector");
    if spec.get("manualSelector").truth() || !selector.is_set() {
        return;
    }
    let (template, mut expected) = (spec.get("template"), Map::new());
    let template = template.get("metadata");
    let labels = template.get("labels");
    for (label, field) in GENERATED {
        let wanted = metadata.get(field);
        expected.insert(label.to_owned(), wanted.value.clone());
        match labels.value.get(label) {
            None => causes.required(&labels.key(label), &format!("must be '{}'", wanted.text())),
            Some(found) if found != wanted.value => {
                let shown = checks::shown(labels.value);
                causes.invalid_value(&labels, shown, &format!("must be '{}'", wanted.text()));
            }
            Some(_) => {}
        }
    }
    if !checks::selects(selector.value, &Value::Object(expected)) {
        causes.invalid_value(&selector, checks::shown(selector.value), "`selector` not auto-generated");
    }
}

/// What of a job may not change.
const FIXED: [&str; 7] = [
    "selector",
    "template",
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
];

fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    let (old, new) = (old.get("spec"), new.get("spec"));
    // The real server checks the specification again with the change.
    specification(&new, causes);
    completions_unchanged(&old, &new, causes);
    for field in FIXED {
        immutable(&old.get(field), &new.get(field), causes);
    }
}

/// An indexed job can grow and shrink with its parallelism; no other can change its completions.
fn completions_unchanged(old: &Node, new: &Node, causes: &mut Causes) {
    let (before, after) = (old.get("completions"), new.get("completions"));
    if before.value == after.value {
        return;
    }
    if new.get("completionMode").text() != "Indexed" || !before.is_set() || !after.is_set() {
        immutable(&before, &after, causes);
    } else if after.value != new.get("parallelism").value {
        causes.invalid(&after, "can only be modified in tandem with spec.parallelism");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_selects_its_pods_by_its_uid() {
        let mut job = json!({"metadata": {"name": "a", "uid": "1-2"}, "spec": {"template": {"metadata": {"labels": {"x": "y"}}}}});
        default(&mut job);
        prepare_create(&mut job);
        default(&mut job);
        assert_eq!(job["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "1-2"}}));
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        assert_eq!(labels["job-name"], "a");
        assert_eq!(labels["controller-uid"], "1-2");
        assert_eq!(&job["metadata"]["labels"], labels, "a job without labels has those of its pods");
    }
}

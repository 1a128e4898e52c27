//! Jobs.

use crate::edit::{fill, fill_empty, has, items, object, part};
use crate::edit::{list, text};
use crate::pod::default_template;
use crate::rules::{Label, Rules};
use crate::shown::{self, AGE, CONTAINERS, IMAGES, NAME, SELECTOR, column};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules {
    default,
    prepare_create,
    has_generation: true,
    has_status: true,
    columns: COLUMNS,
    cells,
    field_labels: &[Label("status.successful", "status.succeeded", "0")],
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
    let labels = spec["template"]["metadata"].get("labels").filter(|labels| labels.is_object()).cloned();
    if let Some((labels, metadata)) = labels.zip(part(job, "metadata")) {
        fill(metadata, "labels", labels);
    }
    default_template(job);
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
        NAME_LABELS.iter().for_each(|label| fill(labels, label, name.clone()));
        UID_LABELS.iter().for_each(|label| fill(labels, label, uid.clone()));
    }
    if let Some(selected) = object(spec, "selector").and_then(|selector| object(selector, "matchLabels")) {
        fill(selected, UID_LABELS[1], uid);
    }
}

/// What a job was given by [`prepare_create`], for checks.
pub(crate) fn generated_labels() -> impl Iterator<Item = (&'static str, bool)> {
    NAME_LABELS.into_iter().map(|label| (label, false)).chain(UID_LABELS.into_iter().map(|label| (label, true)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_selects_its_pods_by_its_uid() {
        let mut job = json!({"metadata": {"name": "a", "uid": "1-2"}, "spec": {"template": {"metadata": {"labels": {"x": "y"}}}}});
        set(&mut job, "kind", "Job");
        default(&mut job);
        prepare_create(&mut job);
        assert_eq!(job["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "1-2"}}));
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        assert_eq!(labels["job-name"], "a");
        assert_eq!(labels["controller-uid"], "1-2");
        assert_eq!(job["metadata"]["labels"], json!({"x": "y"}));
    }
}

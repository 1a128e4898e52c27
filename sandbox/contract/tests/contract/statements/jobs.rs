//! Jobs in all their ways.

use serde_json::{Value, json};

use super::statements;
use crate::case::{Case, has_condition};
use crate::objects::{job, pick};

statements!("jobs":
    a_job_runs_its_pod_and_completes,
    a_job_gets_its_defaults,
    a_job_runs_as_many_as_it_completes,
    an_indexed_job_numbers_its_pods,
    a_failed_pod_is_tried_again,
    a_job_gives_up_after_its_limit,
    a_job_that_starts_containers_again_gives_up,
    a_deadline_ends_a_job,
    a_suspended_job_waits,
    a_finished_job_is_removed_after_its_time,
    most_of_a_job_cannot_be_changed,
    a_job_must_be_valid,
    a_job_takes_its_pods_along,
    a_policy_fails_a_job_at_once,
);

fn complete(job: &Value) -> bool {
    has_condition(job, "Complete", "True")
}

fn failed(job: &Value) -> bool {
    has_condition(job, "Failed", "True")
}

async fn a_job_runs_its_pod_and_completes(case: &Case) {
    case.create(job("short", &["print", "done"], json!({}))).await.object();
    let ended = case.until("Job", "short", complete).await;
    case.see("status", ended["status"].clone());
    let pods = case.list("Pod", "?labelSelector=job-name%3Dshort").await.items();
    case.see("pod", pick(&pods[0]["metadata"], &["generateName", "labels", "ownerReferences", "finalizers"]));
    case.see("created", case.event("short", "SuccessfulCreate").await);
    case.see("completed", case.event("short", "Completed").await);
}

async fn a_job_gets_its_defaults(case: &Case) {
    let created = case.create(job("held", &["sleep"], json!({"suspend": true}))).await.object();
    case.see("labels", pick(&created["metadata"], &["labels", "generation", "annotations"]));
    case.see("spec", created["spec"].clone());
}

async fn a_job_runs_as_many_as_it_completes(case: &Case) {
    case.create(job("many", &["print", "x"], json!({"completions": 4, "parallelism": 2}))).await.object();
    let ended = case.until("Job", "many", complete).await;
    case.see("status", pick(&ended["status"], &["succeeded", "failed", "active", "ready", "terminating"]));
    case.see("pods", case.list("Pod", "").await.items().len());
}

async fn an_indexed_job_numbers_its_pods(case: &Case) {
    let more = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    case.create(job("numbered", &["variable", "JOB_COMPLETION_INDEX", "+", "hostname"], more)).await.object();
    let ended = case.until("Job", "numbered", complete).await;
    case.see("status", pick(&ended["status"], &["succeeded", "completedIndexes"]));
    let mut said = Vec::new();
    for name in case.list("Pod", "").await.names() {
        said.push(case.logs(&name, "").await);
    }
    case.see("logs", said);
    let pods = case.list("Pod", "?labelSelector=batch.kubernetes.io/job-completion-index%3D1").await.items();
    case.see("labels", pods[0]["metadata"]["labels"].clone());
    case.see("variable", pods[0]["spec"]["containers"][0]["env"].clone());
}

async fn a_failed_pod_is_tried_again(case: &Case) {
    case.create(job("tries", &["exit", "1"], json!({"backoffLimit": 1}))).await.object();
    let ended = case.until("Job", "tries", failed).await;
    case.see("status", pick(&ended["status"], &["failed", "succeeded", "conditions"]));
    case.see("pods", case.list("Pod", "").await.items().len());
}

async fn a_job_gives_up_after_its_limit(case: &Case) {
    case.create(job("fails", &["exit", "1"], json!({"backoffLimit": 0}))).await.object();
    let ended = case.until("Job", "fails", failed).await;
    case.see("status", ended["status"].clone());
    case.see("event", case.event("fails", "BackoffLimitExceeded").await);
}

async fn a_job_that_starts_containers_again_gives_up(case: &Case) {
    let mut object = job("fails", &["exit", "1"], json!({"backoffLimit": 1}));
    object["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure".into();
    case.create(object).await.object();
    let ended = case.until("Job", "fails", failed).await;
    case.see("condition", pick(crate::case::condition(&ended, "Failed"), &["reason", "message"]));
}

async fn a_deadline_ends_a_job(case: &Case) {
    case.create(job("late", &["sleep"], json!({"activeDeadlineSeconds": 2}))).await.object();
    let ended = case.until("Job", "late", failed).await;
    case.see("conditions", ended["status"]["conditions"].clone());
    case.see("event", case.event("late", "DeadlineExceeded").await);
    case.until_count("Pod", "", 0).await;
    case.see("pods", case.list("Pod", "").await.names());
}

async fn a_suspended_job_waits(case: &Case) {
    case.create(job("held", &["print", "x"], json!({"suspend": true}))).await.object();
    let held = case.until("Job", "held", |it| has_condition(it, "Suspended", "True")).await;
    case.see("held", held["status"].clone());
    case.see("event", case.event("held", "Suspended").await);
    case.patch("merge", "Job", "held", json!({"spec": {"suspend": false}})).await.object();
    let ended = case.until("Job", "held", complete).await;
    case.see("conditions", ended["status"]["conditions"].clone());
    case.see("resumed", case.event("held", "Resumed").await);
}

async fn a_finished_job_is_removed_after_its_time(case: &Case) {
    case.create(job("brief", &["print", "x"], json!({"ttlSecondsAfterFinished": 1}))).await.object();
    case.until_gone("Job", "brief").await;
    case.until_count("Pod", "", 0).await;
    case.see("left", case.list("Job", "").await.names());
}

async fn most_of_a_job_cannot_be_changed(case: &Case) {
    case.create(job("held", &["sleep"], json!({"suspend": true, "completions": 2}))).await.object();
    let change = |patch: Value| case.patch("strategic-merge", "Job", "held", json!({"spec": patch}));
    case.see("completions", change(json!({"completions": 3})).await.verdict());
    case.see("parallelism", change(json!({"parallelism": 3})).await.verdict());
    case.see("selector", change(json!({"selector": {"matchLabels": {"a": "b"}}})).await.verdict());
    let template = change(json!({"template": {"spec": {"containers": [{"name": "main", "image": "other:1"}]}}})).await;
    case.see(
        "template",
        json!([template.code, template.body["reason"], template.body["details"]["causes"][0]["field"]]),
    );
    case.see("limit", change(json!({"backoffLimit": 9})).await.verdict());
    case.see("time to live", change(json!({"ttlSecondsAfterFinished": 9})).await.verdict());
}

async fn a_job_must_be_valid(case: &Case) {
    let with = |more: Value| case.create_with("?dryRun=All", job("wrong", &[], more));
    case.see("negative", with(json!({"completions": -1, "parallelism": -1, "backoffLimit": -1})).await.verdict());
    case.see("mode", with(json!({"completionMode": "Random"})).await.verdict());
    case.see("indexed", with(json!({"completionMode": "Indexed"})).await.verdict());
    case.see("selector", with(json!({"selector": {"matchLabels": {"a": "b"}}})).await.verdict());
    let mut always = job("wrong", &[], json!({}));
    always["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
    case.see("restart policy", case.create_with("?dryRun=All", always).await.verdict());
    let mut none = job("wrong", &[], json!({}));
    none["spec"]["template"]["spec"].as_object_mut().unwrap().remove("restartPolicy");
    case.see("no restart policy", case.create_with("?dryRun=All", none).await.verdict());
}

async fn a_job_takes_its_pods_along(case: &Case) {
    case.create(job("gone", &["print", "x"], json!({}))).await.object();
    case.until("Job", "gone", complete).await;
    let answer = case.delete("Job", "gone", json!({"propagationPolicy": "Background"})).await;
    case.see("answer", pick(&answer.body, &["kind", "status", "details"]));
    case.until_count("Pod", "", 0).await;
}

async fn a_policy_fails_a_job_at_once(case: &Case) {
    let rule = json!({"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}});
    case.create(job("strict", &["exit", "42"], json!({"podFailurePolicy": {"rules": [rule]}}))).await.object();
    let ended = case.until("Job", "strict", failed).await;
    let condition = crate::case::condition(&ended, "Failed");
    case.see("reason", condition["reason"].clone());
    case.see("message", condition["message"].clone());
}

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::explain;
use crate::scene::{Cause, Scene, Verdict, brief, newest_event};

/// Whether an object is ready, will be, or never will be. Pure: the same scene gives the same verdict.
pub(crate) fn judge(scene: &Scene) -> Verdict {
    let Some(object) = &scene.object else {
        return Verdict::Waiting(
            "not there".into(),
            vec![Cause::lasts("object", "NotFound", "it is not there any more", 3)],
        );
    };
    let verdict = match object["kind"].as_str().unwrap_or_default() {
        "Deployment" => deployment(scene, object),
        "StatefulSet" => stateful_set(scene, object),
        "DaemonSet" => daemon_set(scene, object),
        "Job" => return job(scene, object),
        "Pod" => pod(scene, object),
        "PersistentVolumeClaim" => claim(object),
        _ => Verdict::Ready("exists".into()),
    };
    match verdict {
        Verdict::Ready(detail) if is_settling(scene, object) => {
            Verdict::Waiting(format!("{detail}, for a moment"), causes(scene, object))
        }
        other => other,
    }
}

/// Whether a container without a readiness probe has only just started: it counts as ready even if it crashes a moment later. One
/// that has crashed before is looked at for longer.
fn is_settling(scene: &Scene, object: &Value) -> bool {
    current_pods(object, &scene.pods).into_iter().any(|pod| {
        let specifications = pod.spec.iter().flat_map(|spec| &spec.containers);
        let unprobed: Vec<&str> = specifications
            .filter(|container| container.readiness_probe.is_none())
            .map(|container| container.name.as_str())
            .collect();
        let mut containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        containers.any(|container| {
            let running = container.state.as_ref().and_then(|state| state.running.as_ref());
            let Some(started) = running.and_then(|running| running.started_at.as_ref()) else { return false };
            let seconds = scene.now.as_second() - started.0.as_second();
            let enough = if container.restart_count > 0 { 10 } else { 2 };
            // A clock of the cluster that is ahead of ours tells nothing.
            unprobed.contains(&container.name.as_str()) && (-2..enough).contains(&seconds)
        })
    })
}

/// The pods of an object that count: in a rollout only those of the newest version.
pub(crate) fn current_pods<'a>(object: &Value, pods: &'a [Pod]) -> Vec<&'a Pod> {
    let wanted = match object["kind"].as_str() {
        Some("Deployment") => {
            // The newest pod is one of the newest version: a rollout makes no others.
            let newest = pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
            newest.and_then(|pod| label(pod, "pod-template-hash")).map(|hash| ("pod-template-hash", hash.to_owned()))
        }
        Some("StatefulSet") => object["status"]["updateRevision"]
            .as_str()
            .map(|revision| ("controller-revision-hash", revision.to_owned())),
        _ => None,
    };
    let counts = |pod: &&Pod| wanted.as_ref().is_none_or(|(name, value)| label(pod, name) == Some(value.as_str()));
    pods.iter().filter(counts).collect()
}

fn label<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn is_observed(object: &Value) -> bool {
    number(object, "/status/observedGeneration") >= number(object, "/metadata/generation")
}

/// What blocks the pods of a workload, and the workload itself from having pods.
fn causes(scene: &Scene, object: &Value) -> Vec<Cause> {
    let pods = current_pods(object, &scene.pods);
    let mut causes: Vec<Cause> = creation(scene, object, pods.len()).into_iter().collect();
    // A pod that has failed for good is replaced by another; of a Job's pods all together are spoken of.
    let has_failed = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed");
    causes.extend(pods.into_iter().filter(|pod| !has_failed(pod)).flat_map(|pod| explain::pod(scene, pod)));
    causes
}

fn deployment(scene: &Scene, object: &Value) -> Verdict {
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let updated = number(object, "/status/updatedReplicas");
    let available = number(object, "/status/availableReplicas");
    let all = number(object, "/status/replicas");
    if is_observed(object) && updated >= wanted && all <= updated && available >= wanted {
        return Verdict::Ready(format!("{available} of {wanted} available"));
    }
    let progress = if updated < wanted || all <= updated {
        format!("{} of {wanted} available", available.min(updated))
    } else {
        format!("{} old to go", all - updated)
    };
    Verdict::Waiting(progress, causes(scene, object))
}

fn stateful_set(scene: &Scene, object: &Value) -> Verdict {
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let ready = number(object, "/status/readyReplicas");
    let on_delete = object.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete");
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition");
    let updated = number(object, "/status/updatedReplicas");
    let rolled_out = on_delete
        || updated >= (wanted - partition).max(0)
        || object["status"]["currentRevision"] == object["status"]["updateRevision"];
    if is_observed(object) && rolled_out && ready >= wanted {
        return Verdict::Ready(format!("{ready} of {wanted} ready"));
    }
    Verdict::Waiting(format!("{ready} of {wanted} ready"), causes(scene, object))
}

fn daemon_set(scene: &Scene, object: &Value) -> Verdict {
    let wanted = number(object, "/status/desiredNumberScheduled");
    let updated = number(object, "/status/updatedNumberScheduled");
    let available = number(object, "/status/numberAvailable");
    if is_observed(object) && updated >= wanted && available >= wanted {
        return Verdict::Ready(format!("{available} of {wanted} available"));
    }
    Verdict::Waiting(format!("{available} of {wanted} available"), causes(scene, object))
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind && condition["status"] == "True")
}

fn job(scene: &Scene, object: &Value) -> Verdict {
    let succeeded = number(object, "/status/succeeded");
    let wanted = object.pointer("/spec/completions").and_then(Value::as_i64).unwrap_or(1);
    if condition(object, "Complete").is_some() {
        return Verdict::Ready(format!("{succeeded} of {wanted} completed"));
    }
    if let Some(failed) = condition(object, "Failed") {
        return Verdict::Failed(vec![job_failure(scene, object, failed)]);
    }
    let progress = format!("{succeeded} of {wanted} completed");
    if object["spec"]["suspend"] == true {
        return Verdict::Waiting(progress, vec![Cause::heals(&subject(object), "Suspended", "spec.suspend is true")]);
    }
    let mut causes = causes(scene, object);
    let attempts = object.pointer("/spec/backoffLimit").and_then(Value::as_i64).unwrap_or(6) + 1;
    causes.extend(explain::failed_attempts(scene, &subject(object), attempts));
    Verdict::Waiting(progress, causes)
}

fn job_failure(scene: &Scene, object: &Value, condition: &Value) -> Cause {
    let reason = condition["reason"].as_str().unwrap_or("Failed");
    let message = condition["message"].as_str().unwrap_or("the Job has failed");
    let mut cause = Cause::lasts(&subject(object), reason, message, 0);
    if let Some(crash) = explain::last_crash(scene) {
        cause.blocker.message = format!("{message}; {}", crash.message);
        explain::attach_log(scene, &mut cause, crash.run);
    }
    let hint = match reason {
        "DeadlineExceeded" => "give it a longer spec.activeDeadlineSeconds, or less to do",
        _ => "read the whole log: infra logs",
    };
    cause.hint(hint)
}

fn pod(scene: &Scene, object: &Value) -> Verdict {
    let Some(pod) = scene.pods.first() else { return Verdict::Waiting("not there".into(), Vec::new()) };
    let status = pod.status.clone().unwrap_or_default();
    match status.phase.as_deref() {
        Some("Succeeded") => return Verdict::Ready("completed".into()),
        Some("Failed") => {
            let message = status.message.or(status.reason).unwrap_or_else(|| "the pod has failed".into());
            let mut cause = Cause::lasts(&subject(object), "Failed", message, 0);
            if let Some(crash) = explain::last_crash(scene) {
                cause.blocker.message = crash.message;
                explain::attach_log(scene, &mut cause, crash.run);
            }
            return Verdict::Failed(vec![cause]);
        }
        _ => {}
    }
    if condition(object, "Ready").is_some() {
        return Verdict::Ready("ready".into());
    }
    Verdict::Waiting(status.phase.unwrap_or_else(|| "Pending".into()).to_lowercase(), explain::pod(scene, pod))
}

fn claim(object: &Value) -> Verdict {
    match object["status"]["phase"].as_str() {
        Some("Bound") => Verdict::Ready("bound".into()),
        Some("Lost") => Verdict::Failed(vec![Cause::lasts(&subject(object), "Lost", "its volume is gone", 0)]),
        _ => Verdict::Waiting("not bound".into(), Vec::new()),
    }
}

fn subject(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!("{} {name}", object["kind"].as_str().unwrap_or_default())
}

/// Why a workload does not get the pods that it wants.
fn creation(scene: &Scene, object: &Value, pods: usize) -> Option<Cause> {
    let message = match object["kind"].as_str() {
        Some("Deployment") => condition(object, "ReplicaFailure")?["message"].as_str()?,
        // A Job does not say it in its status; its events do, and they stay after it has healed.
        _ if pods > 0 => return None,
        _ => {
            let newest = newest_event(&scene.events, object["metadata"]["uid"].as_str(), |_| true)?;
            newest.message.as_deref().filter(|_| newest.reason.as_deref() == Some("FailedCreate"))?
        }
    };
    Some(refusal(scene, &subject(object), message))
}

/// What the refusal to make a pod means.
fn refusal(scene: &Scene, subject: &str, message: &str) -> Cause {
    // `Error creating: pods "name" is forbidden: the reason`
    let reason = message.split_once("is forbidden: ").map_or(message, |(_, reason)| reason);
    if reason.contains("exceeded quota") {
        return explain::quota(scene, subject, reason);
    }
    if reason.contains("violates PodSecurity") {
        let hint =
            "set what is listed in the pod's securityContext, or give the namespace another Pod Security Standard";
        return Cause::lasts(subject, "PodSecurity", brief(reason), 2).hint(hint);
    }
    if reason.contains("serviceaccount \"default\" not found") {
        // Every new namespace gets it a moment after its first objects.
        return Cause::heals_within(subject, "ServiceAccountMissing", brief(reason), 60);
    }
    if reason.contains("service account") {
        let hint = "add the ServiceAccount, or correct serviceAccountName";
        return Cause::lasts(subject, "ServiceAccountMissing", brief(reason), 5).hint(hint);
    }
    Cause::heals_within(subject, "FailedCreate", brief(reason), 30)
}

#[cfg(test)]
mod tests;

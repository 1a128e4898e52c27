//! Why a pod is not ready.

mod claims;
mod crash;
mod images;
mod quota;
mod scheduling;

use k8s_openapi::api::core::v1::{ContainerStateWaiting, ContainerStatus, Event, Pod};

pub(crate) use crash::{attach_log, failed_attempts, last_crash};
pub(crate) use quota::quota;

use crate::scene::{Cause, Scene, brief, newest_event};

/// Everything that keeps a pod from being ready; nothing for one that is, that has ended well, or that is being deleted.
pub(crate) fn pod(scene: &Scene, pod: &Pod) -> Vec<Cause> {
    let Some(status) = &pod.status else { return Vec::new() };
    if pod.metadata.deletion_timestamp.is_some() || status.phase.as_deref() == Some("Succeeded") {
        return Vec::new();
    }
    let claims = claims::unbound(scene, pod);
    if !claims.is_empty() {
        return claims;
    }
    if let Some(cause) = scheduling::unschedulable(scene, pod) {
        return vec![cause];
    }
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let causes: Vec<Cause> = containers.filter_map(|container| self::container(scene, pod, container)).collect();
    if causes.is_empty() { mount(scene, pod).into_iter().collect() } else { causes }
}

fn subject(pod: &Pod) -> String {
    format!("pod {}", pod.metadata.name.as_deref().unwrap_or_default())
}

fn container(scene: &Scene, pod: &Pod, container: &ContainerStatus) -> Option<Cause> {
    let state = container.state.clone().unwrap_or_default();
    if let Some(waiting) = &state.waiting
        && let Some(cause) = waits(scene, pod, container, waiting)
    {
        return Some(cause);
    }
    if let Some(cause) = crash::crashed(scene, pod, container) {
        return Some(cause);
    }
    let running = state.running.is_some() && !container.ready;
    running.then(|| probe(scene, pod)).flatten()
}

fn waits(scene: &Scene, pod: &Pod, container: &ContainerStatus, waiting: &ContainerStateWaiting) -> Option<Cause> {
    let reason = waiting.reason.as_deref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    let subject = subject(pod);
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" | "ImageInspectError" => {
            Some(images::unavailable(scene, pod, container, reason, message))
        }
        "CreateContainerConfigError" => Some(configuration(&subject, message)),
        "CreateContainerError" => Some(Cause::heals_within(&subject, reason, brief(message), 20)),
        // A crash has its own words; these are only its pause.
        _ => None,
    }
}

/// A container that cannot be made because what it refers to is not there.
fn configuration(subject: &str, message: &str) -> Cause {
    let cause = "CreateContainerConfigError";
    if message.contains("runAsNonRoot") || message.contains("non-root") {
        let hint = "set runAsUser to a number other than 0, or build the image with a user";
        // The pod's own uid in parentheses says nothing to a person.
        let text = message.split(" (pod:").next().unwrap_or(message);
        return Cause::lasts(subject, cause, brief(text), 3).hint(hint);
    }
    if message.contains("not found") || message.contains("couldn't find key") {
        return Cause::lasts(subject, cause, brief(message), 4).hint("add it to the manifests, or correct the name");
    }
    Cause::heals_within(subject, cause, brief(message), 60)
}

/// A volume that cannot be mounted. Only the newest event counts: the kubelet tries again, and says so when it goes on.
fn mount(scene: &Scene, pod: &Pod) -> Option<Cause> {
    let newest = newest_event(&scene.events, pod.metadata.uid.as_deref(), |_| true)?;
    let failed = matches!(newest.reason.as_deref(), Some("FailedMount" | "FailedAttachVolume" | "FailedMapVolume"));
    let message = newest.message.as_deref().filter(|_| failed)?;
    let is_absent = message.contains("not found") || message.contains("references non-existent");
    // The root certificate is put into every new namespace a moment after its first pods.
    if is_absent && !message.contains("kube-root-ca.crt") {
        let cause = Cause::lasts(&subject(pod), "FailedMount", brief(message), 5);
        return Some(cause.hint("add it to the manifests, or correct the name"));
    }
    Some(Cause::heals_within(&subject(pod), "FailedMount", brief(message), 120))
}

/// A container that runs and is not ready says why through its probe.
fn probe(scene: &Scene, pod: &Pod) -> Option<Cause> {
    let is_probe = |event: &Event| event.reason.as_deref() == Some("Unhealthy");
    let newest = newest_event(&scene.events, pod.metadata.uid.as_deref(), is_probe)?;
    let message = newest.message.as_deref().unwrap_or_default();
    Some(Cause::heals(&subject(pod), "Unhealthy", brief(message.trim_end())))
}

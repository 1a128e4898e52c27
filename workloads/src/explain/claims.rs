use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};

use crate::scene::{Cause, Scene, Surroundings, brief, newest_event};

/// The claims that keep a pod from being scheduled.
pub(super) fn unbound(scene: &Scene, pod: &Pod) -> Vec<Cause> {
    let names: Vec<&str> = claim_names(pod).collect();
    if names.is_empty() || is_scheduled(pod) {
        return Vec::new();
    }
    let Some(surroundings) = &scene.surroundings else {
        let mut cause = Cause::heals(&format!("claim {}", names[0]), "Pending", "not bound yet");
        cause.wants_surroundings = true;
        return vec![cause];
    };
    let causes = names.into_iter().filter_map(|name| claim(scene, surroundings, name));
    causes
        .map(|mut cause| {
            cause.wants_surroundings = true;
            cause
        })
        .collect()
}

fn claim_names(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

fn is_scheduled(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
}

fn claim(scene: &Scene, surroundings: &Surroundings, name: &str) -> Option<Cause> {
    let subject = format!("claim {name}");
    let Some(claim) = surroundings.claims.iter().find(|claim| claim.metadata.name.as_deref() == Some(name)) else {
        let cause = Cause::lasts(&subject, "NotFound", "there is no such claim", 5);
        return Some(cause.hint("add the PersistentVolumeClaim, or correct claimName"));
    };
    if is_bound(claim) {
        return None;
    }
    let uid = claim.metadata.uid.as_deref();
    // A warning says more than the repeated remark that the claim waits.
    let warning = newest_event(&scene.events, uid, |event| event.type_.as_deref() == Some("Warning"));
    let event = warning.or_else(|| newest_event(&scene.events, uid, |_| true))?;
    explain(&subject, claim, event)
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

fn explain(subject: &str, claim: &PersistentVolumeClaim, event: &Event) -> Option<Cause> {
    let message = event.message.as_deref().unwrap_or_default();
    match event.reason.as_deref()? {
        "ProvisioningFailed" if message.contains("storageclass") && message.contains("not found") => {
            let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
            let cause = Cause::lasts(subject, "NoStorageClass", format!("there is no storage class {class}"), 4);
            Some(cause.hint("correct storageClassName, or leave it out for the cluster's default"))
        }
        "ProvisioningFailed" => {
            let text = message.rsplit_once("StorageClass").map_or(message, |(_, text)| text);
            let text = text.split_once("\": ").map_or(text, |(_, text)| text);
            let cause = Cause::heals_within(subject, "ProvisioningFailed", brief(text), 15);
            Some(cause.hint("ask for what the storage class can give (access mode, size), or for another class"))
        }
        "FailedBinding" => {
            let cause = Cause::lasts(subject, "FailedBinding", brief(message), 5);
            Some(cause.hint("add a PersistentVolume that fits, or name a storage class"))
        }
        "ExternalProvisioning" => {
            // `... by the external provisioner 'name' or manually ...`
            let provisioner = message.split('\'').nth(1).unwrap_or("of its class");
            let text = format!("the provisioner {provisioner} has not made its volume yet");
            let cause = Cause::heals_within(subject, "ExternalProvisioning", text, 60);
            Some(cause.hint("see whether that provisioner runs in the cluster"))
        }
        "Provisioning" => Some(Cause::heals(subject, "Provisioning", "its volume is being made")),
        // A claim that waits for its first consumer blocks nothing; what keeps the pod is said of the pod.
        _ => None,
    }
}

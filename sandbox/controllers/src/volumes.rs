//! Claims and volumes: who gets which, folders made for claims, and what becomes of them.

mod fit;
mod folder;

pub use folder::{Folders, PROVISIONER, RemoveFolder};

use crate::action::Note;
use crate::carry::About;
use crate::hub::{Controller, Hub, NOW};
use crate::index::{Change, Id, Index, claims_of};
use crate::meta::{
    self, add_finalizer, annotate, annotation, has_finalizer, is_deleting, name, namespace, remove_finalizer, text, uid,
};
use apiserver::{DeleteOptions, Status};
use futures::future::{BoxFuture, FutureExt};
use kinds::pod;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// On which node the pod will be that a claim waits for.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";

/// The controller of claims and volumes.
pub struct Volumes {
    folders: Folders,
}

/// Whether a claim has its volume for good.
pub fn is_bound(claim: &Value) -> bool {
    text(claim, "/status/phase") == "Bound" && annotation(claim, BIND_COMPLETED).is_some()
}

/// Whether a claim is bound only once a pod uses it.
pub fn waits_for_consumer(index: &Index, claim: &Value) -> bool {
    class_of(index, claim).is_some_and(|class| text(&class, "/volumeBindingMode") == "WaitForFirstConsumer")
}

fn class_of(index: &Index, claim: &Value) -> Option<Arc<Value>> {
    index.get(&Id::new(kinds::STORAGE_CLASSES, "", fit::class(claim))).cloned()
}

fn about_claim(claim: &Value) -> About<'_> {
    About { component: "persistentvolume-controller", resource: kinds::PERSISTENT_VOLUME_CLAIMS, object: claim }
}

fn volume_id(name: &str) -> Id {
    Id::new(kinds::PERSISTENT_VOLUMES, "", name)
}

impl Volumes {
    /// With folders made there.
    pub fn new(folders: Folders) -> Self {
        Self { folders }
    }

    async fn sync_claim(&self, hub: &Hub, key: &Id) -> Result<(), Status> {
        let Some(claim) = hub.get(key) else { return Ok(()) };
        if is_deleting(&claim) {
            return unprotect_claim(hub, key, &claim).await;
        }
        if !has_finalizer(&claim, CLAIM_PROTECTION) {
            let protect = |claim: &mut Value| add_finalizer(claim, CLAIM_PROTECTION);
            hub.modify(&hub.writers.manager, key, None, protect).await?;
        }
        if annotation(&claim, BIND_COMPLETED).is_some() {
            check_bound(hub, key, &claim).await
        } else {
            self.find(hub, key, &claim).await
        }
    }

    async fn find(&self, hub: &Hub, key: &Id, claim: &Arc<Value>) -> Result<(), Status> {
        let wanted = text(claim, "/spec/volumeName");
        if !wanted.is_empty() {
            return find_named(hub, key, claim, wanted).await;
        }
        if claim.pointer("/spec/storageClassName").is_none()
            && fit::class(claim).is_empty()
            && assign_class(hub, key).await?
        {
            return Ok(());
        }
        let class = hub.look(|index| class_of(index, claim));
        let delayed = class.as_ref().is_some_and(|class| text(class, "/volumeBindingMode") == "WaitForFirstConsumer");
        let chosen = annotation(claim, SELECTED_NODE).is_some();
        let meant = hub.look(|index| {
            let mut volumes = index.all(kinds::PERSISTENT_VOLUMES);
            volumes.find(|volume| fit::is_meant_for(volume, claim)).cloned()
        });
        let best = |index: &Index| {
            let volumes: Vec<Arc<Value>> = index.all(kinds::PERSISTENT_VOLUMES).cloned().collect();
            fit::best(volumes.iter(), claim)
        };
        let volume = if delayed && !chosen { meant } else { meant.or_else(|| hub.look(best)) };
        if let Some(volume) = volume {
            return bind(hub, key, claim, &volume).await;
        }
        let note = match &class {
            Some(_) if delayed && !chosen => Some(hub.look(|index| waiting_note(index, claim))),
            Some(class) => return self.provision(hub, key, claim, class).await,
            None if fit::class(claim).is_empty() => {
                let message = "no persistent volumes available for this claim and no storage class is set";
                Some(Note::normal("FailedBinding", message))
            }
            None => {
                let message = format!("storageclass.storage.k8s.io {:?} not found", fit::class(claim));
                Some(Note::warning("ProvisioningFailed", message))
            }
        };
        if let Some(note) = note {
            hub.tell(about_claim(claim), note);
        }
        Ok(())
    }

    async fn provision(&self, hub: &Hub, key: &Id, claim: &Arc<Value>, class: &Value) -> Result<(), Status> {
        let provisioner = text(class, "/provisioner");
        if provisioner == "kubernetes.io/no-provisioner" {
            return Ok(());
        }
        let mark = |claim: &mut Value| {
            let old = annotate(claim, "volume.beta.kubernetes.io/storage-provisioner", provisioner);
            annotate(claim, "volume.kubernetes.io/storage-provisioner", provisioner) || old
        };
        let claim = hub.modify(&hub.writers.manager, key, None, mark).await.unwrap_or_else(|_| claim.clone());
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
             system administrator. If volume creation is delayed, please verify that the provisioner is running and \
             correctly registered."
        );
        hub.tell(about_claim(&claim), Note::normal("ExternalProvisioning", message));
        if provisioner != PROVISIONER {
            return Ok(());
        }
        let about = About { component: PROVISIONER, ..about_claim(&claim) };
        let failed = |why: String| {
            let message = format!("failed to provision volume with StorageClass {:?}: {why}", name(class));
            hub.tell(about, Note::warning("ProvisioningFailed", message));
        };
        if let Some(why) = fit::unsupported(&claim) {
            failed(why);
            return Ok(());
        }
        let message =
            format!("External provisioner is provisioning volume for claim \"{}/{}\"", key.namespace, key.name);
        hub.tell(about, Note::normal("Provisioning", message));
        let volume_name = folder::volume_name(&claim);
        let made = match self.folders.make(&volume_name).await {
            Ok(made) => made,
            Err(error) => {
                failed(error.to_string());
                return Err(Status::internal(error));
            }
        };
        let volume = match hub.create(kinds::PERSISTENT_VOLUMES, folder::volume(&claim, class, &made)).await {
            Err(status) if status.is_already_exists() => hub.api().get(kinds::PERSISTENT_VOLUMES, "", &volume_name)?,
            created => created?,
        };
        hub.tell(
            about,
            Note::normal("ProvisioningSucceeded", format!("Successfully provisioned volume {volume_name}")),
        );
        bind(hub, key, &claim, &volume).await
    }

    async fn sync_volume(&self, hub: &Hub, key: &Id) -> Result<(), Status> {
        let Some(volume) = hub.get(key) else { return Ok(()) };
        if is_deleting(&volume) {
            if text(&volume, "/status/phase") == "Bound" && claim_of(hub, &volume).is_some() {
                return Ok(());
            }
            let release = |volume: &mut Value| remove_finalizer(volume, VOLUME_PROTECTION);
            return hub.modify(&hub.writers.manager, key, None, release).await.map(drop);
        }
        if !has_finalizer(&volume, VOLUME_PROTECTION) {
            let protect = |volume: &mut Value| add_finalizer(volume, VOLUME_PROTECTION);
            hub.modify(&hub.writers.manager, key, None, protect).await?;
        }
        let claim_uid = text(&volume, "/spec/claimRef/uid");
        if claim_uid.is_empty() {
            return set_phase(hub, key, "Available").await;
        }
        match claim_of(hub, &volume) {
            // The claim's own turn completes what is begun.
            Some(claim) if text(&claim, "/spec/volumeName").is_empty() => Ok(()),
            Some(claim) if text(&claim, "/spec/volumeName") == name(&volume) => set_phase(hub, key, "Bound").await,
            Some(_) if text(&volume, "/spec/persistentVolumeReclaimPolicy") != "Delete" => unbind(hub, key).await,
            _ => self.reclaim(hub, key, &volume).await,
        }
    }

    async fn reclaim(&self, hub: &Hub, key: &Id, volume: &Value) -> Result<(), Status> {
        if text(volume, "/status/phase") != "Failed" {
            set_phase(hub, key, "Released").await?;
        }
        let ours = annotation(volume, folder::PROVISIONED_BY) == Some(PROVISIONER);
        if text(volume, "/spec/persistentVolumeReclaimPolicy") != "Delete" || !ours {
            return Ok(());
        }
        if let Err(error) = self.folders.remove(volume).await {
            let about = About { component: PROVISIONER, resource: kinds::PERSISTENT_VOLUMES, object: volume };
            hub.tell(about, Note::warning("VolumeFailedDelete", error.to_string()));
            set_phase(hub, key, "Failed").await?;
            return Err(Status::internal(error));
        }
        let options = DeleteOptions { uid: Some(uid(volume).to_owned()), ..DeleteOptions::default() };
        hub.delete(key, &options).await
    }
}

/// The claim that a volume is for, as long as it is there.
fn claim_of(hub: &Hub, volume: &Value) -> Option<Arc<Value>> {
    let (namespace, claim) = (text(volume, "/spec/claimRef/namespace"), text(volume, "/spec/claimRef/name"));
    let claim = hub.get(&Id::new(kinds::PERSISTENT_VOLUME_CLAIMS, namespace, claim));
    claim.filter(|claim| uid(claim) == text(volume, "/spec/claimRef/uid"))
}

async fn set_phase(hub: &Hub, key: &Id, phase: &str) -> Result<(), Status> {
    let now = meta::stamp(hub.now());
    let set = |volume: &mut Value| {
        let differs = text(volume, "/status/phase") != phase;
        if differs {
            volume["status"]["phase"] = phase.into();
            volume["status"]["lastPhaseTransitionTime"] = now.clone().into();
        }
        differs
    };
    hub.modify(&hub.writers.manager, key, Some("status"), set).await.map(drop)
}

/// The claim has been given another volume: this one is free again.
async fn unbind(hub: &Hub, key: &Id) -> Result<(), Status> {
    let free = |volume: &mut Value| {
        if annotation(volume, BOUND_BY_CONTROLLER).is_some() {
            meta::drop_field(volume, "/metadata/annotations", BOUND_BY_CONTROLLER);
            meta::drop_field(volume, "/spec", "claimRef")
        } else {
            meta::drop_field(volume, "/spec/claimRef", "uid")
        }
    };
    hub.modify(&hub.writers.manager, key, None, free).await?;
    set_phase(hub, key, "Available").await
}

fn waiting_note(index: &Index, claim: &Value) -> Note {
    let users = index.users_of_claim(namespace(claim), name(claim));
    let waiting = users.iter().filter(|pod| !pod::is_finished(pod) && text(pod, "/spec/nodeName").is_empty());
    let names: Vec<&str> = waiting.map(|pod| name(pod)).collect();
    match names[..] {
        [] => Note::normal("WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
        [one] => Note::normal("WaitForPodScheduled", format!("waiting for pod {one} to be scheduled")),
        _ => Note::normal("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", names.join(","))),
    }
}

async fn find_named(hub: &Hub, key: &Id, claim: &Arc<Value>, wanted: &str) -> Result<(), Status> {
    let Some(volume) = hub.get(&volume_id(wanted)) else { return Ok(()) };
    let note = if fit::is_meant_for(&volume, claim) {
        return bind(hub, key, claim, &volume).await;
    } else if volume.pointer("/spec/claimRef").is_some() {
        Note::warning("FailedBinding", format!("volume {wanted:?} already bound to a different claim."))
    } else if let Some(why) = fit::mismatch(&volume, claim) {
        Note::warning("VolumeMismatch", format!("Cannot bind to requested volume {wanted:?}: {why}"))
    } else {
        return bind(hub, key, claim, &volume).await;
    };
    hub.tell(about_claim(claim), note);
    Ok(())
}

/// Gives a claim without a class the default one; tells whether there is one.
async fn assign_class(hub: &Hub, key: &Id) -> Result<bool, Status> {
    let class = hub.look(|index| {
        let defaults = index.all(kinds::STORAGE_CLASSES).filter(|class| fit::is_default_class(class));
        defaults.max_by_key(|class| fit::age(class)).map(|class| name(class).to_owned())
    });
    let Some(class) = class else { return Ok(false) };
    let set = |claim: &mut Value| {
        claim["spec"]["storageClassName"] = class.clone().into();
        true
    };
    hub.modify(&hub.writers.manager, key, None, set).await?;
    Ok(true)
}

/// Writes the binding into both, the volume first.
async fn bind(hub: &Hub, key: &Id, claim: &Arc<Value>, volume: &Arc<Value>) -> Result<(), Status> {
    let id = volume_id(name(volume));
    let by = &hub.writers.manager;
    let take = |volume: &mut Value| {
        if volume.pointer("/spec/claimRef").is_some() && !fit::is_meant_for(volume, claim) {
            return false;
        }
        if volume.pointer("/spec/claimRef").is_none() {
            annotate(volume, BOUND_BY_CONTROLLER, "yes");
        }
        let differs = text(volume, "/spec/claimRef/uid") != uid(claim);
        volume["spec"]["claimRef"] = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name(claim),
            "namespace": namespace(claim), "uid": uid(claim),
            "resourceVersion": text(claim, "/metadata/resourceVersion")});
        differs
    };
    let volume = hub.modify(by, &id, None, take).await?;
    if !fit::is_meant_for(&volume, claim) {
        return Err(Status::conflict(kinds::PERSISTENT_VOLUMES, name(&volume), "the volume has been taken"));
    }
    set_phase(hub, &id, "Bound").await?;
    let write = |claim: &mut Value| {
        let mut differs = false;
        if text(claim, "/spec/volumeName") != name(&volume) {
            claim["spec"]["volumeName"] = name(&volume).into();
            annotate(claim, BOUND_BY_CONTROLLER, "yes");
            differs = true;
        }
        annotate(claim, BIND_COMPLETED, "yes") || differs
    };
    hub.modify(by, key, None, write).await?;
    let status = |claim: &mut Value| {
        claim["status"]["phase"] = "Bound".into();
        claim["status"]["accessModes"] = volume["spec"]["accessModes"].clone();
        claim["status"]["capacity"] = volume["spec"]["capacity"].clone();
        true
    };
    hub.modify(by, key, Some("status"), status).await.map(drop)
}

async fn check_bound(hub: &Hub, key: &Id, claim: &Arc<Value>) -> Result<(), Status> {
    let wanted = text(claim, "/spec/volumeName");
    let volume = hub.get(&volume_id(wanted));
    let note = match &volume {
        _ if wanted.is_empty() => {
            let message = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
            Note::warning("ClaimLost", message)
        }
        None => Note::warning("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"),
        Some(volume) if volume.pointer("/spec/claimRef").is_none() || fit::is_meant_for(volume, claim) => {
            let whole = is_bound(claim) && text(volume, "/spec/claimRef/uid") == uid(claim);
            return if whole { Ok(()) } else { bind(hub, key, claim, volume).await };
        }
        Some(_) => {
            let message = "Two claims are bound to the same volume, this one is bound incorrectly";
            Note::warning("ClaimMisbound", message)
        }
    };
    if text(claim, "/status/phase") == "Lost" {
        return Ok(());
    }
    let lose = |claim: &mut Value| {
        claim["status"] = json!({"phase": "Lost"});
        true
    };
    hub.modify(&hub.writers.manager, key, Some("status"), lose).await?;
    hub.tell(about_claim(claim), note);
    Ok(())
}

/// A claim that goes is kept while a pod uses it.
async fn unprotect_claim(hub: &Hub, key: &Id, claim: &Value) -> Result<(), Status> {
    let users = hub.look(|index| index.users_of_claim(&key.namespace, &key.name));
    let used = users.iter().any(|pod| !text(pod, "/spec/nodeName").is_empty() && !pod::is_finished(pod));
    if used || !has_finalizer(claim, CLAIM_PROTECTION) {
        return Ok(());
    }
    hub.modify(&hub.writers.manager, key, None, |claim| remove_finalizer(claim, CLAIM_PROTECTION)).await.map(drop)
}

impl Controller for Volumes {
    fn route(&self, index: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        let id = &change.id;
        let unbound = |wake: &mut dyn FnMut(Id, Duration)| {
            let claims = index.all(kinds::PERSISTENT_VOLUME_CLAIMS).filter(|claim| !is_bound(claim));
            claims.for_each(|claim| wake(Id::of(kinds::PERSISTENT_VOLUME_CLAIMS, claim), NOW));
        };
        if id.resource == kinds::PERSISTENT_VOLUME_CLAIMS {
            wake(id.clone(), NOW);
            for volume in change.states().map(|claim| text(claim, "/spec/volumeName")).filter(|name| !name.is_empty()) {
                wake(volume_id(volume), NOW);
            }
        } else if id.resource == kinds::PERSISTENT_VOLUMES {
            wake(id.clone(), NOW);
            index.claims_on_volume(&id.name).into_iter().for_each(|claim| wake(claim, NOW));
            if change.new.as_ref().is_some_and(|volume| text(volume, "/status/phase") == "Available") {
                unbound(wake);
            }
        } else if id.resource == kinds::STORAGE_CLASSES {
            unbound(wake);
        } else if id.resource == kinds::PODS {
            let state = |pod: &Value| (pod::is_finished(pod), text(pod, "/spec/nodeName").is_empty());
            let same = matches!((&change.old, &change.new), (Some(old), Some(new)) if state(old) == state(new));
            if !same {
                for claim in claims_of(kinds::PODS, change.object()) {
                    wake(Id::new(kinds::PERSISTENT_VOLUME_CLAIMS, &id.namespace, claim), NOW);
                }
            }
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        async move {
            let done = if key.resource == kinds::PERSISTENT_VOLUMES {
                self.sync_volume(hub, key).await
            } else {
                self.sync_claim(hub, key).await
            };
            match done {
                Err(status) if status.is_not_found() => Ok(None),
                other => other.map(|()| None),
            }
        }
        .boxed()
    }

    fn most_at_a_time(&self) -> usize {
        // One at a time: two claims must not be given the same volume.
        1
    }
}

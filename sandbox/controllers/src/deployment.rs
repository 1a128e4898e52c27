//! Deployments: replica sets that take over from each other.

mod rollout;
mod status;
mod template;

use crate::action::{Action, Note};
use crate::carry::{About, is_terminating_namespace};
use crate::hub::{Controller, Hub, NOW, Round, rounds};
use crate::index::{Change, Id, Index};
use crate::meta::{
    self, annotate, annotation, controller_of, controller_reference, flag, is_deleting, name, text, uid,
};
use crate::ownership;
use crate::pods::is_active;
use apiserver::Status;
use futures::future::{BoxFuture, FutureExt};
use kinds::pod;
use rollout::{DESIRED, MOST, REVISION, Rollout, Sizes, revision, size};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use template::HASH_LABEL;

/// The annotation with the numbers that a set's template had before.
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Annotations of a deployment that its sets do not get.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
];

/// The controller of deployments.
#[derive(Debug)]
pub struct Deployments;

impl Deployments {
    async fn round(hub: &Hub, key: &Id) -> Result<Round, Status> {
        let Some(deployment) = hub.get(key) else { return Ok(Round::Done(None)) };
        let sets = hub.look(|index| index.controlled_by(uid(&deployment), kinds::REPLICA_SETS));
        let rollout = Rollout::of(&deployment, &sets);
        let about = About { component: "deployment-controller", resource: kinds::DEPLOYMENTS, object: &deployment };
        let paused = flag(&deployment, "/spec/paused");
        if is_deleting(&deployment) {
            return write_status(hub, &deployment, status::counts(&rollout, hub.now())).await;
        }
        if let Some(changed) = paused_condition(hub, &deployment, paused) {
            return write_status(hub, &deployment, changed).await;
        }
        if let Some(action) = kept_set(&rollout) {
            return hub.carry_out(about, vec![action]).await;
        }
        if let Some(round) = noted(hub, &rollout).await? {
            return Ok(round);
        }
        let old_pods_left = !rollout.is_rolling() && old_pods_left(hub, &rollout);
        if paused || rollout.is_rescaled() {
            let mut actions = scaling(&rollout, &rollout.rescale());
            if paused {
                actions.extend(cleaning(&rollout));
            }
            let done = hub.carry_out(about, actions).await?;
            return match done {
                Round::More => Ok(Round::More),
                Round::Done(_) => write_status(hub, &deployment, status::counts(&rollout, hub.now())).await,
            };
        }
        let sizes = if rollout.is_rolling() { rollout.next_rolling() } else { rollout.next_recreate(old_pods_left) };
        let may_create = rollout.is_rolling() || (!old_pods_left && rollout.old.iter().all(|set| size(set) == 0));
        if rollout.new.is_none() && may_create {
            return create_set(hub, about, &rollout).await;
        }
        let mut actions = scaling(&rollout, &sizes);
        if actions.is_empty() && status::is_complete(&deployment, &deployment["status"]) {
            actions = cleaning(&rollout);
        }
        match hub.carry_out(about, actions).await? {
            Round::More => Ok(Round::More),
            Round::Done(_) => write_status(hub, &deployment, status::with_progress(&rollout, hub.now())).await,
        }
    }
}

async fn write_status(hub: &Hub, deployment: &Arc<Value>, status: Value) -> Result<Round, Status> {
    if deployment.get("status") == Some(&status) {
        return Ok(Round::Done(status::deadline_in(deployment, hub.now())));
    }
    let mut changed = (**deployment).clone();
    changed["status"] = status;
    hub.replace(kinds::DEPLOYMENTS, Some("status"), changed).await?;
    Ok(Round::More)
}

/// The status with what pausing or resuming means for the progress.
fn paused_condition(hub: &Hub, deployment: &Value, paused: bool) -> Option<Value> {
    meta::number(deployment, "/spec/progressDeadlineSeconds")?;
    let reason = meta::condition(deployment, "Progressing").map_or("", |known| text(known, "/reason"));
    let (reason, message) = match (paused, reason) {
        (_, "ProgressDeadlineExceeded") | (true, "DeploymentPaused") => return None,
        (true, _) => ("DeploymentPaused", "Deployment is paused"),
        (false, "DeploymentPaused") => ("DeploymentResumed", "Deployment is resumed"),
        (false, _) => return None,
    };
    let mut changed = deployment.get("status").cloned().unwrap_or_else(|| json!({}));
    status::set(&mut changed, status::condition("Progressing", "Unknown", reason, message, hub.now()));
    Some(changed)
}

/// The new set with the deployment's annotations and the highest number, if it has not got them.
fn kept_set(rollout: &Rollout<'_>) -> Option<Action> {
    let new = rollout.new.as_ref()?;
    let mut changed = (**new).clone();
    let mut differs = annotate_set(rollout, &mut changed);
    let wanted = rollout.deployment.pointer("/spec/minReadySeconds").cloned();
    if wanted.as_ref().and_then(Value::as_i64).unwrap_or(0) != meta::count(new, "/spec/minReadySeconds") {
        changed["spec"]["minReadySeconds"] = wanted.unwrap_or_else(|| 0.into());
        differs = true;
    }
    differs.then_some(Action::Replace(kinds::REPLICA_SETS, changed))
}

fn annotate_set(rollout: &Rollout<'_>, set: &mut Value) -> bool {
    let mut changed = false;
    for (key, value) in meta::map(rollout.deployment, "/metadata/annotations").into_iter().flatten() {
        if !NOT_COPIED.contains(&key.as_str()) {
            changed |= annotate(set, key, value.as_str().unwrap_or_default());
        }
    }
    let before = annotation(set, REVISION).map(str::to_owned);
    let next = rollout.old.iter().map(|set| revision(set)).max().unwrap_or_default() + 1;
    if revision(set) >= next {
        return changed;
    }
    if let Some(before) = before {
        let history = match annotation(set, HISTORY) {
            Some(history) if !history.is_empty() => format!("{history},{before}"),
            _ => before,
        };
        annotate(set, HISTORY, &history);
    }
    annotate(set, REVISION, &next.to_string())
}

/// Writes the new set's number into the deployment, and that it was found when nothing is known of its progress.
async fn noted(hub: &Hub, rollout: &Rollout<'_>) -> Result<Option<Round>, Status> {
    let Some(new) = &rollout.new else { return Ok(None) };
    let deployment = rollout.deployment;
    let number = annotation(new, REVISION).unwrap_or_default();
    let id = Id::of(kinds::DEPLOYMENTS, deployment);
    if annotation(deployment, REVISION) != Some(number) {
        hub.modify(&hub.writers.manager, &id, Some("status"), |deployment| annotate(deployment, REVISION, number))
            .await?;
        return Ok(Some(Round::More));
    }
    let counted = meta::number(deployment, "/spec/progressDeadlineSeconds").is_some();
    if !counted || meta::condition(deployment, "Progressing").is_some() {
        return Ok(None);
    }
    let message = format!("Found new replica set {:?}", name(new));
    let condition = status::condition("Progressing", "True", "FoundNewReplicaSet", &message, hub.now());
    hub.modify(&hub.writers.manager, &id, Some("status"), |deployment| {
        status::set(&mut deployment["status"], condition.clone());
        true
    })
    .await?;
    Ok(Some(Round::More))
}

fn new_set(rollout: &Rollout<'_>) -> Value {
    let deployment = rollout.deployment;
    let hash = template::hash(deployment);
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH_LABEL] = hash.clone().into();
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH_LABEL] = hash.clone().into();
    let mut set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", name(deployment)),
            "namespace": meta::namespace(deployment),
            "labels": template["metadata"]["labels"],
            "ownerReferences": [controller_reference(kinds::DEPLOYMENTS, deployment)],
        },
        "spec": {"replicas": rollout.new_size(), "selector": selector, "template": template},
    });
    if let Some(seconds) = deployment.pointer("/spec/minReadySeconds") {
        set["spec"]["minReadySeconds"] = seconds.clone();
    }
    annotate_set(rollout, &mut set);
    annotate_size(rollout, &mut set);
    set
}

fn annotate_size(rollout: &Rollout<'_>, set: &mut Value) -> bool {
    let wanted = rollout.replicas();
    let desired = annotate(set, DESIRED, &wanted.to_string());
    annotate(set, MOST, &(wanted + rollout.max_surge()).to_string()) || desired
}

async fn create_set(hub: &Hub, about: About<'_>, rollout: &Rollout<'_>) -> Result<Round, Status> {
    let deployment = rollout.deployment;
    let id = Id::of(kinds::DEPLOYMENTS, deployment);
    let set = new_set(rollout);
    let (set_name, replicas) = (name(&set).to_owned(), rollout.new_size());
    let created = hub.create(kinds::REPLICA_SETS, set).await;
    let condition = match &created {
        Ok(_) => {
            if replicas > 0 {
                let message = format!("Scaled up replica set {set_name} from 0 to {replicas}");
                hub.tell(about, Note::normal("ScalingReplicaSet", message));
            }
            let message = format!("Created new replica set {set_name:?}");
            status::condition("Progressing", "True", "NewReplicaSetCreated", &message, hub.now())
        }
        Err(status) if status.is_already_exists() => return collided(hub, &id, &set_name, status).await,
        Err(status) if is_terminating_namespace(status) => return Ok(Round::Done(None)),
        Err(status) => {
            let message = format!("Failed to create new replica set {set_name:?}: {status}");
            hub.tell(about, Note::warning("ReplicaSetCreateError", &message));
            status::condition("Progressing", "False", "ReplicaSetCreateError", &message, hub.now())
        }
    };
    if meta::number(deployment, "/spec/progressDeadlineSeconds").is_some() {
        hub.modify(&hub.writers.manager, &id, Some("status"), |deployment| {
            status::set(&mut deployment["status"], condition.clone());
            true
        })
        .await?;
    }
    created.map(|_| Round::More)
}

/// Another template has the same hash: the next try has another one.
async fn collided(hub: &Hub, id: &Id, set: &str, status: &Status) -> Result<Round, Status> {
    let set = hub.get(&Id::new(kinds::REPLICA_SETS, &id.namespace, set));
    let ours = set
        .as_ref()
        .and_then(|set| controller_of(set))
        .is_some_and(|owner| hub.get(id).is_some_and(|deployment| text(owner, "/uid") == uid(&deployment)));
    if ours {
        return Err(status.clone());
    }
    hub.modify(&hub.writers.manager, id, Some("status"), |deployment| {
        let collisions = meta::count(deployment, "/status/collisionCount");
        deployment["status"]["collisionCount"] = (collisions + 1).into();
        true
    })
    .await?;
    Ok(Round::More)
}

/// Gives sets their new sizes, and tells it.
fn scaling(rollout: &Rollout<'_>, sizes: &Sizes) -> Vec<Action> {
    let mut actions = Vec::new();
    for set in rollout.all() {
        let Some(wanted) = sizes.get(name(set)) else { continue };
        let mut changed = (**set).clone();
        let annotated = annotate_size(rollout, &mut changed);
        if size(set) == *wanted && !annotated {
            continue;
        }
        changed["spec"]["replicas"] = (*wanted).into();
        actions.push(Action::Replace(kinds::REPLICA_SETS, changed));
        if size(set) != *wanted {
            let direction = if size(set) < *wanted { "up" } else { "down" };
            let message = format!("Scaled {direction} replica set {} from {} to {wanted}", name(set), size(set));
            actions.push(Action::Tell(Note::normal("ScalingReplicaSet", message)));
        }
    }
    actions
}

fn cleaning(rollout: &Rollout<'_>) -> Vec<Action> {
    let sets = rollout.beyond_history();
    sets.iter().map(|set| Action::Delete(Id::of(kinds::REPLICA_SETS, set), uid(set).to_owned())).collect()
}

/// Whether pods of other templates have not ended yet.
fn old_pods_left(hub: &Hub, rollout: &Rollout<'_>) -> bool {
    rollout.old.iter().any(|set| {
        let pods = hub.look(|index| index.controlled_by(uid(set), kinds::PODS));
        meta::count(set, "/status/replicas") > 0 || pods.iter().any(|pod| is_active(pod) || !pod::is_finished(pod))
    })
}

impl Controller for Deployments {
    fn route(&self, index: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        if change.id.resource == kinds::DEPLOYMENTS {
            wake(change.id.clone(), NOW);
        } else if change.id.resource == kinds::REPLICA_SETS {
            ownership::wake_owners(index, change, kinds::DEPLOYMENTS, wake);
        } else if change.id.resource == kinds::PODS && change.new.is_none() {
            // A deployment that stops all old pods first waits for the last one to go.
            let set = controller_of(change.object()).and_then(|owner| index.by_uid(text(owner, "/uid")));
            let owner = set.and_then(|set| index.get(set)).and_then(|set| controller_of(set));
            if let Some(id) = owner.and_then(|owner| index.by_uid(text(owner, "/uid")))
                && id.resource == kinds::DEPLOYMENTS
            {
                wake(id.clone(), NOW);
            }
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        async move {
            let Some(deployment) = hub.get(key) else { return Ok(None) };
            ownership::claim(hub, kinds::DEPLOYMENTS, &deployment, kinds::REPLICA_SETS, None).await?;
            rounds(|| Self::round(hub, key)).await
        }
        .boxed()
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)]
mod tests;

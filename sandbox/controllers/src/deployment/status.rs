//! A deployment's status and conditions.

use super::rollout::{Rollout, size};
use crate::meta::{self, count, name, number, stamp, text, time};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The status as its replica sets stand.
pub fn counts(rollout: &Rollout<'_>, now: Timestamp) -> Value {
    let sum = |field: &str| -> i64 { rollout.all().map(|set| count(set, &format!("/status/{field}"))).sum() };
    let available = sum("availableReplicas");
    let wanted: i64 = rollout.all().map(|set| size(set)).sum();
    let mut status = Map::new();
    let fields = [
        ("availableReplicas", available),
        ("observedGeneration", count(rollout.deployment, "/metadata/generation")),
        ("readyReplicas", sum("readyReplicas")),
        ("replicas", sum("replicas")),
        ("unavailableReplicas", (wanted - available).max(0)),
        ("updatedReplicas", rollout.new.as_ref().map_or(0, |new| count(new, "/status/replicas"))),
    ];
    for (field, count) in fields.into_iter().filter(|(_, count)| *count > 0) {
        status.insert(field.to_owned(), count.into());
    }
    if let Some(collisions) = rollout.deployment.pointer("/status/collisionCount") {
        status.insert("collisionCount".to_owned(), collisions.clone());
    }
    let conditions = meta::list(rollout.deployment, "/status/conditions").to_vec();
    status.insert("conditions".to_owned(), conditions.into());
    let mut status = Value::Object(status);
    let enough = available >= rollout.replicas() - rollout.max_unavailable();
    let condition = if enough {
        condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    } else {
        let message = "Deployment does not have minimum availability.";
        condition("Available", "False", "MinimumReplicasUnavailable", message, now)
    };
    set(&mut status, condition);
    status
}

/// The status in a rollout: with its progress and the failures of its sets.
pub fn with_progress(rollout: &Rollout<'_>, now: Timestamp) -> Value {
    let mut status = counts(rollout, now);
    let deployment = rollout.deployment;
    match deadline(deployment) {
        None => remove(&mut status, "Progressing"),
        Some(deadline) => progress(rollout, deadline, &mut status, now),
    }
    match failure(rollout) {
        Some(condition) => set(&mut status, condition),
        None => remove(&mut status, "ReplicaFailure"),
    }
    status
}

fn progress(rollout: &Rollout<'_>, deadline: SignedDuration, status: &mut Value, now: Timestamp) {
    let deployment = rollout.deployment;
    let known = meta::condition(deployment, "Progressing");
    let reason = known.map_or("", |known| text(known, "/reason"));
    let whole = count(status, "/replicas") == count(status, "/updatedReplicas");
    if whole && reason == "NewReplicaSetAvailable" {
        return;
    }
    let who = match &rollout.new {
        Some(new) => format!("ReplicaSet {:?}", name(new)),
        None => format!("Deployment {:?}", name(deployment)),
    };
    if is_complete(deployment, status) {
        let message = format!("{who} has successfully progressed.");
        set(status, condition("Progressing", "True", "NewReplicaSetAvailable", &message, now));
    } else if has_progressed(deployment, status) {
        let mut new = condition("Progressing", "True", "ReplicaSetUpdated", &format!("{who} is progressing."), now);
        if let Some(known) = known.filter(|known| text(known, "/status") == "True") {
            new["lastTransitionTime"] = known["lastTransitionTime"].clone();
        }
        remove(status, "Progressing");
        set(status, new);
    } else if let Some(known) = known {
        let since = time(known, "/lastUpdateTime").unwrap_or(now);
        let late = now.duration_since(since) > deadline;
        let timed_out = reason == "ProgressDeadlineExceeded" || (late && reason != "NewReplicaSetAvailable");
        if timed_out {
            let message = format!("{who} has timed out progressing.");
            set(status, condition("Progressing", "False", "ProgressDeadlineExceeded", &message, now));
        }
    }
}

/// When the deadline is to be looked at again.
pub fn deadline_in(deployment: &Value, now: Timestamp) -> Option<Duration> {
    let deadline = deadline(deployment)?;
    let known = meta::condition(deployment, "Progressing")?;
    let over = is_complete(deployment, &deployment["status"]) || text(known, "/reason") == "ProgressDeadlineExceeded";
    if over {
        return None;
    }
    let left = deadline - now.duration_since(time(known, "/lastUpdateTime")?) + SignedDuration::from_secs(1);
    Some(Duration::try_from(left.max(SignedDuration::from_secs(1))).unwrap_or_default())
}

fn deadline(deployment: &Value) -> Option<SignedDuration> {
    let seconds = number(deployment, "/spec/progressDeadlineSeconds")?;
    (seconds < i64::from(i32::MAX)).then(|| SignedDuration::from_secs(seconds))
}

/// Whether all wanted pods are new and available, and no old ones are left.
pub fn is_complete(deployment: &Value, status: &Value) -> bool {
    let wanted = count(deployment, "/spec/replicas");
    ["/updatedReplicas", "/replicas", "/availableReplicas"].iter().all(|field| count(status, field) == wanted)
        && count(status, "/observedGeneration") >= count(deployment, "/metadata/generation")
}

fn has_progressed(deployment: &Value, status: &Value) -> bool {
    let before = &deployment["status"];
    let old = |status: &Value| count(status, "/replicas") - count(status, "/updatedReplicas");
    let grown = |field: &str| count(status, field) > count(before, field);
    old(status) < old(before) || ["/updatedReplicas", "/readyReplicas", "/availableReplicas"].into_iter().any(grown)
}

fn failure(rollout: &Rollout<'_>) -> Option<Value> {
    let sets = rollout.new.iter().chain(&rollout.old);
    let condition = sets.into_iter().find_map(|set| meta::condition(set, "ReplicaFailure"))?;
    let mut condition = condition.clone();
    condition["lastUpdateTime"] = condition["lastTransitionTime"].clone();
    Some(condition)
}

/// A condition that has just come to be.
pub fn condition(kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> Value {
    let now = stamp(now);
    json!({"type": kind, "status": status, "lastUpdateTime": now, "lastTransitionTime": now, "reason": reason,
        "message": message})
}

/// Sets a condition in a status unless it says the same already.
pub fn set(status: &mut Value, mut condition: Value) {
    let kind = text(&condition, "/type").to_owned();
    let known = meta::list(status, "/conditions").iter().find(|each| text(each, "/type") == kind);
    if let Some(known) = known
        && known["status"] == condition["status"]
    {
        if known["reason"] == condition["reason"] {
            return;
        }
        condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
    }
    remove(status, &kind);
    match &mut status["conditions"] {
        Value::Array(conditions) => conditions.push(condition),
        other => *other = json!([condition]),
    }
}

fn remove(status: &mut Value, kind: &str) {
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| text(condition, "/type") != kind);
    }
}

//! Operations: what takes time. PENDING, RUNNING, DONE, or DONE with an error.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::World;
use crate::clock::{Clock, Moment};
use crate::hash;
use crate::ledger::Finished;

/// What happens in the world at a moment of an operation.
pub(crate) type Step = Box<dyn FnOnce(&mut World) + Send>;

/// What happens in the world at an operation's end, when it is known whether it failed.
pub(crate) type End = Box<dyn FnOnce(&mut World, Option<&Failure>) + Send>;

/// Why an operation ended with an error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    /// The number of `google.rpc.Code`.
    pub number: i32,
    /// The HTTP status that Compute Engine tells.
    pub http: u16,
    /// The word for programs: `QUOTA_EXCEEDED`, `GCE_STOCKOUT`.
    pub word: String,
    /// The text for people.
    pub message: String,
}

impl Failure {
    pub fn new(number: i32, http: u16, word: &str, message: impl Into<String>) -> Self {
        Self { number, http, word: word.into(), message: message.into() }
    }

    /// Something went wrong inside of Google.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(13, 500, "INTERNAL_ERROR", message)
    }

    /// A zone has no more machines of a kind.
    pub fn stockout(project: &str, zone: &str) -> Self {
        let message = format!(
            "The zone 'projects/{project}/zones/{zone}' does not have enough resources available to fulfill the request.  \
             Try a different zone, or try again later."
        );
        Self::new(8, 503, "ZONE_RESOURCE_POOL_EXHAUSTED", message)
    }
}

/// Something that takes time.
pub(crate) struct Operation {
    /// The interface that it belongs to, without its version: `compute`.
    pub service: &'static str,
    /// Its name.
    pub name: String,
    /// Its type: `CREATE_CLUSTER`, `insert`.
    pub kind: String,
    /// The project.
    pub project: String,
    /// `us-central1-a` for Kubernetes Engine, `zones/us-central1-a` or `global` for Compute Engine.
    pub place: String,
    /// The path of what it changes, within its interface.
    pub target: String,
    /// Who asked for it.
    pub user: String,
    /// When it was asked for.
    pub began: Moment,
    /// When it begins to run.
    pub runs: Moment,
    /// When its time is over.
    pub due: Moment,
    /// When it ended.
    pub ended: Option<Moment>,
    /// Work outside of the world that must have ended, too.
    pub waits: Option<String>,
    /// What happens on the way, soonest first.
    pub steps: Vec<(Moment, Step)>,
    /// What happens at the end.
    pub end: Option<End>,
    /// Why it failed, or will.
    pub failure: Option<Failure>,
    /// What long-running operations give when they are done.
    pub response: Value,
    /// What long-running operations say of themselves.
    pub metadata: Value,
}

/// The shortest and the longest time of each type of operation, in seconds. Kubernetes Engine: five to eight minutes for a
/// cluster, three to five for its deletion, one to two for a node pool; a pool with GPUs takes longer, for their driver.
const TIMES: &[(&str, u32, u32)] = &[
    ("CREATE_CLUSTER", 300, 480),
    ("DELETE_CLUSTER", 180, 300),
    ("CREATE_NODE_POOL", 60, 120),
    ("CREATE_NODE_POOL.gpu", 180, 420),
    ("DELETE_NODE_POOL", 90, 180),
    ("SET_NODE_POOL_SIZE", 60, 120),
    ("SET_NODE_POOL_MANAGEMENT", 5, 15),
    ("UPDATE_CLUSTER", 30, 120),
    ("UPGRADE_MASTER", 240, 480),
    ("UPGRADE_NODES", 180, 360),
    ("SET_LABELS", 15, 45),
    ("insert.networks", 10, 20),
    ("delete.networks", 10, 20),
    ("insert.subnetworks", 10, 20),
    ("delete.subnetworks", 8, 15),
    ("insert.routers", 3, 6),
    ("delete.routers", 3, 10),
    ("insert.addresses", 2, 4),
    ("insert.disks", 2, 6),
    ("createSnapshot.disks", 30, 90),
    ("insert.forwardingRules", 5, 15),
    ("delete.forwardingRules", 5, 15),
    ("insert.backendServices", 8, 20),
    ("insert.targetPools", 3, 6),
    ("insert.firewalls", 5, 12),
    ("delete.firewalls", 5, 12),
    ("insert.routes", 5, 12),
    ("insert", 3, 8),
    ("delete", 3, 8),
    ("services.enable", 15, 30),
    ("services.disable", 5, 10),
    ("repositories.create", 5, 12),
    ("repositories.delete", 2, 6),
    ("artifacts.delete", 1, 3),
    ("instances.create", 150, 300),
    ("instances.patch", 60, 180),
    ("instances.delete", 60, 150),
    // What controllers in a cluster make for a Service of type LoadBalancer, and what they take to remove it.
    ("loadBalancer.create", 35, 60),
    ("loadBalancer.delete", 30, 60),
    ("volume.create", 3, 8),
    ("volume.delete", 5, 15),
];

/// How long an operation of this type takes: `TYPE.WHAT` if that is known, or else `TYPE`.
pub(crate) fn time(seed: u64, kind: &str, target: &str) -> Duration {
    let known = |name: &str| TIMES.iter().find(|known| known.0 == name);
    let short = kind.split('.').next().unwrap_or_default();
    let (_, low, high) = *known(kind).or_else(|| known(short)).unwrap_or(&("", 2, 6));
    let span = f64::from(high - low) * hash::fraction(seed, &["time", kind, target]);
    Duration::from_secs_f64(f64::from(low) + span)
}

impl Operation {
    /// `PENDING`, `RUNNING` or `DONE`.
    pub fn status(&self, now: Moment) -> &'static str {
        match self.ended {
            Some(_) => "DONE",
            None if now < self.runs => "PENDING",
            None => "RUNNING",
        }
    }

    /// How much of its time is over, from 0 to 1; 1 only when it ended.
    pub fn progress(&self, now: Moment) -> f64 {
        if self.ended.is_some() {
            return 1.0;
        }
        let whole = self.due.saturating_sub(self.began).as_secs_f64().max(0.001);
        (now.saturating_sub(self.began).as_secs_f64() / whole).min(0.99)
    }

    /// As the ledger tells it, once it ended.
    pub fn finished(&self) -> Option<Finished> {
        Some(Finished {
            service: self.service.to_owned(),
            kind: self.kind.clone(),
            target: self.target.clone(),
            began_seconds: self.began.as_secs_f64(),
            ended_seconds: self.ended?.as_secs_f64(),
        })
    }

    /// As Kubernetes Engine tells it.
    pub fn of_container(&self, clock: &Clock, now: Moment, number: &str) -> Value {
        let scope = if super::catalog::is_zone(&self.place) { "zones" } else { "locations" };
        let root = format!("https://container.googleapis.com/v1/projects/{number}/{scope}/{}", self.place);
        let below = self.target.splitn(5, '/').nth(4).unwrap_or_default();
        let mut told = json!({
            "name": self.name,
            "zone": self.place,
            "location": self.place,
            "operationType": self.kind,
            "status": self.status(now),
            "selfLink": format!("{root}/operations/{}", self.name),
            "targetLink": format!("{root}/{below}"),
            "startTime": clock.timestamp(self.began),
        });
        if self.ended.is_none() && now >= self.runs {
            told["progress"] = self.stages(now);
        }
        if let Some(ended) = self.ended {
            told["endTime"] = json!(clock.timestamp(ended));
            if let Some(failure) = &self.failure {
                told["error"] = json!({"code": failure.number, "message": failure.message});
                told["statusMessage"] = json!(failure.message);
                let conditions = json!([{"code": condition(&failure.word), "message": failure.message}]);
                let field = if self.kind.contains("NODE_POOL") { "nodepoolConditions" } else { "clusterConditions" };
                told[field] = conditions;
            }
        }
        told
    }

    /// The progress of an operation on a cluster, which has stages in a row.
    fn stages(&self, now: Moment) -> Value {
        let done = self.progress(now);
        let names: &[&str] = match self.kind.as_str() {
            "CREATE_CLUSTER" => &["CLUSTER_CONFIGURING", "CLUSTER_DEPLOYING", "CLUSTER_HEALTHCHECKING"],
            _ => return json!({"status": "RUNNING", "metrics": [percent(done)]}),
        };
        let share = 1.0 / f64::from(u32::try_from(names.len()).unwrap_or(1));
        let stages = names.iter().zip(0_u32..).map(|(name, index)| {
            let part = ((done - f64::from(index) * share) / share).clamp(0.0, 1.0);
            let status = if part <= 0.0 { "PENDING" } else { ["RUNNING", "DONE"][usize::from(part >= 1.0)] };
            json!({"name": name, "status": status, "metrics": [percent(part)]})
        });
        json!({"status": "RUNNING", "stages": stages.collect::<Vec<_>>(), "metrics": [percent(done)]})
    }

    /// As Compute Engine tells it.
    pub fn of_compute(&self, clock: &Clock, now: Moment) -> Value {
        const ROOT: &str = "https://www.googleapis.com/compute/v1";
        let place = format!("{ROOT}/projects/{}/{}", self.project, self.place);
        #[allow(clippy::cast_possible_truncation)]
        let percent = (self.progress(now) * 100.0) as i64;
        let mut told = json!({
            "kind": "compute#operation",
            "id": hash::number(0, &[&self.name]).to_string(),
            "name": self.name,
            "operationType": self.kind,
            "status": self.status(now),
            "progress": if now < self.runs { 0 } else { percent },
            "user": self.user,
            "insertTime": clock.timestamp(self.began),
            "targetLink": format!("{ROOT}/{}", self.target),
            "targetId": hash::number(1, &[&self.target]).to_string(),
            "selfLink": format!("{place}/operations/{}", self.name),
        });
        if let Some((scope, name)) = self.place.split_once('/') {
            told[scope.trim_end_matches('s')] = json!(format!("{ROOT}/projects/{}/{scope}/{name}", self.project));
        }
        if now >= self.runs || self.ended.is_some() {
            told["startTime"] = json!(clock.timestamp(self.runs.min(now)));
        }
        if let Some(ended) = self.ended {
            told["endTime"] = json!(clock.timestamp(ended));
            if let Some(failure) = &self.failure {
                told["error"] = json!({"errors": [{"code": failure.word, "message": failure.message}]});
                told["httpErrorStatusCode"] = json!(failure.http);
                told["httpErrorMessage"] = json!(phrase(failure.http));
            }
        }
        told
    }

    /// As the interfaces with long-running operations tell it.
    pub fn of_others(&self) -> Value {
        let mut told = json!({"name": self.name, "metadata": self.metadata});
        if self.ended.is_some() {
            told["done"] = json!(true);
            match &self.failure {
                Some(failure) => told["error"] = json!({"code": failure.number, "message": failure.message}),
                None => told["response"] = self.response.clone(),
            }
        }
        told
    }
}

/// The code of a condition of a cluster or node pool.
pub(crate) fn condition(word: &str) -> &'static str {
    match word {
        "ZONE_RESOURCE_POOL_EXHAUSTED" | "GCE_STOCKOUT" => "GCE_STOCKOUT",
        "QUOTA_EXCEEDED" => "GCE_QUOTA_EXCEEDED",
        _ => "UNKNOWN",
    }
}

fn percent(part: f64) -> Value {
    #[allow(clippy::cast_possible_truncation)]
    let value = (part * 100.0) as i64;
    json!({"name": "PERCENT_COMPLETE", "intValue": value.to_string()})
}

fn phrase(http: u16) -> &'static str {
    match http {
        400 => "BAD REQUEST",
        403 => "FORBIDDEN",
        404 => "NOT FOUND",
        409 => "CONFLICT",
        503 => "SERVICE UNAVAILABLE",
        _ => "INTERNAL SERVER ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_takes_five_to_eight_minutes_the_same_for_the_same_seed() {
        let seconds = time(3, "CREATE_CLUSTER", "c").as_secs();
        assert!((300..=480).contains(&seconds), "{seconds}");
        assert_eq!(time(3, "CREATE_CLUSTER", "c"), time(3, "CREATE_CLUSTER", "c"));
        assert_ne!(time(3, "CREATE_CLUSTER", "c"), time(4, "CREATE_CLUSTER", "c"));
    }

    #[test]
    fn a_type_of_operation_without_a_time_of_its_own_takes_that_of_its_verb() {
        let seconds = time(3, "insert.healthChecks", "h").as_secs();
        assert!((3..=8).contains(&seconds), "{seconds}");
    }
}

//! The pod's status as the API tells it.

use super::{Container, Ending, Ground, Life, Machine, Planned, Role, Running, Termination};
use crate::read::{container, list, moment, text};
use serde_json::{Map, Value, json};

/// What the status says of the machine itself.
pub const CONTAINER_SCHEME: &str = "sandbox://";

impl Machine {
    /// The whole status, from the object as it is now; `host_address` is the node's. What others wrote into it (the scheduler's
    /// condition, readiness gates) stays.
    pub fn status(&self, pod: &Value, host_address: &str, now: jiff::Timestamp) -> Value {
        let before = &pod["status"];
        let phase = self.phase(before);
        let mut status = Map::new();
        let mut put = |key: &str, value: Value| drop(status.insert(key.into(), value));
        if let Some(generation) = pod["metadata"].get("generation") {
            put("observedGeneration", generation.clone());
        }
        put("phase", phase.into());
        if let Some(Ending::Failed { reason, message }) = &self.ending {
            if !message.is_empty() {
                put("message", message.as_str().into());
            }
            if !reason.is_empty() {
                put("reason", reason.as_str().into());
            }
        }
        put("conditions", self.conditions(pod, phase, now));
        put("hostIP", host_address.into());
        put("hostIPs", json!([{ "ip": host_address }]));
        if let Some(address) = self.address {
            put("podIP", address.to_string().into());
            put("podIPs", json!([{ "ip": address.to_string() }]));
        }
        put("startTime", moment(self.start_time).into());
        let statuses = |init: bool| {
            let all = self.containers.iter().zip(&self.plan.containers);
            let chosen = all.filter(|(_, planned)| (planned.role != Role::Main) == init);
            chosen.map(|(container, planned)| self.container_status(pod, container, planned)).collect::<Vec<_>>()
        };
        if self.plan.has_init() {
            put("initContainerStatuses", statuses(true).into());
        }
        put("containerStatuses", statuses(false).into());
        for field in ["qosClass", "nominatedNodeName", "resize"] {
            if let Some(value) = before.get(field) {
                put(field, value.clone());
            }
        }
        Value::Object(status)
    }

    /// Whether the container counts as ready.
    pub(super) fn is_ready(container: &Container, planned: &Planned) -> bool {
        match planned.role {
            Role::Init => {
                container.exited.as_ref().is_some_and(|exited| exited.exit_code == 0) && container.shows_exit()
            }
            Role::Sidecar | Role::Main => container.running().is_some_and(|running| running.ready && !running.hook),
        }
    }

    fn container_status(&self, pod: &Value, state: &Container, planned: &Planned) -> Value {
        let definition = container(pod, &planned.name).unwrap_or(&Value::Null);
        let mut status = Map::new();
        let mut put = |key: &str, value: Value| drop(status.insert(key.into(), value));
        if let Some(requests) = definition["resources"].get("requests").filter(|_| state.created > 0) {
            put("allocatedResources", requests.clone());
        }
        if let Some(id) = state.latest_id.as_ref().filter(|id| !id.is_empty()) {
            put("containerID", format!("{CONTAINER_SCHEME}{id}").into());
        }
        let image = state.image.as_ref().map(|image| (image.found.name.as_str(), image.found.id.as_str()));
        let (image, image_id) = image.unwrap_or((&planned.image, ""));
        put("image", image.into());
        put("imageID", image_id.into());
        put("lastState", state.last_state());
        put("name", planned.name.as_str().into());
        put("ready", Self::is_ready(state, planned).into());
        if state.created > 0 {
            put("resources", definition.get("resources").cloned().unwrap_or_else(|| json!({})));
        }
        put("restartCount", state.restart_count.into());
        let started = |running: &Running| !running.hook && (running.started || planned.role == Role::Init);
        put("started", state.running().is_some_and(started).into());
        put("state", self.state(state));
        let mounts = list(&definition["volumeMounts"]).iter().map(mount_status).collect::<Vec<_>>();
        if !mounts.is_empty() {
            put("volumeMounts", mounts.into());
        }
        Value::Object(status)
    }

    fn state(&self, state: &Container) -> Value {
        if let Some(running) = state.running() {
            return json!({ "running": { "startedAt": moment(running.since) } });
        }
        if let Some(waiting) = &state.waiting {
            let mut told = json!({ "reason": waiting.reason });
            if let Some(message) = &waiting.message {
                told["message"] = message.as_str().into();
            }
            return json!({ "waiting": told });
        }
        if let Some(exited) = &state.exited {
            return json!({ "terminated": terminated(exited) });
        }
        if self.ground == Ground::Cleared && state.life == Life::Idle {
            return json!({ "terminated": never_located() });
        }
        let reason = if self.plan.has_init() { "PodInitializing" } else { "ContainerCreating" };
        json!({ "waiting": { "reason": reason } })
    }

    /// The pod's phase; a final phase only when nothing runs any more, and never another one after it.
    pub fn phase(&self, before: &Value) -> &'static str {
        match text(before, "phase") {
            "Succeeded" => return "Succeeded",
            "Failed" => return "Failed",
            _ => {}
        }
        let alive = self.containers.iter().any(|container| container.life != Life::Idle);
        if !alive && matches!(self.ending, Some(Ending::Failed { .. })) {
            // Whatever its containers made of being told to end.
            return "Failed";
        }
        let over = self.ground == Ground::Cleared || (self.ground == Ground::Absent && self.ending.is_some());
        let forced = matches!(self.ending, Some(Ending::Deleted { .. } | Ending::Gone));
        let succeeded = |role: Role| {
            let all = self.containers.iter().zip(&self.plan.containers).filter(|(_, planned)| planned.role == role);
            all.clone().count() > 0
                && all.into_iter().all(|(container, _)| {
                    container.life == Life::Idle
                        && container.exited.as_ref().is_some_and(|exited| exited.exit_code == 0)
                })
        };
        if !alive && over && forced {
            return if succeeded(Role::Main) { "Succeeded" } else { "Failed" };
        }
        if !alive && self.has_finished() {
            return if succeeded(Role::Main) { "Succeeded" } else { "Failed" };
        }
        let began = |(container, planned): (&Container, &Planned)| planned.role != Role::Main || container.has_begun();
        if self.initialized_once() && self.containers.iter().zip(&self.plan.containers).all(began) {
            "Running"
        } else {
            "Pending"
        }
    }

    /// Whether a main container was ever made.
    pub(super) fn initialized_once(&self) -> bool {
        let mut all = self.containers.iter().zip(&self.plan.containers);
        all.any(|(container, planned)| planned.role == Role::Main && container.has_begun())
    }
}

impl Container {
    /// Whether an instance runs or has run.
    pub(super) fn has_begun(&self) -> bool {
        self.running().is_some() || self.exited.is_some() || self.last.is_some()
    }

    fn shows_exit(&self) -> bool {
        self.running().is_none() && self.waiting.is_none()
    }

    fn last_state(&self) -> Value {
        // While it waits for its next instance, the latest one is the last state.
        let latest = self.exited.as_ref().filter(|_| !self.shows_exit());
        // Of instances that have ended only the latest one is kept, and its exit is the state itself.
        let last = self.last.as_ref().filter(|_| self.exited.is_none());
        latest.or(last).map_or_else(|| json!({}), |last| json!({ "terminated": terminated(last) }))
    }
}

fn terminated(termination: &Termination) -> Value {
    let mut told = Map::new();
    if !termination.container_id.is_empty() {
        told.insert("containerID".into(), termination.container_id.as_str().into());
    }
    told.insert("exitCode".into(), termination.exit_code.into());
    told.insert("finishedAt".into(), moment(termination.finished_at).into());
    if let Some(message) = termination.message.as_ref().filter(|message| !message.is_empty()) {
        told.insert("message".into(), message.as_str().into());
    }
    told.insert("reason".into(), termination.reason.as_str().into());
    told.insert("startedAt".into(), moment(termination.started_at).into());
    Value::Object(told)
}

fn never_located() -> Value {
    json!({
        "exitCode": 137,
        "finishedAt": null,
        "message": "The container could not be located when the pod was terminated",
        "reason": "ContainerStatusUnknown",
        "startedAt": null,
    })
}

fn mount_status(mount: &Value) -> Value {
    let mut told = json!({ "mountPath": mount["mountPath"], "name": mount["name"] });
    if mount["readOnly"].as_bool() == Some(true) {
        told["readOnly"] = true.into();
        told["recursiveReadOnly"] = "Disabled".into();
    }
    told
}

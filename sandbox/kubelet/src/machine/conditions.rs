//! The pod's conditions.

use super::{Ground, Machine, Role};
use crate::read::{list, moment, text};
use serde_json::{Value, json};

/// A condition that is true, or false for a reason.
type Verdict = Result<(), (&'static str, String)>;

const OWN: [&str; 4] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];

impl Machine {
    pub(super) fn conditions(&self, pod: &Value, phase: &str, now: jiff::Timestamp) -> Value {
        let before = list(&pod["status"]["conditions"]);
        let containers = self.containers_ready(phase);
        let ready = containers.clone().and_then(|()| gates(pod, before));
        let ground = match self.ground {
            Ground::Ready(_) => Ok(()),
            _ => Err(("", String::new())),
        };
        let verdicts = [ground, self.is_initialized(phase), ready, containers];
        let generation = pod["metadata"].get("generation");
        let mut all = Vec::with_capacity(before.len().max(OWN.len() + 1));
        for (kind, verdict) in OWN.into_iter().zip(verdicts) {
            let old = before.iter().find(|old| text(old, "type") == kind);
            all.push(condition(kind, &verdict, phase, old, generation, now));
        }
        all.extend(before.iter().filter(|old| !OWN.contains(&text(old, "type"))).cloned());
        all.into()
    }

    fn is_initialized(&self, phase: &str) -> Verdict {
        if phase == "Succeeded" || self.initialized_once() {
            return Ok(());
        }
        let incomplete = self.names(|machine, index| {
            let (container, planned) = (&machine.containers[index], &machine.plan.containers[index]);
            match planned.role {
                Role::Init => !Self::is_ready(container, planned),
                Role::Sidecar => container.running().is_none_or(|running| !running.started || running.hook),
                Role::Main => false,
            }
        });
        if incomplete.is_empty() {
            return Ok(());
        }
        Err(("ContainersNotInitialized", format!("containers with incomplete status: [{}]", incomplete.join(" "))))
    }

    fn containers_ready(&self, phase: &str) -> Verdict {
        match phase {
            "Succeeded" => return Err(("PodCompleted", String::new())),
            "Failed" => return Err(("PodFailed", String::new())),
            _ => {}
        }
        let unready = self.names(|machine, index| {
            let planned = &machine.plan.containers[index];
            planned.role != Role::Init && !Self::is_ready(&machine.containers[index], planned)
        });
        if unready.is_empty() {
            return Ok(());
        }
        Err(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))))
    }

    fn names(&self, wanted: impl Fn(&Self, usize) -> bool) -> Vec<&str> {
        let chosen = (0..self.containers.len()).filter(|index| wanted(self, *index));
        chosen.map(|index| self.plan.containers[index].name.as_str()).collect()
    }
}

fn gates(pod: &Value, conditions: &[Value]) -> Verdict {
    let mut messages = Vec::new();
    for gate in list(&pod["spec"]["readinessGates"]) {
        let kind = text(gate, "conditionType");
        match conditions.iter().find(|condition| text(condition, "type") == kind) {
            None => messages.push(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist.")),
            Some(condition) if text(condition, "status") != "True" => messages.push(format!(
                "the status of pod readiness gate \"{kind}\" is not \"True\", but {}",
                text(condition, "status")
            )),
            Some(_) => {}
        }
    }
    if messages.is_empty() { Ok(()) } else { Err(("ReadinessGatesNotReady", messages.join(", "))) }
}

fn condition(
    kind: &str,
    verdict: &Verdict,
    phase: &str,
    old: Option<&Value>,
    generation: Option<&Value>,
    now: jiff::Timestamp,
) -> Value {
    let status = if verdict.is_ok() { "True" } else { "False" };
    let since = old.filter(|old| text(old, "status") == status).and_then(|old| old["lastTransitionTime"].as_str());
    let since = since.map_or_else(|| moment(now), str::to_owned);
    let mut told = json!({ "lastProbeTime": null, "lastTransitionTime": since });
    let mut reason = "";
    if let Err((why, message)) = verdict {
        reason = why;
        if !message.is_empty() {
            told["message"] = message.as_str().into();
        }
    }
    if kind == "Initialized" && phase == "Succeeded" {
        reason = "PodCompleted";
    }
    if let Some(generation) = generation {
        told["observedGeneration"] = generation.clone();
    }
    if !reason.is_empty() {
        told["reason"] = reason.into();
    }
    told["status"] = status.into();
    told["type"] = kind.into();
    told
}

//! A pod that an earlier life of the node has run.

use super::{Container, Ending, FoundImage, Machine, Plan, Role, Termination, UsedImage, Waiting};
use crate::read::{list, text, time};
use jiff::Timestamp;
use serde_json::Value;

impl Machine {
    /// Takes the pod up from its object. Whatever was running is gone, as after a reboot of the node: it ended with exit code
    /// 255, and starts again when the restart policy says so, without back-off and with its restart count going on.
    pub fn restore(plan: Plan, pod: &Value, now: Timestamp) -> Self {
        let status = &pod["status"];
        let mut machine = Self::new(plan, now);
        machine.start_time = time(&status["startTime"]).unwrap_or(now);
        machine.address = text(status, "podIP").parse().ok();
        for (container, planned) in machine.containers.iter_mut().zip(&machine.plan.containers) {
            let field = if planned.role == Role::Main { "containerStatuses" } else { "initContainerStatuses" };
            let told = list(&status[field]).iter().find(|told| text(told, "name") == planned.name);
            if let Some(told) = told {
                container.restore(told, &planned.image, now);
            }
        }
        if matches!(text(status, "phase"), "Failed" | "Succeeded") {
            let (reason, message) = (text(status, "reason").to_owned(), text(status, "message").to_owned());
            machine.ending = Some(Ending::Failed { reason, message });
        } else if !machine.has_finished() {
            // Init containers run again on new ground.
            for (container, planned) in machine.containers.iter_mut().zip(&machine.plan.containers) {
                container.restart_anyway = planned.role == Role::Init && container.exited.is_some();
            }
        }
        machine
    }
}

impl Container {
    fn restore(&mut self, told: &Value, image: &str, now: Timestamp) {
        self.restart_count = told["restartCount"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        let id = text(told, "containerID");
        if !id.is_empty() || self.restart_count > 0 {
            self.created = self.restart_count + 1;
            self.latest_id = Some(id.rsplit("//").next().unwrap_or_default().to_owned());
            let found = FoundImage { name: text(told, "image").to_owned(), id: text(told, "imageID").to_owned() };
            self.image = Some(UsedImage { asked: image.to_owned(), found });
        }
        self.last = termination(&told["lastState"]["terminated"]);
        let state = &told["state"];
        if state["terminated"].is_object() {
            self.exited = termination(&state["terminated"]);
        } else if state["running"].is_object() {
            self.exited = Some(Termination {
                exit_code: 255,
                signal: None,
                reason: "Unknown".into(),
                message: None,
                started_at: time(&state["running"]["startedAt"]).unwrap_or(now),
                finished_at: now,
                container_id: id.to_owned(),
            });
        } else if state["waiting"].is_object() {
            self.waiting = Some(Waiting {
                reason: text(&state["waiting"], "reason").to_owned(),
                message: state["waiting"]["message"].as_str().map(str::to_owned),
            })
            .filter(|waiting| !matches!(waiting.reason.as_str(), "ContainerCreating" | "PodInitializing"));
            if self.created > 0 {
                // It was waiting for its next instance: what the last state tells is its latest one.
                self.exited = self.last.take();
            }
        }
    }
}

fn termination(state: &Value) -> Option<Termination> {
    state.is_object().then(|| Termination {
        exit_code: state["exitCode"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(255),
        signal: state["signal"].as_i64().and_then(|signal| i32::try_from(signal).ok()),
        reason: text(state, "reason").to_owned(),
        message: state["message"].as_str().map(str::to_owned),
        started_at: time(&state["startedAt"]).unwrap_or(Timestamp::UNIX_EPOCH),
        finished_at: time(&state["finishedAt"]).unwrap_or(Timestamp::UNIX_EPOCH),
        container_id: text(state, "containerID").to_owned(),
    })
}

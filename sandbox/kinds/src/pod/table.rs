//! A pod's row in a table: what its containers do in one word.

use super::helpers::{condition, is_sidecar, is_terminating};
use crate::edit::{has, list, text};
use crate::shown::{self, AGE, NAME, column, or, wide};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    column("Ready", "Containers that are ready, of all."),
    column("Status", "What the containers do, in one word."),
    column("Restarts", "How often containers were restarted, and when last."),
    AGE,
    wide("IP", "Address of the pod."),
    wide("Node", "Node that runs the pod."),
    wide("Nominated Node", "Node that makes room for the pod."),
    wide("Readiness Gates", "Readiness gates that are open, of all."),
];

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match summary.last_restart.filter(|_| summary.restarts != 0) {
        Some(time) => {
            format!("{} ({} ago)", summary.restarts, shown::duration(now.as_second() - time.as_second()))
        }
        None => summary.restarts.to_string(),
    };
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let address = list(status, "podIPs").first().map_or("", |address| text(address, "ip"));
    vec![
        shown::name(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.word.into(),
        restarts.into(),
        shown::age(pod, now),
        or(address, "<none>").into(),
        or(text(spec, "nodeName"), "<none>").into(),
        or(text(status, "nominatedNodeName"), "<none>").into(),
        readiness_gates(pod).into(),
    ]
}

fn readiness_gates(pod: &Value) -> String {
    let gates = list(&pod["spec"], "readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let is_open = |gate: &&Value| condition(pod, text(gate, "conditionType")).is_some_and(|it| it["status"] == "True");
    format!("{}/{}", gates.iter().filter(is_open).count(), gates.len())
}

/// What a pod's containers come to.
struct Summary {
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
    word: String,
}

impl Summary {
    fn of(pod: &Value) -> Summary {
        let (spec, status) = (&pod["spec"], &pod["status"]);
        let initial = list(spec, "initContainers");
        let sidecars = initial.iter().filter(|container| is_sidecar(container)).count();
        let total = list(spec, "containers").len() + sidecars;
        let word = or(text(status, "reason"), text(status, "phase")).to_owned();
        let mut summary = Summary { ready: 0, total, restarts: 0, last_restart: None, word };
        if condition(pod, "PodScheduled").is_some_and(|it| it["reason"] == "SchedulingGated") {
            "SchedulingGated".clone_into(&mut summary.word);
        }
        let initializing = summary.look_at_init_containers(initial, list(status, "initContainerStatuses"));
        if !initializing || condition(pod, "Initialized").is_some_and(|it| it["status"] == "True") {
            summary.forget_initial_restarts(initial, list(status, "initContainerStatuses"));
            summary.look_at_containers(pod);
        }
        if is_terminating(pod) && text(status, "reason") == "NodeLost" {
            "Unknown".clone_into(&mut summary.word);
        } else if is_terminating(pod) && !matches!(text(status, "phase"), "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut summary.word);
        }
        summary
    }

    /// Whether one of them has not done its part yet; it then gives the word.
    fn look_at_init_containers(&mut self, specified: &[Value], statuses: &[Value]) -> bool {
        for (place, status) in statuses.iter().enumerate() {
            self.count_restarts(status);
            let (state, sidecar) = (&status["state"], is_specified_sidecar(specified, status));
            if state["terminated"]["exitCode"] == 0 {
                continue;
            }
            if sidecar && status["started"] == true {
                self.ready += usize::from(status["ready"] == true);
                continue;
            }
            let waiting = text(&state["waiting"], "reason");
            self.word = if has(state, "terminated") {
                format!("Init:{}", ending(&state["terminated"]))
            } else if !matches!(waiting, "" | "PodInitializing") {
                format!("Init:{waiting}")
            } else {
                format!("Init:{place}/{}", specified.len())
            };
            return true;
        }
        false
    }

    /// Once the pod is initialized only sidecars' restarts count.
    fn forget_initial_restarts(&mut self, specified: &[Value], statuses: &[Value]) {
        (self.restarts, self.last_restart) = (0, None);
        let reached = statuses.iter().position(|status| {
            status["state"]["terminated"]["exitCode"] != 0
                && !(is_specified_sidecar(specified, status) && status["started"] == true)
        });
        let seen = &statuses[..reached.map_or(statuses.len(), |place| place + 1)];
        seen.iter()
            .filter(|status| is_specified_sidecar(specified, status))
            .for_each(|status| self.count_restarts(status));
    }

    fn look_at_containers(&mut self, pod: &Value) {
        let mut running = false;
        for status in list(&pod["status"], "containerStatuses").iter().rev() {
            self.count_restarts(status);
            let state = &status["state"];
            let waiting = text(&state["waiting"], "reason");
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.word);
            } else if has(state, "terminated") {
                self.word = ending(&state["terminated"]);
            } else if status["ready"] == true && has(state, "running") {
                running = true;
                self.ready += 1;
            }
        }
        if self.word == "Completed" && running {
            let ready = condition(pod, "Ready").is_some_and(|it| it["status"] == "True");
            if ready { "Running" } else { "NotReady" }.clone_into(&mut self.word);
        }
    }

    fn count_restarts(&mut self, status: &Value) {
        self.restarts += status["restartCount"].as_i64().unwrap_or_default();
        let ended = text(&status["lastState"]["terminated"], "finishedAt");
        self.last_restart = self.last_restart.max(shown::read_time(ended));
    }
}

fn is_specified_sidecar(specified: &[Value], status: &Value) -> bool {
    specified.iter().any(|container| container["name"] == status["name"] && is_sidecar(container))
}

/// Why a container ended.
fn ending(terminated: &Value) -> String {
    let signal = terminated["signal"].as_i64().unwrap_or_default();
    match text(terminated, "reason") {
        "" if signal != 0 => format!("Signal:{signal}"),
        "" => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or_default()),
        reason => reason.to_owned(),
    }
}

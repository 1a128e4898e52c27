use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};

use super::subject;
use crate::scene::{Cause, ContainerRun, Scene, brief, newest_event};

/// So many equal ends are believed to go on like that. Fewer may be a container that waits for another one by crashing.
const ENOUGH: usize = 3;

/// The last end of a container that was no success.
pub(crate) struct Crash {
    pub message: String,
    pub run: ContainerRun,
}

/// A container that has ended, or ends again and again, though it should run.
pub(super) fn crashed(scene: &Scene, pod: &Pod, container: &ContainerStatus) -> Option<Cause> {
    let state = container.state.clone().unwrap_or_default();
    let last = container.last_state.clone().unwrap_or_default().terminated;
    let current = state.terminated;
    let is_current = current.is_some();
    let end = current.clone().or_else(|| last.clone())?;
    let is_init =
        pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten()).any(|it| it == container);
    let restarts_always =
        pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).is_none_or(|policy| policy == "Always");
    if end.exit_code == 0 && (is_init || !restarts_always) {
        return None;
    }
    let run = run(pod, container, is_current);
    let message = words(&end);
    let is_alive = state.running.is_some();
    let ends = container.restart_count + i32::from(!is_alive);
    let same = last.is_none_or(|last| current.is_none_or(|current| current.exit_code == last.exit_code));
    let lines = scene.logs.get(&run).map(Vec::as_slice).unwrap_or_default();
    let never_starts = cannot_start(&end) || lines.iter().any(|line| line.contains("exec format error"));
    // While a new attempt runs, or while the attempts differ, it may still come right.
    let enough = same && (never_starts || usize::try_from(ends).is_ok_and(|ends| ends >= ENOUGH));
    let (cause, hint) = advice(scene, pod, &end, lines);
    let mut crash = if enough && !is_alive {
        Cause::lasts(&subject(pod), cause, message, 2)
    } else {
        Cause::heals(&subject(pod), cause, message)
    };
    attach_log(scene, &mut crash, run);
    Some(crash.hint(hint))
}

/// The crashes of a Job whose pods are not restarted: each attempt is a pod of its own.
pub(crate) fn failed_attempts(scene: &Scene, subject: &str, attempts: i64) -> Option<Cause> {
    let failed: Vec<&Pod> = scene.pods.iter().filter(|pod| phase(pod) == Some("Failed")).collect();
    let codes: BTreeSet<i32> = failed.iter().filter_map(|pod| bad_end(pod)).map(|(_, _, end)| end.exit_code).collect();
    let is_alive = scene.pods.iter().any(|pod| matches!(phase(pod), Some("Running" | "Pending")));
    let crash = last_crash(scene).filter(|_| !failed.is_empty())?;
    let message = format!("{} in {} of {attempts} attempts", crash.message, failed.len());
    let enough = failed.len() >= ENOUGH && codes.len() == 1 && !is_alive;
    let mut cause =
        if enough { Cause::lasts(subject, "Error", message, 2) } else { Cause::heals(subject, "Error", message) };
    attach_log(scene, &mut cause, crash.run);
    Some(cause.hint("read the whole log: infra logs"))
}

/// The newest bad end of any of the pods.
pub(crate) fn last_crash(scene: &Scene) -> Option<Crash> {
    let mut ends: Vec<_> = scene.pods.iter().filter_map(bad_end).collect();
    ends.sort_by_key(|(_, _, end)| end.finished_at.as_ref().map(|time| time.0));
    let (pod, container, end) = ends.pop()?;
    let is_current = container.state.as_ref().is_some_and(|state| state.terminated.is_some());
    Some(Crash { message: words(end), run: run(pod, container, is_current) })
}

/// Puts a container's last lines into a cause, or asks for them.
pub(crate) fn attach_log(scene: &Scene, cause: &mut Cause, run: ContainerRun) {
    match scene.logs.get(&run) {
        Some(lines) => cause.blocker.log.clone_from(lines),
        None => cause.wants_log = Some(run),
    }
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

fn bad_end(pod: &Pod) -> Option<(&Pod, &ContainerStatus, &ContainerStateTerminated)> {
    let status = pod.status.as_ref()?;
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    containers.find_map(|container| {
        let current = container.state.as_ref().and_then(|state| state.terminated.as_ref());
        let end = current.or_else(|| container.last_state.as_ref().and_then(|state| state.terminated.as_ref()))?;
        (end.exit_code != 0).then_some((pod, container, end))
    })
}

fn run(pod: &Pod, container: &ContainerStatus, is_current: bool) -> ContainerRun {
    ContainerRun {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        container: container.name.clone(),
        previous: !is_current,
        restarts: container.restart_count,
    }
}

fn cannot_start(end: &ContainerStateTerminated) -> bool {
    let message = end.message.as_deref().unwrap_or_default();
    matches!(end.reason.as_deref(), Some("StartError" | "ContainerCannotRun"))
        || message.contains("unable to start container process")
        || message.contains("exec format error")
}

fn words(end: &ContainerStateTerminated) -> String {
    if cannot_start(end) {
        let message = end.message.as_deref().unwrap_or_default();
        let message = message.rsplit_once("unable to start container process: ").map_or(message, |(_, cause)| cause);
        return format!("cannot start: {}", brief(message.trim_end_matches(": unknown")));
    }
    match (end.exit_code, end.reason.as_deref()) {
        (_, Some("OOMKilled")) => "killed: it used more memory than its limit".into(),
        (0, _) => "ended with exit code 0, though it should go on".into(),
        (137, _) => "killed (exit code 137): too much memory, or it did not stop when asked to".into(),
        (code, _) => format!("ended with exit code {code}"),
    }
}

/// The cause in the field's words, and what a person can do.
fn advice(scene: &Scene, pod: &Pod, end: &ContainerStateTerminated, lines: &[String]) -> (&'static str, String) {
    let exec_format = lines.iter().any(|line| line.contains("exec format error"))
        || end.message.as_deref().is_some_and(|message| message.contains("exec format error"));
    if exec_format {
        return (
            "ExecFormatError",
            "the program is not for this machine's processor: build the image for the nodes' platform".into(),
        );
    }
    if cannot_start(end) {
        return ("StartError", "correct the command, or put the program into the image".into());
    }
    if end.reason.as_deref() == Some("OOMKilled") {
        return ("OOMKilled", "raise the memory limit, or use less".into());
    }
    let is_liveness = |event: &Event| {
        event.reason.as_deref() == Some("Unhealthy")
            && event.message.as_deref().is_some_and(|message| message.starts_with("Liveness"))
    };
    if let Some(probe) = newest_event(&scene.events, pod.metadata.uid.as_deref(), is_liveness) {
        return ("LivenessProbe", brief(probe.message.as_deref().unwrap_or_default().trim_end()));
    }
    ("CrashLoopBackOff", "read the whole log: infra logs".into())
}

//! What an event does to a pod's state.

use super::{
    Container, Counter, Ending, FoundImage, Ground, Happened, Life, Machine, ProbeKind, Running, StartFailure,
    Termination,
};
use super::{UsedImage, Waiting, after};
use jiff::Timestamp;

/// How long a failed start that is not about images waits for another try, in seconds.
const RETRY_SECONDS: i64 = 10;
/// How long `ErrImagePull` is shown before `ImagePullBackOff`, in seconds.
const PULL_ERROR_SHOWN_SECONDS: i64 = 1;
/// The longest wait between two tries to make a pod's volumes, in seconds.
const LONGEST_PREPARE_SECONDS: i64 = 122;

impl Machine {
    /// Takes in one event; late and doubled events change nothing.
    pub fn happened(&mut self, event: Happened, now: Timestamp) {
        match event {
            Happened::Prepared(address) => {
                if self.ground == Ground::Preparing {
                    self.ground = Ground::Ready(address);
                    self.address = Some(address);
                }
            }
            Happened::NotPrepared => self.not_prepared(now),
            Happened::Started { index, id, image, hook } => self.started(index, id, image, hook, now),
            Happened::Hook { index, id, failed } => self.hook_ended(index, &id, failed),
            Happened::NotStarted { index, failure, image } => self.not_started(index, failure, image, now),
            Happened::Exited { index, termination } => self.exited(index, termination),
            Happened::Probed { index, id, kind, success } => self.probed(index, &id, kind, success),
            Happened::Ends(ending) => self.ends(ending),
            Happened::Retry => {
                self.prepare_at = None;
                for container in &mut self.containers {
                    container.retry_at = None;
                }
            }
            Happened::Cleared => {
                if self.ground == Ground::Clearing {
                    self.ground = Ground::Cleared;
                }
            }
        }
    }

    fn not_prepared(&mut self, now: Timestamp) {
        if self.ground != Ground::Preparing {
            return;
        }
        self.ground = Ground::Absent;
        self.prepare_delay_seconds = (self.prepare_delay_seconds * 2).clamp(1, LONGEST_PREPARE_SECONDS);
        self.prepare_at = Some(after(now, self.prepare_delay_seconds));
    }

    fn started(&mut self, index: usize, id: String, image: FoundImage, hook: bool, now: Timestamp) {
        let planned = &self.plan.containers[index];
        let container = &mut self.containers[index];
        if container.life != Life::Starting {
            return;
        }
        let started = planned.probes[ProbeKind::Startup as usize].is_none();
        let ready = started && planned.probes[ProbeKind::Readiness as usize].is_none();
        container.begin_instance();
        container.waiting = None;
        container.latest_id = Some(id.clone());
        container.image = Some(UsedImage { asked: planned.image.clone(), found: image });
        container.life = Life::Running(Running { id, since: now, hook, started, ready, counters: Default::default() });
    }

    fn hook_ended(&mut self, index: usize, id: &str, failed: Option<String>) {
        let container = &mut self.containers[index];
        if let Life::Running(running) | Life::Stopping(running) = &mut container.life
            && running.id == id
        {
            running.hook = false;
            if let Some(message) = failed {
                container.waiting = Some(Waiting { reason: "PostStartHookError".into(), message: Some(message) });
            }
        }
    }

    fn not_started(&mut self, index: usize, failure: StartFailure, image: Option<FoundImage>, now: Timestamp) {
        let planned = &self.plan.containers[index];
        let container = &mut self.containers[index];
        if container.life != Life::Starting {
            return;
        }
        container.life = Life::Idle;
        // Only one that was made tells which image it has.
        if let (Some(found), StartFailure::Run(_)) = (image, &failure) {
            container.image = Some(UsedImage { asked: planned.image.clone(), found });
        }
        let (reason, message) = match failure {
            StartFailure::Image { reason: "ErrImagePull", message } => {
                container.image_not_pulled(&planned.image, &message, now);
                ("ErrImagePull", message)
            }
            StartFailure::Image { reason, message } => (reason, message),
            StartFailure::Config(message) => ("CreateContainerConfigError", message),
            StartFailure::Create(message) => ("CreateContainerError", message),
            StartFailure::Run(message) => {
                container.begin_instance();
                container.exited = Some(Termination {
                    exit_code: 128,
                    signal: None,
                    reason: "StartError".into(),
                    message: Some(message.clone()),
                    started_at: Timestamp::UNIX_EPOCH,
                    finished_at: now,
                    container_id: String::new(),
                });
                ("RunContainerError", message)
            }
        };
        if !matches!(reason, "ErrImagePull" | "RunContainerError") {
            container.retry_at = Some(after(now, RETRY_SECONDS));
        }
        container.waiting = Some(Waiting { reason: reason.into(), message: Some(message) });
        // One that is over waits for nothing: its exit is what there is to tell.
        if self.containers[index].exited.is_some() && !self.restarts(index) {
            self.containers[index].waiting = None;
        }
    }

    fn exited(&mut self, index: usize, termination: Termination) {
        let container = &mut self.containers[index];
        if container.running().is_some_and(|running| termination.container_id.ends_with(&running.id)) {
            container.life = Life::Idle;
            container.exited = Some(termination);
        }
    }

    fn probed(&mut self, index: usize, id: &str, kind: ProbeKind, success: bool) {
        let planned = &self.plan.containers[index];
        let Some(thresholds) = planned.probes[kind as usize] else { return };
        let has_readiness = planned.probes[ProbeKind::Readiness as usize].is_some();
        let (Life::Running(running) | Life::Stopping(running)) = &mut self.containers[index].life else { return };
        if running.id != id {
            return;
        }
        let counter = &mut running.counters[kind as usize];
        if counter.success != success {
            *counter = Counter { success, run: 0 };
        }
        counter.run += 1;
        let enough = counter.run >= if success { thresholds.success } else { thresholds.failure };
        match kind {
            ProbeKind::Startup if success && enough => {
                running.started = true;
                running.ready = !has_readiness;
            }
            ProbeKind::Readiness if enough => running.ready = success,
            ProbeKind::Startup | ProbeKind::Readiness | ProbeKind::Liveness => {}
        }
    }

    fn ends(&mut self, ending: Ending) {
        // What is over stays over; a deletion may come on top of every other end.
        if self.ending.is_none() || !matches!(ending, Ending::Failed { .. }) {
            self.ending = Some(ending);
        }
    }
}

impl Running {
    /// Whether a probe has failed often enough that the instance is to be ended.
    pub(super) fn has_failed(&self, kind: ProbeKind, failure: u32) -> bool {
        let counter = self.counters[kind as usize];
        !counter.success && counter.run >= failure
    }
}

impl Container {
    fn begin_instance(&mut self) {
        if let Some(before) = self.exited.take() {
            self.last = Some(before);
        }
        if self.created > 0 {
            self.restart_count += 1;
        }
        self.created += 1;
        self.restart_anyway = false;
        self.retry_at = None;
        self.then_waiting = None;
    }

    fn image_not_pulled(&mut self, image: &str, message: &str, now: Timestamp) {
        self.image_back_off.next(now, now);
        self.retry_at = Some(after(now, self.image_back_off.seconds()));
        let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {message}");
        let waiting = Waiting { reason: "ImagePullBackOff".into(), message: Some(message) };
        self.then_waiting = Some((after(now, PULL_ERROR_SHOWN_SECONDS), waiting));
    }
}

//! What to do next.

use super::{Action, Ending, Ground, Life, Machine, ProbeKind, RestartPolicy, Role, Waiting, after};
use jiff::Timestamp;

impl Machine {
    /// What is to be done now. What it returns counts as begun: asked again at once, it returns nothing.
    pub fn decide(&mut self, now: Timestamp) -> Vec<Action> {
        self.wake = None;
        let mut actions = Vec::new();
        if self.is_over() {
            return actions;
        }
        self.keep_deadline(now, &mut actions);
        if self.ending.is_some() || self.has_finished() {
            self.end(now, &mut actions);
            return actions;
        }
        match self.ground {
            Ground::Absent => match self.prepare_at {
                Some(at) if at > now => self.wake_by(at),
                _ => {
                    self.ground = Ground::Preparing;
                    actions.push(Action::Prepare);
                }
            },
            Ground::Preparing | Ground::Clearing | Ground::Cleared => {}
            Ground::Ready(_) => self.run(now, &mut actions),
        }
        actions
    }

    fn keep_deadline(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(seconds) = self.plan.active_deadline_seconds else { return };
        if self.ending.is_some() || self.has_finished() {
            return;
        }
        let due = after(self.start_time, seconds);
        if now < due {
            self.wake_by(due);
            return;
        }
        let message = "Pod was active on the node longer than the specified deadline".to_owned();
        self.ending = Some(Ending::Failed { reason: "DeadlineExceeded".into(), message });
        actions.push(Action::TellDeadline);
    }

    /// Whether the pod has come to its own end: every container is done, or an init container failed for good.
    pub fn has_finished(&self) -> bool {
        let for_good = |index: usize| self.containers[index].exited.is_some() && !self.restarts(index);
        let idle = |index: usize| self.containers[index].life == Life::Idle;
        let mut mains = 0;
        let mut done = 0;
        for (index, planned) in self.plan.containers.iter().enumerate() {
            match planned.role {
                Role::Init if for_good(index) && self.has_failed(index) && idle(index) => return true,
                Role::Main => {
                    mains += 1;
                    done += usize::from(for_good(index) && idle(index));
                }
                Role::Init | Role::Sidecar => {}
            }
        }
        mains == done
    }

    fn has_failed(&self, index: usize) -> bool {
        self.containers[index].exited.as_ref().is_some_and(|exited| exited.exit_code != 0)
    }

    /// Whether another instance follows the one that ended.
    pub(super) fn restarts(&self, index: usize) -> bool {
        let container = &self.containers[index];
        container.exited.is_some()
            && (container.restart_anyway
                || match self.plan.containers[index].restart {
                    RestartPolicy::Always => true,
                    RestartPolicy::OnFailure => self.has_failed(index),
                    RestartPolicy::Never => false,
                })
    }

    fn run(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        for index in 0..self.containers.len() {
            match self.plan.containers[index].role {
                Role::Init if self.initialized => {}
                Role::Init => {
                    let container = &self.containers[index];
                    let done = container.exited.is_some() && !self.restarts(index) && container.life == Life::Idle;
                    if !done {
                        self.want(index, now, actions);
                        return;
                    }
                }
                Role::Sidecar => {
                    self.want(index, now, actions);
                    let started = self.containers[index].running().is_some_and(|run| run.started && !run.hook);
                    if !self.initialized && !started {
                        return;
                    }
                }
                Role::Main => {
                    self.initialized = true;
                    self.want(index, now, actions);
                }
            }
        }
    }

    /// Container `index` should run: start it when that is due, end it when it is not well.
    fn want(&mut self, index: usize, now: Timestamp, actions: &mut Vec<Action>) {
        match self.containers[index].life {
            Life::Starting | Life::Stopping(_) => {}
            Life::Running(_) => self.look_after(index, actions),
            Life::Idle => self.start_when_due(index, now, actions),
        }
    }

    fn start_when_due(&mut self, index: usize, now: Timestamp, actions: &mut Vec<Action>) {
        if self.waits_for_retry(index, now, actions) || self.waits_for_back_off(index, now, actions) {
            return;
        }
        let container = &mut self.containers[index];
        container.life = Life::Starting;
        container.retry_at = None;
        container.then_waiting = None;
        actions.push(Action::Start { index, attempt: container.created });
    }

    fn waits_for_retry(&mut self, index: usize, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        let container = &mut self.containers[index];
        let Some(retry_at) = container.retry_at.filter(|at| *at > now) else { return false };
        let mut wake = retry_at;
        if let Some((at, waiting)) = container.then_waiting.take() {
            if at <= now {
                container.waiting = Some(waiting);
                actions.push(Action::TellBackOff { index, image: true });
            } else {
                wake = wake.min(at);
                container.then_waiting = Some((at, waiting));
            }
        }
        self.wake_by(wake);
        true
    }

    /// True also when there is nothing to start again.
    fn waits_for_back_off(&mut self, index: usize, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        let restarts = self.restarts(index);
        let container = &mut self.containers[index];
        let Some(exited) = &container.exited else { return false };
        if !restarts {
            container.waiting = None;
            return true;
        }
        let finished = exited.finished_at;
        if let Some(until) = container.back_off.until(finished).filter(|until| *until > now) {
            if container.waiting.as_ref().is_none_or(|waiting| waiting.reason != "CrashLoopBackOff") {
                let name = &self.plan.containers[index].name;
                let (text, title) = (container.back_off.text(), &self.plan.title);
                let message = format!("back-off {text} restarting failed container={name} pod={title}");
                container.waiting = Some(Waiting { reason: "CrashLoopBackOff".into(), message: Some(message) });
                actions.push(Action::TellBackOff { index, image: false });
            }
            self.wake_by(until);
            return true;
        }
        container.back_off.next(finished, now);
        false
    }

    fn look_after(&mut self, index: usize, actions: &mut Vec<Action>) {
        let planned = &self.plan.containers[index];
        let container = &mut self.containers[index];
        let Life::Running(running) = &container.life else { return };
        let failed = |kind: ProbeKind| {
            let thresholds = planned.probes[kind as usize]?;
            running.has_failed(kind, thresholds.failure).then_some(thresholds.grace_seconds)
        };
        let changed = container.image.as_ref().is_some_and(|image| image.asked != planned.image);
        let hook_failed = container.waiting.as_ref().is_some_and(|waiting| waiting.reason == "PostStartHookError");
        let (problem, grace, restart) = if changed {
            ("definition changed", None, true)
        } else if hook_failed {
            ("FailedPostStartHook", None, false)
        } else if let Some(grace) = failed(ProbeKind::Liveness).filter(|_| running.started) {
            ("failed liveness probe", grace, planned.restart != RestartPolicy::Never)
        } else if let Some(grace) = failed(ProbeKind::Startup).filter(|_| !running.started) {
            ("failed startup probe", grace, planned.restart != RestartPolicy::Never)
        } else {
            return;
        };
        let message = match (hook_failed, restart) {
            (true, _) => problem.to_owned(),
            (false, true) => format!("Container {} {problem}, will be restarted", planned.name),
            (false, false) => format!("Container {} {problem}", planned.name),
        };
        container.restart_anyway = restart;
        let (id, running) = (running.id.clone(), running.clone());
        container.life = Life::Stopping(running);
        let grace_seconds = grace.unwrap_or(self.plan.grace_seconds);
        actions.push(Action::Stop { index, id, grace_seconds, message: Some(message) });
    }
}

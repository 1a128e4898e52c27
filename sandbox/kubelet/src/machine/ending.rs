//! The pod's end: containers first, sidecars after them in reverse order, then what they stood on.

use super::{Action, Ending, Ground, Life, Machine, Role};
use jiff::Timestamp;

/// What a container gets at least, in seconds.
const LEAST_GRACE_SECONDS: i64 = 1;

impl Machine {
    /// One step towards the end.
    pub(super) fn end(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let grace = self.grace_seconds();
        let hurry = self.told_grace.is_some_and(|told| grace < told);
        self.told_grace = Some(grace);
        let since = *self.ending_since.get_or_insert(now);
        if self.stop_others(grace, hurry, actions) {
            return;
        }
        let left = (grace - (now.as_second() - since.as_second())).max(LEAST_GRACE_SECONDS.min(grace.max(1)));
        if self.stop_sidecars(left, hurry, actions) {
            return;
        }
        match self.ground {
            Ground::Absent => self.ground = Ground::Cleared,
            Ground::Ready(_) => {
                self.ground = Ground::Clearing;
                actions.push(Action::Clear);
            }
            // The answer decides.
            Ground::Preparing | Ground::Clearing | Ground::Cleared => {}
        }
    }

    fn grace_seconds(&self) -> i64 {
        match self.ending {
            Some(Ending::Deleted { grace_seconds } | Ending::NodeStops { grace_seconds }) => {
                grace_seconds.max(LEAST_GRACE_SECONDS)
            }
            Some(Ending::Gone) => LEAST_GRACE_SECONDS,
            Some(Ending::Failed { .. }) | None => self.plan.grace_seconds.max(LEAST_GRACE_SECONDS),
        }
    }

    /// Ends all but sidecars; whether some are still there.
    fn stop_others(&mut self, grace: i64, hurry: bool, actions: &mut Vec<Action>) -> bool {
        let mut left = false;
        for index in 0..self.containers.len() {
            if self.plan.containers[index].role != Role::Sidecar {
                left |= self.stop(index, grace, hurry, actions);
            }
        }
        left
    }

    /// Ends the last of the sidecars that run; whether some are still there.
    fn stop_sidecars(&mut self, grace: i64, hurry: bool, actions: &mut Vec<Action>) -> bool {
        let sidecars = (0..self.containers.len()).rev();
        for index in sidecars.filter(|index| self.plan.containers[*index].role == Role::Sidecar).collect::<Vec<_>>() {
            if self.stop(index, grace, hurry, actions) {
                return true;
            }
        }
        false
    }

    /// Ends one container; whether it is still there.
    fn stop(&mut self, index: usize, grace_seconds: i64, hurry: bool, actions: &mut Vec<Action>) -> bool {
        let message = format!("Stopping container {}", self.plan.containers[index].name);
        let container = &mut self.containers[index];
        match &container.life {
            Life::Idle => return false,
            // It will run soon, and is ended then.
            Life::Starting => {}
            Life::Running(running) => {
                let (id, running) = (running.id.clone(), running.clone());
                container.life = Life::Stopping(running);
                actions.push(Action::Stop { index, id, grace_seconds, message: Some(message) });
            }
            Life::Stopping(running) => {
                if hurry {
                    actions.push(Action::Stop { index, id: running.id.clone(), grace_seconds, message: None });
                }
            }
        }
        true
    }
}

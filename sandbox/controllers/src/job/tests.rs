//! Jobs as a game: pods end as they like, and the books must be right after any crash.

use super::backoff::Pauses;
use super::manage::manage;
use super::tally::{TRACKING, View};
use super::track::track;
use super::{Failures, is_finished};
use crate::action::Action;
use crate::meta::{condition, has_finalizer, is_deleting, remove_finalizer, uid};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

struct World {
    job: Value,
    pods: Vec<Arc<Value>>,
    made: usize,
    now: i64,
}

impl World {
    fn new(spec: Value) -> Self {
        let mut job = json!({"metadata": {"name": "j", "namespace": "a", "uid": "j"}, "spec": spec, "status": {}});
        job["spec"]["template"] = json!({"metadata": {"labels": {"job": "j"}}, "spec": {"containers": [{"name": "c"}], "restartPolicy": "Never"}});
        Self { job, pods: Vec::new(), made: 0, now: 0 }
    }

    fn decide(&self, decide: impl Fn(&View<'_>, &super::tally::Tally) -> Vec<Action>) -> Vec<Action> {
        let view = View { job: &self.job, pods: &self.pods, now: Timestamp::from_second(self.now).unwrap() };
        decide(&view, &view.tally(Failures::default()))
    }

    fn step(&mut self) {
        let pauses = Pauses { first: SignedDuration::ZERO, longest: SignedDuration::ZERO };
        for action in self.decide(|view, tally| manage(view, tally, pauses)) {
            self.act(action);
        }
        let actions = self.decide(track);
        self.act_all(actions, usize::MAX);
    }

    /// Does so many actions, then crashes.
    fn act_all(&mut self, actions: Vec<Action>, most: usize) {
        actions.into_iter().take(most).for_each(|action| self.act(action));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::CreatePods(pods) => pods.into_iter().for_each(|mut pod| {
                pod["metadata"]["uid"] = format!("p{}", self.made).into();
                pod["metadata"]["name"] = format!("p{}", self.made).into();
                pod["status"] = json!({"phase": "Running"});
                self.made += 1;
                self.pods.push(Arc::new(pod));
            }),
            Action::DeletePods(gone) => {
                for pod in gone {
                    self.edit(uid(&pod), |pod| pod["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z"));
                }
            }
            Action::Status(_, job) => self.job = job,
            Action::Release(ids, finalizer) => {
                for id in ids {
                    self.edit(&id.name, |pod| {
                        remove_finalizer(pod, finalizer);
                    });
                }
            }
            _ => {}
        }
        self.pods.retain(|pod| !is_deleting(pod) || has_finalizer(pod, TRACKING) || !kinds::pod::is_finished(pod));
    }

    fn edit(&mut self, uid_wanted: &str, edit: impl Fn(&mut Value)) {
        if let Some(pod) = self.pods.iter_mut().find(|pod| uid(pod) == uid_wanted) {
            edit(Arc::make_mut(pod));
        }
    }

    fn end_pod(&mut self, which: usize, phase: &str) -> bool {
        let running: Vec<String> =
            self.pods.iter().filter(|pod| !kinds::pod::is_finished(pod)).map(|pod| uid(pod).to_owned()).collect();
        let Some(uid) = running.get(which % running.len().max(1)) else { return false };
        self.edit(uid, |pod| pod["status"]["phase"] = phase.into());
        self.pods.retain(|pod| !is_deleting(pod) || has_finalizer(pod, TRACKING) || !kinds::pod::is_finished(pod));
        true
    }

    fn reason(&self, kind: &str) -> &str {
        condition(&self.job, kind).and_then(|condition| condition["reason"].as_str()).unwrap_or_default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_pod_is_counted_once_whatever_crashes(
        completions in 1_i64..8,
        parallelism in 1_i64..5,
        indexed in any::<bool>(),
        moves in prop::collection::vec((0_u8..5, 0_usize..8), 0..120),
    ) {
        let mode = if indexed { "Indexed" } else { "NonIndexed" };
        let mut world = World::new(json!({"completions": completions, "parallelism": parallelism, "completionMode": mode, "backoffLimit": 1000}));
        let (mut succeeded, mut failed) = (0_i64, 0_i64);
        let mut moves = moves.into_iter();
        for round in 0..400_u16 {
            let (kind, which) = moves.next().unwrap_or((if round % 2 == 0 { 0 } else { 4 }, 0));
            match kind {
                0 | 1 => world.step(),
                2 => failed += i64::from(world.end_pod(which, "Failed")),
                3 => {
                    let actions = world.decide(track);
                    world.act_all(actions, which);
                }
                _ => succeeded += i64::from(world.end_pod(which, "Succeeded")),
            }
            let active = world.pods.iter().filter(|pod| crate::pods::is_active(pod)).count();
            prop_assert!(active <= usize::try_from(parallelism).unwrap());
            if is_finished(&world.job) {
                break;
            }
        }
        prop_assert!(is_finished(&world.job), "{}", world.job);
        let counted = |field: &str| world.job["status"][field].as_i64().unwrap_or_default();
        prop_assert_eq!((counted("succeeded"), counted("failed")), (succeeded, failed));
        prop_assert_eq!(succeeded, completions);
        prop_assert!(world.pods.iter().all(|pod| !has_finalizer(pod, TRACKING)));
    }
}

#[test]
fn a_job_without_completions_ends_after_its_first_success_and_the_end_of_the_rest() {
    let mut world = World::new(json!({"parallelism": 2, "backoffLimit": 6}));
    world.step();
    world.end_pod(0, "Succeeded");
    (0..5).for_each(|_| world.step());
    assert!(!is_finished(&world.job));
    assert_eq!(world.made, 2);
    world.end_pod(0, "Succeeded");
    (0..5).for_each(|_| world.step());
    assert_eq!((world.reason("Complete"), &world.job["status"]["succeeded"]), ("CompletionsReached", &json!(2)));
}

#[test]
fn a_failed_job_waits_for_its_pods_to_end_before_it_says_so() {
    let mut world = World::new(json!({"completions": 2, "parallelism": 2, "backoffLimit": 0}));
    world.step();
    world.end_pod(0, "Failed");
    (0..5).for_each(|_| world.step());
    assert_eq!((world.reason("FailureTarget"), world.reason("Failed")), ("BackoffLimitExceeded", ""));
    assert_eq!(world.job["status"]["terminating"], 1);
    world.end_pod(0, "Failed");
    (0..5).for_each(|_| world.step());
    assert_eq!(world.reason("Failed"), "BackoffLimitExceeded");
    assert_eq!(world.job["status"]["failed"], 2);
}

#[test]
fn an_index_that_fails_too_often_fails_the_job_when_all_others_are_done() {
    let mut world =
        World::new(json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1}));
    world.step();
    world.end_pod(0, "Failed");
    (0..3).for_each(|_| world.step());
    assert_eq!(world.made, 3, "the index is tried again");
    world.end_pod(0, "Succeeded");
    world.end_pod(0, "Failed");
    (0..5).for_each(|_| world.step());
    assert_eq!(world.reason("Failed"), "FailedIndexes", "{}", world.job);
    assert_eq!(
        (&world.job["status"]["completedIndexes"], &world.job["status"]["failedIndexes"]),
        (&json!("1"), &json!("0"))
    );
}

#[test]
fn a_deadline_counts_from_the_start() {
    let mut world =
        World::new(json!({"completions": 1, "parallelism": 1, "backoffLimit": 6, "activeDeadlineSeconds": 20}));
    world.step();
    world.now = 19;
    world.step();
    assert_eq!(world.reason("FailureTarget"), "");
    world.now = 20;
    world.step();
    assert_eq!(world.reason("FailureTarget"), "DeadlineExceeded");
}

#[test]
fn a_deadline_that_passes_within_a_step_leaves_no_pod_running() {
    let mut world =
        World::new(json!({"completions": 1, "parallelism": 1, "backoffLimit": 6, "activeDeadlineSeconds": 20}));
    world.step();
    world.now = 20;
    let actions = world.decide(track);
    world.act_all(actions, usize::MAX);
    assert!(!is_finished(&world.job), "its pod runs");
    world.step();
    assert!(world.pods.iter().all(|pod| is_deleting(pod)));
    world.end_pod(0, "Failed");
    (0..3).for_each(|_| world.step());
    assert_eq!(world.reason("Failed"), "DeadlineExceeded");
}

#[test]
fn suspended_pods_go_without_counting_as_failed() {
    let mut world = World::new(json!({"completions": 2, "parallelism": 2, "backoffLimit": 0}));
    world.step();
    world.job["spec"]["suspend"] = true.into();
    (0..3).for_each(|_| world.step());
    assert_eq!(world.reason("Suspended"), "JobSuspended");
    assert_eq!(world.job["status"].get("failed"), None);
    assert!(world.pods.iter().all(|pod| is_deleting(pod)));
}

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
}

fn pod(policy: &str, init: &Value, containers: &Value) -> Value {
    json!({
        "metadata": { "name": "p", "namespace": "n", "uid": "u", "generation": 1 },
        "spec": { "restartPolicy": policy, "terminationGracePeriodSeconds": 30,
                  "initContainers": init, "containers": containers },
        "status": { "phase": "Pending", "qosClass": "BestEffort",
                    "conditions": [{ "type": "PodScheduled", "status": "True" }] },
    })
}

fn found() -> FoundImage {
    FoundImage { name: "docker.io/library/i:latest".into(), id: "sha".into() }
}

fn simple(policy: &str) -> Value {
    pod(policy, &json!([]), &json!([{ "name": "c", "image": "i" }]))
}

/// A machine with its pod and a clock, driven as the worker drives it.
struct Drive {
    machine: Machine,
    pod: Value,
    now: i64,
    instances: u32,
}

impl Drive {
    fn new(pod: Value) -> Self {
        Self { machine: Machine::new(Plan::read(&pod), at(0)), pod, now: 0, instances: 0 }
    }

    fn decide(&mut self) -> Vec<Action> {
        let actions = self.machine.decide(at(self.now));
        self.pod["status"] = self.machine.status(&self.pod, "10.244.0.1", at(self.now));
        actions
    }

    fn tell(&mut self, event: Happened) -> Vec<Action> {
        self.machine.happened(event, at(self.now));
        self.decide()
    }

    fn prepared(&mut self) -> Vec<Action> {
        assert_eq!(self.decide(), [Action::Prepare]);
        self.tell(Happened::Prepared([10, 244, 0, 9].into()))
    }

    fn started(&mut self, index: usize) -> Vec<Action> {
        self.instances += 1;
        let id = format!("{index}-{}", self.instances);
        self.tell(Happened::Started { index, id, image: found(), hook: false })
    }

    fn exited(&mut self, index: usize, exit_code: i32) -> Vec<Action> {
        let running = self.machine.containers[index].running().expect("it runs");
        let termination = Termination {
            exit_code,
            signal: None,
            reason: if exit_code == 0 { "Completed" } else { "Error" }.into(),
            message: None,
            started_at: running.since,
            finished_at: at(self.now),
            container_id: format!("sandbox://{}", running.id),
        };
        self.tell(Happened::Exited { index, termination })
    }

    fn probed(&mut self, index: usize, kind: ProbeKind, success: bool) -> Vec<Action> {
        let id = self.machine.containers[index].running().expect("it runs").id.clone();
        self.tell(Happened::Probed { index, id, kind, success })
    }

    fn phase(&self) -> &str {
        self.pod["status"]["phase"].as_str().expect("a phase")
    }

    fn state(&self, index: usize) -> &Value {
        &self.pod["status"]["containerStatuses"][index]
    }

    fn condition(&self, kind: &str) -> (&str, &str) {
        let all = self.pod["status"]["conditions"].as_array().expect("conditions");
        let found = all.iter().find(|condition| condition["type"] == kind).expect("the condition");
        (found["status"].as_str().expect("a status"), found["reason"].as_str().unwrap_or_default())
    }
}

fn start(index: usize, attempt: u32) -> Action {
    Action::Start { index, attempt }
}

#[test]
fn a_pod_prepares_starts_runs_and_completes() {
    let mut drive = Drive::new(simple("Never"));
    assert_eq!(drive.prepared(), [start(0, 0)]);
    assert_eq!(drive.phase(), "Pending");
    assert_eq!(drive.state(0)["state"]["waiting"]["reason"], "ContainerCreating");
    assert_eq!(drive.condition("PodReadyToStartContainers"), ("True", ""));
    assert_eq!(drive.condition("Ready"), ("False", "ContainersNotReady"));
    assert_eq!(drive.started(0), []);
    assert_eq!(drive.phase(), "Running");
    assert_eq!(drive.condition("Ready"), ("True", ""));
    assert_eq!(drive.exited(0, 0), [Action::Clear]);
    assert_eq!(drive.phase(), "Succeeded");
    assert_eq!(drive.condition("Ready"), ("False", "PodCompleted"));
    assert_eq!(drive.condition("Initialized"), ("True", "PodCompleted"));
    assert_eq!(drive.tell(Happened::Cleared), []);
    assert!(drive.machine.is_over());
    assert_eq!(drive.condition("PodScheduled"), ("True", ""), "the scheduler's word stays");
}

#[test]
fn restarts_come_at_once_then_after_10_20_40_seconds_up_to_5_minutes() {
    let mut drive = Drive::new(simple("Always"));
    drive.prepared();
    drive.started(0);
    assert_eq!(drive.exited(0, 1), [start(0, 1)], "the first restart does not wait");
    let mut delays = Vec::new();
    for attempt in 2..9 {
        drive.started(0);
        assert_eq!(drive.state(0)["restartCount"], attempt - 1);
        assert_eq!(drive.exited(0, 1), [Action::TellBackOff { index: 0, image: false }]);
        let wake = drive.machine.wake_at().expect("it waits").as_second() - at(drive.now).as_second();
        delays.push(wake);
        assert_eq!(drive.state(0)["state"]["waiting"]["reason"], "CrashLoopBackOff");
        assert_eq!(drive.state(0)["lastState"]["terminated"]["exitCode"], 1);
        assert_eq!(drive.phase(), "Running");
        drive.now += wake;
        assert_eq!(drive.decide(), [start(0, attempt)]);
    }
    assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
    drive.started(0);
    drive.now += 601;
    drive.exited(0, 1);
    assert_eq!(drive.machine.containers[0].life, Life::Starting, "ten quiet minutes begin anew");
}

#[test]
fn the_back_off_message_is_the_kubelets() {
    let mut drive = Drive::new(simple("OnFailure"));
    drive.prepared();
    drive.started(0);
    drive.exited(0, 3);
    drive.started(0);
    drive.exited(0, 3);
    let message = "back-off 10s restarting failed container=c pod=p_n(u)";
    assert_eq!(drive.state(0)["state"]["waiting"]["message"], message);
}

#[test]
fn failed_pods_keep_their_exit_and_are_not_restarted() {
    let mut drive = Drive::new(simple("Never"));
    drive.prepared();
    drive.started(0);
    assert_eq!(drive.exited(0, 7), [Action::Clear]);
    assert_eq!(drive.phase(), "Failed");
    assert_eq!(drive.state(0)["state"]["terminated"]["exitCode"], 7);
    assert_eq!(drive.condition("Ready"), ("False", "PodFailed"));
}

#[test]
fn init_containers_run_one_by_one_and_sidecars_stay() {
    let init = json!([
        { "name": "a", "image": "i" },
        { "name": "s", "image": "i", "restartPolicy": "Always" },
        { "name": "b", "image": "i" },
    ]);
    let mut drive = Drive::new(pod("Never", &init, &json!([{ "name": "c", "image": "i" }])));
    assert_eq!(drive.prepared(), [start(0, 0)]);
    assert_eq!(drive.condition("Initialized"), ("False", "ContainersNotInitialized"));
    drive.started(0);
    assert_eq!(drive.exited(0, 0), [start(1, 0)]);
    assert_eq!(drive.started(1), [start(2, 0)]);
    drive.started(2);
    assert_eq!(drive.exited(2, 0), [start(3, 0)]);
    drive.started(3);
    assert_eq!(drive.condition("Initialized"), ("True", ""));
    assert_eq!(drive.phase(), "Running");
    assert_eq!(drive.exited(1, 1), [start(1, 1)], "a sidecar is restarted even where nothing else is");
    drive.started(1);
    let stopping = drive.exited(3, 0);
    assert!(matches!(&stopping[..], [Action::Stop { index: 1, .. }]), "{stopping:?}");
    assert_eq!(drive.phase(), "Running", "until the sidecar has ended");
    assert_eq!(drive.exited(1, 143), [Action::Clear]);
    assert_eq!(drive.phase(), "Succeeded", "a sidecar's exit code does not count");
}

#[test]
fn an_init_container_that_fails_for_good_fails_the_pod() {
    let init = json!([{ "name": "a", "image": "i" }]);
    let mut drive = Drive::new(pod("Never", &init, &json!([{ "name": "c", "image": "i" }])));
    drive.prepared();
    drive.started(0);
    assert_eq!(drive.exited(0, 1), [Action::Clear]);
    assert_eq!(drive.phase(), "Failed");
    assert_eq!(drive.state(0)["state"]["waiting"]["reason"], "PodInitializing");
}

#[test]
fn probes_hold_readiness_back_and_restart() {
    let probe = |failure: u32| json!({ "httpGet": {}, "failureThreshold": failure });
    let container = json!([{ "name": "c", "image": "i",
        "startupProbe": probe(3), "readinessProbe": probe(2), "livenessProbe": probe(2) }]);
    let mut drive = Drive::new(pod("Always", &json!([]), &container));
    drive.prepared();
    drive.started(0);
    let kinds = |drive: &Drive| drive.machine.wanted_probes().iter().map(|probe| probe.2).collect::<Vec<_>>();
    assert_eq!(kinds(&drive), [ProbeKind::Startup]);
    assert_eq!(drive.state(0)["started"], false);
    drive.probed(0, ProbeKind::Startup, true);
    assert_eq!(kinds(&drive), [ProbeKind::Readiness, ProbeKind::Liveness]);
    assert_eq!((&drive.state(0)["started"], &drive.state(0)["ready"]), (&true.into(), &false.into()));
    drive.probed(0, ProbeKind::Readiness, true);
    assert_eq!(drive.condition("Ready"), ("True", ""));
    drive.probed(0, ProbeKind::Readiness, false);
    assert_eq!(drive.condition("Ready"), ("True", ""), "one failure is not enough");
    drive.probed(0, ProbeKind::Readiness, false);
    assert_eq!(drive.condition("Ready"), ("False", "ContainersNotReady"));
    assert_eq!(drive.probed(0, ProbeKind::Liveness, false), []);
    let actions = drive.probed(0, ProbeKind::Liveness, false);
    let Action::Stop { message, grace_seconds, .. } = &actions[0] else { panic!("{actions:?}") };
    assert_eq!(message.as_deref(), Some("Container c failed liveness probe, will be restarted"));
    assert_eq!(*grace_seconds, 30);
    assert_eq!(drive.exited(0, 0), [start(0, 1)]);
}

#[test]
fn a_pull_error_turns_into_back_off_and_is_tried_again() {
    let mut drive = Drive::new(simple("Always"));
    drive.prepared();
    let failure = || StartFailure::Image { reason: "ErrImagePull", message: "gone".into() };
    drive.tell(Happened::NotStarted { index: 0, failure: failure(), image: None });
    assert_eq!(drive.state(0)["state"]["waiting"], json!({ "reason": "ErrImagePull", "message": "gone" }));
    drive.now += 1;
    assert_eq!(drive.decide(), [Action::TellBackOff { index: 0, image: true }]);
    let waiting = &drive.state(0)["state"]["waiting"];
    assert_eq!(waiting["reason"], "ImagePullBackOff");
    assert_eq!(waiting["message"], "Back-off pulling image \"i\": ErrImagePull: gone");
    drive.now += 9;
    assert_eq!(drive.decide(), [start(0, 0)]);
    drive.tell(Happened::NotStarted { index: 0, failure: failure(), image: None });
    drive.now += 10;
    drive.decide();
    assert_eq!(drive.machine.containers[0].life, Life::Idle, "twenty seconds this time");
    assert_eq!(drive.tell(Happened::Retry), [start(0, 0)], "unless there is a reason to try now");
    drive.started(0);
    assert_eq!(drive.state(0)["restartCount"], 0);
}

#[test]
fn what_has_ended_for_good_has_no_last_state() {
    let mut drive = Drive::new(simple("OnFailure"));
    drive.prepared();
    drive.started(0);
    drive.exited(0, 1);
    drive.started(0);
    assert_eq!(drive.state(0)["lastState"]["terminated"]["exitCode"], 1);
    drive.exited(0, 0);
    assert_eq!(drive.state(0)["state"]["terminated"]["exitCode"], 0);
    assert_eq!(drive.state(0)["lastState"], json!({}));
}

#[test]
fn a_program_that_cannot_be_started_counts_as_an_instance() {
    let mut drive = Drive::new(simple("Never"));
    drive.prepared();
    let failure = StartFailure::Run("exec: no such file".into());
    let actions = drive.tell(Happened::NotStarted { index: 0, failure, image: Some(found()) });
    assert_eq!(actions, [Action::Clear]);
    assert_eq!(drive.phase(), "Failed");
    assert_eq!(drive.state(0)["state"]["terminated"]["reason"], "StartError");
    assert_eq!(drive.state(0)["imageID"], "sha");
    assert_eq!(drive.state(0)["image"], "docker.io/library/i:latest");
}

#[test]
fn a_deleted_pod_gets_its_grace_and_a_second_deletion_hurries() {
    let mut drive = Drive::new(simple("Always"));
    drive.prepared();
    drive.started(0);
    let actions = drive.tell(Happened::Ends(Ending::Deleted { grace_seconds: 30 }));
    assert!(matches!(&actions[..], [Action::Stop { grace_seconds: 30, message: Some(text), .. }]
        if text == "Stopping container c"));
    assert_eq!(drive.decide(), []);
    let actions = drive.tell(Happened::Ends(Ending::Deleted { grace_seconds: 2 }));
    assert!(matches!(&actions[..], [Action::Stop { grace_seconds: 2, message: None, .. }]));
    assert_eq!(drive.exited(0, 143), [Action::Clear]);
    drive.tell(Happened::Cleared);
    assert_eq!(drive.phase(), "Failed");
}

#[test]
fn a_deadline_ends_the_pod_with_its_reason() {
    let mut pod = simple("Always");
    pod["spec"]["activeDeadlineSeconds"] = 5.into();
    let mut drive = Drive::new(pod);
    drive.prepared();
    drive.started(0);
    assert_eq!(drive.machine.wake_at(), Some(at(5)));
    drive.now = 5;
    let actions = drive.decide();
    assert!(matches!(&actions[..], [Action::TellDeadline, Action::Stop { .. }]));
    drive.exited(0, 0);
    assert_eq!(drive.phase(), "Failed", "although its container succeeded in the end");
    drive.tell(Happened::Cleared);
    assert_eq!(drive.phase(), "Failed");
    assert_eq!(drive.pod["status"]["reason"], "DeadlineExceeded");
}

#[test]
fn after_a_restart_of_the_node_counts_go_on_and_policies_hold() {
    let mut drive = Drive::new(simple("Always"));
    drive.prepared();
    drive.started(0);
    drive.exited(0, 1);
    drive.started(0);
    for (policy, phase) in [("Always", "Running"), ("OnFailure", "Running"), ("Never", "Failed")] {
        let mut pod = drive.pod.clone();
        pod["spec"]["restartPolicy"] = policy.into();
        let machine = Machine::restore(Plan::read(&pod), &pod, at(100));
        let mut again = Drive { machine, pod, now: 100, instances: 9 };
        if policy == "Never" {
            again.decide();
            assert_eq!(again.state(0)["state"]["terminated"]["reason"], "Unknown");
        } else {
            assert_eq!(again.prepared(), [start(0, 2)], "no back-off after a restart of the node");
            again.started(0);
            assert_eq!(again.state(0)["restartCount"], 2);
            assert_eq!(again.state(0)["lastState"]["terminated"]["exitCode"], 255);
        }
        assert_eq!(again.phase(), phase);
    }
}

/// What may come at any time, sensible or not.
#[derive(Clone, Debug)]
enum Step {
    Prepared(bool),
    Started(usize),
    NotStarted(usize, u8),
    Exited(usize, i32),
    Probed(usize, u8, bool),
    Ends(u8),
    Retry,
    Cleared,
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..4_usize;
    prop_oneof![
        3 => any::<bool>().prop_map(Step::Prepared),
        6 => index.clone().prop_map(Step::Started),
        1 => (index.clone(), 0..4_u8).prop_map(|(index, kind)| Step::NotStarted(index, kind)),
        4 => (index.clone(), 0..3_i32).prop_map(|(index, code)| Step::Exited(index, code)),
        4 => (index, 0..3_u8, any::<bool>()).prop_map(|(index, kind, good)| Step::Probed(index, kind, good)),
        1 => (0..3_u8).prop_map(Step::Ends),
        1 => Just(Step::Retry),
        1 => Just(Step::Cleared),
        3 => (1..400_i64).prop_map(Step::Wait),
    ]
}

fn take(drive: &mut Drive, step: &Step) {
    let event = match *step {
        Step::Prepared(true) => Happened::Prepared([10, 244, 0, 9].into()),
        Step::Prepared(false) => Happened::NotPrepared,
        Step::Started(index) => return drop(drive.started(index)),
        Step::NotStarted(index, kind) => {
            let text = "x".to_owned();
            let failure = match kind {
                0 => StartFailure::Image { reason: "ErrImagePull", message: text },
                1 => StartFailure::Config(text),
                2 => StartFailure::Create(text),
                _ => StartFailure::Run(text),
            };
            Happened::NotStarted { index, failure, image: None }
        }
        Step::Exited(index, code) => {
            if drive.machine.containers[index].running().is_some() {
                drive.exited(index, code);
            }
            return;
        }
        Step::Probed(index, kind, success) => {
            let kind = ProbeKind::ALL[usize::from(kind)];
            if drive.machine.containers[index].running().is_some() {
                drive.probed(index, kind, success);
            }
            return;
        }
        Step::Ends(0) => Happened::Ends(Ending::Deleted { grace_seconds: 5 }),
        Step::Ends(1) => Happened::Ends(Ending::Gone),
        Step::Ends(_) => Happened::Ends(Ending::Failed { reason: "Evicted".into(), message: "m".into() }),
        Step::Retry => Happened::Retry,
        Step::Cleared => Happened::Cleared,
        Step::Wait(seconds) => {
            drive.now += seconds;
            drive.decide();
            return;
        }
    };
    drive.tell(event);
}

fn phase_rank(phase: &str) -> u8 {
    ["Pending", "Running", "Succeeded", "Failed"]
        .iter()
        .zip(0..)
        .find(|(known, _)| **known == phase)
        .map_or(9, |(_, rank)| rank)
}

fn counts(drive: &Drive) -> Vec<u64> {
    let status = &drive.pod["status"];
    let all = ["initContainerStatuses", "containerStatuses"].map(|field| crate::read::list(&status[field]).to_vec());
    all.concat().iter().map(|container| container["restartCount"].as_u64().expect("a count")).collect()
}

fn check_legal(drive: &Drive) {
    let status = &drive.pod["status"];
    for field in ["initContainerStatuses", "containerStatuses"] {
        for container in crate::read::list(&status[field]) {
            let state = container["state"].as_object().expect("a state");
            assert_eq!(state.len(), 1, "exactly one state: {container}");
            assert!(
                container["ready"] != true || container["state"]["waiting"].is_null(),
                "ready and waiting: {container}"
            );
        }
    }
    let ready = drive.condition("Ready").0 == "True";
    assert!(!ready || drive.phase() == "Running", "ready pods run: {status}");
    assert!(phase_rank(drive.phase()) < 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_order_of_events_gives_a_legal_status(
        policy in prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")],
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let probes = json!({ "httpGet": {}, "failureThreshold": 2 });
        let init = json!([{ "name": "a", "image": "i" }, { "name": "s", "image": "i", "restartPolicy": "Always" }]);
        let main = json!([
            { "name": "c", "image": "i", "livenessProbe": probes, "readinessProbe": probes },
            { "name": "d", "image": "i", "startupProbe": probes },
        ]);
        let mut drive = Drive::new(pod(policy, &init, &main));
        drive.decide();
        for each in &steps {
            let (phase, before) = (drive.phase().to_owned(), counts(&drive));
            take(&mut drive, each);
            check_legal(&drive);
            prop_assert!(drive.decide().is_empty(), "what was decided counts as begun");
            for (old, new) in before.iter().zip(counts(&drive)) {
                prop_assert!(*old <= new, "restart counts never fall");
            }
            if phase_rank(&phase) >= 2 {
                prop_assert_eq!(drive.phase(), phase, "a final phase stays");
            }
        }
        let restored = Machine::restore(Plan::read(&drive.pod), &drive.pod, at(drive.now));
        let counts_before = counts(&drive);
        let mut again = Drive { machine: restored, pod: drive.pod.clone(), now: drive.now, instances: 99 };
        again.decide();
        check_legal(&again);
        prop_assert_eq!(counts(&again), counts_before, "a restart of the node loses no count");
    }
}

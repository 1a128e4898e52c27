//! Verdicts on scenes recorded from a real cluster.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::scene::{Surroundings, typed};

fn scene(recorded: &Value) -> Scene {
    let list = |name: &str| recorded[name].as_array().cloned().unwrap_or_default();
    Scene {
        object: recorded.get("object").cloned(),
        pods: typed(list("pods")),
        events: typed(list("events")),
        surroundings: Some(Surroundings {
            nodes: typed(list("nodes")),
            claims: typed(list("claims")),
            quotas: Vec::new(),
            neighbours: typed(list("pods")),
        }),
        ..Scene::default()
    }
}

fn recorded(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).expect("a recorded scene")
}

/// A verdict in a few lines.
fn text(verdict: &Verdict) -> String {
    let mut text = String::new();
    let (head, causes) = match verdict {
        Verdict::Ready(detail) => (format!("ready: {detail}"), &[][..]),
        Verdict::Waiting(progress, causes) => (format!("waiting: {progress}"), causes.as_slice()),
        Verdict::Failed(causes) => ("failed".to_owned(), causes.as_slice()),
    };
    writeln!(text, "{head}").expect("text takes everything");
    for cause in causes {
        let patience =
            cause.patience.map_or("heals".to_owned(), |patience| format!("ends the wait after {patience:?}"));
        let blocker = &cause.blocker;
        writeln!(text, "    {}: {}: {}", blocker.subject, blocker.cause, blocker.message)
            .expect("text takes everything");
        writeln!(text, "        {patience}; hint: {}", blocker.hint.as_deref().unwrap_or("-"))
            .expect("text takes everything");
        if let Some(run) = &cause.wants_log {
            writeln!(text, "        log of {}/{}, previous: {}", run.pod, run.container, run.previous)
                .expect("text takes everything");
        }
    }
    text
}

#[test]
fn recorded_scenes_are_judged_and_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let entries = std::fs::read_dir(&folder).expect("the folder of recorded scenes");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    let mut all = String::new();
    for name in names {
        let verdict = judge(&scene(&recorded(&name)));
        write!(all, "{}: {}", name.trim_end_matches(".json"), text(&verdict)).expect("text takes everything");
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_crash_that_is_followed_by_a_running_attempt_may_heal() {
    let mut crashed = recorded("deployment-crash.json");
    let status = &mut crashed["pods"][0]["status"]["containerStatuses"][0];
    status["state"] = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    let Verdict::Waiting(_, causes) = judge(&scene(&crashed)) else { panic!("it is not ready") };
    assert!(causes[0].blocker.heals && causes[0].patience.is_none(), "{causes:?}");
}

#[test]
fn two_crashes_may_heal_and_three_equal_ones_do_not() {
    let mut crashed = recorded("deployment-crash.json");
    for (restarts, heals) in [(0, true), (1, true), (2, false)] {
        let status = &mut crashed["pods"][0]["status"]["containerStatuses"][0];
        status["restartCount"] = restarts.into();
        let Verdict::Waiting(_, causes) = judge(&scene(&crashed)) else { panic!("it is not ready") };
        assert_eq!(causes[0].blocker.heals, heals, "after {restarts} restarts");
    }
}

#[test]
fn the_log_of_a_crashed_container_is_shown_and_tells_a_wrong_processor() {
    let mut seen = scene(&recorded("deployment-crash.json"));
    let Verdict::Waiting(_, causes) = judge(&seen) else { panic!("it is not ready") };
    let run = causes[0].wants_log.clone().expect("its log is wanted");
    seen.logs.insert(run, vec!["exec /server: exec format error".into()]);
    let Verdict::Waiting(_, causes) = judge(&seen) else { panic!("it is not ready") };
    assert_eq!((causes[0].blocker.cause.as_str(), causes[0].wants_log.as_ref()), ("ExecFormatError", None));
    assert_eq!(causes[0].blocker.log, ["exec /server: exec format error"]);
}

#[test]
fn a_pod_too_large_for_every_node_heals_while_a_node_is_not_ready() {
    let mut large = recorded("deployment-bigcpu.json");
    for condition in large["nodes"][0]["status"]["conditions"].as_array_mut().expect("conditions") {
        condition["status"] = "False".into();
    }
    let Verdict::Waiting(_, causes) = judge(&scene(&large)) else { panic!("it is not ready") };
    assert!(causes[0].blocker.heals);
}

#[test]
fn a_quota_heals_while_a_job_s_pod_will_free_it() {
    let quota = recorded("job-job-quota.json");
    let mut seen = scene(&quota);
    let running = json!({"metadata": {"name": "a", "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "other", "uid": "u"}]},
        "status": {"phase": "Running"}});
    seen.surroundings.as_mut().expect("surroundings").neighbours = typed(vec![running]);
    let Verdict::Waiting(_, causes) = judge(&seen) else { panic!("it is not ready") };
    assert!(causes[0].blocker.heals);
}

#[test]
fn a_quota_that_is_free_again_is_waited_for() {
    let mut seen = scene(&recorded("job-job-quota.json"));
    let quota =
        |used: &str| json!({"metadata": {"name": "small"}, "status": {"hard": {"pods": "2"}, "used": {"pods": used}}});
    for (used, heals) in [("2", false), ("1", true)] {
        seen.surroundings.as_mut().expect("surroundings").quotas = typed(vec![quota(used)]);
        let Verdict::Waiting(_, causes) = judge(&seen) else { panic!("it is not ready") };
        assert_eq!(causes[0].blocker.heals, heals, "with {used} of 2 used");
    }
}

#[test]
fn the_default_account_of_a_new_namespace_is_waited_for() {
    let mut early = recorded("job-job-noaccount.json");
    for event in early["events"].as_array_mut().expect("events") {
        let text = event["message"].as_str().expect("a message").replace("absent", "default");
        event["message"] = text.into();
    }
    let Verdict::Waiting(_, causes) = judge(&scene(&early)) else { panic!("it is not ready") };
    assert!(causes[0].blocker.heals, "{causes:?}");
}

#[test]
fn a_rollout_is_judged_by_its_new_pods_only() {
    let mut old = recorded("deployment-crash.json")["pods"][0].clone();
    old["metadata"]["labels"]["pod-template-hash"] = "old".into();
    old["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z".into();
    let mut rollout = recorded("deployment-ok.json");
    rollout["object"]["metadata"]["generation"] = 2.into();
    rollout["pods"].as_array_mut().expect("pods").push(old);
    let verdict = judge(&scene(&rollout));
    assert_eq!(verdict, Verdict::Waiting("1 of 1 available".into(), Vec::new()));
}

#[test]
fn an_object_that_is_gone_is_said_to_be() {
    let Verdict::Waiting(_, causes) = judge(&Scene::default()) else { panic!("it is not ready") };
    assert_eq!(causes[0].blocker.cause, "NotFound");
}

#[test]
fn a_container_without_a_probe_is_ready_when_it_has_run_for_a_moment() {
    let ok = recorded("deployment-ok.json");
    let started: jiff::Timestamp = ok["pods"][0]["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    let at = |seconds: i64| {
        let now = started.checked_add(jiff::SignedDuration::from_secs(seconds)).expect("a time");
        judge(&Scene { now, ..scene(&ok) })
    };
    assert_eq!(at(1), Verdict::Waiting("1 of 1 available, for a moment".into(), Vec::new()));
    assert_eq!(at(2), Verdict::Ready("1 of 1 available".into()));
}

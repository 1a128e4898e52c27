//! The scenario in which several workers learn at once, and its variables.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::machine::{Machine, alone_with, get};

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/mnist-distributed");
const ADDRESS: &str = "http://127.0.0.1:8081";
/// So many epochs that a trainer is met in the middle.
const MANY: &str = "epochs=20";

/// What the server says of its model, once it is one of so many workers.
fn model(workers: u64, since: Instant) -> Result<Value, Failed> {
    let answer: Value = serde_json::from_str(&get(&format!("{ADDRESS}/model"))?)?;
    if answer["metrics"]["workers"] == workers {
        return Ok(answer);
    }
    if since.elapsed() > Duration::from_secs(10) {
        return Err(format!("no model of {workers} workers: {answer}").into());
    }
    thread::sleep(Duration::from_millis(100));
    model(workers, since)
}

/// Kills the process of a trainer that is at work.
fn kill_a_trainer(machine: &Machine) {
    let since = Instant::now();
    loop {
        let logs = machine.infra(&["logs", "mnist-distributed", "--workload", "train"]).text;
        if logs.contains("epoch 2/20") && !logs.contains("epoch 20/20") {
            break;
        }
        assert!(since.elapsed() < Duration::from_mins(1), "no trainer was met at work:\n{logs}");
        thread::sleep(Duration::from_millis(50));
    }
    let trainer = trainers(&machine.path("state")).into_iter().next().expect("one is at work");
    let killed = Command::new("kill").args(["-9", &trainer]).status().expect("there is a kill");
    assert!(killed.success());
}

/// The processes of trainers in the sandboxes of a state folder.
fn trainers(state: &Path) -> Vec<String> {
    let command = |process: &str| fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let parent = |process: &str| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        Some(status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().to_owned())
    };
    let is_ours = |process: &String| {
        let above = std::iter::successors(Some(process.clone()), |process| parent(process));
        above.take_while(|process| process != "0").any(|it| command(&it).contains(&*state.to_string_lossy()))
    };
    let processes =
        fs::read_dir("/proc").expect("it is Linux").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    processes.filter(|it| command(it).starts_with("/mnist-distributed\0train")).filter(is_ours).collect()
}

pub fn whole_way() -> Result<(), Failed> {
    let machine = Machine::bare();
    let _port = alone_with("port-8081");
    let mut applying = machine.start(&["apply", SCENARIO, "--yes", "--set", MANY]);
    kill_a_trainer(&machine);
    assert!(applying.wait()?.success());
    let logs = machine.must(&["logs", "mnist-distributed", "--workload", "train"]);
    assert_eq!(logs.matches("batch size 100").count(), 4, "another pod took the place of the killed one:\n{logs}");
    let logs = machine.must(&["logs", "mnist-distributed", "--workload", "aggregate"]);
    assert!(logs.contains("part 2") && logs.contains("average"), "{logs}");
    let of_killed = model(3, Instant::now())?;
    assert!(get(&format!("{ADDRESS}/"))?.contains("canvas"));
    assert!(machine.must(&["check", "mnist-distributed"]).contains("✓"));

    // The same training, and nobody is killed.
    let again = ["apply", SCENARIO, "--yes", "--replace", "job/train", "--replace", "job/aggregate"];
    let text = machine.must(&again);
    assert!(text.contains("epochs = 20") && text.contains("default 2"), "{text}");
    let weights = |model: &Value| model["metrics"]["weights_sha256"].clone();
    assert_eq!(weights(&model(3, Instant::now())?), weights(&of_killed), "one was killed");

    let text = machine.must(&["apply", SCENARIO, "--yes", "--set", "workers=7", "--set", "epochs=2"]);
    assert!(text.contains("workers = 7") && text.contains("✓ check accuracy"), "{text}");
    assert!(!text.contains("persistentvolumeclaim") && !text.contains("sandbox infra"), "only what uses it: {text}");
    assert_eq!(model(7, Instant::now())?["metrics"]["train_images"], 5000);
    let kept = machine.must(&["apply", SCENARIO, "--yes"]);
    assert!(kept.contains("nothing to do, with workers = 7"), "{kept}");
    machine.must(&["destroy", SCENARIO, "--yes"]);
    assert!(!machine.path("state/deployments/mnist-distributed").exists());
    Ok(())
}

//! `--rehearse`: simulator, clusters and the way through them in one process.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::simulated::{apart, hello};

/// The last line of a rehearsal that prints JSON.
fn rehearsed(text: &str) -> Value {
    let line = text.lines().find(|line| line.contains(r#""event":"rehearsed""#)).unwrap_or_else(|| panic!("{text}"));
    serde_json::from_str(line).expect("an object")
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn mnist() -> Result<(), Failed> {
    let machine = apart();
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/mnist-rnn");
    let text = machine.must(&["apply", scenario, "--provider", "gke", "--rehearse", "--json"]);
    let told = rehearsed(&text);
    assert_eq!(told["left"], serde_json::json!([]), "{told}");
    assert_eq!(told["made"]["clusters"], 1, "{told}");
    let passed = text.lines().filter(|line| line.contains("step_ended") && line.contains("check/")).count();
    assert_eq!(passed, 2, "both checks were passed: {text}");
    let receipt = text.lines().find(|line| line.contains(r#""event":"receipt""#)).expect("a receipt");
    assert!(receipt.contains(r#""left":[]"#) && receipt.contains("GKE cluster"), "{receipt}");
    assert!(!machine.path("state/deployments").exists(), "a rehearsal leaves nothing in the state folder");
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn faults() -> Result<(), Failed> {
    let machine = hello();
    for seed in ["1", "2", "3"] {
        let text = machine.must(&["apply", "hello", "--rehearse", "--faults", seed, "--json"]);
        let told = rehearsed(&text);
        assert_eq!(told["left"], serde_json::json!([]), "seed {seed}: {told}");
        assert!(told["faults"].as_u64() > Some(0), "seed {seed}: {told}");
    }
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn looks() -> Result<(), Failed> {
    let machine = hello();
    let plan = machine.must(&["plan", "hello", "--rehearse"]);
    for line in [
        "GKE cluster infra-hello (us-central1-a)",
        "node pool default-pool",
        "-docker.pkg.dev/rehearsal/infra-hello/web",
    ] {
        assert!(plan.contains(line), "{line:?} is missing in:\n{plan}");
    }
    let preflight = machine.must(&["preflight", "hello", "--rehearse"]);
    assert!(preflight.contains("nothing stands in the way"), "{preflight}");
    let ended = machine.infra(&["plan", "hello", "--rehearse", "--provider", "kind"]);
    assert_eq!(ended.code, 2, "{}", ended.text);
    let ended = machine.infra(&["list", "--rehearse"]);
    assert!(ended.code == 2 && ended.text.contains("about no scenario"), "{}", ended.text);
    Ok(())
}

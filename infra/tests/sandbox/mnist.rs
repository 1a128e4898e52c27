//! The project's own scenario, as a stranger would run it.

use libtest_mimic::Failed;

use crate::machine::{Machine, alone_with, get};

pub fn whole_way() -> Result<(), Failed> {
    let machine = Machine::bare();
    let _port = alone_with("port-8080");
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/mnist-rnn");
    let text = machine.must(&["apply", scenario, "--yes"]);
    assert!(text.contains("test accuracy") && text.contains("✓ check accuracy"), "{text}");
    assert!(get("http://127.0.0.1:8080/")?.contains("canvas"));
    let again = machine.must(&["apply", scenario, "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    let receipt = machine.must(&["destroy", scenario, "--yes"]);
    assert!(receipt.contains("sandbox"), "{receipt}");
    assert!(!machine.path("state/deployments/mnist-rnn").exists());
    Ok(())
}

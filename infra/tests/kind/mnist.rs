//! The project's own scenario, as a stranger would run it.

use libtest_mimic::Failed;

use crate::machine::{Machine, alone_with, get, left_in_docker};

pub fn whole_way() -> Result<(), Failed> {
    let machine = Machine::new();
    let _port = alone_with("port-8080");
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/mnist-rnn");
    machine.infra(&["destroy", "--name", "mnist-test", "--yes"]);
    let text = machine.must(&["apply", scenario, "--name", "mnist-test", "--provider", "kind", "--yes"]);
    assert!(text.contains("accuracy"), "the training is seen: {text}");
    assert!(get("http://127.0.0.1:8080/")?.contains("canvas"));
    let metrics = get("http://127.0.0.1:8080/metrics")?;
    assert!(metrics.contains("# TYPE"), "{metrics}");
    let checks = machine.must(&["check", "--name", "mnist-test"]);
    assert!(checks.contains("1,000"), "{checks}");
    let again = machine.must(&["apply", scenario, "--name", "mnist-test", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");

    let privileged = machine.kubectl(&["get", "pods", "--namespace", "mnist-rnn", "--output", "yaml"]).text;
    for setting in ["runAsNonRoot: true", "readOnlyRootFilesystem: true", "- ALL"] {
        assert!(privileged.contains(setting), "pods have {setting}");
    }
    let namespace = machine.kubectl(&["get", "namespace", "mnist-rnn", "--output", "yaml"]).text;
    assert!(namespace.contains("pod-security.kubernetes.io/enforce: restricted"), "{namespace}");

    machine.must(&["destroy", "--name", "mnist-test", "--yes"]);
    assert_eq!(left_in_docker("mnist-test"), "");
    Ok(())
}

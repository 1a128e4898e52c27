//! Values of Secrets that a container prints.

use std::fs;
use std::path::Path;

use libtest_mimic::Failed;

use crate::machine::Machine;

const SCENARIO: &str = r"
version: 1
name: teller
images:
  tool: { cargo: { package: contract-tool, workspace: WORKSPACE } }
";

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: hunter2-hunter2}
---
apiVersion: batch/v1
kind: Job
metadata: {name: teller}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: teller
        image: tool
        args: [print, "the password is $(PASSWORD)", "+", exit, "CODE"]
        env:
        - name: PASSWORD
          valueFrom: {secretKeyRef: {name: login, key: password}}
"#;

pub fn printed() -> Result<(), Failed> {
    let machine = Machine::bare();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    machine.write("teller/scenario.yaml", &SCENARIO.replace("WORKSPACE", workspace.to_str().unwrap()));
    for (code, exit) in [("0", 0), ("3", 4)] {
        machine.write("teller/manifests/all.yaml", &MANIFESTS.replace("CODE", code));
        let ended = machine.infra(&["apply", "teller", "--yes"]);
        assert_eq!(ended.code, exit, "{}", ended.text);
        assert!(ended.text.contains("the password is (secret)"), "{}", ended.text);
        assert!(!ended.text.contains("hunter2"), "{}", ended.text);
    }
    for record in fs::read_dir(machine.path("state/runs/teller"))? {
        let text = fs::read_to_string(record?.path())?;
        assert!(text.contains("the password is (secret)") && !text.contains("hunter2"), "{text}");
    }
    let journal = fs::read_to_string(machine.path("state/deployments/teller/journal.jsonl"))?;
    assert!(!journal.contains("hunter2"), "{journal}");
    machine.must(&["destroy", "--name", "teller", "--yes"]);
    Ok(())
}

//! Pods on different nodes of a real cluster share what is in a claim: in a folder of this machine that all nodes see.

use std::path::Path;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::machine::{Machine, left_in_docker};

const SCENARIO: &str = r"
version: 1
name: shared
provider: kind
cluster: { nodes: 2 }
images:
  tool: { cargo: { package: contract-tool, workspace: WORKSPACE } }
steps:
  - { name: all, apply: manifests, timeout: 180s }
";

const MANIFESTS: &str = r"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: writer}
spec:
  template:
    metadata: {labels: {part: writer}}
    spec:
      restartPolicy: OnFailure
      containers:
      - name: tool
        image: tool
        args: [write, /data/word, from-the-other-node, +, wait-for, /data/answer, +, read, /data/answer]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: reader}
spec:
  template:
    metadata: {labels: {part: reader}}
    spec:
      restartPolicy: OnFailure
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {part: writer}}}
      containers:
      - name: tool
        image: tool
        args: [wait-for, /data/word, +, read, /data/word, +, write, /data/answer, heard]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

pub fn whole_way() -> Result<(), Failed> {
    let machine = Machine::new();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    machine.write("shared/scenario.yaml", &SCENARIO.replace("WORKSPACE", workspace.to_str().unwrap()));
    machine.write("shared/manifests/all.yaml", MANIFESTS);
    machine.infra(&["destroy", "--name", "shared", "--yes"]);
    machine.must(&["apply", "shared", "--yes"]);
    let pods: Value = serde_json::from_str(&machine.kubectl(&["get", "pods", "--output", "json"]).text)?;
    let mut nodes: Vec<&Value> = pods["items"].as_array().unwrap().iter().map(|pod| &pod["spec"]["nodeName"]).collect();
    nodes.dedup();
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    assert!(machine.kubectl(&["logs", "job/reader"]).text.contains("from-the-other-node"));
    assert!(machine.kubectl(&["logs", "job/writer"]).text.contains("heard"));
    let folder = machine.path("state/deployments/shared/shared/default/data");
    assert_eq!(std::fs::read_to_string(folder.join("word"))?, "from-the-other-node");

    let again = machine.must(&["apply", "shared", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    machine.must(&["destroy", "shared", "--yes"]);
    assert_eq!(left_in_docker("shared"), "");
    assert!(!machine.path("state/deployments/shared").exists());
    Ok(())
}

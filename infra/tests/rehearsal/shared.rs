//! Pods on different nodes share what is in their claims: on a file server in the cluster, on one of the cloud, and in the sandbox.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::machine::Machine;
use crate::simulated::{Cloud, apart};

const SCENARIO: &str = r"
version: 1
name: shared
cluster:
  nodes: 2
  gke:
    filestores: [{ name: files, claim: files }]
images:
  tool: { cargo: { package: contract-tool, workspace: WORKSPACE } }
steps:
  - { name: all, apply: manifests, timeout: 180s }
";

const CLAIMS: &str = r"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 5Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: files}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 100Gi}}}
";

/// One writes, the other reads on another node, and answers; the first waits for the answer.
const PODS: &str = r"
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
        args: [write, /data/word, from-a-disk, +, write, /files/word, from-filestore, +, wait-for, /data/answer, +, read, /data/answer]
        volumeMounts: [{name: data, mountPath: /data}, {name: files, mountPath: /files}]
      volumes:
      - {name: data, persistentVolumeClaim: {claimName: data}}
      - {name: files, persistentVolumeClaim: {claimName: files}}
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
        args: [wait-for, /data/word, +, read, /data/word, +, wait-for, /files/word, +, read, /files/word, +, write, /data/answer, heard]
        volumeMounts: [{name: data, mountPath: /data}, {name: files, mountPath: /files}]
      volumes:
      - {name: data, persistentVolumeClaim: {claimName: data}}
      - {name: files, persistentVolumeClaim: {claimName: files}}
";

fn write(machine: &Machine) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    machine.write("shared/scenario.yaml", &SCENARIO.replace("WORKSPACE", workspace.to_str().unwrap()));
    machine.write("shared/manifests/claims.yaml", CLAIMS);
    machine.write("shared/manifests/pods.yaml", PODS);
}

/// The names of the nodes that the pods of a part were on.
fn nodes(pods: &Value, part: &str) -> Vec<String> {
    let of_part = pods["items"].as_array().unwrap().iter().filter(|pod| pod["metadata"]["labels"]["part"] == part);
    of_part.map(|pod| pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()).collect()
}

fn kubectl(machine: &Machine, url: Option<&str>, arguments: &[&str]) -> String {
    let mut command = Command::new("kubectl");
    command.args(arguments).env("KUBECONFIG", machine.path("kubeconfig"));
    if let Some(url) = url {
        command.env("INFRA_GCP_ENDPOINT", url).env("GOOGLE_OAUTH_ACCESS_TOKEN", "any");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What both jobs read, and that they were on two nodes.
fn shared(machine: &Machine, url: Option<&str>) {
    let pods: Value =
        serde_json::from_str(&kubectl(machine, url, &["get", "pods", "-o", "json"])).expect("a list of pods");
    let (writer, reader) = (nodes(&pods, "writer"), nodes(&pods, "reader"));
    assert!(!writer.is_empty() && !reader.is_empty() && writer[0] != reader[0], "{writer:?} {reader:?}");
    assert_eq!(kubectl(machine, url, &["logs", "job/reader"]), "from-a-disk\nfrom-filestore\n");
    assert_eq!(kubectl(machine, url, &["logs", "job/writer"]), "heard\n");
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn on_gke() -> Result<(), Failed> {
    let cloud = Cloud::new();
    let machine = &cloud.machine;
    write(machine);
    let plan = machine.must(&["plan", "shared"]);
    for line in
        ["an NFS server in the cluster", "a Filestore instance", "Filestore instance infra-shared-files (1024 GB"]
    {
        assert!(plan.contains(line), "{line:?} is missing in:\n{plan}");
    }
    machine.must(&["apply", "shared", "--yes"]);
    shared(machine, Some(&cloud.url));
    assert_eq!(cloud.left(&["filestoreInstances"]).len(), 1);
    let disks = cloud.left(&["disks"]);
    assert!(disks.iter().any(|name| name.contains("infra-shared-data-")), "{disks:?}");
    let again = machine.must(&["apply", "shared", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    // Without the journal it is found, and nothing is made twice.
    std::fs::remove_dir_all(machine.path("state"))?;
    machine.must(&["recover", "--name", "shared"]);
    let plan = machine.must(&["plan", "shared"]);
    assert!(plan.contains("0 to make") && !plan.contains("± "), "{plan}");
    let destroyed = machine.must(&["destroy", "shared", "--yes"]);
    assert!(destroyed.contains("Filestore instance"), "the receipt names it: {destroyed}");
    assert_eq!(cloud.left(&[]), Vec::<String>::new());
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn in_the_sandbox() -> Result<(), Failed> {
    let machine = apart();
    write(&machine);
    machine.must(&["apply", "shared", "--yes", "--provider", "sandbox"]);
    shared(&machine, None);
    machine.must(&["destroy", "shared", "--yes"]);
    Ok(())
}

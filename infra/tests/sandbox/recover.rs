//! A journal that is lost or damaged is written anew from what is there.

use std::path::Path;

use libtest_mimic::Failed;

use crate::machine::{Machine, get};

const SCENARIO: &str = r"
version: 1
name: lost
images:
  web: { cargo: { package: contract-tool, workspace: WORKSPACE } }
steps:
  - { name: all, apply: manifests, timeout: 60s }
checks:
  - { name: page, http: { service: web, path: /, status: 200, contains: hello } }
local_ports: { web: 18084 }
";

const WEB: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web
        args: [serve, '8080', hello]
        resources: {requests: {cpu: '0.01'}}
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: hunter2-hunter2}
";

const JOURNAL: &str = "state/deployments/lost/journal.jsonl";

fn machine() -> Machine {
    let machine = Machine::bare();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    machine.write("lost/scenario.yaml", &SCENARIO.replace("WORKSPACE", workspace.to_str().unwrap()));
    machine.write("lost/manifests/web.yaml", WEB);
    machine
}

fn journal(machine: &Machine) -> String {
    std::fs::read_to_string(machine.path(JOURNAL)).unwrap()
}

/// The next apply has nothing to make and nothing to change, and the pod is the same.
fn assert_nothing_to_make(machine: &Machine, pods: &[String]) {
    let plan = machine.must(&["plan", "lost"]);
    assert!(plan.contains("0 to make, 0 to change, 0 to remove"), "{plan}");
    machine.must(&["apply", "lost", "--yes"]);
    assert_eq!(self::pods(machine), pods);
    let again = machine.must(&["apply", "lost", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
}

fn pods(machine: &Machine) -> Vec<String> {
    let status: serde_json::Value = serde_json::from_str(&machine.must(&["status", "lost", "--json"])).unwrap();
    let pods = status["workloads"][0]["pods"].as_array().unwrap();
    pods.iter().map(|pod| pod["name"].as_str().unwrap().to_owned()).collect()
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn lost_or_damaged() -> Result<(), Failed> {
    let machine = machine();
    machine.must(&["apply", "lost", "--yes"]);
    let pods = pods(&machine);
    assert!(!pods.is_empty());

    let ended = machine.infra(&["recover", "--name", "lost"]);
    assert!(ended.code == 2 && ended.text.contains("--force"), "a whole journal stays: {}", ended.text);

    let damaged = journal(&machine).replacen("\"n\":2", "\"n\":3", 1);
    machine.write(JOURNAL, &damaged);
    assert_eq!(machine.infra(&["plan", "lost"]).code, 1);
    let text = machine.must(&["recover", "--name", "lost", "--force"]);
    assert!(text.contains("found 7 resources") && text.contains("journal.jsonl.before-recover"), "{text}");
    assert_eq!(std::fs::read_to_string(machine.path(&format!("{JOURNAL}.before-recover"))).unwrap(), damaged);
    assert!(!journal(&machine).contains("hunter2") && !journal(&machine).contains("aHVudGVyMi"));
    assert_nothing_to_make(&machine, &pods);

    std::fs::remove_file(machine.path(JOURNAL)).unwrap();
    machine.must(&["sandbox", "stop", "lost"]);
    let text = machine.must(&["recover", "--name", "lost", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&told["event"], &told["moved_aside"]), (&"recovered".into(), &serde_json::Value::Null));
    let addresses: Vec<&str> =
        told["found"].as_array().unwrap().iter().map(|found| found["address"].as_str().unwrap()).collect();
    assert!(addresses.contains(&"sandbox-cluster/infra-lost") && addresses.contains(&"image/web"), "{addresses:?}");

    std::fs::remove_dir_all(machine.path("lost")).unwrap();
    machine.must(&["destroy", "--name", "lost", "--yes"]);
    assert!(!machine.path("state/deployments/lost").exists());
    assert!(get("http://127.0.0.1:18084/").is_err());

    let ended = machine.infra(&["recover", "--name", "lost"]);
    assert!(ended.code == 1 && ended.text.contains("nothing of it is in"), "{}", ended.text);
    assert!(!machine.path("state/deployments/lost").exists(), "a search leaves nothing behind");
    Ok(())
}

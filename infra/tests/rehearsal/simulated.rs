//! `infra simulator gcp` as a process of its own, with infra, gcloud and kubectl as its clients.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::machine::{Ended, Machine, ended, get};

pub const SCENARIO: &str = r"
version: 1
name: hello
images:
  web: { cargo: { package: contract-tool, workspace: WORKSPACE } }
steps:
  - { name: all, apply: manifests, timeout: 120s }
checks:
  - { name: page, http: { service: web, path: /, status: 200, contains: hello } }
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
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";

const ZONE: &str = "us-central1-a";

/// A machine with an image cache of its own: others have deployments of the same names at the same time.
pub fn apart() -> Machine {
    let machine = Machine::bare();
    let cache = machine.path("cache");
    machine.with("INFRA_CACHE", cache.to_str().unwrap())
}

/// Such a machine with a small scenario in the folder `hello`.
pub fn hello() -> Machine {
    with_scenario(apart())
}

/// A scenario's text with the place of the program that its image is made of.
pub fn workspace(scenario: &str) -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    scenario.replace("WORKSPACE", workspace.to_str().unwrap())
}

fn with_scenario(machine: Machine) -> Machine {
    machine.write("hello/scenario.yaml", &workspace(SCENARIO));
    machine.write("hello/manifests/web.yaml", WEB);
    machine
}

/// A simulator that runs until it is dropped, and a machine whose infra speaks to it.
pub struct Cloud {
    pub machine: Machine,
    simulator: Child,
    pub url: String,
}

impl Cloud {
    pub fn new() -> Self {
        let home = Machine::bare();
        let mut simulator =
            home.start(&["simulator", "gcp", "--listen", "127.0.0.1:0", "--with-project", "demo-1", "--json"]);
        let mut line = String::new();
        BufReader::new(simulator.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        let url = event["address"].as_str().unwrap().to_owned();
        let machine = apart()
            .with("INFRA_GCP_ENDPOINT", &url)
            .with("INFRA_GCP_PACE", "60")
            .with("GOOGLE_OAUTH_ACCESS_TOKEN", "any")
            .with("GOOGLE_CLOUD_PROJECT", "demo-1")
            .with("CLOUDSDK_COMPUTE_ZONE", ZONE)
            .with("INFRA_PROVIDER", "gke");
        Self { machine: with_scenario(machine), simulator, url }
    }

    fn ledger(&self) -> Value {
        serde_json::from_str(&get(&format!("{}/sim/ledger", self.url)).unwrap()).unwrap()
    }

    /// The names of what exists, of these kinds or of all.
    pub fn left(&self, kinds: &[&str]) -> Vec<String> {
        let ledger = self.ledger();
        let entries = ledger["entries"].as_array().unwrap().iter();
        let meant = |entry: &&Value| kinds.is_empty() || kinds.iter().any(|kind| entry["kind"] == *kind);
        entries.filter(|entry| entry["until"].is_null()).filter(meant).map(|it| it["name"].to_string()).collect()
    }

    pub fn gcloud(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new("gcloud");
        command.args(arguments).env("CLOUDSDK_CONFIG", self.machine.path("gcloud"));
        for (name, path) in [("CONTAINER", "/"), ("SERVICEUSAGE", "/"), ("COMPUTE", "/compute/v1/")] {
            command.env(format!("CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}"), format!("{}{path}", self.url));
        }
        self.machine.write("token", "any");
        command.env("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", self.machine.path("token"));
        command.env("KUBECONFIG", self.machine.path("of-gcloud"));
        let quiet = [
            "CLOUDSDK_CORE_DISABLE_PROMPTS",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK",
        ];
        command.envs(quiet.map(|name| (name, "true"))).env("CLOUDSDK_CORE_PROJECT", "demo-1");
        ended(&command.stdin(Stdio::null()).output().unwrap())
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.simulator.id().to_string()).status();
        let _ = self.simulator.wait();
    }
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn refused() -> Result<(), Failed> {
    let cloud = Cloud::new();
    let refused = |arguments: &[&str], words: &[&str]| {
        let all = [&["apply", "hello", "--yes"], arguments].concat();
        let ended = cloud.machine.infra(&all);
        assert_eq!(ended.code, 6, "{}", ended.text);
        for words in words {
            assert!(ended.text.contains(words), "{words:?} is missing in:\n{}", ended.text);
        }
    };
    refused(&["--project", "another-1"], &["another-1", "hint:"]);
    refused(&["--location", "us-central1-z"], &["us-central1-z"]);
    cloud.machine.write("hello/manifests/web.yaml", WEB);
    let scenario = SCENARIO.replace("name: hello\n", "name: hello\ncluster: {nodes: {count: 40, cpu: 16}}\n");
    cloud.machine.write("hello/scenario.yaml", &workspace(&scenario));
    refused(&[], &["short by", "us-central1"]);
    let ended = cloud.machine.infra(&["preflight", "hello"]);
    assert!(ended.code == 6 && ended.text.contains("quotas"), "{}", ended.text);
    assert_eq!(cloud.left(&[]), Vec::<String>::new(), "nothing was made");
    Ok(())
}

pub fn killed() -> Result<(), Failed> {
    let cloud = Cloud::new();
    let mut applying = cloud.machine.start(&["apply", "hello", "--yes"]);
    while cloud.left(&["clusters"]).is_empty() {
        thread::sleep(Duration::from_millis(50));
    }
    applying.kill().unwrap();
    applying.wait().unwrap();
    cloud.machine.must(&["apply", "hello", "--yes"]);
    assert_eq!(cloud.left(&["clusters"]).len(), 1);
    let status = cloud.machine.must(&["status", "--name", "hello"]);
    assert!(status.contains("✓ Deployment default/web"), "{status}");
    // A lost laptop: the marks in the cloud are enough to go on.
    std::fs::remove_dir_all(cloud.machine.path("state"))?;
    let recovered = cloud.machine.must(&["recover", "--name", "hello"]);
    assert!(recovered.contains("GKE cluster infra-hello"), "{recovered}");
    let plan = cloud.machine.must(&["plan", "hello"]);
    assert!(plan.contains("0 to make") && !plan.contains("± "), "{plan}");
    cloud.machine.must(&["apply", "hello", "--yes"]);
    let again = cloud.machine.must(&["apply", "hello", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    cloud.machine.must(&["destroy", "hello", "--yes"]);
    assert_eq!(cloud.left(&[]), Vec::<String>::new());
    Ok(())
}

pub fn without_journal() -> Result<(), Failed> {
    let cloud = Cloud::new();
    cloud.machine.must(&["apply", "hello", "--yes"]);
    std::fs::remove_dir_all(cloud.machine.path("state"))?;
    cloud.machine.must(&["destroy", "--name", "hello", "--provider", "gke", "--yes"]);
    assert_eq!(cloud.left(&[]), Vec::<String>::new());
    Ok(())
}

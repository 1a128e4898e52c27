use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use engine::{
    Address, Blocker, Context, Event, Failure, Gone, Graph, Journal, Node, Outcome, Plan, Policy, Record, Registry,
    Resource, Sink, Sinks, StopHandle,
};
use providers::kubernetes::Clients;
use serde_json::{Value, json};
use tempfile::TempDir;
use workloads::{Manifest, Spec, Step, Vault};

/// In every node image: a shell, and a program that does nothing.
pub const SHELL: &str = "docker.io/kindest/local-path-helper:v20260131-7181c60a";
pub const PAUSE: &str = "registry.k8s.io/pause:3.10.1";

pub type Outcomes = Result<(), String>;
pub type Test = Box<dyn FnOnce(Arc<World>) -> Pin<Box<dyn Future<Output = Outcomes>>> + Send>;

pub fn test<F: Future<Output = Outcomes> + 'static>(
    name: &str,
    body: impl FnOnce(Arc<World>) -> F + Send + 'static,
) -> (String, Test) {
    (name.to_owned(), Box::new(move |world| Box::pin(body(world))))
}

/// The cluster of all tests.
pub struct World {
    pub kubeconfig: PathBuf,
    pub clients: Clients,
    pub runtime: tokio::runtime::Runtime,
    _folder: Option<TempDir>,
}

impl World {
    pub fn new(kubeconfig: PathBuf) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        Self { kubeconfig, clients: Clients::default(), runtime, _folder: None }
    }

    pub fn with_folder(kubeconfig: PathBuf, folder: TempDir) -> Self {
        Self { _folder: Some(folder), ..Self::new(kubeconfig) }
    }

    pub fn deployment(self: &Arc<Self>, name: &str) -> Deployment {
        let folder = tempfile::tempdir().expect("a folder");
        Deployment {
            world: self.clone(),
            name: name.to_owned(),
            vault: Vault::new(name.as_bytes()),
            folder,
            records: Arc::default(),
        }
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = std::process::Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .output()
            .expect("kubectl runs");
        assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }
}

/// One deployment with its own journal; its namespace has its name.
pub struct Deployment {
    pub world: Arc<World>,
    pub name: String,
    pub vault: Vault,
    pub folder: TempDir,
    records: Arc<Mutex<Vec<Record>>>,
}

struct Collect(Arc<Mutex<Vec<Record>>>);

impl Sink for Collect {
    fn take(&self, record: &Record) {
        self.0.lock().expect("no panic while the lock is held").push(record.clone());
    }
}

/// Stands for the node of a cluster that is there already.
struct Made;

#[async_trait::async_trait]
impl Resource for Made {
    async fn create(&self, context: &Context, _inputs: &Value) -> Result<Value, Failure> {
        context.milestone("api");
        Ok(json!({}))
    }

    async fn delete(&self, _context: &Context, _inputs: &Value) -> Result<Vec<Gone>, Failure> {
        Ok(Vec::new())
    }
}

impl Deployment {
    pub fn spec(&self, manifests: &[Value]) -> Spec {
        let manifests = manifests.iter().map(|value| Manifest {
            value: value.clone(),
            file: "test.yaml".into(),
            line: 1,
            step: Some("all".into()),
        });
        Spec {
            deployment: self.name.clone(),
            kubeconfig: self.world.kubeconfig.clone(),
            cluster: cluster(),
            namespace: self.name.clone(),
            manifests: manifests.collect(),
            steps: vec![Step { name: "all".into(), after: Vec::new(), timeout_seconds: 120 }],
            images: std::collections::BTreeMap::new(),
            node_ports: Vec::new(),
            volumes: Vec::new(),
            disks: Vec::new(),
            shared: Vec::new(),
            load_balancers: false,
            static_addresses: Vec::new(),
            checks: Vec::new(),
        }
    }

    pub fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register("kind-cluster", Made);
        workloads::register(&mut registry, &self.world.clients, &self.vault);
        registry
    }

    pub fn journal(&self) -> PathBuf {
        self.folder.path().join("journal.jsonl")
    }

    pub async fn apply(&self, manifests: &[Value]) -> Outcome {
        self.apply_spec(&self.spec(manifests)).await
    }

    pub async fn apply_spec(&self, spec: &Spec) -> Outcome {
        let mut graph = cluster_graph();
        workloads::declare(spec, &self.vault, &mut graph).expect("a graph");
        self.run(&graph, Policy::StopAtFailure).await
    }

    /// Deletes every object one by one: the cluster stays.
    pub async fn destroy(&self) -> Outcome {
        self.run(&cluster_graph(), Policy::GoOn).await
    }

    pub async fn plan(&self, spec: &Spec) -> Plan {
        let mut graph = cluster_graph();
        workloads::declare(spec, &self.vault, &mut graph).expect("a graph");
        let registry = self.registry();
        let inventory = Journal::read(&self.journal()).expect("a journal");
        let observed = registry.observe(&inventory).await;
        engine::plan(&graph, &inventory, &observed, &registry).expect("a plan")
    }

    async fn run(&self, graph: &Graph, policy: Policy) -> Outcome {
        let registry = self.registry();
        let mut journal = Journal::open(&self.journal()).expect("a journal");
        let observed = registry.observe(journal.inventory()).await;
        let plan = engine::plan(graph, journal.inventory(), &observed, &registry).expect("a plan");
        let sinks = Sinks::new(vec![Box::new(Collect(self.records.clone()))]);
        engine::execute(&self.name, &plan, &mut journal, &registry, &sinks, &StopHandle::default(), policy)
            .await
            .expect("a journal that can be written")
    }

    pub fn events(&self) -> Vec<Event> {
        self.records
            .lock()
            .expect("no panic while the lock is held")
            .iter()
            .map(|record| record.event.clone())
            .collect()
    }

    /// Everything that was said to block.
    pub fn blockers(&self) -> Vec<Blocker> {
        let blocked = self.events().into_iter().filter_map(|event| match event {
            Event::StepBlocked { blockers, .. } => Some(blockers),
            _ => None,
        });
        blocked.flatten().collect()
    }

    /// What containers printed.
    pub fn output(&self) -> Vec<String> {
        let lines = self.events().into_iter().filter_map(|event| match event {
            Event::StepOutput { line, .. } => Some(line),
            _ => None,
        });
        lines.collect()
    }
}

pub fn cluster() -> Address {
    Address::new("kind-cluster", "test")
}

fn cluster_graph() -> Graph {
    let mut graph = Graph::default();
    graph.add(Node::new(cluster(), "Cluster test", "cluster")).expect("an empty graph");
    graph
}

pub fn failures(outcome: &Outcome) -> String {
    let failures =
        outcome.failures.iter().map(|(address, failure)| format!("{address}: {}", failure.causes().join(": ")));
    failures.collect::<Vec<_>>().join("\n")
}

pub fn ensure(condition: bool, otherwise: impl std::fmt::Display) -> Outcomes {
    if condition { Ok(()) } else { Err(otherwise.to_string()) }
}

pub fn succeeded(outcome: &Outcome) -> Outcomes {
    ensure(outcome.is_success(), failures(outcome))
}

pub fn map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

pub fn container(more: &Value) -> Value {
    let mut container = json!({"name": "main", "image": SHELL, "imagePullPolicy": "IfNotPresent"});
    for (name, value) in more.as_object().expect("an object") {
        container[name] = value.clone();
    }
    container
}

pub fn deployment(name: &str, pod: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": quick(pod)}}})
}

pub fn job(name: &str, more: &Value, pod: &Value) -> Value {
    let mut pod = quick(pod);
    if pod.get("restartPolicy").is_none() {
        pod["restartPolicy"] = "Never".into();
    }
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": {"spec": pod}}});
    for (name, value) in more.as_object().expect("an object") {
        job["spec"][name] = value.clone();
    }
    job
}

/// A shell does not stop when asked to.
fn quick(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["terminationGracePeriodSeconds"] = 1.into();
    pod
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}

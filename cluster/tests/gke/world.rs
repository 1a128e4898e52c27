//! A deployment on a simulated Google Cloud, with the real engine and a journal.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cluster::gke::{self, Data, Network, NodePool, OtherZones, Place, PoolSize, Spec};
use engine::{
    Change, Graph, Inventory, Journal, Log, Observation, Outcome, Plan, Policy, Registry, Sinks, StopHandle, execute,
    plan,
};
use providers::gcp::{Credentials, Gcp, Settings};
use serde_json::{Value, json};
use simulator::{Faults, Identity, Options, Project, Running};

use crate::kubernetes::Empty;

pub const PROJECT: &str = "demo-project";
pub const ZONE: &str = "us-central1-a";
/// What lies on a disk of this machine only costs time here.
const MEMORY: &str = "/dev/shm";
/// However little there is to do, time passes in no larger steps: an answer that is a moment late is not taken for none.
const STEP: Duration = Duration::from_millis(500);

/// The journal's lines, which outlive a process that dies.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

#[async_trait]
impl Log for Lines {
    async fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.lock().expect("no panic while the lock is held").extend(lines);
        Ok(())
    }
}

impl Lines {
    fn journal(&self) -> Journal {
        let written = self.0.lock().expect("no panic while the lock is held").clone();
        Journal::on(Path::new("journal"), &written, Box::new(self.clone())).expect("a journal")
    }
}

/// A deployment with its cloud. Both live in the runtime's time, which is paused: it passes where everybody waits.
pub struct World {
    pub running: Arc<Running>,
    /// The deployment's name.
    name: String,
    pub gcp: Gcp,
    pub folder: tempfile::TempDir,
    lines: Lines,
    journal: Journal,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Faults::default(), |_| ()).await
    }

    /// With faults, and the project changed.
    pub async fn with(faults: Faults, change: impl FnOnce(&mut Project)) -> Self {
        let mut project = Project::new(PROJECT);
        change(&mut project);
        let mut options = Options::new(Arc::new(Empty::start().await));
        options.speed = 1.0;
        options.faults = faults;
        options.projects = vec![project];
        options.tokens = vec![Identity { token: "known".into(), email: "me@example.com".into() }];
        let running = simulator::start(options).await.expect("a simulator");
        tokio::spawn(steps());
        Self::beside(&Arc::new(running), "demo")
    }

    /// One deployment of several in a cloud.
    pub fn beside(running: &Arc<Running>, name: &str) -> Self {
        let memory = Some(Path::new(MEMORY)).filter(|folder| folder.is_dir());
        let folder = memory.map_or_else(tempfile::tempdir, tempfile::tempdir_in).expect("a folder");
        let lines = Lines::default();
        let journal = lines.journal();
        let gcp = client(running, Credentials::Token("known".into()));
        Self { running: running.clone(), name: name.to_owned(), gcp, folder, lines, journal }
    }

    pub fn spec(&self) -> Spec {
        Spec {
            deployment: self.name.clone(),
            project: PROJECT.to_owned(),
            place: Place::Zone { zone: ZONE.to_owned(), others: OtherZones::None },
            version: None,
            channel: None,
            network: Network::default(),
            private_nodes: false,
            workload_identity: false,
            service_account: None,
            node_pools: vec![pool("default-pool", 2)],
            disks: Vec::new(),
            file_servers: Vec::new(),
            addresses: Vec::new(),
            load_balancers: 1,
            claims_gigabytes: 10,
            registry: None,
            kubeconfig: self.kubeconfig(),
            user_kubeconfig: None,
            token_program: vec!["infra".to_owned(), "token".to_owned()],
        }
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    pub fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        gke::register(&mut registry, &self.gcp);
        registry
    }

    /// Brings the world to what the specification says; to nothing without one.
    pub async fn run(&mut self, spec: Option<&Spec>) -> Outcome {
        let mut graph = Graph::default();
        if let Some(spec) = spec {
            gke::declare(spec, &mut graph).expect("a graph");
        }
        let registry = self.registry();
        let observed: BTreeMap<_, Observation> = registry.observe(self.journal.inventory()).await;
        let plan = plan(&graph, self.journal.inventory(), &observed, &registry).expect("a plan");
        let policy = if spec.is_some() { Policy::StopAtFailure } else { Policy::GoOn };
        let kept = self.journal.inventory().kept().map(|held| held.node.address.clone()).collect();
        let plan = if spec.is_some() { plan.leaving(&kept) } else { plan };
        self.carry_out(&plan, &registry, policy).await
    }

    /// Brings the world to nothing but what holds data, as `infra destroy --keep-data` does it.
    pub async fn keep_data(&mut self) -> Outcome {
        let data = gke::data(&self.gcp, self.journal.inventory()).await.expect("a look at the disks");
        let mut registry = self.registry();
        gke::keep_data(&mut registry, &self.gcp);
        let plan = plan(&Graph::default(), self.journal.inventory(), &BTreeMap::new(), &registry).expect("a plan");
        let plan = plan.leaving(&data.iter().map(|disk| disk.node.address.clone()).collect());
        let found = |disk: Data| {
            (disk.node.address.clone(), Change::Found { node: Box::new(disk.node), outputs: disk.outputs })
        };
        self.journal.append(data.into_iter().map(found).collect()).await.expect("the journal is written");
        self.carry_out(&plan, &registry, Policy::GoOn).await
    }

    async fn carry_out(&mut self, plan: &Plan, registry: &Registry, policy: Policy) -> Outcome {
        let (sinks, stop) = (Sinks::default(), StopHandle::default());
        execute(&self.name, plan, &mut self.journal, registry, &sinks, &stop, policy)
            .await
            .expect("the journal is written")
    }

    /// What the journal says.
    pub fn inventory(&self) -> &Inventory {
        self.journal.inventory()
    }

    /// Another process goes on from what is on disk.
    pub fn restart(&mut self) {
        self.journal = self.lines.journal();
        self.gcp = client(&self.running, Credentials::Token("known".into()));
    }

    /// What still exists, as kind and name.
    pub fn left(&self) -> Vec<String> {
        let ledger = self.running.ledger();
        assert_eq!(ledger.problems, [] as [&str; 0]);
        let short = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        // Google makes and removes them with networks.
        let left = ledger.left().filter(|entry| entry.kind != "routes");
        left.map(|entry| format!("{} {}", entry.kind, short(&entry.name))).collect()
    }

    /// How often something of a kind was made.
    pub fn made(&self, kind: &str) -> usize {
        self.running.ledger().entries.iter().filter(|entry| entry.kind == kind).count()
    }

    /// Makes something behind infra's back.
    pub async fn make(&self, path: &str, body: Value) {
        let url = format!("{}/compute/v1/projects/{PROJECT}/{path}", self.running.url());
        let call = reqwest::Client::new().post(url).bearer_auth("known").json(&body);
        let answer = call.send().await.expect("an answer");
        let status = answer.status();
        assert!(status.is_success(), "{status}: {}", answer.text().await.unwrap_or_default());
    }
}

/// A client of the simulator.
pub fn client(running: &Running, credentials: Credentials) -> Gcp {
    let endpoint = Some(running.url());
    Gcp::new(Settings { project: PROJECT.to_owned(), credentials, endpoint, pace: 1.0 }).expect("a client")
}

/// Lets time pass in steps, for ever.
pub async fn steps() {
    loop {
        tokio::time::sleep(STEP).await;
    }
}

pub fn pool(name: &str, nodes: u32) -> NodePool {
    let value = json!({ "name": name, "size": PoolSize::Count(nodes), "machine_type": "e2-standard-2" });
    serde_json::from_value(value).expect("a node pool")
}

/// What went wrong in a run, in one line each.
pub fn failures(outcome: &Outcome) -> Vec<String> {
    let line = |(address, failure): &(engine::Address, engine::Failure)| {
        format!("{address}: {} ({:?})", failure.causes().join(": "), failure.remains)
    };
    outcome.failures.iter().map(line).collect()
}

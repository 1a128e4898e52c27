//! A deployment on a simulated Google Cloud, with the real engine and a journal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use cluster::gke::{self, Network, NodePool, OtherZones, Place, PoolSize, Spec};
use engine::{Graph, Journal, Observation, Outcome, Policy, Registry, Sinks, StopHandle, execute, plan};
use providers::gcp::{Credentials, Gcp, Settings};
use serde_json::{Value, json};
use simulator::{Faults, Identity, Options, Project, Running};

use crate::kubernetes::Empty;

pub const PROJECT: &str = "demo-project";
pub const ZONE: &str = "us-central1-a";
/// Simulated seconds for each real one: a cluster takes a quarter of a second.
const SPEED: f64 = 2000.0;

pub struct World {
    pub running: Arc<Running>,
    /// The deployment's name.
    name: String,
    /// As much faster as time passes.
    pace: f64,
    pub gcp: Gcp,
    pub folder: tempfile::TempDir,
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
        options.speed = SPEED;
        options.faults = faults;
        options.projects = vec![project];
        options.tokens = vec![Identity { token: "known".into(), email: "me@example.com".into() }];
        let running = simulator::start(options).await.expect("a simulator");
        Self::beside(&Arc::new(running), "demo", SPEED)
    }

    /// One deployment of several in a cloud.
    pub fn beside(running: &Arc<Running>, name: &str, pace: f64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::open(&folder.path().join("journal")).expect("a journal");
        let gcp = client_at(running, Credentials::Token("known".into()), pace);
        Self { running: running.clone(), name: name.to_owned(), pace, gcp, folder, journal }
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
        let (sinks, stop) = (Sinks::default(), StopHandle::default());
        execute(&self.name, &plan, &mut self.journal, &registry, &sinks, &stop, policy)
            .await
            .expect("the journal is written")
    }

    /// Another process goes on from what is on disk.
    pub fn restart(&mut self) {
        self.journal = Journal::open(&self.folder.path().join("journal")).expect("a journal");
        self.gcp = client_at(&self.running, Credentials::Token("known".into()), self.pace);
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
    client_at(running, credentials, SPEED)
}

fn client_at(running: &Running, credentials: Credentials, pace: f64) -> Gcp {
    let endpoint = Some(running.url());
    Gcp::new(Settings { project: PROJECT.to_owned(), credentials, endpoint, pace }).expect("a client")
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

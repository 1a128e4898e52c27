//! A simulator in which time stands still unless a test lets it pass, and a client that knows nothing of Google.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Faults, Identity, NoClusters, Options, Project, Running};

pub const ZONE: &str = "/v1/projects/demo/locations/us-central1-a";
pub const COMPUTE: &str = "/compute/v1/projects/demo";

pub struct Cloud {
    pub running: Running,
    client: reqwest::Client,
    token: String,
}

/// Options for tests: no time passes, one token is known.
pub fn options() -> Options {
    let mut options = Options::new(Arc::new(NoClusters));
    options.speed = 0.0;
    options.tokens = vec![Identity { token: "known".into(), email: "me@example.com".into() }];
    options
}

pub async fn cloud() -> Cloud {
    with(options()).await
}

pub async fn cloud_of(project: Project) -> Cloud {
    with(Options { projects: vec![project], ..options() }).await
}

pub async fn faulty(faults: Faults) -> Cloud {
    with(Options { faults, ..options() }).await
}

pub async fn with(options: Options) -> Cloud {
    // Another test may have done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let running = simulator::start(options).await.unwrap();
    Cloud { running, client: reqwest::Client::new(), token: "known".into() }
}

impl Cloud {
    /// The same client with another token.
    pub fn with_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    /// Status and body of an answer; nothing where the connection was closed without one.
    pub async fn try_ask(&self, verb: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let url = format!("{}{path}", self.running.url());
        let request = self.client.request(verb.parse().unwrap(), url).bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    pub async fn ask(&self, verb: &str, path: &str, body: Value) -> (u16, Value) {
        self.try_ask(verb, path, &body).await.expect("an answer")
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask("POST", path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub async fn delete(&self, path: &str) -> Value {
        let (status, answer) = self.ask("DELETE", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// The message of a refusal, with its status.
    pub async fn refused(&self, verb: &str, path: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.ask(verb, path, body).await;
        assert!(status >= 400, "{verb} {path}: {answer}");
        (status, answer["error"]["message"].as_str().unwrap_or_default().to_owned())
    }

    pub fn skip(&self, seconds: u64) {
        self.running.skip(Duration::from_secs(seconds));
    }

    /// Lets time pass until an operation is done, and gives it.
    pub async fn done(&self, operation: &Value) -> Value {
        let path = path_of(operation);
        for _ in 0..4000 {
            let now = self.get(&path).await;
            if now["status"] == "DONE" || now["done"] == true {
                return now;
            }
            self.skip(2);
        }
        panic!("{path} does not end");
    }

    /// Makes a cluster and waits for it.
    pub async fn cluster(&self, name: &str, nodes: u32) -> Value {
        self.done(&self.post(&format!("{ZONE}/clusters"), create(name, nodes)).await).await
    }

    /// What still exists, as kinds and names.
    pub fn left(&self) -> Vec<(String, String)> {
        let ledger = self.running.ledger();
        assert_eq!(ledger.problems, Vec::<String>::new());
        let left = ledger.left().map(|entry| {
            let name = entry.name.rsplit('/').next().unwrap_or_default();
            (entry.kind.clone(), name.to_owned())
        });
        left.collect()
    }
}

/// The path at which an operation is found.
fn path_of(operation: &Value) -> String {
    if let Some(link) = operation["selfLink"].as_str() {
        return link
            .split_once("googleapis.com")
            .unwrap()
            .1
            .replace("/zones/us", "/locations/us")
            .replace("/compute/v1/projects/demo/locations/", "/compute/v1/projects/demo/zones/");
    }
    format!("/v1/{}", operation["name"].as_str().unwrap())
}

/// The request for a cluster.
pub fn create(name: &str, nodes: u32) -> Value {
    json!({"cluster": {"name": name, "resourceLabels": {"infra-deployment": "test"}, "nodePools": [
        {"name": "default-pool", "initialNodeCount": nodes, "config": {"machineType": "e2-standard-2", "diskSizeGb": 20}},
    ]}})
}

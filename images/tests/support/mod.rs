//! What the tests of this crate share.

#![allow(dead_code, reason = "every test program uses another part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use engine::{Address, Context, Event, Failure, Graph, Held, Observation, Record, Registry, Sink, Sinks, State};
use images::{CargoSource, Delivery, Options, Source, Spec, Store};
use providers::docker::{Docker, Settings};
use serde_json::Value;

/// A copy of the fixture package in a folder of its own.
pub fn hello(folder: &Path) -> PathBuf {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hello");
    let copy = folder.join("hello");
    fs::create_dir_all(copy.join("src")).unwrap();
    for file in ["Cargo.toml", "src/main.rs"] {
        fs::copy(fixture.join(file), copy.join(file)).unwrap();
    }
    copy
}

/// The specification of the fixture as a cargo image.
pub fn hello_spec(folder: &Path) -> Spec {
    let source = CargoSource { package: "hello".to_owned(), folder: folder.to_owned(), ..CargoSource::default() };
    let (files, environment) = (Vec::new(), BTreeMap::new());
    Spec { name: "hello".to_owned(), source: Source::Cargo(source), files, user: None, environment, push: None }
}

/// Lines and progress that operations gave.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for Heard {
    fn take(&self, record: &Record) {
        if let Event::StepProgress { message: text, .. } | Event::StepOutput { line: text, .. } = &record.event {
            self.0.lock().unwrap().push(text.clone());
        }
    }
}

/// Declares one image and drives its nodes by hand.
pub struct Bench {
    pub cache: PathBuf,
    pub registry: Registry,
    pub docker: Docker,
    pub heard: Heard,
    pub deployment: String,
}

impl Bench {
    pub fn new(deployment: &str, cache: &Path, docker_config: Option<PathBuf>) -> Self {
        let docker = Docker::new(Settings::from_environment(|name| std::env::var_os(name)));
        let mut registry = Registry::default();
        let options = Options { cache: cache.to_owned(), lock: None, docker_config, logins: None };
        images::register(&mut registry, &docker, &options);
        Self { cache: cache.to_owned(), registry, docker, heard: Heard::default(), deployment: deployment.to_owned() }
    }

    /// The nodes of one image, declared with its fingerprint of now.
    pub async fn declare(&self, spec: &Spec, cluster: Option<&str>) -> Graph {
        let fingerprint = images::fingerprint(&Store::open(&self.cache).unwrap(), spec).await.unwrap();
        let mut graph = Graph::default();
        let address = Address::new("kind-cluster", "cluster");
        let delivery = match cluster {
            Some(name) => Delivery::Kind { cluster: &address, name },
            None => Delivery::Registry { needs: None },
        };
        images::declare(&mut graph, &self.deployment, spec, &fingerprint, delivery).unwrap();
        graph
    }

    pub fn context(&self, address: &Address) -> Context {
        Context::detached(&self.deployment, address.clone(), Sinks::new(vec![Box::new(self.heard.clone())]))
    }

    /// The inputs of a node, with the outputs of the image where they refer to it.
    pub fn inputs(graph: &Graph, kind: &str, image: &Value) -> (Address, Value) {
        let node = graph.nodes().find(|node| node.address.kind() == kind).expect("it is declared");
        let mut inputs = node.inputs.clone();
        for member in inputs.as_object_mut().unwrap().values_mut() {
            let field = member["$output"][1].as_str().map(str::to_owned);
            if let Some(field) = field {
                *member = image[field].clone();
            }
        }
        (node.address.clone(), inputs)
    }

    /// Runs `create` of the node of this kind.
    pub async fn create(&self, graph: &Graph, kind: &str, image: &Value) -> Result<Value, Failure> {
        let (address, inputs) = Self::inputs(graph, kind, image);
        self.registry.get(&address).unwrap().create(&self.context(&address), &inputs).await
    }

    /// What a look at the node of this kind says.
    pub async fn observe(&self, graph: &Graph, kind: &str, image: &Value, outputs: &Value) -> Observation {
        let (address, inputs) = Self::inputs(graph, kind, image);
        let mut node = graph.get(&address).unwrap().clone();
        node.inputs = inputs;
        let held = Held { node, outputs: outputs.clone(), state: State::Present };
        self.registry.get(&address).unwrap().observe(&[&held]).await.remove(0)
    }

    /// Runs `delete` of the node of this kind; returns the receipt's lines.
    pub async fn delete(&self, graph: &Graph, kind: &str, image: &Value) -> Vec<String> {
        let (address, inputs) = Self::inputs(graph, kind, image);
        let gone = self.registry.get(&address).unwrap().delete(&self.context(&address), &inputs).await;
        let gone = gone.map_err(|failure| failure.causes()).unwrap();
        gone.into_iter().map(|gone| format!("{} {}", gone.what, gone.name)).collect()
    }
}

/// The text of a failure with its causes and its hint.
pub fn text(failure: &Failure) -> String {
    format!("{}\nhint: {}", failure.causes().join(": "), failure.hint.as_deref().unwrap_or("-"))
}

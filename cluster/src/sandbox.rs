//! Clusters by the sandbox: a small Kubernetes in one process of this machine.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use engine::{Address, Failure, Graph, GraphError, Node, Registry};
use serde_json::json;

use crate::{SECTION, context};

mod cluster;
mod discover;

pub use discover::discover;

/// A sandbox that a deployment wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The deployment's name.
    pub deployment: String,
    /// The folder that it keeps everything in; it is the sandbox's alone.
    pub folder: PathBuf,
    /// How many nodes it has, each with all that this machine has.
    pub nodes: usize,
    /// Ports of 127.0.0.1 that its load balancers will listen on.
    pub ports: Vec<u16>,
    /// The deployment's own kubeconfig, which is written with mode 0600.
    pub kubeconfig: PathBuf,
    /// The user's kubeconfig, which gets a context; `None` leaves it alone.
    pub user_kubeconfig: Option<PathBuf>,
}

impl Spec {
    /// The name of the sandbox and of the context.
    pub fn name(&self) -> String {
        format!("infra-{}", self.deployment)
    }

    /// The folder that it runs images from.
    pub fn images(&self) -> PathBuf {
        self.folder.join("images")
    }
}

/// The folder of the sandbox of a deployment, whose own folder is given.
pub fn folder(deployment: &Path) -> PathBuf {
    deployment.join("sandbox")
}

/// A sandbox that takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// The API server's address, for example `https://127.0.0.1:40123`.
    pub server: String,
    /// The kubeconfig of its administrator.
    pub kubeconfig: PathBuf,
}

/// Starts and stops sandboxes: the program that contains one.
#[async_trait]
pub trait Launcher: Debug + Send + Sync {
    /// Starts the sandbox of a folder, or finds the one that runs in it, and returns when it takes requests and has so many nodes;
    /// without a number it has those that it had. It goes on when this process ends.
    async fn start(&self, folder: &Path, nodes: Option<usize>) -> Result<Running, Failure>;

    /// The sandbox of a folder, if one runs.
    fn running(&self, folder: &Path) -> Result<Option<Running>, Failure>;

    /// Ends the sandbox of a folder, its pods first, and returns when no process of it is left; then removes the folder with
    /// everything in it. Neither need be there.
    async fn remove(&self, folder: &Path) -> Result<(), Failure>;
}

/// The addresses of what [`declare`] adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The cluster, with the milestones `nodes` and `api` and the outputs `context` and `server`.
    pub cluster: Address,
    /// The context in the user's kubeconfig, if that is wanted.
    pub context: Option<Address>,
}

/// Adds the sandbox and the context to the graph. Pure.
pub fn declare(spec: &Spec, graph: &mut Graph) -> Result<Declared, GraphError> {
    let name = spec.name();
    let node = node(spec);
    let cluster = node.address.clone();
    graph.add(node)?;
    let context = match &spec.user_kubeconfig {
        Some(file) => Some(context::declare(file, (&name, &spec.deployment), &spec.kubeconfig, &cluster, graph)?),
        None => None,
    };
    Ok(Declared { cluster, context })
}

/// Recovers the node of a deployment's sandbox without its journal: from its folder. What that says is enough to delete it.
/// `kubeconfig` is where the deployment's own would be.
pub fn find(deployment: &str, folder: &Path, kubeconfig: &Path) -> Option<Node> {
    let spec = Spec {
        deployment: deployment.to_owned(),
        folder: folder.to_owned(),
        nodes: cluster::read_nodes(folder),
        ports: Vec::new(),
        kubeconfig: kubeconfig.to_owned(),
        user_kubeconfig: None,
    };
    folder.is_dir().then(|| node(&spec))
}

fn node(spec: &Spec) -> Node {
    let name = spec.name();
    let mut node = Node::new(Address::new(cluster::KIND, &name), format!("sandbox {name}"), SECTION);
    node.inputs = json!(cluster::Inputs {
        name,
        deployment: spec.deployment.clone(),
        folder: spec.folder.clone(),
        nodes: spec.nodes,
        ports: spec.ports.clone(),
        kubeconfig: spec.kubeconfig.clone(),
    });
    node
}

/// Sets the behaviour of `sandbox-cluster` (that of `kubeconfig-context` is set with any provider's).
pub fn register(registry: &mut Registry, launcher: Arc<dyn Launcher>) {
    registry.register(cluster::KIND, cluster::SandboxCluster(launcher));
}

//! A small Kubernetes in one process, with pods as real processes.
//!
//! [`start`] makes one in a folder: API, controllers, and a node whose pods are processes in namespaces of their own. [`run`]
//! stays until it is told to stop; [`stop`], [`status`] and [`set_nodes`] are for other processes and need only the folder. The
//! program that uses this crate must call [`entry`] first thing in `main`.

mod bootstrap;
mod folder;
mod loopback;
mod ports;
mod run;
mod services;
mod settings;

pub use apiserver::Notice;
use apiserver::streams::PodStreams;
use apiserver::{Api, OpenError};
use controllers::Controllers;
pub use folder::{FolderError, Ready, State};
use futures::FutureExt;
pub use kubelet::{Disks, InvalidNodes, NodeCredential, NodeShape, RegistryMirror, Taint};
use kubelet::{Kubelet, KubeletOptions, PulledImages};
use ports::HostPorts;
pub use run::{RunError, SetNodesError, StopError, run, set_nodes, status, stop};
pub use runtime::{Availability, Capabilities, entry, preflight};
use runtime::{Node, NodeOptions};
pub use settings::{Settings, SettingsError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The port of the API inside the cluster's node.
const CLUSTER_PORT: u16 = 6443;

/// Called once, when the sandbox takes requests.
pub type ReadyCallback = Box<dyn FnOnce(&Ready) + Send>;

/// How a sandbox is to be.
pub struct Options {
    /// Its folder, made if it is not there. Everything it keeps is in it.
    pub folder: PathBuf,
    /// Where the API listens; port 0 for the one it had before, or else a free one.
    pub listen: SocketAddr,
    /// Folders of the machine that pods may mount with `hostPath`.
    pub host_folders: Vec<PathBuf>,
    /// Whether pods reach addresses beyond the cluster.
    pub outside_network: bool,
    /// How long pods may take to end when the sandbox stops.
    pub stop_grace: Duration,
    /// What it is to be beyond the usual, from now on; without, what its folder says.
    pub settings: Option<Settings>,
    /// Where it says what goes wrong while it runs.
    pub notice: Notice,
    /// Called once, when it takes requests.
    pub ready: Option<ReadyCallback>,
}

impl Options {
    /// The usual: a free port of the loopback address, nothing of the machine but the folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            host_folders: Vec::new(),
            outside_network: false,
            stop_grace: Duration::from_secs(10),
            settings: None,
            notice: Notice::default(),
            ready: None,
        }
    }
}

/// Why a sandbox could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its folder is taken or broken.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What it is asked to be cannot be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What it stored cannot be read.
    #[error("open what the sandbox stored")]
    Open(#[from] OpenError),
    /// The machine does not let it have pods.
    #[error("start the sandbox's node")]
    Node(#[from] runtime::StartError),
    /// The API's address cannot be had.
    #[error("listen on {address}; choose another port, or 0 for a free one")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One of the first objects was refused.
    #[error("make the sandbox's first objects")]
    Bootstrap(#[source] apiserver::Status),
    /// The node could not be registered or joined to the API.
    #[error("join the sandbox's node to its API: {0}")]
    Join(String),
}

/// A running sandbox. Dropping it kills everything that runs in it; [`Sandbox::stop`] ends it in order.
pub struct Sandbox {
    api: Api,
    kubelet: Kubelet,
    node: Node,
    ready: Mutex<Ready>,
    stop: CancellationToken,
    stop_grace: Duration,
    controllers: Option<Arc<Controllers>>,
    tasks: JoinSet<()>,
    folder: folder::Folder,
}

/// Starts a sandbox. Works inside a runtime of tokio's with at least one more thread to spare.
pub async fn start(options: Options) -> Result<Sandbox, StartError> {
    let folder = folder::Folder::open(&options.folder)?;
    let path = folder.path().to_owned();
    if let Some(settings) = &options.settings {
        settings.write(&path)?;
    }
    let settings = Settings::read(&path)?;
    let api = open_api(&path, &settings, options.notice);
    let node_options = NodeOptions { outside_network: options.outside_network, ..NodeOptions::new(path.join("node")) };
    let dns = node_options.dns;
    // The node does not wait for the objects, nor they for it.
    let (api, node) = tokio::join!(api, Node::start(node_options));
    let (api, node) = (api?, node?);
    let listener = listen(options.listen, &folder).await?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { address: options.listen, source })?;
    bootstrap::first_objects(&api, node.address(), CLUSTER_PORT, &settings.classes())
        .await
        .map_err(StartError::Bootstrap)?;
    let mut tasks = JoinSet::new();
    let stop = CancellationToken::new();
    let ports = HostPorts::new(api.clone(), node.clone(), settings.network());
    let controllers = Arc::new(controllers::start(api.clone(), controller_options(&path, &api, &node, &ports)));
    ports.tell(&controllers);
    let images = PulledImages::new(path.join("images"), settings.registries.clone()).map_err(StartError::Join)?;
    let kubelet_options = KubeletOptions {
        folder: path.join("kubelet"),
        own_folder: path.clone(),
        host_folders: options.host_folders,
        disks: settings.disks.clone().unwrap_or_default(),
        nodes: settings.wanted_nodes(),
        dns,
        images: Arc::new(images),
    };
    tasks.spawn(services::follow(api.clone(), node.clone(), ports, dns));
    let kubelet = Kubelet::start(api.clone(), node.clone(), kubelet_options).await;
    let kubelet = kubelet.map_err(StartError::Bootstrap)?;
    let streams: Arc<dyn PodStreams> = Arc::new(kubelet.clone());
    let inside = node.listen_in_cluster(std::net::SocketAddrV4::new(node.address(), CLUSTER_PORT)).await;
    let inside = inside.map_err(|error| StartError::Join(error.to_string()))?;
    for listener in [listener, inside] {
        let serve = apiserver::serve(api.clone(), listener, streams.clone(), stop.clone());
        // A listener that breaks is the end of requests only; the log of the process has nothing to add.
        tasks.spawn(async move { drop(serve.await) });
    }
    let credentials = api.credentials();
    let kubeconfig = credentials.kubeconfig(&format!("https://{address}"));
    let ready = folder.announce(address, (&kubeconfig, &credentials.authority), settings.generation)?;
    if let Some(callback) = options.ready {
        callback(&ready);
    }
    let (stop_grace, ready) = (options.stop_grace, Mutex::new(ready));
    Ok(Sandbox { api, kubelet, node, ready, stop, stop_grace, controllers: Some(controllers), tasks, folder })
}

async fn open_api(folder: &Path, settings: &Settings, notice: Notice) -> Result<Api, StartError> {
    let options = apiserver::Options {
        token_review: settings.token_review.clone(),
        version: settings.version.clone(),
        volume_drivers: settings.disks.iter().flat_map(|disks| disks.drivers.clone()).collect(),
        notice,
        ..apiserver::Options::default()
    };
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || Api::open(&folder, &options)).await;
    Ok(opened.map_err(|error| StartError::Join(error.to_string()))??)
}

fn controller_options(path: &Path, api: &Api, node: &Node, ports: &Arc<HostPorts>) -> controllers::Options {
    let authority = api.credentials().authority.clone();
    let mut options = controllers::Options::new(path.join("volumes"), authority);
    // Files of pods belong to users that only the node may act for.
    let node = node.clone();
    options.folders.remove = Arc::new(move |folder: PathBuf| {
        let node = node.clone();
        async move { node.remove_folder(&folder).await.map_err(io::Error::other) }.boxed()
    });
    let ports = Arc::downgrade(ports);
    options.load_balancer = Arc::new(move |service| ports.upgrade()?.balancer_address(service));
    options
}

/// The asked address; with port 0 the one that this folder's sandbox had before, when it is free.
async fn listen(asked: SocketAddr, folder: &folder::Folder) -> Result<TcpListener, StartError> {
    if asked.port() == 0
        && let Some(before) = folder.last_address().filter(|before| before.ip() == asked.ip())
        && let Ok(listener) = TcpListener::bind(before).await
    {
        return Ok(listener);
    }
    TcpListener::bind(asked).await.map_err(|source| StartError::Listen { address: asked, source })
}

impl Sandbox {
    /// Where it is and how to reach it.
    pub fn ready(&self) -> Ready {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the nodes that the settings in its folder say now. Pods of nodes that go are ended, each within its grace but at most 30
    /// seconds. Returns when that is done; nothing else of the settings changes before the next start.
    pub async fn reload(&self) -> Result<(), StartError> {
        let settings = Settings::read(self.folder.path())?;
        self.kubelet.set_nodes(&settings.wanted_nodes()).await.map_err(StartError::Bootstrap)?;
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.generation = settings.generation;
        self.folder.tell(&ready)?;
        Ok(())
    }

    /// Its API, in process.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Logs, commands and ports of its pods, in process.
    pub fn streams(&self) -> &dyn PodStreams {
        &self.kubelet
    }

    /// What of the machine its pods cannot have, a sentence each.
    pub fn limits(&self) -> Vec<String> {
        let capabilities = self.node.capabilities();
        let all = [
            ("limits of memory do not hold", &capabilities.memory_limits),
            ("limits of CPU do not hold", &capabilities.cpu_limits),
            ("all programs have one user", &capabilities.many_users),
        ];
        let told = all.into_iter().filter_map(|(what, availability)| match availability {
            Availability::No(why) => Some(format!("{what}: {why}")),
            Availability::Yes(_) => None,
        });
        told.collect()
    }

    /// Resolves when the node has died, which is the end of the sandbox.
    pub async fn node_stopped(&self) {
        self.node.stopped().await;
    }

    /// Ends all pods within their grace, at most the sandbox's own, and then everything else. Objects stay.
    pub async fn stop(mut self) {
        // Without controllers nobody starts anew what ends now.
        self.controllers = None;
        self.kubelet.stop(self.stop_grace).await;
        self.stop.cancel();
        self.node.stop().await;
        self.tasks.shutdown().await;
        let revision = self.api.revision();
        // What could not be written was never acknowledged.
        let _ = self.api.durable(revision).await;
        self.folder.withdraw();
        // Whoever starts it again at once must find its store free.
        let closing = self.api.closing();
        drop(self);
        closing.done().await;
    }
}

//! The kubelet: a worker for every pod of its nodes, fed by the API's changes.

use crate::events::Recorder;
use crate::images::Images;
use crate::pod::{self, Mailbox, Message};
use crate::read::{name, namespace, text, uid};
use crate::shape::NodeShape;
use crate::shared::Shared;
use crate::volumes::Disks;
use apiserver::{Api, Changed, ListOptions, Status, User};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

/// How often the nodes' objects say that the nodes are well.
const HEARTBEAT: Duration = Duration::from_mins(5);

/// How a kubelet is to be.
pub struct KubeletOptions {
    /// The kubelet's own folder: volumes and logs of pods.
    pub folder: PathBuf,
    /// The sandbox's folder: persistent volumes below it need no permission.
    pub own_folder: PathBuf,
    /// Folders of the machine that pods may mount.
    pub host_folders: Vec<PathBuf>,
    /// Folders that stand in for disks outside of the cluster.
    pub disks: Disks,
    /// Its nodes, which [`NodeShape::check`] finds right. All of them are this machine.
    pub nodes: Vec<NodeShape>,
    /// Where cluster names are asked for.
    pub dns: Ipv4Addr,
    /// Where images come from.
    pub images: Arc<dyn Images>,
}

/// Runs the pods that are bound to its nodes. Clones are the same kubelet.
#[derive(Clone)]
pub struct Kubelet {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    workers: Mutex<Workers>,
    /// Held by the one who changes the nodes.
    changing: tokio::sync::Mutex<()>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Workers {
    by_uid: HashMap<String, Worker>,
    /// Which pods refer to an object: plural, namespace and name.
    referring: HashMap<(&'static str, String, String), HashSet<String>>,
    stopped: bool,
}

struct Worker {
    mailbox: Mailbox,
    task: JoinHandle<()>,
    refers: Vec<(&'static str, String, String)>,
}

impl Kubelet {
    /// Registers the nodes and takes up the pods that are bound to them. Nodes of an earlier time that are not among them go.
    ///
    /// # Errors
    /// A node's object cannot be written.
    pub async fn start(api: Api, node: runtime::Node, options: KubeletOptions) -> Result<Self, Status> {
        let by = User::system("kubelet");
        std::fs::create_dir_all(&options.folder).map_err(Status::internal)?;
        let shared = Arc::new(Shared {
            events: Recorder::new(api.clone(), by.clone()),
            api,
            by,
            node,
            places: Mutex::default(),
            images: options.images,
            folder: options.folder,
            own_folder: options.own_folder,
            disks: options.disks,
            host_folders: options.host_folders,
            dns: options.dns,
            instances: Mutex::default(),
            attachments: crate::volumes::Attachments::default(),
            seen: Mutex::default(),
        });
        let (workers, changing, tasks) = Default::default();
        let kubelet = Self { inner: Arc::new(Inner { shared, workers, changing, tasks }) };
        let changes = kubelet.shared().api.changes();
        kubelet.set_nodes(&options.nodes).await?;
        kubelet.remove_leftovers();
        let follow = tokio::spawn(kubelet.clone().follow(changes));
        let heartbeat = tokio::spawn(kubelet.clone().heartbeat());
        kubelet.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend([follow, heartbeat]);
        Ok(kubelet)
    }

    pub(crate) fn changing(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.changing
    }

    /// Whether a pod has a worker here.
    pub(crate) fn runs(&self, uid: &str) -> bool {
        self.workers().by_uid.contains_key(uid)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    fn workers(&self) -> std::sync::MutexGuard<'_, Workers> {
        self.inner.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all pods within their grace, but at most `grace`; their objects stay as they are.
    pub async fn stop(&self, grace: Duration) {
        let tasks = {
            let mut workers = self.workers();
            workers.stopped = true;
            let grace_seconds = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
            for worker in workers.by_uid.values() {
                let _ = worker.mailbox.send(Message::NodeStops { grace_seconds });
            }
            workers.by_uid.drain().map(|(_, worker)| worker.task).collect::<Vec<_>>()
        };
        let patience = grace + Duration::from_secs(2);
        // What is left then ends with the node.
        let _ = tokio::time::timeout(patience, futures::future::join_all(tasks)).await;
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(|task| task.abort());
    }

    async fn heartbeat(self) {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let shared = self.shared();
            for place in shared.all_places() {
                // The next one tells as well.
                let _ = crate::node::heartbeat(&shared.api, &shared.by, &shared.node, &place).await;
            }
        }
    }

    async fn follow(self, mut changes: apiserver::Changes) {
        loop {
            match changes.recv().await {
                Ok(change) => self.take(&change),
                Err(RecvError::Lagged(_)) => self.take_up(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Everything as it is now: at the start, and when changes were missed.
    pub(crate) fn take_up(&self) {
        // A list of everything cannot be refused. Pods without a node are passed over one by one.
        let pods = self.shared().api.list(kinds::PODS, None, &ListOptions::default());
        let pods = pods.map(|list| list.items).unwrap_or_default();
        let known = pods.iter().map(|pod| uid(pod).to_owned()).collect::<HashSet<_>>();
        for pod in &pods {
            self.take_pod(pod, false);
        }
        let workers = self.workers();
        for (uid, worker) in &workers.by_uid {
            let message = if known.contains(uid) { Message::Related } else { Message::Gone };
            let _ = worker.mailbox.send(message);
        }
    }

    /// Folders of pods that went while the node was away.
    fn remove_leftovers(&self) {
        let pods = self.shared().folder.join("pods");
        let workers = self.workers();
        for entry in std::fs::read_dir(&pods).into_iter().flatten().flatten() {
            let uid = entry.file_name().to_string_lossy().into_owned();
            if !workers.by_uid.contains_key(&uid) {
                let shared = self.shared().clone();
                tokio::spawn(async move {
                    // What cannot be removed now is tried again at the next start.
                    let _ = shared.node.remove_folder(&shared.pod_folder(&uid)).await;
                });
            }
        }
    }

    fn take(&self, change: &Changed) {
        if change.resource == kinds::PODS {
            return self.take_pod(&change.object, change.removed);
        }
        let interesting = [kinds::CONFIG_MAPS, kinds::SECRETS, kinds::PERSISTENT_VOLUME_CLAIMS];
        if interesting.contains(&change.resource) {
            let key = (change.resource.plural, change.namespace.to_string(), change.name.to_string());
            let workers = self.workers();
            for uid in workers.referring.get(&key).into_iter().flatten() {
                if let Some(worker) = workers.by_uid.get(uid) {
                    let _ = worker.mailbox.send(Message::Related);
                }
            }
        }
    }

    fn take_pod(&self, pod: &Arc<Value>, removed: bool) {
        if !self.shared().serves(text(&pod["spec"], "nodeName")) {
            return;
        }
        let mut workers = self.workers();
        let own = uid(pod);
        if removed {
            if let Some(worker) = workers.by_uid.remove(own) {
                let _ = worker.mailbox.send(Message::Gone);
                for key in worker.refers {
                    if let Some(pods) = workers.referring.get_mut(&key) {
                        pods.remove(own);
                        if pods.is_empty() {
                            workers.referring.remove(&key);
                        }
                    }
                }
            }
            return;
        }
        if let Some(worker) = workers.by_uid.get(own) {
            let _ = worker.mailbox.send(Message::Object(pod.clone()));
            return;
        }
        if workers.stopped {
            return;
        }
        let place = namespace(pod).to_owned();
        let refers = crate::objects::referred(pod).into_iter();
        let refers = refers.map(|(resource, name)| (resource.plural, place.clone(), name)).collect::<Vec<_>>();
        for key in &refers {
            workers.referring.entry(key.clone()).or_default().insert(own.to_owned());
        }
        let (mailbox, task) = pod::start(self.shared().clone(), pod.clone());
        debug_assert!(!name(pod).is_empty());
        workers.by_uid.insert(own.to_owned(), Worker { mailbox, task, refers });
    }
}

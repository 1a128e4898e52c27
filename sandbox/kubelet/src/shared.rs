//! What all pods share.

use crate::events::Recorder;
use crate::images::Images;
use crate::node::Place;
use crate::volumes::{Attachments, Disks};
use apiserver::{Api, User};
use jiff::Timestamp;
use runtime::Node;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What all pods share.
pub struct Shared {
    /// The API.
    pub api: Api,
    /// The kubelet as a caller of it.
    pub by: User,
    /// Where pods run.
    pub node: Node,
    /// The nodes, by name.
    pub places: Mutex<BTreeMap<String, Arc<Place>>>,
    /// Images.
    pub images: Arc<dyn Images>,
    /// Events.
    pub events: Recorder,
    /// The kubelet's own folder.
    pub folder: PathBuf,
    /// The whole sandbox's folder: persistent volumes below it need no permission.
    pub own_folder: PathBuf,
    /// Folders that stand in for disks.
    pub disks: Disks,
    /// Folders of the machine that pods may mount.
    pub host_folders: Vec<PathBuf>,
    /// Where cluster names are asked for.
    pub dns: std::net::Ipv4Addr,
    /// The instances that run or ran last, by pod and container.
    pub instances: Mutex<HashMap<(String, String), Instance>>,
    /// Volumes that one node alone may have.
    pub attachments: Attachments,
    /// When pods were first seen.
    pub seen: Mutex<HashMap<String, Timestamp>>,
}

/// One instance of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name on the node.
    pub id: String,
    /// Its number, which names its log.
    pub attempt: u32,
    /// Whether it still runs.
    pub runs: bool,
    /// The signal that asks it to end.
    pub stop_signal: i32,
}

impl Shared {
    /// Where a pod's files are.
    pub fn pod_folder(&self, uid: &str) -> PathBuf {
        self.folder.join("pods").join(uid)
    }

    /// The log of an instance.
    pub fn log(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod_folder(uid).join("logs").join(container).join(format!("{attempt}.log"))
    }

    /// The latest instance of a container.
    pub fn instance(&self, uid: &str, container: &str) -> Option<Instance> {
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        instances.get(&(uid.to_owned(), container.to_owned())).cloned()
    }

    /// Remembers an instance.
    pub fn remember(&self, uid: &str, container: &str, instance: Instance) {
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        instances.insert((uid.to_owned(), container.to_owned()), instance);
    }

    /// Remembers when a pod was first seen.
    pub fn see(&self, uid: &str, at: Timestamp) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).entry(uid.to_owned()).or_insert(at);
    }

    /// When a pod was first seen, to the nanosecond; empty for one that never was.
    pub fn seen(&self, uid: &str) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(uid).map(Timestamp::to_string).unwrap_or_default()
    }

    /// Forgets a pod.
    pub fn forget(&self, uid: &str) {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner).retain(|(pod, _), _| pod != uid);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        self.attachments.detach(uid);
        self.events.forget(uid);
    }
}

//! Events of pods: repeated ones are counted.

use crate::read::{moment, name, namespace, text, uid};
use apiserver::{Api, User, WriteOptions};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many different events are remembered for counting.
const REMEMBERED: usize = 4096;

/// Writes events without making anybody wait.
pub struct Recorder {
    api: Api,
    by: User,
    written: Mutex<HashMap<Key, (String, u32)>>,
}

type Key = (String, String, &'static str, String);

impl Recorder {
    /// Events of the kubelets of all nodes.
    pub fn new(api: Api, by: User) -> Self {
        Self { api, by, written: Mutex::default() }
    }

    /// Something usual about a pod, or about one of its containers.
    pub fn normal(&self, pod: &Value, container: Option<&str>, reason: &'static str, message: &str) {
        self.record(pod, container, "Normal", reason, message);
    }

    /// Something wrong about a pod, or about one of its containers.
    pub fn warning(&self, pod: &Value, container: Option<&str>, reason: &'static str, message: &str) {
        self.record(pod, container, "Warning", reason, message);
    }

    fn record(&self, pod: &Value, container: Option<&str>, kind: &str, reason: &'static str, message: &str) {
        let path = container.map(|container| field_path(pod, container)).unwrap_or_default();
        let key = (uid(pod).to_owned(), path.clone(), reason, message.to_owned());
        let now = Timestamp::now();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= REMEMBERED {
            written.clear();
        }
        let fresh = format!("{}.{:016x}", name(pod), now.as_nanosecond());
        let (event, count) = written.entry(key).and_modify(|(_, count)| *count += 1).or_insert((fresh, 1));
        let (event, count) = (event.clone(), *count);
        drop(written);
        let object = object(pod, &path, (kind, reason, message), &event, count, now);
        let (api, by, place) = (self.api.clone(), self.by.clone(), namespace(pod).to_owned());
        tokio::spawn(async move {
            if count > 1 {
                let last = object["lastTimestamp"].clone();
                let counted = api.modify(&by, kinds::EVENTS, None, (&place, &event), |known| {
                    known["count"] = count.into();
                    known["lastTimestamp"] = last.clone();
                    true
                });
                if counted.await.is_ok() {
                    return;
                }
            }
            // An event that cannot be written, as in a namespace that goes, is nobody's loss.
            let _ = api.create(&by, kinds::EVENTS, &place, object, &WriteOptions::default()).await;
        });
    }

    /// Forgets what it counted of a pod.
    pub fn forget(&self, pod: &str) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| key.0 != pod);
    }
}

/// The event itself, by the kubelet of the pod's node.
fn object(
    pod: &Value,
    path: &str,
    (kind, reason, message): (&str, &str, &str),
    event: &str,
    count: u32,
    now: Timestamp,
) -> Value {
    let mut involved = json!({
        "apiVersion": "v1", "kind": "Pod", "name": name(pod), "namespace": namespace(pod),
        "resourceVersion": pod["metadata"]["resourceVersion"], "uid": uid(pod),
    });
    if !path.is_empty() {
        involved["fieldPath"] = path.into();
    }
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": { "name": event, "namespace": namespace(pod) },
        "involvedObject": involved,
        "reason": reason, "message": message, "type": kind,
        "source": { "component": "kubelet", "host": text(&pod["spec"], "nodeName") },
        "firstTimestamp": moment(now), "lastTimestamp": moment(now), "count": count,
        "reportingComponent": "kubelet", "reportingInstance": text(&pod["spec"], "nodeName"),
    })
}

fn field_path(pod: &Value, container: &str) -> String {
    let init = crate::read::list(&pod["spec"]["initContainers"]);
    let list = if init.iter().any(|each| text(each, "name") == container) { "initContainers" } else { "containers" };
    format!("spec.{list}{{{container}}}")
}

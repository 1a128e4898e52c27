//! A cluster without processes: the API, the controllers, and a stand-in for the kubelet.

#![allow(dead_code, clippy::needless_pass_by_value)]

use apiserver::{Api, DeleteOptions, ListOptions, Propagation, Selector, User, WriteOptions};
use controllers::{Controllers, Options};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// The API in a folder of its own, with controllers and one node.
pub struct Cluster {
    pub api: Api,
    pub folder: TempDir,
    pub by: User,
    _controllers: Controllers,
    kubelet: JoinHandle<()>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kubelet.abort();
    }
}

impl Cluster {
    /// With a node of this size, and the namespace `default`.
    pub async fn with_node(cpu: &str, pods: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let api = Api::open(&folder.path().join("api"), &apiserver::Options::default()).unwrap();
        let by = User::system("test");
        let mut options = Options::new(folder.path().join("volumes"), "certificate".to_owned());
        options.load_balancer = Arc::new(|_| Some([127, 0, 0, 1].into()));
        let controllers = controllers::start(api.clone(), options);
        let kubelet = tokio::spawn(kubelet(api.clone()));
        let cluster = Self { api, folder, by, _controllers: controllers, kubelet };
        if cluster.api.get(kinds::NAMESPACES, "", "default").is_err() {
            cluster.namespace("default").await;
        }
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "sandbox"}});
        cluster.create(kinds::NODES, node).await;
        let allocatable = json!({"cpu": cpu, "memory": "8Gi", "pods": pods});
        let size = |node: &mut Value| {
            node["status"]["allocatable"] = allocatable.clone();
            node["status"]["capacity"] = allocatable.clone();
            true
        };
        cluster.api.modify(&cluster.by, kinds::NODES, Some("status"), ("", "sandbox"), size).await.unwrap();
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": controllers::PROVISIONER, "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer"});
        cluster.create(kinds::STORAGE_CLASSES, class).await;
        cluster
    }

    pub async fn namespace(&self, name: &str) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.create(kinds::NAMESPACES, namespace).await;
        let account = |cluster: &Self| cluster.api.get(kinds::SERVICE_ACCOUNTS, name, "default").ok();
        self.until("the default service account", |cluster| account(cluster)).await;
    }

    pub async fn create(&self, resource: &'static kinds::Resource, mut object: Value) -> Arc<Value> {
        let namespace =
            if resource.namespaced { object["metadata"]["namespace"].as_str().unwrap_or("default") } else { "" };
        let namespace = namespace.to_owned();
        if resource.namespaced {
            object["metadata"]["namespace"] = namespace.clone().into();
        }
        self.api.create(&self.by, resource, &namespace, object, &WriteOptions::default()).await.unwrap()
    }

    pub async fn change(&self, resource: &'static kinds::Resource, name: &str, change: impl Fn(&mut Value)) {
        let namespace = if resource.namespaced { "default" } else { "" };
        let change = |object: &mut Value| {
            change(object);
            true
        };
        self.api.modify(&self.by, resource, None, (namespace, name), change).await.unwrap();
    }

    pub async fn delete(&self, resource: &'static kinds::Resource, name: &str, propagation: Propagation) {
        let namespace = if resource.namespaced { "default" } else { "" };
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        self.api.delete(&self.by, resource, (namespace, name), &options).await.unwrap();
    }

    pub fn get(&self, resource: &'static kinds::Resource, name: &str) -> Option<Arc<Value>> {
        self.api.get(resource, if resource.namespaced { "default" } else { "" }, name).ok()
    }

    pub fn list(&self, resource: &'static kinds::Resource, labels: &str) -> Vec<Arc<Value>> {
        let options = ListOptions::labelled(Selector::parse(labels).unwrap());
        self.api.list(resource, None, &options).unwrap().items
    }

    /// Waits until there is an answer; after half a minute it is known not to come.
    pub async fn until<T>(&self, what: &str, answer: impl Fn(&Self) -> Option<T>) -> T {
        for _ in 0..3000 {
            if let Some(answer) = answer(self) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let told: Vec<String> = self
            .api
            .list(kinds::EVENTS, None, &ListOptions::default())
            .unwrap()
            .items
            .iter()
            .map(|event| format!("{} {}: {}", event["involvedObject"]["name"], event["reason"], event["message"]))
            .collect();
        panic!("never came: {what}\n{}", told.join("\n"));
    }

    /// Waits until an event of this reason is told of this object; gives its message.
    pub async fn event(&self, object: &str, reason: &str) -> String {
        self.until(&format!("event {reason} of {object}"), |cluster| {
            let events = cluster.list(kinds::EVENTS, "");
            let event = events
                .into_iter()
                .find(|event| event["involvedObject"]["name"] == object && event["reason"] == reason)?;
            Some(event["message"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }
}

/// The condition of this type, if it has this status.
pub fn condition(object: &Value, kind: &str, status: &str) -> Option<Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|each| each["type"] == kind && each["status"] == status).cloned()
}

/// Runs pods by their annotation `fate`: `run` (the default), `succeed`, `fail`, `stuck`.
async fn kubelet(api: Api) {
    let mut changes = api.changes();
    loop {
        let news = match changes.recv().await {
            Ok(news) => news,
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => continue,
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        };
        if news.resource == kinds::PODS && !news.removed {
            let (api, namespace, name) = (api.clone(), news.namespace, news.name);
            tokio::spawn(async move { act(&api, &namespace, &name).await });
        }
    }
}

async fn act(api: &Api, namespace: &str, name: &str) {
    let by = User::system("kubelet");
    let Ok(pod) = api.get(kinds::PODS, namespace, name) else { return };
    let place = (namespace, name);
    if pod["spec"]["nodeName"].as_str().unwrap_or_default().is_empty() {
        return;
    }
    if pod["metadata"].get("deletionTimestamp").is_some() {
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        let _ = api.modify(&by, kinds::PODS, Some("status"), place, |pod| finish(pod, "Failed", 137)).await;
        // Somebody else may write to the pod at the same time; a kubelet tries again.
        for _ in 0..10 {
            match api.delete(&by, kinds::PODS, place, &options).await {
                Err(status) if !status.is_not_found() => tokio::time::sleep(Duration::from_millis(20)).await,
                _ => return,
            }
        }
        return;
    }
    let written = match pod["metadata"]["annotations"]["fate"].as_str().unwrap_or("run") {
        "succeed" => api.modify(&by, kinds::PODS, Some("status"), place, |pod| finish(pod, "Succeeded", 0)).await,
        "fail" => api.modify(&by, kinds::PODS, Some("status"), place, |pod| finish(pod, "Failed", 1)).await,
        "stuck" => return,
        _ => api.modify(&by, kinds::PODS, Some("status"), place, run).await,
    };
    drop(written);
}

fn run(pod: &mut Value) -> bool {
    if pod["status"]["phase"] != "Pending" {
        return false;
    }
    let now = jiff::Timestamp::now().to_string();
    pod["status"]["phase"] = "Running".into();
    pod["status"]["podIP"] = "10.244.0.7".into();
    pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True", "lastTransitionTime": now}]);
    true
}

fn finish(pod: &mut Value, phase: &str, code: i64) -> bool {
    if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return false;
    }
    let now = jiff::Timestamp::now().to_string();
    pod["status"]["phase"] = phase.into();
    pod["status"]["containerStatuses"] = json!([{"name": "c", "image": "i", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"terminated": {"exitCode": code, "finishedAt": now}}}]);
    pod["status"]["conditions"] = json!([{"type": "Ready", "status": "False", "lastTransitionTime": now}]);
    true
}

/// A pod template with this fate.
pub fn template(app: &str, fate: &str, cpu: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}, "annotations": {"fate": fate}},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]}})
}

/// A deployment of these pods.
pub fn deployment(name: &str, replicas: i64, template: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}})
}

/// A job of these pods.
pub fn job(name: &str, fields: Value, fate: &str) -> Value {
    let mut template = template(name, fate, "10m");
    template["spec"]["restartPolicy"] = "Never".into();
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": fields});
    job["spec"]["template"] = template;
    job
}

/// A pod with this request.
pub fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
    pod["spec"]["containers"] = json!([{"name": "c", "image": "i",
        "resources": {"requests": {"cpu": pod["spec"].get("cpu").cloned().unwrap_or_else(|| json!("10m"))}}}]);
    pod["spec"].as_object_mut().unwrap().shift_remove("cpu");
    pod
}

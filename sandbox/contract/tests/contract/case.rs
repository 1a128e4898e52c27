//! What one statement works with: a namespace of its own, calls, waiting, and what it saw.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::normal::Names;
use contract::recording::Seen;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::cluster::{Answer, Caller, Cluster, text};
use crate::kinds;

/// The image whose program does what its arguments say.
pub const IMAGE: &str = "contract-tool:1";

/// One run of one statement.
pub struct Case {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// Calls as the administrator.
    pub caller: Caller,
    /// The statement's own namespace.
    pub namespace: String,
    names: Mutex<Names>,
    seen: Mutex<Seen>,
    leftovers: Mutex<Vec<String>>,
}

impl Case {
    /// Makes the namespace and waits until pods can be made in it.
    pub async fn open(cluster: Arc<Cluster>) -> Self {
        let namespace = cluster.fresh_name();
        let mut names = cluster.names();
        names.call(&namespace, "NAMESPACE");
        let case = Self {
            caller: Caller(cluster.client.clone()),
            cluster,
            namespace: namespace.clone(),
            names: Mutex::new(names),
            seen: Mutex::default(),
            leftovers: Mutex::default(),
        };
        case.create(json!({"kind": "Namespace", "metadata": {"name": namespace}})).await.object();
        case.until("ServiceAccount", "default", |_| true).await;
        case.until("ConfigMap", "kube-root-ca.crt", |_| true).await;
        case
    }

    /// Removes what the statement made; what lies in the namespace goes with it.
    pub async fn close(&self) {
        let leftovers = std::mem::take(&mut *self.leftovers.lock().unwrap());
        for path in leftovers {
            self.caller.call("DELETE", &path, "", None).await;
        }
        let options = json!({"propagationPolicy": "Background"});
        self.caller.call("DELETE", &self.path("Namespace", &self.namespace), "application/json", Some(&options)).await;
    }

    /// What was seen.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Records what a client saw.
    pub fn see(&self, label: &str, value: impl Into<Value>) {
        let value = self.names.lock().unwrap().value(&value.into());
        let before = self.seen.lock().unwrap().insert(label.to_owned(), value);
        assert!(before.is_none(), "{label:?} was seen twice");
    }

    /// The path of an object, or of all of a kind where the name is empty.
    pub fn path(&self, kind: &str, name: &str) -> String {
        let all = kinds::path(kind, &self.namespace);
        if name.is_empty() { all } else { format!("{all}/{name}") }
    }

    /// Creates an object: version and namespace are filled in.
    pub async fn create(&self, object: Value) -> Answer {
        self.create_with("", object).await
    }

    /// Creates an object with a query such as `?dryRun=All`.
    pub async fn create_with(&self, query: &str, object: Value) -> Answer {
        let object = complete(object);
        let kind = kinds::of(&object);
        if !kinds::is_namespaced(kind) && kind != "Namespace" {
            let path = self.path(kind, object["metadata"]["name"].as_str().unwrap_or_default());
            self.leftovers.lock().unwrap().push(path);
        }
        let path = self.path(kind, "") + query;
        self.caller.call("POST", &path, "application/json", Some(&object)).await
    }

    /// Reads an object.
    pub async fn get(&self, kind: &str, name: &str) -> Answer {
        self.caller.call("GET", &self.path(kind, name), "", None).await
    }

    /// Lists a kind with a query such as `?limit=2`.
    pub async fn list(&self, kind: &str, query: &str) -> Answer {
        self.caller.call("GET", &(self.path(kind, "") + query), "", None).await
    }

    /// Replaces an object.
    pub async fn replace(&self, object: &Value) -> Answer {
        let object = complete(object.clone());
        let path = self.path(kinds::of(&object), object["metadata"]["name"].as_str().unwrap());
        self.caller.call("PUT", &path, "application/json", Some(&object)).await
    }

    /// Sends a patch of a type: `json`, `merge` or `strategic-merge`. The name may carry a subresource and a query.
    pub async fn patch(&self, patch_type: &str, kind: &str, name: &str, patch: Value) -> Answer {
        let content = format!("application/{patch_type}-patch+json");
        self.caller.call("PATCH", &self.path(kind, name), &content, Some(&patch)).await
    }

    /// Server-side apply by a manager.
    pub async fn apply(&self, manager: &str, object: Value) -> Answer {
        self.apply_with(manager, "", object).await
    }

    /// Server-side apply by a manager with more query, such as `&force=true`.
    pub async fn apply_with(&self, manager: &str, query: &str, object: Value) -> Answer {
        let object = complete(object);
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = format!("{}?fieldManager={manager}{query}", self.path(kinds::of(&object), name));
        self.caller.call("PATCH", &path, "application/apply-patch+yaml", Some(&object)).await
    }

    /// Deletes an object with options such as `{"propagationPolicy": "Orphan"}`.
    pub async fn delete(&self, kind: &str, name: &str, options: Value) -> Answer {
        self.caller.call("DELETE", &self.path(kind, name), "application/json", Some(&options)).await
    }

    /// Waits until an object is as wanted.
    pub async fn until(&self, kind: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("{}?watch=1&fieldSelector=metadata.name%3D{name}", self.path(kind, ""));
        self.until_event(&path, |event| event["type"] != "DELETED" && wanted(&event["object"])).await["object"].take()
    }

    /// Waits for an event of a watch, which is opened anew where the server ends it.
    async fn until_event(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let last = Mutex::new(Value::Null);
        let search = async {
            loop {
                let events = self.caller.watch(path, |event| {
                    *last.lock().unwrap() = event.clone();
                    wanted(event)
                });
                if let Some(event) = events.await.pop().filter(|event| wanted(event)) {
                    return event;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let found = tokio::time::timeout(self.cluster.patience, search).await;
        found.unwrap_or_else(|_| {
            let mut last = last.lock().unwrap().take();
            if let Some(metadata) = last["object"]["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
            panic!("waited in vain on {path}; last: {last}")
        })
    }

    /// Waits until an object is gone.
    pub async fn until_gone(&self, kind: &str, name: &str) {
        self.until_answer(kind, name, |answer| answer.code == 404).await;
    }

    /// Asks again until the answer is as wanted: for what no watch tells.
    pub async fn until_answer(&self, kind: &str, name: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let begin = std::time::Instant::now();
        loop {
            let answer = self.get(kind, name).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(
                begin.elapsed() < self.cluster.patience,
                "waited in vain for {kind} {name}: {} {}",
                answer.code,
                answer.body
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until as many objects of a kind match a selector, and returns them.
    pub async fn until_count(&self, kind: &str, query: &str, count: usize) -> Vec<Value> {
        self.until_list(kind, query, |items| items.len() == count).await
    }

    /// Waits until the list of a kind is as wanted.
    pub async fn until_list(&self, kind: &str, query: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let begin = std::time::Instant::now();
        loop {
            let items = self.list(kind, query).await.items();
            if wanted(&items) {
                return items;
            }
            assert!(
                begin.elapsed() < self.cluster.patience,
                "waited in vain for {kind}{query}: {}",
                Value::from(items)
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits for the first event about an object with a reason: type, reason and message.
    pub async fn event(&self, name: &str, reason: &str) -> Value {
        let path =
            format!("{}?watch=1&fieldSelector=involvedObject.name%3D{name},reason%3D{reason}", self.path("Event", ""));
        let event = self.until_event(&path, |event| event["type"] == "ADDED").await;
        let event = &event["object"];
        json!({"type": event["type"], "reason": event["reason"], "message": event["message"]})
    }

    /// What a program in a pod printed.
    pub async fn logs(&self, pod: &str, query: &str) -> Value {
        let path = format!("{}/log{query}", self.path("Pod", pod));
        let answer = self.caller.call("GET", &path, "", None).await;
        // A log that happens to be a number is a text nevertheless.
        if answer.code >= 400 { answer.verdict() } else { text_of(answer.body) }
    }

    /// Follows what a program in a pod prints, from now on to its end, whatever becomes of the pod.
    pub fn follow(&self, pod: &str) -> tokio::task::JoinHandle<Value> {
        let (caller, path) = (self.caller.clone(), format!("{}/log?follow=true", self.path("Pod", pod)));
        tokio::spawn(async move {
            let mut said = Vec::new();
            let mut lines = caller.lines(&path).await.unwrap_or_else(|answer| panic!("{path}: {}", answer.verdict()));
            while let Some(Ok(line)) = lines.next().await {
                said.push(Value::from(line));
            }
            said.into()
        })
    }

    /// Runs a pod to its end and returns what it printed.
    pub async fn run(&self, pod: Value) -> Value {
        let created = self.create(pod).await.object();
        let name = text(&created["metadata"]["name"]);
        self.until("Pod", &name, is_finished).await;
        self.logs(&name, "").await
    }

    /// Creates a pod and waits until it is ready.
    pub async fn ready_pod(&self, pod: Value) -> Value {
        let created = self.create(pod).await.object();
        self.until("Pod", created["metadata"]["name"].as_str().unwrap(), is_ready).await
    }

    /// Starts kubectl in the statement's namespace.
    pub fn start_kubectl(&self, line: &str) -> Child {
        let line =
            line.replace("NAMESPACE", &self.namespace).replace("NODE", &text(&self.cluster.node["metadata"]["name"]));
        let mut command = Command::new("kubectl");
        command
            .args(["--kubeconfig".as_ref(), self.cluster.kubeconfig.as_os_str()])
            .args(["--cache-dir".as_ref(), self.cluster.cache.path().as_os_str()])
            .args(["--namespace", &self.namespace])
            .args(words(&line))
            .env("LC_ALL", "C")
            .env_remove("KUBECTL_EXTERNAL_DIFF")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().expect("kubectl is on PATH")
    }

    /// Runs kubectl to its end: exit code and both outputs, comparable. It is not recorded.
    pub async fn kubectl_quietly(&self, line: &str, input: &str) -> Value {
        let mut child = self.start_kubectl(line);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = tokio::time::timeout(self.cluster.patience, child.wait_with_output());
        let output = output.await.unwrap_or_else(|_| panic!("kubectl {line} does not end")).unwrap();
        let names = self.names.lock().unwrap();
        let lines = |bytes: &[u8]| -> Vec<String> {
            names.printed(&String::from_utf8_lossy(bytes)).lines().map(str::to_owned).collect()
        };
        let mut result = json!({"out": lines(&output.stdout)});
        if !output.stderr.is_empty() {
            result["err"] = lines(&output.stderr).into();
        }
        if !output.status.success() {
            result["code"] = output.status.code().into();
        }
        result
    }

    /// Runs kubectl and records what it printed.
    pub async fn kubectl(&self, line: &str) {
        self.kubectl_with(line, &Value::Null).await;
    }

    /// Runs kubectl with an object on its standard input, and records what it printed.
    pub async fn kubectl_with(&self, line: &str, input: &Value) {
        let input = if input.is_null() { String::new() } else { complete(input.clone()).to_string() };
        let mut label = format!("kubectl {line}");
        while self.seen.lock().unwrap().contains_key(&label) {
            label += " (again)";
        }
        let result = self.kubectl_quietly(line, &input).await;
        self.seen.lock().unwrap().insert(label, result);
    }
}

/// An object with the version of its kind, and those inside of a list, too.
pub fn complete(mut object: Value) -> Value {
    if object["apiVersion"].is_null() {
        let kind = object["kind"].as_str().unwrap_or_default();
        object["apiVersion"] = if kind == "List" { "v1".into() } else { kinds::version(kind).into() };
    }
    if let Some(items) = object.get_mut("items").and_then(Value::as_array_mut) {
        for item in items {
            *item = complete(item.take());
        }
    }
    object
}

/// A body that may have been taken for JSON, as the text that it was.
fn text_of(body: Value) -> Value {
    match body {
        Value::String(text) => text.lines().map(Value::from).collect(),
        other => vec![Value::from(other.to_string())].into(),
    }
}

/// Words of a command line; single quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Whether a pod has ended.
pub fn is_finished(pod: &Value) -> bool {
    ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase)
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Value) -> bool {
    has_condition(pod, "Ready", "True")
}

/// A condition of an object.
pub fn condition<'a>(object: &'a Value, name: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == name).unwrap_or(&Value::Null)
}

/// Whether a condition of an object has a status.
pub fn has_condition(object: &Value, name: &str, status: &str) -> bool {
    condition(object, name)["status"] == status
}

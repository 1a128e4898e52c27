//! Objects that many statements need.

use serde_json::{Value, json};

use crate::case::IMAGE;

/// A container `main` of the tool with these steps.
pub fn container(steps: &[&str]) -> Value {
    json!({"name": "main", "image": IMAGE, "args": steps})
}

/// A pod with one container of the tool, which ends quickly when it is told to and is not started again.
pub fn pod(name: &str, steps: &[&str]) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": [container(steps)]},
    })
}

/// A pod whose container has more fields than those of [`container`].
pub fn pod_with(name: &str, steps: &[&str], more: Value) -> Value {
    let mut pod = pod(name, steps);
    merge(&mut pod["spec"]["containers"][0], more);
    pod
}

/// A pod whose specification has more fields than those of [`pod`].
pub fn pod_of(name: &str, steps: &[&str], more: Value) -> Value {
    let mut pod = pod(name, steps);
    merge(&mut pod["spec"], more);
    pod
}

/// A configuration map.
pub fn config_map(name: &str, data: Value) -> Value {
    json!({"kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// The template of pods labelled `app: NAME`, started again when they end.
pub fn template(name: &str, steps: &[&str]) -> Value {
    json!({
        "metadata": {"labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 5, "containers": [container(steps)]},
    })
}

/// A deployment, a replica set or a replication controller.
pub fn replicated(kind: &str, name: &str, replicas: u32, steps: &[&str]) -> Value {
    let selector =
        if kind == "ReplicationController" { json!({"app": name}) } else { json!({"matchLabels": {"app": name}}) };
    json!({
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": selector, "template": template(name, steps)},
    })
}

/// A job whose pods are not started again.
pub fn job(name: &str, steps: &[&str], more: Value) -> Value {
    let mut template = template(name, steps);
    template["spec"]["restartPolicy"] = "Never".into();
    let mut job = json!({"kind": "Job", "metadata": {"name": name}, "spec": {"template": template}});
    merge(&mut job["spec"], more);
    job
}

/// A service of the pods labelled `app: NAME` on port 80.
pub fn service(name: &str, port: u16, more: Value) -> Value {
    let mut service = json!({
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": port}]},
    });
    merge(&mut service["spec"], more);
    service
}

/// A claim of the default class.
pub fn claim(name: &str, mode: &str, size: &str) -> Value {
    json!({
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": size}}},
    })
}

/// Sets fields of an object, one level deep.
pub fn merge(object: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("fields are needed: {more}") };
    for (name, value) in more {
        object[name.as_str()] = value;
    }
}

/// The fields of a value by their names; those that are not there stay out.
pub fn pick(value: &Value, names: &[&str]) -> Value {
    let fields = names.iter().filter_map(|name| value.get(name).map(|it| ((*name).to_owned(), it.clone())));
    Value::Object(fields.collect())
}

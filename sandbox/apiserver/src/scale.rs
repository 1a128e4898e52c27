//! The subresource `scale`, and the binding of pods.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::write::{Request, Written};
use crate::{Api, Details, Patch, Status, User, metadata};

/// An object's `autoscaling/v1` Scale.
pub(crate) fn of(object: &Value) -> Value {
    let meta = &object["metadata"];
    let selector = &object["spec"]["selector"];
    let labels = selector.get("matchLabels").unwrap_or(selector).as_object();
    let mut labels: Vec<String> =
        labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    labels.sort();
    let replicas = |half: &str| object[half]["replicas"].as_i64().unwrap_or_default();
    // Zero is left out of the specification, as the real server does.
    let spec = if replicas("spec") == 0 { json!({}) } else { json!({"replicas": replicas("spec")}) };
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"], "creationTimestamp": meta["creationTimestamp"],
        },
        "spec": spec,
        "status": {"replicas": replicas("status"), "selector": labels.join(",")},
    })
}

/// A patched Scale. Its lists and maps are none, so that all merges of it are alike.
pub(crate) fn patched(scale: &Value, patch: &Patch) -> Result<Value, Status> {
    match patch {
        Patch::Json(patch) => {
            patches::json_patch(scale, patch).map_err(|error| Status::unprocessable(error.to_string()))
        }
        Patch::Merge(patch) | Patch::Strategic(patch) | Patch::Apply { config: patch, .. } => {
            Ok(patches::merge_patch(scale, patch))
        }
    }
}

impl Api {
    /// Changes an object through its scale.
    pub(crate) async fn scale_with(
        &self,
        request: &Request<'_>,
        change: impl FnOnce(&Value) -> Result<Value, Status>,
    ) -> Result<Written, Status> {
        let (resource, namespace, name) = (request.resource, request.namespace, request.name);
        self.locked(request, |writing| {
            let old = writing.get(resource, namespace, name).ok_or_else(|| Status::not_found(resource, name))?;
            let scale = change(&of(&old))?;
            let replicas = scale["spec"]["replicas"].as_i64().unwrap_or_default();
            if replicas < 0 {
                let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
                let told = format!("Scale.autoscaling \"{name}\" is invalid: spec.replicas: {message}");
                let mut status = Status::new(422, "Invalid", told);
                let cause = kinds::Cause { reason: "FieldValueInvalid", field: "spec.replicas".to_owned(), message };
                status.details = Some(Box::new(Details {
                    name: name.to_owned(),
                    group: "autoscaling".to_owned(),
                    kind: "Scale".to_owned(),
                    causes: vec![cause],
                    ..Details::default()
                }));
                return Err(status);
            }
            let mut new = (*old).clone();
            new["spec"]["replicas"] = json!(replicas);
            let version = metadata::text(&scale, "resourceVersion");
            if !version.is_empty() {
                metadata::of(&mut new)?.insert("resourceVersion".to_owned(), version.into());
            }
            self.replace(writing, request, &old, new, true)
        })
        .await
    }

    /// Gives a pod to a node, once. Resolves when that is durable.
    pub async fn bind(&self, by: &User, (namespace, name): (&str, &str), node: &str) -> Result<Arc<Value>, Status> {
        let refused = |why: String| {
            let message = format!("Operation cannot be fulfilled on pods/binding \"{name}\": {why}");
            Err(Status::new(409, "Conflict", message).about(kinds::PODS, name))
        };
        let pod = self.get(kinds::PODS, namespace, name)?;
        if metadata::is_deleted(&pod) {
            return refused(format!("pod {name} is being deleted, cannot be assigned to a host"));
        }
        let mut taken = None;
        let bound = self.modify(by, kinds::PODS, Some("binding"), (namespace, name), |pod| {
            taken = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()).map(str::to_owned);
            if taken.is_some() {
                return false;
            }
            pod["spec"]["nodeName"] = json!(node);
            scheduled(pod);
            true
        });
        let bound = bound.await?;
        match taken {
            Some(other) => refused(format!("pod {name} is already assigned to node \"{other}\"")),
            None => Ok(bound),
        }
    }
}

/// Notes that the pod has its node.
fn scheduled(pod: &mut Value) {
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": metadata::now(),
    });
    let conditions = &mut pod["status"]["conditions"];
    match conditions.as_array_mut() {
        Some(list) => {
            list.retain(|each| each["type"] != "PodScheduled");
            list.push(condition);
        }
        None => *conditions = json!([condition]),
    }
}

use std::collections::BTreeMap;

use engine::Blocker;
use k8s_openapi::api::core::v1::{Event, Pod};
use providers::kubernetes::{Client, Identity, Kind, KubernetesError, Selection};
use serde::Serialize;
use serde_json::Value;

use crate::judge::{current_pods, judge};
use crate::manifest::DEPLOYMENT_LABEL;
use crate::scene::{Scene, Surroundings, Verdict, typed};

/// Kinds that have a status worth a line.
const KINDS: [(&str, &str); 5] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
];

/// How one workload of a deployment is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadStatus {
    /// Its kind, for example `Deployment`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// How far it is, for example `1 of 1 available`.
    pub detail: String,
    /// Its pods; during a rollout those of the new version.
    pub pods: Vec<PodStatus>,
    /// What keeps it from being ready.
    pub blockers: Vec<Blocker>,
}

/// How one pod is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PodStatus {
    /// Its name.
    pub name: String,
    /// Its phase, for example `Running`.
    pub phase: String,
    /// Whether it takes part in its services.
    pub ready: bool,
    /// How often its containers were started again.
    pub restarts: i32,
    /// The node it runs on.
    pub node: Option<String>,
}

/// How the workloads of a deployment are now, in the order of kind, namespace and name. One look, no waiting.
pub async fn status(client: &Client, deployment: &str) -> Result<Vec<WorkloadStatus>, KubernetesError> {
    let ours = Selection::default().labels(format!("{DEPLOYMENT_LABEL}={deployment}"));
    let lists = KINDS.map(|(api_version, kind)| {
        let (client, ours) = (&client, &ours);
        async move {
            match client.list(&Kind::new(api_version, kind), ours).await {
                // A cluster that does not have the kind has none of it.
                Err(KubernetesError::NotFound(_)) => Ok(Vec::new()),
                listed => listed,
            }
        }
    });
    let lists = futures::future::try_join_all(lists).await?;
    let pods: Vec<Pod> = lists.last().map(|pods| typed(pods.clone())).unwrap_or_default();
    let objects: Vec<Value> = lists.into_iter().flatten().filter(is_own).collect();
    let mut around: BTreeMap<String, (Vec<_>, Surroundings)> = BTreeMap::new();
    let mut statuses = Vec::new();
    for object in objects {
        let Some(identity) = Identity::of(&object) else { continue };
        let namespace = identity.namespace.clone().unwrap_or_default();
        let now = jiff::Timestamp::now();
        let mut scene = Scene { now, pods: pods_of(&object, &pods), object: Some(object), ..Scene::default() };
        let mut verdict = judge(&scene);
        if !matches!(verdict, Verdict::Ready(_)) {
            if !around.contains_key(&namespace) {
                around.insert(namespace.clone(), Box::pin(look_around(client, &namespace)).await?);
            }
            let (events, surroundings) = &around[&namespace];
            scene.events.clone_from(events);
            scene.surroundings = Some(surroundings.clone());
            verdict = judge(&scene);
        }
        statuses.push(describe(&identity, &scene, verdict));
    }
    Ok(statuses)
}

/// Not a part of another workload.
fn is_own(object: &Value) -> bool {
    object["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty)
}

fn pods_of(object: &Value, pods: &[Pod]) -> Vec<Pod> {
    let namespace = object["metadata"]["namespace"].as_str();
    let in_namespace = pods.iter().filter(|pod| pod.metadata.namespace.as_deref() == namespace);
    if object["kind"] == "Pod" {
        let uid = object["metadata"]["uid"].as_str();
        return in_namespace.filter(|pod| pod.metadata.uid.as_deref() == uid).cloned().collect();
    }
    let wanted = object["spec"]["selector"]["matchLabels"].as_object();
    let fits = |pod: &&Pod| {
        let labels = pod.metadata.labels.as_ref();
        wanted.is_some_and(|wanted| {
            wanted
                .iter()
                .all(|(name, value)| labels.and_then(|labels| labels.get(name)).map(String::as_str) == value.as_str())
        })
    };
    in_namespace.filter(fits).cloned().collect()
}

async fn look_around(client: &Client, namespace: &str) -> Result<(Vec<Event>, Surroundings), KubernetesError> {
    let events = Kind::new("v1", "Event");
    let here = Selection::namespace(namespace);
    let (events, surroundings) =
        futures::try_join!(client.list(&events, &here), Box::pin(Surroundings::look(client, namespace)))?;
    Ok((typed(events), surroundings))
}

fn describe(identity: &Identity, scene: &Scene, verdict: Verdict) -> WorkloadStatus {
    let (ready, detail, causes) = match verdict {
        Verdict::Ready(detail) => (true, detail, Vec::new()),
        Verdict::Waiting(detail, causes) => (false, detail, causes),
        Verdict::Failed(causes) => (false, "failed".to_owned(), causes),
    };
    let object = scene.object.as_ref();
    let pods = object.map(|object| current_pods(object, &scene.pods)).unwrap_or_default();
    WorkloadStatus {
        kind: identity.kind.kind.clone(),
        namespace: identity.namespace.clone().unwrap_or_default(),
        name: identity.name.clone(),
        ready,
        detail,
        pods: pods.into_iter().map(pod_status).collect(),
        blockers: causes.into_iter().map(|cause| cause.blocker).collect(),
    }
}

fn pod_status(pod: &Pod) -> PodStatus {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    PodStatus {
        name: pod.metadata.name.clone().unwrap_or_default(),
        phase: status.phase.unwrap_or_default(),
        ready: !containers.is_empty() && containers.iter().all(|container| container.ready),
        restarts: containers.iter().map(|container| container.restart_count).sum(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
    }
}

use std::collections::HashMap;
use std::sync::RwLock;

use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{self, Discovery, Scope, verbs};

use super::{Client, Kind, KubernetesError};

/// API version, kind, plural, whether it lives in a namespace: kinds of every cluster, which need no round trip to be known.
const BUILT_IN: &[(&str, &str, &str, bool)] = &[
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Endpoints", "endpoints", true),
    ("v1", "Event", "events", true),
    ("v1", "LimitRange", "limitranges", true),
    ("v1", "Namespace", "namespaces", false),
    ("v1", "Node", "nodes", false),
    ("v1", "PersistentVolume", "persistentvolumes", false),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("v1", "Pod", "pods", true),
    ("v1", "ReplicationController", "replicationcontrollers", true),
    ("v1", "ResourceQuota", "resourcequotas", true),
    ("v1", "Secret", "secrets", true),
    ("v1", "Service", "services", true),
    ("v1", "ServiceAccount", "serviceaccounts", true),
    ("apps/v1", "DaemonSet", "daemonsets", true),
    ("apps/v1", "Deployment", "deployments", true),
    ("apps/v1", "ReplicaSet", "replicasets", true),
    ("apps/v1", "StatefulSet", "statefulsets", true),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("batch/v1", "CronJob", "cronjobs", true),
    ("batch/v1", "Job", "jobs", true),
    ("networking.k8s.io/v1", "Ingress", "ingresses", true),
    ("networking.k8s.io/v1", "IngressClass", "ingressclasses", false),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", true),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", true),
    ("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", false),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses", false),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", false),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false),
];

/// How a kind is reached.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub api: ApiResource,
    pub namespaced: bool,
}

/// Kinds that this API server was asked about.
#[derive(Default)]
pub(super) struct Kinds(RwLock<HashMap<Kind, Resource>>);

impl Kind {
    /// Whether objects of this kind live in a namespace; none where only the API server can tell.
    pub fn namespaced(&self) -> Option<bool> {
        built_in(self).map(|resource| resource.namespaced)
    }
}

fn built_in(kind: &Kind) -> Option<Resource> {
    let (_, _, plural, namespaced) = BUILT_IN.iter().find(|row| row.0 == kind.api_version && row.1 == kind.kind)?;
    let gvk = GroupVersionKind::gvk(kind.group(), kind.version(), &kind.kind);
    Some(Resource { api: ApiResource::from_gvk_with_plural(&gvk, plural), namespaced: *namespaced })
}

impl Client {
    /// How a kind is reached: from the table, from an earlier answer, or by asking.
    pub(super) async fn resource(&self, kind: &Kind) -> Result<Resource, KubernetesError> {
        if let Some(resource) = built_in(kind) {
            return Ok(resource);
        }
        if let Some(resource) = self.kinds.0.read().expect("no panic while the lock is held").get(kind) {
            return Ok(resource.clone());
        }
        let resource = self.discover(kind).await?;
        self.kinds.0.write().expect("no panic while the lock is held").insert(kind.clone(), resource.clone());
        Ok(resource)
    }

    /// All kinds whose objects this API server lists, each in the version that it prefers; without events, which nobody applies.
    pub async fn listable(&self) -> Result<Vec<Kind>, KubernetesError> {
        let found = self.call(|connection| async move { Discovery::new(connection.sdk).run().await }).await?;
        let resources = found.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
        let listable = resources.filter(|(api, can)| can.supports_operation(verbs::LIST) && api.kind != "Event");
        Ok(listable.map(|(api, _)| Kind::new(api.api_version, api.kind)).collect())
    }

    async fn discover(&self, kind: &Kind) -> Result<Resource, KubernetesError> {
        let gvk = GroupVersionKind::gvk(kind.group(), kind.version(), &kind.kind);
        let unknown =
            || KubernetesError::UnknownKind { kind: kind.kind.clone(), api_version: kind.api_version.clone() };
        let found = self
            .call(|connection| {
                let gvk = &gvk;
                async move {
                    match discovery::pinned_kind(&connection.sdk, gvk).await {
                        Ok(found) => Ok(Some(found)),
                        Err(kube::Error::Discovery(_)) => Ok(None),
                        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
                        Err(error) => Err(error),
                    }
                }
            })
            .await?;
        let (api, capabilities) = found.ok_or_else(unknown)?;
        Ok(Resource { api, namespaced: capabilities.scope == Scope::Namespaced })
    }
}

//! The table of all resources, and look-ups in it.

use crate::resource::{Resource, Subresource};
use crate::{
    cluster_role, config_map, deployment, endpoint_slice, event, job, limit_range, namespace, node_kind,
    persistent_volume, persistent_volume_claim, pod, replica_set, replication_controller, resource_quota, review,
    role_binding, secret, service, service_account, storage_class,
};

const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const NAMESPACE_VERBS: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
const CREATE: &[&str] = &["create"];
const STATUS: Subresource = own("status", &["get", "patch", "update"]);
const SCALE: Subresource = other("scale", ("autoscaling", "v1", "Scale"), &["get", "patch", "update"]);

const fn own(name: &'static str, verbs: &'static [&'static str]) -> Subresource {
    Subresource { name, group: "", version: "", kind: "", verbs }
}

const fn other(
    name: &'static str,
    (group, version, kind): (&'static str, &'static str, &'static str),
    verbs: &'static [&'static str],
) -> Subresource {
    Subresource { name, group, version, kind, verbs }
}

/// A table row's place is its name's place in the enumeration, so that each name is one address.
macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident = $group:literal $version:literal $kind:literal $plural:literal $singular:literal
        $scope:ident $short:tt $categories:tt $subresources:tt $verbs:ident $rules:path;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Place { $($name),* }
        static TABLE: &[Resource] = &[$(Resource {
            group: $group,
            version: $version,
            kind: $kind,
            plural: $plural,
            singular: $singular,
            short_names: &$short,
            namespaced: scope::$scope,
            categories: &$categories,
            subresources: &$subresources,
            verbs: $verbs,
            rules: &$rules,
        }),*];
        $($(#[$doc])* pub static $name: &Resource = &TABLE[Place::$name as usize];)*
    };
}

mod scope {
    #![allow(non_upper_case_globals)]
    pub const cluster: bool = false;
    pub const namespace: bool = true;
}

resources! {
    /// `configmaps`
    CONFIG_MAPS = "" "v1" "ConfigMap" "configmaps" "configmap" namespace ["cm"] [] [] ALL_VERBS config_map::RULES;
    /// `events`
    EVENTS = "" "v1" "Event" "events" "event" namespace ["ev"] [] [] ALL_VERBS event::RULES;
    /// `limitranges`
    LIMIT_RANGES = "" "v1" "LimitRange" "limitranges" "limitrange" namespace ["limits"] [] [] ALL_VERBS
        limit_range::RULES;
    /// `namespaces`
    NAMESPACES = "" "v1" "Namespace" "namespaces" "namespace" cluster ["ns"] []
        [own("finalize", &["update"]), STATUS] NAMESPACE_VERBS namespace::RULES;
    /// `nodes`
    NODES = "" "v1" "Node" "nodes" "node" cluster ["no"] [] [STATUS] ALL_VERBS node_kind::RULES;
    /// `persistentvolumeclaims`
    PERSISTENT_VOLUME_CLAIMS = "" "v1" "PersistentVolumeClaim" "persistentvolumeclaims" "persistentvolumeclaim"
        namespace ["pvc"] [] [STATUS] ALL_VERBS persistent_volume_claim::RULES;
    /// `persistentvolumes`
    PERSISTENT_VOLUMES = "" "v1" "PersistentVolume" "persistentvolumes" "persistentvolume" cluster ["pv"] [] [STATUS]
        ALL_VERBS persistent_volume::RULES;
    /// `pods`
    PODS = "" "v1" "Pod" "pods" "pod" namespace ["po"] ["all"] [
        other("attach", ("", "v1", "PodAttachOptions"), &["create", "get"]),
        other("binding", ("", "v1", "Binding"), CREATE),
        other("eviction", ("policy", "v1", "Eviction"), CREATE),
        other("exec", ("", "v1", "PodExecOptions"), &["create", "get"]),
        own("log", &["get"]),
        other("portforward", ("", "v1", "PodPortForwardOptions"), &["create", "get"]),
        STATUS,
    ] ALL_VERBS pod::RULES;
    /// `replicationcontrollers`
    REPLICATION_CONTROLLERS = "" "v1" "ReplicationController" "replicationcontrollers" "replicationcontroller"
        namespace ["rc"] ["all"] [SCALE, STATUS] ALL_VERBS replication_controller::RULES;
    /// `resourcequotas`
    RESOURCE_QUOTAS = "" "v1" "ResourceQuota" "resourcequotas" "resourcequota" namespace ["quota"] [] [STATUS]
        ALL_VERBS resource_quota::RULES;
    /// `secrets`
    SECRETS = "" "v1" "Secret" "secrets" "secret" namespace [] [] [] ALL_VERBS secret::RULES;
    /// `serviceaccounts`
    SERVICE_ACCOUNTS = "" "v1" "ServiceAccount" "serviceaccounts" "serviceaccount" namespace ["sa"] []
        [other("token", ("authentication.k8s.io", "v1", "TokenRequest"), CREATE)] ALL_VERBS service_account::RULES;
    /// `services`
    SERVICES = "" "v1" "Service" "services" "service" namespace ["svc"] ["all"] [STATUS] ALL_VERBS service::RULES;
    /// `deployments.apps`
    DEPLOYMENTS = "apps" "v1" "Deployment" "deployments" "deployment" namespace ["deploy"] ["all"] [SCALE, STATUS]
        ALL_VERBS deployment::RULES;
    /// `replicasets.apps`
    REPLICA_SETS = "apps" "v1" "ReplicaSet" "replicasets" "replicaset" namespace ["rs"] ["all"] [SCALE, STATUS]
        ALL_VERBS replica_set::RULES;
    /// `selfsubjectreviews.authentication.k8s.io`
    SELF_SUBJECT_REVIEWS = "authentication.k8s.io" "v1" "SelfSubjectReview" "selfsubjectreviews" "selfsubjectreview"
        cluster [] [] [] CREATE review::RULES;
    /// `tokenreviews.authentication.k8s.io`
    TOKEN_REVIEWS = "authentication.k8s.io" "v1" "TokenReview" "tokenreviews" "tokenreview" cluster [] [] [] CREATE
        review::TOKEN_RULES;
    /// `selfsubjectaccessreviews.authorization.k8s.io`
    SELF_SUBJECT_ACCESS_REVIEWS = "authorization.k8s.io" "v1" "SelfSubjectAccessReview" "selfsubjectaccessreviews"
        "selfsubjectaccessreview" cluster [] [] [] CREATE review::ACCESS_RULES;
    /// `jobs.batch`
    JOBS = "batch" "v1" "Job" "jobs" "job" namespace [] ["all"] [STATUS] ALL_VERBS job::RULES;
    /// `endpointslices.discovery.k8s.io`
    ENDPOINT_SLICES = "discovery.k8s.io" "v1" "EndpointSlice" "endpointslices" "endpointslice" namespace [] [] []
        ALL_VERBS endpoint_slice::RULES;
    /// `clusterrolebindings.rbac.authorization.k8s.io`
    CLUSTER_ROLE_BINDINGS = "rbac.authorization.k8s.io" "v1" "ClusterRoleBinding" "clusterrolebindings"
        "clusterrolebinding" cluster [] [] [] ALL_VERBS role_binding::CLUSTER_RULES;
    /// `clusterroles.rbac.authorization.k8s.io`
    CLUSTER_ROLES = "rbac.authorization.k8s.io" "v1" "ClusterRole" "clusterroles" "clusterrole" cluster [] [] []
        ALL_VERBS cluster_role::RULES;
    /// `rolebindings.rbac.authorization.k8s.io`
    ROLE_BINDINGS = "rbac.authorization.k8s.io" "v1" "RoleBinding" "rolebindings" "rolebinding" namespace [] [] []
        ALL_VERBS role_binding::RULES;
    /// `roles.rbac.authorization.k8s.io`
    ROLES = "rbac.authorization.k8s.io" "v1" "Role" "roles" "role" namespace [] [] [] ALL_VERBS
        cluster_role::ROLE_RULES;
    /// `storageclasses.storage.k8s.io`
    STORAGE_CLASSES = "storage.k8s.io" "v1" "StorageClass" "storageclasses" "storageclass" cluster ["sc"] [] []
        ALL_VERBS storage_class::RULES;
}

/// All resources, by group (the core group first) and plural.
pub fn all() -> &'static [Resource] {
    TABLE
}

/// The resource with this name in paths.
pub fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    TABLE.iter().find(|each| each.plural == plural && each.group == group && each.version == version)
}

/// The resource whose objects have this kind.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
    TABLE.iter().find(|each| each.kind == kind && each.group == group && each.version == version)
}

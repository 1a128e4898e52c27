//! Well-known kinds that the sandbox does not have, and what to use instead.

/// One such kind: group, kind, plural, and what to do.
struct Absent(&'static str, &'static str, &'static str, &'static str);

const NO_DISRUPTIONS: &str = "nothing disrupts the nodes of the sandbox; leave it out here";
const NO_EXTENSION: &str = "the sandbox's kinds cannot be extended; use a real cluster (kind or minikube)";
const NO_WEBHOOKS: &str = "the sandbox calls no webhooks; use a real cluster (kind or minikube)";
const FOLDERS: &str = "volumes of the sandbox are folders; use a PersistentVolumeClaim of the class \"standard\"";
const NO_SNAPSHOTS: &str = "the sandbox takes no snapshots; copy the folder, or use a real cluster";
const NO_DEVICES: &str = "the sandbox hands out no devices; ask for cpu and memory in resources.requests";
const FORWARD: &str = "use a Service of type NodePort or LoadBalancer, or kubectl port-forward";
const REVIEW: &str = "use SelfSubjectAccessReview (kubectl auth can-i VERB RESOURCE)";

const ABSENT: &[Absent] = &[
    Absent("apps", "StatefulSet", "statefulsets", "use a Deployment with one replica and a PersistentVolumeClaim"),
    Absent(
        "apps",
        "DaemonSet",
        "daemonsets",
        "use a Deployment with as many replicas as there are nodes, spread over them",
    ),
    Absent("apps", "ControllerRevision", "controllerrevisions", "a Deployment keeps its history in ReplicaSets"),
    Absent("batch", "CronJob", "cronjobs", "use a Job, and start it when its time has come"),
    Absent("events.k8s.io", "Event", "events", "use Event of the core group (v1)"),
    Absent("", "Endpoints", "endpoints", "use EndpointSlice (discovery.k8s.io/v1)"),
    Absent("", "PodTemplate", "podtemplates", "write the template into a Deployment or a Job"),
    Absent("", "ComponentStatus", "componentstatuses", "ask /readyz of the API server"),
    Absent("", "Binding", "bindings", "use the subresource pods/binding"),
    Absent("networking.k8s.io", "Ingress", "ingresses", FORWARD),
    Absent("networking.k8s.io", "IngressClass", "ingressclasses", FORWARD),
    Absent(
        "networking.k8s.io",
        "NetworkPolicy",
        "networkpolicies",
        "pods of the sandbox reach only each other; leave it out here",
    ),
    Absent(
        "networking.k8s.io",
        "ServiceCIDR",
        "servicecidrs",
        "the sandbox's service network is 10.96.0.0/16 and stays so",
    ),
    Absent("networking.k8s.io", "IPAddress", "ipaddresses", "read spec.clusterIP of the Services"),
    Absent("gateway.networking.k8s.io", "Gateway", "gateways", FORWARD),
    Absent("gateway.networking.k8s.io", "HTTPRoute", "httproutes", FORWARD),
    Absent(
        "autoscaling",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "set spec.replicas, or use kubectl scale",
    ),
    Absent("policy", "PodDisruptionBudget", "poddisruptionbudgets", NO_DISRUPTIONS),
    Absent(
        "scheduling.k8s.io",
        "PriorityClass",
        "priorityclasses",
        "pods of the sandbox have no priority; leave it out here",
    ),
    Absent(
        "node.k8s.io",
        "RuntimeClass",
        "runtimeclasses",
        "the sandbox has one way to run pods; leave runtimeClassName out",
    ),
    Absent("coordination.k8s.io", "Lease", "leases", "for a lock use the resourceVersion of a ConfigMap"),
    Absent("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", NO_EXTENSION),
    Absent("apiregistration.k8s.io", "APIService", "apiservices", NO_EXTENSION),
    Absent(
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        NO_WEBHOOKS,
    ),
    Absent(
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        NO_WEBHOOKS,
    ),
    Absent("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", NO_EXTENSION),
    Absent(
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        NO_EXTENSION,
    ),
    Absent("storage.k8s.io", "CSIDriver", "csidrivers", FOLDERS),
    Absent("storage.k8s.io", "CSINode", "csinodes", FOLDERS),
    Absent("storage.k8s.io", "CSIStorageCapacity", "csistoragecapacities", FOLDERS),
    Absent("storage.k8s.io", "VolumeAttachment", "volumeattachments", FOLDERS),
    Absent("storage.k8s.io", "VolumeAttributesClass", "volumeattributesclasses", FOLDERS),
    Absent("snapshot.storage.k8s.io", "VolumeSnapshot", "volumesnapshots", NO_SNAPSHOTS),
    Absent("snapshot.storage.k8s.io", "VolumeSnapshotClass", "volumesnapshotclasses", NO_SNAPSHOTS),
    Absent(
        "certificates.k8s.io",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "use kubectl create token for a ServiceAccount",
    ),
    Absent("resource.k8s.io", "DeviceClass", "deviceclasses", NO_DEVICES),
    Absent("resource.k8s.io", "ResourceClaim", "resourceclaims", NO_DEVICES),
    Absent("resource.k8s.io", "ResourceClaimTemplate", "resourceclaimtemplates", NO_DEVICES),
    Absent("resource.k8s.io", "ResourceSlice", "resourceslices", NO_DEVICES),
    Absent(
        "flowcontrol.apiserver.k8s.io",
        "FlowSchema",
        "flowschemas",
        "the sandbox serves all alike; leave it out here",
    ),
    Absent(
        "flowcontrol.apiserver.k8s.io",
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        "the sandbox serves all alike; leave it out here",
    ),
    Absent("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews", REVIEW),
    Absent("authorization.k8s.io", "LocalSubjectAccessReview", "localsubjectaccessreviews", REVIEW),
    Absent("authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews", REVIEW),
    Absent("metrics.k8s.io", "PodMetrics", "pods", "the sandbox measures nothing; look at its processes with top"),
    Absent("metrics.k8s.io", "NodeMetrics", "nodes", "the sandbox measures nothing; look at its processes with top"),
];

/// What to use instead of a well-known kind that is not here; none for kinds that are here or that nobody knows.
///
/// The name is a kind (`StatefulSet`) or a plural (`statefulsets`), whatever the version.
pub fn refused(group: &str, kind_or_plural: &str) -> Option<&'static str> {
    let named = |each: &&Absent| each.0 == group && (each.1 == kind_or_plural || each.2 == kind_or_plural);
    ABSENT.iter().find(named).map(|each| each.3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_not_here_tells_what_to_use() {
        assert!(refused("apps", "StatefulSet").is_some_and(|text| text.contains("Deployment")));
        assert_eq!(refused("apps", "statefulsets"), refused("apps", "StatefulSet"));
        assert_eq!(refused("apps", "Deployment"), None);
        assert_eq!(refused("example.com", "StatefulSet"), None);
    }

    #[test]
    fn no_kind_is_both_here_and_refused() {
        for each in crate::all() {
            assert_eq!(refused(each.group, each.kind), None);
            assert_eq!(refused(each.group, each.plural), None);
        }
    }
}

//! What the server says of itself.

use serde_json::{Value, json};

use super::statements;
use crate::case::Case;
use crate::objects::pick;

statements!("discovery":
    the_version_is_told,
    the_groups_are_told,
    the_kinds_of_a_group_are_told,
    discovery_comes_in_one_answer,
    the_schema_of_a_group_is_told,
    the_server_is_alive,
    paths_that_lead_nowhere_are_not_found,
    strangers_are_refused,
    kinds_that_are_left_out_are_refused_by_name,
    the_system_has_its_objects,
    the_node_tells_what_it_is,
);

/// The groups of the kinds that the suite is about.
const GROUPS: [&str; 6] = [
    "apps/v1",
    "batch/v1",
    "discovery.k8s.io/v1",
    "storage.k8s.io/v1",
    "rbac.authorization.k8s.io/v1",
    "authorization.k8s.io/v1",
];

async fn get(case: &Case, path: &str) -> crate::cluster::Answer {
    case.caller.call("GET", path, "", None).await
}

async fn the_version_is_told(case: &Case) {
    let version = get(case, "/version").await.object();
    case.see("version", pick(&version, &["major", "minor", "platform"]));
    case.see("git version", version["gitVersion"].as_str().unwrap().starts_with("v1.34.4"));
}

async fn the_groups_are_told(case: &Case) {
    case.see("api", pick(&get(case, "/api").await.object(), &["kind", "versions"]));
    let groups = get(case, "/apis").await.object();
    let groups = groups["groups"].as_array().unwrap();
    for name in GROUPS.map(|group| group.split('/').next().unwrap()) {
        let group = groups.iter().find(|group| group["name"] == name).cloned();
        case.see(name, group.map(|group| group["preferredVersion"].clone()));
    }
}

/// The fields of a resource that a client looks at.
fn resource(it: &Value) -> Value {
    pick(it, &["name", "singularName", "namespaced", "kind", "shortNames", "categories", "verbs", "group", "version"])
}

async fn the_kinds_of_a_group_are_told(case: &Case) {
    for group in ["v1"].iter().chain(&GROUPS) {
        let path = if *group == "v1" { "/api/v1".to_owned() } else { format!("/apis/{group}") };
        let list = get(case, &path).await.object();
        // Kinds that the sandbox leaves out are a statement of their own.
        let names = [
            "namespaces",
            "nodes",
            "pods",
            "services",
            "configmaps",
            "secrets",
            "serviceaccounts",
            "persistentvolumes",
            "persistentvolumeclaims",
            "replicationcontrollers",
            "resourcequotas",
            "limitranges",
            "events",
            "pods/log",
            "pods/exec",
            "pods/attach",
            "pods/portforward",
            "pods/status",
            "pods/eviction",
            "pods/binding",
            "replicationcontrollers/scale",
            "serviceaccounts/token",
            "namespaces/finalize",
            "namespaces/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "replicasets",
            "replicasets/scale",
            "jobs",
            "jobs/status",
            "endpointslices",
            "storageclasses",
            "roles",
            "rolebindings",
            "clusterroles",
            "clusterrolebindings",
            "selfsubjectaccessreviews",
        ];
        for it in list["resources"].as_array().unwrap() {
            let name = it["name"].as_str().unwrap();
            if names.contains(&name) {
                case.see(&format!("{group} {name}"), resource(it));
            }
        }
    }
}

async fn discovery_comes_in_one_answer(case: &Case) {
    for path in ["/api", "/apis"] {
        let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let request = http::Request::get(path).header("Accept", accept);
        let list = case.caller.send(request.body(kube::client::Body::empty()).unwrap()).await.object();
        case.see(&format!("{path} kind"), pick(&list, &["kind", "apiVersion"]));
        let all: Vec<&Value> = list["items"].as_array().unwrap().iter().collect();
        let group = if path == "/api" { Value::Null } else { "batch".into() };
        let group = all.iter().find(|it| it["metadata"]["name"] == group || group.is_null()).unwrap();
        let resources = group["versions"][0]["resources"].as_array().unwrap();
        let wanted = if path == "/api" { "pods" } else { "jobs" };
        let mut wanted = resources.iter().find(|it| it["resource"] == wanted).unwrap().clone();
        for sub in wanted["subresources"].as_array_mut().unwrap() {
            *sub = sub["subresource"].take();
        }
        wanted["subresources"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
        case.see(path, wanted);
    }
}

async fn the_schema_of_a_group_is_told(case: &Case) {
    let index = get(case, "/openapi/v3").await.object();
    for group in GROUPS {
        let path = format!("apis/{group}");
        case.see(&path, index["paths"][&path]["serverRelativeURL"].is_string());
    }
    let core = index["paths"]["api/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let document = get(case, &core).await.object();
    case.see("version", document["openapi"].clone());
    let pod = &document["components"]["schemas"]["io.k8s.api.core.v1.Pod"];
    case.see("pod", pod["x-kubernetes-group-version-kind"].clone());
    let fields: Option<Vec<&String>> = pod["properties"].as_object().map(|fields| fields.keys().collect());
    case.see("fields of a pod", json!(fields));
    let patch = &document["paths"]["/api/v1/namespaces/{namespace}/configmaps/{name}"]["patch"];
    let mut names: Vec<String> =
        patch["parameters"].as_array().into_iter().flatten().map(|it| it["name"].to_string()).collect();
    names.sort();
    case.see("parameters of a patch", names);
}

async fn the_server_is_alive(case: &Case) {
    for path in ["/healthz", "/livez", "/readyz"] {
        case.see(path, get(case, path).await.body);
    }
}

async fn paths_that_lead_nowhere_are_not_found(case: &Case) {
    for path in ["/nothing", "/api/v2", "/apis/apps/v9", "/api/v1/namespaces/default/pods/a/b/c"] {
        let answer = get(case, path).await;
        case.see(path, json!([answer.code, answer.body["reason"]]));
    }
    let paths = get(case, "/").await.object();
    case.see("index", paths["paths"].is_array());
}

async fn strangers_are_refused(case: &Case) {
    let nobody = case.cluster.with_token(None);
    let answer = nobody.call("GET", &case.path("Pod", ""), "", None).await;
    case.see("without a name", answer.body);
    let stranger = case.cluster.with_token(Some("nonsense"));
    case.see("with a wrong token", stranger.call("GET", &case.path("Pod", ""), "", None).await.body);
    for path in ["/version", "/healthz"] {
        case.see(path, nobody.call("GET", path, "", None).await.code);
    }
}

async fn kinds_that_are_left_out_are_refused_by_name(case: &Case) {
    let left_out = [
        ("statefulsets", "/apis/apps/v1/namespaces/default/statefulsets"),
        ("daemonsets", "/apis/apps/v1/namespaces/default/daemonsets"),
        ("cronjobs", "/apis/batch/v1/namespaces/default/cronjobs"),
        ("ingresses", "/apis/networking.k8s.io/v1/namespaces/default/ingresses"),
        ("networkpolicies", "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"),
        ("horizontalpodautoscalers", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"),
        ("customresourcedefinitions", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
        ("poddisruptionbudgets", "/apis/policy/v1/namespaces/default/poddisruptionbudgets"),
        ("priorityclasses", "/apis/scheduling.k8s.io/v1/priorityclasses"),
        ("endpoints", "/api/v1/namespaces/default/endpoints"),
        ("leases", "/apis/coordination.k8s.io/v1/namespaces/default/leases"),
    ];
    for (name, path) in left_out {
        let answer = get(case, &format!("{path}?limit=1")).await;
        case.see(name, answer.verdict());
    }
}

async fn the_system_has_its_objects(case: &Case) {
    let namespaces = case.list("Namespace", "").await.names();
    for name in ["default", "kube-system", "kube-public"] {
        case.see(&format!("Namespace {name}"), namespaces.contains(&name.to_owned()));
    }
    let service = get(case, "/api/v1/namespaces/default/services/kubernetes").await.object();
    case.see("service", json!([service["metadata"]["labels"], service["spec"]]));
    let roles = case.list("ClusterRole", "").await.names();
    for name in ["cluster-admin", "admin", "edit", "view"] {
        case.see(&format!("ClusterRole {name}"), roles.contains(&name.to_owned()));
    }
    let class = case.get("StorageClass", "standard").await.object();
    case.see("class", pick(&class, &["reclaimPolicy", "volumeBindingMode", "provisioner"]));
    let default = class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"].clone();
    case.see("default class", default);
    let map = case.get("ConfigMap", "kube-root-ca.crt").await.object();
    case.see("certificate", map["data"]["ca.crt"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    case.see("account", case.get("ServiceAccount", "default").await.object());
}

async fn the_node_tells_what_it_is(case: &Case) {
    let node = &case.cluster.node;
    let labels = node["metadata"]["labels"].as_object().unwrap();
    case.see("labels", labels.keys().cloned().collect::<Vec<_>>());
    for part in ["capacity", "allocatable"] {
        // The sizes of huge pages are those of the machine.
        let names =
            node["status"][part].as_object().unwrap().keys().filter(|it| !it.starts_with("hugepages-")).cloned();
        case.see(part, names.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>());
    }
    let conditions = node["status"]["conditions"].as_array().unwrap().iter();
    let conditions: Vec<Value> = conditions.map(|it| pick(it, &["type", "status", "reason", "message"])).collect();
    case.see("conditions", conditions);
    let info = &node["status"]["nodeInfo"];
    case.see("info", pick(info, &["architecture", "operatingSystem", "kubeletVersion"]));
    let addresses = node["status"]["addresses"].as_array().unwrap().iter();
    case.see("addresses", addresses.map(|it| it["type"].clone()).collect::<Vec<_>>());
}

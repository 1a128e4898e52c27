use std::path::PathBuf;

use super::*;
use crate::spec::{Expectation, Manifest, Question};

fn spec(manifests: &[(&str, Value)]) -> Spec {
    let manifests = manifests.iter().enumerate().map(|(index, (step, value))| Manifest {
        value: value.clone(),
        file: "all.yaml".into(),
        line: index + 1,
        step: (!step.is_empty()).then(|| (*step).to_owned()),
    });
    Spec {
        deployment: "demo".into(),
        kubeconfig: PathBuf::from("/state/kubeconfig"),
        cluster: Address::new("kind-cluster", "demo"),
        namespace: "demo".into(),
        manifests: manifests.collect(),
        steps: vec![
            Step { name: "train".into(), after: Vec::new(), timeout_seconds: 900 },
            Step { name: "between".into(), after: vec!["train".into()], timeout_seconds: 60 },
            Step { name: "serve".into(), after: vec!["between".into()], timeout_seconds: 60 },
        ],
        images: BTreeMap::from([("server".to_owned(), Address::new("delivery", "server"))]),
        volumes: Vec::new(),
        disks: Vec::new(),
        shared: Vec::new(),
        load_balancers: false,
        static_addresses: Vec::new(),
        node_ports: vec![NodePort {
            namespace: "demo".into(),
            service: "web".into(),
            port: 80,
            node_port: Some(30080),
            local_port: 8080,
        }],
        checks: Vec::new(),
    }
}

fn graph(spec: &Spec) -> Graph {
    let mut graph = Graph::default();
    declare(spec, &Vault::new(b"key"), &mut graph).expect("a graph");
    graph
}

fn object(kind: &str, name: &str) -> Value {
    let api_version = match kind {
        "Deployment" | "StatefulSet" => "apps/v1",
        "Job" => "batch/v1",
        "RoleBinding" | "Role" => "rbac.authorization.k8s.io/v1",
        "CustomResourceDefinition" => "apiextensions.k8s.io/v1",
        _ => "v1",
    };
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}})
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn node<'a>(graph: &'a Graph, address: &str) -> &'a Node {
    graph.get(&address.parse().expect("an address")).unwrap_or_else(|| panic!("{address} is not in the graph"))
}

fn needs(graph: &Graph, address: &str) -> Vec<String> {
    let needs = node(graph, address).needs.iter();
    needs
        .map(|need| {
            need.milestone
                .as_ref()
                .map_or(need.address.to_string(), |milestone| format!("{}@{milestone}", need.address))
        })
        .collect()
}

#[test]
fn a_claim_without_a_class_waits_for_the_whole_cluster_which_gets_its_default_class_last() {
    let named = with(object("PersistentVolumeClaim", "named"), "spec", json!({"storageClassName": "fast"}));
    let graph = graph(&spec(&[("", object("PersistentVolumeClaim", "model")), ("", named)]));
    assert_eq!(needs(&graph, "object/persistentvolumeclaim/demo/model")[0], "kind-cluster/demo");
    assert_eq!(needs(&graph, "object/persistentvolumeclaim/demo/named")[0], "kind-cluster/demo@api");
}

#[test]
fn a_workload_needs_what_it_refers_to_and_its_images() {
    let pod = json!({"template": {"spec": {"serviceAccountName": "runner", "containers": [{"name": "a", "image": "server",
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"configMapRef": {"name": "elsewhere"}}]}]}}});
    let binding = with(
        with(object("RoleBinding", "may"), "roleRef", json!({"kind": "Role", "name": "reader"})),
        "subjects",
        json!([{"kind": "ServiceAccount", "name": "runner"}]),
    );
    let graph = graph(&spec(&[
        ("", with(object("Deployment", "web"), "spec", pod)),
        ("", object("ConfigMap", "settings")),
        ("", object("ServiceAccount", "runner")),
        ("", object("Role", "reader")),
        ("", binding),
        ("", object("ResourceQuota", "small")),
    ]));
    assert_eq!(
        needs(&graph, "object/deployment/demo/web"),
        [
            "kind-cluster/demo@api",
            "delivery/server",
            "object/configmap/demo/settings",
            "object/namespace/demo",
            "object/resourcequota/demo/small",
            "object/rolebinding/demo/may",
            "object/serviceaccount/demo/runner",
        ]
    );
    assert_eq!(
        needs(&graph, "object/rolebinding/demo/may"),
        [
            "kind-cluster/demo@api",
            "object/namespace/demo",
            "object/role/demo/reader",
            "object/serviceaccount/demo/runner"
        ]
    );
    let web = node(&graph, "object/deployment/demo/web");
    let container = &web.inputs["manifest"]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], json!({"$output": ["delivery/server", "reference"]}));
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!((web.title.as_str(), web.section.as_str()), ("Deployment demo/web", "objects"));
}

#[test]
fn a_step_waits_for_the_workloads_of_the_steps_before_it_also_through_an_empty_one() {
    let graph = graph(&spec(&[
        ("train", object("Job", "train")),
        ("train", object("ConfigMap", "data")),
        ("serve", object("Deployment", "web")),
    ]));
    assert_eq!(
        needs(&graph, "object/deployment/demo/web"),
        ["kind-cluster/demo@api", "object/namespace/demo", "ready/job/demo/train"]
    );
    assert_eq!(node(&graph, "ready/job/demo/train").inputs["timeout_seconds"], 900);
    let wait = node(&graph, "ready/deployment/demo/web");
    assert!(!wait.lasting && wait.section == "waits");
    assert_eq!(wait.inputs["revision"], json!({"$output": ["object/deployment/demo/web", "revision"]}));
}

#[test]
fn a_load_balancer_is_mapped_to_its_local_port() {
    let service =
        with(object("Service", "web"), "spec", json!({"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 81}]}));
    let graph = graph(&spec(&[("", service)]));
    let web = node(&graph, "object/service/demo/web");
    assert_eq!(web.note.as_deref(), Some("LoadBalancer -> 127.0.0.1:8080, LoadBalancer -> infra open"));
    assert_eq!(web.inputs["manifest"]["spec"]["ports"], json!([{"port": 80, "nodePort": 30080}, {"port": 81}]));
}

#[test]
fn a_cluster_that_opens_local_ports_itself_is_asked_by_annotation() {
    let service = with(object("Service", "web"), "spec", json!({"type": "LoadBalancer", "ports": [{"port": 80}]}));
    let mut spec = spec(&[("", service)]);
    spec.node_ports[0].node_port = None;
    let graph = graph(&spec);
    let manifest = &node(&graph, "object/service/demo/web").inputs["manifest"];
    assert_eq!(manifest["metadata"]["annotations"], json!({"infra/local-port.80": "8080"}));
    assert_eq!(manifest["spec"]["ports"], json!([{"port": 80}]));
}

#[test]
fn custom_resources_follow_their_definition_and_its_scope() {
    let definition = with(
        object("CustomResourceDefinition", "models.example.com"),
        "spec",
        json!({"group": "example.com", "scope": "Cluster", "names": {"kind": "Model", "plural": "models"}}),
    );
    let model = json!({"apiVersion": "example.com/v1", "kind": "Model", "metadata": {"name": "lstm"}});
    let graph = graph(&spec(&[("", model), ("", definition)]));
    assert_eq!(
        needs(&graph, "object/model.example.com/lstm"),
        ["kind-cluster/demo@api", "object/customresourcedefinition/models.example.com"]
    );
    assert!(graph.get(&"object/namespace/demo".parse().expect("an address")).is_none(), "nothing lives in a namespace");
}

#[test]
fn lists_are_taken_apart_and_volumes_have_their_own_section() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [object("ConfigMap", "a"), object("PersistentVolumeClaim", "model")]});
    let graph = graph(&spec(&[("", list)]));
    assert_eq!(node(&graph, "object/persistentvolumeclaim/demo/model").section, "volumes");
    assert_eq!(
        node(&graph, "object/configmap/demo/a").inputs["manifest"]["metadata"]["labels"]["infra/deployment"],
        "demo"
    );
}

#[test]
fn a_check_runs_again_when_a_workload_or_its_service_changes() {
    let mut spec = spec(&[("serve", object("Deployment", "web")), ("serve", object("Service", "web"))]);
    let question = Question::Http { method: "GET".into(), body: None, expect: Expectation::default() };
    let check = |name: &str, port| Check {
        name: name.into(),
        namespace: "demo".into(),
        service: "web".into(),
        port,
        path: "/".into(),
        timeout_seconds: 30,
        question: question.clone(),
    };
    spec.checks = vec![check("mapped", 80), check("forwarded", 81)];
    let graph = graph(&spec);
    let mapped = node(&graph, "check/mapped");
    assert_eq!(mapped.inputs["access"], json!({"local_port": 8080}));
    assert_eq!(
        mapped.inputs["revisions"],
        json!([
        {"$output": ["ready/deployment/demo/web", "revision"]}, {"$output": ["object/service/demo/web", "revision"]}])
    );
    assert_eq!(node(&graph, "check/forwarded").inputs["access"], json!({"forward": true}));
}

#[test]
fn a_document_that_is_no_object_is_reported_with_its_place() {
    let mut graph = Graph::default();
    let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}});
    let error = declare(&spec(&[("", nameless)]), &Vault::new(b"key"), &mut graph).expect_err("it has no name");
    assert_eq!(error.to_string(), "all.yaml:1: the object has no metadata.name");
}

#[test]
fn an_object_that_is_declared_twice_is_reported_with_both_places() {
    let mut graph = Graph::default();
    let spec = spec(&[("", object("ConfigMap", "a")), ("", object("ConfigMap", "a"))]);
    let error = declare(&spec, &Vault::new(b"key"), &mut graph).expect_err("it is declared twice");
    assert_eq!(error.to_string(), "ConfigMap demo/a is declared twice: all.yaml:1 and all.yaml:2");
}

#[test]
fn no_value_of_a_secret_is_in_the_graph() {
    let secret = with(object("Secret", "login"), "stringData", json!({"password": "correct horse"}));
    let graph = graph(&spec(&[("", secret)]));
    let text = serde_json::to_string(&graph.nodes().collect::<Vec<_>>()).expect("JSON");
    assert!(!text.contains("correct horse") && !text.contains("Y29ycmVjdCBob3JzZQ"), "{text}");
}

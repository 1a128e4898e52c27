//! The graph that a scenario means on kind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::{Address, Graph, Node};
use scenarios::{Lowered, Provider, Target, load, lower};
use serde_json::{Value, json};

const FOLDER: &str = "tests/fixtures/good-lowered";

fn target(cache: &Path) -> Target {
    Target {
        deployment: "demo".to_owned(),
        deployment_folder: PathBuf::from("/state/deployments/demo"),
        cache: cache.to_owned(),
        provider: Provider::Kind,
        kind: None,
        node_image: Some("kind-node:test".to_owned()),
        gcp: None,
        kubeconfig: PathBuf::from("/home/somebody/.kube/config"),
        held: BTreeMap::new(),
    }
}

async fn lowered(target: &Target) -> Lowered {
    let scenario = load(Path::new(FOLDER)).unwrap_or_else(|report| panic!("{report}"));
    lower(&scenario, target).await.expect("a graph")
}

fn node<'g>(graph: &'g Graph, address: &str) -> &'g Node {
    graph.get(&address.parse().expect("an address")).unwrap_or_else(|| panic!("there is no {address}"))
}

/// What the journal would hold after the graph was made.
fn held(graph: &Graph) -> BTreeMap<Address, Value> {
    graph.nodes().map(|node| (node.address.clone(), node.inputs.clone())).collect()
}

#[tokio::test]
async fn a_scenario_becomes_a_graph() {
    let cache = tempfile::tempdir().expect("a folder");
    let lowered = lowered(&target(cache.path())).await;
    let here = Path::new(FOLDER).canonicalize().expect("the fixture").display().to_string();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(&here, "[scenario]");
    settings.add_filter(r#""fingerprint": "[^"]+""#, r#""fingerprint": "[fingerprint]""#);
    settings.add_filter(r#""platform": "linux/[^"]+""#, r#""platform": "linux/[processor]""#);
    let nodes = lowered.graph.in_order().expect("no circle");
    settings.bind(|| insta::assert_json_snapshot!("graph", nodes));
    insta::assert_json_snapshot!("addresses", lowered.addresses);
    assert_eq!(lowered.warnings, [] as [&str; 0]);
}

#[tokio::test]
async fn on_gke_images_go_to_the_registry_and_load_balancers_keep_their_addresses() {
    let cache = tempfile::tempdir().expect("a folder");
    let scenario = load(Path::new("mnist-rnn")).unwrap_or_else(|report| panic!("{report}"));
    let gke = Target { provider: Provider::Gke, ..target(cache.path()) };
    let refused = lower(&scenario, &gke).await.expect_err("there is no project");
    assert!(refused.hint().is_some_and(|hint| hint.contains("project:")), "{refused}");
    let gcp = scenarios::GcpTarget {
        project: Some("a-project".to_owned()),
        location: Some("us-central1-a".to_owned()),
        token_program: vec!["infra".to_owned(), "token".to_owned()],
    };
    let lowered = lower(&scenario, &Target { gcp: Some(gcp), ..gke }).await.expect("a graph");
    let graph = &lowered.graph;
    let push = node(graph, "push/mnist-rnn-server");
    assert_eq!(push.inputs["to"], "us-central1-docker.pkg.dev/a-project/infra-demo/mnist-rnn-server");
    let needs: Vec<String> = push.needs.iter().map(|need| need.address.to_string()).collect();
    assert_eq!(needs, ["image/mnist-rnn-server", "artifact-repository/infra-demo"]);
    let container = "/manifest/spec/template/spec/containers/0/image";
    let image = node(graph, "object/deployment/mnist-rnn/server").inputs.pointer(container).cloned();
    assert_eq!(image, Some(json!({ "$output": ["push/mnist-rnn-server", "reference"] })));
    let service = &node(graph, "object/service/mnist-rnn/server").inputs["manifest"]["spec"];
    assert_eq!((&service["type"], &service["ports"][0]["nodePort"]), (&json!("LoadBalancer"), &Value::Null));
    assert_eq!(node(graph, "check/page").inputs["access"], json!({ "load_balancer": true }));
    let spec = lowered.gke.expect("a cluster");
    assert_eq!((spec.load_balancers, spec.claims_gigabytes, spec.node_pools.len()), (1, 1, 1));
    assert_eq!((lowered.addresses, lowered.warnings), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn what_the_scenario_says_of_gke_becomes_its_cluster() {
    let cache = tempfile::tempdir().expect("a folder");
    let scenario = load(Path::new("tests/fixtures/good-everything")).unwrap_or_else(|report| panic!("{report}"));
    let target = Target { provider: Provider::Gke, ..target(cache.path()) };
    // What goes into its images is not there; only what it says of the cluster is looked at.
    let scenario = scenarios::Scenario { images: Vec::new(), checks: Vec::new(), ..scenario };
    let lowered = lower(&scenario, &target).await.expect("a graph");
    insta::assert_debug_snapshot!("gke_spec", lowered.gke.expect("a cluster"));
    let graph = &lowered.graph;
    let volume = &node(graph, "object/persistentvolume/infra.demo.data").inputs["manifest"]["spec"];
    assert_eq!(volume["csi"]["volumeHandle"], json!({ "$output": ["gcp-disk/infra-demo-data", "handle"] }));
    let service = &node(graph, "object/service/demo/server").inputs["manifest"]["spec"];
    assert_eq!(service["loadBalancerIP"], json!({ "$output": ["gcp-address/infra-demo-web", "address"] }));
}

/// The scenario that says everything, without what is not there.
fn everything() -> scenarios::Scenario {
    let scenario = load(Path::new("tests/fixtures/good-everything")).unwrap_or_else(|report| panic!("{report}"));
    scenarios::Scenario { images: Vec::new(), checks: Vec::new(), ..scenario }
}

fn needs(node: &Node) -> Vec<String> {
    node.needs.iter().map(|need| need.address.to_string()).collect()
}

#[tokio::test]
async fn on_gke_a_claim_for_several_nodes_is_served_by_a_file_server_on_a_disk_of_its_own() {
    let cache = tempfile::tempdir().expect("a folder");
    let target = Target { provider: Provider::Gke, ..target(cache.path()) };
    let lowered = lower(&everything(), &target).await.expect("a graph");
    let graph = &lowered.graph;
    let disks = lowered.gke.expect("a cluster").disks;
    let disk = disks.iter().find(|disk| disk.name.starts_with("shared-")).expect("a disk");
    assert_eq!(disk.size_gigabytes, 10, "a disk has at least ten");
    let server = format!("infra-file-servers/{}", disk.name);
    let volume = node(graph, "object/persistentvolume/infra.demo.shared");
    let spec = &volume.inputs["manifest"]["spec"];
    let service = format!("object/service/{server}");
    assert_eq!(spec["nfs"], json!({ "server": { "$output": [service, "cluster_ip"] }, "path": "/export" }));
    assert_eq!(spec["accessModes"], json!(["ReadWriteMany"]));
    assert!(spec["mountOptions"].as_array().is_some_and(|options| options.contains(&json!("mountport=2049"))));
    // Nothing is mounted before the server serves.
    let needed = needs(volume);
    assert!(needed.contains(&service) && needed.contains(&format!("ready/deployment/{server}")), "{needed:?}");
    let pod = &node(graph, &format!("object/deployment/{server}")).inputs["manifest"]["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], json!({ "$output": ["push/infra-nfs-server", "reference"] }));
    let of_server = node(graph, &format!("object/persistentvolume/infra.infra-file-servers.{}", disk.name));
    let handle = format!("gcp-disk/infra-demo-{}", disk.name);
    assert_eq!(of_server.inputs["manifest"]["spec"]["csi"]["volumeHandle"], json!({ "$output": [handle, "handle"] }));
    let claim = &node(graph, "object/persistentvolumeclaim/demo/shared").inputs["manifest"]["spec"];
    assert_eq!((&claim["volumeName"], &claim["storageClassName"]), (&json!("infra.demo.shared"), &json!("")));
}

#[tokio::test]
async fn a_claim_for_several_nodes_takes_the_disk_or_the_filestore_instance_that_the_scenario_names() {
    let cache = tempfile::tempdir().expect("a folder");
    let target = Target { provider: Provider::Gke, ..target(cache.path()) };
    let mut scenario = everything();
    scenario.cluster.gke.disks[0].claim =
        Some(scenarios::Object { namespace: "demo".to_owned(), name: "shared".to_owned() });
    let lowered = lower(&scenario, &target).await.expect("a graph");
    let graph = &lowered.graph;
    let disks: Vec<String> = lowered.gke.expect("a cluster").disks.into_iter().map(|disk| disk.name).collect();
    assert_eq!(disks, ["data"], "no other disk is made");
    let volumes = graph.nodes().filter(|node| node.inputs["manifest"]["spec"]["csi"].is_object());
    let of_disk: Vec<&Value> = volumes.map(|node| &node.inputs["manifest"]["spec"]["csi"]["volumeHandle"]).collect();
    assert_eq!(of_disk, [&json!({ "$output": ["gcp-disk/infra-demo-data", "handle"] })]);
    let volume = node(graph, "object/persistentvolume/infra.demo.files");
    let made_by = "gcp-filestore/infra-demo-files";
    let nfs = json!({ "server": { "$output": [made_by, "address"] }, "path": { "$output": [made_by, "path"] } });
    assert_eq!(volume.inputs["manifest"]["spec"]["nfs"], nfs);
    assert!(needs(volume).contains(&made_by.to_owned()));
    assert!(needs(node(graph, made_by)).contains(&"gcp-service/file.googleapis.com".to_owned()));
}

#[tokio::test]
async fn on_kind_a_claim_for_several_nodes_is_a_folder_that_all_of_them_see() {
    let cache = tempfile::tempdir().expect("a folder");
    let graph = lower(&everything(), &target(cache.path())).await.expect("a graph").graph;
    let volume = node(&graph, "object/persistentvolume/infra.demo.shared");
    assert_eq!(
        volume.inputs["manifest"]["spec"]["hostPath"],
        json!({ "path": "/var/lib/infra/shared/demo/shared", "type": "Directory" })
    );
    assert_eq!(node(&graph, "node-folder/demo/shared").title, "folder demo/shared of all nodes");
    let claim = &node(&graph, "object/persistentvolumeclaim/demo/data").inputs["manifest"]["spec"];
    assert!(claim["volumeName"].is_null(), "one node's claims are the provisioner's");
}

#[tokio::test]
async fn the_sandbox_has_as_many_nodes_as_the_scenario_asks_for() {
    let cache = tempfile::tempdir().expect("a folder");
    let scenario = load(Path::new(FOLDER)).unwrap_or_else(|report| panic!("{report}"));
    let sandbox = Target { provider: Provider::Sandbox, ..target(cache.path()) };
    let graph = lower(&scenario, &sandbox).await.expect("a graph").graph;
    let cluster = graph.nodes().find(|node| node.address.kind() == "sandbox-cluster").expect("a cluster");
    assert_eq!(cluster.inputs["nodes"], 2);
}

#[tokio::test]
async fn a_claim_on_one_node_gets_a_folder_of_it_unless_it_has_a_volume_already() {
    let cache = tempfile::tempdir().expect("a folder");
    let scenario = load(Path::new("mnist-rnn")).unwrap_or_else(|report| panic!("{report}"));
    let (claim, folder) = ("object/persistentvolumeclaim/mnist-rnn/model", "node-folder/mnist-rnn/model");
    let fresh = lower(&scenario, &target(cache.path())).await.expect("a graph").graph;
    let spec = &node(&fresh, claim).inputs["manifest"]["spec"];
    assert_eq!((&spec["volumeName"], &spec["storageClassName"]), (&json!("infra.mnist-rnn.model"), &json!("")));
    let volume = node(&fresh, "object/persistentvolume/infra.mnist-rnn.model");
    assert_eq!(volume.inputs["manifest"]["spec"]["capacity"]["storage"], "1Gi");
    assert_eq!(node(&fresh, folder).inputs["folder"], volume.inputs["manifest"]["spec"]["hostPath"]["path"]);

    // What a claim of an older deployment holds stays where it is.
    let mut older = held(&fresh);
    let kept = older.get_mut(&claim.parse().expect("an address")).expect("the claim");
    kept["manifest"]["spec"].as_object_mut().expect("a table").shift_remove("volumeName");
    let target = Target { held: older, ..target(cache.path()) };
    let again = lower(&scenario, &target).await.expect("a graph").graph;
    assert!(again.get(&folder.parse().expect("an address")).is_none());
    assert!(node(&again, claim).inputs["manifest"]["spec"]["volumeName"].is_null());
}

#[tokio::test]
async fn a_claim_that_is_called_otherwise_keeps_its_folder_and_a_new_one_gets_another() {
    let cache = tempfile::tempdir().expect("a folder");
    let mut scenario = load(Path::new("mnist-rnn")).unwrap_or_else(|report| panic!("{report}"));
    let before = lower(&scenario, &target(cache.path())).await.expect("a graph").graph;
    let path =
        |graph: &Graph, name: &str| node(graph, &format!("node-folder/mnist-rnn/{name}")).inputs["folder"].clone();
    let usual = path(&before, "model");
    let claims = |name: &str| -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "mnist-rnn"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}})
    };
    let addresses =
        ["model", "weights"].map(|name| format!("node-folder/mnist-rnn/{name}").parse().expect("an address"));
    scenario.moved = vec![addresses.clone().into()];
    let claim = |name: &'static str| {
        move |manifest: &mut scenarios::Manifest| {
            if manifest.value["kind"] == "PersistentVolumeClaim" {
                manifest.value = claims(name);
            }
        }
    };
    scenario.steps.iter_mut().flat_map(|step| &mut step.manifests).for_each(claim("weights"));
    let renamed = Target { held: held(&before), ..target(cache.path()) };
    let after = lower(&scenario, &renamed).await.expect("a graph").graph;
    assert_eq!(path(&after, "weights"), usual);

    // Once it was moved, the journal knows the new name only; what takes the old one is another claim.
    let moved = Target { held: held(&after), ..target(cache.path()) };
    assert_eq!(path(&lower(&scenario, &moved).await.expect("a graph").graph, "weights"), usual);
    scenario.steps.iter_mut().flat_map(|step| &mut step.manifests).for_each(claim("model"));
    scenario.moved.clear();
    assert_ne!(path(&lower(&scenario, &moved).await.expect("a graph").graph, "model"), usual);
}

#[tokio::test]
async fn the_same_scenario_gives_the_same_graph() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let first = lowered(&target(one.path())).await;
    assert_eq!(first.graph, lowered(&target(one.path())).await.graph);
    assert_eq!(first.graph, lowered(&target(other.path())).await.graph);
}

#[tokio::test]
async fn the_value_of_a_secret_is_not_in_the_graph() {
    let cache = tempfile::tempdir().expect("a folder");
    let nodes = lowered(&target(cache.path())).await.graph;
    let text = serde_json::to_string(&nodes.nodes().collect::<Vec<_>>()).expect("data");
    assert!(text.contains("login"));
    // As it is written, and in base64.
    assert!(!text.contains("correct-horse") && !text.contains("Y29ycmVjdC1ob3JzZ"));
}

#[tokio::test]
async fn a_cluster_that_is_there_keeps_its_ports() {
    let cache = tempfile::tempdir().expect("a folder");
    let fresh = lowered(&target(cache.path())).await;
    let mut journal = held(&fresh.graph);
    let cluster: Address = "kind-cluster/infra-demo".parse().expect("an address");
    let metrics_only = json!([{ "local_port": 9990, "node_port": 31000 }]);
    journal.get_mut(&cluster).expect("the cluster")["ports"] = metrics_only.clone();
    let again = lowered(&Target { held: journal, ..target(cache.path()) }).await;
    assert_eq!(node(&again.graph, "kind-cluster/infra-demo").inputs["ports"], metrics_only);
    let note = node(&again.graph, "object/service/demo/server").note.clone().expect("a note");
    assert_eq!(note, "LoadBalancer -> infra open, LoadBalancer -> 127.0.0.1:9990");
    assert_eq!(
        again.addresses.iter().map(|address| address.url.as_str()).collect::<Vec<_>>(),
        ["http://127.0.0.1:9990"]
    );
    insta::assert_json_snapshot!("warnings", again.warnings);
}

#[tokio::test]
async fn a_cluster_that_must_be_replaced_gets_the_ports_that_are_wanted_now() {
    let cache = tempfile::tempdir().expect("a folder");
    let fresh = lowered(&target(cache.path())).await;
    let mut journal = held(&fresh.graph);
    let cluster: Address = "kind-cluster/infra-demo".parse().expect("an address");
    journal.insert(cluster, json!({ "nodes": 1, "node_image": "kind-node:test", "ports": [] }));
    let again = lowered(&Target { held: journal, ..target(cache.path()) }).await;
    assert_eq!(again.graph, fresh.graph);
}

/// A copy of the scenario that can be changed.
fn copy() -> tempfile::TempDir {
    fn copy_folder(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if from.is_dir() {
                copy_folder(&from, &to);
            } else {
                std::fs::copy(&from, &to).expect("a copy");
            }
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    copy_folder(Path::new(FOLDER), folder.path());
    folder
}

#[tokio::test]
async fn a_changed_file_changes_only_the_image_that_holds_it() {
    let (cache, folder) = (tempfile::tempdir().expect("a folder"), copy());
    let scenario = load(folder.path()).unwrap_or_else(|report| panic!("{report}"));
    let before = lower(&scenario, &target(cache.path())).await.expect("a graph").graph;
    std::fs::write(folder.path().join("data/mnist/t10k-labels-idx1-ubyte"), "changed").expect("a file");
    let after = lower(&scenario, &target(cache.path())).await.expect("a graph").graph;
    let changed: Vec<String> = before
        .nodes()
        .filter(|node| after.get(&node.address) != Some(*node))
        .map(|node| node.address.to_string())
        .collect();
    assert_eq!(changed, ["image/team-trainer"]);
}

#[tokio::test]
async fn a_folder_that_does_not_hold_its_data_set_is_an_error_that_names_it() {
    let (cache, folder) = (tempfile::tempdir().expect("a folder"), copy());
    let file = folder.path().join("scenario.yaml");
    let text = std::fs::read_to_string(&file).expect("the scenario");
    std::fs::write(&file, text + "datasets: { mnist: { folder: image } }\n").expect("a file");
    let scenario = load(folder.path()).unwrap_or_else(|report| panic!("{report}"));
    let error = lower(&scenario, &target(cache.path())).await.expect_err("no data set there");
    assert_eq!(error.to_string(), "use the data set mnist");
    assert!(std::error::Error::source(&error).expect("a cause").to_string().contains("image"));
}

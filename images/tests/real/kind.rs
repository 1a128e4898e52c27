//! Delivery into the nodes of a kind cluster.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use engine::Observation;
use images::FileEntry;
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, hello, hello_spec, text};

const CLUSTER: &str = "infra-images-test";

pub fn tests() -> Vec<Trial> {
    let named = std::env::var_os("INFRA_TEST_KIND").is_some() && std::env::var_os("INFRA_TEST_KIND_IMAGE").is_some();
    let lacking = (!named).then_some("INFRA_TEST_KIND and INFRA_TEST_KIND_IMAGE");
    vec![crate::trial("an_image_is_delivered_layer_by_layer_and_pods_run_it", lacking, delivered)]
}

/// A cluster that is gone when the test is.
struct Cluster {
    kind: String,
    kubeconfig: String,
}

impl Cluster {
    fn create(folder: &Path) -> Self {
        let kind = std::env::var("INFRA_TEST_KIND").unwrap();
        let image = std::env::var("INFRA_TEST_KIND_IMAGE").unwrap();
        let cluster = Self { kind, kubeconfig: folder.join("kubeconfig").display().to_string() };
        let configuration = folder.join("kind.yaml");
        let nodes =
            "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: control-plane}, {role: worker}]\n";
        fs::write(&configuration, nodes).unwrap();
        let configuration = configuration.display().to_string();
        cluster.run(&[
            "create",
            "cluster",
            "--name",
            CLUSTER,
            "--image",
            &image,
            "--config",
            &configuration,
            "--wait",
            "120s",
        ]);
        cluster
    }

    fn run(&self, arguments: &[&str]) {
        let output =
            Command::new(&self.kind).args(arguments).args(["--kubeconfig", &self.kubeconfig]).output().unwrap();
        assert!(output.status.success(), "kind: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let output = Command::new("kubectl").args(["--kubeconfig", &self.kubeconfig]).args(arguments).output().unwrap();
        assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a pod of this image prints, on this node; the image must not be pulled.
    fn run_pod(&self, name: &str, image: &str, node: &str) -> String {
        let overrides = json!({ "spec": { "nodeName": node } }).to_string();
        self.kubectl(&[
            "run",
            name,
            "--image",
            image,
            "--image-pull-policy=Never",
            "--restart=Never",
            "--overrides",
            &overrides,
            "--",
            "you",
        ]);
        self.kubectl(&["wait", "--for=jsonpath={.status.phase}=Succeeded", &format!("pod/{name}"), "--timeout=60s"]);
        self.kubectl(&["logs", name])
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run(&["delete", "cluster", "--name", CLUSTER]);
    }
}

fn on_node(node: &str, command: &[&str]) -> String {
    let output = Command::new("docker").args(["exec", node]).args(command).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn delivered() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::create(folder.path());
    let nodes = [format!("{CLUSTER}-control-plane"), format!("{CLUSTER}-worker")];
    let bench = Bench::new("images-test", &folder.path().join("cache"), None);
    let source = hello(folder.path());
    let mut spec = hello_spec(&source);
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/greeting.txt"), "good day").unwrap();
    fs::write(folder.path().join("data/big"), pseudo_random(100_000_000)).unwrap();
    spec.files = vec![FileEntry { from: folder.path().join("data"), to: "/data".to_owned() }];

    let first_graph = bench.declare(&spec, Some(CLUSTER)).await;
    let first = bench.create(&first_graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
    let began = Instant::now();
    let sent = bench.create(&first_graph, "delivery", &first).await.map_err(|failure| text(&failure)).unwrap();
    println!("first delivery of {} bytes: {:?}", sent["sent_bytes"], began.elapsed());
    assert!(sent["sent_bytes"].as_u64().unwrap() > 200_000_000, "{sent}");
    let reference = first["reference"].as_str().unwrap();
    for (index, node) in nodes.iter().enumerate() {
        let said = cluster.run_pod(&format!("first-{index}"), reference, node);
        assert!(said.starts_with("hello you\ngood day\n"), "{said}");
    }

    // 10 MB of another program; the 100 MB do not change.
    let padding = format!("{}\n// changed", fs::read_to_string(source.join("src/main.rs")).unwrap());
    let padding =
        padding.replace("fn main() {", "#[used]\nstatic PADDING: [u8; 10_000_000] = [7; 10_000_000];\nfn main() {");
    fs::write(source.join("src/main.rs"), padding).unwrap();
    let graph = bench.declare(&spec, Some(CLUSTER)).await;
    let second = bench.create(&graph, "image", &json!({})).await.map_err(|failure| text(&failure)).unwrap();
    assert_ne!(first["digest"], second["digest"]);
    let began = Instant::now();
    let (address, old) = Bench::inputs(&first_graph, "delivery", &first);
    let new = Bench::inputs(&graph, "delivery", &second).1;
    let delivery = bench.registry.get(&address).unwrap();
    let sent = delivery.update(&bench.context(&address), &old, &new).await.map_err(|failure| text(&failure)).unwrap();
    println!("second delivery of {} bytes: {:?}", sent["sent_bytes"], began.elapsed());
    let bytes = sent["sent_bytes"].as_u64().unwrap();
    assert!((20_000_000..30_000_000).contains(&bytes), "only the program's layer is sent: {sent}");
    assert_eq!(bench.observe(&graph, "delivery", &second, &sent).await, Observation::AsRecorded);
    let reference = second["reference"].as_str().unwrap();
    assert!(cluster.run_pod("second", reference, &nodes[1]).starts_with("hello you\ngood day\n"));
    let labels = on_node(&nodes[1], &["ctr", "-n", "k8s.io", "images", "ls"]);
    let pinned: Vec<bool> = [&first, &second]
        .iter()
        .map(|image| {
            labels
                .lines()
                .any(|line| line.starts_with(image["reference"].as_str().unwrap()) && line.contains("pinned=pinned"))
        })
        .collect();
    assert_eq!(pinned, [false, true], "{labels}");

    let again = bench.create(&graph, "delivery", &second).await.map_err(|failure| text(&failure)).unwrap();
    assert!(again["sent_bytes"].as_u64().unwrap() < 10_000, "nothing but the manifest: {again}");

    on_node(&nodes[1], &["ctr", "-n", "k8s.io", "images", "rm", "--sync", reference]);
    let lacking = Observation::Changed(format!("node {} lacks it", nodes[1]).into());
    assert_eq!(bench.observe(&graph, "delivery", &second, &sent).await, lacking);
    bench.create(&graph, "delivery", &second).await.map_err(|failure| text(&failure)).unwrap();
    assert_eq!(bench.observe(&graph, "delivery", &second, &sent).await, Observation::AsRecorded);

    assert_eq!(bench.delete(&graph, "delivery", &second).await, ["image in nodes infra.local/images-test/hello"]);
    assert_eq!(bench.observe(&graph, "delivery", &second, &sent).await, Observation::Absent);
}

fn pseudo_random(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()[7]
    };
    std::iter::repeat_with(next).take(length).collect()
}

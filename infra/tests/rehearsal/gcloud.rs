//! What the real gcloud and kubectl say of what infra made, beside what infra says of it.

use std::process::Command;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::machine::ended;
use crate::simulated::{Cloud, SCENARIO, workspace};

const ZONE: &str = "us-central1-a";
const CLUSTER: &str = "\
cluster: { gke: { disks: [{ name: data, size: 20GB, claim: data }], addresses: [{ name: web, service: web }] } }\nsteps:";
const CLAIM: &str = "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 20Gi}}}
";

pub fn is_there() -> bool {
    Command::new("gcloud").arg("--version").output().is_ok_and(|output| output.status.success())
}

impl Cloud {
    /// What gcloud says, as JSON.
    fn told(&self, arguments: &[&str]) -> Value {
        let said = self.gcloud(&[arguments, &["--format", "json"]].concat());
        assert_eq!(said.code, 0, "{}", said.text);
        // Notes on standard error come after it.
        let mut values = serde_json::Deserializer::from_str(&said.text).into_iter::<Value>();
        values.next().expect("a value").unwrap_or_else(|error| panic!("{error}: {}", said.text))
    }
}

/// The last part of a link.
fn last(value: &Value) -> &str {
    value.as_str().and_then(|link| link.rsplit('/').next()).unwrap_or_default()
}

/// A number, whether it is written as one or as text.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn compare_cluster(cloud: &Cloud, infra: &Value) {
    let gcloud = cloud.told(&["container", "clusters", "describe", "infra-hello", "--zone", ZONE]);
    let expected = json!({
        "name": gcloud["name"], "location": gcloud["location"], "status": gcloud["status"],
        "version": gcloud["currentMasterVersion"], "endpoint": gcloud["endpoint"],
        "network": last(&gcloud["network"]), "subnetwork": last(&gcloud["subnetwork"]),
        "nodes": gcloud["currentNodeCount"],
    });
    assert_eq!(infra["cluster"], expected);
    let pools = cloud.told(&["container", "node-pools", "list", "--cluster", "infra-hello", "--zone", ZONE]);
    let groups = cloud.told(&["compute", "instance-groups", "managed", "list"]);
    let size = |pool: &Value| -> i64 {
        let names: Vec<&str> = pool["instanceGroupUrls"].as_array().into_iter().flatten().map(last).collect();
        let mine = groups.as_array().into_iter().flatten().filter(|group| names.contains(&last(&group["name"])));
        mine.filter_map(|group| number(&group["targetSize"])).sum()
    };
    let pools = pools.as_array().expect("a list").iter().map(|pool| {
        json!({
            "name": pool["name"], "status": pool["status"], "version": pool["version"],
            "machine_type": pool["config"]["machineType"], "disk_type": pool["config"]["diskType"],
            "disk_size_gigabytes": pool["config"]["diskSizeGb"], "nodes": size(pool),
        })
    });
    assert_eq!(infra["node_pools"], pools.collect::<Value>());
}

fn compare_rest(cloud: &Cloud, infra: &Value) {
    let disks = cloud.told(&["compute", "disks", "list", "--filter", "name~^infra-"]);
    let disks = disks
        .as_array()
        .expect("a list")
        .iter()
        .map(|disk| json!([disk["name"], last(&disk["zone"]), number(&disk["sizeGb"]), last(&disk["type"])]));
    let ours = infra["disks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|disk| json!([disk["name"], disk["zone"], disk["size_gigabytes"], disk["disk_type"]]));
    assert_eq!(ours.collect::<Value>(), disks.collect::<Value>());
    let addresses = cloud.told(&["compute", "addresses", "list"]);
    let addresses = addresses.as_array().expect("a list").iter().map(|it| {
        json!({
            "name": it["name"], "region": last(&it["region"]), "address": it["address"], "status": it["status"],
        })
    });
    assert_eq!(infra["addresses"], addresses.collect::<Value>());
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn agrees() -> Result<(), Failed> {
    let cloud = Cloud::new();
    cloud.machine.write("hello/scenario.yaml", &workspace(&SCENARIO.replace("steps:", CLUSTER)));
    cloud.machine.write("hello/manifests/data.yaml", CLAIM);
    cloud.machine.must(&["apply", "hello", "--yes"]);
    let status = cloud.machine.must(&["status", "--name", "hello", "--json"]);
    let status: Value = serde_json::from_str(status.trim()).expect("an object");
    compare_cluster(&cloud, &status["cloud"]);
    compare_rest(&cloud, &status["cloud"]);
    let networks = cloud.gcloud(&["compute", "networks", "list", "--format", "value(name)"]);
    assert!(networks.text.contains("infra-hello"), "{}", networks.text);
    let got = cloud.gcloud(&["container", "clusters", "get-credentials", "infra-hello", "--zone", ZONE]);
    assert_eq!(got.code, 0, "{}", got.text);
    // The entry that infra wrote asks infra for tokens.
    let kubectl = |arguments: &[&str]| -> Result<String, Failed> {
        let output = Command::new("kubectl")
            .args(arguments)
            .env("KUBECONFIG", cloud.machine.path("kubeconfig"))
            .env("INFRA_GCP_ENDPOINT", &cloud.url)
            .env("GOOGLE_OAUTH_ACCESS_TOKEN", "any")
            .output()?;
        Ok(ended(&output).text)
    };
    assert_eq!(kubectl(&["get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}"])?, "1");
    // Nodes say the version that Google says.
    let version = kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].status.nodeInfo.kubeletVersion}"])?;
    assert_eq!(
        Some(version.as_str()),
        status["cloud"]["node_pools"][0]["version"].as_str().map(|it| format!("v{it}")).as_deref()
    );
    cloud.machine.must(&["destroy", "hello", "--yes"]);
    let listed = cloud.gcloud(&["container", "clusters", "list", "--format", "value(name)"]);
    assert!(!listed.text.contains("infra-hello"), "{}", listed.text);
    assert_eq!(cloud.left(&[]), Vec::<String>::new());
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // all trials have one shape
pub fn resizes() -> Result<(), Failed> {
    let cloud = Cloud::new();
    cloud.machine.must(&["apply", "hello", "--yes"]);
    let resized = cloud.gcloud(&[
        "container",
        "clusters",
        "resize",
        "infra-hello",
        "--node-pool",
        "default-pool",
        "--num-nodes",
        "2",
        "--zone",
        ZONE,
    ]);
    assert_eq!(resized.code, 0, "{}", resized.text);
    let plan = cloud.machine.must(&["plan", "hello"]);
    assert!(plan.contains("changed outside of infra") && plan.contains("2 nodes in a zone, and not 1"), "{plan}");
    cloud.machine.must(&["apply", "hello", "--yes"]);
    let listed = cloud.gcloud(&["container", "clusters", "list", "--format", "value(name,currentNodeCount)"]);
    assert!(listed.text.contains("infra-hello\t1"), "{}", listed.text);
    let again = cloud.machine.must(&["apply", "hello", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    cloud.machine.must(&["destroy", "hello", "--yes"]);
    assert_eq!(cloud.left(&[]), Vec::<String>::new());
    Ok(())
}

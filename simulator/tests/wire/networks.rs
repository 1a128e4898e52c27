use serde_json::{Value, json};

use crate::support::{COMPUTE, Cloud, ZONE, cloud, create};

async fn network(cloud: &Cloud) {
    let body = json!({"name": "n", "autoCreateSubnetworks": false, "description": "infra-deployment=test"});
    cloud.done(&cloud.post(&format!("{COMPUTE}/global/networks"), body).await).await;
    let body = json!({"name": "s", "network": "global/networks/n", "ipCidrRange": "10.5.0.0/20"});
    cloud.done(&cloud.post(&format!("{COMPUTE}/regions/us-central1/subnetworks"), body).await).await;
}

#[tokio::test]
async fn a_network_is_held_by_what_is_in_it() {
    let cloud = cloud().await;
    network(&cloud).await;
    let path = format!("{COMPUTE}/global/networks/n");
    let held = |by: &str| {
        (
            400,
            format!(
                "The network resource 'projects/demo/global/networks/n' is already being used by 'projects/demo/{by}'"
            ),
        )
    };
    assert_eq!(cloud.refused("DELETE", &path, Value::Null).await, held("regions/us-central1/subnetworks/s"));
    let body = cloud.ask("DELETE", &path, Value::Null).await.1;
    assert_eq!(body["error"]["errors"][0]["reason"], "resourceInUseByAnotherResource");
    let rule = json!({"name": "f", "network": "global/networks/n", "allowed": [{"IPProtocol": "tcp"}]});
    cloud.done(&cloud.post(&format!("{COMPUTE}/global/firewalls"), rule).await).await;
    cloud.done(&cloud.delete(&format!("{COMPUTE}/regions/us-central1/subnetworks/s")).await).await;
    assert_eq!(cloud.refused("DELETE", &path, Value::Null).await, held("global/firewalls/f"));
    cloud.done(&cloud.delete(&format!("{COMPUTE}/global/firewalls/f")).await).await;
    cloud.done(&cloud.delete(&path).await).await;
    assert_eq!(cloud.left(), []);
}

#[tokio::test]
async fn a_cluster_is_made_in_a_network_of_its_own() {
    let cloud = cloud().await;
    network(&cloud).await;
    let mut body = create("c", 1);
    body["cluster"]["network"] = json!("projects/demo/global/networks/n");
    body["cluster"]["subnetwork"] = json!("s");
    cloud.done(&cloud.post(&format!("{ZONE}/clusters"), body).await).await;
    let cluster = cloud.get(&format!("{ZONE}/clusters/c")).await;
    assert_eq!((&cluster["network"], &cluster["subnetwork"]), (&json!("n"), &json!("s")));
    let (status, message) =
        cloud.refused("DELETE", &format!("{COMPUTE}/regions/us-central1/subnetworks/s"), Value::Null).await;
    assert!(
        status == 400
            && message.contains("is already being used by 'projects/demo/zones/us-central1-a/instances/gke-c-"),
        "{message}"
    );
    let mut body = create("d", 1);
    body["cluster"]["network"] = json!("other");
    assert_eq!(cloud.refused("POST", &format!("{ZONE}/clusters"), body).await.1, "Network \"other\" does not exist.");
}

#[tokio::test]
async fn names_links_and_ranges_are_held_against_the_rules() {
    let cloud = cloud().await;
    network(&cloud).await;
    let subnetworks = format!("{COMPUTE}/regions/us-central1/subnetworks");
    let subnetwork =
        |name: &str, network: &str, range: &str| json!({"name": name, "network": network, "ipCidrRange": range});
    let table = [
        (
            subnetwork("s2", "global/networks/n", "10.5.8.0/24"),
            400,
            "Invalid IPCidrRange: 10.5.8.0/24 conflicts with existing subnetwork 's' in region 'us-central1'.",
        ),
        (
            subnetwork("s2", "global/networks/m", "10.6.0.0/24"),
            404,
            "The resource 'projects/demo/global/networks/m' was not found",
        ),
        (
            subnetwork("s2", "n", "10.6.0.0/24"),
            400,
            "Invalid value for field 'resource.network': 'n'. The URL is malformed.",
        ),
        (
            subnetwork("S2", "global/networks/n", "10.6.0.0/24"),
            400,
            "Invalid value for field 'resource.name': 'S2'. Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'",
        ),
        (
            subnetwork("s", "global/networks/n", "10.6.0.0/24"),
            409,
            "The resource 'projects/demo/regions/us-central1/subnetworks/s' already exists",
        ),
    ];
    for (body, status, message) in table {
        assert_eq!(cloud.refused("POST", &subnetworks, body).await, (status, message.to_owned()));
    }
}

#[tokio::test]
async fn an_address_is_in_use_as_long_as_a_rule_forwards_it() {
    let cloud = cloud().await;
    let region = format!("{COMPUTE}/regions/us-central1");
    cloud.done(&cloud.post(&format!("{region}/addresses"), json!({"name": "a"})).await).await;
    cloud.done(&cloud.post(&format!("{region}/targetPools"), json!({"name": "t"})).await).await;
    let rule = json!({"name": "f", "IPAddress": "regions/us-central1/addresses/a", "target": "regions/us-central1/targetPools/t", "portRange": "80"});
    cloud.done(&cloud.post(&format!("{region}/forwardingRules"), rule).await).await;
    let address = cloud.get(&format!("{region}/addresses/a")).await;
    assert_eq!(address["status"], "IN_USE");
    assert_eq!(cloud.get(&format!("{region}/forwardingRules/f")).await["IPAddress"], address["address"]);
    assert_eq!(cloud.ask("DELETE", &format!("{region}/addresses/a"), Value::Null).await.0, 400);
    assert_eq!(cloud.ask("DELETE", &format!("{region}/targetPools/t"), Value::Null).await.0, 400);
    cloud.done(&cloud.delete(&format!("{region}/forwardingRules/f")).await).await;
    assert_eq!(cloud.get(&format!("{region}/addresses/a")).await["status"], "RESERVED");
}

#[tokio::test]
async fn quotas_count_what_is_there() {
    let cloud = cloud().await;
    cloud.cluster("c", 2).await;
    let region = cloud.get(&format!("{COMPUTE}/regions/us-central1")).await;
    let usage = |metric: &str| {
        let all = region["quotas"].as_array().unwrap();
        all.iter().find(|quota| quota["metric"] == metric).unwrap()["usage"].to_string()
    };
    let seen = ["CPUS", "SSD_TOTAL_GB", "IN_USE_ADDRESSES", "INSTANCES"].map(usage);
    assert_eq!(seen, ["4.0", "40.0", "2.0", "2.0"]);
    let disk = json!({"name": "d", "sizeGb": "600", "type": "zones/us-central1-a/diskTypes/pd-ssd"});
    let refused = cloud.refused("POST", &format!("{COMPUTE}/zones/us-central1-a/disks"), disk).await;
    assert_eq!(refused, (403, "Quota 'SSD_TOTAL_GB' exceeded.  Limit: 500.0 in region us-central1.".to_owned()));
}

#[tokio::test]
async fn lists_are_by_place_by_filter_and_by_page() {
    let cloud = cloud().await;
    for (name, zone) in [("d1", "us-central1-a"), ("d2", "us-central1-a"), ("d3", "us-east1-b")] {
        let body = json!({"name": name, "sizeGb": "10", "labels": {"infra-deployment": "test"}});
        cloud.done(&cloud.post(&format!("{COMPUTE}/zones/{zone}/disks"), body).await).await;
    }
    let all = cloud.get(&format!("{COMPUTE}/aggregated/disks?filter=labels.infra-deployment%3Dtest")).await;
    assert_eq!(all["items"]["zones/us-central1-a"]["disks"].as_array().unwrap().len(), 2);
    assert_eq!(all["items"]["zones/us-east1-b"]["disks"][0]["name"], "d3");
    assert_eq!(all["items"]["zones/us-west1-a"]["warning"]["code"], "NO_RESULTS_ON_PAGE");
    let zone = format!("{COMPUTE}/zones/us-central1-a/disks");
    let page = cloud.get(&format!("{zone}?maxResults=1")).await;
    assert_eq!(page["items"][0]["name"], "d1");
    let token = page["nextPageToken"].as_str().unwrap();
    let page = cloud.get(&format!("{zone}?maxResults=1&pageToken={token}")).await;
    assert_eq!((&page["items"][0]["name"], &page["nextPageToken"]), (&json!("d2"), &Value::Null));
}

#[tokio::test]
async fn the_same_request_is_done_once() {
    let cloud = cloud().await;
    let path = format!("{COMPUTE}/zones/us-central1-a/disks?requestId=6f1b0b2a-0000-4000-8000-000000000001");
    let first = cloud.post(&path, json!({"name": "d", "sizeGb": "10"})).await;
    assert_eq!(cloud.post(&path, json!({"name": "d", "sizeGb": "10"})).await["name"], first["name"]);
    assert_eq!(cloud.running.ledger().entries.len(), 1);
}

use serde_json::{Value, json};
use simulator::{Fault, FaultKind, Faults, Project};

use crate::support::{COMPUTE, Cloud, ZONE, cloud, cloud_of, faulty};

/// The request for an instance.
fn instance(tier: &str, gibibytes: u64) -> Value {
    json!({
        "tier": tier, "description": "infra-deployment=test", "labels": {"infra-deployment": "test"},
        "fileShares": [{"name": "data", "capacityGb": gibibytes.to_string()}],
        "networks": [{"network": "projects/demo/global/networks/default", "modes": ["MODE_IPV4"]}],
    })
}

async fn made(cloud: &Cloud, name: &str) -> Value {
    let begun = cloud.post(&format!("{ZONE}/instances?instanceId={name}"), instance("BASIC_HDD", 1024)).await;
    cloud.done(&begun).await
}

#[tokio::test]
async fn a_file_server_is_made_in_minutes_and_has_an_address() {
    let cloud = cloud().await;
    let path = format!("{ZONE}/instances?instanceId=files");
    let begun = cloud.post(&path, instance("BASIC_HDD", 1024)).await;
    let name = begun["name"].as_str().unwrap();
    assert!(name.starts_with("projects/demo/locations/us-central1-a/operations/operation-"), "{name}");
    assert!(begun["done"].is_null() && begun["metadata"]["verb"] == "create", "{begun}");
    assert_eq!(cloud.get(&format!("{ZONE}/instances/files")).await["state"], "CREATING");
    cloud.skip(140);
    assert!(cloud.get(&format!("/v1/{name}")).await["done"].is_null(), "it takes longer");
    let done = cloud.done(&begun).await;
    let found = cloud.get(&format!("{ZONE}/instances/files")).await;
    assert_eq!(done["response"]["name"], found["name"]);
    assert_eq!((&found["state"], &found["protocol"]), (&json!("READY"), &json!("NFS_V3")));
    assert_eq!(found["networks"][0]["connectMode"], "DIRECT_PEERING");
    let address = found["networks"][0]["ipAddresses"][0].as_str().unwrap();
    assert!(address.parse::<std::net::Ipv4Addr>().unwrap().is_private(), "{address}");
    let ledger = cloud.running.ledger();
    let entry = ledger.left().find(|entry| entry.kind == "filestoreInstances").expect("it costs");
    assert!((entry.cost_per_hour - 0.2244).abs() < 1e-3, "{}", entry.cost_per_hour);
    assert_eq!(entry.labels["infra-deployment"], "test");
}

#[tokio::test]
async fn a_file_server_grows_is_listed_and_goes() {
    let cloud = cloud().await;
    made(&cloud, "files").await;
    made(&cloud, "more").await;
    let everywhere = cloud.get("/v1/projects/demo/locations/-/instances").await;
    assert_eq!(everywhere["instances"].as_array().unwrap().len(), 2);
    let address = |place: usize| &everywhere["instances"][place]["networks"][0]["ipAddresses"];
    assert_ne!(address(0), address(1));
    let larger = json!({"fileShares": [{"name": "data", "capacityGb": "2048"}]});
    let path = format!("{ZONE}/instances/files");
    let (status, begun) = cloud.ask("PATCH", &format!("{path}?updateMask=fileShares"), larger).await;
    assert_eq!(status, 200, "{begun}");
    let (status, message) = cloud.refused("DELETE", &path, Value::Null).await;
    assert!(status == 400 && message.starts_with("Operation in progress"), "{message}");
    cloud.done(&begun).await;
    assert_eq!(cloud.get(&path).await["fileShares"][0]["capacityGb"], "2048");
    let smaller = json!({"fileShares": [{"name": "data", "capacityGb": "1024"}]});
    assert_eq!(cloud.ask("PATCH", &format!("{path}?updateMask=fileShares"), smaller).await.0, 400);
    for name in ["files", "more"] {
        let begun = cloud.delete(&format!("{ZONE}/instances/{name}")).await;
        assert_eq!(cloud.get(&format!("{ZONE}/instances/{name}")).await["state"], "DELETING");
        cloud.done(&begun).await;
    }
    assert_eq!(cloud.refused("GET", &path, Value::Null).await.0, 404);
    assert_eq!(cloud.get("/v1/projects/demo/locations/-/instances").await, json!({}));
    assert_eq!(cloud.left(), []);
}

#[tokio::test]
async fn what_filestore_would_not_take_is_refused() {
    let cloud = cloud().await;
    let at = |name: &str| format!("{ZONE}/instances?instanceId={name}");
    let mut unknown = instance("BASIC_HDD", 1024);
    unknown["fileShares"][0]["capacity"] = json!("1TB");
    let mut nowhere = instance("BASIC_HDD", 1024);
    nowhere["networks"][0]["network"] = json!("projects/demo/global/networks/nowhere");
    let mut no_tier = instance("BASIC_HDD", 1024);
    no_tier.as_object_mut().unwrap().remove("tier");
    let refusals = [
        (at("files"), unknown, 400, "Unknown name \"capacity\""),
        (at("Files"), instance("BASIC_HDD", 1024), 400, "Invalid resource ID"),
        (at("files"), instance("BASIC_HDD", 100), 400, "between 1024 GB and"),
        (at("files"), instance("REGIONAL", 1024), 400, "must be created in a region"),
        (at("files"), nowhere, 400, "network 'nowhere' does not exist."),
        (at("files"), no_tier, 500, "An internal error has occurred"),
        (
            at("files"),
            instance("BASIC_SSD", 10_000),
            429,
            "Quota limit 'PremiumStorageGbPerRegion' has been exceeded. Limit: 5120 in region us-central1.",
        ),
    ];
    for (path, body, status, words) in refusals {
        let (told, message) = cloud.refused("POST", &path, body).await;
        assert!(told == status && message.contains(words), "{told} {message:?} instead of {status} {words:?}");
    }
    made(&cloud, "files").await;
    let (status, message) = cloud.refused("POST", &at("files"), instance("BASIC_HDD", 1024)).await;
    assert!(status == 409 && message.contains("already exists"), "{message}");
}

#[tokio::test]
async fn a_network_with_a_file_server_in_it_stays() {
    let cloud = cloud().await;
    let networks = format!("{COMPUTE}/global/networks");
    cloud.done(&cloud.post(&networks, json!({"name": "own", "autoCreateSubnetworks": false})).await).await;
    let mut wanted = instance("BASIC_HDD", 1024);
    wanted["networks"][0]["network"] = json!("projects/demo/global/networks/own");
    cloud.done(&cloud.post(&format!("{ZONE}/instances?instanceId=files"), wanted).await).await;
    let (status, message) = cloud.refused("DELETE", &format!("{networks}/own"), Value::Null).await;
    assert!(status == 400 && message.contains("locations/us-central1-a/instances/files"), "{message}");
    cloud.done(&cloud.delete(&format!("{ZONE}/instances/files")).await).await;
    cloud.done(&cloud.delete(&format!("{networks}/own")).await).await;
    assert_eq!(cloud.left(), []);
}

#[tokio::test]
async fn a_file_server_that_could_not_be_made_is_there_and_broken() {
    let rules = vec![Fault::first(FaultKind::FailedOperation, "instances.create")];
    let cloud = faulty(Faults { rules, ..Faults::default() }).await;
    let done = made(&cloud, "files").await;
    assert_eq!(done["error"]["code"], 13);
    let found = cloud.get(&format!("{ZONE}/instances/files")).await;
    assert_eq!((&found["state"], &found["statusMessage"]), (&json!("ERROR"), &json!("An internal error has occurred")));
}

#[tokio::test]
async fn filestore_is_off_in_a_new_project_and_permissions_hold() {
    let fresh = cloud_of(Project::fresh("demo")).await;
    let (status, message) = fresh.refused("GET", &format!("{ZONE}/instances"), Value::Null).await;
    assert!(status == 403 && message.starts_with("Cloud Filestore API has not been used"), "{message}");
    let mut project = Project::new("demo");
    project.denied.insert("file.instances.create".into());
    let cloud = cloud_of(project).await;
    let path = format!("{ZONE}/instances?instanceId=files");
    let (status, message) = cloud.refused("POST", &path, instance("BASIC_HDD", 1024)).await;
    assert!(status == 403 && message.contains("file.instances.create"), "{message}");
}

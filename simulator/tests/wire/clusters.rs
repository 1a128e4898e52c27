use serde_json::{Value, json};

use crate::support::{COMPUTE, ZONE, cloud, create};

#[tokio::test]
async fn a_cluster_takes_minutes_and_goes_through_its_states() {
    let cloud = cloud().await;
    let operation = cloud.post(&format!("{ZONE}/clusters"), create("c", 2)).await;
    assert_eq!((&operation["status"], &operation["operationType"]), (&json!("PENDING"), &json!("CREATE_CLUSTER")));
    let path = format!("{ZONE}/clusters/c");
    assert_eq!(cloud.get(&path).await["status"], "PROVISIONING");
    cloud.skip(60);
    let name = operation["name"].as_str().unwrap();
    let running = cloud.get(&format!("{ZONE}/operations/{name}")).await;
    assert_eq!(running["status"], "RUNNING");
    assert_eq!(running["progress"]["stages"][0]["name"], "CLUSTER_CONFIGURING");
    cloud.skip(200);
    assert_eq!(
        cloud.get(&format!("{ZONE}/operations/{name}")).await["status"],
        "RUNNING",
        "it takes five minutes at least"
    );
    cloud.done(&operation).await;
    let cluster = cloud.get(&path).await;
    assert_eq!((&cluster["status"], &cluster["currentNodeCount"]), (&json!("RUNNING"), &json!(2)));
    assert_eq!(cluster["nodePools"][0]["status"], "RUNNING");
    assert_eq!(cluster["endpoint"], "192.0.2.1");
    let instances = cloud.get(&format!("{COMPUTE}/zones/us-central1-a/instances")).await;
    assert_eq!(instances["items"].as_array().unwrap().len(), 2);
    assert_eq!(instances["items"][0]["labels"]["infra-deployment"], "test");
}

#[tokio::test]
async fn a_deleted_cluster_leaves_nothing_of_its_own() {
    let cloud = cloud().await;
    cloud.cluster("c", 3).await;
    assert!(cloud.left().len() > 10);
    let operation = cloud.delete(&format!("{ZONE}/clusters/c")).await;
    assert_eq!(cloud.get(&format!("{ZONE}/clusters/c")).await["status"], "STOPPING");
    cloud.done(&operation).await;
    assert_eq!(cloud.left(), []);
    let (status, message) = cloud.refused("GET", &format!("{ZONE}/clusters/c"), Value::Null).await;
    assert!(
        status == 404
            && message.starts_with("Not found: projects/")
            && message.ends_with("/zones/us-central1-a/clusters/c.")
    );
}

#[tokio::test]
async fn one_cluster_is_changed_by_one_operation_at_a_time() {
    let cloud = cloud().await;
    let operation = cloud.post(&format!("{ZONE}/clusters"), create("c", 1)).await;
    let name = operation["name"].as_str().unwrap();
    let expected =
        format!("Operation {name} is currently creating cluster c. Please wait and try again once it is done.");
    let (status, body) = cloud.ask("DELETE", &format!("{ZONE}/clusters/c"), Value::Null).await;
    assert_eq!((status, body["error"]["message"].as_str()), (400, Some(expected.as_str())));
    assert_eq!(body["error"]["status"], "FAILED_PRECONDITION");
    let pool = json!({"nodePool": {"name": "p", "initialNodeCount": 1}});
    assert_eq!(cloud.ask("POST", &format!("{ZONE}/clusters/c/nodePools"), pool).await.0, 400);
}

#[tokio::test]
async fn node_pools_come_grow_shrink_and_go_with_their_machines() {
    let cloud = cloud().await;
    cloud.cluster("c", 1).await;
    let pools = format!("{ZONE}/clusters/c/nodePools");
    let pool = json!({"nodePool": {"name": "p", "initialNodeCount": 1, "config": {"machineType": "e2-medium", "diskSizeGb": 10}}});
    cloud.done(&cloud.post(&pools, pool.clone()).await).await;
    let instances = || async {
        cloud.get(&format!("{COMPUTE}/zones/us-central1-a/instances")).await["items"].as_array().unwrap().len()
    };
    assert_eq!(instances().await, 2);
    assert_eq!(cloud.ask("POST", &pools, pool).await.0, 409);
    cloud.done(&cloud.post(&format!("{pools}/p:setSize"), json!({"nodeCount": 4})).await).await;
    assert_eq!(instances().await, 5);
    cloud.done(&cloud.post(&format!("{pools}/p:setSize"), json!({"nodeCount": 2})).await).await;
    assert_eq!(instances().await, 3);
    cloud.done(&cloud.delete(&format!("{pools}/p")).await).await;
    assert_eq!(instances().await, 1);
    assert_eq!(cloud.get(&pools).await["nodePools"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn enumerations_are_numbers_for_who_asks_so() {
    let cloud = cloud().await;
    let operation = cloud.post(&format!("{ZONE}/clusters?$alt=json;enum-encoding=int"), create("c", 1)).await;
    assert_eq!((&operation["status"], &operation["operationType"]), (&json!(1), &json!(1)));
    let cluster = cloud.get(&format!("{ZONE}/clusters/c?$alt=json;enum-encoding=int")).await;
    assert_eq!((&cluster["status"], &cluster["releaseChannel"]["channel"]), (&json!(1), &json!(2)));
    assert_eq!(cloud.get(&format!("{ZONE}/clusters/c")).await["status"], "PROVISIONING");
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_before_anything_is_made() {
    let cloud = cloud().await;
    let asked = |machine: &str, count: u32| {
        let mut body = create("c", count);
        body["cluster"]["nodePools"][0]["config"]["machineType"] = json!(machine);
        body
    };
    let clusters = format!("{ZONE}/clusters");
    let table = [
        (
            clusters.clone(),
            asked("e9-large", 1),
            400,
            "Machine type with name \"e9-large\" does not exist in zone \"us-central1-a\".",
        ),
        (clusters.replace("-a/", "-q/"), asked("e2-medium", 1), 400, "Location \"us-central1-q\" does not exist."),
        (
            clusters.clone(),
            asked("e2-standard-8", 4),
            403,
            "Insufficient regional quota to satisfy request: resource \"CPUS\": request requires '32.0' and is short '8.0'. project has a \
             quota of '24.0' with '24.0' available. View and manage quotas at \
             https://console.cloud.google.com/iam-admin/quotas?usage=USED&project=demo.",
        ),
        (
            clusters.replace("demo", "other"),
            asked("e2-medium", 1),
            404,
            "Project \"other\" not found or permission denied.",
        ),
        (
            clusters.clone(),
            json!({"cluster": {"name": "c", "initialNodeCount": 1, "machine": "x"}}),
            400,
            "Invalid JSON payload received. Unknown name \"machine\" at 'cluster': Cannot find field.",
        ),
    ];
    for (path, body, status, message) in table {
        assert_eq!(cloud.refused("POST", &path, body).await, (status, message.to_owned()));
    }
    assert_eq!(cloud.left(), []);
    assert!(cloud.running.ledger().entries.is_empty(), "nothing ever was");
}

#[tokio::test]
async fn regional_clusters_have_nodes_in_three_zones() {
    let cloud = cloud().await;
    let region = ZONE.replace("us-central1-a", "us-east1");
    cloud.done(&cloud.post(&format!("{region}/clusters"), create("c", 1)).await).await;
    let cluster = cloud.get(&format!("{region}/clusters/c")).await;
    assert_eq!(cluster["currentNodeCount"], 3);
    assert_eq!(cluster["locations"], json!(["us-east1-b", "us-east1-c", "us-east1-d"]));
    assert_eq!(cloud.get(&ZONE.replace("us-central1-a", "-/clusters")).await["clusters"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn labels_are_set_only_by_who_knows_how_they_are() {
    let cloud = cloud().await;
    cloud.cluster("c", 1).await;
    let path = format!("{ZONE}/clusters/c:setResourceLabels");
    let labels = |print: &Value| json!({"resourceLabels": {"a": "b"}, "labelFingerprint": print});
    assert_eq!(cloud.ask("POST", &path, labels(&json!("00000000"))).await.0, 400);
    let print = cloud.get(&format!("{ZONE}/clusters/c")).await["labelFingerprint"].clone();
    cloud.done(&cloud.post(&path, labels(&print)).await).await;
    assert_eq!(cloud.get(&format!("{ZONE}/clusters/c")).await["resourceLabels"], json!({"a": "b"}));
}

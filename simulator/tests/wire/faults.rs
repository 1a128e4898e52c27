use serde_json::{Value, json};
use simulator::{Fault, FaultKind, Faults, Options};

use crate::support::{COMPUTE, ZONE, cloud, create, faulty, options, with};

fn first(kind: FaultKind, method: &str) -> Faults {
    Faults { rules: vec![Fault::first(kind, method)], ..Faults::default() }
}

#[tokio::test]
async fn a_lost_reply_loses_the_reply_and_nothing_else() {
    let cloud = faulty(first(FaultKind::LostReply, "clusters.create")).await;
    assert_eq!(cloud.try_ask("POST", &format!("{ZONE}/clusters"), &create("c", 1)).await, None);
    assert_eq!(cloud.get(&format!("{ZONE}/clusters/c")).await["status"], "PROVISIONING");
    let (status, message) = cloud.refused("POST", &format!("{ZONE}/clusters"), create("c", 1)).await;
    assert!(status == 400 && message.contains("is currently creating cluster c"));
}

#[tokio::test]
async fn a_lost_request_did_nothing() {
    let cloud = faulty(first(FaultKind::LostRequest, "clusters.create")).await;
    assert_eq!(cloud.try_ask("POST", &format!("{ZONE}/clusters"), &create("c", 1)).await, None);
    assert_eq!(cloud.ask("GET", &format!("{ZONE}/clusters/c"), Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_stockout_is_told_late_and_leaves_the_cluster() {
    let cloud = faulty(first(FaultKind::Stockout, "clusters.create")).await;
    let operation = cloud.post(&format!("{ZONE}/clusters"), create("c", 1)).await;
    cloud.skip(900);
    let name = operation["name"].as_str().unwrap();
    assert_eq!(cloud.get(&format!("{ZONE}/operations/{name}")).await["status"], "RUNNING");
    let done = cloud.done(&operation).await;
    assert!(done["error"]["message"].as_str().unwrap().starts_with("[GCE_STOCKOUT]"), "{done}");
    assert_eq!(done["clusterConditions"][0]["code"], "GCE_STOCKOUT");
    let cluster = cloud.get(&format!("{ZONE}/clusters/c")).await;
    assert_eq!((&cluster["status"], &cluster["conditions"][0]["code"]), (&json!("ERROR"), &json!("GCE_STOCKOUT")));
    cloud.done(&cloud.delete(&format!("{ZONE}/clusters/c")).await).await;
    assert_eq!(cloud.left(), []);
}

#[tokio::test]
async fn a_half_made_pool_has_half_of_its_machines() {
    let cloud = faulty(first(FaultKind::HalfMade, "clusters.create")).await;
    let done = cloud.cluster("c", 4).await;
    assert_eq!(done["error"]["code"], 13);
    let cluster = cloud.get(&format!("{ZONE}/clusters/c")).await;
    assert_eq!(
        (&cluster["status"], &cluster["nodePools"][0]["status"]),
        (&json!("RUNNING"), &json!("RUNNING_WITH_ERROR"))
    );
    let instances = cloud.get(&format!("{COMPUTE}/zones/us-central1-a/instances")).await;
    assert_eq!(instances["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn refusals_come_once_with_their_real_words() {
    let table = [
        (FaultKind::TooManyRequests, 429, "RESOURCE_EXHAUSTED"),
        (FaultKind::Unavailable, 503, "UNAVAILABLE"),
        (FaultKind::Internal, 500, "INTERNAL"),
        (FaultKind::ExpiredToken, 401, "UNAUTHENTICATED"),
        (FaultKind::Denied, 403, "PERMISSION_DENIED"),
        (FaultKind::Quota, 403, "PERMISSION_DENIED"),
    ];
    for (kind, status, word) in table {
        let cloud = faulty(first(kind, "clusters.create")).await;
        let (seen, body) = cloud.ask("POST", &format!("{ZONE}/clusters"), create("c", 1)).await;
        assert_eq!((seen, body["error"]["status"].as_str()), (status, Some(word)), "{kind:?}: {body}");
        assert_eq!(cloud.ask("POST", &format!("{ZONE}/clusters"), create("c", 1)).await.0, 200, "{kind:?}");
    }
}

#[tokio::test]
async fn what_was_made_may_hide_for_a_while() {
    let cloud = faulty(first(FaultKind::NotFoundAfterCreate, "disks.insert")).await;
    let disks = format!("{COMPUTE}/zones/us-central1-a/disks");
    cloud.post(&disks, json!({"name": "d", "sizeGb": "10"})).await;
    assert_eq!(cloud.ask("GET", &format!("{disks}/d"), Value::Null).await.0, 404);
    assert_eq!(cloud.ask("POST", &disks, json!({"name": "d", "sizeGb": "10"})).await.0, 409);
    cloud.skip(10);
    assert_eq!(cloud.get(&format!("{disks}/d")).await["name"], "d");
    cloud.running.set_faults(first(FaultKind::ListLag, "disks.insert"));
    cloud.post(&disks, json!({"name": "e", "sizeGb": "10"})).await;
    assert_eq!(cloud.get(&format!("{disks}/e")).await["name"], "e");
    assert_eq!(cloud.get(&disks).await["items"].as_array().unwrap().len(), 1);
    cloud.skip(20);
    assert_eq!(cloud.get(&disks).await["items"].as_array().unwrap().len(), 2);
}

/// What a client meets that makes ten disks and asks until it has them.
async fn met(seed: u64) -> Vec<String> {
    let cloud = faulty(Faults { rate: 0.4, ..Faults::by_seed(seed) }).await;
    for disk in 0..10 {
        for _ in 0..4 {
            let body = json!({"name": format!("d{disk}"), "sizeGb": "10"});
            let answer = cloud.try_ask("POST", &format!("{COMPUTE}/zones/us-central1-a/disks"), &body).await;
            if answer.is_some_and(|(status, _)| status == 200 || status == 409) {
                break;
            }
        }
    }
    let ledger = cloud.running.ledger();
    assert_eq!(ledger.left().count(), 10);
    ledger.calls.into_iter().map(|call| format!("{} {} {:?}", call.target, call.status, call.fault)).collect()
}

#[tokio::test]
async fn a_seed_gives_the_same_faults_again_and_lets_who_goes_on_get_there() {
    let one = met(1).await;
    assert_eq!(one, met(1).await);
    assert_ne!(one, met(2).await);
    assert!(one.iter().any(|call| call.contains("Some")));
}

#[tokio::test]
async fn faults_can_be_set_while_it_runs() {
    let cloud = cloud().await;
    let faults = json!({"rules": [{"kind": "unavailable", "method": "zones.list", "count": 2}]});
    let (status, answer) = cloud.ask("PUT", "/sim/faults", faults).await;
    assert_eq!(status, 200, "{answer}");
    let zones = format!("{COMPUTE}/zones");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(cloud.ask("GET", &zones, Value::Null).await.0);
    }
    assert_eq!(seen, [503, 503, 200]);
    assert_eq!(cloud.ask("PUT", "/sim/faults", json!({"rules": [{"kind": "bad"}]})).await.0, 400);
}

#[tokio::test]
async fn a_deletion_that_fails_can_be_made_again() {
    let failing = |method: &str| first(FaultKind::FailedOperation, method);
    let cloud = faulty(failing("clusters.delete")).await;
    cloud.cluster("c", 1).await;
    let done = cloud.done(&cloud.delete(&format!("{ZONE}/clusters/c")).await).await;
    assert!(done["error"]["message"].is_string(), "{done}");
    assert_eq!(cloud.get(&format!("{ZONE}/clusters/c")).await["status"], "ERROR");
    cloud.done(&cloud.delete(&format!("{ZONE}/clusters/c")).await).await;
    cloud.running.set_faults(failing("disks.delete"));
    let disk = format!("{COMPUTE}/zones/us-central1-a/disks/d");
    cloud.done(&cloud.post(disk.trim_end_matches("/d"), json!({"name": "d", "sizeGb": "10"})).await).await;
    let done = cloud.done(&cloud.delete(&disk).await).await;
    assert_eq!(done["httpErrorStatusCode"], 500);
    cloud.done(&cloud.delete(&disk).await).await;
    assert_eq!(cloud.left(), []);
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_wait() {
    let cloud = with(Options { rate_limits: true, ..options() }).await;
    let service = "/v1/projects/demo/services/file.googleapis.com";
    for _ in 0..240 {
        assert_eq!(cloud.ask("GET", service, Value::Null).await.0, 200);
    }
    let (status, body) = cloud.ask("GET", service, Value::Null).await;
    assert_eq!((status, &body["error"]["details"][0]["reason"]), (429, &json!("RATE_LIMIT_EXCEEDED")));
    cloud.skip(60);
    assert_eq!(cloud.ask("GET", service, Value::Null).await.0, 200);
    let rates = cloud.running.ledger().rates;
    assert_eq!((rates[0].most, rates[0].limit), (241, Some(240)));
}

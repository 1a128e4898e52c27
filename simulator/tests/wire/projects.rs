use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Options, Project};

use crate::support::{ZONE, cloud, cloud_of, options, with};

#[tokio::test]
async fn a_service_is_enabled_in_time_and_believed_later() {
    let cloud = cloud_of(Project::fresh("demo")).await;
    let clusters = format!("{ZONE}/clusters");
    let (status, body) = cloud.ask("GET", &clusters, Value::Null).await;
    assert_eq!((status, body["error"]["details"][0]["reason"].as_str()), (403, Some("SERVICE_DISABLED")));
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("Kubernetes Engine API has not been used in project demo before or it is disabled."),
        "{message}"
    );
    let services = "/v1/projects/demo/services";
    let enabled =
        cloud.post(&format!("{services}:batchEnable"), json!({"serviceIds": ["container.googleapis.com"]})).await;
    let done = cloud.done(&enabled).await;
    assert_eq!(done["response"]["services"][0]["state"], "ENABLED");
    assert_eq!(cloud.get(&format!("{services}/container.googleapis.com")).await["state"], "ENABLED");
    assert_eq!(cloud.ask("GET", &clusters, Value::Null).await.0, 403, "it is not believed at once");
    cloud.skip(30);
    assert_eq!(cloud.get(&clusters).await, json!({}));
    let again = cloud.post(&format!("{services}/container.googleapis.com:enable"), json!({})).await;
    assert_eq!(again["name"], "operations/noop.DONE_OPERATION");
}

#[tokio::test]
async fn a_project_without_billing_gets_no_services_that_cost() {
    let cloud = cloud_of(Project { billing: false, ..Project::fresh("demo") }).await;
    assert_eq!(cloud.get("/v1/projects/demo/billingInfo").await["billingEnabled"], false);
    let path = "/v1/projects/demo/services/compute.googleapis.com:enable";
    let (status, message) = cloud.refused("POST", path, json!({})).await;
    assert!(status == 400 && message.contains("Billing must be enabled"), "{message}");
}

#[tokio::test]
async fn missing_permissions_are_told_and_hold() {
    let mut project = Project::new("demo");
    project.denied.insert("container.clusters.create".into());
    let cloud = cloud_of(project).await;
    let asked = json!({"permissions": ["container.clusters.create", "container.clusters.get"]});
    let held = cloud.post("/v1/projects/demo:testIamPermissions", asked.clone()).await;
    assert_eq!(held, json!({"permissions": ["container.clusters.get"]}));
    assert_eq!(cloud.post("/v3/projects/demo:testIamPermissions", asked).await, held);
    let (status, message) = cloud.refused("POST", &format!("{ZONE}/clusters"), crate::support::create("c", 1)).await;
    assert_eq!(
        (status, message.as_str()),
        (403, "Required \"container.clusters.create\" permission(s) for \"projects/demo\".")
    );
}

#[tokio::test]
async fn policies_are_changed_by_who_knows_their_version() {
    let cloud = cloud().await;
    let policy = cloud.post("/v1/projects/demo:getIamPolicy", json!({})).await;
    let mut wanted = policy.clone();
    wanted["bindings"] = json!([{"role": "roles/viewer", "members": ["user:me@example.com"]}]);
    let set = json!({ "policy": wanted });
    let told = cloud.post("/v1/projects/demo:setIamPolicy", set.clone()).await;
    assert_ne!(told["etag"], policy["etag"]);
    let (status, body) = cloud.ask("POST", "/v1/projects/demo:setIamPolicy", set).await;
    assert_eq!((status, body["error"]["status"].as_str()), (409, Some("ABORTED")));
}

#[tokio::test]
async fn service_accounts_come_and_go() {
    let cloud = cloud().await;
    let path = "/v1/projects/demo/serviceAccounts";
    let body = json!({"accountId": "infra-test", "serviceAccount": {"displayName": "x", "description": "infra-deployment=test"}});
    let made = cloud.post(path, body.clone()).await;
    assert_eq!(made["email"], "infra-test@demo.iam.gserviceaccount.com");
    assert_eq!(cloud.ask("POST", path, body).await.0, 409);
    assert_eq!(cloud.get(path).await["accounts"].as_array().unwrap().len(), 1);
    cloud.delete(&format!("{path}/infra-test@demo.iam.gserviceaccount.com")).await;
    assert_eq!(cloud.left(), []);
}

#[tokio::test]
async fn tokens_are_given_and_expire() {
    let options = Options { token_lifetime: Duration::from_mins(10), ..options() };
    let cloud = with(options).await;
    let form = json!({"grant_type": "refresh_token", "client_id": "i", "client_secret": "s", "refresh_token": "me@example.com"});
    let given = cloud.post("/token", form.clone()).await;
    let cloud = cloud.with_token(given["access_token"].as_str().unwrap());
    assert_eq!(cloud.ask("GET", &format!("{ZONE}/clusters"), Value::Null).await.0, 200);
    let review = json!({"spec": {"token": given["access_token"]}});
    let status = cloud.post("/sim/tokenreview", review.clone()).await["status"].clone();
    assert_eq!((&status["authenticated"], &status["user"]["username"]), (&json!(true), &json!("me@example.com")));
    cloud.skip(600);
    let (status, body) = cloud.ask("GET", &format!("{ZONE}/clusters"), Value::Null).await;
    assert_eq!((status, body["error"]["status"].as_str()), (401, Some("UNAUTHENTICATED")));
    assert_eq!(cloud.post("/sim/tokenreview", review).await["status"]["authenticated"], false);
    let mut revoked = form;
    revoked["refresh_token"] = json!("revoked");
    let (status, body) = cloud.ask("POST", "/token", revoked).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")));
}

#[tokio::test]
async fn who_shows_no_known_token_is_refused() {
    let cloud = cloud().await.with_token("unknown");
    assert_eq!(cloud.ask("GET", &format!("{ZONE}/clusters"), Value::Null).await.0, 401);
}

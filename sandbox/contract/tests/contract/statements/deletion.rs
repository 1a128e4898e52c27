//! How things end: finalizers, owners, grace, namespaces.

use serde_json::{Value, json};

use super::statements;
use crate::case::{Case, is_ready};
use crate::cluster::text;
use crate::objects::{self, config_map, pick, pod, pod_of};

statements!("deletion":
    a_finalizer_holds_an_object_until_it_is_removed,
    no_finalizer_is_added_to_what_is_being_deleted,
    what_is_owned_goes_with_its_owner,
    what_has_another_owner_stays,
    an_owner_in_the_foreground_waits_for_what_it_owns,
    an_orphan_stays_and_loses_its_owner,
    what_names_an_owner_that_never_was_is_removed,
    a_deployment_takes_its_pods_along,
    an_orphaned_replica_set_is_adopted_again,
    a_pod_has_the_time_of_its_grace,
    a_stubborn_pod_is_killed_after_its_grace,
    a_pod_without_grace_is_gone_at_once,
    a_pod_that_never_ran_is_gone_at_once,
    a_namespace_takes_everything_along,
    a_namespace_that_ends_takes_nothing_new,
    a_namespace_says_what_holds_it,
    the_namespaces_of_the_system_cannot_be_deleted,
    deletion_options_must_make_sense,
    an_eviction_deletes_a_pod,
);

async fn a_finalizer_holds_an_object_until_it_is_removed(case: &Case) {
    let mut map = config_map("held", json!({"a": "1"}));
    map["metadata"]["finalizers"] = json!(["example.com/hold"]);
    case.create(map).await.object();
    let deleted = case.delete("ConfigMap", "held", json!({})).await;
    case.see("deleted", json!([deleted.code, deleted.body]));
    case.see("again", case.delete("ConfigMap", "held", json!({})).await.verdict());
    let change = case.patch("merge", "ConfigMap", "held", json!({"data": {"a": "2"}})).await;
    case.see("change", change.verdict());
    let freed = case.patch("merge", "ConfigMap", "held", json!({"metadata": {"finalizers": null}})).await;
    case.see("freed", json!([freed.code, freed.body["metadata"]["deletionGracePeriodSeconds"]]));
    case.see("gone", case.get("ConfigMap", "held").await.code);
}

async fn no_finalizer_is_added_to_what_is_being_deleted(case: &Case) {
    let mut map = config_map("held", json!({}));
    map["metadata"]["finalizers"] = json!(["example.com/hold"]);
    case.create(map).await.object();
    case.delete("ConfigMap", "held", json!({})).await.object();
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    case.see("more", case.patch("merge", "ConfigMap", "held", more).await.verdict());
    case.patch("merge", "ConfigMap", "held", json!({"metadata": {"finalizers": null}})).await.object();
}

fn owned_by(owner: &Value, name: &str, blocks: bool) -> Value {
    let mut map = config_map(name, json!({}));
    map["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": blocks,
    }]);
    map
}

async fn what_is_owned_goes_with_its_owner(case: &Case) {
    let owner = case.create(config_map("owner", json!({}))).await.object();
    let child = case.create(owned_by(&owner, "child", false)).await.object();
    case.create(owned_by(&child, "grandchild", false)).await.object();
    case.see("delete", case.delete("ConfigMap", "owner", json!({"propagationPolicy": "Background"})).await.verdict());
    case.see("owner", case.get("ConfigMap", "owner").await.code);
    case.until_gone("ConfigMap", "grandchild").await;
    case.see("left", case.list("ConfigMap", "").await.names());
}

async fn what_has_another_owner_stays(case: &Case) {
    let first = case.create(config_map("first", json!({}))).await.object();
    let second = case.create(config_map("second", json!({}))).await.object();
    let mut child = owned_by(&first, "child", false);
    let other = owned_by(&second, "x", false)["metadata"]["ownerReferences"][0].clone();
    child["metadata"]["ownerReferences"].as_array_mut().unwrap().push(other);
    case.create(child).await.object();
    case.delete("ConfigMap", "first", json!({})).await.object();
    let one = |it: &Value| it["metadata"]["ownerReferences"].as_array().is_some_and(|them| them.len() == 1);
    let child = case.until("ConfigMap", "child", one).await;
    case.see("owner", child["metadata"]["ownerReferences"][0]["name"].clone());
}

async fn an_owner_in_the_foreground_waits_for_what_it_owns(case: &Case) {
    let owner = case.create(config_map("owner", json!({}))).await.object();
    let mut child = owned_by(&owner, "child", true);
    child["metadata"]["finalizers"] = json!(["example.com/hold"]);
    case.create(child).await.object();
    // The collector must know of the child before it looks at the owner's dependants.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let deleted = case.delete("ConfigMap", "owner", json!({"propagationPolicy": "Foreground"})).await.object();
    case.see("deleted", pick(&deleted["metadata"], &["finalizers", "deletionGracePeriodSeconds"]));
    let child = case.until("ConfigMap", "child", |it| it["metadata"]["deletionTimestamp"].is_string()).await;
    case.see("child", pick(&child["metadata"], &["finalizers"]));
    case.see("owner meanwhile", case.get("ConfigMap", "owner").await.code);
    case.patch("merge", "ConfigMap", "child", json!({"metadata": {"finalizers": null}})).await.object();
    case.until_gone("ConfigMap", "owner").await;
    case.see("left", case.list("ConfigMap", "").await.names());
}

async fn an_orphan_stays_and_loses_its_owner(case: &Case) {
    let owner = case.create(config_map("owner", json!({}))).await.object();
    case.create(owned_by(&owner, "child", false)).await.object();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let deleted = case.delete("ConfigMap", "owner", json!({"propagationPolicy": "Orphan"})).await.object();
    case.see("deleted", pick(&deleted["metadata"], &["finalizers"]));
    case.until_gone("ConfigMap", "owner").await;
    let child = case.get("ConfigMap", "child").await.object();
    case.see("owners", child["metadata"].get("ownerReferences").cloned());
}

async fn what_names_an_owner_that_never_was_is_removed(case: &Case) {
    let mut map = config_map("child", json!({}));
    let uid = "00000000-0000-4000-8000-000000000000";
    map["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "ghost", "uid": uid}]);
    case.create(map).await.object();
    case.until_gone("ConfigMap", "child").await;
    case.see("left", case.list("ConfigMap", "").await.names());
}

async fn a_deployment_takes_its_pods_along(case: &Case) {
    case.create(objects::replicated("Deployment", "web", 2, &["sleep"])).await.object();
    case.until("Deployment", "web", |it| it["status"]["readyReplicas"] == 2).await;
    let pods = case.list("Pod", "").await.items();
    case.see("owner", pods[0]["metadata"]["ownerReferences"].clone());
    case.see("delete", case.delete("Deployment", "web", json!({})).await.body);
    case.until_count("Pod", "", 0).await;
    case.see("replica sets", case.list("ReplicaSet", "").await.names());
}

async fn an_orphaned_replica_set_is_adopted_again(case: &Case) {
    let deployment = objects::replicated("Deployment", "web", 1, &["sleep"]);
    case.create(deployment.clone()).await.object();
    case.until("Deployment", "web", |it| it["status"]["readyReplicas"] == 1).await;
    case.delete("Deployment", "web", json!({"propagationPolicy": "Orphan"})).await.object();
    case.until_gone("Deployment", "web").await;
    let sets = case.list("ReplicaSet", "").await.items();
    case.see("alone", json!([sets.len(), sets[0]["metadata"].get("ownerReferences")]));
    case.create(deployment).await.object();
    case.until("Deployment", "web", |it| it["status"]["readyReplicas"] == 1).await;
    let sets = case.list("ReplicaSet", "").await.items();
    case.see("adopted", json!([sets.len(), sets[0]["metadata"]["ownerReferences"]]));
    case.see("pods", case.list("Pod", "").await.items().len());
}

async fn a_pod_has_the_time_of_its_grace(case: &Case) {
    let mut polite = pod("polite", &["farewell", "goodbye", "3", "+", "sleep"]);
    polite["metadata"]["finalizers"] = json!(["example.com/hold"]);
    case.ready_pod(polite).await;
    let log = case.follow("polite");
    let deleted = case.delete("Pod", "polite", json!({})).await.object();
    case.see("deleted", pick(&deleted["metadata"], &["deletionGracePeriodSeconds", "finalizers"]));
    case.see("phase meanwhile", deleted["status"]["phase"].clone());
    let ended = case.until("Pod", "polite", crate::case::is_finished).await;
    case.see("phase", ended["status"]["phase"].clone());
    let state = &ended["status"]["containerStatuses"][0]["state"]["terminated"];
    case.see("ended", pick(state, &["exitCode", "reason", "signal"]));
    case.see("logs", log.await.unwrap());
    case.see("event", case.event("polite", "Killing").await);
    case.patch("merge", "Pod", "polite", json!({"metadata": {"finalizers": null}})).await.object();
}

async fn a_stubborn_pod_is_killed_after_its_grace(case: &Case) {
    let mut stubborn = pod_of(
        "stubborn",
        &["stubborn", "+", "print", "here", "+", "sleep"],
        json!({"terminationGracePeriodSeconds": 2}),
    );
    stubborn["metadata"]["finalizers"] = json!(["example.com/hold"]);
    case.ready_pod(stubborn).await;
    let log = case.follow("stubborn");
    case.delete("Pod", "stubborn", json!({})).await.object();
    let ended = case.until("Pod", "stubborn", crate::case::is_finished).await;
    let state = &ended["status"]["containerStatuses"][0]["state"]["terminated"];
    case.see("ended", pick(state, &["exitCode", "reason", "signal"]));
    case.see("logs", log.await.unwrap());
    case.patch("merge", "Pod", "stubborn", json!({"metadata": {"finalizers": null}})).await.object();
    case.until_gone("Pod", "stubborn").await;
}

async fn a_pod_without_grace_is_gone_at_once(case: &Case) {
    case.ready_pod(pod("stubborn", &["stubborn", "+", "sleep"])).await;
    let deleted = case.delete("Pod", "stubborn", json!({"gracePeriodSeconds": 0})).await;
    case.see(
        "deleted",
        json!([deleted.code, deleted.body["kind"], deleted.body["metadata"]["deletionGracePeriodSeconds"]]),
    );
    case.see("gone", case.get("Pod", "stubborn").await.code);
}

async fn a_pod_that_never_ran_is_gone_at_once(case: &Case) {
    case.create(pod_of("held", &["sleep"], json!({"nodeSelector": {"nowhere": "1"}}))).await.object();
    let deleted = case.delete("Pod", "held", json!({})).await;
    case.see("deleted", json!([deleted.code, deleted.body["metadata"]["deletionGracePeriodSeconds"]]));
    case.see("gone", case.get("Pod", "held").await.code);
}

/// A namespace besides the statement's own.
async fn second_namespace(case: &Case) -> String {
    let name = format!("{}-2", case.namespace);
    case.create(json!({"kind": "Namespace", "metadata": {"name": name}})).await.object();
    name
}

async fn a_namespace_takes_everything_along(case: &Case) {
    let name = second_namespace(case).await;
    let created = case.get("Namespace", &name).await.object();
    case.see("created", pick(&created, &["metadata", "spec", "status"]));
    let map = crate::case::complete(config_map("inside", json!({})));
    let path = format!("/api/v1/namespaces/{name}/configmaps");
    case.caller.call("POST", &path, "application/json", Some(&map)).await.object();
    let deleted = case.delete("Namespace", &name, json!({})).await.object();
    case.see("deleted", json!([deleted["status"]["phase"], deleted["spec"]]));
    case.until_gone("Namespace", &name).await;
    case.see("inside", case.caller.call("GET", &path, "", None).await.names());
}

async fn a_namespace_that_ends_takes_nothing_new(case: &Case) {
    let name = second_namespace(case).await;
    let path = format!("/api/v1/namespaces/{name}/configmaps");
    let mut map = crate::case::complete(config_map("held", json!({})));
    map["metadata"]["finalizers"] = json!(["example.com/hold"]);
    case.caller.call("POST", &path, "application/json", Some(&map)).await.object();
    case.delete("Namespace", &name, json!({})).await.object();
    map["metadata"]["name"] = "new".into();
    case.see("create", case.caller.call("POST", &path, "application/json", Some(&map)).await.body);
    let free = json!({"metadata": {"finalizers": null}});
    let held = format!("{path}/held");
    case.caller.call("PATCH", &held, "application/merge-patch+json", Some(&free)).await.object();
    case.until_gone("Namespace", &name).await;
}

async fn a_namespace_says_what_holds_it(case: &Case) {
    let name = second_namespace(case).await;
    let path = format!("/api/v1/namespaces/{name}/configmaps");
    let mut map = crate::case::complete(config_map("held", json!({})));
    map["metadata"]["finalizers"] = json!(["example.com/hold"]);
    case.caller.call("POST", &path, "application/json", Some(&map)).await.object();
    case.delete("Namespace", &name, json!({})).await.object();
    let told = case
        .until("Namespace", &name, |it| crate::case::has_condition(it, "NamespaceFinalizersRemaining", "True"))
        .await;
    let mut conditions = told["status"]["conditions"].as_array().unwrap().clone();
    conditions.sort_by_key(|it| text(&it["type"]));
    case.see("conditions", conditions);
    let free = json!({"metadata": {"finalizers": null}});
    let held = format!("{path}/held");
    case.caller.call("PATCH", &held, "application/merge-patch+json", Some(&free)).await.object();
    case.until_gone("Namespace", &name).await;
}

async fn the_namespaces_of_the_system_cannot_be_deleted(case: &Case) {
    for name in ["default", "kube-system", "kube-public"] {
        case.see(name, case.delete("Namespace", name, json!({"dryRun": ["All"]})).await.verdict());
    }
}

async fn deletion_options_must_make_sense(case: &Case) {
    case.create(config_map("a", json!({}))).await.object();
    let delete = |options: Value| case.delete("ConfigMap", "a", options);
    case.see("policy", delete(json!({"propagationPolicy": "Sideways"})).await.verdict());
    case.see("both", delete(json!({"propagationPolicy": "Orphan", "orphanDependents": true})).await.verdict());
    case.see("dry run", delete(json!({"dryRun": ["Some"]})).await.verdict());
    case.see("negative", delete(json!({"gracePeriodSeconds": -1})).await.verdict());
}

async fn an_eviction_deletes_a_pod(case: &Case) {
    case.create(objects::pod("runs", &["sleep"])).await.object();
    case.until("Pod", "runs", is_ready).await;
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "runs"}});
    let path = case.path("Pod", "runs/eviction");
    let answer = case.caller.call("POST", &path, "application/json", Some(&eviction)).await;
    case.see("answer", answer.body);
    case.until_gone("Pod", "runs").await;
}

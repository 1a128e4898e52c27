//! What the server makes of the objects that make pods.

use serde_json::{Value, json};

use super::statements;
use crate::case::Case;
use crate::objects::{self, pick};

statements!("workloads":
    a_deployment_gets_its_defaults,
    a_deployment_must_select_its_own_pods,
    the_selector_of_a_deployment_cannot_be_changed,
    a_replica_set_gets_its_defaults,
    a_limit_range_gets_its_defaults,
);

async fn a_deployment_gets_its_defaults(case: &Case) {
    let created = case.create(objects::replicated("Deployment", "web", 0, &["sleep"])).await.object();
    case.see("created", pick(&created, &["metadata", "spec", "status"]));
}

async fn a_deployment_must_select_its_own_pods(case: &Case) {
    let with = |change: fn(&mut Value)| {
        let mut deployment = objects::replicated("Deployment", "web", 1, &["sleep"]);
        change(&mut deployment["spec"]);
        case.create(deployment)
    };
    case.see("other labels", with(|spec| spec["selector"] = json!({"matchLabels": {"app": "other"}})).await.verdict());
    case.see("no selector", with(|spec| spec["selector"] = Value::Null).await.verdict());
    case.see("empty selector", with(|spec| spec["selector"] = json!({})).await.verdict());
    case.see("restart policy", with(|spec| spec["template"]["spec"]["restartPolicy"] = "Never".into()).await.verdict());
    case.see("replicas", with(|spec| spec["replicas"] = (-1).into()).await.verdict());
    let nothing = |spec: &mut Value| spec["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}});
    case.see("no room", with(nothing).await.verdict());
    case.see("strategy", with(|spec| spec["strategy"] = json!({"type": "BlueGreen"})).await.verdict());
    let both = |spec: &mut Value| spec["strategy"] = json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}});
    case.see("both", with(both).await.verdict());
    case.see("deadline", with(|spec| spec["progressDeadlineSeconds"] = 0.into()).await.verdict());
}

async fn the_selector_of_a_deployment_cannot_be_changed(case: &Case) {
    case.create(objects::replicated("Deployment", "web", 0, &["sleep"])).await.object();
    let patch = json!({"spec": {"selector": {"matchLabels": {"more": "x"}}, "template": {"metadata": {"labels": {"more": "x"}}}}});
    case.see("Deployment", case.patch("merge", "Deployment", "web", patch.clone()).await.verdict());
    case.create(objects::replicated("ReplicaSet", "set", 0, &["sleep"])).await.object();
    case.see("ReplicaSet", case.patch("merge", "ReplicaSet", "set", patch).await.verdict());
}

async fn a_replica_set_gets_its_defaults(case: &Case) {
    let created = case.create(objects::replicated("ReplicaSet", "web", 0, &["sleep"])).await.object();
    case.see("ReplicaSet", pick(&created, &["spec", "status"]));
    let mut controller = objects::replicated("ReplicationController", "old", 0, &["sleep"]);
    controller["spec"].as_object_mut().unwrap().remove("selector");
    let created = case.create(controller).await.object();
    case.see("ReplicationController", pick(&created, &["metadata", "spec", "status"]));
}

async fn a_limit_range_gets_its_defaults(case: &Case) {
    let range =
        |limit: Value| json!({"kind": "LimitRange", "metadata": {"name": "limits"}, "spec": {"limits": [limit]}});
    let limit = json!({"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "4Mi"}});
    case.see("spec", case.create(range(limit)).await.object()["spec"].clone());
    let wrong = json!({"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}});
    case.see("min over max", case.create(range(wrong)).await.verdict());
    let wrong = json!({"type": "Pod", "default": {"cpu": "1"}});
    case.see("default of a pod", case.create(range(wrong)).await.verdict());
}

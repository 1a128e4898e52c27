//! Services, endpoints, names, rollouts.

use serde_json::{Value, json};

use super::statements;
use crate::case::{Case, condition, has_condition};
use crate::objects::{self, pick, pod, replicated, service};

statements!("services":
    a_service_gets_an_address_and_defaults,
    a_service_must_be_valid,
    the_address_of_a_service_cannot_be_changed,
    a_service_name_resolves_in_a_pod_and_leads_to_its_pods,
    a_headless_service_resolves_to_its_pods,
    a_node_port_is_given_out_once,
    an_external_name_is_kept,
    endpoints_follow_readiness,
    a_service_without_pods_refuses,
    two_pods_listen_on_the_same_port,
    a_named_port_leads_to_the_pods_port,
    a_service_of_datagrams_answers,
    variables_of_services_are_in_new_pods,
    a_name_that_does_not_exist_does_not_resolve,
    a_pod_reaches_the_api_server,
    a_rollout_completes_and_says_so,
    a_changed_template_rolls_out,
    a_rollout_that_cannot_go_on_says_so,
    recreate_ends_the_old_first,
    a_deployment_keeps_its_history,
    a_paused_deployment_waits,
    scaling_changes_the_pods,
    a_lost_pod_is_replaced,
    a_replication_controller_keeps_its_pods,
    a_pod_that_matches_is_adopted_and_released,
);

async fn a_service_gets_an_address_and_defaults(case: &Case) {
    let created = case.create(service("web", 8080, json!({}))).await.object();
    case.see("created", pick(&created, &["spec", "status"]));
    let node_port = case.create(service("open", 8080, json!({"type": "NodePort"}))).await.object();
    case.see("node port", node_port["spec"].clone());
    let balanced = case.create(service("balanced", 8080, json!({"type": "LoadBalancer"}))).await.object();
    case.see("load balancer", balanced["spec"].clone());
    let headless = case.create(service("headless", 8080, json!({"clusterIP": "None"}))).await.object();
    case.see("headless", headless["spec"].clone());
}

async fn a_service_must_be_valid(case: &Case) {
    let with = |more: Value| case.create_with("?dryRun=All", service("wrong", 80, more));
    case.see("no ports", with(json!({"ports": []})).await.verdict());
    case.see("two without names", with(json!({"ports": [{"port": 1}, {"port": 2}]})).await.verdict());
    case.see("same", with(json!({"ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]})).await.verdict());
    case.see("port", with(json!({"ports": [{"port": 0}]})).await.verdict());
    case.see("protocol", with(json!({"ports": [{"port": 1, "protocol": "ICMP"}]})).await.verdict());
    case.see("type", with(json!({"type": "Secret"})).await.verdict());
    case.see("address", with(json!({"clusterIP": "not an address"})).await.verdict());
    case.see("address elsewhere", with(json!({"clusterIP": "192.168.1.1"})).await.verdict());
    case.see("node port", with(json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": 80}]})).await.verdict());
    case.see("affinity", with(json!({"sessionAffinity": "Forever"})).await.verdict());
    case.see("external name", with(json!({"type": "ExternalName"})).await.verdict());
}

async fn the_address_of_a_service_cannot_be_changed(case: &Case) {
    case.create(service("web", 8080, json!({}))).await.object();
    let patch = json!({"spec": {"clusterIP": "10.96.200.200", "clusterIPs": ["10.96.200.200"]}});
    let answer = case.patch("merge", "Service", "web", patch).await;
    case.see("verdict", json!([answer.code, answer.body["reason"]]));
    let patch = json!({"spec": {"type": "NodePort"}});
    case.see("type", case.patch("merge", "Service", "web", patch).await.object()["spec"]["ports"].clone());
}

/// A pod labelled for a service.
fn server(name: &str, app: &str, steps: &[&str]) -> Value {
    let mut pod = pod(name, steps);
    pod["metadata"]["labels"] = json!({"app": app});
    pod["spec"]["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1});
    pod
}

async fn a_service_name_resolves_in_a_pod_and_leads_to_its_pods(case: &Case) {
    case.create(service("web", 8080, json!({}))).await.object();
    case.ready_pod(server("web", "web", &["serve", "8080", "here I am"])).await;
    let long = format!("http://web.{}.svc.cluster.local/", case.namespace);
    let shorter = format!("http://web.{}/", case.namespace);
    let steps = [
        "resolve",
        "web",
        "+",
        "fetch-until",
        "http://web/",
        "200 here I am",
        "+",
        "fetch",
        &long,
        "+",
        "fetch",
        &shorter,
    ];
    case.see("seen", case.run(pod("client", &steps)).await);
}

async fn a_headless_service_resolves_to_its_pods(case: &Case) {
    case.create(service("web", 8080, json!({"clusterIP": "None"}))).await.object();
    case.ready_pod(server("a", "web", &["serve", "8080"])).await;
    case.ready_pod(server("b", "web", &["serve", "8080"])).await;
    let both = |items: &[Value]| {
        items.first().is_some_and(|it| {
            it["endpoints"]
                .as_array()
                .is_some_and(|all| all.len() == 2 && all.iter().all(|it| it["conditions"]["ready"] == true))
        })
    };
    case.until_list("EndpointSlice", "", both).await;
    // The name server keeps what it said for some seconds.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    case.see("seen", case.run(pod("client", &["resolve", "web", "+", "fetch", "http://web:8080/"])).await);
}

async fn a_node_port_is_given_out_once(case: &Case) {
    let first = case.create(service("first", 8080, json!({"type": "NodePort"}))).await.object();
    let port = first["spec"]["ports"][0]["nodePort"].clone();
    let same = service("second", 8080, json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}));
    case.see("again", case.create(same).await.verdict());
}

async fn an_external_name_is_kept(case: &Case) {
    let object = json!({"kind": "Service", "metadata": {"name": "far"}, "spec": {"type": "ExternalName", "externalName": "example.com"}});
    case.see("spec", case.create(object).await.object()["spec"].clone());
}

async fn endpoints_follow_readiness(case: &Case) {
    case.create(service("web", 8080, json!({}))).await.object();
    let mut broken = server("web", "web", &["unhealthy", "+", "serve", "8080"]);
    broken["spec"]["containers"][0]["readinessProbe"] =
        json!({"httpGet": {"port": 8080, "path": "/healthz"}, "periodSeconds": 1});
    case.create(broken).await.object();
    let ready = |wanted: bool| {
        move |items: &[Value]| items.first().is_some_and(|it| it["endpoints"][0]["conditions"]["ready"] == wanted)
    };
    let slices = case.until_list("EndpointSlice", "", ready(false)).await;
    case.see("not ready", pick(&slices[0]["endpoints"][0], &["conditions", "targetRef", "addresses"]));
    let object = pick(&slices[0]["metadata"], &["generateName", "labels", "ownerReferences"]);
    case.see("slice", json!([object, slices[0]["addressType"], slices[0]["ports"]]));
    // It has an address before it listens.
    for _ in 0..100 {
        let healed = case.kubectl_quietly("exec web -- /tool fetch http://127.0.0.1:8080/heal", "").await;
        if healed.get("err").is_none() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let slices = case.until_list("EndpointSlice", "", ready(true)).await;
    case.see("ready", slices[0]["endpoints"][0]["conditions"].clone());
    case.delete("Pod", "web", json!({"gracePeriodSeconds": 0})).await.object();
    let none = |items: &[Value]| items.first().is_none_or(|it| it["endpoints"].as_array().is_none_or(Vec::is_empty));
    case.until_list("EndpointSlice", "", none).await;
    case.delete("Service", "web", json!({})).await.object();
    case.until_count("EndpointSlice", "", 0).await;
}

async fn a_service_without_pods_refuses(case: &Case) {
    case.create(service("web", 8080, json!({}))).await.object();
    case.until_count("EndpointSlice", "", 1).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    case.see("seen", case.run(pod("client", &["fetch", "http://web/"])).await);
}

async fn two_pods_listen_on_the_same_port(case: &Case) {
    let mut addresses = Vec::new();
    for name in ["first", "second"] {
        let pod = case.ready_pod(server(name, name, &["serve", "8080", name])).await;
        addresses.push(format!("http://{}:8080/", pod["status"]["podIP"].as_str().unwrap()));
    }
    case.see("seen", case.run(pod("client", &["fetch", &addresses[0], "+", "fetch", &addresses[1]])).await);
}

async fn a_named_port_leads_to_the_pods_port(case: &Case) {
    case.create(service("web", 0, json!({"ports": [{"name": "page", "port": 80, "targetPort": "http"}]})))
        .await
        .object();
    let mut pod_object = server("web", "web", &["serve", "8080"]);
    pod_object["spec"]["containers"][0]["ports"] = json!([{"name": "http", "containerPort": 8080}]);
    case.ready_pod(pod_object).await;
    case.see("seen", case.run(pod("client", &["fetch-until", "http://web/", "200 hello"])).await);
    let slices = case.list("EndpointSlice", "").await.items();
    case.see("ports", slices[0]["ports"].clone());
}

async fn a_service_of_datagrams_answers(case: &Case) {
    case.create(service("echo", 0, json!({"ports": [{"port": 9000, "protocol": "UDP"}]}))).await.object();
    let mut pod_object = pod("echo", &["serve-datagrams", "9000"]);
    pod_object["metadata"]["labels"] = json!({"app": "echo"});
    case.ready_pod(pod_object).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    case.see("seen", case.run(pod("client", &["ask-datagram", "echo:9000", "hello"])).await);
}

async fn variables_of_services_are_in_new_pods(case: &Case) {
    case.create(service("my-web", 8080, json!({"ports": [{"name": "page", "port": 80}]}))).await.object();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    case.see("with", case.run(pod("with", &["environment"])).await);
    let without = json!({"enableServiceLinks": false});
    case.see("without", case.run(objects::pod_of("without", &["environment"], without)).await);
}

async fn a_name_that_does_not_exist_does_not_resolve(case: &Case) {
    let steps = [
        "resolve",
        "nothing",
        "+",
        "resolve",
        "kubernetes.default",
        "+",
        "resolve",
        "kubernetes.default.svc.cluster.local.",
    ];
    case.see("seen", case.run(pod("client", &steps)).await);
}

async fn a_pod_reaches_the_api_server(case: &Case) {
    case.see(
        "seen",
        case.run(pod("client", &["connect", "kubernetes.default.svc:443", "+", "connect", "10.96.0.1:443"])).await,
    );
}

fn complete(deployment: &Value, replicas: u64) -> bool {
    let status = &deployment["status"];
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|name| status[name] == replicas)
        && condition(deployment, "Progressing")["reason"] == "NewReplicaSetAvailable"
}

fn conditions(object: &Value) -> Vec<Value> {
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut all: Vec<Value> = all.map(|it| pick(it, &["type", "status", "reason", "message"])).collect();
    all.sort_by_key(|it| it["type"].to_string());
    all
}

async fn a_rollout_completes_and_says_so(case: &Case) {
    case.create(replicated("Deployment", "web", 2, &["sleep"])).await.object();
    let done = case.until("Deployment", "web", |it| complete(it, 2)).await;
    case.see(
        "numbers",
        pick(
            &done["status"],
            &["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "observedGeneration"],
        ),
    );
    case.see("conditions", conditions(&done));
    case.see("revision", done["metadata"]["annotations"].clone());
    case.see("event", case.event("web", "ScalingReplicaSet").await);
    let sets = case.list("ReplicaSet", "").await.items();
    case.see("set", json!([sets[0]["metadata"]["annotations"], sets[0]["spec"]["replicas"], sets[0]["status"]]));
    let pods = case.list("Pod", "").await.items();
    case.see("labels", pods[0]["metadata"]["labels"].as_object().unwrap().keys().cloned().collect::<Vec<_>>());
}

/// Gives the template another argument.
async fn change(case: &Case, name: &str, steps: &[&str]) {
    let patch = json!({"spec": {"template": {"spec": {"containers": [objects::container(steps)]}}}});
    case.patch("strategic-merge", "Deployment", name, patch).await.object();
}

async fn a_changed_template_rolls_out(case: &Case) {
    case.create(replicated("Deployment", "web", 2, &["sleep"])).await.object();
    case.until("Deployment", "web", |it| complete(it, 2)).await;
    change(case, "web", &["sleep", "1000"]).await;
    let done = case.until("Deployment", "web", |it| it["metadata"]["generation"] == 2 && complete(it, 2)).await;
    case.see("revision", done["metadata"]["annotations"]["deployment.kubernetes.io/revision"].clone());
    let sets = case.list("ReplicaSet", "").await.items();
    let mut sizes: Vec<u64> = sets.iter().map(|it| it["spec"]["replicas"].as_u64().unwrap()).collect();
    sizes.sort_unstable();
    case.see("sizes", sizes);
}

async fn a_rollout_that_cannot_go_on_says_so(case: &Case) {
    let mut deployment = replicated("Deployment", "web", 1, &["sleep"]);
    deployment["spec"]["progressDeadlineSeconds"] = 2.into();
    deployment["spec"]["template"]["spec"]["nodeSelector"] = json!({"nowhere": "1"});
    case.create(deployment).await.object();
    let stuck = case.until("Deployment", "web", |it| has_condition(it, "Progressing", "False")).await;
    case.see("conditions", conditions(&stuck));
    case.see(
        "numbers",
        pick(&stuck["status"], &["replicas", "updatedReplicas", "unavailableReplicas", "readyReplicas"]),
    );
}

async fn recreate_ends_the_old_first(case: &Case) {
    let mut deployment = replicated("Deployment", "web", 1, &["sleep"]);
    deployment["spec"]["strategy"] = json!({"type": "Recreate"});
    case.create(deployment).await.object();
    case.until("Deployment", "web", |it| complete(it, 1)).await;
    change(case, "web", &["sleep", "1000"]).await;
    let done = case.until("Deployment", "web", |it| it["metadata"]["generation"] == 2 && complete(it, 1)).await;
    case.see("conditions", conditions(&done));
}

async fn a_deployment_keeps_its_history(case: &Case) {
    let mut deployment = replicated("Deployment", "web", 0, &["sleep"]);
    deployment["spec"]["revisionHistoryLimit"] = 1.into();
    case.create(deployment).await.object();
    for (generation, steps) in [(2, ["sleep", "1"]), (3, ["sleep", "2"]), (4, ["sleep", "3"])] {
        change(case, "web", &steps).await;
        case.until("Deployment", "web", |it| it["status"]["observedGeneration"] == generation).await;
    }
    case.until_list("ReplicaSet", "", |items| items.len() == 2).await;
    let sets = case.list("ReplicaSet", "").await.items();
    let mut revisions: Vec<Value> =
        sets.iter().map(|it| it["metadata"]["annotations"]["deployment.kubernetes.io/revision"].clone()).collect();
    revisions.sort_by_key(ToString::to_string);
    case.see("revisions", revisions);
}

async fn a_paused_deployment_waits(case: &Case) {
    let mut deployment = replicated("Deployment", "web", 1, &["sleep"]);
    deployment["spec"]["paused"] = true.into();
    case.create(deployment).await.object();
    let paused = case.until("Deployment", "web", |it| has_condition(it, "Progressing", "Unknown")).await;
    // Whether it is available may be told a moment later.
    let conditions = conditions(&paused).into_iter().filter(|it| it["type"] == "Progressing");
    case.see("conditions", conditions.collect::<Vec<_>>());
    case.see("sets", case.list("ReplicaSet", "").await.items().len());
    case.patch("merge", "Deployment", "web", json!({"spec": {"paused": false}})).await.object();
    case.until("Deployment", "web", |it| complete(it, 1)).await;
}

async fn scaling_changes_the_pods(case: &Case) {
    case.create(replicated("Deployment", "web", 1, &["sleep"])).await.object();
    case.until("Deployment", "web", |it| complete(it, 1)).await;
    let scaled = case.patch("merge", "Deployment", "web/scale", json!({"spec": {"replicas": 3}})).await.object();
    case.see("scale", pick(&scaled, &["kind", "spec", "status"]));
    case.until("Deployment", "web", |it| complete(it, 3)).await;
    case.patch("merge", "Deployment", "web/scale", json!({"spec": {"replicas": 0}})).await.object();
    case.until_count("Pod", "", 0).await;
    let done = case
        .until("Deployment", "web", |it| it["status"]["observedGeneration"] == 3 && it["status"]["replicas"].is_null())
        .await;
    case.see(
        "numbers",
        pick(&done["status"], &["replicas", "readyReplicas", "availableReplicas", "observedGeneration"]),
    );
}

async fn a_lost_pod_is_replaced(case: &Case) {
    case.create(replicated("ReplicaSet", "web", 2, &["sleep"])).await.object();
    case.until("ReplicaSet", "web", |it| it["status"]["readyReplicas"] == 2).await;
    let lost = case.list("Pod", "").await.names().remove(0);
    case.delete("Pod", &lost, json!({"gracePeriodSeconds": 0})).await.object();
    let other = |items: &[Value]| items.len() == 2 && items.iter().all(|it| it["metadata"]["name"] != lost.as_str());
    case.until_list("Pod", "", other).await;
    let set = case.until("ReplicaSet", "web", |it| it["status"]["readyReplicas"] == 2).await;
    case.see("status", set["status"].clone());
    case.see("event", case.event("web", "SuccessfulCreate").await);
}

async fn a_replication_controller_keeps_its_pods(case: &Case) {
    case.create(replicated("ReplicationController", "old", 2, &["sleep"])).await.object();
    let set = case.until("ReplicationController", "old", |it| it["status"]["readyReplicas"] == 2).await;
    case.see("status", set["status"].clone());
    case.patch("merge", "ReplicationController", "old", json!({"spec": {"replicas": 1}})).await.object();
    case.until_count("Pod", "", 1).await;
    let pods = case.list("Pod", "").await.items();
    case.see("owner", pods[0]["metadata"]["ownerReferences"].clone());
}

async fn a_pod_that_matches_is_adopted_and_released(case: &Case) {
    let mut lone = pod("lone", &["sleep"]);
    lone["metadata"]["labels"] = json!({"app": "web"});
    lone["spec"]["restartPolicy"] = "Always".into();
    case.ready_pod(lone).await;
    case.create(replicated("ReplicaSet", "web", 1, &["sleep"])).await.object();
    let owned = case.until("Pod", "lone", |it| it["metadata"]["ownerReferences"].is_array()).await;
    case.see("adopted", owned["metadata"]["ownerReferences"].clone());
    case.patch("merge", "Pod", "lone", json!({"metadata": {"labels": {"app": "free"}}})).await.object();
    let free = case.until("Pod", "lone", |it| it["metadata"]["ownerReferences"].is_null()).await;
    case.see("released", free["metadata"]["labels"].clone());
    case.until_count("Pod", "", 2).await;
}

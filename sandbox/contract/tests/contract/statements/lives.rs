//! Pods in trouble: probes, hooks, restarts, and what cannot be started.

use serde_json::{Value, json};

use super::statements;
use crate::case::{Case, condition, has_condition, is_finished, is_ready};
use crate::objects::{pick, pod, pod_of, pod_with};

statements!("lives":
    a_readiness_probe_decides_when_a_pod_is_ready,
    a_failing_readiness_probe_is_told,
    a_failing_liveness_probe_restarts,
    a_startup_probe_holds_the_others_back,
    a_socket_probe_connects,
    a_command_probe_runs_in_the_container,
    a_hook_runs_after_the_start_and_before_the_end,
    a_failed_start_hook_is_told,
    a_container_that_ends_is_started_again,
    a_container_that_crashes_backs_off,
    on_failure_restarts_only_failures,
    a_deadline_ends_a_pod,
    too_much_memory_kills,
    a_missing_image_is_told,
    an_image_that_must_not_be_pulled_is_told,
    an_invalid_image_name_is_told,
    a_missing_configuration_map_is_told,
    a_missing_volume_source_holds_the_pod,
    a_command_that_does_not_exist_is_told,
    a_file_that_is_no_program_is_told,
    a_pod_that_fits_nowhere_says_why,
    a_pod_that_asks_too_much_says_why,
    a_tainted_node_is_avoided,
    a_gate_holds_a_pod,
    affinity_chooses_nodes,
    a_pod_bound_by_its_author_runs,
    conditions_follow_the_life_of_a_pod,
);

fn running(pod: &Value) -> bool {
    pod["status"]["containerStatuses"][0]["state"]["running"].is_object()
}

fn restarted(pod: &Value) -> bool {
    pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or(0) >= 1
}

fn waiting(pod: &Value, reason: &str) -> bool {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
}

async fn a_readiness_probe_decides_when_a_pod_is_ready(case: &Case) {
    let probe = json!({"readinessProbe": {"httpGet": {"port": 8080, "path": "/healthz"}, "periodSeconds": 1}});
    let ready = case.ready_pod(pod_with("web", &["serve", "8080"], probe)).await;
    case.see("ready", pick(condition(&ready, "Ready"), &["status", "reason"]));
    case.kubectl_quietly("exec web -- /tool fetch http://127.0.0.1:8080/break", "").await;
    let broken = case.until("Pod", "web", |pod| has_condition(pod, "Ready", "False")).await;
    case.see("broken", pick(condition(&broken, "Ready"), &["status", "reason", "message"]));
    case.see("restarts", broken["status"]["containerStatuses"][0]["restartCount"].clone());
    case.kubectl_quietly("exec web -- /tool fetch http://127.0.0.1:8080/heal", "").await;
    case.see("healed", condition(&case.until("Pod", "web", is_ready).await, "Ready")["status"].clone());
}

async fn a_failing_readiness_probe_is_told(case: &Case) {
    let probe = json!({"readinessProbe": {"httpGet": {"port": 8080, "path": "/nothing"}, "periodSeconds": 1}});
    case.create(pod_with("web", &["serve", "8080"], probe)).await.object();
    let path = case.path("Event", "") + "?watch=1&fieldSelector=involvedObject.name%3Dweb,reason%3DUnhealthy";
    let told = |it: &Value| it["object"]["message"].as_str().is_some_and(|text| text.contains("404"));
    let event = case.caller.watch(&path, told).await.pop().unwrap();
    case.see("event", pick(&event["object"], &["type", "reason", "message"]));
    let pod = case.until("Pod", "web", running).await;
    case.see("phase", pod["status"]["phase"].clone());
}

async fn a_failing_liveness_probe_restarts(case: &Case) {
    let probe = json!({"livenessProbe": {"httpGet": {"port": 8080, "path": "/healthz"}, "periodSeconds": 1, "failureThreshold": 2,
        "initialDelaySeconds": 1}});
    let mut pod = pod_with("web", &["unhealthy", "+", "serve", "8080"], probe);
    pod["spec"]["restartPolicy"] = "Always".into();
    case.create(pod).await.object();
    let again = case.until("Pod", "web", restarted).await;
    let last = &again["status"]["containerStatuses"][0]["lastState"]["terminated"];
    case.see("last", pick(last, &["exitCode", "reason"]));
    case.see("unhealthy", case.event("web", "Unhealthy").await);
    case.see("killing", case.event("web", "Killing").await);
}

async fn a_startup_probe_holds_the_others_back(case: &Case) {
    let probe = json!({
        "startupProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 30},
        "livenessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
    });
    let mut pod = pod_with("slow", &["serve-later", "8080", "3"], probe);
    pod["spec"]["restartPolicy"] = "Always".into();
    case.create(pod).await.object();
    let ready = case.until("Pod", "slow", is_ready).await;
    case.see("then", pick(&ready["status"]["containerStatuses"][0], &["started", "ready", "restartCount"]));
}

async fn a_socket_probe_connects(case: &Case) {
    let probe = |port: u16| json!({"readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1}});
    let ready = case.ready_pod(pod_with("open", &["serve", "8080"], probe(8080))).await;
    case.see("open", condition(&ready, "Ready")["status"].clone());
    case.create(pod_with("closed", &["serve", "8080"], probe(8081))).await.object();
    case.see("closed", case.event("closed", "Unhealthy").await);
}

async fn a_command_probe_runs_in_the_container(case: &Case) {
    let probe = |step: &str, word: &str| json!({"readinessProbe": {"exec": {"command": ["/tool", step, word]}, "periodSeconds": 1}});
    let ready = case.ready_pod(pod_with("well", &["sleep"], probe("read", "/data/seed"))).await;
    case.see("well", condition(&ready, "Ready")["status"].clone());
    case.create(pod_with("ill", &["sleep"], probe("read", "/nothing"))).await.object();
    case.see("ill", case.event("ill", "Unhealthy").await);
}

async fn a_hook_runs_after_the_start_and_before_the_end(case: &Case) {
    let hooks = json!({
        "lifecycle": {
            "postStart": {"exec": {"command": ["/tool", "write", "/v/started", "x"]}},
            "preStop": {"exec": {"command": ["/tool", "write", "/v/stopping", "x"]}},
        },
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    });
    let mut pod = pod_with(
        "hooked",
        &["wait-for", "/v/started", "+", "print", "started", "+", "wait-for", "/v/stopping", "+", "print", "stopping"],
        hooks,
    );
    pod["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    pod["metadata"]["finalizers"] = json!(["example.com/hold"]);
    case.ready_pod(pod).await;
    let log = case.follow("hooked");
    case.delete("Pod", "hooked", json!({})).await.object();
    case.see("logs", log.await.unwrap());
    case.until("Pod", "hooked", is_finished).await;
    case.patch("merge", "Pod", "hooked", json!({"metadata": {"finalizers": null}})).await.object();
}

async fn a_failed_start_hook_is_told(case: &Case) {
    let hooks = json!({"lifecycle": {"postStart": {"exec": {"command": ["/tool", "exit", "5"]}}}});
    case.create(pod_with("hooked", &["sleep"], hooks)).await.object();
    let event = case.event("hooked", "FailedPostStartHook").await;
    case.see("event", pick(&event, &["type", "reason"]));
    let ended = case.until("Pod", "hooked", is_finished).await;
    case.see("phase", ended["status"]["phase"].clone());
}

async fn a_container_that_ends_is_started_again(case: &Case) {
    case.create(pod_of("again", &["print", "once", "+", "sleep", "1"], json!({"restartPolicy": "Always"})))
        .await
        .object();
    let again = case.until("Pod", "again", |pod| restarted(pod) && running(pod)).await;
    let status = &again["status"]["containerStatuses"][0];
    case.see("last", pick(&status["lastState"]["terminated"], &["exitCode", "reason"]));
    case.see("phase", again["status"]["phase"].clone());
    case.see("previous", case.logs("again", "?previous=true").await);
}

async fn a_container_that_crashes_backs_off(case: &Case) {
    case.create(pod_of("crashes", &["print", "boom", "+", "exit", "1"], json!({"restartPolicy": "Always"})))
        .await
        .object();
    let waits = case.until("Pod", "crashes", |pod| waiting(pod, "CrashLoopBackOff")).await;
    case.see("waiting", waits["status"]["containerStatuses"][0]["state"].clone());
    case.see("phase", waits["status"]["phase"].clone());
    case.see("ready", pick(condition(&waits, "Ready"), &["status", "reason", "message"]));
    case.see("event", case.event("crashes", "BackOff").await);
}

async fn on_failure_restarts_only_failures(case: &Case) {
    let mut pod = pod_with(
        "tries",
        &["fail-until", "/v/count", "2"],
        json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
    );
    pod["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    pod["spec"]["restartPolicy"] = "OnFailure".into();
    case.see("logs", case.run(pod).await);
    let ended = case.get("Pod", "tries").await.object();
    case.see("status", json!([ended["status"]["phase"], ended["status"]["containerStatuses"][0]["restartCount"]]));
    case.see("previous", case.logs("tries", "?previous=true").await);
}

async fn a_deadline_ends_a_pod(case: &Case) {
    case.create(pod_of("late", &["sleep"], json!({"activeDeadlineSeconds": 2}))).await.object();
    let ended = case.until("Pod", "late", is_finished).await;
    case.see("status", pick(&ended["status"], &["phase", "reason", "message"]));
}

async fn too_much_memory_kills(case: &Case) {
    let limit = json!({"resources": {"limits": {"memory": "32Mi"}}});
    // A real runtime now and then learns too late why the program was killed, and says no more than that it failed.
    for number in 0..5 {
        let name = format!("greedy-{number}");
        case.create(pod_with(&name, &["allocate", "200"], limit.clone())).await.object();
        let ended = case.until("Pod", &name, is_finished).await;
        let state = &ended["status"]["containerStatuses"][0]["state"]["terminated"];
        if state["reason"] == "OOMKilled" || number == 4 {
            case.see("ended", pick(state, &["exitCode", "reason"]));
            case.see("phase", ended["status"]["phase"].clone());
            return;
        }
    }
}

async fn a_missing_image_is_told(case: &Case) {
    case.create(pod_with("missing", &[], json!({"image": "nowhere.invalid/none:1"}))).await.object();
    let waits = case.until("Pod", "missing", |pod| waiting(pod, "ImagePullBackOff")).await;
    case.see("phase", waits["status"]["phase"].clone());
    case.see(
        "waiting",
        waits["status"]["containerStatuses"][0]["state"]["waiting"]["message"].as_str().unwrap().split(": ").next(),
    );
    let failed = case.event("missing", "Failed").await;
    case.see("event", failed["message"].as_str().unwrap().split(": ").next());
    case.see("back off", case.event("missing", "BackOff").await);
}

async fn an_image_that_must_not_be_pulled_is_told(case: &Case) {
    case.create(pod_with("never", &[], json!({"image": "none:1", "imagePullPolicy": "Never"}))).await.object();
    let waits = case.until("Pod", "never", |pod| waiting(pod, "ErrImageNeverPull")).await;
    case.see("waiting", waits["status"]["containerStatuses"][0]["state"].clone());
}

async fn an_invalid_image_name_is_told(case: &Case) {
    case.create(pod_with("invalid", &[], json!({"image": "Not A:Name"}))).await.object();
    let waits = case.until("Pod", "invalid", |pod| waiting(pod, "InvalidImageName")).await;
    case.see("waiting", waits["status"]["containerStatuses"][0]["state"].clone());
}

async fn a_missing_configuration_map_is_told(case: &Case) {
    let more = json!({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "a"}}}]});
    case.create(pod_with("missing", &["print", "there"], more)).await.object();
    let waits = case.until("Pod", "missing", |pod| waiting(pod, "CreateContainerConfigError")).await;
    case.see("waiting", waits["status"]["containerStatuses"][0]["state"].clone());
    case.see("event", case.event("missing", "Failed").await);
    case.create(crate::objects::config_map("none", json!({"a": "1"}))).await.object();
    case.until("Pod", "missing", is_finished).await;
    case.see("then", case.logs("missing", "").await);
}

async fn a_missing_volume_source_holds_the_pod(case: &Case) {
    let mut pod = pod_with("held", &["print", "there"], json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}));
    pod["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "none"}}]);
    case.create(pod).await.object();
    case.see("event", case.event("held", "FailedMount").await);
    let held = case.get("Pod", "held").await.object();
    case.see("phase", held["status"]["phase"].clone());
}

async fn a_command_that_does_not_exist_is_told(case: &Case) {
    case.create(pod_with("wrong", &[], json!({"command": ["/nothing"]}))).await.object();
    let ended = case.until("Pod", "wrong", is_finished).await;
    let state = &ended["status"]["containerStatuses"][0]["state"]["terminated"];
    case.see("ended", pick(state, &["exitCode", "reason", "message"]));
    case.see("event", case.event("wrong", "Failed").await);
}

async fn a_file_that_is_no_program_is_told(case: &Case) {
    case.create(pod_with("wrong", &[], json!({"command": ["/not-a-program"]}))).await.object();
    let ended = case.until("Pod", "wrong", is_finished).await;
    let state = &ended["status"]["containerStatuses"][0]["state"]["terminated"];
    case.see("ended", pick(state, &["exitCode", "reason", "message"]));
    case.see("logs", case.logs("wrong", "").await);
}

/// What the scheduler says of a pod that it cannot place.
async fn unscheduled(case: &Case, label: &str, pod: Value) {
    let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
    case.create(pod).await.object();
    let held = case.until("Pod", &name, |pod| has_condition(pod, "PodScheduled", "False")).await;
    case.see(label, pick(condition(&held, "PodScheduled"), &["status", "reason", "message"]));
}

async fn a_pod_that_fits_nowhere_says_why(case: &Case) {
    unscheduled(case, "selector", pod_of("selector", &[], json!({"nodeSelector": {"disk": "fast"}}))).await;
    case.see("event", case.event("selector", "FailedScheduling").await);
    let named = case.create(pod_of("named", &[], json!({"nodeName": "elsewhere"}))).await.object();
    case.see("another node", json!([named["spec"]["nodeName"], named["status"]["phase"]]));
}

async fn a_pod_that_asks_too_much_says_why(case: &Case) {
    let asking = |name: &str, requests: Value| pod_with(name, &[], json!({"resources": {"requests": requests}}));
    unscheduled(case, "processor", asking("processor", json!({"cpu": "1000"}))).await;
    unscheduled(case, "memory", asking("memory", json!({"memory": "100Ti"}))).await;
    unscheduled(case, "both", asking("both", json!({"cpu": "1000", "memory": "100Ti"}))).await;
    let device = json!({"resources": {"limits": {"example.com/device": "1"}}});
    unscheduled(case, "device", pod_with("device", &[], device)).await;
}

async fn a_tainted_node_is_avoided(case: &Case) {
    let wanted = |operator: &str| json!({"tolerations": [{"key": "example.com/t", "operator": operator, "value": if operator == "Equal" { "1" } else { "" }}]});
    for operator in ["Equal", "Exists"] {
        case.see(operator, case.run(pod_of(&operator.to_lowercase(), &["print", "x"], wanted(operator))).await);
    }
    let wrong = json!({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]});
    case.see("wrong", case.create(pod_of("wrong", &[], wrong)).await.verdict());
}

async fn a_gate_holds_a_pod(case: &Case) {
    let gated = case
        .create(pod_of("gated", &["print", "x"], json!({"schedulingGates": [{"name": "example.com/gate"}]})))
        .await
        .object();
    case.see("created", gated["status"].clone());
    case.patch("merge", "Pod", "gated", json!({"spec": {"schedulingGates": []}})).await.object();
    case.see("then", case.until("Pod", "gated", is_finished).await["status"]["phase"].clone());
}

async fn affinity_chooses_nodes(case: &Case) {
    let affinity = |value: &str| {
        let expression = json!({"key": "kubernetes.io/os", "operator": "In", "values": [value]});
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}}})
    };
    case.see("fits", case.run(pod_of("fits", &["print", "x"], affinity("linux"))).await);
    unscheduled(case, "does not", pod_of("not", &[], affinity("plan9"))).await;
    let term = json!([{"labelSelector": {"matchLabels": {"app": "a"}}, "topologyKey": "kubernetes.io/hostname"}]);
    let apart = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}});
    let mut first = pod_of("first", &["sleep"], apart.clone());
    first["metadata"]["labels"] = json!({"app": "a"});
    case.ready_pod(first).await;
    unscheduled(case, "apart", pod_of("second", &["sleep"], apart)).await;
}

async fn a_pod_bound_by_its_author_runs(case: &Case) {
    let node = case.cluster.node["metadata"]["name"].clone();
    case.see("logs", case.run(pod_of("bound", &["print", "x"], json!({"nodeName": node}))).await);
    case.create(pod_of("gated", &["print", "y"], json!({"schedulerName": "nobody"}))).await.object();
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "gated"}, "target": {"kind": "Node", "name": node}});
    let answer = case.caller.call("POST", &case.path("Pod", "gated/binding"), "application/json", Some(&binding)).await;
    case.see("binding", answer.body);
    case.see("phase", case.until("Pod", "gated", is_finished).await["status"]["phase"].clone());
    let answer = case.caller.call("POST", &case.path("Pod", "gated/binding"), "application/json", Some(&binding)).await;
    case.see("again", answer.verdict());
}

async fn conditions_follow_the_life_of_a_pod(case: &Case) {
    let seen = |object: &Value| {
        let mut all: Vec<Value> = object["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            // When the sandbox of an ended pod goes is a race.
            .filter(|it| it["type"] != "PodReadyToStartContainers")
            .map(|it| pick(it, &["type", "status", "reason"]))
            .collect();
        all.sort_by_key(|it| it["type"].to_string());
        all
    };
    let ready = case.ready_pod(pod("life", &["wait-for", "/data/end"])).await;
    case.see("ready", seen(&ready));
    case.kubectl_quietly("exec life -- /tool write /data/end x", "").await;
    case.see("ended", seen(&case.until("Pod", "life", is_finished).await));
}

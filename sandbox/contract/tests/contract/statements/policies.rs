//! Quotas, limits, claims, roles, accounts, pod security.

use serde_json::{Value, json};

use super::statements;
use crate::case::{Case, complete, is_finished};
use crate::cluster::{Caller, text};
use crate::objects::{self, claim, config_map, job, pick, pod, pod_of, pod_with};

statements!("policies":
    a_quota_counts_what_is_there,
    a_quota_refuses_what_exceeds_it,
    a_quota_of_processors_needs_requests,
    a_quota_is_told_on_the_job,
    a_quota_is_told_on_the_deployment,
    a_quota_must_be_valid,
    a_limit_range_gives_defaults_to_containers,
    a_limit_range_refuses_what_is_too_large,
    a_claim_waits_for_its_first_pod,
    a_claim_keeps_its_data_from_pod_to_pod,
    a_claim_for_many_is_shared,
    a_claim_in_use_is_not_removed,
    a_claim_must_be_valid,
    a_claim_of_an_unknown_class_waits,
    a_volume_made_by_hand_is_bound,
    a_released_volume_is_removed_or_kept,
    an_account_may_do_what_its_role_says,
    a_cluster_role_is_bound_in_a_namespace,
    the_token_of_a_pod_works,
    a_requested_token_is_bound_to_its_audience,
    nobody_gives_rights_that_he_does_not_have,
    the_role_of_a_binding_cannot_be_changed,
    a_role_must_be_valid,
    rights_can_be_asked_for,
    a_restricted_namespace_refuses_pods,
);

async fn a_quota_counts_what_is_there(case: &Case) {
    let quota = json!({"kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {"hard": {
        "pods": "5", "requests.cpu": "1", "limits.memory": "1Gi", "configmaps": "10", "count/jobs.batch": "3", "services": "2", "secrets": "2"}}});
    case.create(quota).await.object();
    let asks = json!({"resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "16Mi", "cpu": "100m"}}});
    case.until("ResourceQuota", "quota", |it| it["status"]["used"]["pods"] == "0").await;
    case.create(pod_with("runs", &["sleep"], asks)).await.object();
    case.create(config_map("a", json!({}))).await.object();
    let counted = case.until("ResourceQuota", "quota", |it| it["status"]["used"]["configmaps"] == "2").await;
    case.see("status", counted["status"].clone());
}

/// A quota, once it counts.
async fn quota(case: &Case, hard: Value) {
    case.create(json!({"kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {"hard": hard}})).await.object();
    case.until("ResourceQuota", "quota", |it| it["status"]["used"].is_object()).await;
}

async fn a_quota_refuses_what_exceeds_it(case: &Case) {
    quota(case, json!({"configmaps": "2", "requests.memory": "64Mi"})).await;
    case.create(config_map("a", json!({}))).await.object();
    case.see("maps", case.create(config_map("b", json!({}))).await.body);
    let asks = |size: &str| json!({"resources": {"requests": {"memory": size}}});
    case.see("fits", case.create(pod_with("fits", &["sleep"], asks("48Mi"))).await.verdict());
    case.see("memory", case.create(pod_with("large", &["sleep"], asks("32Mi"))).await.verdict());
}

async fn a_quota_of_processors_needs_requests(case: &Case) {
    quota(case, json!({"requests.cpu": "1", "limits.memory": "1Gi"})).await;
    case.see("without", case.create(pod("plain", &["sleep"])).await.verdict());
}

async fn a_quota_is_told_on_the_job(case: &Case) {
    quota(case, json!({"pods": "0"})).await;
    case.create(job("held", &["print", "x"], json!({}))).await.object();
    case.see("event", case.event("held", "FailedCreate").await);
}

async fn a_quota_is_told_on_the_deployment(case: &Case) {
    quota(case, json!({"pods": "0"})).await;
    case.create(objects::replicated("Deployment", "web", 1, &["sleep"])).await.object();
    let held = case.until("Deployment", "web", |it| crate::case::has_condition(it, "ReplicaFailure", "True")).await;
    case.see("condition", pick(crate::case::condition(&held, "ReplicaFailure"), &["status", "reason", "message"]));
}

async fn a_quota_must_be_valid(case: &Case) {
    let with = |hard: Value| {
        case.create(json!({"kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {"hard": hard}}))
    };
    case.see("negative", with(json!({"pods": "-1"})).await.verdict());
    case.see("unknown", with(json!({"colour": "1"})).await.verdict());
    case.see("fraction", with(json!({"pods": "0.5"})).await.verdict());
}

async fn limits(case: &Case) {
    let limit = json!({"type": "Container", "default": {"memory": "64Mi"}, "defaultRequest": {"memory": "32Mi"}, "max": {"memory": "128Mi"},
        "min": {"memory": "8Mi"}, "maxLimitRequestRatio": {"memory": "4"}});
    case.create(json!({"kind": "LimitRange", "metadata": {"name": "limits"}, "spec": {"limits": [limit]}}))
        .await
        .object();
    // Admission learns of new ranges by its own watch.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
}

async fn a_limit_range_gives_defaults_to_containers(case: &Case) {
    limits(case).await;
    let created = case.create(pod("plain", &["sleep"])).await.object();
    case.see("resources", created["spec"]["containers"][0]["resources"].clone());
    case.see("annotations", created["metadata"]["annotations"].clone());
    let asks = json!({"resources": {"limits": {"memory": "100Mi"}}});
    let created = case.create(pod_with("asks", &["sleep"], asks)).await.object();
    case.see("asked", created["spec"]["containers"][0]["resources"].clone());
}

async fn a_limit_range_refuses_what_is_too_large(case: &Case) {
    limits(case).await;
    let asks = |request: &str, limit: &str| json!({"resources": {"requests": {"memory": request}, "limits": {"memory": limit}}});
    case.see("large", case.create(pod_with("a", &[], asks("100Mi", "256Mi"))).await.verdict());
    case.see("small", case.create(pod_with("a", &[], asks("4Mi", "8Mi"))).await.verdict());
    case.see("apart", case.create(pod_with("a", &[], asks("8Mi", "64Mi"))).await.verdict());
}

/// A pod with a claim at `/v`.
fn claiming(name: &str, claim: &str, steps: &[&str]) -> Value {
    let mut pod = pod_with(name, steps, json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}));
    pod["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
    pod
}

async fn a_claim_waits_for_its_first_pod(case: &Case) {
    let created = case.create(claim("data", "ReadWriteOnce", "1Gi")).await.object();
    case.see("created", pick(&created, &["spec", "status"]));
    case.see("waits", case.event("data", "WaitForFirstConsumer").await);
    case.create(claiming("writer", "data", &["write", "/v/x", "1", "+", "read", "/v/x"])).await.object();
    let bound = case.until("PersistentVolumeClaim", "data", |it| it["status"]["phase"] == "Bound").await;
    case.see("bound", bound["status"].clone());
    case.until("Pod", "writer", is_finished).await;
    case.see("logs", case.logs("writer", "").await);
    let name = text(&bound["spec"]["volumeName"]);
    let volume = case.get("PersistentVolume", &name).await.object();
    case.see(
        "volume",
        pick(
            &volume["spec"],
            &["accessModes", "capacity", "persistentVolumeReclaimPolicy", "storageClassName", "volumeMode"],
        ),
    );
    case.see("phase", volume["status"]["phase"].clone());
}

async fn a_claim_keeps_its_data_from_pod_to_pod(case: &Case) {
    case.create(claim("data", "ReadWriteOnce", "1Gi")).await.object();
    case.see("first", case.run(claiming("first", "data", &["append", "/v/log", "first", "+", "read", "/v/log"])).await);
    case.delete("Pod", "first", json!({})).await.object();
    case.see(
        "second",
        case.run(claiming("second", "data", &["append", "/v/log", "second", "+", "read", "/v/log"])).await,
    );
}

async fn a_claim_for_many_is_shared(case: &Case) {
    let created = case.create(claim("data", "ReadWriteMany", "1Gi")).await.object();
    case.see("modes", created["spec"]["accessModes"].clone());
    case.create(claiming("writer", "data", &["write", "/v/x", "1", "+", "sleep"])).await.object();
    case.create(claiming("reader", "data", &["wait-for", "/v/x", "+", "read", "/v/x"])).await.object();
    let begin = std::time::Instant::now();
    while begin.elapsed().as_secs() < 20 && !is_finished(&case.get("Pod", "reader").await.object()) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    case.see("phase", case.get("PersistentVolumeClaim", "data").await.object()["status"]["phase"].clone());
    case.see("reader", case.get("Pod", "reader").await.object()["status"]["phase"].clone());
}

async fn a_claim_in_use_is_not_removed(case: &Case) {
    case.create(claim("data", "ReadWriteOnce", "1Gi")).await.object();
    case.ready_pod(claiming("user", "data", &["sleep"])).await;
    let deleted = case.delete("PersistentVolumeClaim", "data", json!({})).await.object();
    case.see("finalizers", deleted["metadata"]["finalizers"].clone());
    case.see("meanwhile", case.get("PersistentVolumeClaim", "data").await.code);
    case.delete("Pod", "user", json!({})).await.object();
    case.until_gone("PersistentVolumeClaim", "data").await;
}

async fn a_claim_must_be_valid(case: &Case) {
    let with = |more: Value| {
        let mut object = claim("wrong", "ReadWriteOnce", "1Gi");
        objects::merge(&mut object["spec"], more);
        case.create_with("?dryRun=All", object)
    };
    case.see("no modes", with(json!({"accessModes": []})).await.verdict());
    case.see("mode", with(json!({"accessModes": ["Sometimes"]})).await.verdict());
    case.see("no size", with(json!({"resources": {}})).await.verdict());
    case.see("negative", with(json!({"resources": {"requests": {"storage": "-1"}}})).await.verdict());
    case.create(claim("held", "ReadWriteOnce", "1Gi")).await.object();
    let patch = json!({"spec": {"accessModes": ["ReadWriteMany"]}});
    let answer = case.patch("merge", "PersistentVolumeClaim", "held", patch).await;
    case.see(
        "modes changed",
        json!([answer.code, answer.body["reason"], answer.body["details"]["causes"][0]["field"]]),
    );
}

async fn a_claim_of_an_unknown_class_waits(case: &Case) {
    let mut object = claim("data", "ReadWriteOnce", "1Gi");
    object["spec"]["storageClassName"] = "none-such".into();
    case.create(object).await.object();
    case.see("event", case.event("data", "ProvisioningFailed").await);
    case.create(claiming("user", "data", &[])).await.object();
    let held = case.until("Pod", "user", |pod| crate::case::has_condition(pod, "PodScheduled", "False")).await;
    case.see("pod", pick(crate::case::condition(&held, "PodScheduled"), &["reason", "message"]));
    case.create(claiming("other", "nothing", &[])).await.object();
    let held = case.until("Pod", "other", |pod| crate::case::has_condition(pod, "PodScheduled", "False")).await;
    case.see("no claim", pick(crate::case::condition(&held, "PodScheduled"), &["reason", "message"]));
}

/// A volume made by hand, named after the namespace.
fn volume(case: &Case, policy: &str) -> Value {
    json!({"kind": "PersistentVolume", "metadata": {"name": format!("{}-volume", case.namespace)}, "spec": {
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}, "persistentVolumeReclaimPolicy": policy,
        "storageClassName": case.namespace, "hostPath": {"path": "/tmp/contract"}}})
}

async fn a_volume_made_by_hand_is_bound(case: &Case) {
    let made = case.create(volume(case, "Retain")).await.object();
    case.see("spec", made["spec"].clone());
    let mut object = claim("data", "ReadWriteOnce", "1Gi");
    object["spec"]["storageClassName"] = case.namespace.clone().into();
    case.create(object).await.object();
    let bound = case.until("PersistentVolumeClaim", "data", |it| it["status"]["phase"] == "Bound").await;
    case.see("claim", pick(&bound, &["spec", "status"]));
}

async fn a_released_volume_is_removed_or_kept(case: &Case) {
    let name = format!("{}-volume", case.namespace);
    case.create(volume(case, "Retain")).await.object();
    let mut object = claim("data", "ReadWriteOnce", "1Gi");
    object["spec"]["storageClassName"] = case.namespace.clone().into();
    case.create(object).await.object();
    case.until("PersistentVolumeClaim", "data", |it| it["status"]["phase"] == "Bound").await;
    case.delete("PersistentVolumeClaim", "data", json!({})).await.object();
    let kept = case.until("PersistentVolume", &name, |it| it["status"]["phase"] == "Released").await;
    case.see("kept", pick(&kept["spec"]["claimRef"], &["kind", "name", "namespace"]));
    case.create(claim("made", "ReadWriteOnce", "1Gi")).await.object();
    case.run(claiming("user", "made", &["write", "/v/x", "1"])).await;
    let bound = case.get("PersistentVolumeClaim", "made").await.object();
    case.delete("Pod", "user", json!({})).await.object();
    case.delete("PersistentVolumeClaim", "made", json!({})).await.object();
    case.until_gone("PersistentVolume", &text(&bound["spec"]["volumeName"])).await;
}

/// A caller as a service account of the namespace.
async fn account(case: &Case, name: &str) -> Caller {
    case.create(json!({"kind": "ServiceAccount", "metadata": {"name": name}})).await.object();
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = case.path("ServiceAccount", &format!("{name}/token"));
    let answer = case.caller.call("POST", &path, "application/json", Some(&request)).await.object();
    case.cluster.with_token(answer["status"]["token"].as_str())
}

fn role(kind: &str, name: &str, rules: Value) -> Value {
    json!({"kind": kind, "metadata": {"name": name}, "rules": rules})
}

fn binding(case: &Case, name: &str, role_kind: &str, role: &str, account: &str) -> Value {
    json!({"kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": case.namespace}]})
}

/// Asks until the rights are as wanted: they are learnt by a watch.
async fn until_allowed(caller: &Caller, path: &str) {
    for _ in 0..100 {
        if caller.call("GET", path, "", None).await.code < 400 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("never allowed: {path}");
}

async fn an_account_may_do_what_its_role_says(case: &Case) {
    let reader = account(case, "reader").await;
    let maps = case.path("ConfigMap", "");
    case.see("before", reader.call("GET", &maps, "", None).await.body);
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["web"], "verbs": ["get"]}]);
    case.create(role("Role", "read", rules)).await.object();
    case.create(binding(case, "read", "Role", "read", "reader")).await.object();
    until_allowed(&reader, &maps).await;
    let object = complete(config_map("a", json!({})));
    case.see("create", reader.call("POST", &maps, "application/json", Some(&object)).await.verdict());
    case.see("watch", reader.call("GET", &format!("{maps}?watch=1&timeoutSeconds=1"), "", None).await.verdict());
    case.see("pods", reader.call("GET", &case.path("Pod", ""), "", None).await.verdict());
    case.see("elsewhere", reader.call("GET", "/api/v1/namespaces/default/configmaps", "", None).await.verdict());
    case.see("everywhere", reader.call("GET", "/api/v1/configmaps", "", None).await.verdict());
    case.see("cluster", reader.call("GET", "/api/v1/nodes", "", None).await.verdict());
    case.see("named", reader.call("GET", &case.path("Deployment", "web/scale"), "", None).await.verdict());
    case.see("not named", reader.call("GET", &case.path("Deployment", "other/scale"), "", None).await.verdict());
    case.see("delete", reader.call("DELETE", &case.path("ConfigMap", "a"), "", None).await.verdict());
    case.see("exec", reader.call("GET", &case.path("Pod", "x/exec?command=a"), "", None).await.verdict());
    case.see("path", reader.call("GET", "/metrics", "", None).await.verdict());
}

async fn a_cluster_role_is_bound_in_a_namespace(case: &Case) {
    let viewer = account(case, "viewer").await;
    case.create(binding(case, "view", "ClusterRole", "view", "viewer")).await.object();
    until_allowed(&viewer, &case.path("Pod", "")).await;
    case.see("secrets", viewer.call("GET", &case.path("Secret", ""), "", None).await.verdict());
    case.see("elsewhere", viewer.call("GET", "/api/v1/namespaces/default/pods", "", None).await.verdict());
    let object = complete(pod("x", &[]));
    case.see("create", viewer.call("POST", &case.path("Pod", ""), "application/json", Some(&object)).await.verdict());
}

async fn the_token_of_a_pod_works(case: &Case) {
    let token = case.run(pod("teller", &["read", "/var/run/secrets/kubernetes.io/serviceaccount/token"])).await;
    let own = case.cluster.with_token(token[0].as_str());
    case.see("without rights", own.call("GET", &case.path("Pod", ""), "", None).await.verdict());
    case.create(binding(case, "view", "ClusterRole", "view", "default")).await.object();
    until_allowed(&own, &case.path("Pod", "")).await;
    case.see("with rights", own.call("GET", &case.path("Pod", ""), "", None).await.names());
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let who =
        own.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "application/json", Some(&review)).await;
    case.see("who", json!([who.body["status"]["userInfo"]["username"], who.body["status"]["userInfo"]["groups"]]));
    case.delete("Pod", "teller", json!({"gracePeriodSeconds": 0})).await.object();
    // The token of a pod that is gone is worth nothing, once the server has forgotten that it was good.
    let mut code = 200;
    for _ in 0..150 {
        code = own.call("GET", &case.path("Pod", ""), "", None).await.code;
        if code == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    case.see("without the pod", code);
}

async fn a_requested_token_is_bound_to_its_audience(case: &Case) {
    let path = case.path("ServiceAccount", "default/token");
    let path = path.as_str();
    let ask = |spec: Value| async move {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        case.caller.call("POST", path, "application/json", Some(&request)).await
    };
    let own = ask(json!({"audiences": ["somebody"], "expirationSeconds": 600})).await.object();
    case.see("spec", own["spec"].clone());
    let stranger = case.cluster.with_token(own["status"]["token"].as_str());
    case.see("another audience", stranger.call("GET", &case.path("Pod", ""), "", None).await.verdict());
    case.see("short", ask(json!({"expirationSeconds": 1})).await.verdict());
    let nobody = case.path("ServiceAccount", "nobody/token");
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    case.see("nobody", case.caller.call("POST", &nobody, "application/json", Some(&request)).await.verdict());
}

async fn nobody_gives_rights_that_he_does_not_have(case: &Case) {
    let editor = account(case, "editor").await;
    let rules =
        json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["*"]}]);
    case.create(role("Role", "roles", rules)).await.object();
    case.create(binding(case, "roles", "Role", "roles", "editor")).await.object();
    until_allowed(&editor, &case.path("Role", "")).await;
    let more = complete(role("Role", "more", json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])));
    case.see("role", editor.call("POST", &case.path("Role", ""), "application/json", Some(&more)).await.verdict());
    let admin = complete(binding(case, "admin", "ClusterRole", "cluster-admin", "editor"));
    let answer = editor.call("POST", &case.path("RoleBinding", ""), "application/json", Some(&admin)).await;
    case.see("binding", json!([answer.code, answer.body["reason"]]));
}

async fn the_role_of_a_binding_cannot_be_changed(case: &Case) {
    case.create(binding(case, "a", "ClusterRole", "view", "default")).await.object();
    let patch = json!({"roleRef": {"name": "edit"}});
    case.see("role", case.patch("merge", "RoleBinding", "a", patch).await.verdict());
}

async fn a_role_must_be_valid(case: &Case) {
    case.see(
        "no verbs",
        case.create(role("Role", "a", json!([{"apiGroups": [""], "resources": ["pods"], "verbs": []}])))
            .await
            .verdict(),
    );
    case.see(
        "no groups",
        case.create(role("Role", "a", json!([{"resources": ["pods"], "verbs": ["get"]}]))).await.verdict(),
    );
    let paths = json!([{"nonResourceURLs": ["/x"], "verbs": ["get"]}]);
    case.see("paths", case.create(role("Role", "a", paths)).await.verdict());
    let mut wrong = binding(case, "a", "Sheriff", "view", "default");
    case.see("kind", case.create(wrong.clone()).await.verdict());
    wrong["roleRef"]["kind"] = "Role".into();
    wrong["subjects"] = json!([{"kind": "User"}, {"kind": "ServiceAccount", "name": "a"}]);
    case.see("subjects", case.create(wrong).await.verdict());
}

async fn rights_can_be_asked_for(case: &Case) {
    let asker = account(case, "asker").await;
    let ask = |caller: Caller, verb: &'static str, resource: &'static str| async move {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": case.namespace, "verb": verb, "resource": resource}}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = caller.call("POST", path, "application/json", Some(&review)).await;
        json!([answer.code, answer.body["status"]["allowed"]])
    };
    case.see("administrator", ask(case.caller.clone(), "delete", "pods").await);
    case.see("before", ask(asker.clone(), "list", "pods").await);
    case.create(binding(case, "view", "ClusterRole", "view", "asker")).await.object();
    until_allowed(&asker, &case.path("Pod", "")).await;
    case.see("after", ask(asker.clone(), "list", "pods").await);
    case.see("more", ask(asker, "delete", "pods").await);
}

async fn a_restricted_namespace_refuses_pods(case: &Case) {
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    case.patch("merge", "Namespace", &case.namespace, labels).await.object();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    case.see("plain", case.create(pod("plain", &[])).await.verdict());
    let mut good = pod_of(
        "good",
        &["print", "x"],
        json!({"securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}}),
    );
    good["spec"]["containers"][0]["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    case.see("good", case.create_with("?dryRun=All", good).await.verdict());
    let baseline = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted"}}});
    case.patch("merge", "Namespace", &case.namespace, baseline).await.object();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let answer = case.create_with("?dryRun=All", pod("plain", &[])).await;
    case.see("warned", json!([answer.verdict(), answer.warnings]));
    let wild = pod_with("wild", &[], json!({"securityContext": {"privileged": true}}));
    case.see("wild", case.create(wild).await.verdict());
    case.see("host", case.create(pod_of("host", &[], json!({"hostNetwork": true}))).await.verdict());
}

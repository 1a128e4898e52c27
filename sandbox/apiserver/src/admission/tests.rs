use serde_json::json;

use super::*;
use crate::{Options, Patch, Propagation, WriteOptions};

/// A sandbox with the namespace `a` and its service account.
async fn api() -> (tempfile::TempDir, Api) {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::open(folder.path(), &Options::default()).unwrap();
    create(&api, kinds::NAMESPACES, json!({"metadata": {"name": "a"}})).await.unwrap();
    create(&api, kinds::SERVICE_ACCOUNTS, json!({"metadata": {"name": "default"}})).await.unwrap();
    (folder, api)
}

async fn create(api: &Api, resource: &'static Resource, object: Value) -> Result<Value, Status> {
    let namespace = if resource.namespaced { "a" } else { "" };
    let options = WriteOptions::default();
    Ok((*api.create(&User::system("test"), resource, namespace, object, &options).await?).clone())
}

async fn refused(api: &Api, resource: &'static Resource, object: Value) -> String {
    create(api, resource, object).await.unwrap_err().message
}

async fn delete(api: &Api, resource: &'static Resource, name: &str) -> Result<(), Status> {
    let namespace = if resource.namespaced { "a" } else { "" };
    let options = crate::DeleteOptions {
        grace_period_seconds: Some(0),
        propagation: Some(Propagation::Background),
        ..Default::default()
    };
    api.delete(&User::system("test"), resource, (namespace, name), &options).await.map(drop)
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

fn resources(name: &str, resources: &Value) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}})
}

fn quota(hard: &Value) -> Value {
    json!({"metadata": {"name": "q"}, "spec": {"hard": hard}})
}

#[tokio::test]
async fn a_pod_gets_its_account_token_priority_and_tolerations() {
    let (_folder, api) = api().await;
    let made = create(&api, kinds::PODS, pod("p")).await.unwrap();
    let spec = &made["spec"];
    assert_eq!((&spec["serviceAccountName"], &spec["serviceAccount"]), (&json!("default"), &json!("default")));
    assert_eq!((&spec["priority"], &spec["preemptionPolicy"]), (&json!(0), &json!("PreemptLowerPriority")));
    let volume = &spec["volumes"][0];
    let name = volume["name"].as_str().unwrap();
    assert!(name.starts_with("kube-api-access-") && name.len() == "kube-api-access-".len() + 5, "{name}");
    assert_eq!(volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3607);
    let folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mount = json!({"name": name, "readOnly": true, "mountPath": folder});
    assert_eq!(spec["containers"][0]["volumeMounts"], json!([mount]));
    let keys: Vec<Value> = items(spec, "tolerations").map(|it| json!([it["key"], it["tolerationSeconds"]])).collect();
    assert_eq!(keys, ["not-ready", "unreachable"].map(|key| json!([format!("node.kubernetes.io/{key}"), 300])));
}

#[tokio::test]
async fn a_token_is_only_mounted_where_it_is_wanted() {
    let (_folder, api) = api().await;
    create(&api, kinds::SERVICE_ACCOUNTS, json!({"metadata": {"name": "shy"}, "automountServiceAccountToken": false}))
        .await
        .unwrap();
    let mut shy = pod("shy");
    shy["spec"]["serviceAccountName"] = json!("shy");
    assert_eq!(create(&api, kinds::PODS, shy.clone()).await.unwrap()["spec"]["volumes"], Value::Null);
    shy["metadata"]["name"] = json!("loud");
    shy["spec"]["automountServiceAccountToken"] = json!(true);
    assert!(create(&api, kinds::PODS, shy).await.unwrap()["spec"]["volumes"].is_array());
}

#[tokio::test]
async fn pods_with_names_that_lead_nowhere_are_refused_in_the_real_words() {
    let (_folder, api) = api().await;
    let mut lost = pod("p");
    lost["spec"]["serviceAccountName"] = json!("none");
    assert_eq!(
        refused(&api, kinds::PODS, lost).await,
        "pods \"p\" is forbidden: error looking up service account a/none: serviceaccount \"none\" not found"
    );
    let mut ranked = pod("p");
    ranked["spec"]["priorityClassName"] = json!("none");
    let expected = "pods \"p\" is forbidden: no PriorityClass with name none was found";
    assert_eq!(refused(&api, kinds::PODS, ranked).await, expected);
}

#[tokio::test]
async fn a_pod_right_behind_its_namespace_waits_for_the_account() {
    let (_folder, api) = api().await;
    delete(&api, kinds::SERVICE_ACCOUNTS, "default").await.unwrap();
    let account = create(&api, kinds::SERVICE_ACCOUNTS, json!({"metadata": {"name": "default"}}));
    let (made, _) = tokio::join!(create(&api, kinds::PODS, pod("p")), account);
    assert_eq!(made.unwrap()["spec"]["serviceAccountName"], "default");
}

#[tokio::test]
async fn a_quota_is_enforced_in_the_real_words() {
    let (_folder, api) = api().await;
    let hard = json!({"pods": "2", "requests.cpu": "1", "limits.memory": "1Gi"});
    create(&api, kinds::RESOURCE_QUOTAS, quota(&hard)).await.unwrap();
    assert_eq!(
        refused(&api, kinds::PODS, pod("p")).await,
        "pods \"p\" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c"
    );
    let small = json!({"requests": {"cpu": "400m"}, "limits": {"memory": "100Mi"}});
    create(&api, kinds::PODS, resources("one", &small)).await.unwrap();
    let large = json!({"requests": {"cpu": "700m"}, "limits": {"memory": "1Gi"}});
    assert_eq!(
        refused(&api, kinds::PODS, resources("p", &large)).await,
        "pods \"p\" is forbidden: exceeded quota: q, requested: limits.memory=1Gi,requests.cpu=700m, used: \
         limits.memory=100Mi,requests.cpu=400m, limited: limits.memory=1Gi,requests.cpu=1"
    );
    create(&api, kinds::PODS, resources("two", &small)).await.unwrap();
    assert_eq!(
        refused(&api, kinds::PODS, resources("p", &json!({"requests": {"cpu": "1m"}, "limits": {"memory": "1"}})))
            .await,
        "pods \"p\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
    );
    delete(&api, kinds::PODS, "one").await.unwrap();
    create(&api, kinds::PODS, resources("three", &small)).await.unwrap();
}

#[tokio::test]
async fn objects_are_counted_and_updates_too() {
    let (_folder, api) = api().await;
    let hard = json!({"count/configmaps": "1", "services.nodeports": "1"});
    create(&api, kinds::RESOURCE_QUOTAS, quota(&hard)).await.unwrap();
    create(&api, kinds::CONFIG_MAPS, json!({"metadata": {"name": "one"}})).await.unwrap();
    assert_eq!(
        refused(&api, kinds::CONFIG_MAPS, json!({"metadata": {"name": "two"}})).await,
        "configmaps \"two\" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=1, \
         limited: count/configmaps=1"
    );
    let ports = json!([{"name": "x", "port": 1}, {"name": "y", "port": 2}]);
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": ports}});
    create(&api, kinds::SERVICES, service).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"type": "NodePort"}}));
    let by = User::system("test");
    let changed = api.patch(&by, kinds::SERVICES, None, ("a", "s"), &patch, &WriteOptions::default()).await;
    assert_eq!(
        changed.unwrap_err().message,
        "services \"s\" is forbidden: exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, \
         limited: services.nodeports=1"
    );
}

#[tokio::test]
async fn many_at_once_take_no_more_than_the_quota() {
    let (_folder, api) = api().await;
    create(&api, kinds::RESOURCE_QUOTAS, quota(&json!({"pods": "5"}))).await.unwrap();
    let names: Vec<String> = (0..20).map(|number| format!("p{number}")).collect();
    let made = futures::future::join_all(names.iter().map(|name| create(&api, kinds::PODS, pod(name)))).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 5);
}

#[tokio::test]
async fn a_limit_range_fills_and_refuses() {
    let (_folder, api) = api().await;
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container",
        "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}}]}});
    create(&api, kinds::LIMIT_RANGES, range).await.unwrap();
    let made = create(&api, kinds::PODS, pod("p")).await.unwrap();
    let expected = json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}});
    assert_eq!(made["spec"]["containers"][0]["resources"], expected);
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    assert_eq!(
        refused(&api, kinds::PODS, resources("q", &json!({"limits": {"cpu": "2"}}))).await,
        "pods \"q\" is forbidden: maximum cpu usage per Container is 1, but limit is 2"
    );
}

#[tokio::test]
async fn pod_security_refuses_pods_and_warns_of_templates() {
    let (_folder, api) = api().await;
    let by = User::system("test");
    let patch = Patch::Merge(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}));
    api.patch(&by, kinds::NAMESPACES, None, ("", "a"), &patch, &WriteOptions::default()).await.unwrap();
    let mut rude = pod("p");
    rude["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/x"}}]);
    assert_eq!(
        refused(&api, kinds::PODS, rude.clone()).await,
        "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": hostPath volumes (volume \"v\")"
    );
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": rude}});
    let attempt = Attempt {
        by: &by,
        operation: Operation::Create,
        resource: kinds::JOBS,
        subresource: None,
        namespace: "a",
        old: None,
        dry_run: false,
    };
    let mut warnings = Vec::new();
    review(&api, &attempt, &job, &mut warnings).unwrap();
    assert_eq!(warnings, ["would violate PodSecurity \"baseline:latest\": hostPath volumes (volume \"v\")"]);
}

fn service(name: &str, spec: &Value) -> Value {
    json!({"metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn services_get_addresses_and_ports_that_are_free() {
    let (_folder, api) = api().await;
    let spec = json!({"type": "NodePort", "ports": [{"name": "x", "port": 80}, {"name": "y", "port": 81}]});
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..20 {
        let made = create(&api, kinds::SERVICES, service(&format!("s{number}"), &spec)).await.unwrap();
        let address: std::net::Ipv4Addr = made["spec"]["clusterIP"].as_str().unwrap().parse().unwrap();
        assert_eq!(address.octets()[..2], [10, 96]);
        assert_eq!(made["spec"]["clusterIPs"], json!([address.to_string()]));
        assert!(seen.insert(address.to_string()));
        for port in items(&made["spec"], "ports") {
            assert!((30000..=32767).contains(&port["nodePort"].as_u64().unwrap()));
            assert!(seen.insert(port["nodePort"].to_string()));
        }
    }
}

#[tokio::test]
async fn addresses_and_ports_that_cannot_be_had_are_refused_in_the_real_words() {
    let (_folder, api) = api().await;
    let at = |address: &str| service("s", &json!({"clusterIP": address, "ports": [{"port": 80}]}));
    let on = |port: u64| service("s", &json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}));
    let taken = json!({"type": "NodePort", "clusterIP": "10.96.0.7", "ports": [{"port": 80, "nodePort": 30123}]});
    create(&api, kinds::SERVICES, service("first", &taken)).await.unwrap();
    let table = [
        (
            at("10.1.1.1"),
            "spec.clusterIPs: Invalid value: [\"10.1.1.1\"]: failed to allocate IP 10.1.1.1: the provided network does not \
             match the current range",
        ),
        (
            at("10.96.0.7"),
            "spec.clusterIPs: Invalid value: [\"10.96.0.7\"]: failed to allocate IP 10.96.0.7: provided IP is already \
             allocated",
        ),
        (
            on(80),
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports \
             is 30000-32767",
        ),
        (on(30123), "spec.ports[0].nodePort: Invalid value: 30123: provided port is already allocated"),
    ];
    for (service, expected) in table {
        assert_eq!(refused(&api, kinds::SERVICES, service).await, format!("Service \"s\" is invalid: {expected}"));
    }
    delete(&api, kinds::SERVICES, "first").await.unwrap();
    create(&api, kinds::SERVICES, on(30123)).await.unwrap();
}

#[tokio::test]
async fn a_dry_run_asks_less_of_addresses_and_ports() {
    let (_folder, api) = api().await;
    let by = User::system("test");
    let options = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let spec = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]});
    api.create(&by, kinds::SERVICES, "a", service("s", &spec), &options).await.unwrap();
    let spec = json!({"clusterIP": "10.1.1.1", "ports": [{"port": 80}]});
    let refused = api.create(&by, kinds::SERVICES, "a", service("s", &spec), &options).await.unwrap_err();
    assert!(refused.message.ends_with("The range of valid IPs is 10.96.0.0/16"), "{refused}");
}

#[tokio::test]
async fn an_update_keeps_address_and_ports() {
    let (_folder, api) = api().await;
    let spec = json!({"type": "NodePort", "ports": [{"port": 80}]});
    let before = create(&api, kinds::SERVICES, service("s", &spec)).await.unwrap();
    let by = User::system("test");
    let patch = Patch::Merge(json!({"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}));
    let after = api.patch(&by, kinds::SERVICES, None, ("a", "s"), &patch, &WriteOptions::default()).await.unwrap();
    assert_eq!(after["spec"]["clusterIP"], before["spec"]["clusterIP"]);
    assert_eq!(after["spec"]["ports"][0]["nodePort"], before["spec"]["ports"][0]["nodePort"]);
}

#[tokio::test]
async fn a_claim_gets_the_default_class_unless_it_wants_none() {
    let (_folder, api) = api().await;
    let class = json!({"metadata": {"name": "standard", "annotations": {
        "storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "x"});
    create(&api, kinds::STORAGE_CLASSES, class).await.unwrap();
    let claim = |name: &str| {
        json!({"metadata": {"name": name}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
    };
    let made = create(&api, kinds::PERSISTENT_VOLUME_CLAIMS, claim("one")).await.unwrap();
    assert_eq!(made["spec"]["storageClassName"], "standard");
    let mut none = claim("two");
    none["spec"]["storageClassName"] = json!("");
    let made = create(&api, kinds::PERSISTENT_VOLUME_CLAIMS, none).await.unwrap();
    assert_eq!(made["spec"]["storageClassName"], "");
}

#[tokio::test]
async fn some_things_cannot_be_deleted_or_made() {
    let (_folder, api) = api().await;
    create(&api, kinds::NAMESPACES, json!({"metadata": {"name": "default"}})).await.unwrap();
    assert_eq!(
        delete(&api, kinds::NAMESPACES, "default").await.unwrap_err().message,
        "namespaces \"default\" is forbidden: this namespace may not be deleted"
    );
    let secret = json!({"metadata": {"name": "s", "annotations": {"kubernetes.io/service-account.name": "default"}},
        "type": "kubernetes.io/service-account-token"});
    assert!(refused(&api, kinds::SECRETS, secret).await.contains("kubectl create token"));
}

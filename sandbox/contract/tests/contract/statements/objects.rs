//! Creating, reading, replacing: validation, defaults, versions.

use serde_json::{Value, json};

use super::statements;
use crate::case::Case;
use crate::objects::{self, config_map, pick, pod, pod_with};

statements!("objects":
    a_config_map_is_kept_as_it_was_created,
    a_name_is_taken_once,
    what_does_not_exist_is_not_found,
    a_generated_name_begins_with_its_prefix,
    a_name_must_be_a_valid_name,
    an_object_needs_a_name,
    the_namespace_of_path_and_object_must_be_the_same,
    a_namespace_must_exist,
    a_resource_version_must_not_be_set_on_create,
    a_replace_with_an_old_version_is_a_conflict,
    a_replace_that_changes_nothing_makes_no_new_version,
    a_replace_without_a_version_overwrites,
    a_replace_needs_an_object_that_exists,
    a_replace_must_name_the_object_of_the_path,
    a_uid_that_is_not_the_objects_is_a_conflict,
    a_dry_run_changes_nothing,
    unknown_fields_are_dropped_warned_about_or_refused,
    a_field_of_the_wrong_type_is_refused,
    a_body_that_is_no_json_is_refused,
    a_body_of_another_kind_is_refused,
    an_immutable_config_map_stays_as_it_is,
    a_secret_keeps_bytes_and_takes_strings,
    the_type_of_a_secret_cannot_be_changed,
    keys_of_config_maps_must_be_valid,
    labels_and_annotations_must_be_valid,
    a_pod_gets_its_defaults,
    a_pod_needs_containers_that_are_valid,
    most_of_a_pod_cannot_be_changed,
    the_image_of_a_pod_can_be_changed,
    probes_and_ports_must_be_valid,
    volumes_must_be_declared_and_mounted_once,
    resources_must_make_sense,
    the_status_of_a_new_object_is_ignored,
    the_status_is_written_on_its_own,
    the_generation_counts_changes_of_the_specification,
    a_service_account_name_may_be_left_out,
);

async fn a_config_map_is_kept_as_it_was_created(case: &Case) {
    let mut map = config_map("settings", json!({"a": "1", "b": "two\nlines"}));
    map["metadata"]["labels"] = json!({"app": "x"});
    map["metadata"]["annotations"] = json!({"note": "y"});
    case.see("created", case.create(map).await.object());
    case.see("read", case.get("ConfigMap", "settings").await.object());
}

async fn a_name_is_taken_once(case: &Case) {
    case.create(config_map("settings", json!({}))).await.object();
    case.see("again", case.create(config_map("settings", json!({}))).await.body);
}

async fn what_does_not_exist_is_not_found(case: &Case) {
    case.see("get", case.get("ConfigMap", "nothing").await.body);
    case.see("delete", case.delete("Pod", "nothing", json!({})).await.body);
    case.see("patch", case.patch("merge", "Deployment", "nothing", json!({})).await.verdict());
    case.see("cluster scoped", case.get("Namespace", "nothing").await.body);
    let unknown = case.caller.call("GET", "/api/v1/namespaces/default/nothings", "", None).await;
    case.see("unknown kind", json!([unknown.code, unknown.body]));
    let unknown = case.caller.call("GET", "/apis/nothing.example.com/v1/nothings", "", None).await;
    case.see("unknown group", json!([unknown.code, unknown.body]));
}

async fn a_generated_name_begins_with_its_prefix(case: &Case) {
    let object = json!({"kind": "ConfigMap", "metadata": {"generateName": "made-"}});
    let created = case.create(object).await.object();
    let name = created["metadata"]["name"].as_str().unwrap();
    case.see("prefix", name.starts_with("made-"));
    case.see("length", name.len());
    case.see("metadata", created["metadata"].clone());
}

async fn a_name_must_be_a_valid_name(case: &Case) {
    for name in ["UPPER", "under_score", "-begins", "a/b", "a..b"] {
        case.see(&format!("ConfigMap {name}"), case.create(config_map(name, json!({}))).await.verdict());
    }
    case.see("long", case.create(config_map(&"x".repeat(254), json!({}))).await.verdict());
    case.see("Service 1st", case.create(objects::service("1st", 80, json!({}))).await.verdict());
    case.see("Service with.dot", case.create(objects::service("with.dot", 80, json!({}))).await.verdict());
    case.see("Pod with.dot", case.create_with("?dryRun=All", pod("with.dot", &[])).await.verdict());
    let namespace = json!({"kind": "Namespace", "metadata": {"name": "with.dot"}});
    case.see("Namespace with.dot", case.create(namespace).await.verdict());
    case.see("Job", case.create(objects::job("Upper", &[], json!({}))).await.verdict());
}

async fn an_object_needs_a_name(case: &Case) {
    case.see("ConfigMap", case.create(json!({"kind": "ConfigMap"})).await.body);
    case.see("Pod", case.create(json!({"kind": "Pod", "spec": {}})).await.body);
}

async fn the_namespace_of_path_and_object_must_be_the_same(case: &Case) {
    let mut map = config_map("settings", json!({}));
    map["metadata"]["namespace"] = "default".into();
    case.see("create", case.create(map.clone()).await.verdict());
    map["metadata"]["namespace"] = case.namespace.clone().into();
    case.see("same", case.create(map).await.verdict());
}

async fn a_namespace_must_exist(case: &Case) {
    let map = crate::case::complete(config_map("settings", json!({})));
    let path = "/api/v1/namespaces/nowhere/configmaps";
    case.see("create", case.caller.call("POST", path, "application/json", Some(&map)).await.body);
    let list = case.caller.call("GET", path, "", None).await;
    case.see("list", list.names());
    case.see("get", case.caller.call("GET", &format!("{path}/x"), "", None).await.verdict());
}

async fn a_resource_version_must_not_be_set_on_create(case: &Case) {
    let mut map = config_map("settings", json!({}));
    map["metadata"]["resourceVersion"] = "5".into();
    case.see("create", case.create(map).await.verdict());
}

async fn a_replace_with_an_old_version_is_a_conflict(case: &Case) {
    let old = case.create(config_map("settings", json!({"a": "1"}))).await.object();
    let mut new = old.clone();
    new["data"]["a"] = "2".into();
    case.see("first", case.replace(&new).await.verdict());
    case.see("second", case.replace(&new).await.body);
}

async fn a_replace_that_changes_nothing_makes_no_new_version(case: &Case) {
    let old = case.create(config_map("settings", json!({"a": "1"}))).await.object();
    let same = case.replace(&old).await.object();
    case.see("same version", old["metadata"]["resourceVersion"] == same["metadata"]["resourceVersion"]);
    let patched = case.patch("merge", "ConfigMap", "settings", json!({"data": {"a": "1"}})).await.object();
    case.see("patched version", old["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"]);
}

async fn a_replace_without_a_version_overwrites(case: &Case) {
    case.create(config_map("settings", json!({"a": "1"}))).await.object();
    let answer = case.replace(&config_map("settings", json!({"b": "2"}))).await.object();
    case.see("data", answer["data"].clone());
    case.create(objects::service("web", 80, json!({}))).await.object();
    case.see("Service", case.replace(&objects::service("web", 81, json!({}))).await.verdict());
}

async fn a_replace_needs_an_object_that_exists(case: &Case) {
    case.see("replace", case.replace(&config_map("settings", json!({}))).await.body);
}

async fn a_replace_must_name_the_object_of_the_path(case: &Case) {
    case.create(config_map("settings", json!({}))).await.object();
    let other = crate::case::complete(config_map("other", json!({})));
    let answer = case.caller.call("PUT", &case.path("ConfigMap", "settings"), "application/json", Some(&other)).await;
    case.see("replace", answer.verdict());
    let patched = case.patch("merge", "ConfigMap", "settings", json!({"metadata": {"name": "other"}})).await;
    case.see("patch", patched.verdict());
}

async fn a_uid_that_is_not_the_objects_is_a_conflict(case: &Case) {
    let mut map = case.create(config_map("settings", json!({}))).await.object();
    let uid = "00000000-0000-4000-8000-000000000000";
    map["metadata"]["uid"] = uid.into();
    case.see("replace", case.replace(&map).await.verdict());
    let options = json!({"preconditions": {"uid": uid}});
    case.see("delete", case.delete("ConfigMap", "settings", options).await.verdict());
    let options = json!({"preconditions": {"resourceVersion": "1"}});
    let refused = case.delete("ConfigMap", "settings", options).await;
    case.see("delete a version", json!([refused.code, refused.body["reason"]]));
}

async fn a_dry_run_changes_nothing(case: &Case) {
    case.see("create", case.create_with("?dryRun=All", config_map("settings", json!({"a": "1"}))).await.object());
    case.see("read", case.get("ConfigMap", "settings").await.verdict());
    case.create(config_map("settings", json!({"a": "1"}))).await.object();
    let patched = case.patch("merge", "ConfigMap", "settings?dryRun=All", json!({"data": {"a": "2"}})).await.object();
    case.see("patched", patched["data"].clone());
    case.see("deleted", case.delete("ConfigMap", "settings", json!({"dryRun": ["All"]})).await.verdict());
    case.see("still", case.get("ConfigMap", "settings").await.object()["data"].clone());
    case.see("of nothing known", case.create_with("?dryRun=Some", config_map("more", json!({}))).await.verdict());
    case.see("refused", case.create_with("?dryRun=All", config_map("UPPER", json!({}))).await.verdict());
}

async fn unknown_fields_are_dropped_warned_about_or_refused(case: &Case) {
    let mut map = config_map("settings", json!({}));
    map["surprise"] = 1.into();
    let mut pod = pod("pod", &[]);
    pod["spec"]["containers"][0]["colour"] = "red".into();
    for way in ["Ignore", "Warn", "Strict", "Loud"] {
        for (name, object) in [("ConfigMap", &map), ("Pod", &pod)] {
            let query = format!("?dryRun=All&fieldValidation={way}");
            let answer = case.create_with(&query, object.clone()).await;
            case.see(&format!("{name} {way}"), json!([answer.verdict(), answer.warnings, answer.body["surprise"]]));
        }
    }
    let twice =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"a":"1"},"data":{"b":"2"}}"#;
    for way in ["Warn", "Strict"] {
        let answer =
            raw(case, &format!("{}?dryRun=All&fieldValidation={way}", case.path("ConfigMap", "")), twice).await;
        case.see(&format!("twice {way}"), json!([answer.verdict(), answer.warnings, answer.body["data"]]));
    }
}

/// Posts a text as it is.
async fn raw(case: &Case, path: &str, text: &str) -> crate::cluster::Answer {
    let request = http::Request::post(path).header("Content-Type", "application/json");
    case.caller.send(request.body(kube::client::Body::from(text.as_bytes().to_vec())).unwrap()).await
}

async fn a_field_of_the_wrong_type_is_refused(case: &Case) {
    case.see("number for text", case.create(config_map("settings", json!({"a": 1}))).await.verdict());
    let mut wrong = pod("pod", &[]);
    wrong["spec"]["containers"] = "main".into();
    case.see("text for list", case.create(wrong).await.verdict());
    let mut wrong = objects::replicated("Deployment", "web", 1, &[]);
    wrong["spec"]["replicas"] = "two".into();
    case.see("text for number", case.create(wrong).await.verdict());
    let wrong = pod_with("pod", &[], json!({"resources": {"limits": {"memory": "lots"}}}));
    case.see("quantity", case.create(wrong).await.verdict());
}

async fn a_body_that_is_no_json_is_refused(case: &Case) {
    let path = case.path("ConfigMap", "");
    for text in ["", "nonsense", "{\"a\":", "[]", "{}"] {
        case.see(&format!("body {text:?}"), raw(case, &path, text).await.verdict());
    }
    let object = crate::case::complete(config_map("settings", json!({})));
    case.see("media type", case.caller.call("POST", &path, "text/plain", Some(&object)).await.verdict());
    case.see("method", case.caller.call("PUT", &path, "application/json", Some(&object)).await.verdict());
}

async fn a_body_of_another_kind_is_refused(case: &Case) {
    let object = crate::case::complete(json!({"kind": "Secret", "metadata": {"name": "x"}}));
    let path = case.path("ConfigMap", "");
    case.see("another kind", case.caller.call("POST", &path, "application/json", Some(&object)).await.verdict());
    let object = json!({"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "x"}});
    case.see("another version", case.caller.call("POST", &path, "application/json", Some(&object)).await.verdict());
}

async fn an_immutable_config_map_stays_as_it_is(case: &Case) {
    let mut map = config_map("settings", json!({"a": "1"}));
    map["immutable"] = true.into();
    case.create(map).await.object();
    let change = |patch: Value| case.patch("merge", "ConfigMap", "settings", patch);
    case.see("data", change(json!({"data": {"a": "2"}})).await.verdict());
    case.see("immutable", change(json!({"immutable": false})).await.verdict());
    case.see("label", change(json!({"metadata": {"labels": {"a": "b"}}})).await.verdict());
    case.see("delete", case.delete("ConfigMap", "settings", json!({})).await.verdict());
}

async fn a_secret_keeps_bytes_and_takes_strings(case: &Case) {
    let secret =
        json!({"kind": "Secret", "metadata": {"name": "keys"}, "data": {"a": "AAEC"}, "stringData": {"b": "text"}});
    let created = case.create(secret).await.object();
    case.see("created", pick(&created, &["type", "data", "stringData"]));
    let wrong = json!({"kind": "Secret", "metadata": {"name": "wrong"}, "data": {"a": "not base64!"}});
    case.see("no base64", case.create(wrong).await.verdict());
    let typed = |kind: &str, data: Value| json!({"kind": "Secret", "metadata": {"name": "typed"}, "type": kind, "stringData": data});
    case.see("tls", case.create(typed("kubernetes.io/tls", json!({"tls.crt": "x"}))).await.verdict());
    let docker = typed("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "no json"}));
    case.see("docker", case.create(docker).await.verdict());
    case.see("basic", case.create(typed("kubernetes.io/basic-auth", json!({}))).await.verdict());
    let token = typed("kubernetes.io/service-account-token", json!({}));
    case.see("token", case.create(token).await.verdict());
}

async fn the_type_of_a_secret_cannot_be_changed(case: &Case) {
    case.create(json!({"kind": "Secret", "metadata": {"name": "keys"}})).await.object();
    case.see("patch", case.patch("merge", "Secret", "keys", json!({"type": "example.com/other"})).await.verdict());
}

async fn keys_of_config_maps_must_be_valid(case: &Case) {
    case.see("slash", case.create(config_map("a", json!({"a/b": "1"}))).await.verdict());
    case.see("dots", case.create(config_map("a", json!({"..": "1"}))).await.verdict());
    case.see("long", case.create(config_map("a", json!({"x".repeat(254): "1"}))).await.verdict());
    let mut both = config_map("a", json!({"key": "1"}));
    both["binaryData"] = json!({"key": "AAEC"});
    case.see("both", case.create(both).await.verdict());
    let large = case.create(config_map("a", json!({"key": "x".repeat(1_048_577)}))).await;
    case.see("large", large.verdict());
}

async fn labels_and_annotations_must_be_valid(case: &Case) {
    let metadata = |field: &str, value: Value| {
        let mut map = config_map("settings", json!({}));
        map["metadata"][field] = value;
        case.create(map)
    };
    case.see("label value", metadata("labels", json!({"a": "b c"})).await.verdict());
    case.see("label key", metadata("labels", json!({"a b": "c"})).await.verdict());
    case.see("label prefix", metadata("labels", json!({"A_b/c": "d"})).await.verdict());
    case.see("label length", metadata("labels", json!({"a": "x".repeat(64)})).await.verdict());
    case.see("annotation key", metadata("annotations", json!({"a b": "any text at all"})).await.verdict());
    case.see("finalizer", metadata("finalizers", json!(["plain"])).await.verdict());
    let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "x"}]);
    case.see("owner", metadata("ownerReferences", owner).await.verdict());
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "uid": "1", "controller": true});
    let (mut first, mut second) = (owner.clone(), owner);
    (first["name"], second["name"]) = ("a".into(), "b".into());
    case.see("owners", metadata("ownerReferences", json!([first, second])).await.verdict());
}

async fn a_pod_gets_its_defaults(case: &Case) {
    let object = json!({
        "kind": "Pod", "metadata": {"name": "plain"},
        "spec": {"nodeSelector": {"nowhere": "1"}, "containers": [{
            "name": "main", "image": "nothing", "ports": [{"containerPort": 80}],
            "livenessProbe": {"httpGet": {"port": 80}}, "readinessProbe": {"tcpSocket": {"port": 80}},
            "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "resources": {"limits": {"cpu": "0.5", "memory": "1024Ki"}},
        }], "volumes": [
            {"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {"name": "x"}}, {"name": "c", "secret": {"secretName": "x"}},
            {"name": "d", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
            {"name": "e", "hostPath": {"path": "/x"}},
            {"name": "f", "downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        ]},
    });
    let created = case.create(object).await.object();
    case.see("metadata", created["metadata"].clone());
    case.see("spec", created["spec"].clone());
    case.see("status", created["status"].clone());
    let latest = case.create_with("?dryRun=All", pod_with("tagged", &[], json!({"image": "nothing:1"}))).await.object();
    case.see("tagged", latest["spec"]["containers"][0]["imagePullPolicy"].clone());
    case.see("class", latest["status"]["qosClass"].clone());
}

async fn a_pod_needs_containers_that_are_valid(case: &Case) {
    let spec = |spec: Value| {
        case.create_with("?dryRun=All", json!({"kind": "Pod", "metadata": {"name": "wrong"}, "spec": spec}))
    };
    case.see("none", spec(json!({})).await.verdict());
    case.see("empty", spec(json!({"containers": []})).await.verdict());
    case.see("without image", spec(json!({"containers": [{"name": "a"}]})).await.verdict());
    case.see("without name", spec(json!({"containers": [{"image": "a"}]})).await.verdict());
    let same = json!({"name": "a", "image": "a"});
    case.see("same name", spec(json!({"containers": [same, same]})).await.verdict());
    case.see("bad name", spec(json!({"containers": [{"name": "A_b", "image": "a"}]})).await.verdict());
    let with = |name: &str, value: Value| {
        let mut one = json!({"containers": [same]});
        one[name] = value;
        spec(one)
    };
    case.see("restart policy", with("restartPolicy", "Sometimes".into()).await.verdict());
    case.see("dns policy", with("dnsPolicy", "Mine".into()).await.verdict());
    case.see("grace", with("terminationGracePeriodSeconds", (-1).into()).await.verdict());
    case.see("deadline", with("activeDeadlineSeconds", 0.into()).await.verdict());
    case.see("node selector", with("nodeSelector", json!({"a b": "c"})).await.verdict());
    case.see("hostname", with("hostname", "Not.valid".into()).await.verdict());
    case.see("account", with("serviceAccountName", "nobody".into()).await.verdict());
    case.see("priority class", with("priorityClassName", "none-such".into()).await.verdict());
    let ephemeral = json!([{"name": "e", "image": "a"}]);
    case.see("ephemeral", with("ephemeralContainers", ephemeral).await.verdict());
}

async fn most_of_a_pod_cannot_be_changed(case: &Case) {
    case.create(objects::pod_of("held", &["sleep"], json!({"nodeSelector": {"nowhere": "1"}}))).await.object();
    let change = |patch: Value| case.patch("strategic-merge", "Pod", "held", patch);
    let command = json!({"spec": {"containers": [{"name": "main", "command": ["x"]}]}});
    case.see("command", change(command).await.verdict());
    case.see("restart policy", change(json!({"spec": {"restartPolicy": "Always"}})).await.verdict());
    case.see("container", change(json!({"spec": {"containers": [{"name": "more", "image": "a"}]}})).await.verdict());
    case.see("node", change(json!({"spec": {"nodeName": "elsewhere"}})).await.verdict());
    case.see("label", change(json!({"metadata": {"labels": {"a": "b"}}})).await.verdict());
    case.see("deadline", change(json!({"spec": {"activeDeadlineSeconds": 100}})).await.verdict());
    case.see("longer deadline", change(json!({"spec": {"activeDeadlineSeconds": 200}})).await.verdict());
}

async fn the_image_of_a_pod_can_be_changed(case: &Case) {
    case.create(objects::pod_of("held", &["sleep"], json!({"nodeSelector": {"nowhere": "1"}}))).await.object();
    let patch = json!({"spec": {"containers": [{"name": "main", "image": "other:2"}]}});
    let changed = case.patch("strategic-merge", "Pod", "held", patch).await.object();
    case.see("image", changed["spec"]["containers"][0]["image"].clone());
    let toleration = json!([{"op": "add", "path": "/spec/tolerations/-", "value": {"key": "a", "operator": "Exists"}}]);
    case.see("toleration", case.patch("json", "Pod", "held", toleration).await.object()["spec"]["tolerations"].clone());
}

async fn probes_and_ports_must_be_valid(case: &Case) {
    let with = |more: Value| case.create_with("?dryRun=All", pod_with("wrong", &[], more));
    case.see("no handler", with(json!({"livenessProbe": {"periodSeconds": 1}})).await.verdict());
    let two = json!({"readinessProbe": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}});
    case.see("two handlers", with(two).await.verdict());
    let liveness = json!({"livenessProbe": {"successThreshold": 2, "tcpSocket": {"port": 1}}});
    case.see("success threshold", with(liveness).await.verdict());
    let negative = json!({"readinessProbe": {"periodSeconds": -1, "tcpSocket": {"port": 0}}});
    case.see("negative", with(negative).await.verdict());
    case.see("port", with(json!({"ports": [{"containerPort": 70000}]})).await.verdict());
    case.see("port name", with(json!({"ports": [{"containerPort": 1, "name": "Not_valid_at_all"}]})).await.verdict());
    let same = json!({"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]});
    case.see("same port name", with(same).await.verdict());
    case.see("protocol", with(json!({"ports": [{"containerPort": 1, "protocol": "ICMP"}]})).await.verdict());
    case.see("hook", with(json!({"lifecycle": {"preStop": {}}})).await.verdict());
}

async fn volumes_must_be_declared_and_mounted_once(case: &Case) {
    let with = |volumes: Value, mounts: Value| {
        let mut pod = pod_with("wrong", &[], json!({"volumeMounts": mounts}));
        pod["spec"]["volumes"] = volumes;
        case.create_with("?dryRun=All", pod)
    };
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    case.see("undeclared", with(json!([]), json!([mount("a", "/a")])).await.verdict());
    let empty = json!([{"name": "a", "emptyDir": {}}]);
    case.see("same path", with(empty.clone(), json!([mount("a", "/a"), mount("a", "/a")])).await.verdict());
    case.see("no path", with(empty.clone(), json!([{"name": "a"}])).await.verdict());
    let up = json!([{"name": "a", "mountPath": "/a", "subPath": "../b"}]);
    case.see("sub path", with(empty.clone(), up).await.verdict());
    case.see(
        "same name",
        with(json!([{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]), json!([])).await.verdict(),
    );
    case.see("no source", with(json!([{"name": "a"}]), json!([])).await.object()["spec"]["volumes"][0].clone());
    let two = json!([{"name": "a", "emptyDir": {}, "configMap": {"name": "b"}}]);
    case.see("two sources", with(two, json!([])).await.verdict());
    let claim = json!([{"name": "a", "persistentVolumeClaim": {}}]);
    case.see("claim", with(claim, json!([])).await.verdict());
}

async fn resources_must_make_sense(case: &Case) {
    let with =
        |resources: Value| case.create_with("?dryRun=All", pod_with("wrong", &[], json!({"resources": resources})));
    let over = json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}});
    case.see("request over limit", with(over).await.verdict());
    case.see("negative", with(json!({"requests": {"memory": "-1"}})).await.verdict());
    case.see("unknown", with(json!({"requests": {"colour": "1"}})).await.verdict());
    case.see("fraction", with(json!({"limits": {"cpu": "0.0001"}})).await.verdict());
    let quantities = json!({"limits": {"cpu": "1500m", "memory": "0.5Gi", "ephemeral-storage": "1e3"}});
    let created = with(quantities).await.object();
    case.see("resources", created["spec"]["containers"][0]["resources"].clone());
    case.see("class", created["status"]["qosClass"].clone());
}

async fn the_status_of_a_new_object_is_ignored(case: &Case) {
    let mut job = objects::job("idle", &[], json!({"suspend": true}));
    job["status"] = json!({"succeeded": 7});
    case.see("status", case.create(job).await.object()["status"].clone());
}

async fn the_status_is_written_on_its_own(case: &Case) {
    case.create(objects::pod_of("held", &["sleep"], json!({"nodeSelector": {"nowhere": "1"}}))).await.object();
    case.until("Pod", "held", |pod| crate::case::has_condition(pod, "PodScheduled", "False")).await;
    let ignored = case.patch("merge", "Pod", "held", json!({"status": {"message": "x"}})).await.object();
    case.see("through the object", ignored["status"]["message"].clone());
    let patch = json!({"status": {"message": "x"}, "metadata": {"labels": {"a": "b"}}});
    let written = case.patch("merge", "Pod", "held/status", patch).await.object();
    case.see("through the status", json!([written["status"]["message"], written["metadata"]["labels"]]));
    case.see("read", case.get("Pod", "held/status").await.object()["status"]["message"].clone());
    case.see("of a kind without status", case.get("ConfigMap", "kube-root-ca.crt/status").await.verdict());
}

async fn the_generation_counts_changes_of_the_specification(case: &Case) {
    let generation = |object: &Value| object["metadata"]["generation"].clone();
    let mut job = objects::job("idle", &[], json!({"suspend": true}));
    case.see("created", generation(&case.create(job.take()).await.object()));
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    case.see("label", generation(&case.patch("merge", "Job", "idle", label).await.object()));
    let spec = json!({"spec": {"parallelism": 3}});
    case.see("spec", generation(&case.patch("merge", "Job", "idle", spec).await.object()));
    case.see("ConfigMap", generation(&case.create(config_map("a", json!({}))).await.object()));
    case.see("Service", generation(&case.create(objects::service("a", 80, json!({}))).await.object()));
    let replicated = objects::replicated("Deployment", "none", 0, &[]);
    case.see("Deployment", generation(&case.create(replicated).await.object()));
}

async fn a_service_account_name_may_be_left_out(case: &Case) {
    let mut pod = pod("held", &[]);
    pod["spec"]["nodeSelector"] = json!({"nowhere": "1"});
    pod["spec"]["automountServiceAccountToken"] = false.into();
    let created = case.create(pod).await.object();
    case.see("account", pick(&created["spec"], &["serviceAccountName", "serviceAccount", "volumes"]));
}

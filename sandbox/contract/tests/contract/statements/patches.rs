//! The ways to change an object: JSON patch, merge patch, strategic merge patch, server-side apply.

use serde_json::{Value, json};

use super::statements;
use crate::case::Case;
use crate::cluster::Answer;
use crate::objects::{self, config_map, pick, pod_of};

statements!("patches":
    a_merge_patch_sets_and_removes_fields,
    a_merge_patch_replaces_lists,
    a_json_patch_does_its_steps_in_order,
    a_json_patch_that_cannot_be_done_is_refused,
    a_strategic_merge_patch_merges_lists_by_their_keys,
    a_strategic_merge_patch_obeys_its_directives,
    a_patch_of_an_old_version_is_a_conflict,
    a_patch_must_leave_a_valid_object,
    a_patch_of_an_unknown_type_is_refused,
    a_patch_with_unknown_fields_is_validated_as_asked,
    apply_creates_what_does_not_exist,
    apply_again_without_changes_makes_no_new_version,
    apply_removes_what_its_manager_does_not_say_any_more,
    apply_conflicts_with_other_managers,
    apply_with_force_takes_the_fields,
    apply_shares_fields_with_the_same_value,
    apply_merges_lists_by_their_keys,
    apply_needs_a_manager,
    apply_of_unknown_fields_is_refused,
    apply_must_not_carry_managed_fields,
    an_update_takes_fields_from_an_applier,
    managers_of_a_status_are_kept_apart,
    a_scale_is_applied_by_a_manager_of_its_own,
    field_managers_have_names_and_drop_out,
);

async fn a_merge_patch_sets_and_removes_fields(case: &Case) {
    case.create(config_map("settings", json!({"a": "1", "b": "2"}))).await.object();
    let patch = json!({"data": {"a": null, "c": "3"}, "metadata": {"labels": {"x": "y"}}});
    let patched = case.patch("merge", "ConfigMap", "settings?fieldManager=me", patch).await.object();
    case.see("patched", patched);
}

async fn a_merge_patch_replaces_lists(case: &Case) {
    case.create(pod_of("held", &["sleep"], json!({"nodeSelector": {"nowhere": "1"}}))).await.object();
    let patch = json!({"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}});
    case.see("tolerations", case.patch("merge", "Pod", "held", patch).await.verdict());
    let patch = json!({"metadata": {"finalizers": ["example.com/a", "example.com/b"]}});
    case.patch("merge", "ConfigMap", "kube-root-ca.crt", patch.clone()).await.object();
    let patch = json!({"metadata": {"finalizers": ["example.com/b"]}});
    let patched = case.patch("merge", "ConfigMap", "kube-root-ca.crt", patch).await.object();
    case.see("finalizers", patched["metadata"]["finalizers"].clone());
    case.patch("merge", "ConfigMap", "kube-root-ca.crt", json!({"metadata": {"finalizers": null}})).await.object();
}

async fn a_json_patch_does_its_steps_in_order(case: &Case) {
    case.create(config_map("settings", json!({"a": "1", "b": "2"}))).await.object();
    let patch = json!([
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "copy", "from": "/data/a", "path": "/data/d"},
        {"op": "move", "from": "/data/b", "path": "/data/e"},
        {"op": "replace", "path": "/data/a", "value": "9"},
        {"op": "add", "path": "/metadata/labels", "value": {"example.com/x": "y", "z": ""}},
        {"op": "remove", "path": "/metadata/labels/example.com~1x"},
    ]);
    let patched = case.patch("json", "ConfigMap", "settings", patch).await;
    case.see("patched", json!([patched.verdict(), patched.body["data"], patched.body["metadata"]["labels"]]));
}

async fn a_json_patch_that_cannot_be_done_is_refused(case: &Case) {
    case.create(config_map("settings", json!({"a": "1"}))).await.object();
    let step = |patch: Value| case.patch("json", "ConfigMap", "settings", patch);
    case.see("test", step(json!([{"op": "test", "path": "/data/a", "value": "2"}])).await.verdict());
    case.see("remove", step(json!([{"op": "remove", "path": "/data/b"}])).await.verdict());
    case.see("replace", step(json!([{"op": "replace", "path": "/data/b", "value": "1"}])).await.verdict());
    case.see("no such operation", step(json!([{"op": "paint", "path": "/data/a"}])).await.verdict());
    case.see("no list", step(json!({"data": {}})).await.verdict());
    case.see("no parent", step(json!([{"op": "add", "path": "/nothing/here", "value": 1}])).await.verdict());
}

async fn a_strategic_merge_patch_merges_lists_by_their_keys(case: &Case) {
    let mut deployment = objects::replicated("Deployment", "web", 0, &["sleep"]);
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    case.create(deployment).await.object();
    let patch = json!({"spec": {"template": {"spec": {
        "containers": [
            {"name": "side", "image": "side:1"},
            {"name": "main", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}], "ports": [{"containerPort": 80}]},
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }}}});
    let patched = case.patch("strategic-merge", "Deployment", "web", patch).await.object();
    let spec = &patched["spec"]["template"]["spec"];
    let containers: Vec<Value> =
        spec["containers"].as_array().unwrap().iter().map(|it| pick(it, &["name", "image", "env", "ports"])).collect();
    case.see("containers", containers);
    case.see("volumes", spec["volumes"].clone());
}

async fn a_strategic_merge_patch_obeys_its_directives(case: &Case) {
    let mut deployment = objects::replicated("Deployment", "web", 0, &["sleep"]);
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    deployment["metadata"]["labels"] = json!({"a": "1", "b": "2"});
    case.create(deployment).await.object();
    let env = |env: Value| {
        let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": env}]}}}});
        case.patch("strategic-merge", "Deployment", "web", patch)
    };
    let seen = |object: Value| object["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    case.see("delete", seen(env(json!([{"$patch": "delete", "name": "A"}])).await.object()));
    case.see("replace", seen(env(json!([{"$patch": "replace"}, {"name": "D", "value": "5"}])).await.object()));
    case.see("null", seen(env(Value::Null).await.object()));
    let strategy = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    case.see(
        "keys kept",
        case.patch("strategic-merge", "Deployment", "web", strategy).await.object()["spec"]["strategy"].clone(),
    );
    let labels = json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}}});
    case.see(
        "map",
        case.patch("strategic-merge", "Deployment", "web", labels).await.object()["metadata"]["labels"].clone(),
    );
    let finalizers = json!({"metadata": {"finalizers": ["example.com/a", "example.com/b"]}});
    case.patch("strategic-merge", "Deployment", "web", finalizers).await.object();
    let one = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}});
    case.see(
        "plain list",
        case.patch("strategic-merge", "Deployment", "web", one).await.object()["metadata"]["finalizers"].clone(),
    );
    case.see("wrong", env(json!([{"$patch": "paint", "name": "A"}])).await.verdict());
    case.patch("merge", "Deployment", "web", json!({"metadata": {"finalizers": null}})).await.object();
}

async fn a_patch_of_an_old_version_is_a_conflict(case: &Case) {
    let old = case.create(config_map("settings", json!({"a": "1"}))).await.object();
    let version = old["metadata"]["resourceVersion"].clone();
    let patch = |value: &str| json!({"metadata": {"resourceVersion": version}, "data": {"a": value}});
    case.see("first", case.patch("merge", "ConfigMap", "settings", patch("2")).await.verdict());
    case.see("second", case.patch("merge", "ConfigMap", "settings", patch("3")).await.verdict());
}

async fn a_patch_must_leave_a_valid_object(case: &Case) {
    case.create(objects::replicated("Deployment", "web", 0, &["sleep"])).await.object();
    let merge = |patch: Value| case.patch("merge", "Deployment", "web", patch);
    case.see("negative", merge(json!({"spec": {"replicas": -1}})).await.verdict());
    // The messages show the whole object, which the controllers are still changing.
    let short =
        |answer: Answer| json!([answer.code, answer.body["reason"], answer.body["details"]["causes"][0]["field"]]);
    case.see("type", short(merge(json!({"spec": {"replicas": "one"}})).await));
    case.see("kind", short(merge(json!({"kind": "Job"})).await));
    case.see("uid", merge(json!({"metadata": {"uid": "1"}})).await.verdict());
    let patched = merge(json!({"metadata": {"creationTimestamp": null}})).await.object();
    case.see("creation time stays", patched["metadata"]["creationTimestamp"].is_string());
    case.see("no object", merge(json!([])).await.verdict());
}

async fn a_patch_of_an_unknown_type_is_refused(case: &Case) {
    let path = case.path("ConfigMap", "kube-root-ca.crt");
    let answer = case.caller.call("PATCH", &path, "application/json", Some(&json!({}))).await;
    case.see("json", answer.verdict());
}

async fn a_patch_with_unknown_fields_is_validated_as_asked(case: &Case) {
    case.create(objects::service("web", 80, json!({}))).await.object();
    for way in ["Warn", "Strict", "Ignore"] {
        let name = format!("web?fieldValidation={way}");
        let answer = case.patch("merge", "Service", &name, json!({"spec": {"colour": "red"}})).await;
        case.see(&format!("merge {way}"), json!([answer.verdict(), answer.warnings]));
        let patch = json!([{"op": "add", "path": "/spec/colour", "value": "red"}]);
        let answer = case.patch("json", "Service", &name, patch).await;
        case.see(&format!("json {way}"), json!([answer.verdict(), answer.warnings]));
        let answer = case.patch("strategic-merge", "Service", &name, json!({"spec": {"colour": "red"}})).await;
        case.see(&format!("strategic {way}"), json!([answer.verdict(), answer.warnings]));
    }
}

async fn apply_creates_what_does_not_exist(case: &Case) {
    let applied = case.apply("me", config_map("settings", json!({"a": "1"}))).await;
    case.see("code", applied.code);
    case.see("applied", applied.object());
    let deployment = objects::replicated("Deployment", "web", 0, &["sleep"]);
    case.see("managed fields", case.apply("me", deployment).await.object()["metadata"]["managedFields"].clone());
}

async fn apply_again_without_changes_makes_no_new_version(case: &Case) {
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let deployment = objects::replicated("Deployment", "web", 0, &["sleep"]);
    case.apply("me", deployment.clone()).await.object();
    let before = case.until("Deployment", "web", |it| it["status"]["observedGeneration"] == 1).await;
    let again = case.apply("me", deployment).await;
    case.see("code", again.code);
    case.see("same version", version(&before) == version(&again.object()));
}

async fn apply_removes_what_its_manager_does_not_say_any_more(case: &Case) {
    case.apply("me", config_map("settings", json!({"a": "1", "b": "2"}))).await.object();
    case.apply("other", config_map("settings", json!({"b": "2", "c": "3"}))).await.object();
    let applied = case.apply("me", config_map("settings", json!({"a": "1"}))).await.object();
    case.see("shared stays", applied["data"].clone());
    let applied = case.apply("other", config_map("settings", json!({}))).await.object();
    case.see("own goes", pick(&applied, &["data"]));
    case.see("managers", applied["metadata"]["managedFields"].clone());
}

async fn apply_conflicts_with_other_managers(case: &Case) {
    case.apply("me", config_map("settings", json!({"a": "1", "b": "1"}))).await.object();
    case.see("apply", case.apply("other", config_map("settings", json!({"a": "2", "b": "2"}))).await.body);
    case.patch("merge", "ConfigMap", "settings?fieldManager=patcher", json!({"data": {"a": "3"}})).await.object();
    case.see("after a patch", case.apply("me", config_map("settings", json!({"a": "1", "b": "1"}))).await.verdict());
    let mut deployment = objects::replicated("Deployment", "web", 0, &["sleep"]);
    case.apply("me", deployment.clone()).await.object();
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "other:1".into();
    deployment["spec"]["replicas"] = 1.into();
    case.see("in lists", case.apply("other", deployment).await.verdict());
}

async fn apply_with_force_takes_the_fields(case: &Case) {
    case.apply("me", config_map("settings", json!({"a": "1", "b": "1"}))).await.object();
    let forced = case.apply_with("other", "&force=true", config_map("settings", json!({"a": "2"}))).await.object();
    case.see("data", forced["data"].clone());
    case.see("managers", forced["metadata"]["managedFields"].clone());
}

async fn apply_shares_fields_with_the_same_value(case: &Case) {
    case.apply("me", config_map("settings", json!({"a": "1"}))).await.object();
    let applied = case.apply("other", config_map("settings", json!({"a": "1"}))).await.object();
    case.see("managers", applied["metadata"]["managedFields"].clone());
    case.see("then", case.apply("me", config_map("settings", json!({"a": "2"}))).await.verdict());
}

async fn apply_merges_lists_by_their_keys(case: &Case) {
    let with_env = |env: Value| {
        let mut deployment = objects::replicated("Deployment", "web", 0, &["sleep"]);
        deployment["spec"]["template"]["spec"]["containers"][0]["env"] = env;
        deployment
    };
    case.apply("me", with_env(json!([{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]))).await.object();
    let applied = case.apply("other", with_env(json!([{"name": "C", "value": "1"}]))).await.object();
    case.see("both", applied["spec"]["template"]["spec"]["containers"][0]["env"].clone());
    let applied = case.apply("me", with_env(json!([{"name": "B", "value": "1"}]))).await.object();
    case.see("one less", applied["spec"]["template"]["spec"]["containers"][0]["env"].clone());
    let mut service = objects::service("web", 80, json!({}));
    service["spec"]["ports"] = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}]);
    case.apply("me", service.clone()).await.object();
    service["spec"]["ports"] = json!([{"name": "c", "port": 82}]);
    let applied = case.apply("other", service).await.object();
    case.see("ports", applied["spec"]["ports"].clone());
    let twice = with_env(json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]));
    case.see("twice", case.apply("me", twice).await.verdict());
}

async fn apply_needs_a_manager(case: &Case) {
    let object = crate::case::complete(config_map("settings", json!({})));
    let path = case.path("ConfigMap", "settings");
    let apply = |path: String| {
        let object = object.clone();
        async move { case.caller.call("PATCH", &path, "application/apply-patch+yaml", Some(&object)).await.verdict() }
    };
    case.see("none", apply(path.clone()).await);
    case.see("long", apply(format!("{path}?fieldManager={}", "x".repeat(129))).await);
    let forced = case.patch("merge", "ConfigMap", "kube-root-ca.crt?force=true", json!({})).await;
    case.see("force elsewhere", forced.verdict());
}

async fn apply_of_unknown_fields_is_refused(case: &Case) {
    let mut map = config_map("settings", json!({}));
    map["surprise"] = 1.into();
    case.see("field", case.apply("me", map).await.verdict());
    let mut map = config_map("settings", json!({}));
    map["data"] = json!({"a": 1});
    case.see("type", case.apply("me", map).await.verdict());
    let named = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "other"}});
    let path = format!("{}?fieldManager=me", case.path("ConfigMap", "settings"));
    let answer = case.caller.call("PATCH", &path, "application/apply-patch+yaml", Some(&named)).await;
    case.see("another name", answer.verdict());
    let invalid = case.apply("me", objects::replicated("Deployment", "web", 0, &[]).take()).await;
    case.see("no object", invalid.code);
}

async fn apply_must_not_carry_managed_fields(case: &Case) {
    let created = case.apply("me", config_map("settings", json!({}))).await.object();
    let mut map = config_map("settings", json!({}));
    map["metadata"]["managedFields"] = created["metadata"]["managedFields"].clone();
    case.see("managed fields", case.apply("me", map).await.verdict());
}

async fn an_update_takes_fields_from_an_applier(case: &Case) {
    let mut map = case.apply("me", config_map("settings", json!({"a": "1", "b": "1"}))).await.object();
    map["data"] = json!({"a": "2", "b": "1", "c": "1"});
    let path = format!("{}?fieldManager=editor", case.path("ConfigMap", "settings"));
    let updated = case.caller.call("PUT", &path, "application/json", Some(&map)).await.object();
    case.see("managers", updated["metadata"]["managedFields"].clone());
    let applied = case.apply_with("me", "&force=true", config_map("settings", json!({"a": "3"}))).await.object();
    case.see("then", applied["metadata"]["managedFields"].clone());
    case.see("data", applied["data"].clone());
}

async fn managers_of_a_status_are_kept_apart(case: &Case) {
    case.create(pod_of("held", &["sleep"], json!({"nodeSelector": {"nowhere": "1"}}))).await.object();
    case.until("Pod", "held", |pod| crate::case::has_condition(pod, "PodScheduled", "False")).await;
    let patch = json!({"status": {"conditions": [{"type": "example.com/seen", "status": "True"}]}});
    let patched = case.patch("strategic-merge", "Pod", "held/status?fieldManager=me", patch).await.object();
    let entries = patched["metadata"]["managedFields"].as_array().unwrap().iter();
    let mine: Vec<Value> = entries.filter(|it| it["manager"] == "me").cloned().collect();
    case.see("mine", mine);
}

async fn a_scale_is_applied_by_a_manager_of_its_own(case: &Case) {
    case.apply("me", objects::replicated("Deployment", "web", 0, &["sleep"])).await.object();
    let scale = case.get("Deployment", "web/scale").await.object();
    case.see("scale", scale.clone());
    let patched =
        case.patch("merge", "Deployment", "web/scale?fieldManager=scaler", json!({"spec": {"replicas": 0}})).await;
    case.see("same", patched.object()["spec"].clone());
    let mut wrong = scale;
    wrong["spec"]["replicas"] = (-1).into();
    let answer = case.caller.call("PUT", &case.path("Deployment", "web/scale"), "application/json", Some(&wrong)).await;
    case.see("negative", answer.verdict());
}

async fn field_managers_have_names_and_drop_out(case: &Case) {
    let object = config_map("settings", json!({"a": "1"}));
    let created = case.create_with("?fieldManager=maker", object).await.object();
    case.see("created", created["metadata"]["managedFields"].clone());
    let patch = json!({"data": {"a": "2"}});
    let patched = case.patch("merge", "ConfigMap", "settings?fieldManager=changer", patch).await.object();
    case.see("patched", patched["metadata"]["managedFields"].clone());
    let cleared =
        case.patch("merge", "ConfigMap", "settings", json!({"metadata": {"managedFields": [{}]}})).await.object();
    case.see("cleared", cleared["metadata"]["managedFields"].clone());
}

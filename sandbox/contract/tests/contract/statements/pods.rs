//! Pods that run: what the program in them sees.

use serde_json::{Value, json};

use super::statements;
use crate::case::{Case, is_finished};
use crate::objects::{self, config_map, pick, pod, pod_of, pod_with};

statements!("pods":
    a_pod_runs_to_its_end,
    the_image_says_what_runs_and_where,
    the_exit_code_decides_the_phase,
    a_pod_is_alone_with_its_processes,
    variables_come_from_everywhere,
    variables_refer_to_each_other,
    an_empty_folder_is_shared_by_containers_and_survives_restarts,
    a_memory_folder_is_in_memory,
    configuration_maps_and_secrets_are_files,
    a_changed_configuration_map_changes_its_files,
    a_projected_volume_holds_all_its_sources,
    a_pod_sees_itself_through_files,
    a_sub_path_mounts_a_part,
    a_read_only_mount_cannot_be_written,
    a_read_only_root_cannot_be_written,
    a_pod_runs_as_the_user_it_names,
    the_group_of_a_file_system_owns_volumes,
    capabilities_are_dropped_and_added,
    init_containers_run_one_after_the_other,
    a_failed_init_container_fails_the_pod,
    a_sidecar_runs_beside_and_ends_after,
    the_host_name_is_the_pods_name,
    the_hosts_file_names_the_pod_and_its_aliases,
    a_token_is_there_unless_it_is_unwanted,
    the_termination_message_is_kept,
    containers_share_the_network_not_the_processes,
);

async fn a_pod_runs_to_its_end(case: &Case) {
    case.see("logs", case.run(pod("short", &["print", "hello"])).await);
    let ended = case.get("Pod", "short").await.object();
    case.see("status", ended["status"].clone());
    case.see("scheduled", case.event("short", "Scheduled").await);
    case.see("created", case.event("short", "Created").await);
    case.see("started", case.event("short", "Started").await);
    case.see("pulled", case.event("short", "Pulled").await);
}

async fn the_image_says_what_runs_and_where(case: &Case) {
    let mut plain = pod("plain", &[]);
    plain["spec"]["containers"][0].as_object_mut().unwrap().remove("args");
    case.ready_pod(plain).await;
    case.see("its own command", case.logs("plain", "").await);
    let here = ["directory", "+", "variable", "ORIGIN", "+", "read", "seed"];
    case.see("arguments", case.run(pod("arguments", &here)).await);
    let elsewhere = json!({"workingDir": "/", "command": ["/tool", "print", "command"]});
    case.see("command", case.run(pod_with("command", &["+", "directory"], elsewhere)).await);
    case.see("made folder", case.run(pod_with("made", &["directory"], json!({"workingDir": "/made/here"}))).await);
}

async fn the_exit_code_decides_the_phase(case: &Case) {
    case.see("logs", case.run(pod("fails", &["complain", "oh no", "+", "exit", "3"])).await);
    let ended = case.get("Pod", "fails").await.object();
    case.see("phase", ended["status"]["phase"].clone());
    case.see("container", ended["status"]["containerStatuses"].clone());
    let mut two = pod("two", &["exit", "0"]);
    let mut second = objects::container(&["exit", "1"]);
    second["name"] = "second".into();
    two["spec"]["containers"].as_array_mut().unwrap().push(second);
    case.create(two).await.object();
    case.see("two", case.until("Pod", "two", is_finished).await["status"]["phase"].clone());
}

async fn a_pod_is_alone_with_its_processes(case: &Case) {
    case.see("seen", case.run(pod("alone", &["processes", "+", "identity", "+", "list", "/"])).await);
    case.see(
        "files",
        case.run(pod("files", &["list", "/data", "+", "exists", "/home", "+", "exists", "/dev/null"])).await,
    );
}

async fn variables_come_from_everywhere(case: &Case) {
    case.create(config_map("settings", json!({"COLOUR": "red", "SIZE": "9"}))).await.object();
    case.create(json!({"kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"KEY": "secret"}}))
        .await
        .object();
    let more = json!({
        "env": [
            {"name": "PLAIN", "value": "1"},
            {"name": "FROM_MAP", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "COLOUR"}}},
            {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "KEY"}}},
            {"name": "OPTIONAL", "valueFrom": {"secretKeyRef": {"name": "none", "key": "KEY", "optional": true}}},
            {"name": "MY_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "MY_LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "MY_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "MY_ACCOUNT", "valueFrom": {"fieldRef": {"fieldPath": "spec.serviceAccountName"}}},
            {"name": "MY_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "MY_MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
            {"name": "MY_PROCESSOR", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "settings"}, "prefix": "MAP_"}, {"secretRef": {"name": "keys"}}],
        "resources": {"limits": {"memory": "64Mi", "cpu": "100m"}},
    });
    let mut pod = pod_with("variables", &["environment"], more);
    pod["metadata"]["labels"] = json!({"app": "web"});
    case.see("environment", case.run(pod).await);
}

async fn variables_refer_to_each_other(case: &Case) {
    let more = json!({"env": [
        {"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(LATER)-$$(A)-$(NONE)"}, {"name": "LATER", "value": "2"},
    ]});
    let steps = ["variable", "B", "+", "print", "$(A) and $(NONE) and $$(A)"];
    case.see("logs", case.run(pod_with("refer", &steps, more)).await);
}

async fn an_empty_folder_is_shared_by_containers_and_survives_restarts(case: &Case) {
    let mount = json!([{"name": "shared", "mountPath": "/shared"}]);
    let mut pod = pod_with(
        "shared",
        &["fail-until", "/shared/count", "2", "+", "wait-for", "/shared/second", "+", "list", "/shared"],
        json!({"volumeMounts": mount}),
    );
    let mut second = objects::container(&["write", "/shared/second", "x", "+", "mode", "/shared"]);
    (second["name"], second["volumeMounts"]) = ("second".into(), mount);
    pod["spec"]["containers"].as_array_mut().unwrap().push(second);
    pod["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {}}]);
    pod["spec"]["restartPolicy"] = "OnFailure".into();
    case.create(pod).await.object();
    case.until("Pod", "shared", is_finished).await;
    case.see("main", case.logs("shared", "?container=main").await);
    case.see("second", case.logs("shared", "?container=second").await);
}

async fn a_memory_folder_is_in_memory(case: &Case) {
    let mut pod = pod_with(
        "memory",
        &["mount", "/shared", "+", "fill", "/shared/x", "1", "+", "size", "/shared/x"],
        json!({"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}),
    );
    pod["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}]);
    case.see("logs", case.run(pod).await);
}

/// A pod with one volume at `/v`.
fn with_volume(name: &str, steps: &[&str], volume: Value) -> Value {
    let mut pod = pod_with(name, steps, json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}));
    let mut volume = volume;
    volume["name"] = "v".into();
    pod["spec"]["volumes"] = json!([volume]);
    pod
}

async fn configuration_maps_and_secrets_are_files(case: &Case) {
    case.create(config_map("settings", json!({"a": "1", "b": "2"}))).await.object();
    case.create(json!({"kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"key": "secret"}}))
        .await
        .object();
    let look = ["list", "/v", "+", "read", "/v/a", "+", "mode", "/v/a", "+", "mount", "/v", "+", "try-write", "/v/x"];
    case.see("map", case.run(with_volume("map", &look, json!({"configMap": {"name": "settings"}}))).await);
    let chosen = json!({"configMap": {"name": "settings", "defaultMode": 256, "items": [{"key": "b", "path": "in/side", "mode": 288}]}});
    case.see(
        "items",
        case.run(with_volume("items", &["list", "/v", "+", "read", "/v/in/side", "+", "mode", "/v/in/side"], chosen))
            .await,
    );
    let secret = json!({"secret": {"secretName": "keys", "defaultMode": 256}});
    case.see(
        "secret",
        case.run(with_volume("secret", &["read", "/v/key", "+", "mode", "/v/key", "+", "mount", "/v"], secret)).await,
    );
    let none = json!({"configMap": {"name": "none", "optional": true}});
    case.see("optional", case.run(with_volume("optional", &["list", "/v"], none)).await);
}

async fn a_changed_configuration_map_changes_its_files(case: &Case) {
    case.create(config_map("settings", json!({"a": "1"}))).await.object();
    let steps = ["read", "/v/a", "+", "wait-for", "/v/b", "+", "read", "/v/b"];
    case.create(with_volume("watcher", &steps, json!({"configMap": {"name": "settings"}}))).await.object();
    case.until("Pod", "watcher", crate::case::is_ready).await;
    case.patch("merge", "ConfigMap", "settings", json!({"data": {"b": "2"}})).await.object();
    // A kubelet looks again soon after something about the pod has changed.
    case.patch("merge", "Pod", "watcher", json!({"metadata": {"annotations": {"look": "again"}}})).await.object();
    case.until("Pod", "watcher", is_finished).await;
    case.see("logs", case.logs("watcher", "").await);
}

async fn a_projected_volume_holds_all_its_sources(case: &Case) {
    case.create(config_map("settings", json!({"a": "1"}))).await.object();
    case.create(json!({"kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"key": "secret"}}))
        .await
        .object();
    let volume = json!({"projected": {"sources": [
        {"configMap": {"name": "settings"}}, {"secret": {"name": "keys", "items": [{"key": "key", "path": "deep/key"}]}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600, "audience": "somebody"}},
    ]}});
    let look = [
        "list",
        "/v",
        "+",
        "read",
        "/v/a",
        "+",
        "read",
        "/v/deep/key",
        "+",
        "read",
        "/v/name",
        "+",
        "mode",
        "/v/token",
    ];
    case.see("logs", case.run(with_volume("projected", &look, volume)).await);
}

async fn a_pod_sees_itself_through_files(case: &Case) {
    let volume = json!({"downwardAPI": {"items": [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}},
        {"path": "memory", "resourceFieldRef": {"containerName": "main", "resource": "limits.memory"}},
    ]}});
    let mut pod =
        with_volume("itself", &["read", "/v/labels", "+", "read", "/v/annotations", "+", "read", "/v/memory"], volume);
    pod["metadata"]["labels"] = json!({"b": "2", "a": "1"});
    pod["metadata"]["annotations"] = json!({"note": "two\nlines"});
    pod["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "64Mi"}});
    case.see("logs", case.run(pod).await);
}

async fn a_sub_path_mounts_a_part(case: &Case) {
    case.create(config_map("settings", json!({"a": "1", "b": "2"}))).await.object();
    let mut pod = with_volume(
        "part",
        &["read", "/v", "+", "list", "/data", "+", "read", "/data/b"],
        json!({"configMap": {"name": "settings"}}),
    );
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v", "subPath": "a"}, {"name": "v", "mountPath": "/data/b", "subPath": "b"}]);
    case.see("logs", case.run(pod).await);
}

async fn a_read_only_mount_cannot_be_written(case: &Case) {
    let mut pod = with_volume("held", &["try-write", "/v/x", "+", "mount", "/v"], json!({"emptyDir": {}}));
    pod["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = true.into();
    case.see("logs", case.run(pod).await);
}

async fn a_read_only_root_cannot_be_written(case: &Case) {
    let closed = json!({"securityContext": {"readOnlyRootFilesystem": true}});
    case.see("closed", case.run(pod_with("closed", &["try-write", "/x", "+", "mount", "/"], closed)).await);
    case.see("open", case.run(pod("open", &["try-write", "/x", "+", "read", "/x"])).await);
    case.see("of its own", case.run(pod("again", &["exists", "/x"])).await);
}

async fn a_pod_runs_as_the_user_it_names(case: &Case) {
    let context = json!({"securityContext": {"runAsUser": 1000, "runAsGroup": 2000, "supplementalGroups": [3000]}});
    case.see("pod", case.run(pod_of("user", &["identity", "+", "try-write", "/data/x"], context)).await);
    let mut own = pod_with(
        "own",
        &["identity"],
        json!({"securityContext": {"runAsUser": 1001, "allowPrivilegeEscalation": false}}),
    );
    own["spec"]["securityContext"] = json!({"runAsUser": 1000});
    case.see("container", case.run(own).await);
    case.create(pod_of("not-root", &[], json!({"securityContext": {"runAsNonRoot": true}}))).await.object();
    let waits = |pod: &Value| {
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    };
    let refused = case.until("Pod", "not-root", waits).await;
    let message = refused["status"]["containerStatuses"][0]["state"]["waiting"]["message"].as_str().unwrap().to_owned();
    case.see("root refused", message.split(" (").next().unwrap());
}

async fn the_group_of_a_file_system_owns_volumes(case: &Case) {
    let mut pod = with_volume(
        "grouped",
        &["mode", "/v", "+", "write", "/v/x", "1", "+", "mode", "/v/x", "+", "identity"],
        json!({"emptyDir": {}}),
    );
    pod["spec"]["securityContext"] = json!({"runAsUser": 1000, "fsGroup": 4000});
    case.see("logs", case.run(pod).await);
}

async fn capabilities_are_dropped_and_added(case: &Case) {
    let none = json!({"securityContext": {"capabilities": {"drop": ["ALL"]}}});
    case.see("none", case.run(pod_with("none", &["identity"], none)).await);
    let one = json!({"securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}});
    case.see("one", case.run(pod_with("one", &["identity"], one)).await);
}

async fn init_containers_run_one_after_the_other(case: &Case) {
    let mount = json!([{"name": "v", "mountPath": "/v"}]);
    let mut pod = with_volume("steps", &["read", "/v/order"], json!({"emptyDir": {}}));
    let init = |name: &str| json!({"name": name, "image": crate::case::IMAGE, "args": ["append", "/v/order", name], "volumeMounts": mount});
    pod["spec"]["initContainers"] = json!([init("first"), init("second")]);
    case.see("logs", case.run(pod).await);
    let ended = case.get("Pod", "steps").await.object();
    case.see("status", ended["status"]["initContainerStatuses"].clone());
}

async fn a_failed_init_container_fails_the_pod(case: &Case) {
    let init = json!([{"name": "first", "image": crate::case::IMAGE, "args": ["exit", "4"]}]);
    case.create(pod_of("fails", &["print", "never"], json!({"initContainers": init}))).await.object();
    let ended = case.until("Pod", "fails", is_finished).await;
    case.see("status", pick(&ended["status"], &["phase", "initContainerStatuses", "containerStatuses", "conditions"]));
    case.see("logs", case.logs("fails", "?container=main").await["message"].clone());
}

async fn a_sidecar_runs_beside_and_ends_after(case: &Case) {
    let sidecar = json!([{"name": "side", "image": crate::case::IMAGE, "restartPolicy": "Always",
        "args": ["farewell", "side ends", "0", "+", "serve", "9000", "from the side"]}]);
    let steps = ["fetch-until", "http://127.0.0.1:9000/", "200 from the side"];
    case.create(pod_of("helped", &steps, json!({"initContainers": sidecar}))).await.object();
    let ended = case.until("Pod", "helped", is_finished).await;
    case.see("phase", ended["status"]["phase"].clone());
    case.see("main", case.logs("helped", "?container=main").await);
    case.see("side", case.logs("helped", "?container=side").await);
}

async fn the_host_name_is_the_pods_name(case: &Case) {
    case.see("own", case.run(pod("plain", &["hostname", "+", "variable", "HOSTNAME"])).await);
    let named = json!({"hostname": "other", "subdomain": "sub"});
    case.see("named", case.run(pod_of("named", &["hostname"], named)).await);
}

async fn the_hosts_file_names_the_pod_and_its_aliases(case: &Case) {
    let aliases = json!({"hostAliases": [{"ip": "10.1.2.3", "hostnames": ["far", "away"]}]});
    case.see("hosts", case.run(pod_of("plain", &["read", "/etc/hosts"], aliases)).await);
    let names = case.run(pod("names", &["read", "/etc/resolv.conf"])).await;
    let lines: Vec<Value> =
        names.as_array().unwrap().iter().filter(|it| !it.as_str().unwrap().starts_with("search")).cloned().collect();
    case.see("name servers", lines);
    let own = json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.1.1.1"], "searches": ["a.example"], "options": [{"name": "ndots", "value": "1"}]}});
    case.see("own names", case.run(pod_of("own", &["read", "/etc/resolv.conf"], own)).await);
}

async fn a_token_is_there_unless_it_is_unwanted(case: &Case) {
    let place = "/var/run/secrets/kubernetes.io/serviceaccount";
    let namespace = format!("{place}/namespace");
    case.see("wanted", case.run(pod("wanted", &["list", place, "+", "read", &namespace, "+", "mount", place])).await);
    let without = json!({"automountServiceAccountToken": false});
    case.see("unwanted", case.run(pod_of("unwanted", &["exists", place], without)).await);
}

async fn the_termination_message_is_kept(case: &Case) {
    let message = |pod: Value| pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"].clone();
    case.run(pod("written", &["write", "/dev/termination-log", "all is said"])).await;
    case.see("written", message(case.get("Pod", "written").await.object()));
    let fallback = json!({"terminationMessagePolicy": "FallbackToLogsOnError"});
    case.run(pod_with("fallback", &["print", "last words", "+", "exit", "1"], fallback)).await;
    case.see("fallback", message(case.get("Pod", "fallback").await.object()));
    let elsewhere = json!({"terminationMessagePath": "/dev/elsewhere"});
    case.run(pod_with("elsewhere", &["write", "/dev/elsewhere", "here"], elsewhere)).await;
    case.see("elsewhere", message(case.get("Pod", "elsewhere").await.object()));
}

async fn containers_share_the_network_not_the_processes(case: &Case) {
    let mut pod = pod("pair", &["fetch-until", "http://127.0.0.1:9000/", "200 hello", "+", "processes"]);
    let mut second = objects::container(&["serve", "9000"]);
    second["name"] = "second".into();
    pod["spec"]["containers"].as_array_mut().unwrap().push(second);
    case.create(pod).await.object();
    let ended = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["terminated"].is_object();
    let seen = case.until("Pod", "pair", ended).await;
    case.see("phase", seen["status"]["phase"].clone());
    case.see("logs", case.logs("pair", "?container=main").await);
}

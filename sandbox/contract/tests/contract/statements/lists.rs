//! Reading many: lists in chunks, selectors, watches, tables.

use serde_json::{Value, json};

use super::statements;
use crate::case::{Case, complete};
use crate::cluster::text;
use crate::objects::{self, config_map, pick, pod_of};

statements!("lists":
    a_list_names_its_kind_and_version,
    a_list_is_sorted_by_name,
    a_list_comes_in_chunks,
    a_continuation_that_is_none_is_refused,
    labels_select,
    a_selector_that_is_none_is_refused,
    fields_select,
    a_field_that_cannot_select_is_refused,
    objects_of_all_namespaces_are_listed_together,
    a_watch_begins_with_what_there_is,
    a_watch_goes_on_from_a_version,
    a_watch_tells_what_enters_and_leaves_its_selector,
    a_watch_of_fields_follows_them,
    a_watch_sends_bookmarks,
    a_watch_begins_with_events_and_a_bookmark_when_asked,
    a_version_that_is_none_or_not_yet_is_refused,
    a_watch_ends_after_its_time,
    a_deleted_object_is_told_with_its_last_state,
    many_are_deleted_by_selector,
    tables_have_the_columns_of_their_kind,
    metadata_alone_can_be_asked_for,
);

async fn labelled(case: &Case, name: &str, labels: Value) -> Value {
    let mut map = config_map(name, json!({}));
    map["metadata"]["labels"] = labels;
    case.create(map).await.object()
}

async fn a_list_names_its_kind_and_version(case: &Case) {
    let list = case.list("Secret", "").await.object();
    case.see("empty", list);
    let list = case.list("ConfigMap", "").await.object();
    let item = &list["items"][0];
    case.see("item", json!({"kind": item.get("kind").is_some(), "apiVersion": item.get("apiVersion").is_some()}));
    case.see("list", pick(&list, &["kind", "apiVersion", "metadata"]));
}

async fn a_list_is_sorted_by_name(case: &Case) {
    for name in ["c", "a", "b-1", "b.2", "b0"] {
        labelled(case, name, json!({"mine": "1"})).await;
    }
    let items = case.list("ConfigMap", "?labelSelector=mine").await.items();
    case.see("names", items.iter().map(|it| it["metadata"]["name"].clone()).collect::<Vec<_>>());
}

async fn a_list_comes_in_chunks(case: &Case) {
    for number in 0..5 {
        labelled(case, &format!("map-{number}"), json!({})).await;
    }
    let names = |list: &Value| -> Vec<Value> {
        list["items"].as_array().unwrap().iter().map(|it| it["metadata"]["name"].clone()).collect()
    };
    let first = case.list("ConfigMap", "?limit=2").await.object();
    case.see("first", json!([names(&first), first["metadata"]]));
    // What is deleted in between is in the chunks nevertheless: they are of one moment.
    case.delete("ConfigMap", "map-3", json!({})).await.object();
    let token = text(&first["metadata"]["continue"]);
    let second = case.list("ConfigMap", &format!("?limit=2&continue={token}")).await.object();
    case.see("second", json!([names(&second), second["metadata"]]));
    let token = text(&second["metadata"]["continue"]);
    let third = case.list("ConfigMap", &format!("?limit=2&continue={token}")).await.object();
    case.see("third", json!([names(&third), third["metadata"]]));
    case.see("same version", first["metadata"]["resourceVersion"] == third["metadata"]["resourceVersion"]);
    case.see("selected", case.list("ConfigMap", "?limit=1&labelSelector=none").await.object()["metadata"].clone());
}

async fn a_continuation_that_is_none_is_refused(case: &Case) {
    case.see("nonsense", case.list("ConfigMap", "?limit=2&continue=nonsense").await.verdict());
    case.see("limit", case.list("ConfigMap", "?limit=many").await.verdict());
}

async fn labels_select(case: &Case) {
    labelled(case, "a", json!({"app": "web", "tier": "front"})).await;
    labelled(case, "b", json!({"app": "web", "tier": "back"})).await;
    labelled(case, "c", json!({"app": "db"})).await;
    for selector in [
        "app=web",
        "app==web,tier=back",
        "app!=web",
        "app in (web,db)",
        "app notin (db)",
        "tier",
        "!tier",
        "app,!tier",
        "app=",
        "app in (web),tier notin (back)",
    ] {
        let encoded = selector.replace('=', "%3D").replace(' ', "%20").replace('!', "%21");
        case.see(selector, case.list("ConfigMap", &format!("?labelSelector={encoded}")).await.names());
    }
}

async fn a_selector_that_is_none_is_refused(case: &Case) {
    for selector in ["a=b=c", "a in", "a in (", "=", "a b", "a=b c", "a/b/c", "!!a", "a in ()"] {
        let encoded = selector.replace('=', "%3D").replace(' ', "%20").replace('!', "%21").replace('/', "%2F");
        case.see(selector, case.list("ConfigMap", &format!("?labelSelector={encoded}")).await.verdict());
    }
}

async fn fields_select(case: &Case) {
    labelled(case, "a", json!({})).await;
    labelled(case, "b", json!({})).await;
    case.see("name", case.list("ConfigMap", "?fieldSelector=metadata.name%3Da").await.names());
    case.see("not name", case.list("ConfigMap", "?fieldSelector=metadata.name!%3Da").await.names());
    case.create(pod_of("held", &["sleep"], json!({"nodeSelector": {"nowhere": "1"}}))).await.object();
    case.ready_pod(objects::pod("runs", &["sleep"])).await;
    let pods = |query: &str| {
        let query = format!("?fieldSelector={query}");
        async move { case.list("Pod", &query).await.names() }
    };
    case.see("pending", pods("status.phase%3DPending").await);
    case.see("running", pods("status.phase%3DRunning").await);
    case.see("no node", pods("spec.nodeName%3D").await);
    case.see("restart policy", pods("spec.restartPolicy%3DNever").await);
    case.see("two", pods("spec.restartPolicy%3DNever,status.phase%3DRunning").await);
    case.see("account", pods("spec.serviceAccountName%3Ddefault").await);
    case.see("secret type", case.list("Secret", "?fieldSelector=type%3DOpaque").await.names());
    case.see("job", case.list("Job", "?fieldSelector=status.successful%3D1").await.names());
    case.see("namespace", case.list("ConfigMap", "?fieldSelector=metadata.namespace%3Delsewhere").await.names());
}

async fn a_field_that_cannot_select_is_refused(case: &Case) {
    case.see("ConfigMap", case.list("ConfigMap", "?fieldSelector=data.a%3Db").await.verdict());
    case.see("Pod", case.list("Pod", "?fieldSelector=spec.colour%3Db").await.verdict());
    case.see("Deployment", case.list("Deployment", "?fieldSelector=spec.replicas%3D1").await.verdict());
    case.see("form", case.list("Pod", "?fieldSelector=spec").await.verdict());
}

async fn objects_of_all_namespaces_are_listed_together(case: &Case) {
    let mark = case.namespace.clone();
    labelled(case, "here", json!({"mark": mark})).await;
    let mut map = complete(config_map(&format!("{mark}-there"), json!({})));
    map["metadata"]["labels"] = json!({"mark": mark});
    let path = "/api/v1/namespaces/default/configmaps";
    case.caller.call("POST", path, "application/json", Some(&map)).await.object();
    let all = format!("/api/v1/configmaps?labelSelector=mark%3D{mark}");
    let items = case.caller.call("GET", &all, "", None).await.items();
    case.see("places", items.iter().map(|it| it["metadata"]["namespace"].clone()).collect::<Vec<_>>());
    case.caller.call("DELETE", &format!("{path}/{mark}-there"), "", None).await.object();
    let post = case.caller.call("POST", "/api/v1/configmaps", "application/json", Some(&map)).await;
    case.see("create without namespace", post.verdict());
}

/// Kind of event and name of the object.
fn short(events: &[Value]) -> Vec<Value> {
    events.iter().map(|it| json!([it["type"], it["object"]["metadata"]["name"]])).collect()
}

async fn a_watch_begins_with_what_there_is(case: &Case) {
    labelled(case, "a", json!({"mine": "1"})).await;
    labelled(case, "b", json!({"mine": "1"})).await;
    let path = format!("{}?watch=true&labelSelector=mine", case.path("ConfigMap", ""));
    let events = case.caller.watch(&path, |it| it["object"]["metadata"]["name"] == "b").await;
    case.see("events", short(&events));
    case.see("object", pick(&events[0]["object"], &["kind", "apiVersion"]));
}

async fn a_watch_goes_on_from_a_version(case: &Case) {
    labelled(case, "a", json!({"mine": "1"})).await;
    let version = text(&case.list("ConfigMap", "").await.object()["metadata"]["resourceVersion"]);
    labelled(case, "b", json!({"mine": "1"})).await;
    case.patch("merge", "ConfigMap", "a", json!({"data": {"x": "1"}})).await.object();
    case.delete("ConfigMap", "b", json!({})).await.object();
    let path = format!("{}?watch=true&labelSelector=mine&resourceVersion={version}", case.path("ConfigMap", ""));
    let events = case.caller.watch(&path, |it| it["type"] == "DELETED").await;
    case.see("events", short(&events));
}

async fn a_watch_tells_what_enters_and_leaves_its_selector(case: &Case) {
    labelled(case, "a", json!({"mine": "1"})).await;
    let version = text(&case.list("ConfigMap", "").await.object()["metadata"]["resourceVersion"]);
    let label = |value: Value| case.patch("merge", "ConfigMap", "a", json!({"metadata": {"labels": {"mine": value}}}));
    label("2".into()).await.object();
    label("1".into()).await.object();
    case.patch("merge", "ConfigMap", "a", json!({"data": {"x": "1"}})).await.object();
    case.delete("ConfigMap", "a", json!({})).await.object();
    labelled(case, "last", json!({"mine": "1"})).await;
    let path = format!("{}?watch=true&labelSelector=mine%3D1&resourceVersion={version}", case.path("ConfigMap", ""));
    let events = case.caller.watch(&path, |it| it["object"]["metadata"]["name"] == "last").await;
    case.see("events", short(&events));
    case.see("label as it left", events[0]["object"]["metadata"]["labels"].clone());
}

async fn a_watch_of_fields_follows_them(case: &Case) {
    let version = text(&case.list("Pod", "").await.object()["metadata"]["resourceVersion"]);
    case.create(objects::pod("short", &[])).await.object();
    let path =
        format!("{}?watch=1&fieldSelector=status.phase%3DPending&resourceVersion={version}", case.path("Pod", ""));
    let events = case.caller.watch(&path, |it| it["type"] == "DELETED").await;
    case.see("first", events[0]["type"].clone());
    case.see("last", events.last().unwrap()["type"].clone());
}

async fn a_watch_sends_bookmarks(case: &Case) {
    let version = text(&case.list("ConfigMap", "").await.object()["metadata"]["resourceVersion"]);
    let path = format!(
        "{}?watch=1&allowWatchBookmarks=true&timeoutSeconds=3&resourceVersion={version}",
        case.path("ConfigMap", "")
    );
    let events = case.caller.watch(&path, |it| it["type"] == "BOOKMARK").await;
    case.see("event", events.last().cloned());
}

async fn a_watch_begins_with_events_and_a_bookmark_when_asked(case: &Case) {
    labelled(case, "a", json!({"mine": "1"})).await;
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&labelSelector=mine";
    let path = format!("{}?{query}&allowWatchBookmarks=true", case.path("ConfigMap", ""));
    let events = case.caller.watch(&path, |it| it["type"] == "BOOKMARK").await;
    case.see("events", short(&events));
    case.see("bookmark", events.last().cloned());
    let path = format!("{}?watch=1&sendInitialEvents=true", case.path("ConfigMap", ""));
    case.see("without match", case.caller.call("GET", &path, "", None).await.verdict());
}

async fn a_version_that_is_none_or_not_yet_is_refused(case: &Case) {
    let path =
        |version: &str| format!("{}?watch=1&timeoutSeconds=2&resourceVersion={version}", case.path("ConfigMap", ""));
    case.see("nonsense", case.caller.call("GET", &path("nonsense"), "", None).await.verdict());
    let future = case.list("ConfigMap", "?resourceVersion=999999999&timeoutSeconds=1").await;
    case.see("list of the future", json!([future.code, future.body["reason"]]));
}

async fn a_watch_ends_after_its_time(case: &Case) {
    let path = format!("{}?watch=1&timeoutSeconds=1", case.path("Secret", ""));
    case.see("events", case.caller.watch(&path, |_| false).await);
}

async fn a_deleted_object_is_told_with_its_last_state(case: &Case) {
    let before = labelled(case, "a", json!({"mine": "1"})).await;
    let version = text(&before["metadata"]["resourceVersion"]);
    case.see("answer", case.delete("ConfigMap", "a", json!({})).await.body);
    let path = format!("{}?watch=1&resourceVersion={version}", case.path("ConfigMap", ""));
    let events = case.caller.watch(&path, |it| it["type"] == "DELETED").await;
    let last = events.last().unwrap();
    case.see("event", last.clone());
    let number = |value: &Value| value["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    case.see("of a later version", number(&last["object"]) > number(&before));
}

async fn many_are_deleted_by_selector(case: &Case) {
    for (name, mark) in [("a", "1"), ("b", "1"), ("c", "2")] {
        labelled(case, name, json!({"mark": mark})).await;
    }
    let path = format!("{}?labelSelector=mark%3D1", case.path("ConfigMap", ""));
    let answer = case.caller.call("DELETE", &path, "", None).await;
    case.see("answer", json!([answer.code, answer.body["kind"], answer.body["items"].as_array().map(Vec::len)]));
    case.see("left", case.list("ConfigMap", "?labelSelector=mark").await.names());
    let path = case.path("Service", "");
    let answer = case.caller.call("DELETE", &path, "", None).await;
    case.see("services", json!([answer.code, answer.body["reason"]]));
}

async fn tables_have_the_columns_of_their_kind(case: &Case) {
    let kinds = [
        "Namespace",
        "Node",
        "Pod",
        "Service",
        "ConfigMap",
        "Secret",
        "ServiceAccount",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "ReplicationController",
        "ResourceQuota",
        "LimitRange",
        "Event",
        "Deployment",
        "ReplicaSet",
        "Job",
        "EndpointSlice",
        "StorageClass",
        "Role",
        "RoleBinding",
        "ClusterRole",
        "ClusterRoleBinding",
    ];
    for kind in kinds {
        let path = format!("{}?limit=1", case.path(kind, ""));
        let request =
            http::Request::get(path).header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
        let table = case.caller.send(request.body(kube::client::Body::empty()).unwrap()).await.object();
        let columns = table["columnDefinitions"].as_array().unwrap().iter();
        let columns: Vec<Value> = columns.map(|it| pick(it, &["name", "type", "format", "priority"])).collect();
        case.see(kind, json!([table["kind"], table["apiVersion"], columns]));
    }
    labelled(case, "a", json!({})).await;
    let request = http::Request::get(case.path("ConfigMap", "a"))
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let table = case.caller.send(request.body(kube::client::Body::empty()).unwrap()).await.object();
    let row = &table["rows"][0];
    case.see("row", json!([row["object"], row["cells"].as_array().unwrap().len()]));
}

async fn metadata_alone_can_be_asked_for(case: &Case) {
    labelled(case, "a", json!({"mine": "1"})).await;
    let accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let request = http::Request::get(case.path("ConfigMap", "a")).header("Accept", accept);
    case.see("one", case.caller.send(request.body(kube::client::Body::empty()).unwrap()).await.object());
    let accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let path = format!("{}?labelSelector=mine", case.path("ConfigMap", ""));
    let request = http::Request::get(path).header("Accept", accept);
    case.see("list", case.caller.send(request.body(kube::client::Body::empty()).unwrap()).await.object());
}

//! Requests and answers, through a client that knows nothing of Kubernetes.

use futures::StreamExt;
use serde_json::{Value, json};

use crate::served::{plain_client, served};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

#[tokio::test]
async fn refusals_are_statuses_with_the_real_words() {
    let served = served().await;
    let one = format!("{MAPS}/one");
    assert_eq!(served.ask("POST", MAPS, "", &map("one")).await.0, 201);
    let mut typo = map("two");
    typo["dota"] = json!({});
    let mut wrong = map("two");
    wrong["data"] = json!({"a": 1});
    let mut old = map("one");
    old["metadata"]["resourceVersion"] = json!("1");
    let nothing = Value::Null;
    let strict = format!("{MAPS}?fieldValidation=Strict");
    let table: Vec<(&str, &str, &str, &Value, u16, &str)> = vec![
        ("GET", "/api/v1/namespaces/default/configmaps/no", "", &nothing, 404, "configmaps \"no\" not found"),
        ("POST", MAPS, "", &old, 500, "resourceVersion should not be set on objects to be created"),
        (
            "PUT",
            &one,
            "",
            &old,
            409,
            "Operation cannot be fulfilled on configmaps \"one\": the object has been modified; \
            please apply your changes to the latest version and try again",
        ),
        (
            "POST",
            &strict,
            "",
            &typo,
            400,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding \
            error: unknown field \"dota\"",
        ),
        (
            "POST",
            MAPS,
            "",
            &wrong,
            400,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot \
            unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            "POST",
            MAPS,
            "text/plain",
            &old,
            415,
            "the body of the request was in an unknown format - accepted media types \
            include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ),
        ("POST", &one, "", &old, 405, "the server does not allow this method on the requested resource"),
        ("POST", "/api/v1/namespaces/no/configmaps", "", &typo, 404, "namespaces \"no\" not found"),
        ("GET", "/api/v1/things", "", &nothing, 404, "the server could not find the requested resource"),
        (
            "GET",
            "/apis/apps/v1/statefulsets",
            "",
            &nothing,
            404,
            "the sandbox does not have statefulsets.apps: use a \
            Deployment with one replica and a PersistentVolumeClaim",
        ),
    ];
    for (method, path, kind, body, code, message) in table {
        let (seen, status) = served.ask(method, path, kind, body).await;
        assert_eq!((seen, status["message"].as_str()), (code, Some(message)), "{method} {path}");
        assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(code)));
    }
}

#[tokio::test]
async fn nobody_in_particular_sees_only_that_the_server_is_there() {
    let served = served().await;
    let client = plain_client(&served.api).build().expect("a client");
    let table = [("/version", 200), ("/readyz", 200), ("/api", 403), ("/api/v1/pods", 403)];
    for (path, code) in table {
        let answer = client.get(format!("{}{path}", served.url)).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), code, "{path}");
    }
    let wrong = client.get(format!("{}/api/v1/pods", served.url)).bearer_auth("no token");
    assert_eq!(wrong.send().await.expect("an answer").status().as_u16(), 401);
}

#[tokio::test]
async fn an_object_lives_its_life_over_the_wire() {
    let served = served().await;
    let place = format!("{MAPS}/one");
    let apply = format!("{place}?fieldManager=tester&force=true");
    let wanted = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"}});
    let kind = "application/apply-patch+yaml";
    let (code, made) = served.ask("PATCH", &apply, kind, &wanted).await;
    assert_eq!((code, &made["data"]), (201, &json!({"a": "1"})));
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "tester");
    let (code, status) = served.ask("POST", MAPS, "", &wanted).await;
    assert_eq!((code, status["reason"].as_str()), (409, Some("AlreadyExists")));
    let (code, same) = served.ask("PATCH", &apply, kind, &wanted).await;
    assert_eq!((code, &same["metadata"]["resourceVersion"]), (200, &made["metadata"]["resourceVersion"]));
    let merge = json!({"data": {"b": "2"}});
    let (code, merged) = served.ask("PATCH", &place, "application/merge-patch+json", &merge).await;
    assert_eq!((code, &merged["data"]), (200, &json!({"a": "1", "b": "2"})));
    let tried = format!("{place}?dryRun=All");
    let (code, _) = served.ask("DELETE", &tried, "", &Value::Null).await;
    assert_eq!(code, 200);
    assert_eq!(served.read(&place).await.1["data"], json!({"a": "1", "b": "2"}));
    let test = json!([{"op": "test", "path": "/data/a", "value": "2"}]);
    assert_eq!(served.ask("PATCH", &place, "application/json-patch+json", &test).await.0, 422);
    let (code, gone) = served.ask("DELETE", &place, "", &Value::Null).await;
    assert_eq!((code, &gone["status"]), (200, &json!("Success")));
    assert_eq!(served.read(&place).await.0, 404);
}

#[tokio::test]
async fn warnings_tell_of_fields_that_are_not_kept() {
    let served = served().await;
    let typo = json!({"metadata": {"name": "one"}, "data": {"a": "1"}, "dota": {}});
    let answer = served.send("POST", MAPS, "", &typo).await;
    assert_eq!(answer.status().as_u16(), 201);
    assert_eq!(answer.headers()["warning"], "299 - \"unknown field \\\"dota\\\"\"");
    let kept: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert!(kept.get("dota").is_none());
}

#[tokio::test]
async fn a_watch_goes_on_where_a_list_ended() {
    let served = served().await;
    let (_, list) = served.read(MAPS).await;
    let from = list["metadata"]["resourceVersion"].as_str().expect("a revision");
    let watch = served.send("GET", &format!("{MAPS}?watch=true&resourceVersion={from}"), "", &Value::Null).await;
    let mut lines = watch.bytes_stream();
    let object = json!({"metadata": {"name": "one"}});
    let (_, made) = served.ask("POST", MAPS, "", &object).await;
    let line = lines.next().await.expect("an event").expect("bytes");
    let event: Value = serde_json::from_slice(&line).expect("one event");
    assert_eq!((&event["type"], &event["object"]), (&json!("ADDED"), &made));
}

#[tokio::test]
async fn a_watch_can_begin_with_what_there_is() {
    let served = served().await;
    served.ask("POST", MAPS, "", &json!({"metadata": {"name": "one"}})).await;
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0&\
                 allowWatchBookmarks=true&timeoutSeconds=1";
    let answer = served.send("GET", &format!("{MAPS}?{query}"), "", &Value::Null).await;
    let text = answer.text().await.expect("it ends after its time");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert_eq!(events.len(), 2, "{text}");
    assert_eq!((&events[0]["type"], &events[1]["type"]), (&json!("ADDED"), &json!("BOOKMARK")));
    assert_eq!(events[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

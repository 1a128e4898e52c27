//! Managers beyond one story: too many of them, kubectl's past, what cannot be applied.

use patches::{Apply, ApplyError, apply, record_update, same_but_times};
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T00:00:00Z";

fn applied(live: Option<&Value>, config: &Value, manager: &str) -> Result<Value, ApplyError> {
    let ty = schema::kind("", "v1", "ConfigMap").expect("ConfigMap");
    apply(Apply { ty, live, config, manager, force: false, now: NOW, subresource: None })
}

fn map(data: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "namespace": "n", "uid": "1" }, "data": data })
}

fn updated(old: Option<&Value>, new: &Value, manager: &str, now: &str) -> Value {
    let mut new = new.clone();
    record_update(schema::kind("", "v1", "ConfigMap").expect("ConfigMap"), old, &mut new, manager, now, None);
    new
}

#[test]
fn the_oldest_of_too_many_updates_are_joined() {
    let mut live = updated(None, &map(&json!({ "k0": "" })), "m0", NOW);
    for index in 1..14 {
        let mut new = live.clone();
        new["data"][format!("k{index}")] = json!("");
        live = updated(Some(&live), &new, &format!("m{index}"), &format!("2026-01-01T00:00:{index:02}Z"));
    }
    let entries = live["metadata"]["managedFields"].as_array().expect("entries");
    let names: Vec<&str> = entries.iter().filter_map(|entry| entry["manager"].as_str()).collect();
    assert_eq!(names, ["ancient-changes", "m5", "m6", "m7", "m8", "m9", "m10", "m11", "m12", "m13"]);
    assert_eq!(
        entries[0]["fieldsV1"],
        json!({ "f:data": { ".": {}, "f:k0": {}, "f:k1": {}, "f:k2": {}, "f:k3": {}, "f:k4": {} } })
    );
    assert_eq!(entries[0]["time"], "2026-01-01T00:00:04Z");
}

#[test]
fn kubectl_takes_over_its_own_client_side_applies_and_nothing_else() {
    let note = r#"{"apiVersion":"v1","data":{"a":"1"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"a"}}"#;
    let mut object = map(&json!({ "a": "1", "b": "1" }));
    object["metadata"]["annotations"] = json!({ "kubectl.kubernetes.io/last-applied-configuration": note });
    let live = updated(None, &object, "kubectl-client-side-apply", NOW);
    let config =
        |data: Value| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": data });
    let mine = applied(Some(&live), &config(json!({ "a": "2" })), "kubectl").expect("its own field");
    assert_eq!(mine["data"], json!({ "a": "2", "b": "1" }));
    let note =
        mine["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].as_str().expect("the note");
    assert_eq!(
        note,
        "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"2\"},\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}\n"
    );
    let refused =
        applied(Some(&live), &config(json!({ "a": "2", "b": "2" })), "kubectl").expect_err("b was never applied");
    assert_eq!(
        refused.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.b"
    );
    assert!(applied(Some(&live), &config(json!({ "a": "2" })), "other").is_err());
}

#[test]
fn objects_without_managers_stay_without_until_they_are_applied() {
    let before = map(&json!({ "a": "1" }));
    let after = updated(Some(&before), &map(&json!({ "a": "2" })), "editor", NOW);
    assert!(after["metadata"].get("managedFields").is_none());
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "a": "3" } });
    let refused = applied(Some(&before), &config, "team").expect_err("somebody wrote it before");
    assert_eq!(
        refused.to_string(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a"
    );
}

#[test]
fn another_kind_is_not_applied() {
    let config = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" } });
    assert_eq!(
        applied(None, &config, "team").expect_err("a Secret").to_string(),
        "invalid object type: /v1, Kind=Secret"
    );
}

#[test]
fn times_alone_are_no_difference() {
    let one = updated(None, &map(&json!({ "a": "1" })), "m", NOW);
    let other = updated(None, &map(&json!({ "a": "1" })), "m", "2027-01-01T00:00:00Z");
    assert_ne!(one, other);
    assert!(same_but_times(&one, &other));
    assert!(!same_but_times(&one, &updated(None, &map(&json!({ "a": "2" })), "m", NOW)));
}

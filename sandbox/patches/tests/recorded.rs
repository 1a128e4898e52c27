//! What a real API server answered to the same writes: see `tests/record`.

use patches::{Apply, ApplyError, PatchError, apply, json_patch, merge_patch, record_update, strategic_merge};
use schema::{Type, normalize};
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T00:00:00Z";

fn steps(story: &str) -> Vec<Value> {
    let path = format!("{}/tests/recorded/{story}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("the story")).expect("JSON")
}

fn type_of(object: &Value) -> &'static Type {
    let api_version = object["apiVersion"].as_str().expect("apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    schema::kind(group, version, object["kind"].as_str().expect("kind")).expect("a kind")
}

/// The entries of managers that take part in the story: others write whenever they like. Only whether there is a time counts.
fn managers(object: &Value) -> Vec<Value> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let mut entries: Vec<Value> = entries
        .into_iter()
        .filter(|entry| {
            !["kube-controller-manager", "kube-scheduler"].contains(&entry["manager"].as_str().expect("name"))
        })
        .collect();
    for entry in &mut entries {
        if entry.get("time").is_some() {
            entry["time"] = json!("some time");
        }
    }
    entries.sort_by_key(|entry| format!("{} {}", entry["operation"], entry["manager"]));
    entries
}

/// Everything in `ours` must be in `theirs`, which has defaults besides; lists must have the same elements.
fn assert_within(ours: &Value, theirs: &Value, at: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours {
                assert_within(value, theirs.get(name).unwrap_or(&Value::Null), &format!("{at}.{name}"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{at}");
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                assert_within(ours, theirs, &format!("{at}[{index}]"));
            }
        }
        _ => assert_eq!(ours, theirs, "{at}"),
    }
}

fn replay(story: &str) {
    let mut seen = 0;
    for (index, step) in steps(story).iter().enumerate() {
        let at = format!("{story} step {index}");
        let is_refused_later = step["after"]["message"].as_str().is_some_and(|message| message.contains("is invalid"));
        if is_refused_later {
            continue;
        }
        seen += 1;
        match step["verb"].as_str().expect("verb") {
            "apply" => replay_apply(step, &at),
            "create" => replay_create(step, &at),
            _ => replay_patch(step, &at),
        }
    }
    assert!(seen > 5, "{story} has only {seen} steps");
}

fn replay_apply(step: &Value, at: &str) {
    let (before, after) = (Some(&step["before"]).filter(|before| !before.is_null()), &step["after"]);
    let answer = apply(Apply {
        ty: type_of(&step["body"]),
        live: before,
        config: &step["body"],
        manager: step["manager"].as_str().expect("manager"),
        force: step["force"].as_bool().expect("force"),
        now: NOW,
        subresource: step["subresource"].as_str(),
    });
    match answer {
        Ok(mut object) => {
            assert_eq!(managers(&object), managers(after), "{at}");
            normalize(type_of(&step["body"]), &mut object);
            for part in ["data", "spec"] {
                assert_within(&object[part], &after[part], &format!("{at}: {part}"));
            }
        }
        Err(error) => {
            assert_eq!(error.to_string(), after["message"].as_str().unwrap_or("no refusal"), "{at}");
            let code = match &error {
                ApplyError::Conflicts(_) => 409,
                ApplyError::BadRequest(_) => 400,
                ApplyError::Schema(_) => 500,
            };
            assert_eq!(after["code"], code, "{at}");
            if let ApplyError::Conflicts(conflicts) = error {
                let causes: Vec<Value> = conflicts
                    .iter()
                    .map(|conflict| json!({ "reason": "FieldManagerConflict", "message": format!("conflict with {}", conflict.manager), "field": conflict.field_path }))
                    .collect();
                let mut expected = after["details"]["causes"].as_array().expect("causes").clone();
                expected.sort_by_key(|cause| cause["message"].to_string());
                assert_eq!(causes, expected, "{at}");
            }
        }
    }
}

/// A create is recorded before admission and allocation add to the object.
fn replay_create(step: &Value, at: &str) {
    let mut object = step["after"].clone();
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|name, _| !["uid", "managedFields", "resourceVersion", "generation"].contains(&name.as_str()));
    let spec = object["spec"].as_object_mut().expect("spec");
    let added = [
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "ipFamilyPolicy",
        "tolerations",
        "priority",
        "preemptionPolicy",
        "serviceAccount",
        "serviceAccountName",
    ];
    spec.retain(|name, _| !added.contains(&name.as_str()));
    let is_token =
        |value: &Value, name: &str| value[name].as_str().is_some_and(|name| name.starts_with("kube-api-access-"));
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.retain(|volume| !is_token(volume, "name"));
    }
    for container in spec.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
        container["volumeMounts"].as_array_mut().expect("mounts").retain(|mount| !is_token(mount, "name"));
    }
    record_update(type_of(&step["body"]), None, &mut object, step["manager"].as_str().expect("manager"), NOW, None);
    assert_eq!(managers(&object), managers(&step["after"]), "{at}");
}

fn replay_patch(step: &Value, at: &str) {
    let (before, after, body) = (&step["before"], &step["after"], &step["body"]);
    let ty = type_of(before);
    let patched = match step["verb"].as_str() {
        Some("merge") => Ok(merge_patch(before, body)),
        Some("strategic") => strategic_merge(ty, before, body),
        _ => json_patch(before, body),
    };
    let patched = match patched {
        Ok(patched) => patched,
        Err(PatchError::Unprocessable(_)) => return assert_eq!(after["code"], 422, "{at}"),
        Err(error) => return assert_eq!(error.to_string(), after["message"].as_str().unwrap_or("no refusal"), "{at}"),
    };
    assert!(after["code"].is_null(), "{at}: {after}");
    for part in ["data", "spec"] {
        let mut ours = json!({ part: patched[part] });
        normalize(ty, &mut ours);
        assert_within(&ours[part], &after[part], &format!("{at}: {part}"));
    }
    let mut object = after.clone();
    let sent = &patched["metadata"]["managedFields"];
    object["metadata"]["managedFields"] = sent.clone();
    record_update(
        ty,
        Some(before),
        &mut object,
        step["manager"].as_str().expect("manager"),
        NOW,
        step["subresource"].as_str(),
    );
    assert_eq!(managers(&object), managers(after), "{at}");
}

#[test]
fn a_config_map_with_many_managers_is_as_on_the_real_server() {
    replay("config-map");
}

#[test]
fn a_deployment_with_two_teams_and_a_scaler_is_as_on_the_real_server() {
    replay("deployment");
}

#[test]
fn a_service_with_ports_is_as_on_the_real_server() {
    replay("service");
}

#[test]
fn a_pod_with_status_finalizers_and_all_patches_is_as_on_the_real_server() {
    replay("pod");
}

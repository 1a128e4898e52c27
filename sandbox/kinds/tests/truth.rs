//! What a real API server answered, held against this crate. `ask.py` asks, `fixtures/` keeps the answers.

use kinds::Resource;
use serde_json::{Value, json};

/// A fixture's cases.
fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("a fixture is a list of cases")
}

fn resource(object: &Value) -> &'static Resource {
    let version = object["apiVersion"].as_str().unwrap();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    kinds::by_kind(group, version, object["kind"].as_str().unwrap()).unwrap()
}

fn normalize(object: &mut Value) {
    let resource = resource(object);
    schema::normalize(schema::kind(resource.group, resource.version, resource.kind).unwrap(), object);
}

/// Runs a new object through the steps up to validation.
fn prepared(given: &Value) -> Value {
    let mut object = given.clone();
    normalize(&mut object);
    kinds::default(resource(given), &mut object);
    kinds::prepare_create(resource(given), &mut object);
    object
}

/// Objects without order, without the namespace that the server adds, as text.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            names.into_iter().map(|name| (name.clone(), sorted(&fields[name]))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn text(value: &Value) -> String {
    serde_json::to_string_pretty(&sorted(value)).unwrap()
}

/// The lines that only one of them has, for a message that can be read.
fn difference(ours: &str, theirs: &str) -> String {
    let only = |one: &str, other: &str, mark: &str| {
        let lines = one.lines().filter(|line| !other.lines().any(|each| each == *line));
        lines.map(|line| format!("  {mark} {}\n", line.trim())).collect::<String>()
    };
    only(ours, theirs, "ours:  ") + &only(theirs, ours, "theirs:")
}

#[test]
fn new_objects_become_what_a_real_server_makes_of_them() {
    let mut wrong = String::new();
    for case in cases(include_str!("fixtures/defaults.json")) {
        let mut ours = prepared(&case["create"]);
        if let Some(status) = ours.get_mut("status").and_then(Value::as_object_mut) {
            status.remove("lastPhaseTransitionTime");
            let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
            conditions.into_iter().flatten().for_each(|each| each["lastTransitionTime"] = Value::Null);
        }
        let (ours, theirs) = (text(&ours), text(&case["object"]));
        if ours != theirs {
            wrong += &format!("{}\n{}", case["what"], difference(&ours, &theirs));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn defaulting_twice_changes_nothing() {
    for case in cases(include_str!("fixtures/defaults.json")) {
        let mut once = prepared(&case["create"]);
        normalize(&mut once);
        let mut twice = once.clone();
        normalize(&mut twice);
        kinds::default(resource(&once), &mut twice);
        assert_eq!(text(&once), text(&twice), "{}", case["what"]);
        assert_ne!(once, json!(null));
    }
}

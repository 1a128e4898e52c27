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
        lines.map(|line| format!("  {mark} {}\n", line.trim())).collect::<Vec<_>>().concat()
    };
    only(ours, theirs, "ours:  ") + &only(theirs, ours, "theirs:")
}

#[test]
fn new_objects_become_what_a_real_server_makes_of_them() {
    let mut wrong: Vec<String> = Vec::new();
    for case in cases(include_str!("fixtures/defaults.json")) {
        let mut ours = prepared(&case["create"]);
        if let Some(status) = ours.get_mut("status").and_then(Value::as_object_mut) {
            status.remove("lastPhaseTransitionTime");
            let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
            conditions.into_iter().flatten().for_each(|each| each["lastTransitionTime"] = Value::Null);
        }
        let (ours, theirs) = (text(&ours), text(&case["object"]));
        if ours != theirs {
            wrong.push(format!("{}\n{}", case["what"], difference(&ours, &theirs)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
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

fn causes_of(case: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let causes = case["causes"].as_array().into_iter().flatten();
    causes.map(|cause| (text(&cause["reason"]), text(&cause["field"]), first_line(&text(&cause["message"])))).collect()
}

/// What follows a first line is how two specifications differ; ours are shown in the words of the API.
/// Names that the server generates differ each time.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.split_once("Invalid value: \"A-") {
        Some((_, rest)) => format!("Invalid value: \"A-…{}", &rest[rest.find('"').unwrap()..]),
        None => line.to_owned(),
    }
}

/// Ours and theirs as sets, as maps have no order and the same cause may be told twice.
fn compare(what: &Value, ours: Vec<kinds::Cause>, theirs: &[(String, String, String)], wrong: &mut Vec<String>) {
    let ours = ours.into_iter().map(|cause| (cause.reason.to_owned(), cause.field, first_line(&cause.message)));
    let ours: Vec<_> = ours.collect();
    let missing = theirs.iter().filter(|cause| !ours.contains(cause));
    let extra = ours.iter().filter(|cause| !theirs.contains(cause));
    let lines: String = missing
        .map(|cause| format!("  theirs: {cause:?}\n"))
        .chain(extra.map(|cause| format!("  ours:   {cause:?}\n")))
        .collect();
    if !lines.is_empty() {
        wrong.push(format!("{what}\n{lines}"));
    }
}

#[test]
fn bad_objects_are_refused_in_the_words_of_a_real_server() {
    let mut wrong: Vec<String> = Vec::new();
    for case in cases(include_str!("fixtures/errors.json")) {
        // Others were refused by admission.
        if case["code"] != 422 && !case["object"].is_object() {
            continue;
        }
        let mut object = case["create"].clone();
        if object["kind"] == "Pod" && object["spec"]["serviceAccountName"].is_null() {
            object["spec"]["serviceAccountName"] = "default".into();
        }
        // What the server adds before its checks.
        if !RESOURCES_OF_CLUSTER.contains(&object["kind"].as_str().unwrap()) {
            object["metadata"]["namespace"] = "kinds".into();
        }
        if object["metadata"]["generateName"].is_string() {
            object["metadata"]["name"] = "A-generated".into();
        }
        normalize(&mut object);
        let object = prepared(&object);
        compare(&case["what"], kinds::validate_create(resource(&object), &object), &causes_of(&case), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

const RESOURCES_OF_CLUSTER: [&str; 6] =
    ["Namespace", "Node", "PersistentVolume", "StorageClass", "ClusterRole", "ClusterRoleBinding"];

#[test]
fn changes_are_kept_or_refused_as_a_real_server_does() {
    let mut wrong: Vec<String> = Vec::new();
    for case in cases(include_str!("fixtures/updates.json")) {
        if case["code"].is_i64() && case["code"] != 422 {
            continue;
        }
        let (before, mut after) = (&case["before"], case["after"].clone());
        normalize(&mut after);
        kinds::default(resource(before), &mut after);
        kinds::prepare_update(resource(before), before, &mut after, None);
        let causes = kinds::validate_update(resource(before), before, &after);
        compare(&case["what"], causes, &causes_of(&case), &mut wrong);
        let accepted = &case["object"];
        if accepted.is_object() {
            let mut theirs = accepted.clone();
            for object in [&mut after, &mut theirs] {
                object["metadata"].as_object_mut().unwrap().retain(|name, _| name == "generation" || name == "labels");
                // Controllers were at work meanwhile, and node ports are given later.
                object.as_object_mut().unwrap().remove("status");
                for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
                    port.as_object_mut().unwrap().remove("nodePort");
                }
            }
            let difference = difference(&text(&after), &text(&theirs));
            if !difference.is_empty() {
                wrong.push(format!("{}\n{difference}", case["what"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn tables_are_those_of_a_real_server() {
    let mut wrong: Vec<String> = Vec::new();
    for table in cases(include_str!("fixtures/tables.json")) {
        let name = table["resource"].as_str().unwrap();
        let mut parts = name.rsplitn(3, '/');
        let (plural, version) = (parts.next().unwrap(), parts.next().unwrap());
        let resource = kinds::by_plural(parts.next().unwrap_or_default(), version, plural).unwrap();
        let column = |column: &kinds::Column| json!({"name": column.name, "type": column.kind, "format": column.format, "priority": column.priority});
        let columns: Vec<Value> = kinds::columns(resource).iter().map(column).collect();
        if json!(columns) != table["columns"] {
            wrong.push(format!("{name}\n{}", difference(&text(&json!(columns)), &text(&table["columns"]))));
        }
        let now: jiff::Timestamp = table["now"].as_str().unwrap().parse().unwrap();
        for row in table["rows"].as_array().unwrap() {
            // The table may have been made a second before it was sent.
            let seconds = |back: i64| now - jiff::SignedDuration::from_secs(back);
            let near = [seconds(0), seconds(1)].map(|now| kinds::cells(resource, &row["object"], now));
            let same = |(place, cell): (usize, &Value)| near.iter().any(|cells| &cells[place] == cell);
            let theirs = row["cells"].as_array().unwrap();
            if theirs.len() != near[0].len() || !theirs.iter().enumerate().all(same) {
                wrong.push(format!("{name}\n  ours:   {}\n  theirs: {}\n", json!(near[0]), row["cells"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

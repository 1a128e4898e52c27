//! Reading and writing of the fields that all objects share.

use jiff::Timestamp;
use kinds::Resource;
use serde_json::{Map, Value, json};

/// The text at a JSON pointer, empty when there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at a JSON pointer.
pub fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The whole number at a JSON pointer, 0 when there is none.
pub fn count(object: &Value, pointer: &str) -> i64 {
    number(object, pointer).unwrap_or_default()
}

/// Whether the value at a JSON pointer is `true`.
pub fn flag(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// The list at a JSON pointer, empty when there is none.
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The map at a JSON pointer.
pub fn map<'a>(object: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    object.pointer(pointer).and_then(Value::as_object)
}

/// The texts of the list at a JSON pointer.
pub fn texts<'a>(object: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(object, pointer).iter().filter_map(Value::as_str).collect()
}

/// The object's name.
pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The object's namespace, empty for cluster-wide objects.
pub fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// The object's unique id.
pub fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// Whether somebody asked for its deletion.
pub fn is_deleting(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

/// A label's value.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("labels")?.get(key)?.as_str()
}

/// An annotation's value.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// The object's labels.
pub fn labels(object: &Value) -> Option<&Map<String, Value>> {
    map(object, "/metadata/labels")
}

/// Whether it has this finalizer.
pub fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    texts(object, "/metadata/finalizers").contains(&finalizer)
}

/// Takes a finalizer away; tells whether it was there.
pub fn remove_finalizer(object: &mut Value, finalizer: &str) -> bool {
    let Some(finalizers) = object.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut) else {
        return false;
    };
    let before = finalizers.len();
    finalizers.retain(|each| each != finalizer);
    let removed = finalizers.len() != before;
    if finalizers.is_empty() {
        drop_field(object, "/metadata", "finalizers");
    }
    removed
}

/// Adds a finalizer; tells whether it was missing.
pub fn add_finalizer(object: &mut Value, finalizer: &str) -> bool {
    if has_finalizer(object, finalizer) {
        return false;
    }
    match &mut object["metadata"]["finalizers"] {
        Value::Array(finalizers) => finalizers.push(finalizer.into()),
        other => *other = json!([finalizer]),
    }
    true
}

/// Takes a field of a map away; tells whether it was there.
pub fn drop_field(object: &mut Value, pointer: &str, field: &str) -> bool {
    object.pointer_mut(pointer).and_then(Value::as_object_mut).and_then(|map| map.shift_remove(field)).is_some()
}

/// Sets an annotation; tells whether that changed anything.
pub fn annotate(object: &mut Value, key: &str, value: &str) -> bool {
    if annotation(object, key) == Some(value) {
        return false;
    }
    object["metadata"]["annotations"][key] = value.into();
    true
}

/// The object's owner references.
pub fn owners(object: &Value) -> &[Value] {
    list(object, "/metadata/ownerReferences")
}

/// The reference to the owner that controls the object.
pub fn controller_of(object: &Value) -> Option<&Value> {
    owners(object).iter().find(|owner| flag(owner, "/controller"))
}

/// Whether the owner of this id controls the object.
pub fn is_controlled_by(object: &Value, owner_uid: &str) -> bool {
    controller_of(object).is_some_and(|owner| text(owner, "/uid") == owner_uid)
}

/// A reference to an owner that controls.
pub fn controller_reference(resource: &Resource, owner: &Value) -> Value {
    json!({
        "apiVersion": resource.api_version(),
        "kind": resource.kind,
        "name": name(owner),
        "uid": uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// A point in time as objects carry it: whole seconds.
pub fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The point in time at a JSON pointer.
pub fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer).parse().ok()
}

/// How long ago this was, in seconds; negative when it is still to come.
pub fn seconds_since(then: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(then).as_secs_f64()
}

/// The condition of this type.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|each| text(each, "/type") == kind)
}

/// Whether the condition of this type is `True`.
pub fn condition_holds(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|each| text(each, "/status") == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_finalizer_takes_the_field_with_it() {
        let mut object = json!({"metadata": {"finalizers": ["a", "b"]}});
        assert!(remove_finalizer(&mut object, "a"));
        assert!(!remove_finalizer(&mut object, "a"));
        assert!(remove_finalizer(&mut object, "b"));
        assert_eq!(object, json!({"metadata": {}}));
    }

    #[test]
    fn a_finalizer_is_added_once() {
        let mut object = json!({"metadata": {}});
        assert!(add_finalizer(&mut object, "a"));
        assert!(!add_finalizer(&mut object, "a"));
        assert_eq!(texts(&object, "/metadata/finalizers"), ["a"]);
    }

    #[test]
    fn times_are_whole_seconds() {
        let time: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        assert_eq!(stamp(time), "2026-01-02T03:04:05Z");
    }
}

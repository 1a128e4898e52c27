//! Which fields of an object are not as we applied them any more.

use engine::FieldChange;
use providers::kubernetes::{FIELD_MANAGER, ObjectMeta};
use serde_json::{Map, Value, json};

use crate::owned::is_ours;
use crate::vault::Vault;

/// The fields of a manifest that we set and do not own any more: the value that we set, and the one that is there.
///
/// Whoever changes a field takes its ownership. So what the API server only writes otherwise (`1024Mi` as `1Gi`), and what
/// others have added, is no difference. Values that come from a Secret are sealed.
pub(crate) fn fields(manifest: &Value, live: &Value, vault: &Vault) -> Vec<FieldChange> {
    let mut live = live.clone();
    vault.seal(&mut live);
    let managed = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    let ours = managed.filter(|entry| {
        entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply" && entry["subresource"].is_null()
    });
    let owned = ours.map(|entry| &entry["fieldsV1"]).next();
    let mut changes = Vec::new();
    object("", manifest, Some(&live), owned, &mut changes);
    changes.retain(|change| {
        !matches!(change.path.as_str(), "apiVersion" | "kind" | "metadata.name" | "metadata.namespace")
    });
    changes.into_iter().map(|change| discreet(change, vault)).collect()
}

/// Whether it is owned whole: then nothing below it differs.
fn is_leaf(owned: &Value) -> bool {
    owned.as_object().is_some_and(Map::is_empty)
}

fn value(path: &str, set: &Value, live: Option<&Value>, owned: Option<&Value>, changes: &mut Vec<FieldChange>) {
    if owned.is_some_and(is_leaf) || set.is_null() {
        return;
    }
    match set {
        // A variable from a Secret is one thing: what stands in its place may be a secret, too.
        Value::Object(_) if is_reference_to_secret(set) => {
            if live.and_then(|live| live.get("valueFrom")) != set.get("valueFrom") {
                changes.push(FieldChange { path: path.to_owned(), old: Some(set.clone()), new: live.cloned() });
            }
        }
        Value::Object(_) => object(path, set, live, owned, changes),
        Value::Array(items) => list(path, items, live, owned, changes),
        _ if owned.is_some() || Some(set) == live => {}
        _ => changes.push(FieldChange { path: path.to_owned(), old: Some(set.clone()), new: live.cloned() }),
    }
}

fn object(path: &str, set: &Value, live: Option<&Value>, owned: Option<&Value>, changes: &mut Vec<FieldChange>) {
    for (name, member) in set.as_object().into_iter().flatten() {
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let owned = owned.and_then(|owned| owned.get(format!("f:{name}")));
        value(&inner, member, live.and_then(|live| live.get(name)), owned, changes);
    }
}

fn list(path: &str, set: &[Value], live: Option<&Value>, owned: Option<&Value>, changes: &mut Vec<FieldChange>) {
    let owned = owned.and_then(Value::as_object);
    let is_set = owned.is_some_and(|owned| owned.keys().any(|key| key.starts_with("v:")));
    let is_whole = !is_set && !set.iter().all(Value::is_object);
    let Some(found) = live.and_then(Value::as_array).filter(|found| !is_whole || *found == set) else {
        if !set.is_empty() {
            changes.push(FieldChange { path: path.to_owned(), old: Some(set.into()), new: live.cloned() });
        }
        return;
    };
    for (index, item) in set.iter().enumerate() {
        let name = item["name"].as_str().map_or_else(|| index.to_string(), str::to_owned);
        let path = format!("{path}[{name}]");
        if owned.is_some_and(|owned| owned.contains_key(&format!("v:{item}"))) {
            continue;
        }
        // An item is known by some of its fields, which stand in its place among the fields that are owned.
        let keys = owned.into_iter().flatten().filter_map(|(key, owned)| {
            Some((serde_json::from_str::<Map<String, Value>>(key.strip_prefix("k:")?).ok()?, owned))
        });
        let ours = keys.into_iter().find(|(key, _)| has(item, key));
        let other = match &ours {
            Some((key, _)) => found.iter().find(|other| has_all(other, key)),
            None => same_item(item, index, found),
        };
        match other {
            None => changes.push(FieldChange { path, old: Some(item.clone()), new: None }),
            Some(other) => value(&path, item, Some(other), ours.map(|(_, owned)| owned), changes),
        }
    }
}

/// Whether an item that we set can be the one with this key; parts of a key may have been filled in.
fn has(item: &Value, key: &Map<String, Value>) -> bool {
    key.iter().all(|(name, value)| item.get(name).is_none_or(|set| set == value))
        && key.keys().any(|name| item.get(name).is_some())
}

fn has_all(item: &Value, key: &Map<String, Value>) -> bool {
    key.iter().all(|(name, value)| item.get(name) == Some(value))
}

/// The item with the same name, or else at the same place.
fn same_item<'a>(item: &Value, index: usize, found: &'a [Value]) -> Option<&'a Value> {
    match item.get("name") {
        Some(name) => found.iter().find(|other| other.get("name") == Some(name)),
        None if item.is_object() => found.get(index),
        None => found.iter().find(|other| *other == item),
    }
}

/// Whether it is a variable of a container that comes from a Secret.
fn is_reference_to_secret(item: &Value) -> bool {
    item.pointer("/valueFrom/secretKeyRef").is_some()
}

/// What stands where a value from a Secret was is not shown, either.
fn discreet(change: FieldChange, vault: &Vault) -> FieldChange {
    let is_secret = [&change.old, &change.new].into_iter().flatten().any(is_reference_to_secret);
    let sealed = |item: Option<Value>| {
        let mut item = item?;
        if is_secret && let Some(value) = item.get_mut("value") {
            *value = vault.sealed(&change.path, &value.to_string()).into();
        }
        Some(item)
    };
    FieldChange { old: sealed(change.old.clone()), new: sealed(change.new.clone()), ..change }
}

/// Who owns fields that a manifest sets and that we do not own: without force, applying the manifest would be refused.
pub(crate) fn takers<'a>(manifest: &Value, metadata: &'a ObjectMeta) -> Vec<&'a str> {
    let entries = || metadata.managed_fields.iter().flatten();
    let empty = json!({});
    let ours = entries().find(|entry| is_ours(entry)).and_then(|entry| entry.fields_v1.as_ref());
    let ours = ours.map_or(&empty, |fields| &fields.0);
    let others = entries().filter(|entry| !is_ours(entry) && entry.subresource.as_deref() != Some("status"));
    let takers =
        others.filter(|entry| entry.fields_v1.as_ref().is_some_and(|theirs| is_taken(manifest, ours, &theirs.0)));
    takers.filter_map(|entry| entry.manager.as_deref()).collect()
}

/// Whether others own a field that is set and that is not ours.
fn is_taken(set: &Value, ours: &Value, theirs: &Value) -> bool {
    let member = |key: &str, member: &Value| {
        let (ours, Some(theirs)) = (ours.get(key), theirs.get(key)) else { return false };
        match ours {
            Some(ours) if is_leaf(ours) => false,
            None if is_leaf(theirs) => !member.is_null(),
            ours => is_taken(member, ours.unwrap_or(&Value::Null), theirs),
        }
    };
    match set {
        Value::Object(members) => members.iter().any(|(name, value)| member(&format!("f:{name}"), value)),
        Value::Array(items) => theirs.as_object().into_iter().flatten().any(|(key, _)| {
            let parts = key.strip_prefix("k:").and_then(|key| serde_json::from_str::<Map<String, Value>>(key).ok());
            let item = parts.and_then(|parts| items.iter().find(|item| has(item, &parts)));
            item.is_some_and(|item| member(key, item))
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(mut object: Value, fields: &Value) -> Value {
        object["metadata"]["managedFields"] = json!([
            {"manager": "kubectl-edit", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {}},
            {"manager": "infra", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields},
        ]);
        object
    }

    fn told(manifest: &Value, live: &Value) -> Vec<String> {
        let shown = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
        let changes = fields(manifest, live, &Vault::new(b"key"));
        changes.iter().map(|it| format!("{}: {} -> {}", it.path, shown(&it.old), shown(&it.new))).collect()
    }

    #[test]
    fn a_field_that_somebody_took_over_is_told_with_both_values() {
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x": "1"}},
            "data": {"color": "blue", "size": "1", "gone": "1"}});
        let found = live(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x": "1", "y": "2"}},
                "data": {"color": "red", "size": "1", "added": "by others"}}),
            &json!({"f:metadata": {"f:labels": {"f:x": {}}}, "f:data": {"f:size": {}}}),
        );
        assert_eq!(told(&manifest, &found), [r#"data.color: "blue" -> "red""#, r#"data.gone: "1" -> -"#]);
    }

    #[test]
    fn what_is_only_written_otherwise_is_no_difference() {
        let manifest =
            json!({"kind": "PersistentVolumeClaim", "spec": {"resources": {"requests": {"storage": "1024Mi"}}}});
        let found = live(
            json!({"kind": "PersistentVolumeClaim", "spec": {"resources": {"requests": {"storage": "1Gi"}}}}),
            &json!({"f:spec": {"f:resources": {"f:requests": {"f:storage": {}}}}}),
        );
        assert_eq!(told(&manifest, &found), [] as [&str; 0]);
    }

    #[test]
    fn items_of_lists_are_found_by_their_keys() {
        let manifest = json!({"spec": {"replicas": 1, "containers": [{"name": "web", "image": "a", "args": ["x"],
            "ports": [{"containerPort": 80, "name": "http"}]}, {"name": "side", "image": "b"}]}});
        let found = live(
            json!({"spec": {"replicas": 3, "containers": [{"name": "web", "image": "z", "args": ["y"],
                "ports": [{"containerPort": 80, "name": "other", "protocol": "TCP"}]}]}}),
            &json!({"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}),
        );
        assert_eq!(
            told(&manifest, &found),
            [
                "spec.replicas: 1 -> 3",
                r#"spec.containers[web].image: "a" -> "z""#,
                r#"spec.containers[web].args: ["x"] -> ["y"]"#,
                r#"spec.containers[web].ports[http].name: "http" -> "other""#,
                r#"spec.containers[side]: {"name":"side","image":"b"} -> -"#,
            ]
        );
    }

    #[test]
    fn what_is_owned_whole_is_as_it_was_set() {
        let manifest = json!({"spec": {"args": ["a", "b"], "selector": {"app": "x"}, "emptyDir": {}}});
        let found = live(
            json!({"spec": {"args": ["a", "b"], "selector": {"app": "x"}, "emptyDir": {}}}),
            &json!({"f:spec": {"f:args": {}, "f:selector": {}, "f:emptyDir": {}}}),
        );
        assert_eq!(told(&manifest, &found), [] as [&str; 0]);
    }

    #[test]
    fn no_value_of_a_secret_is_told() {
        let vault = Vault::new(b"key");
        let mut manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
            "stringData": {"password": "hunter2-hunter2"}});
        vault.seal(&mut manifest);
        let found = live(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"password": "Y2hhbmdlZA=="}}),
            &json!({}),
        );
        let changes = fields(&manifest, &found, &vault);
        let text = serde_json::to_string(&changes).expect("data");
        assert!(changes.len() == 1 && !text.contains("Y2hhbmdlZA") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn what_takes_the_place_of_a_variable_from_a_secret_is_not_told() {
        let variable = json!({"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}});
        let manifest = json!({"spec": {"env": [variable]}});
        let name_only = json!({"f:spec": {"f:env": {"k:{\"name\":\"PASSWORD\"}": {".": {}, "f:name": {}}}}});
        for owned in [name_only, json!({})] {
            let found = live(json!({"spec": {"env": [{"name": "PASSWORD", "value": "hunter2"}]}}), &owned);
            let changes = fields(&manifest, &found, &Vault::new(b"key"));
            let text = serde_json::to_string(&changes).expect("data");
            assert!(changes.len() == 1 && changes[0].path == "spec.env[PASSWORD]", "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn whoever_owns_a_field_that_we_set_is_named() {
        let manifest = json!({"data": {"a": "1", "b": "1"}});
        let of = |theirs: &Value| -> ObjectMeta {
            serde_json::from_value(json!({"managedFields": [
                {"manager": "infra", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}},
                {"manager": "kubectl-edit", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": theirs},
            ]}))
            .expect("metadata")
        };
        assert_eq!(takers(&manifest, &of(&json!({"f:data": {"f:b": {}}}))), ["kubectl-edit"]);
        assert_eq!(takers(&manifest, &of(&json!({"f:data": {"f:c": {}}, "f:metadata": {}}))), [] as [&str; 0]);
        let item = |field: &str| json!({"f:env": {"k:{\"name\":\"A\"}": {field: {}}}});
        assert_eq!(takers(&json!({"env": [{"name": "A", "value": "1"}]}), &of(&item("f:value"))), ["kubectl-edit"]);
        assert_eq!(takers(&json!({"env": [{"name": "A", "value": "1"}]}), &of(&item("f:other"))), [] as [&str; 0]);
    }
}

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::graph::as_reference;

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Where it is, for example `manifest.spec.replicas`. Items of a list that all have a name are called by it:
    /// `containers[web].image`.
    pub path: String,
    /// The value before; none where the field is new.
    pub old: Option<Value>,
    /// The value after; none where the field goes. A reference says that it is known only after that step.
    pub new: Option<Value>,
}

impl FieldChange {
    /// Whether the new value is known only later.
    pub(crate) fn is_open(&self) -> bool {
        self.new.as_ref().is_some_and(contains_reference)
    }
}

/// The smallest differing parts of two values.
pub fn differences(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare("", Some(old), Some(new), &mut changes);
    changes
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (old, new) {
        (Some(Value::Object(before)), Some(Value::Object(after))) if !has_reference(old, new) => {
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&inner, before.get(key), after.get(key), changes);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => match (names(before), names(after)) {
            (Some(old), Some(new)) => compare_named(path, (before, &old), (after, &new), changes),
            _ => {
                for index in 0..before.len().max(after.len()) {
                    compare(&format!("{path}[{index}]"), before.get(index), after.get(index), changes);
                }
            }
        },
        _ if old == new => {}
        _ => changes.push(FieldChange { path: path.to_owned(), old: old.cloned(), new: new.cloned() }),
    }
}

/// The names of a list's items, where each has one of its own. An empty list has them, too.
fn names(items: &[Value]) -> Option<Vec<&str>> {
    let names: Vec<&str> = items.iter().map(|item| item.get("name").and_then(Value::as_str)).collect::<Option<_>>()?;
    let distinct: BTreeSet<&&str> = names.iter().collect();
    (distinct.len() == names.len()).then_some(names)
}

/// Compares items that have one name, whatever their place is; and then the order of those that are in both lists.
fn compare_named(
    path: &str,
    (before, old): (&[Value], &[&str]),
    (after, new): (&[Value], &[&str]),
    changes: &mut Vec<FieldChange>,
) {
    let find = |items: &'_ [Value], names: &[&str], name: &str| {
        names.iter().position(|other| *other == name).map(|index| items[index].clone())
    };
    let added = new.iter().filter(|name| !old.contains(name));
    for name in old.iter().chain(added) {
        let (old, new) = (find(before, old, name), find(after, new, name));
        compare(&format!("{path}[{name}]"), old.as_ref(), new.as_ref(), changes);
    }
    let common = |names: &[&str], others: &[&str]| {
        names.iter().filter(|name| others.contains(name)).map(|name| Value::from(*name)).collect::<Vec<_>>()
    };
    let (old, new) = (common(old, new), common(new, old));
    if old != new {
        let path = format!("order of {path}");
        changes.push(FieldChange { path, old: Some(Value::Array(old)), new: Some(Value::Array(new)) });
    }
}

fn has_reference(old: Option<&Value>, new: Option<&Value>) -> bool {
    [old, new].into_iter().flatten().any(|value| as_reference(value).is_some())
}

fn contains_reference(value: &Value) -> bool {
    as_reference(value).is_some()
        || match value {
            Value::Array(items) => items.iter().any(contains_reference),
            Value::Object(members) => members.values().any(contains_reference),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(old: &Value, new: &Value) -> Vec<String> {
        let shown = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
        let changes = differences(old, new);
        changes.iter().map(|it| format!("{}: {} -> {}", it.path, shown(&it.old), shown(&it.new))).collect()
    }

    #[test]
    fn items_with_names_are_compared_by_name() {
        let old = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
        let new = json!({"containers": [{"name": "c"}, {"name": "b", "image": "2"}]});
        assert_eq!(
            told(&old, &new),
            [
                r#"containers[a]: {"name":"a","image":"1"} -> -"#,
                r#"containers[b].image: "1" -> "2""#,
                r#"containers[c]: - -> {"name":"c"}"#
            ]
        );
    }

    #[test]
    fn another_order_alone_is_a_difference() {
        let [a, b] = [json!({"name": "a"}), json!({"name": "b"})];
        assert_eq!(told(&json!({"env": [a, b]}), &json!({"env": [b, a]})), [r#"order of env: ["a","b"] -> ["b","a"]"#]);
        assert_eq!(told(&json!({"env": [a, b]}), &json!({"env": [a, b]})), [] as [&str; 0]);
    }

    #[test]
    fn items_without_names_of_their_own_are_compared_by_place() {
        let mount = |path: &str| json!({"name": "data", "mountPath": path});
        assert_eq!(
            told(&json!([mount("/a"), mount("/b")]), &json!([mount("/a"), mount("/c")])),
            [r#"[1].mountPath: "/b" -> "/c""#]
        );
        assert_eq!(told(&json!(["a"]), &json!(["a", "b"])), [r#"[1]: - -> "b""#]);
    }
}

//! Reading objects.

use jiff::Timestamp;
use serde_json::Value;

/// The text in a field; empty when there is none.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// The items of a list; none when there is no list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A moment as objects write it.
pub fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A moment as objects write it, in whole seconds.
pub fn moment(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// The object's namespace.
pub fn namespace(object: &Value) -> &str {
    text(&object["metadata"], "namespace")
}

/// The object's name.
pub fn name(object: &Value) -> &str {
    text(&object["metadata"], "name")
}

/// The object's identity.
pub fn uid(object: &Value) -> &str {
    text(&object["metadata"], "uid")
}

/// As messages name a pod: `name_namespace(uid)`.
pub fn title(pod: &Value) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

/// The container with this name, init containers included.
pub fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let spec = &pod["spec"];
    let all = list(&spec["initContainers"]).iter().chain(list(&spec["containers"]));
    all.into_iter().find(|container| text(container, "name") == name)
}

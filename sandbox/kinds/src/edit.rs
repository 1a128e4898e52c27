//! Small changes of objects, as defaulting needs them.

use serde_json::{Map, Value};

/// Sets the field when it is not there.
pub(crate) fn fill(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut() {
        fill_field(fields, name, value);
    }
}

/// Sets the field when it is not there or null.
pub(crate) fn fill_field(fields: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    match fields.get_mut(name) {
        Some(found) if !found.is_null() => {}
        Some(null) => *null = value.into(),
        None => {
            fields.insert(name.to_owned(), value.into());
        }
    }
}

/// Sets the field when it is not there or an empty text.
pub(crate) fn fill_empty(object: &mut Value, name: &str, value: &str) {
    if text(object, name).is_empty() {
        set(object, name, value);
    }
}

/// Sets the field, whatever it was.
pub(crate) fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value.into());
    }
}

/// Takes the field away.
pub(crate) fn remove(object: &mut Value, name: &str) -> Option<Value> {
    // The order of the other fields stays.
    object.as_object_mut().and_then(|fields| fields.shift_remove(name))
}

/// The object in this field, made when it is not there.
pub(crate) fn object<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    fill(value, name, Map::new());
    value.get_mut(name)
}

/// The object in this field, if it is there.
pub(crate) fn part<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    value.get_mut(name).filter(|part| part.is_object())
}

/// The items of the list in this field; none when there is no list.
pub(crate) fn items<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

/// The field's text; empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The items of the list in this field; none when there is no list.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether the field is there and not null.
pub(crate) fn has(value: &Value, name: &str) -> bool {
    value.get(name).is_some_and(|value| !value.is_null())
}

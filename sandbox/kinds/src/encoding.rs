//! How the API server writes an object: which fields it leaves out when they are empty, and which it always shows.
//!
//! `data/encoding.txt` has one line for each type: its name, then its fields. A field is its name, `!` when it is
//! always written or `?` when it is left out while it is zero, `*` when zero and absent differ, and its shape.

use crate::quantity;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::OnceLock;

#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    Truth,
    Number,
    Quantity,
    Time,
    MicroTime,
    IntegerOrText,
    Any,
    Object(u16),
    /// A list or map; the shape of what is in it has this place among the inner shapes.
    List(u16),
    Map(u16),
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    always: bool,
    pointer: bool,
    shape: Shape,
}

#[derive(Debug, Default)]
struct Types {
    places: HashMap<&'static str, u16>,
    fields: Vec<Vec<Field>>,
    inner: Vec<Shape>,
}

fn types() -> &'static Types {
    static TYPES: OnceLock<Types> = OnceLock::new();
    TYPES.get_or_init(|| Types::read(include_str!("../data/encoding.txt")))
}

impl Types {
    fn read(text: &'static str) -> Types {
        let mut types = Types::default();
        for (place, line) in (0..).zip(text.lines()) {
            types.places.insert(line.split(' ').next().unwrap_or_default(), place);
        }
        for line in text.lines() {
            let fields = line.split(' ').skip(1).map(|field| types.field(field)).collect();
            types.fields.push(fields);
        }
        types
    }

    fn field(&mut self, text: &'static str) -> Field {
        let end = text.find(['!', '?']).unwrap_or(text.len() - 1);
        let (name, rest) = text.split_at(end);
        let (mark, shape) = rest.split_at(1);
        let pointer = shape.starts_with('*');
        Field { name, always: mark == "!", pointer, shape: self.shape(shape.trim_start_matches('*')) }
    }

    fn shape(&mut self, text: &'static str) -> Shape {
        match text {
            "s" | "B" => Shape::Text,
            "b" => Shape::Truth,
            "i" | "f" => Shape::Number,
            "q" => Shape::Quantity,
            "t" => Shape::Time,
            "u" => Shape::MicroTime,
            "x" => Shape::IntegerOrText,
            "a" => Shape::Any,
            _ => {
                let rest = &text[1..];
                match text.as_bytes()[0] {
                    b'[' => Shape::List(self.inner(rest)),
                    b'{' => Shape::Map(self.inner(rest)),
                    b'*' => self.shape(rest),
                    _ => Shape::Object(self.places[text]),
                }
            }
        }
    }

    fn inner(&mut self, text: &'static str) -> u16 {
        let shape = self.shape(text);
        self.inner.push(shape);
        u16::try_from(self.inner.len() - 1).unwrap_or(u16::MAX)
    }
}

/// Writes an object of this type as the API server would: unknown and empty fields go, those always shown come.
///
/// Values of a wrong type are left alone: the schema's check tells about them.
pub(crate) fn normalize(type_name: &str, object: &mut Value) {
    if let Some(place) = types().places.get(type_name) {
        normalize_object(*place, object);
    }
}

/// What the API server writes for this type's field when nothing is set in it, such as `{"loadBalancer":{}}`.
pub(crate) fn zero(type_name: &str, field: &str) -> Value {
    let fields = types().places.get(type_name).map(|place| &types().fields[usize::from(*place)]);
    let shape = fields.and_then(|fields| fields.iter().find(|each| each.name == field)).map(|field| field.shape);
    shape.map_or(Value::Null, zero_of)
}

fn normalize_object(place: u16, object: &mut Value) {
    let fields = &types().fields[usize::from(place)];
    let Some(entries) = object.as_object_mut() else { return };
    entries.retain(|name, value| {
        let Some(field) = fields.iter().find(|field| field.name == name) else { return false };
        if value.is_null() && !field.pointer {
            *value = zero_of(field.shape);
        }
        normalize_value(field.shape, value);
        field.always || !is_left_out(field, value)
    });
    for field in fields.iter().filter(|field| field.always) {
        if !entries.contains_key(field.name) {
            let value = if field.pointer { Value::Null } else { zero_of(field.shape) };
            entries.insert(field.name.to_owned(), value);
        }
    }
}

fn is_left_out(field: &Field, value: &Value) -> bool {
    match value {
        Value::Null => true,
        _ if field.pointer => false,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty() && !matches!(field.shape, Shape::Object(_) | Shape::Any),
    }
}

fn normalize_value(shape: Shape, value: &mut Value) {
    match shape {
        Shape::Text | Shape::Truth | Shape::Number | Shape::IntegerOrText | Shape::Any => {}
        Shape::Quantity => normalize_quantity(value, false),
        Shape::Time => normalize_time(value, 0),
        Shape::MicroTime => normalize_time(value, 6),
        Shape::Object(place) => normalize_object(place, value),
        Shape::List(inner) => {
            let inner = types().inner[usize::from(inner)];
            value.as_array_mut().into_iter().flatten().for_each(|item| normalize_value(inner, item));
        }
        Shape::Map(inner) => {
            let inner = types().inner[usize::from(inner)];
            for item in value.as_object_mut().into_iter().flat_map(Map::values_mut) {
                match inner {
                    // Maps of quantities are resource lists, which are rounded up to thousandths.
                    Shape::Quantity => normalize_quantity(item, true),
                    _ if item.is_null() => *item = zero_of(inner),
                    _ => normalize_value(inner, item),
                }
            }
        }
    }
}

fn normalize_quantity(value: &mut Value, to_millis: bool) {
    let Ok(quantity) = quantity::from_value(value) else { return };
    let quantity = if to_millis { quantity.rounded_up_to_millis() } else { quantity };
    let text = quantity.to_string();
    if value.as_str() != Some(&text) {
        *value = Value::String(text);
    }
}

fn normalize_time(value: &mut Value, decimals: usize) {
    let Some(text) = value.as_str() else { return };
    let length = if decimals == 0 { 20 } else { 21 + decimals };
    if text.len() == length && text.ends_with('Z') {
        return;
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        *value = Value::String(format!("{time:.decimals$}"));
    }
}

fn zero_of(shape: Shape) -> Value {
    match shape {
        Shape::Text => Value::String(String::new()),
        Shape::Truth => Value::Bool(false),
        Shape::Number | Shape::IntegerOrText => 0.into(),
        Shape::Quantity => Value::String("0".to_owned()),
        Shape::Time | Shape::MicroTime | Shape::Any | Shape::List(_) | Shape::Map(_) => Value::Null,
        Shape::Object(place) => {
            let mut object = Value::Object(Map::new());
            normalize_object(place, &mut object);
            object
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn empty_fields_go_and_those_always_shown_come() {
        let mut object = json!({
            "metadata": {"name": "a", "labels": {}, "creationTimestamp": null, "nonsense": 1},
            "spec": {"replicas": 0, "paused": false, "template": {"spec": {"containers": [
                {"name": "a", "env": [{"name": "A", "value": ""}], "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}},
            ]}}},
        });
        normalize("Deployment", &mut object);
        let expected = json!({
            "metadata": {"name": "a"},
            "spec": {"replicas": 0, "selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": [
                {"name": "a", "env": [{"name": "A"}], "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}},
            ]}}},
            "status": {},
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn times_are_written_in_utc_without_fractions() {
        let mut object = json!({"status": {"conditions": [{"lastTransitionTime": "2026-01-01T02:00:00.5+02:00"}]}});
        normalize("Pod", &mut object);
        let condition = &object["status"]["conditions"][0];
        assert_eq!(condition["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert!(condition["lastProbeTime"].is_null());
    }

    #[test]
    fn a_status_without_anything_is_what_the_type_always_shows() {
        assert_eq!(zero("Service", "status"), json!({"loadBalancer": {}}));
        assert_eq!(zero("ReplicaSet", "status"), json!({"replicas": 0}));
    }
}

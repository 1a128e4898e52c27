//! Quantities and times in the one form in which the API server writes them.

use crate::quantity;
use jiff::Timestamp;
use schema::{Shape, Type};
use serde_json::Value;

/// Writes every quantity and time of an object of this type in its one form. What cannot be read stays as it is.
pub(crate) fn normalize(ty: &Type, object: &mut Value) {
    for (name, value) in object.as_object_mut().into_iter().flatten() {
        if let Some(field) = ty.field(name) {
            normalize_value(&field.shape, value);
        }
    }
}

fn normalize_value(shape: &Shape, value: &mut Value) {
    match shape {
        Shape::Quantity => normalize_quantity(value, false),
        Shape::Time => normalize_time(value, 0),
        Shape::MicroTime => normalize_time(value, 6),
        Shape::Object(ty) => normalize(ty, value),
        Shape::List(inner, _) => {
            value.as_array_mut().into_iter().flatten().for_each(|item| normalize_value(inner, item));
        }
        Shape::Map(inner) => {
            for (_, item) in value.as_object_mut().into_iter().flatten() {
                match inner {
                    // Maps of quantities are resource lists, which are rounded up to thousandths.
                    Shape::Quantity => normalize_quantity(item, true),
                    _ => normalize_value(inner, item),
                }
            }
        }
        _ => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn normalized(mut object: Value) -> Value {
        normalize(schema::kind("", "v1", "Pod").unwrap(), &mut object);
        object
    }

    #[test]
    fn quantities_are_written_in_their_one_form() {
        let resources = json!({"limits": {"cpu": 0.5, "memory": "1024Mi", "x": "nonsense"}});
        let pod = normalized(json!({"spec": {"containers": [{"resources": resources}]}}));
        let expected = json!({"limits": {"cpu": "500m", "memory": "1Gi", "x": "nonsense"}});
        assert_eq!(pod["spec"]["containers"][0]["resources"], expected);
    }

    #[test]
    fn times_are_written_in_utc_without_fractions() {
        let pod = normalized(json!({"status": {"startTime": "2026-01-01T02:00:00.5+02:00"}}));
        assert_eq!(pod["status"]["startTime"], "2026-01-01T00:00:00Z");
    }
}

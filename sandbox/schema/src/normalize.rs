//! The form in which the API server stores and shows an object.

use serde_json::{Map, Value};

use crate::types::{Empty, Field, Shape, Type};

/// Brings an object into the form that it has after the API server's decoding and encoding.
///
/// Unknown fields, `null`s and empty fields that are not shown are dropped; fields that are always shown, such as `status`
/// or `resources` of a container, are filled with their empty value. Values of the wrong type are left as they are.
pub fn normalize(ty: &'static Type, object: &mut Value) {
    if let Value::Object(fields) = object {
        normalize_fields(ty, fields);
    }
}

fn normalize_fields(ty: &'static Type, fields: &mut Map<String, Value>) {
    fields.retain(|name, value| {
        let Some(field) = ty.field(name) else {
            return false;
        };
        normalize_value(&field.shape, value);
        match field.empty {
            Empty::Kept => !value.is_null(),
            Empty::Dropped => !is_empty(value),
            Empty::Filled => true,
        }
    });
    for field in &ty.fields {
        if field.empty == Empty::Filled && fields.get(field.name).is_none_or(Value::is_null) {
            fields.insert(field.name.to_owned(), zero_of(field));
        }
    }
}

fn normalize_value(shape: &Shape, value: &mut Value) {
    match (shape, value) {
        (Shape::Object(ty), Value::Object(fields)) => normalize_fields(ty, fields),
        (Shape::Map(element), Value::Object(entries)) => {
            for (_, inner) in entries.iter_mut() {
                fill_null(element, inner);
                normalize_value(element, inner);
            }
        }
        (Shape::List(element, _), Value::Array(elements)) => {
            for inner in elements {
                fill_null(element, inner);
                normalize_value(element, inner);
            }
        }
        _ => {}
    }
}

/// An element that is `null` decodes to its type's empty value.
fn fill_null(shape: &Shape, value: &mut Value) {
    if value.is_null() {
        *value = zero_of_shape(shape);
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    }
}

/// An object of the type with nothing set: what is shown of a field that is always shown.
pub fn zero(ty: &'static Type) -> Value {
    let always = ty.fields.iter().filter(|field| field.empty == Empty::Filled);
    Value::Object(always.map(|field| (field.name.to_owned(), zero_of(field))).collect())
}

fn zero_of(field: &Field) -> Value {
    match field.shape {
        Shape::List(..) | Shape::Map(_) | Shape::Bytes => Value::Null,
        shape => zero_of_shape(&shape),
    }
}

fn zero_of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::String => Value::String(String::new()),
        Shape::Integer32 | Shape::Integer | Shape::Number | Shape::IntOrString => Value::from(0),
        Shape::Boolean => Value::Bool(false),
        Shape::Quantity => Value::String("0".to_owned()),
        Shape::Object(ty) => zero(ty),
        _ => Value::Null,
    }
}

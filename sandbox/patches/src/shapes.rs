//! Which fields an object has, what is left without some of them, and whether it fits its type.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use schema::{ListKind, Shape, Type};
use serde_json::{Map, Value};

use crate::element::Element;
use crate::fields::{Entry, FieldSet};

/// A value's place in its type: its shape, and whether it has one owner as a whole.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) atomic: bool,
}

impl<'a> Place<'a> {
    /// The place of what is inside of a list or map.
    pub(crate) fn inside(shape: &'a Shape) -> Self {
        Self { shape, atomic: shape.is_atomic() }
    }

    /// The place of a field or key; unknown fields are single values.
    pub(crate) fn field(self, name: &str) -> Place<'a> {
        match self.shape {
            Shape::Object(ty) => ty.field(name).map_or(Place { shape: &Shape::Any, atomic: true }, |field| Place {
                shape: &field.shape,
                atomic: field.atomic,
            }),
            Shape::Map(inner) => Place::inside(inner),
            _ => Place { shape: &Shape::Any, atomic: true },
        }
    }

    /// Whether the fields of an object here are named by its type.
    pub(crate) fn is_struct(self) -> bool {
        matches!(self.shape, Shape::Object(_))
    }
}

/// What a value is made of, by its place and form.
pub(crate) enum Parts<'a> {
    /// One value with one owner.
    Leaf,
    /// Fields or keys, each with its owners; `None` for `null`.
    Fields(Option<&'a Map<String, Value>>),
    /// Elements that are told apart; `None` for `null`.
    Elements(Option<&'a [Value]>),
}

/// Takes a value apart; absent values have no parts.
pub(crate) fn parts<'a>(place: Place<'_>, value: Option<&'a Value>) -> Parts<'a> {
    match place.shape {
        _ if place.atomic => Parts::Leaf,
        Shape::Object(_) | Shape::Map(_) => Parts::Fields(value.and_then(Value::as_object)),
        Shape::List(_, ListKind::Set | ListKind::Map(_)) => {
            Parts::Elements(value.and_then(Value::as_array).map(Vec::as_slice))
        }
        _ => Parts::Leaf,
    }
}

/// What tells an element of a list apart from the others.
pub(crate) fn element_of(shape: &Shape, item: &Value) -> Result<Element, String> {
    let Shape::List(inner, ListKind::Map(keys)) = shape else {
        return match item {
            Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
            _ => Ok(Element::Value(item.clone())),
        };
    };
    let fields = match item {
        Value::Object(fields) => fields,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let mut parts: Vec<(Box<str>, Value)> = Vec::with_capacity(keys.len());
    for key in *keys {
        let value = fields.get(*key).cloned().or_else(|| key_default(inner, key));
        parts.extend(value.map(|value| (Box::from(*key), value)));
    }
    if parts.is_empty() {
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            keys.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(" ")
        ));
    }
    Ok(Element::key(parts))
}

/// The value of a key field that is not given, such as a port's protocol.
fn key_default(inner: &Shape, key: &str) -> Option<Value> {
    let Shape::Object(ty) = inner else {
        return None;
    };
    let field = ty.field(key)?;
    if let Some(text) = field.default {
        return serde_json::from_str(text).ok();
    }
    (field.empty == schema::Empty::Filled).then(|| match field.shape {
        Shape::String => Value::String(String::new()),
        _ => Value::from(0),
    })
}

/// The fields that an object has.
pub(crate) fn fields_of(ty: &'static Type, object: &Value) -> FieldSet {
    fields_at(Place { shape: &Shape::Object(ty), atomic: false }, object).1
}

/// Whether the value itself is a field of its own, and the fields in it.
fn fields_at(place: Place<'_>, value: &Value) -> (bool, FieldSet) {
    let mut entries = Vec::new();
    match parts(place, Some(value)) {
        Parts::Leaf => return (true, FieldSet::default()),
        Parts::Fields(fields) => {
            for (name, inner) in fields.into_iter().flatten() {
                let (member, below) = fields_at(place.field(name), inner);
                let member =
                    member || !place.is_struct() || inner.is_null() || inner.as_object().is_some_and(Map::is_empty);
                entries.push(Entry { element: Element::field(name), member, below });
            }
        }
        Parts::Elements(items) => {
            let Shape::List(inner, _) = place.shape else { return (true, FieldSet::default()) };
            for item in items.into_iter().flatten() {
                let Ok(element) = element_of(place.shape, item) else { continue };
                let (_, below) = fields_at(Place::inside(inner), item);
                entries.push(Entry { element, member: true, below });
            }
            entries.sort_by(|left, right| left.element.cmp(&right.element));
            // Elements that are there twice are owned as one.
            entries.dedup_by(|next, kept| {
                let twice = next.element == kept.element;
                if twice {
                    kept.below = FieldSet::default();
                }
                twice
            });
        }
    }
    (false, FieldSet::from_entries(entries))
}

/// The object without some fields. What becomes empty stays as `null`.
pub(crate) fn without(ty: &'static Type, object: &Value, set: &FieldSet) -> Value {
    without_at(Place { shape: &Shape::Object(ty), atomic: false }, object, set)
}

fn without_at(place: Place<'_>, value: &Value, set: &FieldSet) -> Value {
    let inner_value = |place: Place<'_>, inner: &Value, entry: Option<&Entry>| match entry {
        Some(entry) if entry.member => None,
        Some(entry) => Some(without_at(place, inner, &entry.below)),
        None => Some(inner.clone()),
    };
    match (parts(place, Some(value)), place.shape) {
        (Parts::Fields(Some(fields)), _) if !fields.is_empty() => {
            let kept: Map<String, Value> = fields
                .iter()
                .filter_map(|(name, inner)| {
                    Some((name.clone(), inner_value(place.field(name), inner, set.get(&Element::field(name)))?))
                })
                .collect();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (Parts::Elements(Some(items)), Shape::List(inner, _)) if !items.is_empty() => {
            let kept: Vec<Value> = items
                .iter()
                .filter_map(|item| {
                    let entry = element_of(place.shape, item).ok().and_then(|element| set.get(&element));
                    inner_value(Place::inside(inner), item, entry)
                })
                .collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        (Parts::Leaf, Shape::Object(_) | Shape::Map(_) | Shape::List(..)) => Value::Null,
        _ => value.clone(),
    }
}

/// What in an applied configuration does not fit its type, in the API server's words; empty if it fits.
pub(crate) fn misfits(ty: &'static Type, config: &Value) -> Vec<String> {
    let mut walk = Misfits { path: String::new(), problems: Vec::new() };
    walk.value(&Shape::Object(ty), config);
    walk.problems
}

struct Misfits {
    path: String,
    problems: Vec<String>,
}

impl Misfits {
    fn say(&mut self, text: &str) {
        let colon = if self.path.is_empty() { "" } else { ": " };
        self.problems.push(format!("{}{colon}{text}", self.path));
    }

    /// Does the work one step further down the path.
    fn inside(&mut self, step: impl std::fmt::Display, work: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        let _ = write!(self.path, "{step}");
        work(self);
        self.path.truncate(length);
    }

    fn value(&mut self, shape: &Shape, value: &Value) {
        match (shape, value) {
            (_, Value::Null) | (Shape::Any, _) => {}
            (Shape::Object(ty), Value::Object(fields)) => {
                for (name, inner) in fields {
                    let field = ty.field(name);
                    self.inside(format_args!(".{name}"), |walk| match field {
                        Some(field) => walk.value(&field.shape, inner),
                        None => walk.say("field not declared in schema"),
                    });
                    if field.is_none() {
                        return;
                    }
                }
            }
            (Shape::Map(inner), Value::Object(entries)) => {
                for (name, value) in entries {
                    self.inside(format_args!(".{name}"), |walk| walk.value(inner, value));
                }
            }
            (Shape::List(inner, kind), Value::Array(items)) => self.list(shape, inner, *kind, items),
            _ => {
                if let Some(problem) = scalar_misfit(shape, value) {
                    self.say(&problem);
                }
            }
        }
    }

    fn list(&mut self, shape: &Shape, inner: &Shape, kind: ListKind, items: &[Value]) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let element = match kind {
                ListKind::Atomic => Ok(Element::Index(i64::try_from(index).unwrap_or(i64::MAX))),
                _ => element_of(shape, item),
            };
            let element = match element {
                Ok(element) => element,
                Err(problem) => return self.say(&format!("element {index}: {problem}")),
            };
            if seen.contains(&element) {
                self.say(&format!("duplicate entries for key {element}"));
            }
            self.inside(&element, |walk| walk.value(inner, item));
            seen.insert(element);
        }
    }
}

fn scalar_misfit(shape: &Shape, value: &Value) -> Option<String> {
    let fits = match shape {
        Shape::String | Shape::Bytes => value.is_string(),
        Shape::Boolean => value.is_boolean(),
        Shape::Integer | Shape::Integer32 | Shape::Number => value.is_number(),
        Shape::Object(_) | Shape::Map(_) | Shape::List(..) => false,
        _ => !value.is_object() && !value.is_array(),
    };
    (!fits).then(|| match shape {
        Shape::Object(_) | Shape::Map(_) => format!("expected map, got &{{{}}}", go_text(value)),
        Shape::List(..) => format!("expected list, got &{{{}}}", go_text(value)),
        Shape::String | Shape::Bytes => {
            format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_text(value))
        }
        Shape::Boolean => format!("expected boolean, got &{{{}}}", go_text(value)),
        Shape::Integer | Shape::Integer32 | Shape::Number => {
            format!("expected numeric (int or float), got {}", go_type(value))
        }
        _ => format!("expected any scalar, got &{{{}}}", go_text(value)),
    })
}

/// A value as Go prints it: `map[name:web ports:[1 2]]`; the API server's messages have patches in this form.
pub fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut parts: Vec<String> =
                fields.iter().map(|(name, inner)| format!("{name}:{}", go_text(inner))).collect();
            parts.sort();
            format!("map[{}]", parts.join(" "))
        }
        _ => value.to_string(),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

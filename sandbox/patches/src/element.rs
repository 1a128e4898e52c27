//! One step of a path into an object.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

/// A field, or an element of a list by what tells it apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Element {
    /// A field of an object or a key of a map.
    Field(Box<str>),
    /// The element of a list with these values in its key fields, sorted by name.
    Key(Vec<(Box<str>, Value)>),
    /// The element of a set.
    Value(Value),
    /// The element of a list by its place; only read, never made.
    Index(i64),
}

impl Eq for Element {}

impl Ord for Element {
    /// The order in which managedFields are written.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(left), Self::Field(right)) => left.cmp(right),
            (Self::Key(left), Self::Key(right)) => compare_keys(left, right),
            (Self::Value(left), Self::Value(right)) => compare_values(left, right),
            (Self::Index(left), Self::Index(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Element {
    /// As in messages: `.spec`, `[name="web"]`, `[="a"]`, `[0]`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(formatter, ".{name}"),
            Self::Key(parts) => {
                let parts: Vec<String> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(formatter, "[{}]", parts.join(","))
            }
            Self::Value(value) => write!(formatter, "[={value}]"),
            Self::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

impl Element {
    pub(crate) fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }

    /// As in managedFields: `f:spec`, `k:{"name":"web"}`, `v:"a"`, `i:0`.
    pub(crate) fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(parts) => {
                let mut text = String::from("k:{");
                for (index, (name, value)) in parts.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    text.push_str(comma);
                    text.push_str(&json_text(&Value::String(name.as_ref().to_owned())));
                    text.push(':');
                    text.push_str(&json_text(value));
                }
                text.push('}');
                text
            }
            Self::Value(value) => format!("v:{}", json_text(value)),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads an element of managedFields; `Ok(None)` for kinds of elements that are not known, which are to be ignored.
    pub(crate) fn decode(text: &str) -> Result<Option<Self>, String> {
        let (Some(kind), Some(rest)) = (text.get(..2), text.get(2..)) else {
            return Err("key must be 2 characters long".to_owned());
        };
        let wrong = |error: serde_json::Error| format!("{text}: {error}");
        Ok(Some(match kind {
            "f:" => Self::field(rest),
            "k:" => {
                let parts: Map<String, Value> = serde_json::from_str(rest).map_err(wrong)?;
                Self::key(parts.into_iter().map(|(name, value)| (name.into_boxed_str(), value)).collect())
            }
            "v:" => Self::Value(serde_json::from_str(rest).map_err(wrong)?),
            "i:" => Self::Index(rest.parse().map_err(|error| format!("{text}: {error}"))?),
            _ if kind.ends_with(':') => return Ok(None),
            _ => return Err(format!("missing colon: {text}")),
        }))
    }

    /// The element with these key fields, in any order.
    pub(crate) fn key(mut parts: Vec<(Box<str>, Value)>) -> Self {
        parts.sort_by(|left, right| left.0.cmp(&right.0));
        Self::Key(parts)
    }
}

/// JSON as managedFields have it inside of elements: safe to put into HTML.
fn json_text(value: &Value) -> String {
    let text = value.to_string();
    if text.contains(['<', '>', '&']) {
        return text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    }
    text
}

fn compare_keys(left: &[(Box<str>, Value)], right: &[(Box<str>, Value)]) -> Ordering {
    for (left, right) in left.iter().zip(right) {
        let order = left.0.cmp(&right.0).then_with(|| compare_values(&left.1, &right.1));
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

/// Numbers, then texts, booleans, lists, objects and null.
fn compare_values(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(first), Value::Number(second)) => match (first.as_i64(), second.as_i64()) {
            (Some(first), Some(second)) => first.cmp(&second),
            _ => first.as_f64().partial_cmp(&second.as_f64()).unwrap_or(Ordering::Equal),
        },
        (Value::String(first), Value::String(second)) => first.cmp(second),
        (Value::Bool(first), Value::Bool(second)) => first.cmp(second),
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => {
            left.to_string().cmp(&right.to_string())
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

//! Strict field validation.

use std::fmt::{self, Write as _};

use serde_json::Value;

use crate::quantity;
use crate::types::{Field, Shape, Type};

/// Something in an object that its kind does not have, or of another type than it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A field that does not exist. The API server refuses or warns, as the request's `fieldValidation` says.
    UnknownField {
        /// Where, such as `spec.containers[0].nmae`.
        path: String,
    },
    /// A value of the wrong type, always refused.
    WrongType {
        /// Where, such as `spec.containers[0].name`.
        path: String,
        /// The decoder's text, such as `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
        message: String,
    },
}

impl fmt::Display for Problem {
    /// The API server's words; those for unknown fields follow after `strict decoding error: `, joined by commas.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownField { path } => write!(formatter, "unknown field {path:?}"),
            Self::WrongType { message, .. } => formatter.write_str(message),
        }
    }
}

/// Everything in `object` that does not fit the kind, in the object's order; nothing for kinds that the sandbox does not have.
pub fn check(group: &str, version: &str, kind: &str, object: &Value) -> Vec<Problem> {
    let Some(ty) = crate::kind(group, version, kind) else {
        return Vec::new();
    };
    let mut walk = Walk { path: Vec::new(), holder: ty.name, decoded_as: None, problems: Vec::new() };
    walk.value(&Shape::Object(ty), object);
    walk.problems
}

enum Step<'a> {
    Field(&'static str),
    Key(&'a str),
    Index(usize),
}

/// The walk through an object; texts are only made when there is a problem.
struct Walk<'a> {
    path: Vec<Step<'a>>,
    /// The type with the innermost field.
    holder: &'static str,
    /// The innermost field's type name, if the shape does not tell.
    decoded_as: Option<&'static str>,
    problems: Vec<Problem>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, shape: &Shape, value: &'a Value) {
        match (shape, value) {
            (_, Value::Null) | (Shape::Any, _) => {}
            (Shape::Object(ty), Value::Object(fields)) => self.fields(ty, fields),
            (Shape::Map(element), Value::Object(entries)) => self.elements(element, entries),
            (Shape::List(element, _), Value::Array(elements)) => {
                for (index, inner) in elements.iter().enumerate() {
                    self.path.push(Step::Index(index));
                    self.value(element, inner);
                    self.path.pop();
                }
            }
            _ => {
                if let Some(message) = self.mismatch(shape, value) {
                    let path = self.path_text();
                    self.problems.push(Problem::WrongType { path, message });
                }
            }
        }
    }

    fn fields(&mut self, ty: &'static Type, fields: &'a serde_json::Map<String, Value>) {
        let outer = (self.holder, self.decoded_as);
        for (name, inner) in fields {
            if let Some(field) = ty.field(name) {
                self.field(ty, field, inner);
            } else {
                self.path.push(Step::Key(name));
                let path = self.path_text();
                self.problems.push(Problem::UnknownField { path });
                self.path.pop();
            }
        }
        (self.holder, self.decoded_as) = outer;
    }

    fn field(&mut self, ty: &'static Type, field: &Field, inner: &'a Value) {
        (self.holder, self.decoded_as) = (ty.name, field.decoded_as);
        self.path.push(Step::Field(field.name));
        self.value(&field.shape, inner);
        self.path.pop();
    }

    fn elements(&mut self, element: &Shape, entries: &'a serde_json::Map<String, Value>) {
        for (key, inner) in entries {
            self.path.push(Step::Key(key));
            self.value(element, inner);
            self.path.pop();
        }
    }

    fn path_text(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) | Step::Key(name) if text.is_empty() => text.push_str(name),
                Step::Field(name) | Step::Key(name) => {
                    text.push('.');
                    text.push_str(name);
                }
                Step::Index(index) => {
                    let _ = write!(text, "[{index}]");
                }
            }
        }
        text
    }

    /// The decoder's complaint about a value that is not of the shape's type, or nothing if it fits.
    fn mismatch(&self, shape: &Shape, value: &Value) -> Option<String> {
        let found = match value {
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            _ => "object".to_owned(),
        };
        let number = value.as_number();
        let fits_32_bits =
            number.and_then(serde_json::Number::as_i64).is_some_and(|number| i32::try_from(number).is_ok());
        let fits = match shape {
            Shape::String => value.is_string(),
            Shape::Boolean => value.is_boolean(),
            Shape::Number => value.is_number(),
            Shape::Integer => value.is_i64(),
            Shape::Integer32 => fits_32_bits,
            Shape::IntOrString => value.is_string() || fits_32_bits,
            _ => false,
        };
        if fits {
            return None;
        }
        let exactly = number.map_or_else(|| found.clone(), |number| format!("number {number}"));
        Some(match (shape, value) {
            (Shape::Time | Shape::MicroTime, Value::String(text)) => {
                return time_problem(text, matches!(shape, Shape::MicroTime));
            }
            (Shape::Bytes, Value::String(text)) => return base64_problem(text.as_bytes()),
            (Shape::Quantity, _) => return quantity::from_value(value).err().map(|wrong| wrong.to_string()),
            (Shape::Integer | Shape::Integer32, _) => self.complaint(&exactly, shape),
            (Shape::IntOrString, _) => without_field(&exactly, "int32"),
            (Shape::Time | Shape::MicroTime, _) => without_field(&found, "string"),
            _ => self.complaint(&found, shape),
        })
    }

    fn complaint(&self, found: &str, shape: &Shape) -> String {
        let path: Vec<&str> =
            self.path.iter().filter_map(|step| if let Step::Field(name) = step { Some(*name) } else { None }).collect();
        let name = self.type_name(shape);
        if path.is_empty() {
            return without_field(found, &name);
        }
        format!("json: cannot unmarshal {found} into Go struct field {}.{} of type {name}", self.holder, path.join("."))
    }

    fn type_name(&self, shape: &Shape) -> String {
        let inside = !matches!(self.path.last(), Some(Step::Field(_)));
        match self.decoded_as {
            Some(name) if !inside => name.to_owned(),
            Some(name) if matches!(shape, Shape::String) => name.trim_start_matches("[]").to_owned(),
            _ => go_name(shape),
        }
    }
}

fn without_field(found: &str, name: &str) -> String {
    format!("json: cannot unmarshal {found} into Go value of type {name}")
}

fn go_name(shape: &Shape) -> String {
    match shape {
        Shape::String => "string".to_owned(),
        Shape::Integer32 => "int32".to_owned(),
        Shape::Integer => "int64".to_owned(),
        Shape::Number => "float64".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        Shape::Quantity => "resource.Quantity".to_owned(),
        Shape::IntOrString => "intstr.IntOrString".to_owned(),
        Shape::Time => "v1.Time".to_owned(),
        Shape::MicroTime => "v1.MicroTime".to_owned(),
        Shape::Bytes => "[]uint8".to_owned(),
        Shape::Any => "interface {}".to_owned(),
        Shape::Object(ty) => format!("v1.{}", ty.name),
        Shape::Map(element) => format!("map[string]{}", go_name(element)),
        Shape::List(element, _) => format!("[]{}", go_name(element)),
    }
}

/// What the decoder says of a text that is no time; the layout's parts are matched one after the other.
fn time_problem(text: &str, micro: bool) -> Option<String> {
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let parts: [(&str, usize); 11] = [
        ("2006", 4),
        ("-", 0),
        ("01", 2),
        ("-", 0),
        ("02", 2),
        ("T", 0),
        ("15", 2),
        (":", 0),
        ("04", 2),
        (":", 0),
        ("05", 2),
    ];
    let mut rest = text;
    for (part, digits) in parts {
        let length = if digits == 0 { part.len() } else { digits };
        let fits = rest
            .get(..length)
            .is_some_and(|found| if digits == 0 { found == part } else { found.bytes().all(|b| b.is_ascii_digit()) });
        if !fits {
            return Some(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {part:?}"));
        }
        rest = &rest[length..];
    }
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        rest = fraction.trim_start_matches(|character: char| character.is_ascii_digit());
    } else if micro {
        return Some(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as \".000000\""));
    }
    let zone: Vec<u8> = rest.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b }).collect();
    if rest == "Z" || zone == b"+00:00" || zone == b"-00:00" {
        return None;
    }
    Some(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as \"Z07:00\""))
}

/// What the decoder says of a text that is not base64: the place of the first byte that does not belong.
fn base64_problem(text: &[u8]) -> Option<String> {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let mut digits = 0_usize;
    let mut padding = 0_usize;
    for (index, &byte) in text.iter().enumerate() {
        let fits = match byte {
            b'\r' | b'\n' => true,
            b'=' => {
                padding += 1;
                digits % 4 >= 2 && digits % 4 + padding <= 4
            }
            _ => {
                digits += 1;
                padding == 0 && is_digit(byte)
            }
        };
        if !fits {
            return Some(format!("illegal base64 data at input byte {index}"));
        }
    }
    let whole = (digits + padding).is_multiple_of(4);
    (!whole).then(|| format!("illegal base64 data at input byte {}", text.len() / 4 * 4))
}

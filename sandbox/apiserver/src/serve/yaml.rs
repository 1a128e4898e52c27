//! YAML as JSON values.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

use super::body::Read;
use crate::Status;

/// Aliases can make much out of little; more than this is refused.
const LIMIT_PARTS: usize = 1_000_000;

/// Reads one document.
pub(super) fn read(bytes: &[u8]) -> Result<Read, Status> {
    let text = std::str::from_utf8(bytes).map_err(|cause| bad(&cause.to_string()))?;
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| bad(&format!("line {}: {}", error.marker().line(), error.info())))?;
        builder.take(event)?;
    }
    Ok(Read { value: builder.document.unwrap_or_default(), duplicates: builder.duplicates })
}

fn bad(why: &str) -> Status {
    Status::bad_request(format!("error converting YAML to JSON: yaml: {why}"))
}

#[derive(Default)]
struct Builder {
    open: Vec<(usize, Open)>,
    anchors: HashMap<usize, Value>,
    document: Option<Value>,
    duplicates: Vec<String>,
    parts: usize,
}

enum Open {
    List(Vec<Value>),
    Table(Map<String, Value>, Option<String>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), Status> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text_tag = tag.is_some_and(|tag| tag.suffix == "str");
                let plain = style == ScalarStyle::Plain && !text_tag;
                let value = if plain { scalar(&text) } else { Value::String(text.into_owned()) };
                self.close(anchor, value)
            }
            Event::SequenceStart(anchor, _) => {
                self.open.push((anchor, Open::List(Vec::new())));
                Ok(())
            }
            Event::MappingStart(anchor, _) => {
                self.open.push((anchor, Open::Table(Map::new(), None)));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((anchor, Open::List(items))) => self.close(anchor, Value::Array(items)),
                Some((anchor, Open::Table(fields, _))) => self.close(anchor, Value::Object(fields)),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned().ok_or_else(|| bad("unknown anchor"))?;
                self.parts += parts(&value);
                self.close(0, value)
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self, anchor: usize, value: Value) -> Result<(), Status> {
        self.parts += 1;
        if self.parts > LIMIT_PARTS {
            return Err(bad("document contains excessive aliasing"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut() {
            None if self.document.is_none() => self.document = Some(value),
            None => return Err(bad("more than one document")),
            Some((_, Open::List(items))) => items.push(value),
            Some((_, Open::Table(fields, key))) => match key.take() {
                None => *key = Some(key_of(value)?),
                Some(key) => {
                    if fields.contains_key(&key) {
                        self.duplicates.push(key.clone());
                    }
                    fields.insert(key, value);
                }
            },
        }
        Ok(())
    }
}

fn parts(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(parts).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(parts).sum::<usize>(),
        _ => 1,
    }
}

fn key_of(value: Value) -> Result<String, Status> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null => Ok("null".to_owned()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(bad("a key must be a scalar")),
    }
}

/// A plain scalar as the real server's YAML 1.1 library takes it.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if let Some(hex) = digits.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok().map(Value::from);
    }
    let octal = digits.strip_prefix("0o").or_else(|| digits.strip_prefix('0').filter(|rest| !rest.is_empty()));
    if let Some(value) = octal.and_then(|octal| i64::from_str_radix(octal, 8).ok()) {
        return Some(Value::from(if text.starts_with('-') { -value } else { value }));
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    let float = digits.chars().all(|it| it.is_ascii_digit() || matches!(it, '.' | 'e' | 'E' | '+' | '-'));
    text.parse::<f64>().ok().filter(|_| float).map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_is_read_as_the_real_server_does() {
        let text =
            b"a: &x {b: 1, c: [yes, 'yes', 1.5, 0644, ~]}\nd: *x\ne: |\n  two\n  lines\n1: 1e3\nv: 1.2.3\na: 2\n";
        let read = read(text).expect("it is YAML");
        let inner = json!({"b": 1, "c": [true, "yes", 1.5, 420, null]});
        assert_eq!(read.value, json!({"a": 2, "d": inner, "e": "two\nlines\n", "1": 1000.0, "v": "1.2.3"}));
        assert_eq!(read.duplicates, ["a"]);
    }

    #[test]
    fn what_is_no_yaml_is_refused() {
        for text in ["a: [", "a: *nobody", "a: 1\n---\nb: 2\n"] {
            assert_eq!(super::read(text.as_bytes()).expect_err(text).code, 400);
        }
    }
}

//! Why an object is refused: one cause for each field, in the API server's words.

use crate::node::Node;
use serde_json::Value;
use std::fmt::Write;

/// One reason to refuse an object, as in `details.causes` of a Status.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Cause {
    /// `FieldValueRequired`, `FieldValueInvalid` and so on.
    pub reason: &'static str,
    /// The field, such as `spec.containers[0].name`.
    pub field: String,
    /// What is wrong, such as `Required value`; without the field.
    pub message: String,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.field, self.message)
    }
}

/// All causes as one text, as it follows `Pod "a" is invalid: `.
///
/// One cause stands alone, several stand in brackets, and the same text stands only once.
pub fn summary(causes: &[Cause]) -> String {
    let mut texts: Vec<String> = Vec::with_capacity(causes.len());
    for text in causes.iter().map(ToString::to_string) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) }
}

/// The causes found so far.
#[derive(Debug, Default)]
pub(crate) struct Causes(pub Vec<Cause>);

impl Causes {
    fn push(&mut self, reason: &'static str, at: &Node, message: String) {
        self.0.push(Cause { reason, field: at.path(), message });
    }

    fn shown(&mut self, reason: &'static str, at: &Node, kind: &str, value: &Value, detail: &str) {
        let mut message = format!("{kind}: ");
        show(value, &mut message);
        if !detail.is_empty() {
            let _ = write!(message, ": {detail}");
        }
        self.push(reason, at, message);
    }

    /// The field must be there.
    pub fn required(&mut self, at: &Node, detail: &str) {
        self.push("FieldValueRequired", at, with_detail("Required value", detail));
    }

    /// The field's value is wrong.
    pub fn invalid(&mut self, at: &Node, detail: &str) {
        self.shown("FieldValueInvalid", at, "Invalid value", at.value, detail);
    }

    /// The field is wrong as a whole: no value is shown.
    pub fn invalid_only(&mut self, at: &Node, detail: &str) {
        self.push("FieldValueInvalid", at, with_detail("Invalid value", detail));
    }

    /// The field is wrong, and another value is shown than the one it has.
    pub fn invalid_value(&mut self, at: &Node, value: impl Into<Value>, detail: &str) {
        self.shown("FieldValueInvalid", at, "Invalid value", &value.into(), detail);
    }

    /// The field's value is not one of these.
    pub fn unsupported(&mut self, at: &Node, supported: &[&str]) {
        self.unsupported_value(at, at.value.clone(), supported);
    }

    /// The value shown is not one of these.
    pub fn unsupported_value(&mut self, at: &Node, value: impl Into<Value>, supported: &[&str]) {
        let quoted: Vec<String> = supported.iter().map(|each| format!("{each:?}")).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        self.shown("FieldValueNotSupported", at, "Unsupported value", &value.into(), &detail);
    }

    /// The field must not be there, or must not change.
    pub fn forbidden(&mut self, at: &Node, detail: &str) {
        self.push("FieldValueForbidden", at, with_detail("Forbidden", detail));
    }

    /// The field's value is there already.
    pub fn duplicate(&mut self, at: &Node) {
        self.shown("FieldValueDuplicate", at, "Duplicate value", at.value, "");
    }

    /// The value shown is there already.
    pub fn duplicate_value(&mut self, at: &Node, value: impl Into<Value>) {
        self.shown("FieldValueDuplicate", at, "Duplicate value", &value.into(), "");
    }

    /// What the field names does not exist.
    pub fn not_found(&mut self, at: &Node) {
        self.shown("FieldValueNotFound", at, "Not found", at.value, "");
    }

    /// The field's text has more bytes than this.
    pub fn too_long(&mut self, at: &Node, bytes: usize) {
        let unit = if bytes == 1 { "byte" } else { "bytes" };
        self.push("FieldValueTooLong", at, format!("Too long: may not be more than {bytes} {unit}"));
    }

    /// The field's list has more items than this.
    pub fn too_many(&mut self, at: &Node, items: usize) {
        let unit = if items == 1 { "item" } else { "items" };
        let has = at.value.as_array().map_or(0, Vec::len);
        self.push("FieldValueTooMany", at, format!("Too many: {has}: must have at most {items} {unit}"));
    }
}

fn with_detail(kind: &str, detail: &str) -> String {
    if detail.is_empty() { kind.to_owned() } else { format!("{kind}: {detail}") }
}

/// A value as the API server shows it: text quoted, everything else as JSON.
fn show(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => quote(text, out),
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// Text in quotes with the escapes that Go's `%q` uses.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            control if u32::from(control) < 0x20 || control == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cause_tells_the_path_and_the_value() {
        let object = json!({"spec": {"containers": [{"name": "A\"\n"}]}});
        let root = Node::root(&object);
        let (spec, mut causes) = (root.get("spec"), Causes::default());
        let containers = spec.get("containers");
        for container in containers.items() {
            causes.invalid(&container.get("name"), "no");
            causes.unsupported(&container.get("name"), &["a", "b"]);
        }
        assert_eq!(
            summary(&causes.0),
            r#"[spec.containers[0].name: Invalid value: "A\"\n": no, spec.containers[0].name: Unsupported value: "A\"\n": supported values: "a", "b"]"#
        );
    }

    #[test]
    fn the_same_cause_is_told_once() {
        let object = json!({});
        let mut causes = Causes::default();
        for _ in 0..2 {
            causes.required(&Node::root(&object).get("spec"), "");
        }
        assert_eq!(summary(&causes.0), "spec: Required value");
    }
}

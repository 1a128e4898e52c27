//! One field that differs, as a person reads it: old and new, lines for texts of several lines, and no secret.

use std::fmt::Write as _;

use engine::FieldChange;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::view::{count, style};

/// A value longer than this is cut.
const SHOWN_CHARACTERS: usize = 60;
/// A difference of texts with more lines than this is cut.
const SHOWN_LINES: usize = 16;
/// So many equal lines are shown around those that differ.
const CONTEXT_LINES: usize = 1;
/// What stands where a secret is.
const SECRET: &str = "(secret)";

/// A field's lines, without an indent. The first one names the field.
pub fn render(change: &FieldChange) -> Vec<String> {
    let path = shown_path(&change.path);
    let (old, new) = (change.old.as_ref(), change.new.as_ref());
    if let (Some(Value::String(old)), Some(Value::String(new))) = (old, new)
        && (old.contains('\n') || new.contains('\n'))
    {
        return std::iter::once(format!("{path}:")).chain(lines(old, new)).collect();
    }
    if let (Some(old), Some(new)) = (old, new)
        && is_secret(old)
        && is_secret(new)
    {
        return vec![format!("{path}: {}", style::dim("(secret) differs"))];
    }
    let [old, new] = [old, new].map(|value| value.map_or_else(|| style::dim("(none)"), shown));
    vec![format!("{path}: {old} {} {new}", style::dim("->"))]
}

/// A path as a person knows it: an object's fields without the word for its manifest.
pub fn shown_path(path: &str) -> &str {
    path.strip_prefix("manifest.").unwrap_or(path)
}

/// Only the lines that differ, with a little of what is around them.
fn lines(old: &str, new: &str) -> Vec<String> {
    let difference = TextDiff::from_lines(old, new);
    let mut lines = Vec::new();
    for (index, group) in difference.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if index > 0 {
            lines.push(style::dim("  ..."));
        }
        for change in group.iter().flat_map(|operation| difference.iter_changes(operation)) {
            let text = change.value().trim_end_matches(['\n', '\r']);
            lines.push(match change.tag() {
                ChangeTag::Delete => style::bad(format!("- {text}")),
                ChangeTag::Insert => style::good(format!("+ {text}")),
                ChangeTag::Equal => style::dim(format!("  {text}")),
            });
        }
    }
    if lines.len() > SHOWN_LINES {
        let more = lines.len() - SHOWN_LINES;
        lines.truncate(SHOWN_LINES);
        lines.push(style::dim(format!("  ... and {}", count(more, "more line"))));
    }
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

/// Whether it is, or comes from, the value of a Secret.
fn is_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(workloads::SEAL),
        Value::Object(_) => value.pointer("/valueFrom/secretKeyRef").is_some(),
        _ => false,
    }
}

fn shown(value: &Value) -> String {
    if let Some(reference) = value.get("$output").and_then(|pair| pair.get(0)).and_then(Value::as_str) {
        return style::dim(format!("(known after {reference})"));
    }
    if let Some(from) = value.pointer("/valueFrom/secretKeyRef") {
        let text = |field: &str| from[field].as_str().unwrap_or_default();
        return format!("(secret {}/{})", text("name"), text("key"));
    }
    let text = match masked(value) {
        Value::String(text) => text,
        other => other.to_string(),
    };
    short(&text.replace('\n', "\u{21b5}"))
}

/// A value without any sealed one in it.
pub fn masked(value: &Value) -> Value {
    match value {
        Value::String(_) if is_secret(value) => SECRET.into(),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), masked(member))).collect(),
        plain => plain.clone(),
    }
}

fn short(text: &str) -> String {
    let length = text.chars().count();
    if length <= SHOWN_CHARACTERS {
        return text.to_owned();
    }
    // The end of a digest or an address tells as much as its beginning.
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS / 2).collect();
    let end: String = text.chars().skip(length - SHOWN_CHARACTERS / 3).collect();
    let _ = write!(shown, "...{end}");
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(path: &str, old: Option<Value>, new: Option<Value>) -> String {
        let text = render(&FieldChange { path: path.to_owned(), old, new }).join("\n");
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_value_is_shown_before_and_after() {
        assert_eq!(plain("manifest.spec.replicas", Some(json!(1)), Some(json!(3))), "spec.replicas: 1 -> 3");
        assert_eq!(plain("manifest.data.color", None, Some(json!("red"))), "data.color: (none) -> red");
        let reference = json!({"$output": ["image/web", "digest"]});
        assert_eq!(plain("image", Some(json!("a")), Some(reference)), "image: a -> (known after image/web)");
    }

    #[test]
    fn a_text_of_lines_is_shown_as_the_lines_that_differ() {
        let old = "[server]\nport = 80\nname = a\nlog = info\nend = 1\n";
        let new = "[server]\nport = 81\nname = a\nlog = info\nend = 1\n";
        assert_eq!(
            plain("manifest.data.config", Some(json!(old)), Some(json!(new))),
            "data.config:\n    [server]\n  - port = 80\n  + port = 81\n    name = a"
        );
        let long = "line\n".repeat(40);
        assert!(plain("data.long", Some(json!("\n")), Some(json!(long))).ends_with("... and 25 more lines"));
    }

    #[test]
    fn no_secret_is_shown() {
        let [old, new] = ["sealed:aa11", "sealed:bb22"].map(|text| Some(json!(text)));
        assert_eq!(plain("manifest.data.password", old.clone(), new), "data.password: (secret) differs");
        assert_eq!(plain("manifest.data.password", old, None), "data.password: (secret) -> (none)");
        let all = json!({"user": "sealed:aa11", "password": "sealed:bb22"});
        assert_eq!(plain("data", None, Some(all)), r#"data: (none) -> {"user":"(secret)","password":"(secret)"}"#);
        let from = |key: &str| json!({"name": "P", "valueFrom": {"secretKeyRef": {"name": "login", "key": key}}});
        assert_eq!(plain("env[P]", None, Some(from("password"))), "env[P]: (none) -> (secret login/password)");
        let literal = json!({"name": "P", "value": "sealed:aa11"});
        assert_eq!(
            plain("env[P]", Some(from("a")), Some(literal)),
            r#"env[P]: (secret login/a) -> {"name":"P","value":"(secret)"}"#
        );
    }
}

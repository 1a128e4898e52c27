//! What differs between two values, as lines that somebody can read.

use serde_json::Value;
use std::fmt::Write;

/// Each field that differs, with `-` for what was and `+` for what is; the same fields are left out.
pub(crate) fn difference(old: &Value, new: &Value) -> String {
    let mut lines = String::new();
    walk(old, new, &mut String::new(), &mut lines);
    lines
}

fn walk(old: &Value, new: &Value, path: &mut String, lines: &mut String) {
    let length = path.len();
    match (old, new) {
        _ if old == new => {}
        (Value::Object(before), Value::Object(after)) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                let _ = write!(path, ".{key}");
                walk(&old[key.as_str()], &new[key.as_str()], path, lines);
                path.truncate(length);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for place in 0..before.len().max(after.len()) {
                let _ = write!(path, "[{place}]");
                walk(&old[place], &new[place], path, lines);
                path.truncate(length);
            }
        }
        _ => {
            for (mark, value) in [("-", old), ("+", new)].iter().filter(|(_, value)| !value.is_null()) {
                let _ = writeln!(lines, "{mark} {}: {value}", path.trim_start_matches('.'));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_told() {
        let old = json!({"a": 1, "b": [{"c": "x"}, 2], "d": {"e": 3}});
        let new = json!({"a": 1, "b": [{"c": "y"}], "d": {"f": 4}});
        assert_eq!(difference(&old, &new), "- b[0].c: \"x\"\n+ b[0].c: \"y\"\n- b[1]: 2\n- d.e: 3\n+ d.f: 4\n");
    }
}

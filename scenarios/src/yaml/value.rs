use serde_json::{Map, Number, Value};

use super::{Data, Mark, Mistake, Node};

/// A document as JSON, read the way kubectl reads it: YAML 1.1, in which `yes` is true and `0644` is octal.
pub(crate) fn to_json(node: &Node) -> Result<Value, Mistake> {
    match &node.data {
        Data::Scalar { text, plain: false } => Ok(Value::String(text.clone())),
        Data::Scalar { text, plain: true } => scalar(text, node.mark),
        Data::List(items) => items.iter().map(to_json).collect::<Result<Vec<Value>, Mistake>>().map(Value::Array),
        Data::Table(entries) => table(entries),
    }
}

fn table(entries: &[(Node, Node)]) -> Result<Value, Mistake> {
    let mut members = Map::new();
    let mut merged = Map::new();
    for (key, node) in entries {
        if matches!(&key.data, Data::Scalar { text, plain: true } if text == "<<") {
            merge(node, &mut merged)?;
        } else {
            members.insert(name(key)?, to_json(node)?);
        }
    }
    for (key, value) in merged {
        members.entry(key).or_insert(value);
    }
    Ok(Value::Object(members))
}

/// Takes the members of a table, or of each table of a list; the first one that has a member wins.
fn merge(node: &Node, into: &mut Map<String, Value>) -> Result<(), Mistake> {
    let mistake = || Mistake {
        mark: node.mark,
        message: "`<<` takes a table, or a list of tables".into(),
        help: Some("name one with an alias: `<<: *name`".into()),
    };
    match &node.data {
        Data::List(items) if items.iter().all(|item| matches!(item.data, Data::Table(_))) => {
            items.iter().try_for_each(|item| merge(item, into))
        }
        Data::Table(_) => {
            let Value::Object(members) = to_json(node)? else { return Err(mistake()) };
            for (key, value) in members {
                into.entry(key).or_insert(value);
            }
            Ok(())
        }
        _ => Err(mistake()),
    }
}

/// A key as text; one that is a number or a truth value is written the way JSON writes it.
fn name(key: &Node) -> Result<String, Mistake> {
    match to_json(key)? {
        Value::String(text) => Ok(text),
        Value::Null => Ok("null".to_owned()),
        value @ (Value::Bool(_) | Value::Number(_)) => Ok(value.to_string()),
        Value::Array(_) | Value::Object(_) => {
            let help = Some("put it into quotes if it is meant as a text".into());
            Err(Mistake { mark: key.mark, message: "a list or table cannot be a key".into(), help })
        }
    }
}

fn scalar(text: &str, mark: Mark) -> Result<Value, Mistake> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan" | ".NaN"
        | ".NAN" => {
            let help = Some("put it into quotes if it is meant as a text".into());
            return Err(Mistake { mark, message: format!("JSON has no `{text}`"), help });
        }
        text => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    })
}

/// A number where the text starts like one and is one.
fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| float(&plain))
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    Number::from_i128(if negative { -value } else { value })
}

fn float(text: &str) -> Option<Number> {
    let valid = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'))
        && text.bytes().any(|byte| byte.is_ascii_digit());
    let value: f64 = if valid { text.parse().ok()? } else { return None };
    // A whole number is written as one, as kubectl does: the API server takes no `3.0` where it wants an integer.
    let whole = format!("{value:.0}").parse().ok().filter(|_| value.fract() == 0.0 && value.abs() < 1e15);
    whole.and_then(Number::from_i128).or_else(|| Number::from_f64(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        let (documents, mistakes) = super::super::parse(text);
        assert_eq!(mistakes, []);
        to_json(&documents[0]).expect("the text has a value")
    }

    #[test]
    fn scalars_are_read_the_way_kubectl_reads_them() {
        let text = "[1, -2, 0644, 0o644, 0x1F, 1_000, 1.5, 1e3, 08, 1.2.3, 10m, yes, Off, ~, 'yes', \"1\", 2024-01-01, 1Gi, .5, -x, 12345678901234567890]";
        let expected = json!([
            1,
            -2,
            420,
            420,
            31,
            1000,
            1.5,
            1000,
            8,
            "1.2.3",
            "10m",
            true,
            false,
            null,
            "yes",
            "1",
            "2024-01-01",
            "1Gi",
            0.5,
            "-x",
            12_345_678_901_234_567_890_u64
        ]);
        assert_eq!(read(text), expected);
    }

    #[test]
    fn keys_become_texts() {
        assert_eq!(read("{1: a, true: b, 'c': d, on: e}"), json!({"1": "a", "true": "e", "c": "d"}));
    }

    #[test]
    fn merged_members_give_way_to_own_members_and_to_earlier_ones() {
        let text = "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nall: {<<: [*base, *more], a: 5}\n";
        assert_eq!(read(text)["all"], json!({"a": 5, "b": 2, "c": 4}));
    }
}

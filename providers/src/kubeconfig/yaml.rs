use serde_json::Value;

/// Writes data as the lines of a YAML block, in the form that kubectl uses: lists are not indented further than their key.
pub(super) fn block(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().flat_map(|(key, member)| member_lines(&scalar(key), member)).collect()
        }
        Value::Array(items) if !items.is_empty() => items.iter().flat_map(item).collect(),
        value => vec![inline(value)],
    }
}

/// Writes data as an item of a list: the first line begins with a dash.
pub(super) fn item(value: &Value) -> Vec<String> {
    let lines = block(value).into_iter().enumerate();
    lines.map(|(index, line)| format!("{} {line}", if index == 0 { '-' } else { ' ' })).collect()
}

fn member_lines(key: &str, member: &Value) -> Vec<String> {
    let indent = match member {
        Value::Object(members) if !members.is_empty() => "  ",
        Value::Array(items) if !items.is_empty() => "",
        member => return vec![format!("{key}: {}", inline(member))],
    };
    let nested = block(member).into_iter().map(|line| format!("{indent}{line}"));
    [format!("{key}:")].into_iter().chain(nested).collect()
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        value => value.to_string(),
    }
}

/// A text as it is where no YAML reader can take it for anything else, otherwise in double quotes.
pub(super) fn scalar(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|one| one.is_ascii_alphanumeric() || "+/=._-:".contains(one))
        && !text.ends_with(':')
        && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

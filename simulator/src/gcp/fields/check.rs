//! Whether what a client sends has only fields that exist, with their types.

use serde_json::{Map, Value, json};

use super::route::decode;
use super::{Kind, Method, Table, table};
use crate::gcp::refusal::Refusal;

/// Parameters that every method takes.
const COMMON: [&str; 17] = [
    "$alt",
    "$apiVersion",
    "alt",
    "fields",
    "$fields",
    "key",
    "prettyPrint",
    "$prettyPrint",
    "quotaUser",
    "userIp",
    "$.xgafv",
    "access_token",
    "oauth_token",
    "callback",
    "$callback",
    "uploadType",
    "upload_protocol",
];

#[derive(Default)]
struct Problems {
    texts: Vec<(String, String)>,
}

impl Problems {
    fn unknown(&mut self, place: &str, name: &str) {
        let at = if place.is_empty() { String::new() } else { format!(" at '{place}'") };
        let text = format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.");
        self.texts.push((place.to_owned(), text));
    }

    fn wrong(&mut self, place: &str, kind: &str, value: &Value) {
        self.texts.push((place.to_owned(), format!("Invalid value at '{place}' ({kind}), {value}")));
    }

    fn refusal(self) -> Option<Refusal> {
        let texts: Vec<&str> = self.texts.iter().map(|text| text.1.as_str()).collect();
        let message = texts.join("\n");
        let violations = self.texts.iter().map(|(field, text)| json!({"field": field, "description": text}));
        let violations: Vec<Value> = violations.collect();
        let kind = "type.googleapis.com/google.rpc.BadRequest";
        let detail = json!({"@type": kind, "fieldViolations": violations});
        (!violations.is_empty()).then(|| Refusal::invalid(message).with(detail))
    }
}

/// The parameters of a query by their names, if all exist and have their types. Numbers of enumerations become names.
pub(crate) fn query(method: &Method, text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let (mut found, mut problems) = (Vec::new(), Problems::default());
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name), decode(&value.replace('+', " ")));
        let camel = camel(&name);
        let Some(kind) = method.query.get(&camel) else {
            if !COMMON.contains(&name.as_str()) {
                let reason = "Cannot bind query parameter. Field";
                let end = "could not be found in request message.";
                let text = format!("Invalid JSON payload received. Unknown name \"{name}\": {reason} '{name}' {end}");
                problems.texts.push((name.clone(), text));
            }
            found.push((name, value));
            continue;
        };
        let of = if let Kind::List(of) = kind { of } else { kind };
        match one(table(method.api), of, &Value::String(value.clone()), &name, &mut problems) {
            Value::String(text) => found.push((camel, text)),
            other => found.push((camel, other.to_string())),
        }
    }
    problems.refusal().map_or(Ok(found), Err)
}

/// A body as the rest of the simulator knows it, if all of its fields exist and have their types: fields by their names in
/// JSON, enumerations by name, whole numbers of 64 bits as text.
pub(crate) fn body(method: &Method, body: &[u8]) -> Result<Value, Refusal> {
    if method.takes.is_empty() || body.is_empty() {
        return Ok(json!({}));
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::invalid(format!("Invalid JSON payload received. {error}")))?;
    if !value.is_object() {
        return Err(Refusal::invalid("Invalid JSON payload received. Unexpected token."));
    }
    let mut problems = Problems::default();
    let kind = Kind::Schema(method.takes.clone());
    let checked = one(table(method.api), &kind, &value, "", &mut problems);
    problems.refusal().map_or(Ok(checked), Err)
}

fn one(table: &Table, kind: &Kind, value: &Value, place: &str, problems: &mut Problems) -> Value {
    match (kind, value) {
        (_, Value::Null) => Value::Null,
        (Kind::Any, _) => value.clone(),
        (Kind::Schema(name), Value::Object(fields)) => object(table, name, fields, place, problems),
        (Kind::Schema(name), _) => wrong(problems, place, &format!("type.googleapis.com/{name}"), value),
        (Kind::Map(of), Value::Object(fields)) => {
            let each = fields.iter().map(|(name, value)| {
                let place = format!("{place}[{name}]");
                (name.clone(), one(table, of, value, &place, problems))
            });
            Value::Object(each.collect())
        }
        (Kind::Map(_), _) => wrong(problems, place, "Map", value),
        (Kind::List(of), Value::Array(values)) => {
            let each = values.iter().enumerate().map(|(index, value)| {
                let place = format!("{place}[{index}]");
                one(table, of, value, &place, problems)
            });
            Value::Array(each.collect())
        }
        (Kind::List(_), _) => {
            problems.texts.push((
                place.to_owned(),
                format!("Invalid JSON payload received. Unknown name \"{place}\": Proto field is not repeating, cannot start list."),
            ));
            Value::Null
        }
        (Kind::Enumeration(number), _) => enumeration(table, *number, value, place, problems),
        _ => scalar(kind, value, place, problems),
    }
}

fn wrong(problems: &mut Problems, place: &str, kind: &str, value: &Value) -> Value {
    problems.wrong(place, kind, value);
    Value::Null
}

fn object(table: &Table, schema: &str, fields: &Map<String, Value>, place: &str, problems: &mut Problems) -> Value {
    let known = &table.schemas[schema];
    let mut out = Map::new();
    for (name, value) in fields {
        let camel = camel(name);
        let Some((name, kind)) = known.get_key_value(name).or_else(|| known.get_key_value(&camel)) else {
            problems.unknown(place, name);
            continue;
        };
        let inner = if place.is_empty() { snake(name) } else { format!("{place}.{}", snake(name)) };
        let value = one(table, kind, value, &inner, problems);
        if !value.is_null() {
            out.insert(name.clone(), value);
        }
    }
    Value::Object(out)
}

fn enumeration(table: &Table, number: usize, value: &Value, place: &str, problems: &mut Problems) -> Value {
    let known = &table.enumerations[number];
    let name = match value {
        Value::String(name) if known.number(name).is_some() => Some(name.as_str()),
        // In a query, numbers are text.
        Value::String(text) => text.parse().ok().and_then(|number| known.name(number)),
        Value::Number(number) => number.as_i64().and_then(|number| known.name(number)),
        _ => None,
    };
    name.map_or_else(|| wrong(problems, place, "TYPE_ENUM", value), |name| json!(name))
}

fn scalar(kind: &Kind, value: &Value, place: &str, problems: &mut Problems) -> Value {
    let whole = || match value {
        Value::String(text) => text.parse::<i128>().ok(),
        Value::Number(number) => number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)),
        _ => None,
    };
    let (name, checked) = match kind {
        Kind::Text => ("TYPE_STRING", value.as_str().map(|text| json!(text))),
        // Both alphabets of base64 are taken.
        Kind::Bytes => ("TYPE_BYTES", value.as_str().map(|text| json!(text.replace('-', "+").replace('_', "/")))),
        Kind::Bool => {
            // Some clients write `True` into a query.
            let text = value.as_str().and_then(|text| text.to_ascii_lowercase().parse().ok());
            ("TYPE_BOOL", value.as_bool().or(text).map(|value| json!(value)))
        }
        Kind::Small => {
            let number = whole().and_then(|number| i64::try_from(number).ok());
            let fits = number.filter(|number| (-(1 << 31)..1 << 32).contains(number));
            ("TYPE_INT32", fits.map(|number| json!(number)))
        }
        Kind::Large => ("TYPE_INT64", whole().map(|number| json!(number.to_string()))),
        _ => {
            let text = value.as_str().and_then(|text| text.parse::<f64>().ok());
            ("TYPE_DOUBLE", value.as_f64().or(text).map(|value| json!(value)))
        }
    };
    checked.unwrap_or_else(|| wrong(problems, place, name, value))
}

/// A name with underscores as JSON has it.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut whole, part| {
        let mut letters = part.chars();
        whole.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        whole + letters.as_str()
    })
}

/// A name as messages write it.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::routes;
    use super::*;

    fn create(text: &str) -> Result<Value, Refusal> {
        let route = &routes("POST", "/v1/projects/p/locations/l/clusters")[0];
        body(route.method, text.as_bytes())
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_place() {
        let refusal = create(r#"{"cluster":{"name":"c","nodeCunt":3}}"#).unwrap_err();
        assert_eq!(refusal.code, 400);
        let text = "Invalid JSON payload received. Unknown name \"nodeCunt\" at 'cluster': Cannot find field.";
        assert_eq!(refusal.message, text);
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_place() {
        let refusal = create(r#"{"cluster":{"initialNodeCount":"three"}}"#).unwrap_err();
        assert_eq!(refusal.message, "Invalid value at 'cluster.initial_node_count' (TYPE_INT32), \"three\"");
    }

    #[test]
    fn numbers_of_enumerations_become_names_and_unknown_ones_are_refused() {
        let taint =
            |effect: &str| format!(r#"{{"cluster":{{"nodeConfig":{{"taints":[{{"key":"k","effect":{effect}}}]}}}}}}"#);
        let effect = |value: Value| value["cluster"]["nodeConfig"]["taints"][0]["effect"].clone();
        assert_eq!(effect(create(&taint("1")).unwrap()), "NO_SCHEDULE");
        assert_eq!(effect(create(&taint("\"NO_EXECUTE\"")).unwrap()), "NO_EXECUTE");
        assert_eq!(create(&taint("99")).unwrap_err().code, 400);
        assert_eq!(create(&taint("\"NEVER\"")).unwrap_err().code, 400);
    }

    #[test]
    fn an_unknown_parameter_of_the_query_is_refused() {
        let route = &routes("GET", "/v1/projects/p/locations/l/clusters")[0];
        assert!(query(route.method, "$alt=json;enum-encoding=int&projectId=&zone=").is_ok());
        assert_eq!(query(route.method, "colour=red").unwrap_err().code, 400);
    }
}

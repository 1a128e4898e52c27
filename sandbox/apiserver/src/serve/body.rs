//! Bodies of requests.

use std::fmt;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use kinds::Resource;
use schema::Problem;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{answer, protobuf, yaml};
use crate::{Status, Validation};

/// The real server's limit.
const LIMIT_BYTES: usize = 3 << 20;

/// What a body says.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub value: Value,
    /// Fields that stand twice; the last one counts.
    pub duplicates: Vec<String>,
}

/// Takes the whole body.
pub(super) async fn bytes(body: Incoming) -> Result<Bytes, Status> {
    match Limited::new(body, LIMIT_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(cause) if cause.is::<http_body_util::LengthLimitError>() => {
            let message = format!("Request entity too large: limit is {LIMIT_BYTES}");
            Err(Status::new(413, "RequestEntityTooLarge", message))
        }
        Err(cause) => Err(Status::bad_request(cause.to_string())),
    }
}

/// Reads JSON, or YAML where the content type says so.
pub(super) fn read(bytes: &[u8], content_type: &str) -> Result<Read, Status> {
    match content_type {
        "" | "application/json" | "application/octet-stream" => json(bytes),
        "application/yaml" => either(bytes),
        "application/vnd.kubernetes.protobuf" => protobuf::read(bytes),
        _ => Err(answer::unsupported("application/json, application/yaml, application/vnd.kubernetes.protobuf")),
    }
}

/// Reads YAML, of which JSON is the quickest to read.
pub(super) fn either(bytes: &[u8]) -> Result<Read, Status> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => json(bytes).or_else(|_| yaml::read(bytes)),
        _ => yaml::read(bytes),
    }
}

/// Reads JSON.
pub(super) fn json(bytes: &[u8]) -> Result<Read, Status> {
    let mut duplicates = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed { path: String::new(), duplicates: &mut duplicates };
    let value = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    let value = value.map_err(|cause| Status::bad_request(schema::json_problem(bytes, &cause)))?;
    Ok(Read { value, duplicates })
}

/// Reads an object of this kind; a body that is none is refused in the real server's words.
pub(super) fn object(bytes: &[u8], content_type: &str, kind: &str) -> Result<Read, Status> {
    let read = read(bytes, content_type);
    let why = match &read {
        Ok(found) if found.value.is_object() => return read,
        Ok(found) => {
            let given = match found.value {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            let fields = r#"APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"""#;
            format!("json: cannot unmarshal {given} into Go value of type struct {{ {fields} }}")
        }
        Err(status) if status.code == 400 && matches!(content_type, "" | "application/json") => status.message.clone(),
        Err(_) => return read,
    };
    let shown = match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).into_owned(),
        Some(_) => bytes.iter().take(512).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat(),
    };
    Err(Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why} \
         ({shown})"
    )))
}

/// Checks an object that was read against its kind; what is merely not known there is refused, told or passed over.
pub(super) fn check(
    (group, version, kind): (&str, &str, &str),
    read: Read,
    validation: Validation,
) -> Result<(Value, Vec<String>), Status> {
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let Read { value, duplicates } = read;
    let given = |field: &str| value[field].as_str().unwrap_or_default();
    let (given_version, given_kind) = (given("apiVersion"), given("kind"));
    let handled = |version: &str, given: &str, why: String| {
        Err(Status::bad_request(format!("{given} in version \"{version}\" cannot be handled as a {kind}: {why}")))
    };
    let (their_group, their_version) = given_version.split_once('/').unwrap_or(("", given_version));
    let is_other = !given_version.is_empty() && given_version != api_version;
    let their_kind = if given_kind.is_empty() { kind } else { given_kind };
    if is_other && kinds::by_kind(their_group, their_version, their_kind).is_none() {
        let scheme = "pkg/runtime/scheme.go:110";
        let why =
            format!("no kind \"{their_kind}\" is registered for version \"{given_version}\" in scheme \"{scheme}\"");
        return handled(their_version, their_kind, why);
    }
    if is_other {
        return Err(Status::bad_request(format!(
            "the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )));
    }
    if their_kind != kind {
        let internal = group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
        let why = format!("converting ({version}.{their_kind}) to ({internal}.{kind}): unknown conversion");
        return handled(version, their_kind, why);
    }
    let mut told: Vec<String> = Vec::new();
    for problem in schema::check(group, version, kind, &value) {
        match problem {
            Problem::WrongType { .. } => {
                return Err(Status::bad_request(format!(
                    "{kind} in version \"{version}\" cannot be handled as a {kind}: {problem}"
                )));
            }
            Problem::UnknownField { .. } => told.push(problem.to_string()),
        }
    }
    told.extend(duplicates.into_iter().map(|path| format!("duplicate field {path:?}")));
    match validation {
        Validation::Strict if !told.is_empty() => Err(Status::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {}",
            told.join(", ")
        ))),
        Validation::Warn => Ok((value, told)),
        _ => Ok((value, Vec::new())),
    }
}

/// The kind of what a resource's requests hold.
pub(super) fn kind_of(resource: &Resource) -> (&'static str, &'static str, &'static str) {
    (resource.group, resource.version, resource.kind)
}

/// Reads a value and notes the fields that stand twice.
struct Seed<'a> {
    path: String,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, items.len());
            match access.next_element_seed(Seed { path, duplicates: self.duplicates })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if fields.contains_key(&key) {
                self.duplicates.push(path.clone());
            }
            let value = access.next_value_seed(Seed { path, duplicates: self.duplicates })?;
            match (fields.get_mut(&key), value) {
                // Go reads the second table into the first one.
                (Some(Value::Object(first)), Value::Object(second)) => first.extend(second),
                (_, value) => drop(fields.insert(key, value)),
            }
        }
        Ok(Value::Object(fields))
    }
}

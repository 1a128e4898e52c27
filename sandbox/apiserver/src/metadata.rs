//! What the server alone says of an object.

use jiff::Timestamp;
use kinds::Resource;
use serde_json::{Map, Value, json};

use crate::Status;

/// The time in the wire's form, to the second.
pub(crate) fn now() -> String {
    seconds_from_now(0)
}

/// A moment so many seconds from now.
pub(crate) fn seconds_from_now(seconds: i64) -> String {
    let second = Timestamp::now().as_second() + seconds;
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX).to_string()
}

/// A random identity.
pub(crate) fn uid() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Random bytes, good enough for secrets.
fn random<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A name that begins so, as the real server makes them: five letters that spell no word.
pub(crate) fn generated_name(base: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let base: String = base.chars().take(63 - 5).collect();
    let end = random::<5>().map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    base + &String::from_iter(end)
}

/// The object's metadata, made when there is none.
pub(crate) fn of(object: &mut Value) -> Result<&mut Map<String, Value>, Status> {
    let Value::Object(fields) = object else {
        return Err(Status::bad_request("the object provided is unrecognized: it is not a JSON object"));
    };
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
    metadata.as_object_mut().ok_or_else(|| Status::bad_request("the object's metadata is not an object"))
}

/// The text of a metadata field, empty when there is none.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// The object's finalizers.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    let list = object["metadata"]["finalizers"].as_array();
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether the object is on its way out.
pub(crate) fn is_deleted(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Fills the metadata of a new object: namespace, name, uid, times. Field order is that of the real server.
pub(crate) fn fill_new(resource: &Resource, namespace: &str, object: &mut Value) -> Result<(), Status> {
    let metadata = of(object)?;
    let given = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default();
    if !matches!(given("resourceVersion"), "" | "0") {
        return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    check_namespace(resource, namespace, given("namespace"))?;
    let mut name = given("name").to_owned();
    let base = given("generateName");
    if name.is_empty() && !base.is_empty() {
        name = generated_name(base);
    }
    let mut filled = Map::new();
    if !name.is_empty() {
        filled.insert("name".to_owned(), name.into());
    }
    if !base.is_empty() {
        filled.insert("generateName".to_owned(), base.into());
    }
    if resource.namespaced {
        filled.insert("namespace".to_owned(), namespace.into());
    }
    filled.insert("uid".to_owned(), uid().into());
    filled.insert("creationTimestamp".to_owned(), now().into());
    take_over(metadata, &mut filled);
    *metadata = filled;
    Ok(())
}

/// The fields that clients set.
fn take_over(from: &mut Map<String, Value>, to: &mut Map<String, Value>) {
    for field in ["labels", "annotations", "ownerReferences", "finalizers", "managedFields"] {
        if let Some(value) = from.remove(field).filter(|value| !is_empty(value)) {
            to.insert(field.to_owned(), value);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Keeps what an update cannot change.
pub(crate) fn keep(resource: &Resource, old: &Value, new: &mut Value) -> Result<(), Status> {
    let (namespace, name) = (text(old, "namespace"), text(old, "name"));
    let metadata = of(new)?;
    let given = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default();
    check_namespace(resource, namespace, given("namespace"))?;
    if !matches!(given("name"), other if other.is_empty() || other == name) {
        return Err(Status::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            given("name")
        )));
    }
    let (uid, version) = (given("uid"), given("resourceVersion"));
    if !uid.is_empty() && uid != text(old, "uid") {
        let key =
            format!("/registry/{}{}{namespace}/{name}", resource.plural, if namespace.is_empty() { "" } else { "/" });
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
             failed: UID in precondition: {uid}, UID in object meta: {}",
            text(old, "uid")
        );
        return Err(Status::conflict(resource, name, &why));
    }
    if !matches!(version, "" | "0") && version != text(old, "resourceVersion") {
        return Err(Status::outdated(resource, name));
    }
    let kept = [
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ];
    let mut filled = Map::new();
    for field in kept {
        if let Some(value) = old["metadata"].get(field) {
            filled.insert(field.to_owned(), value.clone());
        }
    }
    take_over(metadata, &mut filled);
    *metadata = filled;
    Ok(())
}

fn check_namespace(resource: &Resource, expected: &str, given: &str) -> Result<(), Status> {
    if resource.namespaced && !given.is_empty() && given != expected {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// The object says of what kind it is.
pub(crate) fn stamp(resource: &Resource, object: &mut Value) -> Result<(), Status> {
    let Value::Object(fields) = object else {
        return Err(Status::bad_request("the object provided is unrecognized: it is not a JSON object"));
    };
    fields.shift_insert(0, "apiVersion".to_owned(), resource.api_version().into());
    fields.shift_insert(1, "kind".to_owned(), resource.kind.into());
    Ok(())
}

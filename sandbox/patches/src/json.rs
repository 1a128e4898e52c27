//! JSON patch (RFC 6902) and JSON merge patch (RFC 7396).

use serde_json::{Map, Value};

use crate::PatchError;

/// A patch may have so many operations.
const MAXIMUM_OPERATIONS: usize = 10_000;

/// Applies a JSON patch: a list of operations, all or none. Errors are in the API server's words.
pub fn json_patch(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Some(operations) = patch.as_array() else {
        return Err(PatchError::Malformed(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
                .to_owned(),
        ));
    };
    if operations.len() > MAXIMUM_OPERATIONS {
        let message =
            format!("The allowed maximum operations in a JSON patch is {MAXIMUM_OPERATIONS}, got {}", operations.len());
        return Err(PatchError::TooLarge(message));
    }
    let mut document = object.clone();
    for operation in operations {
        operate(&mut document, operation).map_err(PatchError::Unprocessable)?;
    }
    Ok(document)
}

/// Applies a JSON merge patch: objects are merged, `null` removes, everything else replaces.
pub fn merge_patch(object: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch.clone();
    };
    let mut fields = object.as_object().cloned().unwrap_or_default();
    for (name, change) in changes {
        if change.is_null() {
            fields.shift_remove(name);
        } else {
            let before = fields.get(name).unwrap_or(&Value::Null);
            let after = merge_patch(before, change);
            fields.insert(name.clone(), after);
        }
    }
    Value::Object(fields)
}

fn operate(document: &mut Value, operation: &Value) -> Result<(), String> {
    let kind = operation.get("op").and_then(Value::as_str).unwrap_or("unknown");
    if !["add", "remove", "replace", "move", "test", "copy"].contains(&kind) {
        return Err(format!("Unexpected kind: {kind}"));
    }
    let path = operation.get("path").and_then(Value::as_str).ok_or_else(|| {
        format!(
            "{kind} operation failed to decode path: {}missing value",
            if kind == "add" || kind == "remove" { "" } else { "operation missing path field: " }
        )
    })?;
    let from = || {
        operation.get("from").and_then(Value::as_str).ok_or_else(|| {
            format!("{kind} operation failed to decode from: operation, missing from field: missing value")
        })
    };
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    match kind {
        "test" => test(document, path, operation.get("value")),
        "add" => add(document, path, value(), "path", kind),
        "replace" if path.is_empty() => {
            *document = value();
            Ok(())
        }
        "replace" => replace(document, path, value()),
        "remove" => remove(document, path, "path: ").map(|_| ()),
        "move" => {
            let moved = remove(document, from()?, "from path: ")
                .map_err(|error| error.replace("remove operation", "move operation"))?;
            add(document, path, moved, "destination path", kind)
        }
        _ => {
            let from = from()?;
            let (holder, key) = find(document, from).ok_or_else(|| {
                format!("copy operation does not apply: doc is missing from path: {from}: missing value")
            })?;
            let copied = get(holder, &key)
                .map_err(|error| format!("error in copy for from: '{from}': {error}"))?
                .cloned()
                .unwrap_or(Value::Null);
            add(document, path, copied, "destination path", kind)
        }
    }
}

/// The value that holds the last step of a path, and that step.
fn find<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let mut steps: Vec<String> =
        path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    let last = steps.pop()?;
    let mut holder = document;
    for step in &steps {
        holder = match holder {
            Value::Object(fields) => fields.get_mut(step)?,
            Value::Array(items) => {
                let index = place(step, items.len(), items.len()).ok()?;
                items.get_mut(index)?
            }
            _ => return None,
        };
    }
    (holder.is_object() || holder.is_array()).then_some((holder, last))
}

/// The index that a step means in a list; negative ones count from the end.
fn place(step: &str, length: usize, limit: usize) -> Result<usize, String> {
    let index: i64 = step.parse().map_err(|_| format!("strconv.Atoi: parsing {step:?}: invalid syntax"))?;
    let invalid = || format!("Unable to access invalid index: {index}: invalid index referenced");
    let from_start = if index < 0 { index + i64::try_from(length).unwrap_or(i64::MAX) } else { index };
    let found = usize::try_from(from_start).map_err(|_| invalid())?;
    if found < limit { Ok(found) } else { Err(invalid()) }
}

fn get<'a>(holder: &'a Value, key: &str) -> Result<Option<&'a Value>, String> {
    match holder {
        Value::Array(items) => Ok(items.get(place(key, items.len(), items.len())?)),
        _ => Ok(holder.get(key)),
    }
}

fn test(document: &mut Value, path: &str, expected: Option<&Value>) -> Result<(), String> {
    let failed = || format!("testing value {path} failed: test failed");
    let found = if path.is_empty() {
        Some(&*document)
    } else {
        let (holder, key) = find(document, path)
            .ok_or_else(|| format!("test operation does not apply: is missing path: {path}: missing value"))?;
        get(holder, &key).map_err(|error| format!("error in test for path: '{path}': {error}"))?
    };
    let (found, expected) = (found.unwrap_or(&Value::Null), expected.unwrap_or(&Value::Null));
    if found == expected { Ok(()) } else { Err(failed()) }
}

fn add(document: &mut Value, path: &str, value: Value, missing: &str, kind: &str) -> Result<(), String> {
    let quoted = if kind == "add" { format!("{path:?}") } else { path.to_owned() };
    let (holder, key) = find(document, path)
        .ok_or_else(|| format!("{kind} operation does not apply: doc is missing {missing}: {quoted}: missing value"))?;
    match holder {
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let index = place(&key, items.len() + 1, items.len() + 1).map_err(|error| {
                let error = if error.starts_with("strconv") {
                    format!("value was not a proper array index: '{key}': {error}")
                } else {
                    error
                };
                format!("error in {kind} for path: '{path}': {error}")
            })?;
            items.insert(index, value);
        }
        _ => {
            fields_of(holder).insert(key, value);
        }
    }
    Ok(())
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let (holder, key) = find(document, path)
        .ok_or_else(|| format!("replace operation does not apply: doc is missing path: {path}: missing value"))?;
    let missing = || format!("replace operation does not apply: doc is missing key: {path}: missing value");
    match holder {
        Value::Array(items) => {
            let index = place(&key, items.len(), items.len()).map_err(|_| missing())?;
            items[index] = value;
        }
        // The API server takes a missing key of an object for null, and replaces it.
        _ => {
            fields_of(holder).insert(key, value);
        }
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str, missing: &str) -> Result<Value, String> {
    let quoted = if missing == "path: " { format!("{path:?}") } else { path.to_owned() };
    let (holder, key) = find(document, path)
        .ok_or_else(|| format!("remove operation does not apply: doc is missing {missing}{quoted}: missing value"))?;
    let wrong = |error: String| format!("error in remove for path: '{path}': {error}");
    match holder {
        Value::Array(items) => {
            let index = place(&key, items.len(), items.len()).map_err(wrong)?;
            Ok(items.remove(index))
        }
        _ => fields_of(holder)
            .shift_remove(&key)
            .ok_or_else(|| wrong(format!("Unable to remove nonexistent key: {key}: missing value"))),
    }
}

/// The fields of a holder, which is an object when it is no list.
fn fields_of(holder: &mut Value) -> &mut Map<String, Value> {
    if !holder.is_object() {
        *holder = Value::Object(Map::new());
    }
    match holder {
        Value::Object(fields) => fields,
        _ => unreachable!("it was made an object above"),
    }
}

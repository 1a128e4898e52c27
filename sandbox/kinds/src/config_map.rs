//! Configuration maps.

use crate::cause::Causes;
use crate::names;
use crate::node::Node;
use crate::rules::Rules;
use crate::shown::{self, AGE, NAME, column};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { columns: COLUMNS, cells, validate, validate_update, ..Rules::NONE };

const COLUMNS: &[Column] = &[NAME, column("Data", "Number of entries."), AGE];

fn cells(map: &Value, now: Timestamp) -> Vec<Value> {
    let count = |field: &str| map[field].as_object().map_or(0, serde_json::Map::len);
    vec![shown::name(map), (count("data") + count("binaryData")).into(), shown::age(map, now)]
}

/// Data of a configuration map or a secret come to this much at most.
pub(crate) const MAXIMUM_BYTES: usize = 1024 * 1024;

fn validate(map: &Node, causes: &mut Causes) {
    let (data, binary) = (map.get("data"), map.get("binaryData"));
    let mut bytes = 0;
    for (key, value) in data.entries() {
        key_is_good(&value, key, causes);
        if binary.value.get(key).is_some() {
            causes.invalid_value(&value, key, "duplicate of key present in binaryData");
        }
        bytes += value.text().len();
    }
    for (key, value) in binary.entries() {
        key_is_good(&value, key, causes);
        bytes += decoded_length(value.text());
    }
    if bytes > MAXIMUM_BYTES {
        causes.too_long(&map.get("[]"), MAXIMUM_BYTES);
    }
}

/// The key's rule; the key itself is what is told.
pub(crate) fn key_is_good(at: &Node, key: &str, causes: &mut Causes) {
    for wrong in names::config_key(key) {
        causes.invalid_value(at, key, &wrong);
    }
}

/// How many bytes base64 text stands for.
pub(crate) fn decoded_length(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    unchanged_when_immutable(old, new, &["data", "binaryData"], causes);
}

/// What says that it does not change may not change, and may not stop saying so.
pub(crate) fn unchanged_when_immutable(old: &Node, new: &Node, fields: &[&str], causes: &mut Causes) {
    const TEXT: &str = "field is immutable when `immutable` is set";
    if !old.get("immutable").truth() {
        return;
    }
    if !new.get("immutable").truth() {
        causes.forbidden(&new.get("immutable"), TEXT);
    }
    for field in fields {
        if old.get(field).value != new.get(field).value {
            causes.forbidden(&new.get(field), TEXT);
        }
    }
}

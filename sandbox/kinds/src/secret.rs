//! Secrets.

use crate::cause::Causes;
use crate::checks::immutable;
use crate::config_map::{MAXIMUM_BYTES, decoded_length, key_is_good, unchanged_when_immutable};
use crate::edit::{fill, object, remove, set};
use crate::node::Node;
use crate::rules::{Label, Rules};
use crate::shown::{self, AGE, NAME, column};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules {
    default,
    columns: COLUMNS,
    cells,
    field_labels: &[Label("type", "type", "")],
    validate,
    validate_update,
    ..Rules::NONE
};

const COLUMNS: &[Column] = &[NAME, column("Type", "Type of the secret."), column("Data", "Number of entries."), AGE];

fn default(secret: &mut Value) {
    if let Some(Value::Object(texts)) = remove(secret, "stringData")
        && let Some(data) = object(secret, "data")
    {
        for (key, value) in texts {
            set(data, &key, encode(value.as_str().unwrap_or_default().as_bytes()));
        }
    }
    fill(secret, "type", "Opaque");
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let symbol = (bits >> (18 - 6 * place)) & 63;
            text.push(if place <= chunk.len() { char::from(ALPHABET[symbol as usize]) } else { '=' });
        }
    }
    text
}

fn cells(secret: &Value, now: Timestamp) -> Vec<Value> {
    let count = secret["data"].as_object().map_or(0, serde_json::Map::len);
    vec![shown::name(secret), secret["type"].clone(), count.into(), shown::age(secret, now)]
}

fn validate(secret: &Node, causes: &mut Causes) {
    let data = secret.get("data");
    let mut bytes = 0;
    for (key, value) in data.entries() {
        key_is_good(&value, key, causes);
        bytes += decoded_length(value.text());
    }
    if bytes > MAXIMUM_BYTES {
        causes.too_long(&data, MAXIMUM_BYTES);
    }
    let has = |key: &str| data.value.get(key).is_some();
    let mut require = |keys: &[&str]| keys.iter().for_each(|key| causes.required(&data.key(key), ""));
    match secret.get("type").text() {
        "kubernetes.io/service-account-token" => {
            let metadata = secret.get("metadata");
            let annotations = metadata.get("annotations");
            let account = annotations.key("kubernetes.io/service-account.name");
            if account.is_empty() {
                causes.required(&account, "");
            }
        }
        "kubernetes.io/dockercfg" => docker_configuration(&data.key(".dockercfg"), causes),
        "kubernetes.io/dockerconfigjson" => docker_configuration(&data.key(".dockerconfigjson"), causes),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => require(&["username", "password"]),
        "kubernetes.io/ssh-auth" if data.key("ssh-privatekey").is_empty() => require(&["ssh-privatekey"]),
        "kubernetes.io/tls" => ["tls.crt", "tls.key"].iter().filter(|key| !has(key)).for_each(|key| require(&[key])),
        _ => {}
    }
}

fn docker_configuration(at: &Node, causes: &mut Causes) {
    if !at.is_set() {
        causes.required(at, "");
        return;
    }
    let Some(bytes) = decode(at.text()) else { return };
    if let Err(error) = serde_json::from_slice::<Map<String, Value>>(&bytes) {
        causes.invalid_value(at, "<secret contents redacted>", &schema::json_problem(&bytes, &error));
    }
}

/// The bytes of base64 text with padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for place in 0..4 {
            let symbol = chunk.get(place).map_or(Some(0), |byte| ALPHABET.iter().position(|each| each == byte));
            bits = bits << 6 | u32::try_from(symbol?).ok()?;
        }
        bytes.extend(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    immutable(&old.get("type"), &new.get("type"), causes);
    unchanged_when_immutable(old, new, &["data"], causes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_become_data() {
        let mut secret = json!({"data": {"a": "eA=="}, "stringData": {"a": "y", "b": "hello", "c": ""}});
        default(&mut secret);
        assert_eq!(secret, json!({"data": {"a": "eQ==", "b": "aGVsbG8=", "c": ""}, "type": "Opaque"}));
    }
}

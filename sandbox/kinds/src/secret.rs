//! Secrets.

use crate::edit::{fill, object, remove, set};
use crate::rules::{Label, Rules};
use crate::shown::{self, AGE, NAME, column};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules =
    Rules { default, columns: COLUMNS, cells, field_labels: &[Label("type", "type", "")], ..Rules::NONE };

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

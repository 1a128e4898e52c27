use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Write as _};
use std::io::{Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Stands before a sealed value; no base64 text holds a colon.
pub const SEAL: &str = "sealed:";

/// Stands in a text in place of a value.
const HIDDEN: &str = "(secret)";

/// The fewest characters of a value that is looked for in texts: shorter ones are also words of everyday.
const HIDDEN_CHARACTERS: usize = 6;

/// Texts with their length in characters, the longest first.
type Hidden = BTreeSet<Reverse<(usize, String)>>;

/// The values of Secrets, in memory only. A clone is another handle on the same ones.
///
/// The graph and the journal hold a keyed hash in place of each value: it tells that a value has changed, and nothing else. The
/// key must be the same in every run of a deployment; see [`Vault::open`].
#[derive(Clone)]
pub struct Vault {
    key: Arc<[u8]>,
    values: Arc<RwLock<HashMap<String, String>>>,
    /// What must not be seen in a text, longer ones first: one may hold another.
    hidden: Arc<RwLock<Hidden>>,
}

/// A value that is needed and was not handed over in this run.
#[derive(Debug, thiserror::Error)]
#[error("the value of {name:?} is not known in this run")]
pub struct Unknown {
    name: String,
}

impl Vault {
    /// A vault with this key.
    pub fn new(key: &[u8]) -> Self {
        Self { key: key.into(), values: Arc::default(), hidden: Arc::default() }
    }

    /// A vault with the key in a file, which is made (mode 0600) where it is missing.
    pub fn open(file: &Path) -> std::io::Result<Self> {
        match std::fs::read(file) {
            Ok(key) if key.len() == 32 => return Ok(Self::new(&key)),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut key = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
        file.write_all(&key)?;
        file.sync_all()?;
        Ok(Self::new(&key))
    }

    /// Takes the values out of a Secret's manifest; what is not a Secret stays as it is. `stringData` becomes `data`.
    pub(crate) fn seal(&self, manifest: &mut Value) {
        if !is_secret(manifest) {
            return;
        }
        let Some(members) = manifest.as_object_mut() else { return };
        let texts = members.shift_remove("stringData");
        let mut data = match members.shift_remove("data") {
            Some(Value::Object(data)) => data,
            _ => Map::new(),
        };
        for (name, text) in texts.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
            data.insert(name.clone(), Value::String(STANDARD.encode(text)));
        }
        let mut values = self.values.write().expect("no panic while the lock is held");
        for (name, value) in &mut data {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let sealed = self.hash(name, &text);
            *value = Value::String(sealed.clone());
            self.look_out_for(&text);
            values.insert(sealed, text);
        }
        if !data.is_empty() {
            members.insert("data".into(), Value::Object(data));
        }
    }

    /// The manifest with its values put back.
    pub(crate) fn reveal(&self, manifest: &Value) -> Result<Value, Unknown> {
        let mut revealed = manifest.clone();
        if !is_secret(manifest) {
            return Ok(revealed);
        }
        let values = self.values.read().expect("no panic while the lock is held");
        for (name, value) in revealed.get_mut("data").and_then(Value::as_object_mut).into_iter().flatten() {
            if let Some(sealed) = value.as_str().filter(|text| text.starts_with(SEAL)) {
                let text = values.get(sealed).ok_or_else(|| Unknown { name: name.clone() })?;
                *value = Value::String(text.clone());
            }
        }
        Ok(revealed)
    }

    /// The text with `(secret)` in place of every value that this vault knows: as a program prints it, line by line where it has
    /// several, or in base64. Values of fewer than six characters are not looked for.
    #[must_use]
    pub fn hide(&self, mut text: String) -> String {
        let hidden = self.hidden.read().expect("no panic while the lock is held");
        for Reverse((_, value)) in hidden.iter() {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), HIDDEN);
            }
        }
        text
    }

    /// Remembers a value in base64 as what must not be seen.
    fn look_out_for(&self, encoded: &str) {
        let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let mut hidden = self.hidden.write().expect("no panic while the lock is held");
        for text in decoded.lines().chain([encoded]).map(str::trim) {
            let characters = text.chars().count();
            if characters >= HIDDEN_CHARACTERS {
                hidden.insert(Reverse((characters, text.to_owned())));
            }
        }
    }

    /// What stands for a value that must not be seen: the same for the same value of the same name.
    pub(crate) fn sealed(&self, name: &str, value: &str) -> String {
        self.hash(name, value)
    }

    fn hash(&self, name: &str, value: &str) -> String {
        // The outer hash hides the inner state, so that nothing can be computed without the key.
        let inner =
            Sha256::new().chain_update(&self.key).chain_update(name).chain_update([0]).chain_update(value).finalize();
        let outer = Sha256::new().chain_update(&self.key).chain_update(inner).finalize();
        format!("{SEAL}{}", hexadecimal(&outer[..16]))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Vault")
    }
}

pub(crate) fn is_secret(manifest: &Value) -> bool {
    manifest["kind"] == "Secret" && manifest["apiVersion"] == "v1"
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn secret() -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
            "data": {"user": "YWRtaW4="}, "stringData": {"password": "hunter2-hunter2"}})
    }

    #[test]
    fn known_values_are_hidden_in_texts_whichever_way_they_are_printed() {
        let vault = Vault::new(b"key");
        let certificate = "first line of it\n  second line of it\n";
        vault.seal(&mut json!({"apiVersion": "v1", "kind": "Secret", "stringData":
            {"password": "hunter2-hunter2", "short": "hunter2", "certificate": certificate, "flag": "true"}}));
        let hide = |text: &str| vault.hide(text.to_owned());
        assert_eq!(hide("password=hunter2-hunter2, hunter2!"), "password=(secret), (secret)!");
        assert_eq!(hide(&STANDARD.encode("hunter2-hunter2")), "(secret)");
        assert_eq!(hide("> second line of it"), "> (secret)");
        assert_eq!(hide("true that"), "true that");
    }

    #[test]
    fn a_sealed_secret_holds_no_value_and_reveals_the_same() {
        let vault = Vault::new(b"key");
        let mut sealed = secret();
        vault.seal(&mut sealed);
        let text = sealed.to_string();
        assert!(!text.contains("YWRtaW4=") && !text.contains("hunter2") && !text.contains("aHVudGVyMi"), "{text}");
        let revealed = vault.reveal(&sealed).expect("all values are known");
        assert_eq!(revealed["data"], json!({"user": "YWRtaW4=", "password": STANDARD.encode("hunter2-hunter2")}));
    }

    #[test]
    fn the_hash_is_the_same_in_every_run_and_differs_with_key_name_and_value() {
        let hash = |key: &str, name: &str, value: &str| Vault::new(key.as_bytes()).hash(name, value);
        assert_eq!(hash("k", "n", "v"), hash("k", "n", "v"));
        let others = [hash("K", "n", "v"), hash("k", "N", "v"), hash("k", "n", "V")];
        assert!(!others.contains(&hash("k", "n", "v")));
    }

    #[test]
    fn a_value_that_was_not_handed_over_is_an_error() {
        let mut sealed = secret();
        Vault::new(b"key").seal(&mut sealed);
        let error = Vault::new(b"key").reveal(&sealed).expect_err("another run without the values");
        assert_eq!(error.to_string(), "the value of \"user\" is not known in this run");
    }

    #[test]
    fn the_key_is_kept_in_a_private_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        let first = Vault::open(&file).expect("a new key").hash("n", "v");
        assert_eq!(Vault::open(&file).expect("the same key").hash("n", "v"), first);
        assert_eq!(std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    }
}

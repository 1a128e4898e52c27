//! The files of the volumes that are made from objects.

use crate::fields::{Facts, field, resource};
use crate::objects::{Find, decode, missing};
use crate::read::{container, list, text};
use serde_json::Value;
use std::collections::BTreeMap;

/// Files by their path in the volume, with their modes.
pub type Files = BTreeMap<String, File>;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// A token of a service account that a volume asks for.
pub struct TokenWish<'a> {
    /// Empty for the API server.
    pub audience: &'a str,
    /// How long it is to hold.
    pub expires_seconds: u64,
}

/// Makes tokens.
pub type Tokens<'a> = &'a (dyn Fn(&TokenWish<'_>) -> Result<String, String> + Sync);

/// What the contents are taken from.
pub struct Sources<'a> {
    /// Objects of the pod's namespace.
    pub find: Find<'a>,
    /// Tokens of the pod's service account.
    pub tokens: Tokens<'a>,
    /// Fields of the pod.
    pub facts: Facts<'a>,
}

/// The files of a volume that is made from objects; none for every other volume.
///
/// # Errors
/// What is missing, in the kubelet's words.
pub fn contents(volume: &Value, sources: &Sources<'_>) -> Option<Result<Files, String>> {
    let mut files = Files::new();
    let mode = |source: &Value| mode(&source["defaultMode"], 0o644);
    let result = if volume["configMap"].is_object() {
        let source = &volume["configMap"];
        sources.keys(kinds::CONFIG_MAPS, text(source, "name"), source, mode(source), &mut files)
    } else if volume["secret"].is_object() {
        let source = &volume["secret"];
        sources.keys(kinds::SECRETS, text(source, "secretName"), source, mode(source), &mut files)
    } else if volume["downwardAPI"].is_object() {
        let source = &volume["downwardAPI"];
        sources.fields(source, mode(source), &mut files)
    } else if volume["projected"].is_object() {
        sources.projected(&volume["projected"], &mut files)
    } else {
        return None;
    };
    Some(result.map(|()| files))
}

/// How long the tokens of a volume hold, in seconds: the shortest of them.
pub fn token_seconds(volume: &Value) -> Option<u64> {
    let tokens = list(&volume["projected"]["sources"]).iter().map(|source| &source["serviceAccountToken"]);
    tokens.filter(|token| token.is_object()).map(expiration).min()
}

fn expiration(token: &Value) -> u64 {
    token["expirationSeconds"].as_u64().unwrap_or(3600)
}

fn mode(value: &Value, default: u32) -> u32 {
    value.as_u64().and_then(|mode| u32::try_from(mode).ok()).unwrap_or(default) & 0o777
}

impl Sources<'_> {
    fn projected(&self, projected: &Value, files: &mut Files) -> Result<(), String> {
        let default = mode(&projected["defaultMode"], 0o644);
        for source in list(&projected["sources"]) {
            if source["configMap"].is_object() {
                let source = &source["configMap"];
                self.keys(kinds::CONFIG_MAPS, text(source, "name"), source, default, files)?;
            } else if source["secret"].is_object() {
                let source = &source["secret"];
                self.keys(kinds::SECRETS, text(source, "name"), source, default, files)?;
            } else if source["downwardAPI"].is_object() {
                self.fields(&source["downwardAPI"], default, files)?;
            } else if source["serviceAccountToken"].is_object() {
                let token = &source["serviceAccountToken"];
                let wish = TokenWish { audience: text(token, "audience"), expires_seconds: expiration(token) };
                let bytes = (self.tokens)(&wish)?.into_bytes();
                files.insert(text(token, "path").to_owned(), File { bytes, mode: default });
            } else {
                return Err("projected volume source is not supported by the sandbox".to_owned());
            }
        }
        Ok(())
    }

    fn keys(
        &self,
        resource: &'static kinds::Resource,
        name: &str,
        source: &Value,
        default: u32,
        files: &mut Files,
    ) -> Result<(), String> {
        let optional = source["optional"] == true;
        let Some(object) = (self.find)(resource, name) else {
            return if optional { Ok(()) } else { Err(missing(resource, name)) };
        };
        let is_secret = resource == kinds::SECRETS;
        let mut all = BTreeMap::new();
        for (field, encoded) in [("data", is_secret), ("binaryData", true)] {
            for (key, value) in object[field].as_object().into_iter().flatten() {
                let value = value.as_str().unwrap_or_default();
                all.insert(key.as_str(), if encoded { decode(value) } else { value.as_bytes().to_vec() });
            }
        }
        let items = list(&source["items"]);
        if items.is_empty() {
            let all = all.into_iter().map(|(key, bytes)| (key.to_owned(), File { bytes, mode: default }));
            files.extend(all);
            return Ok(());
        }
        for item in items {
            let key = text(item, "key");
            match all.get(key) {
                Some(bytes) => {
                    let file = File { bytes: bytes.clone(), mode: mode(&item["mode"], default) };
                    files.insert(text(item, "path").to_owned(), file);
                }
                None if optional => {}
                None if is_secret => return Err(format!("references non-existent secret key: {key}")),
                None => return Err(format!("configmap references non-existent config key: {key}")),
            }
        }
        Ok(())
    }

    fn fields(&self, source: &Value, default: u32, files: &mut Files) -> Result<(), String> {
        for item in list(&source["items"]) {
            let value = if item["fieldRef"].is_object() {
                field(&self.facts, text(&item["fieldRef"], "fieldPath"))?
            } else {
                let reference = &item["resourceFieldRef"];
                let owner = container(self.facts.pod, text(reference, "containerName")).unwrap_or(&Value::Null);
                resource(&self.facts, owner, reference)?
            };
            let file = File { bytes: value.into_bytes(), mode: mode(&item["mode"], default) };
            files.insert(text(item, "path").to_owned(), file);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "contents_tests.rs"]
mod tests;

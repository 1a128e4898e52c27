//! Objects that a pod refers to.

use kinds::Resource;
use serde_json::Value;
use std::sync::Arc;

/// Finds an object of the pod's namespace by its name.
pub type Find<'a> = &'a (dyn Fn(&'static Resource, &str) -> Option<Arc<Value>> + Sync);

/// The API's words for an object that is not there.
pub fn missing(resource: &Resource, name: &str) -> String {
    format!("{} \"{name}\" not found", resource.singular)
}

/// The bytes behind a text in base64; nothing for a text that is none, which validation does not let through.
pub fn decode(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
}

/// What a pod's definition refers to: kinds and names of objects whose change may matter to it.
pub fn referred(pod: &Value) -> Vec<(&'static Resource, String)> {
    let mut found = Vec::new();
    collect(&pod["spec"], &mut found);
    found
}

/// References are few and well named, wherever in the definition they are.
fn collect(value: &Value, found: &mut Vec<(&'static Resource, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => {
            for (key, inner) in fields {
                let (resource, name) = match key.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => (kinds::CONFIG_MAPS, "name"),
                    "secret" if inner["secretName"].is_string() => (kinds::SECRETS, "secretName"),
                    "secret" | "secretRef" | "secretKeyRef" => (kinds::SECRETS, "name"),
                    "persistentVolumeClaim" => (kinds::PERSISTENT_VOLUME_CLAIMS, "claimName"),
                    _ => {
                        collect(inner, found);
                        continue;
                    }
                };
                if let Some(name) = inner[name].as_str() {
                    found.push((resource, name.to_owned()));
                }
            }
        }
        _ => {}
    }
}

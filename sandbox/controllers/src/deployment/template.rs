//! Pod templates: which replica set has a deployment's template, and the hash that tells them apart.

use crate::meta::{drop_field, text, time};
use serde_json::Value;
use std::sync::Arc;

/// The label with the hash of a template.
pub const HASH_LABEL: &str = "pod-template-hash";
/// Vowels and digits that look like them are left out, so that no words appear.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a deployment's template. Collisions count, so that the next try gives another one.
pub fn hash(deployment: &Value) -> String {
    let mut hash: u32 = 0x811c_9dc5;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    };
    eat(sorted(&deployment["spec"]["template"]).to_string().as_bytes());
    if let Some(collisions) = deployment.pointer("/status/collisionCount").and_then(Value::as_i64) {
        eat(&collisions.to_le_bytes());
    }
    let letter = |digit: u8| char::from(LETTERS[usize::from(digit) % LETTERS.len()]);
    hash.to_string().bytes().map(letter).collect()
}

fn sorted(value: &Value) -> Value {
    let mut value = value.clone();
    value.sort_all_objects();
    value
}

/// Whether two templates are the same but for the hash.
pub fn are_equal(one: &Value, other: &Value) -> bool {
    let bare = |template: &Value| {
        let mut template = template.clone();
        drop_field(&mut template, "/metadata/labels", HASH_LABEL);
        drop_field(&mut template, "/metadata", "creationTimestamp");
        template
    };
    bare(one) == bare(other)
}

/// The replica set with the deployment's template; of several the oldest.
pub fn find_new(deployment: &Value, sets: &[Arc<Value>]) -> Option<Arc<Value>> {
    let same = |set: &&Arc<Value>| are_equal(&set["spec"]["template"], &deployment["spec"]["template"]);
    sets.iter().filter(same).min_by(|one, other| by_age(one, other)).cloned()
}

/// Older sets first.
pub fn by_age(one: &Value, other: &Value) -> std::cmp::Ordering {
    let age = |set| time(set, "/metadata/creationTimestamp");
    age(one).cmp(&age(other)).then_with(|| text(one, "/metadata/name").cmp(text(other, "/metadata/name")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_hash_depends_on_the_template_and_on_collisions_only() {
        let deployment =
            |image: &str| json!({"metadata": {"name": image}, "spec": {"template": {"spec": {"image": image}}}});
        assert_eq!(hash(&deployment("a")), hash(&deployment("a")));
        assert_ne!(hash(&deployment("a")), hash(&deployment("b")));
        let mut collided = deployment("a");
        collided["status"] = json!({"collisionCount": 1});
        assert_ne!(hash(&deployment("a")), hash(&collided));
        assert!(hash(&collided).bytes().all(|letter| LETTERS.contains(&letter)));
    }

    #[test]
    fn templates_are_compared_without_their_hash() {
        let template = |hash: &str| json!({"metadata": {"labels": {"app": "a", HASH_LABEL: hash}}, "spec": {}});
        let plain = json!({"metadata": {"labels": {"app": "a"}}, "spec": {}});
        assert!(are_equal(&template("x"), &plain));
        assert!(!are_equal(&template("x"), &json!({"metadata": {"labels": {"app": "b"}}, "spec": {}})));
    }
}

//! Which volume a claim can have.

use crate::meta::{annotation, labels, name, namespace, text, texts, uid};
use apiserver::Selector;
use kinds::quantity::{Quantity, from_value};
use serde_json::Value;
use std::sync::Arc;

/// The old way to name a class.
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// The storage class of a claim or a volume; empty for none.
pub fn class(object: &Value) -> &str {
    annotation(object, OLD_CLASS).unwrap_or_else(|| text(object, "/spec/storageClassName"))
}

fn amount(object: &Value, pointer: &str) -> Quantity {
    object.pointer(pointer).and_then(|value| from_value(value).ok()).unwrap_or_default()
}

fn capacity(volume: &Value) -> Quantity {
    amount(volume, "/spec/capacity/storage")
}

fn mode(object: &Value) -> &str {
    match text(object, "/spec/volumeMode") {
        "" => "Filesystem",
        mode => mode,
    }
}

/// Whether the volume names this claim.
pub fn is_meant_for(volume: &Value, claim: &Value) -> bool {
    let at = |field: &str| text(volume, &format!("/spec/claimRef/{field}"));
    at("name") == name(claim)
        && at("namespace") == namespace(claim)
        && (at("uid").is_empty() || at("uid") == uid(claim))
}

/// What keeps a volume from a claim that asks for it by name.
pub fn mismatch(volume: &Value, claim: &Value) -> Option<&'static str> {
    let modes = texts(volume, "/spec/accessModes");
    if capacity(volume) < amount(claim, "/spec/resources/requests/storage") {
        return Some("requested PV is too small");
    }
    if class(volume) != class(claim) {
        return Some("storageClassName does not match");
    }
    if mode(volume) != mode(claim) {
        return Some("incompatible volumeMode");
    }
    let fine = texts(claim, "/spec/accessModes").iter().all(|wanted| modes.contains(wanted));
    (!fine).then_some("incompatible accessMode")
}

/// The smallest free volume that has what the claim asks for; one that names the claim goes first.
pub fn best<'a>(volumes: impl Iterator<Item = &'a Arc<Value>> + Clone, claim: &Value) -> Option<Arc<Value>> {
    let meant = |volume: &&Arc<Value>| is_meant_for(volume, claim) && mode(volume) == mode(claim);
    let size = |volume: &&'a Arc<Value>| (capacity(volume), name(volume).to_owned());
    if let Some(volume) = volumes.clone().filter(meant).min_by_key(size) {
        return Some(volume.clone());
    }
    let selector = claim.pointer("/spec/selector").map(Selector::of_selector).unwrap_or_default();
    let free = |volume: &&Arc<Value>| {
        volume.pointer("/spec/claimRef").is_none()
            && matches!(text(volume, "/status/phase"), "Available" | "")
            && !crate::meta::is_deleting(volume)
            && mismatch(volume, claim).is_none()
            && (selector.is_everything() || labels(volume).is_some() && selector.matches(&volume["metadata"]["labels"]))
    };
    volumes.filter(free).min_by_key(size).cloned()
}

/// Whether there is anything about this class that a folder cannot be.
pub fn unsupported(claim: &Value) -> Option<String> {
    if mode(claim) == "Block" {
        return Some("volumeMode Block is not supported by a folder".to_owned());
    }
    let source =
        ["dataSource", "dataSourceRef"].into_iter().find(|field| claim.pointer(&format!("/spec/{field}")).is_some());
    source.map(|field| format!("spec.{field} is not supported by a folder")).or_else(|| {
        let known = ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"];
        let strange = texts(claim, "/spec/accessModes").into_iter().find(|mode| !known.contains(mode));
        strange.map(|mode| format!("access mode {mode} is not supported by a folder"))
    })
}

/// Whether a default class is marked so.
pub fn is_default_class(class: &Value) -> bool {
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
        .iter()
        .any(|key| annotation(class, key) == Some("true"))
}

/// When an object was made; of several default classes the newest wins.
pub fn age(object: &Value) -> Option<jiff::Timestamp> {
    crate::meta::time(object, "/metadata/creationTimestamp")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn volume(name: &str, size: &str, modes: &[&str], class: &str) -> Arc<Value> {
        Arc::new(json!({"metadata": {"name": name, "labels": {"tier": name}}, "status": {"phase": "Available"},
            "spec": {"capacity": {"storage": size}, "accessModes": modes, "storageClassName": class}}))
    }

    fn claim(size: &str, mode: &str, class: &str) -> Value {
        json!({"metadata": {"name": "c", "namespace": "a", "uid": "u"},
            "spec": {"resources": {"requests": {"storage": size}}, "accessModes": [mode], "storageClassName": class}})
    }

    fn chosen(volumes: &[Arc<Value>], claim: &Value) -> Option<String> {
        best(volumes.iter(), claim).map(|volume| name(&volume).to_owned())
    }

    #[test]
    fn the_smallest_volume_that_is_large_enough_is_taken() {
        let volumes = [
            volume("small", "1Gi", &["ReadWriteOnce"], "x"),
            volume("large", "10Gi", &["ReadWriteOnce"], "x"),
            volume("fit", "5Gi", &["ReadWriteOnce"], "x"),
            volume("shared", "4Gi", &["ReadWriteMany"], "x"),
            volume("other", "4Gi", &["ReadWriteOnce"], "y"),
        ];
        assert_eq!(chosen(&volumes, &claim("2Gi", "ReadWriteOnce", "x")).as_deref(), Some("fit"));
        assert_eq!(chosen(&volumes, &claim("20Gi", "ReadWriteOnce", "x")), None);
        let mut picky = claim("1Gi", "ReadWriteOnce", "x");
        picky["spec"]["selector"] = json!({"matchLabels": {"tier": "large"}});
        assert_eq!(chosen(&volumes, &picky).as_deref(), Some("large"));
    }

    #[test]
    fn a_volume_that_names_the_claim_goes_first_and_one_of_another_claim_not_at_all() {
        let mut reserved = (*volume("reserved", "10Gi", &["ReadWriteOnce"], "x")).clone();
        reserved["spec"]["claimRef"] = json!({"namespace": "a", "name": "c"});
        let volumes = [volume("small", "1Gi", &["ReadWriteOnce"], "x"), Arc::new(reserved)];
        assert_eq!(chosen(&volumes, &claim("1Gi", "ReadWriteOnce", "x")).as_deref(), Some("reserved"));
        let mut other = claim("1Gi", "ReadWriteOnce", "x");
        other["metadata"]["name"] = json!("d");
        assert_eq!(chosen(&volumes, &other).as_deref(), Some("small"));
    }

    #[test]
    fn a_mismatch_is_told_in_the_real_words() {
        let volume = volume("v", "1Gi", &["ReadWriteOnce"], "x");
        assert_eq!(mismatch(&volume, &claim("2Gi", "ReadWriteOnce", "x")), Some("requested PV is too small"));
        assert_eq!(mismatch(&volume, &claim("1Gi", "ReadWriteOnce", "y")), Some("storageClassName does not match"));
        assert_eq!(mismatch(&volume, &claim("1Gi", "ReadWriteMany", "x")), Some("incompatible accessMode"));
        assert_eq!(mismatch(&volume, &claim("1Gi", "ReadWriteOnce", "x")), None);
    }
}

//! Whose fields an object's fields are.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use providers::kubernetes::{FIELD_MANAGER, ObjectMeta};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::vault::hexadecimal;

/// A hash over the fields that we own in an object. It changes when somebody else takes a field over or removes one, and stays
/// the same when a status changes or others add fields of their own.
pub(crate) fn hash(metadata: &ObjectMeta) -> String {
    let mut sha = Sha256::new();
    let ours = metadata.managed_fields.iter().flatten().filter(|entry| is_ours(entry));
    for fields in ours.filter_map(|entry| entry.fields_v1.as_ref()) {
        feed(&mut sha, &fields.0);
    }
    hexadecimal(&sha.finalize()[..16])
}

/// Whether we applied the object, and it was not made by a controller that copied our labels.
pub(crate) fn was_applied(metadata: &ObjectMeta) -> bool {
    metadata.managed_fields.iter().flatten().any(is_ours)
}

/// Whether these are the fields that we have applied.
pub(crate) fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.is_none()
}

/// Members are fed in the order of their names, whatever order the API server sends them in.
fn feed(sha: &mut Sha256, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            sha.update(b"{");
            for (name, member) in sorted {
                sha.update(name);
                sha.update(b":");
                feed(sha, member);
            }
            sha.update(b"}");
        }
        other => sha.update(other.to_string()),
    }
}

/// Who else wrote to the object last, apart from its status.
pub(crate) fn last_other_writer(metadata: &ObjectMeta) -> Option<&str> {
    let others = metadata.managed_fields.iter().flatten().filter(|entry| {
        entry.subresource.as_deref() != Some("status") && entry.manager.as_deref() != Some(FIELD_MANAGER)
    });
    others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?.manager.as_deref()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(fields: &Value, others: &Value) -> ObjectMeta {
        serde_json::from_value(json!({"managedFields": [
            {"manager": "infra", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status",
                "time": "2026-01-01T00:00:09Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {}}},
            {"manager": "kubectl-edit", "operation": "Update", "time": "2026-01-01T00:00:05Z", "fieldsType": "FieldsV1", "fieldsV1": others},
        ]}))
        .expect("metadata")
    }

    #[test]
    fn the_hash_changes_only_with_our_fields() {
        let ours = json!({"f:data": {"f:a": {}, "f:b": {}}});
        let before = hash(&object(&ours, &json!({})));
        assert_eq!(hash(&object(&json!({"f:data": {"f:b": {}, "f:a": {}}}), &json!({"f:x": {}}))), before);
        assert_ne!(hash(&object(&json!({"f:data": {"f:a": {}}}), &json!({"f:data": {"f:b": {}}}))), before);
    }

    #[test]
    fn the_last_writer_is_not_the_one_of_the_status() {
        assert_eq!(last_other_writer(&object(&json!({}), &json!({}))), Some("kubectl-edit"));
    }
}

//! The storage class of a claim that names none, and volumes that only some sandboxes have.

use kinds::Cause;
use serde_json::{Value, json};

use super::Attempt;
use crate::{Api, ListOptions, Status, metadata};

const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Refuses volumes outside of the machine that nothing stands in for here.
pub(super) fn check_source(api: &Api, attempt: &Attempt<'_>, volume: &Value) -> Result<(), Status> {
    if !attempt.creates(kinds::PERSISTENT_VOLUMES) {
        return Ok(());
    }
    let (csi, nfs) = (&volume["spec"]["csi"], &volume["spec"]["nfs"]);
    let driver = match (csi.is_object(), nfs.is_object()) {
        (true, _) => csi["driver"].as_str().unwrap_or_default(),
        (_, true) => "nfs",
        _ => return Ok(()),
    };
    if api.volume_drivers().iter().any(|known| known == driver) {
        return Ok(());
    }
    let field = if csi.is_object() { "csi" } else { "nfs" };
    let text = format!("the sandbox has no {field} volumes; use hostPath, or a PersistentVolumeClaim alone");
    let message = format!("Forbidden: {text}");
    let cause = Cause { reason: "FieldValueForbidden", field: format!("spec.{field}"), message };
    Err(Status::invalid(attempt.resource, metadata::text(volume, "name"), vec![cause]))
}

/// Chooses the youngest default class, as the real server does; an empty name asks for no class at all.
pub(super) fn choose_class(api: &Api, claim: &mut Value) -> Result<(), Status> {
    let old_way = claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].is_string();
    if claim["spec"]["storageClassName"].is_string() || old_way {
        return Ok(());
    }
    let classes = api.list(kinds::STORAGE_CLASSES, None, &ListOptions::default())?.items;
    let defaults = classes.iter().filter(|class| class["metadata"]["annotations"][IS_DEFAULT] == "true");
    // Of those made in the same second, the first by name.
    let youngest = defaults.rev().max_by_key(|class| metadata::text(class, "creationTimestamp").to_owned());
    if let Some(class) = youngest {
        claim["spec"]["storageClassName"] = json!(metadata::text(class, "name"));
    }
    Ok(())
}

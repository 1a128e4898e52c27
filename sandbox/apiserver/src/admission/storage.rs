//! The storage class of a claim that names none.

use serde_json::{Value, json};

use crate::{Api, ListOptions, Status, metadata};

const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

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

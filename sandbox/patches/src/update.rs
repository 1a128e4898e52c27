//! The owners of fields after writes other than apply.

use schema::Type;
use serde_json::Value;

use crate::compare::{Comparison, compare};
use crate::fields::FieldSet;
use crate::managed::{Identity, Manager, Managers, Operation, entries, take_out};

/// Notes in `new`'s managedFields what a write other than apply changed.
///
/// `new` must be defaulted already, and its managedFields must be as the client sent them: a client may change them, too.
/// `subresource` is what was written, such as `status` or `scale`. A write that changes nothing leaves managedFields as
/// they were; objects that never had any get none.
pub fn record_update(
    ty: &'static Type,
    old: Option<&Value>,
    new: &mut Value,
    manager: &str,
    now: &str,
    subresource: Option<&str>,
) {
    let subresource = subresource.filter(|name| !name.is_empty());
    let Some(mut managers) = managers_of(old, new, subresource.is_some()) else {
        take_out(new);
        return;
    };
    take_out(new);
    let was_created = old.is_none_or(|old| old["metadata"]["uid"].as_str().is_none_or(str::is_empty));
    if managers.0.is_empty() && !was_created {
        return;
    }
    let api_version = new.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    let identity = Identity::new(manager, Operation::Update, &api_version, subresource);
    if note_update(ty, &mut managers, old, new, identity, &api_version, now) {
        managers.join_oldest();
    }
    managers.encode(new);
}

/// The managers before the write: those that the client sent along, or else those of the stored object; none when the client
/// resets them. `None` if what is stored cannot be read.
fn managers_of(old: Option<&Value>, new: &Value, is_subresource: bool) -> Option<Managers> {
    let stored = || old.map_or(Some(Managers::default()), |old| Managers::decode(old).ok());
    if is_subresource {
        return stored();
    }
    let is_reset = entries(new).is_some_and(|entries| match entries.as_slice() {
        [] => true,
        [one] => one.as_object().is_some_and(serde_json::Map::is_empty),
        _ => false,
    });
    if is_reset {
        return Some(Managers::default());
    }
    match Managers::decode(new) {
        Ok(sent) if !sent.0.is_empty() => Some(sent),
        _ => stored(),
    }
}

/// Takes what the write changed from its owners and gives it to the writer; false if it changed nothing.
pub(crate) fn note_update(
    ty: &'static Type,
    managers: &mut Managers,
    old: Option<&Value>,
    new: &Value,
    identity: Identity,
    api_version: &str,
    now: &str,
) -> bool {
    let mut comparison = compare_stored(ty, old, new);
    ignore(ty, &identity.subresource, comparison.sets());
    let mut owned = comparison.modified.union(&comparison.added);
    if owned.is_empty() && comparison.removed.is_empty() {
        return false;
    }
    let touched = owned.union(&comparison.removed);
    for manager in &mut managers.0 {
        manager.set = manager.set.difference(&touched);
    }
    let before = managers.get(&identity).map(|manager| manager.set.clone());
    managers.0.retain(|manager| !manager.set.is_empty());
    strip(&mut owned);
    if owned.is_empty() {
        return true;
    }
    let set = before.map_or_else(|| owned.clone(), |before| before.union(&owned));
    // A change of the scale alone carries no time, as the API server has it.
    let time = (identity.subresource != "scale").then(|| now.to_owned());
    if let Some(manager) = managers.get_mut(&identity) {
        (manager.set, manager.time) = (set, time);
    } else {
        managers.0.push(Manager { identity, api_version: api_version.to_owned(), time, set });
    }
    true
}

/// Compares without managedFields; a new object is compared with an empty one, in which some fields are always there.
pub(crate) fn compare_stored(ty: &'static Type, old: Option<&Value>, new: &Value) -> Comparison {
    match old {
        Some(old) => {
            let mut comparison = compare(ty, old, new);
            for set in comparison.sets() {
                set.remove(&["metadata", "managedFields"], true);
            }
            comparison
        }
        None => compare(ty, &schema::zero(ty), new),
    }
}

/// Drops what a write to this kind and subresource cannot change.
pub(crate) fn ignore<'a>(ty: &Type, subresource: &str, sets: impl IntoIterator<Item = &'a mut FieldSet>) {
    const WITHOUT_STATUS: [&str; 5] = ["Event", "Scale", "Binding", "Eviction", "DeleteOptions"];
    let paths: &[&[&str]] = match (subresource, ty.name()) {
        ("status", "Pod") => &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]],
        ("status", "Deployment") => &[&["spec"], &["metadata", "labels"]],
        ("status", _) => &[&["spec"]],
        (_, name) if WITHOUT_STATUS.contains(&name) => &[],
        _ => &[&["status"]],
    };
    for set in sets {
        for path in paths {
            set.remove(path, true);
        }
    }
}

/// Drops what nobody owns: identity and bookkeeping.
pub(crate) fn strip(set: &mut FieldSet) {
    const BOOKKEEPING: [&str; 9] = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    for name in ["apiVersion", "kind", "metadata"] {
        set.remove(&[name], false);
    }
    for name in BOOKKEEPING {
        set.remove(&["metadata", name], false);
    }
}

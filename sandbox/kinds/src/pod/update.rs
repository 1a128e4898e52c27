//! What of a pod may change.

use super::validation::toleration;
use crate::cause::Causes;
use crate::difference::difference;
use crate::edit::set;
use crate::node::Node;
use serde_json::Value;

const UPDATABLE: &str = "pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
    additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously \
    negative)";

pub(super) fn validate(old: &Node, new: &Node, causes: &mut Causes) {
    let (before, after) = (old.get("spec"), new.get("spec"));
    for list in ["containers", "initContainers"] {
        if before.get(list).items().count() != after.get(list).items().count() {
            causes.forbidden(&after.get(list), "pod updates may not add or remove containers");
            return;
        }
    }
    if !deadline(&before, &after, causes) {
        return;
    }
    tolerations(&before.get("tolerations"), &after.get("tolerations"), causes);
    fewer_gates(&before.get("schedulingGates"), &after.get("schedulingGates"), causes);
    if before.value == after.value {
        return;
    }
    let changed = without_what_may_change(before.value, after.value);
    if changed != *before.value {
        causes.forbidden(&after, &format!("{UPDATABLE}\n{}", difference(before.value, &changed)));
    }
}

/// Gives whether the checks go on.
fn deadline(before: &Node, after: &Node, causes: &mut Causes) -> bool {
    let (had, has) = (before.get("activeDeadlineSeconds"), after.get("activeDeadlineSeconds"));
    match (had.integer(), has.integer()) {
        (Some(_), None) => causes.invalid(&has, "must not update from a positive integer to nil value"),
        (Some(had), Some(now)) if had < now => {
            causes.invalid(&has, "must be less than or equal to previous value");
            return false;
        }
        _ => {}
    }
    true
}

/// A toleration stays, but for its time.
fn tolerations(old: &Node, new: &Node, causes: &mut Causes) {
    for each in old.items() {
        let kept = new.items().any(|other| {
            let without_time = |value: &Value| {
                let mut value = value.clone();
                crate::edit::remove(&mut value, "tolerationSeconds");
                value
            };
            without_time(each.value) == without_time(other.value)
        });
        if !kept {
            causes.forbidden(new, "existing toleration can not be modified except its tolerationSeconds");
            return;
        }
    }
    if old.value != new.value {
        new.items().for_each(|each| toleration(&each, causes));
    }
}

fn fewer_gates(old: &Node, new: &Node, causes: &mut Causes) {
    for gate in new.items().filter(|gate| !old.items().any(|each| each.value == gate.value)) {
        let name = gate.get("name");
        let text = format!("only deletion is allowed, but found new scheduling gate '{}'", name.text());
        causes.forbidden(&name, &text);
    }
}

/// The new specification with what may change put back, so that only what may not is left.
fn without_what_may_change(old: &Value, new: &Value) -> Value {
    let mut changed = new.clone();
    for list in ["containers", "initContainers"] {
        for place in 0..old[list].as_array().map_or(0, Vec::len) {
            let image = old[list][place]["image"].clone();
            if let Some(container) = changed.get_mut(list).and_then(|list| list.get_mut(place)) {
                set(container, "image", image);
            }
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        put_back(old, &mut changed, field);
    }
    if old["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0)
        && changed["terminationGracePeriodSeconds"] == 1
    {
        put_back(old, &mut changed, "terminationGracePeriodSeconds");
    }
    if old["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        // A pod that waits may be narrowed down further.
        put_back(old, &mut changed, "nodeSelector");
        put_back(old, &mut changed, "affinity");
    }
    changed
}

fn put_back(old: &Value, changed: &mut Value, field: &str) {
    match old.get(field) {
        Some(value) => set(changed, field, value.clone()),
        None => {
            crate::edit::remove(changed, field);
        }
    }
}

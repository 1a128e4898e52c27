//! Server-side apply.

use schema::Type;
use serde_json::{Map, Value};

use crate::compare::compare;
use crate::fields::FieldSet;
use crate::managed::{Identity, Manager, Managers, Operation, take_out};
use crate::merge::merge;
use crate::shapes::{fields_of, misfits, without};
use crate::update::{compare_stored, ignore, note_update, strip};

/// One server-side apply.
#[derive(Debug, Clone, Copy)]
pub struct Apply<'a> {
    /// The object's kind.
    pub ty: &'static Type,
    /// The object as it is stored; `None` when the apply creates it.
    pub live: Option<&'a Value>,
    /// What the manager wants.
    pub config: &'a Value,
    /// Who applies.
    pub manager: &'a str,
    /// Take over fields that others own.
    pub force: bool,
    /// The time for the manager's entry, RFC 3339 to the second.
    pub now: &'a str,
    /// The subresource that is written, such as `status`.
    pub subresource: Option<&'a str>,
}

/// A field that another manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other manager, as messages name it: `"kubectl" using apps/v1`, with its subresource where it has one.
    pub manager: String,
    /// The field, such as `.spec.replicas`.
    pub field_path: String,
}

/// Why an apply was refused.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Others own these fields: 409 `Conflict`, one cause `FieldManagerConflict` for each with the message
    /// `conflict with <manager>` and the field.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The configuration is not acceptable, such as one with managedFields: 400 `BadRequest`.
    #[error("{0}")]
    BadRequest(String),
    /// The configuration does not fit the kind's schema: 500, as the API server answers.
    #[error("{0}")]
    Schema(String),
}

/// The API server's words for conflicts.
fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [one] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", one.manager, one.field_path);
    }
    let mut lines = Vec::new();
    let mut last = None;
    for conflict in conflicts {
        if last != Some(&conflict.manager) {
            lines.push(format!("conflicts with {}:", conflict.manager));
            last = Some(&conflict.manager);
        }
        lines.push(format!("- {}", conflict.field_path));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

/// Applies a configuration; the answer is the new object with its managedFields, not defaulted yet.
///
/// Fields that the manager applied before and no longer does are removed, unless another manager owns them. When nothing
/// changes, the answer equals `live` up to the times in managedFields: see [`same_but_times`].
pub fn apply(request: Apply<'_>) -> Result<Value, ApplyError> {
    check_config(&request)?;
    let live = Value::Object(request.live.and_then(Value::as_object).map_or_else(Map::new, without_managed_fields));
    let mut managers = match request.live {
        None => Managers::default(),
        Some(stored) => Managers::decode(stored)
            .map_err(|problem| ApplyError::Schema(format!("failed to decode managed fields: {problem}")))?,
    };
    let api_version = request.config.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if request.live.is_some() && managers.0.is_empty() {
        let first = Identity::new("before-first-apply", Operation::Update, api_version, request.subresource);
        note_update(request.ty, &mut managers, None, &live, first, api_version, request.now);
    }
    let applied = match lay_over(&request, &live, managers.clone(), request.force) {
        Err(ApplyError::Conflicts(conflicts)) if request.manager == "kubectl" => {
            let disputed = without_own_past(&request, &live, conflicts);
            if !disputed.is_empty() {
                return Err(ApplyError::Conflicts(disputed));
            }
            lay_over(&request, &live, managers, true)
        }
        answer => answer,
    };
    let (mut object, managers) = applied?;
    if request.manager == "kubectl" {
        renew_last_applied(&mut object, request.config);
    }
    managers.encode(&mut object);
    Ok(object)
}

/// Whether two versions of an object are the same up to the times in managedFields: then nothing is to be written.
pub fn same_but_times(old: &Value, new: &Value) -> bool {
    same_except(old, new, |name, old, new| {
        name == "metadata" && same_except(old, new, |name, old, new| name == "managedFields" && same_entries(old, new))
    })
}

/// Whether two objects have the same fields, where some that are not equal may be as good as equal.
fn same_except(old: &Value, new: &Value, as_good: impl Fn(&str, &Value, &Value) -> bool) -> bool {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return old == new;
    };
    let same = |(name, old): (&String, &Value)| new.get(name).is_some_and(|new| old == new || as_good(name, old, new));
    old.len() == new.len() && old.iter().all(same)
}

fn same_entries(old: &Value, new: &Value) -> bool {
    let (Value::Array(old), Value::Array(new)) = (old, new) else {
        return false;
    };
    let timeless =
        |entry: &Value| entry.as_object().map_or(0, |fields| fields.keys().filter(|name| *name != "time").count());
    let same = |old: &Value, new: &Value| {
        let fields = old.as_object().into_iter().flatten();
        timeless(old) == timeless(new)
            && fields.filter(|(name, _)| *name != "time").all(|(name, value)| new.get(name) == Some(value))
    };
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new))
}

fn without_managed_fields(object: &Map<String, Value>) -> Map<String, Value> {
    let fields = object.iter().map(|(name, value)| match value {
        Value::Object(metadata) if name == "metadata" => {
            let kept = metadata
                .iter()
                .filter(|(name, _)| *name != "managedFields")
                .map(|(name, value)| (name.clone(), value.clone()));
            (name.clone(), Value::Object(kept.collect()))
        }
        _ => (name.clone(), value.clone()),
    });
    fields.collect()
}

fn check_config(request: &Apply<'_>) -> Result<(), ApplyError> {
    let text = |object: &Value, name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text(request.config, "apiVersion"), text(request.config, "kind"));
    let described = if api_version.contains('/') {
        format!("{api_version}, Kind={kind}")
    } else {
        format!("/{api_version}, Kind={kind}")
    };
    let expected = request.live.map_or_else(|| api_version.clone(), |live| text(live, "apiVersion"));
    if kind != request.ty.name() || api_version != expected || !request.config.is_object() {
        return Err(ApplyError::BadRequest(format!("invalid object type: {described}")));
    }
    let metadata = request.config.get("metadata");
    if metadata.and_then(|metadata| metadata.get("managedFields")).is_some_and(|entries| !entries.is_null()) {
        return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    let problems = misfits(request.ty, request.config);
    let problems = match problems.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let name = |field: &str| metadata.map(|metadata| text(metadata, field)).unwrap_or_default();
    Err(ApplyError::Schema(format!(
        "failed to create typed patch object ({}/{}; {described}): {problems}",
        name("namespace"),
        name("name")
    )))
}

/// The object with the configuration laid over it, and its managers.
fn lay_over(
    request: &Apply<'_>,
    live: &Value,
    mut managers: Managers,
    force: bool,
) -> Result<(Value, Managers), ApplyError> {
    let api_version = request.config.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let subresource = request.subresource.unwrap_or_default();
    let identity = Identity::new(request.manager, Operation::Apply, api_version, request.subresource);
    let mut set = fields_of(request.ty, request.config);
    ignore(request.ty, subresource, [&mut set]);
    let last = managers.remove(&identity);
    let merged = merge(request.ty, live, request.config);
    let object = match &last {
        Some(last) if !last.set.is_subset(&set) => prune(request.ty, &merged, &last.set, &managers, &set),
        _ => merged,
    };
    take_from_others(request, live, &object, &mut managers, force)?;
    strip(&mut set);
    let time = if object == *live { last.and_then(|last| last.time) } else { Some(request.now.to_owned()) };
    if !set.is_empty() {
        managers.0.push(Manager { identity, api_version: api_version.to_owned(), time, set });
    }
    Ok((object, managers))
}

/// Takes what changes from the managers that own it; refuses when they do not give it.
fn take_from_others(
    request: &Apply<'_>,
    live: &Value,
    object: &Value,
    managers: &mut Managers,
    force: bool,
) -> Result<(), ApplyError> {
    let mut comparison = if request.live.is_some() {
        compare(request.ty, live, object)
    } else {
        compare_stored(request.ty, None, object)
    };
    ignore(request.ty, request.subresource.unwrap_or_default(), comparison.sets());
    let changed = comparison.modified.union(&comparison.added);
    let mut conflicts: Vec<(&Identity, FieldSet)> = managers
        .0
        .iter()
        .map(|manager| (&manager.identity, manager.set.intersection(&changed)))
        .filter(|(_, set)| !set.is_empty())
        .collect();
    if !force && !conflicts.is_empty() {
        conflicts.sort_by_key(|(identity, _)| *identity);
        let named = conflicts.iter().flat_map(|(identity, set)| {
            set.paths()
                .into_iter()
                .map(|field_path| Conflict { manager: identity.text(), field_path })
                .collect::<Vec<_>>()
        });
        return Err(ApplyError::Conflicts(named.collect()));
    }
    let touched = changed.union(&comparison.removed);
    if !touched.is_empty() {
        for manager in &mut managers.0 {
            manager.set = manager.set.difference(&touched);
        }
        managers.0.retain(|manager| !manager.set.is_empty());
    }
    Ok(())
}

/// Removes what the manager applied last time, does not apply any more, and nobody else owns.
fn prune(ty: &'static Type, merged: &Value, last: &FieldSet, others: &Managers, set: &FieldSet) -> Value {
    let shape = schema::Shape::Object(ty);
    let last = last.with_named_fields(&shape);
    let all = fields_of(ty, merged).with_named_fields(&shape);
    let owned = others.0.iter().fold(set.clone(), |owned, manager| owned.union(&manager.set)).with_named_fields(&shape);
    // Without everything that was applied; what others own inside of it comes back.
    let bare = fields_of(ty, &without(ty, merged, &last)).with_named_fields(&shape);
    let pruned = without(ty, merged, &all.difference(&bare.union(&owned)));
    // What went along with it although it was never applied comes back, too.
    let left = fields_of(ty, &pruned).with_named_fields(&shape);
    without(ty, merged, &all.difference(&left).intersection(&last))
}

/// Conflicts of kubectl with its own client-side applies are none: those that the annotation does not explain stay.
fn without_own_past(request: &Apply<'_>, live: &Value, conflicts: Vec<Conflict>) -> Vec<Conflict> {
    let Some(past) = last_applied(live).and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return conflicts;
    };
    if past.get("apiVersion") != request.config.get("apiVersion") || !misfits(request.ty, &past).is_empty() {
        return conflicts;
    }
    let difference = compare(request.ty, &past, live);
    let changed = difference.modified.union(&difference.added).union(&difference.removed);
    let own: Vec<String> = fields_of(request.ty, &past).difference(&changed).paths();
    if conflicts.iter().all(|conflict| own.contains(&conflict.field_path)) {
        return Vec::new();
    }
    conflicts.into_iter().filter(|conflict| !own.contains(&conflict.field_path)).collect()
}

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn last_applied(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str().filter(|text| !text.is_empty())
}

/// Keeps kubectl's note of its last client-side apply up to date, where there is one.
fn renew_last_applied(object: &mut Value, config: &Value) {
    if last_applied(object).is_none() {
        return;
    }
    let mut note = sorted(config);
    take_out(&mut note);
    if let Some(annotations) = note.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(LAST_APPLIED);
    }
    object["metadata"]["annotations"][LAST_APPLIED] = Value::String(format!("{note}\n"));
}

/// The value with the keys of all objects in order, as Go writes them.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> =
                fields.iter().map(|(name, inner)| (name.clone(), sorted(inner))).collect();
            fields.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        _ => value.clone(),
    }
}

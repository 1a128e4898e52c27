//! Strategic merge patch: a merge patch that knows list keys and directives.

use schema::{Shape, Strategy, Type};
use serde_json::{Map, Value};

use crate::PatchError;
use crate::shapes::go_text;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

type Fields = Map<String, Value>;

/// Applies a strategic merge patch to an object of that type, with all directives: `$patch`, `$retainKeys`,
/// `$deleteFromPrimitiveList` and `$setElementOrder`.
pub fn strategic_merge(ty: &Type, object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Object(changes) = patch else {
        return Err(PatchError::Malformed("invalid JSON document".to_owned()));
    };
    let object = object.as_object().cloned().unwrap_or_default();
    Ok(Value::Object(merge_fields(Holder::Type(ty), object, changes)?))
}

/// What the fields of an object are: named by a type, or all of one shape.
#[derive(Clone, Copy)]
enum Holder<'a> {
    Type(&'a Type),
    Map(&'a Shape),
    Unknown,
}

impl<'a> Holder<'a> {
    fn of(shape: &'a Shape) -> Self {
        match shape {
            Shape::Object(ty) => Self::Type(ty),
            Shape::Map(inner) => Self::Map(inner),
            _ => Self::Unknown,
        }
    }

    fn field(self, name: &str) -> (&'a Shape, Strategy) {
        match self {
            Self::Type(ty) => {
                ty.field(name).map_or((&Shape::Any, Strategy::default()), |field| (&field.shape, field.strategy))
            }
            Self::Map(inner) => (inner, Strategy::default()),
            Self::Unknown => (&Shape::Any, Strategy::default()),
        }
    }
}

fn merge_fields(holder: Holder<'_>, mut fields: Fields, patch: &Fields) -> Result<Fields, PatchError> {
    if let Some(directive) = patch.get(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(patch
                .iter()
                .filter(|(name, _)| *name != PATCH)
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()),
            Some("delete") => Ok(Fields::new()),
            _ => Err(unknown_directive(directive, patch)),
        };
    }
    retain_keys(&mut fields, patch)?;
    for (name, order) in patch {
        if let Some(list) = name.strip_prefix(SET_ORDER) {
            merge_in_order(holder, &mut fields, patch, list, order)?;
        } else if name.starts_with("$setElementOrder") {
            return Err(PatchError::Malformed("invalid patch format of setElementOrder list".to_owned()));
        }
    }
    for (name, change) in patch {
        if name == RETAIN_KEYS || name.starts_with(SET_ORDER) || patch.contains_key(&format!("{SET_ORDER}{name}")) {
            continue;
        }
        merge_field(holder, &mut fields, name, change)?;
    }
    Ok(fields)
}

fn merge_field(holder: Holder<'_>, fields: &mut Fields, name: &str, change: &Value) -> Result<(), PatchError> {
    if let Some(list) = name.strip_prefix(DELETE_FROM) {
        return delete_from_list(fields, list, change);
    }
    if name.starts_with("$deleteFromPrimitiveList") {
        return Err(PatchError::Malformed("invalid patch format of primitive list".to_owned()));
    }
    let (shape, strategy) = holder.field(name);
    let after = match (fields.get_mut(name).map(Value::take), change) {
        (_, Value::Null) => None,
        (Some(Value::Object(before)), Value::Object(changes)) => {
            Some(Value::Object(merge_fields(Holder::of(shape), before, changes)?))
        }
        (Some(Value::Array(before)), Value::Array(changes)) if strategy.merge => {
            Some(Value::Array(merge_list(shape, strategy, &before, changes)?))
        }
        (Some(Value::Array(_)), Value::Array(_)) => Some(change.clone()),
        _ => without_directives(change),
    };
    match after {
        Some(after) => {
            fields.insert(name.to_owned(), after);
        }
        None => {
            fields.shift_remove(name);
        }
    }
    Ok(())
}

fn retain_keys(fields: &mut Fields, patch: &Fields) -> Result<(), PatchError> {
    let wrong = || PatchError::Malformed("invalid patch format of retainKeys".to_owned());
    let Some(retained) = patch.get(RETAIN_KEYS) else {
        return Ok(());
    };
    let retained = retained.as_array().ok_or_else(wrong)?;
    let is_retained = |name: &str| retained.iter().any(|kept| kept.as_str() == Some(name));
    let has_other = patch.iter().any(|(name, value)| {
        !value.is_null()
            && name != RETAIN_KEYS
            && !name.starts_with(DELETE_FROM)
            && !name.starts_with(SET_ORDER)
            && !is_retained(name)
    });
    if has_other {
        return Err(wrong());
    }
    fields.retain(|name, _| is_retained(name));
    Ok(())
}

fn delete_from_list(fields: &mut Fields, list: &str, gone: &Value) -> Result<(), PatchError> {
    let wrong = || PatchError::Malformed("invalid patch format of primitive list".to_owned());
    let gone = gone.as_array().ok_or_else(wrong)?;
    if let Some(items) = fields.get_mut(list).and_then(Value::as_array_mut) {
        items.retain(|item| !gone.contains(item));
    }
    Ok(())
}

/// Merges a list whose order the patch sets.
fn merge_in_order(
    holder: Holder<'_>,
    fields: &mut Fields,
    patch: &Fields,
    list: &str,
    order: &Value,
) -> Result<(), PatchError> {
    let wrong = || PatchError::Malformed("invalid patch format of setElementOrder list".to_owned());
    let order = order.as_array().ok_or_else(wrong)?;
    let (shape, strategy) = holder.field(list);
    // What is to be deleted from a simple list goes before the order is made.
    let before = fields.get(list).and_then(Value::as_array).cloned();
    let changes = match patch.get(list) {
        Some(Value::Array(changes)) => Some(changes),
        Some(Value::Null) | None => None,
        Some(_) => return Err(wrong()),
    };
    if let Some(changes) = changes {
        check_order(changes, order, strategy.key)?;
    }
    let merged = match (&before, changes) {
        (None, None) => return Ok(()),
        (Some(before), None) => before.clone(),
        (None, Some(changes)) => changes.iter().filter_map(without_directives).collect(),
        (Some(before), Some(changes)) if strategy.merge => merge_list(shape, strategy, before, changes)?,
        (Some(_), Some(changes)) => changes.clone(),
    };
    let merged = in_order(merged, order, before.as_deref().unwrap_or_default(), strategy.key);
    fields.insert(list.to_owned(), Value::Array(merged));
    Ok(())
}

/// The elements of a patch must come in the order that it sets.
fn check_order(changes: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    if order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for change in changes.iter().filter(|change| change.get(PATCH).is_none()) {
        if !rest.any(|next| identity(next, key) == identity(change, key)) {
            let (changes, order) = (go_text(&Value::Array(changes.to_vec())), go_text(&Value::Array(order.to_vec())));
            return Err(PatchError::Unmergeable(format!(
                "The order in patch list:\n{changes}\n doesn't match $setElementOrder list:\n{order}\n"
            )));
        }
    }
    Ok(())
}

fn merge_list(
    shape: &Shape,
    strategy: Strategy,
    before: &[Value],
    changes: &[Value],
) -> Result<Vec<Value>, PatchError> {
    if before.iter().chain(changes).any(Value::is_array) {
        return Err(PatchError::Unprocessable("lists of lists are not supported".to_owned()));
    }
    let all_objects = before.iter().chain(changes).all(Value::is_object);
    if !all_objects && before.iter().chain(changes).any(Value::is_object) {
        return Err(PatchError::Unmergeable(format!(
            "list element types are not identical: {}",
            go_text(&Value::Array(changes.to_vec()))
        )));
    }
    let Some(key) = strategy.key.filter(|_| all_objects) else {
        return Ok(merge_simple_list(before, changes));
    };
    let Shape::List(inner, _) = shape else {
        return Ok(changes.to_vec());
    };
    let (mut items, changes) = delete_or_replace(before.to_vec(), changes, key)?;
    for change in &changes {
        let fields = change.as_object().cloned().unwrap_or_default();
        let wanted = fields.get(key).ok_or_else(|| no_key(&fields, key))?;
        match items.iter_mut().find(|item| item.get(key) == Some(wanted)) {
            Some(item) => {
                let merged = merge_fields(Holder::of(inner), item.as_object().cloned().unwrap_or_default(), &fields)?;
                *item = Value::Object(merged);
            }
            None => items.push(without_directives(change).unwrap_or(Value::Null)),
        }
    }
    Ok(in_order(items, &changes, before, Some(key)))
}

fn merge_simple_list(before: &[Value], changes: &[Value]) -> Vec<Value> {
    let mut items: Vec<Value> = Vec::new();
    for item in before.iter().chain(changes) {
        if !items.contains(item) {
            items.push(item.clone());
        }
    }
    in_order(items, changes, before, None)
}

/// Does what the `$patch` elements of a list say; what is left of the list, and of the changes.
fn delete_or_replace(
    mut items: Vec<Value>,
    changes: &[Value],
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut rest = Vec::new();
    let mut replace = false;
    for change in changes {
        let fields = change.as_object().cloned().unwrap_or_default();
        match fields.get(PATCH).map(|directive| (directive, directive.as_str())) {
            None => rest.push(change.clone()),
            Some((_, Some("delete"))) => {
                let gone = fields.get(key).ok_or_else(|| no_key(&fields, key))?;
                items.retain(|item| item.get(key) != Some(gone));
            }
            Some((_, Some("replace"))) => replace = true,
            Some((_, Some("merge"))) => {
                return Err(PatchError::Unmergeable("merging lists cannot yet be specified in the patch".to_owned()));
            }
            Some((directive, _)) => return Err(unknown_directive(directive, &fields)),
        }
    }
    Ok(if replace { (rest, Vec::new()) } else { (items, rest) })
}

/// Orders a merged list: the elements that the patch names in its order, the others as they were, both woven together
/// by the order that there was before.
fn in_order(merged: Vec<Value>, order: &[Value], before: &[Value], key: Option<&str>) -> Vec<Value> {
    let index =
        |list: &[Value], item: &Value| list.iter().position(|other| identity(other, key) == identity(item, key));
    let (mut named, mut others): (Vec<_>, Vec<_>) = merged.into_iter().partition(|item| index(order, item).is_some());
    named.sort_by_key(|item| index(order, item));
    others.sort_by_key(|item| index(before, item));
    let mut named = named.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    let mut items = Vec::new();
    while let (Some(next_named), Some(next_other)) = (named.peek(), others.peek()) {
        let other_first = matches!((index(before, next_other), index(before, next_named)), (Some(other), Some(named)) if other < named);
        items.extend(if other_first { others.next() } else { named.next() });
    }
    items.extend(named);
    items.extend(others);
    items
}

fn identity<'a>(item: &'a Value, key: Option<&str>) -> Option<&'a Value> {
    match key {
        Some(key) if item.is_object() => item.get(key),
        _ => Some(item),
    }
}

/// A patch's value as it is taken where there is nothing to merge it with; `None` if it only deletes.
fn without_directives(change: &Value) -> Option<Value> {
    match change {
        Value::Object(fields) => {
            if fields.get(PATCH).and_then(Value::as_str) == Some("delete") {
                return None;
            }
            let kept = fields.iter().filter(|(name, value)| {
                !value.is_null()
                    && *name != PATCH
                    && *name != RETAIN_KEYS
                    && !name.starts_with(DELETE_FROM)
                    && !name.starts_with(SET_ORDER)
            });
            Some(Value::Object(
                kept.filter_map(|(name, value)| Some((name.clone(), without_directives(value)?))).collect(),
            ))
        }
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(without_directives).collect())),
        _ => Some(change.clone()),
    }
}

fn no_key(fields: &Fields, key: &str) -> PatchError {
    PatchError::Unmergeable(format!(
        "map: {} does not contain declared merge key: {key}",
        go_text(&Value::Object(fields.clone()))
    ))
}

fn unknown_directive(directive: &Value, fields: &Fields) -> PatchError {
    PatchError::Unmergeable(format!(
        "unknown patch type: {} in map: {}",
        go_text(directive),
        go_text(&Value::Object(fields.clone()))
    ))
}

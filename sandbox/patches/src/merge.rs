//! An applied configuration laid over an object.

use std::collections::BTreeMap;

use schema::{Shape, Type};
use serde_json::{Map, Value};

use crate::element::Element;
use crate::shapes::{Parts, Place, element_of, parts};

/// The object with everything that the configuration says; nothing is removed.
pub(crate) fn merge(ty: &'static Type, live: &Value, config: &Value) -> Value {
    merge_at(Place { shape: &Shape::Object(ty), atomic: false }, live, config)
}

fn merge_at(place: Place<'_>, live: &Value, config: &Value) -> Value {
    match (parts(place, Some(live)), parts(place, Some(config)), place.shape) {
        (Parts::Fields(live_fields), Parts::Fields(config_fields), _) => match (live_fields, config_fields) {
            (Some(live_fields), Some(config_fields)) if !live_fields.is_empty() => {
                Value::Object(merge_fields(place, live_fields, config_fields))
            }
            (Some(live_fields), None) if !live_fields.is_empty() => live.clone(),
            _ => config.clone(),
        },
        (Parts::Elements(live_items), Parts::Elements(config_items), Shape::List(inner, _)) => {
            match (live_items, config_items) {
                (Some(live_items), Some(config_items)) if !live_items.is_empty() => {
                    Value::Array(merge_items(place.shape, inner, live_items, config_items))
                }
                (Some(live_items), None) if !live_items.is_empty() => live.clone(),
                _ => config.clone(),
            }
        }
        _ => config.clone(),
    }
}

fn merge_fields(place: Place<'_>, live: &Map<String, Value>, config: &Map<String, Value>) -> Map<String, Value> {
    let kept = live.iter().map(|(name, value)| {
        let value = config.get(name).map_or_else(|| value.clone(), |wanted| merge_at(place.field(name), value, wanted));
        (name.clone(), value)
    });
    let added =
        config.iter().filter(|(name, _)| !live.contains_key(*name)).map(|(name, value)| (name.clone(), value.clone()));
    kept.chain(added).collect()
}

/// Merges lists whose elements are told apart.
///
/// The configuration's elements keep the configuration's order; those that only the object has stay where they are
/// between their neighbours, and come before new ones.
fn merge_items(shape: &Shape, inner: &Shape, live: &[Value], config: &[Value]) -> Vec<Value> {
    let name =
        |items: &[Value]| -> Vec<Element> { items.iter().filter_map(|item| element_of(shape, item).ok()).collect() };
    let (live_names, config_names) = (name(live), name(config));
    if live_names.len() != live.len() || config_names.len() != config.len() {
        return config.to_vec();
    }
    // Elements that the object has twice are not merged: the configuration's takes their place.
    let mut found: BTreeMap<&Element, Option<&Value>> = BTreeMap::new();
    for (name, item) in live_names.iter().zip(live) {
        found.entry(name).and_modify(|item| *item = None).or_insert(Some(item));
    }
    let wanted: BTreeMap<&Element, usize> =
        config_names.iter().enumerate().map(|(index, name)| (name, index)).collect();
    let merged = |index: usize| match found.get(&config_names[index]) {
        Some(Some(item)) => merge_at(Place::inside(inner), item, &config[index]),
        _ => config[index].clone(),
    };
    let mut items = Vec::with_capacity(live.len().max(config.len()));
    let mut next = 0;
    for (name, item) in live_names.iter().zip(live) {
        match wanted.get(name) {
            None => items.push(item.clone()),
            // Already there, with an element that comes before it in the configuration's order.
            Some(index) if *index < next => {}
            Some(index) => {
                // Shared elements in another order wait until it is their turn.
                let waits = config_names[next..*index].iter().any(|name| found.contains_key(name));
                if !waits {
                    items.extend((next..=*index).map(merged));
                    next = index + 1;
                }
            }
        }
    }
    items.extend((next..config.len()).map(merged));
    items
}

//! What is different between two versions of an object.

use std::collections::BTreeMap;

use schema::{Shape, Type};
use serde_json::{Map, Value};

use crate::element::Element;
use crate::fields::{Entry, FieldSet};
use crate::shapes::{Parts, Place, element_of, parts};

/// The fields that a write took away, changed and added. No field is in two of them.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) removed: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) added: FieldSet,
}

impl Comparison {
    pub(crate) fn sets(&mut self) -> [&mut FieldSet; 3] {
        [&mut self.removed, &mut self.modified, &mut self.added]
    }
}

/// Compares two objects of the type.
pub(crate) fn compare(ty: &'static Type, old: &Value, new: &Value) -> Comparison {
    let difference = compare_at(Place { shape: &Shape::Object(ty), atomic: false }, Some(old), Some(new));
    let [removed, modified, added] = difference.0.map(|(_, below)| below);
    Comparison { removed, modified, added }
}

/// Removed, modified, added: whether the value itself is, and what below it is.
#[derive(Default)]
struct Difference([(bool, FieldSet); 3]);

impl Difference {
    fn itself(kind: Kind) -> Self {
        let mut difference = Self::default();
        difference.0[kind as usize].0 = true;
        difference
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|(member, below)| !member && below.is_empty())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Removed,
    Modified,
    Added,
}

/// The differences of the parts of a value.
#[derive(Default)]
struct Collected([Vec<Entry>; 3]);

impl Collected {
    fn add(&mut self, element: impl FnOnce() -> Element, difference: Difference) {
        if difference.is_empty() {
            return;
        }
        let element = element();
        for (entries, (member, below)) in self.0.iter_mut().zip(difference.0) {
            if member || !below.is_empty() {
                entries.push(Entry { element: element.clone(), member, below });
            }
        }
    }

    fn finish(self, old: Option<&Value>, new: Option<&Value>) -> Difference {
        let mut difference = Difference(self.0.map(|entries| (false, FieldSet::from_entries(entries))));
        difference.0[Kind::Added as usize].0 = old.is_none();
        difference.0[Kind::Removed as usize].0 = old.is_some() && new.is_none();
        difference
    }
}

/// Compares what stands at a place; at least one side is there.
fn compare_at(place: Place<'_>, old: Option<&Value>, new: Option<&Value>) -> Difference {
    match (parts(place, old), parts(place, new), place.shape) {
        (Parts::Fields(old_fields), Parts::Fields(new_fields), _) if has_any(old_fields, new_fields) => {
            compare_fields(place, old_fields, new_fields).finish(old, new)
        }
        (Parts::Elements(old_items), Parts::Elements(new_items), Shape::List(inner, _))
            if old_items.is_some_and(|items| !items.is_empty()) || new_items.is_some_and(|items| !items.is_empty()) =>
        {
            compare_items(place.shape, inner, old_items.unwrap_or_default(), new_items.unwrap_or_default())
                .finish(old, new)
        }
        _ => compare_leaf(old, new),
    }
}

fn has_any(old: Option<&Map<String, Value>>, new: Option<&Map<String, Value>>) -> bool {
    old.is_some_and(|fields| !fields.is_empty()) || new.is_some_and(|fields| !fields.is_empty())
}

fn compare_leaf(old: Option<&Value>, new: Option<&Value>) -> Difference {
    match (old, new) {
        (None, _) => Difference::itself(Kind::Added),
        (_, None) => Difference::itself(Kind::Removed),
        (Some(old), Some(new)) if old != new => Difference::itself(Kind::Modified),
        _ => Difference::default(),
    }
}

fn compare_fields(place: Place<'_>, old: Option<&Map<String, Value>>, new: Option<&Map<String, Value>>) -> Collected {
    let mut collected = Collected::default();
    for (name, old_value) in old.into_iter().flatten() {
        let new_value = new.and_then(|fields| fields.get(name));
        collected.add(|| Element::field(name), compare_at(place.field(name), Some(old_value), new_value));
    }
    for (name, new_value) in new.into_iter().flatten() {
        if old.is_none_or(|fields| !fields.contains_key(name)) {
            collected.add(|| Element::field(name), compare_at(place.field(name), None, Some(new_value)));
        }
    }
    collected
}

fn compare_items(shape: &Shape, inner: &Shape, old: &[Value], new: &[Value]) -> Collected {
    let mut sides: BTreeMap<Element, [Vec<&Value>; 2]> = BTreeMap::new();
    for (side, items) in [old, new].into_iter().enumerate() {
        for item in items {
            if let Ok(element) = element_of(shape, item) {
                sides.entry(element).or_default()[side].push(item);
            }
        }
    }
    let mut collected = Collected::default();
    for (element, [old, new]) in sides {
        let difference = compare_item(Place::inside(inner), &old, &new);
        collected.add(|| element, difference);
    }
    collected
}

/// Compares the elements of two lists that cannot be told apart; mostly there is one on each side.
fn compare_item(place: Place<'_>, old: &[&Value], new: &[&Value]) -> Difference {
    match (old, new) {
        ([] | [_], [] | [_]) => compare_at(place, old.first().copied(), new.first().copied()),
        ([_, _, ..], [_, _, ..]) if old == new => Difference::default(),
        ([_, _, ..], [_, _, ..]) => Difference::itself(Kind::Modified),
        // From twice to once: what was owned as one is gone, the fields of the one that stays are new.
        ([_, _, ..], _) => {
            let mut difference =
                new.first().map_or_else(Difference::default, |new| compare_at(place, None, Some(*new)));
            difference.0[Kind::Removed as usize].0 = true;
            difference
        }
        _ => {
            let mut difference =
                old.first().map_or_else(Difference::default, |old| compare_at(place, Some(*old), None));
            difference.0[Kind::Added as usize].0 = true;
            difference
        }
    }
}

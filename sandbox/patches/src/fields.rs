//! Sets of fields, as managedFields keep them.

use std::cmp::Ordering;
use std::fmt::Write as _;

use schema::Shape;
use serde_json::{Map, Value};

use crate::element::Element;

/// A set of paths into an object, as a tree.
///
/// The entries are sorted, and each is a member itself or has members below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    entries: Vec<Entry>,
}

/// What of a set begins with one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) element: Element,
    /// Whether the path that ends here is in the set.
    pub(crate) member: bool,
    /// The paths that go on.
    pub(crate) below: FieldSet,
}

impl Entry {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl FieldSet {
    /// The set of these entries: unsorted, each element once; those without members are left out.
    pub(crate) fn from_entries(mut entries: Vec<Entry>) -> Self {
        entries.retain(|entry| !entry.is_empty());
        entries.sort_by(|left, right| left.element.cmp(&right.element));
        Self { entries }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn get(&self, element: &Element) -> Option<&Entry> {
        let index = self.entries.binary_search_by(|entry| entry.element.cmp(element)).ok()?;
        Some(&self.entries[index])
    }

    /// The paths in either set.
    pub(crate) fn union(&self, other: &Self) -> Self {
        self.combine(other, true, true, |left, right| left || right, Self::union)
    }

    /// The paths in both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.combine(other, false, false, |left, right| left && right, Self::intersection)
    }

    /// The paths in this set and not in the other; a path does not stand for those below it.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.combine(other, true, false, |left, right| left && !right, Self::difference)
    }

    /// Walks both sets: entries of one side are kept as told, those of both combined.
    fn combine(
        &self,
        other: &Self,
        keep_left: bool,
        keep_right: bool,
        member: fn(bool, bool) -> bool,
        below: fn(&Self, &Self) -> Self,
    ) -> Self {
        let (mut left, mut right) = (self.entries.iter().peekable(), other.entries.iter().peekable());
        let mut entries = Vec::new();
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => left.element.cmp(&right.element),
            };
            let (first, second) = (left.next_if(|_| order.is_le()), right.next_if(|_| order.is_ge()));
            match (first, second) {
                (Some(first), Some(second)) => {
                    let both = Entry {
                        element: first.element.clone(),
                        member: member(first.member, second.member),
                        below: below(&first.below, &second.below),
                    };
                    entries.extend((!both.is_empty()).then_some(both));
                }
                (Some(first), None) => entries.extend(keep_left.then(|| first.clone())),
                (None, Some(second)) => entries.extend(keep_right.then(|| second.clone())),
                (None, None) => break,
            }
        }
        Self { entries }
    }

    /// Whether every path of this set is in the other.
    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.entries.iter().all(|entry| {
            other
                .get(&entry.element)
                .is_some_and(|found| (found.member || !entry.member) && entry.below.is_subset(&found.below))
        })
    }

    /// Takes a path out of the set, and with `all_below` those below it.
    pub(crate) fn remove(&mut self, path: &[&str], all_below: bool) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let Ok(index) = self.entries.binary_search_by(|entry| entry.element.cmp(&Element::field(first))) else {
            return;
        };
        let entry = &mut self.entries[index];
        if !rest.is_empty() {
            entry.below.remove(rest, all_below);
        } else if all_below {
            *entry = Entry { element: entry.element.clone(), member: false, below: Self::default() };
        } else {
            entry.member = false;
        }
        if entry.is_empty() {
            self.entries.remove(index);
        }
    }

    /// The set with every named field that has members below it, as a member: a field of an object goes with the last
    /// of what is in it, a key of a map or an element of a list does not.
    pub(crate) fn with_named_fields(&self, shape: &Shape) -> Self {
        let entries = self.entries.iter().map(|entry| {
            let (inner, named) = match (shape, &entry.element) {
                (Shape::Object(ty), Element::Field(name)) => {
                    ty.field(name).map_or((Shape::Any, false), |field| (field.shape, true))
                }
                (Shape::Map(inner) | Shape::List(inner, _), _) => (**inner, false),
                _ => (Shape::Any, false),
            };
            let member = entry.member || (named && !entry.below.is_empty());
            Entry { element: entry.element.clone(), member, below: entry.below.with_named_fields(&inner) }
        });
        Self { entries: entries.collect() }
    }

    /// All paths as messages show them: those that end on a level before those that go on.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.add_paths("", &mut paths);
        paths
    }

    fn add_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        let text = |entry: &Entry| {
            let mut text = prefix.to_owned();
            let _ = write!(text, "{}", entry.element);
            text
        };
        paths.extend(self.entries.iter().filter(|entry| entry.member).map(text));
        for entry in &self.entries {
            if !entry.below.is_empty() {
                entry.below.add_paths(&text(entry), paths);
            }
        }
    }

    /// The `fieldsV1` of a manager.
    pub(crate) fn encode(&self) -> Value {
        Value::Object(self.entries.iter().map(|entry| (entry.element.encode(), entry.encode_below())).collect())
    }

    /// Reads a manager's `fieldsV1`.
    pub(crate) fn decode(fields: &Value) -> Result<Self, String> {
        let fields = fields.as_object().ok_or("fieldsV1 is no object")?;
        Ok(Self::decode_level(fields)?.0)
    }

    /// The set, and whether the path up to here is a member.
    fn decode_level(fields: &Map<String, Value>) -> Result<(Self, bool), String> {
        let mut entries = Vec::with_capacity(fields.len());
        let mut member = fields.is_empty();
        let mut is_sorted = true;
        for (name, inner) in fields {
            if name == "." {
                member = true;
                continue;
            }
            let Some(element) = Element::decode(name)? else {
                continue;
            };
            let inner = inner.as_object().ok_or_else(|| format!("{name} holds no object"))?;
            let (below, member) = Self::decode_level(inner)?;
            is_sorted = is_sorted && entries.last().is_none_or(|last: &Entry| last.element < element);
            entries.push(Entry { element, member, below });
        }
        if !is_sorted {
            entries.sort_by(|left, right| left.element.cmp(&right.element));
        }
        let set = Self { entries };
        let member = member || set.is_empty();
        Ok((set, member))
    }
}

impl Entry {
    fn encode_below(&self) -> Value {
        let Value::Object(below) = self.below.encode() else {
            return Value::Null;
        };
        if !self.member || below.is_empty() {
            return Value::Object(below);
        }
        let itself = std::iter::once((".".to_owned(), Value::Object(Map::new())));
        Value::Object(itself.chain(below).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn element() -> impl Strategy<Value = Element> {
        prop_oneof![
            "[a-d<]".prop_map(|name| Element::field(&name)),
            ("[ab]", 0..3_i64).prop_map(|(name, port)| Element::key(vec![
                ("name".into(), json!(name)),
                ("containerPort".into(), json!(port))
            ])),
            prop_oneof![
                "[ab\"&]".prop_map(Value::String),
                (0..3_i64).prop_map(Value::from),
                any::<bool>().prop_map(Value::Bool)
            ]
            .prop_map(Element::Value),
            (0..3_i64).prop_map(Element::Index),
        ]
    }

    fn set_of(paths: &[Vec<Element>]) -> FieldSet {
        let one = |path: &Vec<Element>| {
            let mut below = FieldSet::default();
            for (index, element) in path.iter().enumerate().rev() {
                below = FieldSet::from_entries(vec![Entry {
                    element: element.clone(),
                    member: index + 1 == path.len(),
                    below,
                }]);
            }
            below
        };
        paths.iter().map(one).fold(FieldSet::default(), |all, set| all.union(&set))
    }

    fn set() -> impl Strategy<Value = FieldSet> {
        prop::collection::vec(prop::collection::vec(element(), 1..4), 0..8).prop_map(|paths| set_of(&paths))
    }

    proptest! {
        #[test]
        fn sets_are_read_as_they_were_written(set in set()) {
            let written = set.encode();
            let read = FieldSet::decode(&written).expect("readable");
            if !set.is_empty() {
                prop_assert_eq!(&read, &set);
            }
            let text = written.to_string();
            prop_assert_eq!(FieldSet::decode(&serde_json::from_str(&text).expect("JSON")).expect("readable"), read);
        }

        #[test]
        fn sets_are_combined_as_sets_are(first in set(), second in set(), third in set()) {
            prop_assert_eq!(first.union(&second), second.union(&first));
            prop_assert_eq!(first.union(&second).union(&third), first.union(&second.union(&third)));
            prop_assert_eq!(first.union(&first), first.clone());
            prop_assert!(first.difference(&first).is_empty());
            prop_assert_eq!(first.difference(&second).union(&first.intersection(&second)), first.clone());
            prop_assert!(first.difference(&second).intersection(&second).is_empty());
            prop_assert_eq!(first.union(&second).difference(&second), first.difference(&second));
            prop_assert!(first.intersection(&second).is_subset(&first) && first.is_subset(&first.union(&second)));
            prop_assert_eq!(first.is_subset(&second), first.difference(&second).is_empty());
            prop_assert_eq!(first.paths().len() + second.paths().len(), first.union(&second).paths().len() + first.intersection(&second).paths().len());
        }
    }

    #[test]
    fn a_path_does_not_stand_for_those_below_it() {
        let spec = set_of(&[vec![Element::field("spec")]]);
        let replicas = set_of(&[vec![Element::field("spec"), Element::field("replicas")]]);
        assert_eq!(replicas.difference(&spec), replicas);
        assert_eq!(spec.union(&replicas).encode(), json!({ "f:spec": { ".": {}, "f:replicas": {} } }));
        assert_eq!(spec.union(&replicas).paths(), [".spec", ".spec.replicas"]);
    }

    #[test]
    fn what_is_not_known_is_ignored_and_what_is_broken_is_refused() {
        assert!(FieldSet::decode(&json!({ "z:new": {} })).expect("ignored").is_empty());
        assert!(FieldSet::decode(&json!({ "x": {} })).is_err());
        assert!(FieldSet::decode(&json!({ "k:{": {} })).is_err());
        assert!(FieldSet::decode(&json!({ "f:a": 1 })).is_err());
    }
}

//! A value together with the way to it, for checks that tell where they failed.

use serde_json::Value;
use std::fmt::Write;

/// A place in an object. What is not there reads as null, so that checks need no nesting.
///
/// The path is rendered only when somebody asks: a valid object costs no allocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'p, 'v> {
    parent: Option<&'p Node<'p, 'v>>,
    step: Step<'p>,
    /// What is there.
    pub value: &'v Value,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

static NULL: Value = Value::Null;

impl<'p, 'v> Node<'p, 'v> {
    /// The whole object.
    pub fn root(value: &'v Value) -> Node<'p, 'v> {
        Node { parent: None, step: Step::Root, value }
    }

    /// The field of this name.
    pub fn get<'b>(&'b self, name: &'b str) -> Node<'b, 'v> {
        Node { parent: Some(self), step: Step::Field(name), value: self.value.get(name).unwrap_or(&NULL) }
    }

    /// The map's entry with this key.
    pub fn key<'b>(&'b self, key: &'b str) -> Node<'b, 'v> {
        Node { parent: Some(self), step: Step::Key(key), value: self.value.get(key).unwrap_or(&NULL) }
    }

    /// The list's item at this place.
    pub fn index(&self, index: usize) -> Node<'_, 'v> {
        Node { parent: Some(self), step: Step::Index(index), value: self.value.get(index).unwrap_or(&NULL) }
    }

    /// The same place, with a value from elsewhere.
    pub fn with<'w>(&self, value: &'w Value) -> Node<'p, 'w>
    where
        'v: 'w,
    {
        Node { value, ..*self }
    }

    /// The fields of an object that are there; none when it is not an object.
    pub fn fields<'b>(&'b self) -> impl Iterator<Item = (&'v str, Node<'b, 'v>)> {
        let fields = self.value.as_object().into_iter().flatten();
        fields.map(move |(name, value)| (name.as_str(), Node { parent: Some(self), step: Step::Field(name), value }))
    }

    /// The items of a list; none when it is not a list.
    pub fn items<'b>(&'b self) -> impl Iterator<Item = Node<'b, 'v>> {
        let items: &'v [Value] = self.value.as_array().map_or(&[], Vec::as_slice);
        items.iter().enumerate().map(move |(index, value)| Node { parent: Some(self), step: Step::Index(index), value })
    }

    /// The entries of a map in its own order; none when it is not a map.
    pub fn entries(&self) -> impl Iterator<Item = (&'v str, Node<'_, 'v>)> {
        let entries = self.value.as_object().into_iter().flatten();
        entries.map(move |(key, value)| (key.as_str(), Node { parent: Some(self), step: Step::Key(key), value }))
    }

    /// The text; empty when there is none, as the wire format cannot tell the two apart.
    pub fn text(&self) -> &'v str {
        self.value.as_str().unwrap_or_default()
    }

    /// The whole number.
    pub fn integer(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// Whether it is true.
    pub fn truth(&self) -> bool {
        self.value.as_bool().unwrap_or_default()
    }

    /// Whether there is something other than null.
    pub fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// Whether there is nothing, or a text, list or map with nothing in it.
    pub fn is_empty(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => entries.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// The way to it, such as `spec.containers[0].resources.limits[cpu]`.
    pub fn path(&self) -> String {
        let mut path = String::new();
        self.write_path(&mut path);
        if path.is_empty() {
            // The API server's name for an object as a whole.
            path.push_str("<nil>");
        }
        path
    }

    fn write_path(&self, path: &mut String) {
        if let Some(parent) = self.parent {
            parent.write_path(path);
        }
        match self.step {
            Step::Root => {}
            Step::Field(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Step::Index(index) => {
                let _ = write!(path, "[{index}]");
            }
            Step::Key(key) => {
                let _ = write!(path, "[{key}]");
            }
        }
    }
}

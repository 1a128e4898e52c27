//! Reads tables, lists and scalars of the scenario file, and notes everything that is wrong instead of stopping at the first.
//!
//! A reading function takes a [`Field`] and returns `None` when it has noted a problem.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::problems::{Problems, Source, did_you_mean};
use crate::yaml::{Data, Mark, Node, to_json};

/// What reading functions write to: one file, and the problems of all files.
pub(crate) struct Reader<'a> {
    pub source: &'a Source,
    pub problems: &'a mut Problems,
}

/// A value with the name that it has for a person.
#[derive(Clone)]
pub(crate) struct Field<'n> {
    pub name: String,
    pub node: &'n Node,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Marked<T> {
    pub value: T,
    pub mark: Mark,
}

impl Reader<'_> {
    /// Notes a problem; returns `None`, so that it can end a reading function.
    pub fn problem<T>(&mut self, mark: Mark, message: impl Into<String>, help: impl Into<Option<String>>) -> Option<T> {
        self.problems.add(self.source.problem(mark, message, help.into()));
        None
    }

    /// Notes that a value is of the wrong sort.
    pub fn wrong<T>(&mut self, field: &Field<'_>, wanted: &str, help: impl Into<Option<String>>) -> Option<T> {
        let message = format!("{} takes {wanted}, not {}", called(&field.name), describe(field.node));
        self.problem(field.node.mark, message, help)
    }

    /// Begins to read a table.
    pub fn table<'n>(&mut self, field: &Field<'n>) -> Option<Table<'n>> {
        match &field.node.data {
            Data::Table(entries) => Some(Table {
                name: field.name.clone(),
                mark: field.node.mark,
                entries,
                asked: Vec::new(),
                later: Vec::new(),
            }),
            _ => self.wrong(field, "a table of fields", None),
        }
    }

    /// The entries of a table whose keys are free names.
    pub fn named<'n>(&mut self, field: &Field<'n>) -> Vec<(Marked<String>, Field<'n>)> {
        let Data::Table(entries) = &field.node.data else {
            self.wrong::<()>(field, "a table of names", None);
            return Vec::new();
        };
        let mut named = Vec::new();
        for (key, node) in entries {
            match key.text() {
                None => {
                    self.problem::<()>(key.mark, "a list or table cannot be a name", None);
                }
                Some(name) if node.is_null() => {
                    self.problem::<()>(
                        key.mark,
                        format!("`{name}` is empty"),
                        Some("give it a value, or leave it out".to_owned()),
                    );
                }
                Some(name) => {
                    named.push((
                        Marked { value: name.to_owned(), mark: key.mark },
                        Field { name: name.to_owned(), node },
                    ));
                }
            }
        }
        named
    }

    /// The items of a list. What an item is called in messages: the field's name with its number.
    pub fn items<'n>(&mut self, field: &Field<'n>) -> Vec<Field<'n>> {
        if let Data::List(_) = field.node.data {
            return numbered(field);
        }
        self.wrong::<()>(field, "a list", "begin each item with `- `".to_owned());
        Vec::new()
    }

    /// The items of a list, or the one value that stands there instead of a list.
    pub fn one_or_many<'n>(&mut self, field: &Field<'n>) -> Vec<Field<'n>> {
        if let Data::Scalar { .. } = field.node.data { vec![field.clone()] } else { self.items(field) }
    }

    /// A text that is not empty.
    pub fn text(&mut self, field: &Field<'_>) -> Option<Marked<String>> {
        match value(field.node) {
            Some(Value::String(text)) if text.is_empty() => {
                self.problem(field.node.mark, format!("`{}` is an empty text", field.name), None)
            }
            Some(Value::String(value)) => Some(Marked { value, mark: field.node.mark }),
            Some(Value::Bool(_) | Value::Number(_)) => {
                self.wrong(field, "a text", Some("put it into quotes if it is meant as a text".to_owned()))
            }
            _ => self.wrong(field, "a text", None),
        }
    }

    /// A whole number in a range.
    pub fn whole_number(&mut self, field: &Field<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let number = value(field.node).and_then(|value| value.as_u64());
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        self.wrong(field, &format!("a whole number from {} to {}", range.start(), range.end()), None)
    }

    /// Yes or no.
    pub fn truth(&mut self, field: &Field<'_>) -> Option<bool> {
        match value(field.node) {
            Some(Value::Bool(truth)) => Some(truth),
            _ => self.wrong(field, "`true` or `false`", None),
        }
    }

    /// A number in a range.
    pub fn number(&mut self, field: &Field<'_>, range: RangeInclusive<f64>) -> Option<f64> {
        let number = value(field.node).and_then(|value| value.as_f64());
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        self.wrong(field, &format!("a number from {} to {}", range.start(), range.end()), None)
    }
}

fn numbered<'n>(field: &Field<'n>) -> Vec<Field<'n>> {
    let items = field.node.items().iter().enumerate();
    items.map(|(index, node)| Field { name: format!("{}[{index}]", field.name), node }).collect()
}

/// What a part is called in messages; the whole has no name.
fn called(name: &str) -> String {
    if name.is_empty() { "the scenario".to_owned() } else { format!("`{name}`") }
}

fn value(node: &Node) -> Option<Value> {
    if let Data::Scalar { .. } = node.data { to_json(node).ok() } else { None }
}

/// A value in a few words.
fn describe(node: &Node) -> String {
    match &node.data {
        Data::List(_) => "a list".to_owned(),
        Data::Table(_) => "a table".to_owned(),
        Data::Scalar { .. } if node.is_null() => "nothing".to_owned(),
        Data::Scalar { text, .. } => {
            let short: String = text.chars().take(40).collect();
            let more = if short.len() < text.len() { "..." } else { "" };
            match value(node) {
                Some(Value::Number(_)) => format!("the number {short}{more}"),
                Some(Value::Bool(_)) => format!("the truth value `{short}`"),
                _ => format!("the text `{short}{more}`"),
            }
        }
    }
}

/// A table that is being read. Fields that nobody asked for are unknown ones.
pub(crate) struct Table<'n> {
    name: String,
    pub mark: Mark,
    entries: &'n [(Node, Node)],
    asked: Vec<&'static str>,
    later: Vec<&'static str>,
}

impl<'n> Table<'n> {
    /// Names fields that mean something only in a later version, so that they are not taken for a typing mistake.
    pub fn later(&mut self, names: &[&'static str]) {
        self.later.extend(names);
    }

    /// The field, where it stands and has a value.
    pub fn field(&mut self, reader: &mut Reader<'_>, name: &'static str) -> Option<Field<'n>> {
        if !self.asked.contains(&name) {
            self.asked.push(name);
        }
        let (key, node) = self.entries.iter().find(|(key, _)| key.text() == Some(name))?;
        if node.is_null() {
            let help = "give it a value, or leave it out".to_owned();
            return reader.problem(key.mark, format!("`{name}` is empty"), help);
        }
        Some(Field { name: name.to_owned(), node })
    }

    /// Reads a field that may be missing.
    pub fn optional<'a, T>(
        &mut self,
        reader: &mut Reader<'a>,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'a>, &Field<'n>) -> Option<T>,
    ) -> Option<T> {
        let field = self.field(reader, name)?;
        read(reader, &field)
    }

    /// Reads a field that must be there.
    pub fn required<'a, T>(
        &mut self,
        reader: &mut Reader<'a>,
        name: &'static str,
        example: &str,
        read: impl FnOnce(&mut Reader<'a>, &Field<'n>) -> Option<T>,
    ) -> Option<T> {
        if !self.has(name) {
            return reader.problem(
                self.mark,
                format!("{} lacks `{name}`", self.called()),
                format!("add `{name}: {example}`"),
            );
        }
        self.optional(reader, name, read)
    }

    /// Whether the field stands there, with or without a value.
    pub fn has(&mut self, name: &'static str) -> bool {
        if !self.asked.contains(&name) {
            self.asked.push(name);
        }
        self.entries.iter().any(|(key, _)| key.text() == Some(name))
    }

    /// The place of a field's name.
    pub fn key_mark(&self, name: &str) -> Mark {
        self.entries.iter().find(|(key, _)| key.text() == Some(name)).map_or(self.mark, |(key, _)| key.mark)
    }

    /// What the table is called in messages.
    pub fn called(&self) -> String {
        called(&self.name)
    }

    /// Ends reading: notes every field that nobody asked for.
    pub fn close(self, reader: &mut Reader<'_>) {
        for (key, _) in self.entries {
            match key.text() {
                None => {
                    reader.problem::<()>(key.mark, "a list or table cannot be the name of a field", None);
                }
                Some(name) if self.asked.contains(&name) => {}
                Some(name) if self.later.contains(&name) => {
                    let message = format!("`{name}` is not supported yet");
                    reader.problem::<()>(key.mark, message, did_you_mean("", self.asked.iter().copied()));
                }
                Some(name) => {
                    let message = format!("{} has no field `{name}`", self.called());
                    reader.problem::<()>(key.mark, message, did_you_mean(name, self.asked.iter().copied()));
                }
            }
        }
    }
}

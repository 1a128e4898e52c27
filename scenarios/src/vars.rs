//! Variables: values that the parts of a scenario share, and that a person may set otherwise for a deployment of their own.
//!
//! `$<NAME>` stands for one, in any value of the scenario file and of its manifests. No shell, no template language and nothing of
//! Kubernetes reads that, and it is plain YAML everywhere. Alone and without quotes it is the value with its type; in quotes, or as
//! a part of a longer text, it is text. `$$<NAME>` is the text `$<NAME>`.

mod declared;
mod placeholder;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::problems::did_you_mean;
use crate::reader::{Reader, Table};
use crate::yaml::{Data, Mark, Node};
use declared::Declared;
use placeholder::Piece;

/// The fields of a scenario file that no variable may stand in.
const FIXED: [(&str, &str); 3] = [
    ("version", "write the version itself"),
    ("name", "every command finds the deployment by it; `--name` gives another one"),
    ("vars", "a variable cannot depend on another one"),
];

/// A variable of a scenario with the value that it has.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value: a text, a number or a truth value.
    pub value: Value,
    /// The value that it has where nobody sets one.
    pub default: Value,
}

impl Variable {
    /// Whether somebody set another value than the default.
    pub fn is_set(&self) -> bool {
        self.value != self.default
    }
}

/// What is said from outside of a scenario's variables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// What was said for this time, as a person wrote it. Of one name the last one counts.
    pub said: Vec<(String, String)>,
    /// What was said before and still holds, where nothing was said for this time. Names that the scenario does not have any more
    /// are ignored.
    pub kept: BTreeMap<String, Value>,
}

/// The variables of a scenario while it is read.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    known: Vec<(Variable, Mark)>,
    used: BTreeSet<String>,
}

impl Variables {
    /// Reads `vars:` and gives each variable its value. `None` where a variable has none: what uses it cannot be read.
    pub fn read(reader: &mut Reader<'_>, table: &mut Table<'_>, values: &Values) -> Option<Self> {
        let declared = if table.has("vars") {
            let field = table.field(reader, "vars")?;
            declared::read(reader, &field)?
        } else {
            Vec::new()
        };
        for (name, _) in &values.said {
            if !declared.iter().any(|declared| declared.name == *name) {
                let known = declared.iter().map(|declared| declared.name.as_str());
                let help = did_you_mean(name, known)
                    .unwrap_or_else(|| format!("the scenario has none: `vars: {{ {name}: DEFAULT }}` declares it"));
                reader.problem::<()>(table.key_mark("vars"), format!("there is no variable `{name}` to set"), help);
            }
        }
        let known = declared.into_iter().map(|declared| {
            let value = current(reader, &declared, values);
            let Declared { name, default, mark, .. } = declared;
            (Variable { name, value, default }, mark)
        });
        Some(Self { known: known.collect(), used: BTreeSet::new() })
    }

    /// Fills in the values in a scenario file.
    pub fn fill_scenario(&mut self, reader: &mut Reader<'_>, document: &mut Node) {
        let Data::Table(entries) = &mut document.data else { return };
        for (key, value) in entries {
            match FIXED.iter().find(|(name, _)| key.text() == Some(name)) {
                Some((name, help)) => refuse(reader, value, &format!("`{name}` takes no variable"), help),
                None => self.fill_entry(reader, key, value),
            }
        }
    }

    /// Fills in the values in a document, at any depth.
    pub fn fill(&mut self, reader: &mut Reader<'_>, node: &mut Node) {
        match &mut node.data {
            Data::Scalar { text, plain } => {
                if let Some(filled) = self.filled(reader, text, *plain, node.mark) {
                    node.data = filled;
                }
            }
            Data::List(items) => items.iter_mut().for_each(|item| self.fill(reader, item)),
            Data::Table(entries) => entries.iter_mut().for_each(|(key, value)| self.fill_entry(reader, key, value)),
        }
    }

    fn fill_entry(&mut self, reader: &mut Reader<'_>, key: &Node, value: &mut Node) {
        let help = "it may stand in values; `$$<NAME>` is the text itself, in values alone";
        refuse(reader, key, "no variable may stand in the name of a field", help);
        self.fill(reader, value);
    }

    /// A scalar with its values; `None` where it has no placeholder, or one that cannot be filled.
    fn filled(&mut self, reader: &mut Reader<'_>, text: &str, plain: bool, mark: Mark) -> Option<Data> {
        let pieces = placeholder::pieces(text)?;
        if let ([Piece::Variable(written)], true) = (pieces.as_slice(), plain) {
            let value = self.value(reader, written, mark)?;
            return Some(Data::Scalar { text: as_text(&value), plain: !value.is_string() });
        }
        let mut filled = String::new();
        let mut sound = Some(());
        for piece in &pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Variable(written) => match self.value(reader, written, mark) {
                    Some(value) => filled.push_str(&as_text(&value)),
                    None => sound = None,
                },
            }
        }
        sound.map(|()| Data::Scalar { text: filled, plain: false })
    }

    /// The value of the variable that was written between the brackets.
    fn value(&mut self, reader: &mut Reader<'_>, written: &str, mark: Mark) -> Option<Value> {
        let name = written.trim();
        if let Some((variable, _)) = self.known.iter().find(|(variable, _)| variable.name == name)
            && name == written
        {
            self.used.insert(name.to_owned());
            return Some(variable.value.clone());
        }
        let mark = reader.source.find(&format!("$<{written}>"), mark);
        if name != written {
            return reader.problem(mark, "a placeholder has no spaces", format!("write `$<{name}>`"));
        }
        let literal = format!("`$$<{name}>` is the text itself");
        let known = self.known.iter().map(|(variable, _)| variable.name.as_str());
        let help = match did_you_mean(name, known) {
            Some(help) => format!("{help} ({literal})"),
            None => format!("declare it in the scenario: `vars: {{ {name}: DEFAULT }}` ({literal})"),
        };
        reader.problem(mark, format!("there is no variable `{name}`"), help)
    }

    /// Warns of variables that nothing uses, and gives out all of them in the order of the file.
    pub fn finish(self, reader: &mut Reader<'_>) -> Vec<Variable> {
        for (variable, mark) in self.known.iter().filter(|(variable, _)| !self.used.contains(&variable.name)) {
            let message = format!("nothing uses the variable `{}`", variable.name);
            let help = format!("`$<{}>` stands for it in the scenario and its manifests", variable.name);
            reader.problems.warn(reader.source.problem(*mark, message, Some(help)));
        }
        self.known.into_iter().map(|(variable, _)| variable).collect()
    }
}

/// The value that a variable has: what was said, what was said before, or the default.
fn current(reader: &mut Reader<'_>, declared: &Declared, values: &Values) -> Value {
    let Declared { name, default, mark, .. } = declared;
    let refused = |reader: &mut Reader<'_>, value: &str, help: String| {
        let message = format!("the variable `{name}` takes {}, not `{value}`", declared.wanted());
        reader.problem::<()>(*mark, message, help);
        default.clone()
    };
    let default_text = as_text(default);
    if let Some((_, said)) = values.said.iter().rev().find(|(said, _)| said == name) {
        return declared.parse(said).filter(|value| declared.takes(value)).unwrap_or_else(|| {
            refused(reader, said, format!("`--set {name}={said}` said so; the default is `{default_text}`"))
        });
    }
    match values.kept.get(name) {
        Some(kept) if declared.takes(kept) => kept.clone(),
        Some(kept) => {
            let help = format!("the last apply said so; say another value: `--set {name}={default_text}`");
            refused(reader, &as_text(kept), help)
        }
        None => default.clone(),
    }
}

/// Notes every placeholder where none may stand.
fn refuse(reader: &mut Reader<'_>, node: &Node, message: &str, help: &str) {
    match &node.data {
        Data::Scalar { text, .. } => {
            let written = placeholder::pieces(text).into_iter().flatten().find_map(|piece| match piece {
                Piece::Variable(written) => Some(format!("$<{written}>")),
                Piece::Text(_) => None,
            });
            if let Some(written) = written {
                let mark = reader.source.find(&written, node.mark);
                reader.problem::<()>(mark, message, help.to_owned());
            }
        }
        Data::List(items) => items.iter().for_each(|item| refuse(reader, item, message, help)),
        Data::Table(entries) => entries.iter().for_each(|(key, value)| {
            refuse(reader, key, message, help);
            refuse(reader, value, message, help);
        }),
    }
}

/// A value as it stands in a longer text.
pub(crate) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => json!(other).to_string(),
    }
}

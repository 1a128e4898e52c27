//! Reads the data file, once, when the first kind is asked for. Everything lives as long as the program and borrows the file's text.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::types::{Empty, Field, ListKind, Shape, Strategy, Type};

/// The data: see the comment at its head for the format and where it comes from.
const DATA: &str = include_str!("../data/kinds.txt");

/// A kind that objects can have at their top.
pub(crate) struct Root {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) ty: &'static Type,
}

pub(crate) static ROOTS: LazyLock<Vec<Root>> = LazyLock::new(load);

/// The data file is part of the program and covered by tests: it has no errors to report.
fn load() -> Vec<Root> {
    let mut loader = Loader::default();
    let mut roots = Vec::new();
    for line in DATA.lines().filter(|line| !line.starts_with('#')) {
        let mut parts = line.split("; ");
        let head = parts.next().unwrap_or_default();
        let words: Vec<&'static str> = head.split(' ').collect();
        if words[0] == "root" {
            let group = if words[1] == "-" { "" } else { words[1] };
            let ty = loader.types[words[4].trim_start_matches('@')];
            roots.push(Root { group, version: words[2], kind: words[3], ty });
            continue;
        }
        let fields: Vec<&'static str> = parts.collect();
        loader.add_type(words[1], words.get(2) == Some(&"atomic"), &fields);
    }
    roots
}

#[derive(Default)]
struct Loader {
    types: HashMap<&'static str, &'static Type>,
    shapes: HashMap<&'static str, &'static Shape>,
    keys: HashMap<&'static str, &'static [&'static str]>,
}

impl Loader {
    fn add_type(&mut self, full_name: &'static str, atomic: bool, body: &[&'static str]) {
        let name = full_name.rsplit('.').next().unwrap_or(full_name);
        let fields: Box<[Field]> = body.iter().map(|line| self.field(line)).collect();
        let is_required = |line: &&&'static str| line.split(' ').any(|word| word == "!");
        let required = body.iter().filter(is_required).filter_map(|line| line.split(' ').next()).collect();
        self.types.insert(full_name, Box::leak(Box::new(Type { name, fields, required, atomic })));
    }

    fn field(&mut self, line: &'static str) -> Field {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let shape = self.shape(words.next().unwrap_or_default());
        let empty = match words.next() {
            Some("?") => Empty::Kept,
            Some("+") => Empty::Filled,
            _ => Empty::Dropped,
        };
        let mut field = Field {
            name,
            shape,
            atomic: shape.is_atomic(),
            strategy: Strategy::default(),
            empty,
            default: None,
            decoded_as: None,
        };
        for option in words {
            match option.split_at(1) {
                ("=", default) => field.default = Some(default),
                ("~", key) => {
                    field.strategy.merge = true;
                    field.strategy.key = Some(key).filter(|key| !key.is_empty());
                }
                ("^", _) => field.strategy.retain_keys = true,
                ("<", name) => field.decoded_as = Some(name.trim_end_matches('>')),
                _ if option == "atomic" => field.atomic = true,
                _ if option == "granular" => field.atomic = false,
                _ => {}
            }
        }
        field
    }

    fn shape(&mut self, text: &'static str) -> Shape {
        if let Some(name) = text.strip_prefix('@') {
            return Shape::Object(self.types[name]);
        }
        let Some((outer, inner)) = text.split_once(':') else {
            return simple(text);
        };
        let element = self.shared(inner);
        match outer {
            "map" => Shape::Map(element),
            "list" => Shape::List(element, ListKind::Atomic),
            "set" => Shape::List(element, ListKind::Set),
            keys => Shape::List(element, ListKind::Map(self.keys(keys))),
        }
    }

    fn shared(&mut self, text: &'static str) -> &'static Shape {
        if let Some(shape) = self.shapes.get(text) {
            return shape;
        }
        let shape = Box::leak(Box::new(self.shape(text)));
        self.shapes.insert(text, shape);
        shape
    }

    /// The names in `keys(a,b)`.
    fn keys(&mut self, text: &'static str) -> &'static [&'static str] {
        self.keys.entry(text).or_insert_with(|| {
            let names = text.trim_start_matches("keys(").trim_end_matches(')');
            Box::leak(names.split(',').collect::<Box<[_]>>())
        })
    }
}

fn simple(text: &str) -> Shape {
    match text {
        "string" => Shape::String,
        "int32" => Shape::Integer32,
        "int64" => Shape::Integer,
        "number" => Shape::Number,
        "bool" => Shape::Boolean,
        "quantity" => Shape::Quantity,
        "int-or-string" => Shape::IntOrString,
        "time" => Shape::Time,
        "microtime" => Shape::MicroTime,
        "bytes" => Shape::Bytes,
        _ => Shape::Any,
    }
}

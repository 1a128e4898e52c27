//! An answer as the client wants it, and whether Google could have given it.

use serde_json::{Map, Value, json};

use super::{Kind, Method, Table, table};

/// An answer with its enumerations as numbers, if so wanted. Fields that Google's answers do not have are named in `problems`.
pub(crate) fn tell(method: &Method, answer: Value, numbers: bool, problems: &mut Vec<String>) -> Value {
    if method.gives.is_empty() {
        return answer;
    }
    let mut teller = Teller { table: table(method.api), numbers, problems, method };
    teller.one(&Kind::Schema(method.gives.clone()), answer, "")
}

struct Teller<'a> {
    table: &'static Table,
    numbers: bool,
    problems: &'a mut Vec<String>,
    method: &'a Method,
}

impl Teller<'_> {
    fn problem(&mut self, place: &str, what: &str) {
        self.problems.push(format!("{}: {what} at '{place}'", self.method.id));
    }

    fn one(&mut self, kind: &Kind, value: Value, place: &str) -> Value {
        match (kind, value) {
            (Kind::Schema(name), Value::Object(fields)) => self.object(name, fields, place),
            (Kind::List(of), Value::Array(values)) => {
                values.into_iter().map(|value| self.one(of, value, place)).collect()
            }
            (Kind::Map(of), Value::Object(fields)) => {
                let each = fields.into_iter().map(|(name, value)| (name, self.one(of, value, place)));
                Value::Object(each.collect())
            }
            (Kind::Enumeration(number), Value::String(name)) => match self.table.enumerations[*number].number(&name) {
                Some(number) if self.numbers => json!(number),
                Some(_) => Value::String(name),
                None => {
                    self.problem(place, &format!("the unknown value {name}"));
                    Value::String(name)
                }
            },
            (Kind::Text | Kind::Large | Kind::Bytes, value @ Value::String(_))
            | (Kind::Bool, value @ Value::Bool(_))
            | (Kind::Small | Kind::Double, value @ Value::Number(_))
            | (Kind::Any, value) => value,
            (kind, value) => {
                self.problem(place, &format!("{value} where there is {kind:?}"));
                value
            }
        }
    }

    fn object(&mut self, schema: &str, fields: Map<String, Value>, place: &str) -> Value {
        let known = &self.table.schemas[schema];
        let mut out = Map::new();
        for (name, value) in fields {
            let inner = format!("{place}.{name}");
            let value = if let Some(kind) = known.get(&name) {
                self.one(kind, value, &inner)
            } else {
                self.problem(&inner, "an unknown field");
                value
            };
            out.insert(name, value);
        }
        Value::Object(out)
    }
}

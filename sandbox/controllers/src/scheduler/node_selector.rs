//! The expressions by which pods choose nodes.

use crate::meta::{text, texts};
use serde_json::{Map, Value};

/// Requirements of a node's labels or fields, all of which are to be met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Greater,
    Less,
    Unknown,
}

impl Selector {
    /// Of a plain map: all of its labels are wanted.
    pub fn of_map(labels: Option<&Map<String, Value>>) -> Self {
        Self { requirements: equal(labels) }
    }

    /// Of the expressions of a node selector's term, which know `Gt` and `Lt`, too.
    pub fn of_expressions(expressions: &[Value]) -> Self {
        Self { requirements: expressions.iter().map(requirement).collect() }
    }

    /// Whether these labels meet all requirements.
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.requirements.iter().all(|requirement| {
            requirement.holds(labels.and_then(|labels| labels.get(&requirement.key)).and_then(Value::as_str))
        })
    }
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|each| each == value);
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Greater => self.numbers(value).is_some_and(|(value, bound)| value > bound),
            Operator::Less => self.numbers(value).is_some_and(|(value, bound)| value < bound),
            Operator::Unknown => false,
        }
    }

    fn numbers(&self, value: Option<&str>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

fn equal(labels: Option<&Map<String, Value>>) -> Vec<Requirement> {
    let value = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let requirement = |(key, label): (&String, &Value)| Requirement {
        key: key.clone(),
        operator: Operator::In,
        values: vec![value(label)],
    };
    labels.into_iter().flatten().map(requirement).collect()
}

fn requirement(expression: &Value) -> Requirement {
    let operator = match text(expression, "/operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::Greater,
        "Lt" => Operator::Less,
        _ => Operator::Unknown,
    };
    let values = texts(expression, "/values").into_iter().map(str::to_owned).collect();
    Requirement { key: text(expression, "/key").to_owned(), operator, values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_mean_what_their_operators_say() {
        let one = |operator: &str, values: Value| {
            let selector = Selector::of_expressions(&[json!({"key": "a", "operator": operator, "values": values})]);
            (selector.matches(json!({"a": "5"}).as_object()), selector.matches(json!({}).as_object()))
        };
        assert_eq!(one("In", json!(["5", "6"])), (true, false));
        assert_eq!(one("NotIn", json!(["5"])), (false, true));
        assert_eq!(one("Exists", json!([])), (true, false));
        assert_eq!(one("DoesNotExist", json!([])), (false, true));
        assert_eq!(one("Gt", json!(["4"])), (true, false));
        assert_eq!(one("Lt", json!(["4"])), (false, false));
        assert_eq!(one("Nonsense", json!(["5"])), (false, false));
    }
}

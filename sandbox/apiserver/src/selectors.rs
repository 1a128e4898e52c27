//! Label and field selectors.

use kinds::Resource;
use serde_json::Value;

use crate::Status;
use crate::labels::{self, Operator};

/// A label selector; the default one selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Selector {
    /// Reads the wire's form, such as `app=web,tier in (a, b),!old`.
    pub fn parse(text: &str) -> Result<Self, Status> {
        let requirements = labels::parse(text)?.into_iter();
        let requirements = requirements.map(|(key, operator, values)| Requirement { key, operator, values });
        Ok(Self { requirements: requirements.collect(), nothing: false })
    }

    /// Objects with all labels of this map.
    pub fn of_labels(labels: &Value) -> Self {
        let requirements = labels.as_object().into_iter().flatten().map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.as_str().unwrap_or_default().to_owned()],
        });
        Self { requirements: requirements.collect(), nothing: false }
    }

    /// Reads a `metav1.LabelSelector`. A missing one selects nothing, an empty one everything.
    pub fn of_selector(selector: &Value) -> Self {
        if selector.is_null() {
            return Self { requirements: Vec::new(), nothing: true };
        }
        let mut all = Self::of_labels(&selector["matchLabels"]);
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let operator = match expression["operator"].as_str().unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                _ => Operator::Absent,
            };
            let values = expression["values"].as_array().into_iter().flatten();
            all.requirements.push(Requirement {
                key: expression["key"].as_str().unwrap_or_default().to_owned(),
                operator,
                values: values.filter_map(Value::as_str).map(str::to_owned).collect(),
            });
        }
        all
    }

    /// Whether an object's labels (`metadata.labels`, may be null) are selected.
    pub fn matches(&self, labels: &Value) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.holds(labels))
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }
}

impl Requirement {
    fn holds(&self, labels: &Value) -> bool {
        let value = labels.get(&self.key).and_then(Value::as_str);
        let number = |text: &str| text.parse::<i64>().ok();
        let listed = |value: &str| self.values.iter().any(|each| each == value);
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::Absent => value.is_none(),
            Operator::Greater => value.and_then(number) > number(&self.values[0]),
            Operator::Less => value.and_then(number).is_some_and(|it| Some(it) < number(&self.values[0])),
        }
    }
}

/// Resources that can be selected by fields of their own; the real server refuses other fields of them in other words.
const OWN_FIELDS: [&str; 11] = [
    "events",
    "jobs",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "replicasets",
    "replicationcontrollers",
    "secrets",
    "services",
];

/// A field selector; the default one selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    path: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Reads the wire's form, such as `spec.nodeName=sandbox,status.phase!=Failed`.
    pub fn parse(text: &str) -> Result<Self, Status> {
        let mut requirements = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
                (path, false, value)
            } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (path, true, value)
            } else {
                return Err(Status::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            requirements.push(FieldRequirement { path: path.to_owned(), value: value.to_owned(), equal });
        }
        Ok(Self { requirements })
    }

    /// Objects whose field has this value.
    pub fn equal(path: &str, value: &str) -> Self {
        Self { requirements: vec![FieldRequirement { path: path.to_owned(), value: value.to_owned(), equal: true }] }
    }

    /// Refuses fields that objects of this resource cannot be selected by.
    pub fn check(&self, resource: &Resource) -> Result<(), Status> {
        let known = |path: &str| kinds::field_label(resource, &Value::Null, path).is_some();
        match self.requirements.iter().find(|requirement| !known(&requirement.path)) {
            None => Ok(()),
            Some(requirement) if OWN_FIELDS.contains(&resource.plural) => {
                Err(Status::bad_request(format!("field label not supported: {}", requirement.path)))
            }
            Some(requirement) => Err(Status::bad_request(format!(
                "\"{}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                requirement.path
            ))),
        }
    }

    /// Whether an object is selected.
    pub fn matches(&self, resource: &Resource, object: &Value) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = kinds::field_label(resource, object, &requirement.path).unwrap_or_default();
            (value == requirement.value) == requirement.equal
        })
    }

    /// The one value that this field must have, if there is one.
    pub fn exact(&self, path: &str) -> Option<&str> {
        let mut exact = self.requirements.iter().filter(|requirement| requirement.equal);
        exact.find(|requirement| requirement.path == path).map(|requirement| requirement.value.as_str())
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }
}

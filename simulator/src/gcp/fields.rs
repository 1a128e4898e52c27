//! The methods, schemas and enumerations of Google's interfaces, and what follows from them: which method a request is for, and
//! whether every field of it exists and has its type.
//!
//! The tables are made from Google's discovery documents by `dev/gcp-fields`.

mod check;
mod route;
mod tell;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

pub(crate) use check::{body, query};
pub(crate) use route::{Route, decode, routes};
pub(crate) use tell::tell;

/// The type of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Text,
    Bool,
    /// Whole numbers of 32 bits: JSON numbers.
    Small,
    /// Whole numbers of 64 bits: JSON strings.
    Large,
    Double,
    Bytes,
    Any,
    Enumeration(usize),
    Schema(String),
    List(Box<Kind>),
    Map(Box<Kind>),
}

impl Kind {
    fn parse(text: &str) -> Self {
        if let Some(of) = text.strip_prefix("[]") {
            return Self::List(Box::new(Self::parse(of)));
        }
        if let Some(of) = text.strip_prefix("{}") {
            return Self::Map(Box::new(Self::parse(of)));
        }
        if let Some(schema) = text.strip_prefix('#') {
            return Self::Schema(schema.to_owned());
        }
        if let Some(number) = text.strip_prefix('=') {
            return Self::Enumeration(number.parse().unwrap_or_default());
        }
        match text {
            "bool" => Self::Bool,
            "int32" | "uint32" => Self::Small,
            "int64" | "uint64" => Self::Large,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "any" | "object" => Self::Any,
            _ => Self::Text,
        }
    }
}

/// The values of an enumeration with their numbers.
#[derive(Debug, Default)]
pub(crate) struct Enumeration {
    values: Vec<(String, i64)>,
}

impl Enumeration {
    fn parse(text: &str) -> Self {
        let mut next = 0;
        let values = text.split('|').map(|value| {
            let (name, number) = value.split_once('=').unwrap_or((value, ""));
            let number = number.parse().unwrap_or(next);
            next = number + 1;
            (name.to_owned(), number)
        });
        Self { values: values.collect() }
    }

    fn name(&self, number: i64) -> Option<&str> {
        self.values.iter().find(|value| value.1 == number).map(|value| value.0.as_str())
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.values.iter().find(|value| value.0 == name).map(|value| value.1)
    }
}

/// A method of an interface.
#[derive(Debug)]
pub(crate) struct Method {
    /// The interface: `container.v1`.
    pub api: &'static str,
    /// Its identifier: `container.projects.locations.clusters.create`.
    pub id: String,
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub verb: String,
    segments: Vec<String>,
    query: BTreeMap<String, Kind>,
    takes: String,
    gives: String,
}

impl Method {
    /// Whether it only looks.
    pub fn looks(&self) -> bool {
        self.verb == "GET" || ["wait", "testIamPermissions", "getIamPolicy"].iter().any(|word| self.id.ends_with(word))
    }

    /// The last part of its identifier: `create`.
    pub fn action(&self) -> &str {
        self.id.rsplit('.').next().unwrap_or_default()
    }

    /// The part before the last one: `clusters`.
    pub fn collection(&self) -> &str {
        self.id.rsplit('.').nth(1).unwrap_or_default()
    }

    /// The interface without its version.
    pub fn service(&self) -> &'static str {
        self.api.split('.').next().unwrap_or_default()
    }
}

/// What is known of an interface.
#[derive(Debug)]
pub(crate) struct Table {
    methods: Vec<Method>,
    schemas: BTreeMap<String, BTreeMap<String, Kind>>,
    enumerations: Vec<Enumeration>,
}

/// Identifier, verb, path, query, what it takes, what it gives.
type WrittenMethod = (String, String, String, BTreeMap<String, String>, String, String);

#[derive(Deserialize)]
struct Written {
    methods: Vec<WrittenMethod>,
    schemas: BTreeMap<String, BTreeMap<String, String>>,
    enumerations: Vec<String>,
}

fn kinds(fields: BTreeMap<String, String>) -> BTreeMap<String, Kind> {
    fields.into_iter().map(|(name, kind)| (name, Kind::parse(&kind))).collect()
}

fn load(api: &'static str, text: &str) -> Table {
    let written: Written = serde_json::from_str(text).expect("the tables are made by a script");
    let methods = written.methods.into_iter().map(|(id, verb, path, query, takes, gives)| {
        let segments = path.split('/').map(str::to_owned).collect();
        Method { api, id, verb, segments, query: kinds(query), takes, gives }
    });
    Table {
        methods: methods.collect(),
        schemas: written.schemas.into_iter().map(|(name, fields)| (name, kinds(fields))).collect(),
        enumerations: written.enumerations.iter().map(|text| Enumeration::parse(text)).collect(),
    }
}

macro_rules! tables {
    ($($api:literal),* $(,)?) => {
        static TABLES: LazyLock<Vec<(&'static str, Table)>> = LazyLock::new(|| {
            vec![$(($api, load($api, include_str!(concat!("fields/", $api, ".json"))))),*]
        });
    };
}

tables![
    "container.v1",
    "container.v1beta1",
    "compute.v1",
    "artifactregistry.v1",
    "artifactregistry.v1beta2",
    "file.v1",
    "serviceusage.v1",
    "iam.v1",
    "cloudbilling.v1",
    "cloudresourcemanager.v1",
    "cloudresourcemanager.v3",
];

fn table(api: &str) -> &'static Table {
    let found = TABLES.iter().find(|(name, _)| *name == api);
    &found.expect("a method's interface has a table").1
}

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A sort of object: API version and kind, for example `apps/v1` and `Deployment`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind {
    /// Group and version as manifests write it, for example `apps/v1` or `v1`.
    pub api_version: String,
    /// The kind, for example `Deployment`.
    pub kind: String,
}

/// Which object: its kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// API version and kind.
    #[serde(flatten)]
    pub kind: Kind,
    /// The namespace; none for an object of the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl Kind {
    /// A kind by its API version and name.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { api_version: api_version.into(), kind: kind.into() }
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// The version without its group.
    pub fn version(&self) -> &str {
        self.api_version.split_once('/').map_or(self.api_version.as_str(), |(_, version)| version)
    }
}

impl Identity {
    /// An object of a namespace.
    pub fn new(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self { kind: Kind::new(api_version, kind), namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }

    /// What a manifest's own fields say; none where kind, API version or name is missing.
    pub fn of(manifest: &Value) -> Option<Self> {
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            kind: Kind::new(text("/apiVersion")?, text("/kind")?),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name")?,
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(formatter, "{} {namespace}/{}", self.kind.kind, self.name),
            None => write!(formatter, "{} {}", self.kind.kind, self.name),
        }
    }
}

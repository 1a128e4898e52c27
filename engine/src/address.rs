use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a resource lives in a graph: its kind and its name, written `kind/name`.
///
/// The kind selects the behaviour in the registry; the name may itself contain slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    kind: String,
    name: String,
}

/// An address that is not of the form `kind/name`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an address: expected kind/name")]
pub struct InvalidAddress(String);

impl Address {
    /// Joins a kind (without slashes) and a name.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        let (kind, name) = (kind.into(), name.into());
        debug_assert!(!kind.is_empty() && !kind.contains('/') && !name.is_empty());
        Self { kind, name }
    }

    /// The kind, which selects the behaviour.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name within its kind.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(Self::new(kind, name)),
            _ => Err(InvalidAddress(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

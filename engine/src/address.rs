use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where a resource lives in a graph: its kind and its name, written `kind/name`.
///
/// The kind selects the behaviour in the registry; the name may itself contain slashes. A clone shares the text: graph, plan,
/// journal and schedule hold each address many times.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    text: Arc<str>,
    kind_length: usize,
}

/// An address that is not of the form `kind/name`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an address: expected kind/name")]
pub struct InvalidAddress(String);

impl Address {
    /// Joins a kind (without slashes) and a name.
    pub fn new(kind: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        let (kind, name) = (kind.as_ref(), name.as_ref());
        debug_assert!(!kind.is_empty() && !kind.contains('/') && !name.is_empty());
        Self { text: format!("{kind}/{name}").into(), kind_length: kind.len() }
    }

    /// The kind, which selects the behaviour.
    pub fn kind(&self) -> &str {
        &self.text[..self.kind_length]
    }

    /// The name within its kind.
    pub fn name(&self) -> &str {
        &self.text[self.kind_length + 1..]
    }
}

/// By kind, then by name.
impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.kind_length == other.kind_length {
            return self.text.cmp(&other.text);
        }
        self.kind().cmp(other.kind()).then_with(|| self.name().cmp(other.name()))
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", &*self.text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
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

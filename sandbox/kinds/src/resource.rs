//! What discovery tells of a resource: its names, where it lives, and what can be done with it.

use crate::rules::Rules;
use std::hash::{Hash, Hasher};

/// A kind of object as the API serves it.
///
/// Two resources are the same when their group, version and plural are.
#[derive(Debug)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version, such as `v1`.
    pub version: &'static str,
    /// Kind, such as `Pod`.
    pub kind: &'static str,
    /// Name in paths, such as `pods`.
    pub plural: &'static str,
    /// Singular name, such as `pod`.
    pub singular: &'static str,
    /// Short names that kubectl takes, such as `po`.
    pub short_names: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Categories, such as `all`.
    pub categories: &'static [&'static str],
    /// What lies below an object of it.
    pub subresources: &'static [Subresource],
    /// What can be done with it, in discovery's order.
    pub verbs: &'static [&'static str],
    pub(crate) rules: &'static Rules,
}

/// A path below an object, such as `pods/log`.
#[derive(Debug)]
pub struct Subresource {
    /// Name in paths, such as `log`.
    pub name: &'static str,
    /// Group of what it takes and gives.
    pub group: &'static str,
    /// Version of what it takes and gives; empty when it is the resource's own kind.
    pub version: &'static str,
    /// Kind of what it takes and gives; empty when it is the resource's own kind.
    pub kind: &'static str,
    /// What can be done with it.
    pub verbs: &'static [&'static str],
}

impl Resource {
    /// `v1` or `apps/v1`, as in an object's `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods` or `deployments.apps`, as error messages name it.
    pub fn qualified_plural(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The subresource of this name.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|each| each.name == name)
    }

    /// Whether this verb can be used on it.
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.key() == other.key()
    }
}

impl Eq for Resource {}

impl Hash for Resource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Resource {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Resource {
    fn key(&self) -> (&str, &str, &str) {
        (self.group, self.version, self.plural)
    }
}

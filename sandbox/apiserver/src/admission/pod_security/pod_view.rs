//! How the rules look at a pod.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{containers, items};

/// A pod, or the template of one.
pub(super) struct Pod<'a> {
    pub(super) metadata: &'a Value,
    pub(super) spec: &'a Value,
}

impl<'a> Pod<'a> {
    /// Its init containers and containers.
    pub(super) fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        containers(self.spec)
    }

    /// The names of the containers for which something holds.
    pub(super) fn containers_where(&self, holds: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        let bad = self.containers().filter(|container| holds(container));
        bad.filter_map(|container| container["name"].as_str()).collect()
    }

    pub(super) fn volumes(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        items(self.spec, "volumes")
    }

    /// The pod's own security context.
    pub(super) fn security(&self) -> &'a Value {
        &self.spec["securityContext"]
    }
}

/// The value of a field of a container's security context.
pub(super) fn security<'a>(container: &'a Value, field: &str) -> &'a Value {
    &container["securityContext"][field]
}

/// `container "a"` or `containers "a", "b"`
pub(super) fn named(names: &[&str]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names.iter().copied()))
}

pub(super) fn quoted<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ")
}

pub(super) fn plural<'a>(one: &'a str, several: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { several }
}

/// Who sets a field to what it must not be: the pod itself, its containers, and the values.
pub(super) struct Setters<'a> {
    pod: bool,
    containers: Vec<&'a str>,
    pub(super) values: BTreeSet<&'a str>,
}

impl<'a> Setters<'a> {
    /// Looks for a bad value in the security context of the pod and of each container.
    pub(super) fn find(pod: &Pod<'a>, bad: impl Fn(&'a Value) -> Option<&'a str>) -> Self {
        let mut setters = Self { pod: false, containers: Vec::new(), values: BTreeSet::new() };
        if let Some(value) = bad(pod.security()) {
            setters.pod = true;
            setters.values.insert(value);
        }
        for container in pod.containers() {
            if let Some(value) = bad(&container["securityContext"]) {
                setters.containers.push(container["name"].as_str().unwrap_or_default());
                setters.values.insert(value);
            }
        }
        setters
    }

    /// `pod and container "a"`, when there is one at all.
    pub(super) fn who(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.pod {
            parts.push("pod".to_owned());
        }
        if !self.containers.is_empty() {
            parts.push(named(&self.containers));
        }
        (!parts.is_empty()).then(|| parts.join(" and "))
    }
}

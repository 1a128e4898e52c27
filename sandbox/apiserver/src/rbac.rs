//! Authorization by roles and bindings.

mod defaults;
mod escalation;
mod rules;

use crate::{Api, User};
pub use defaults::default_roles;
pub(crate) use escalation::check_escalation;

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'a> {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or a method in lower case for paths.
    pub verb: &'a str,
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Plural of the resource, empty for paths that are none.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Namespace, or empty.
    pub namespace: &'a str,
    /// Name of the object, or empty.
    pub name: &'a str,
    /// The path, for requests that are not about resources.
    pub path: &'a str,
}

/// Whether somebody may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub allowed: bool,
    /// Why, for people.
    pub reason: String,
}

/// Decides by the roles and bindings there are now. Members of `system:masters` may do everything.
pub fn allowed(api: &Api, by: &User, attributes: &Attributes<'_>) -> Decision {
    if is_master(by) {
        return Decision { allowed: true, reason: String::new() };
    }
    let (granted, problems) = rules::granted(api, by, attributes.namespace);
    if let Some(found) = granted.iter().find(|granted| rules::allows(&granted.rule, attributes)) {
        return Decision { allowed: true, reason: format!("RBAC: allowed by {}", found.by) };
    }
    let reason = match problems.as_slice() {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        several => format!("RBAC: [{}]", several.join(", ")),
    };
    Decision { allowed: false, reason }
}

fn is_master(user: &User) -> bool {
    user.groups.iter().any(|group| group == "system:masters")
}

#[cfg(test)]
mod tests;

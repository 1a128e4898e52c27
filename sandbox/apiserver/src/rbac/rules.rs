//! Rules of roles, and who they apply to.

use kinds::Resource;
use serde_json::Value;

use super::Attributes;
use crate::{Api, ListOptions, Selector, Status, User, metadata};

/// Whether a list of the rule has the value or the star.
pub(super) fn has(rule: &Value, field: &str, value: &str) -> bool {
    texts(rule, field).any(|each| each == "*" || each == value)
}

/// The texts of a list in a rule.
pub(super) fn texts<'a>(rule: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    rule[field].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Whether one rule allows it.
pub(super) fn allows(rule: &Value, wanted: &Attributes<'_>) -> bool {
    if !has(rule, "verbs", wanted.verb) {
        return false;
    }
    if wanted.resource.is_empty() {
        return texts(rule, "nonResourceURLs").any(|url| covers_path(url, wanted.path));
    }
    has(rule, "apiGroups", wanted.group)
        && texts(rule, "resources").any(|each| covers_resource(each, wanted.resource, wanted.subresource))
        && covers_name(rule, wanted.name)
}

/// Whether a rule's `pods/log`, `*/log` or `*` covers a resource.
pub(super) fn covers_resource(rule: &str, resource: &str, subresource: &str) -> bool {
    match rule.split_once('/') {
        None => rule == "*" || (rule == resource && subresource.is_empty()),
        Some((_, of)) if subresource.is_empty() || of != subresource => false,
        Some((name, _)) => name == "*" || name == resource,
    }
}

/// Whether a rule's path, perhaps with a star at its end, covers a path.
pub(super) fn covers_path(rule: &str, path: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => rule == path,
    }
}

fn covers_name(rule: &Value, name: &str) -> bool {
    let mut names = texts(rule, "resourceNames").peekable();
    names.peek().is_none() || names.any(|each| each == name)
}

/// A rule that a binding gives somebody.
pub(super) struct Granted {
    pub(super) rule: Value,
    /// `ClusterRoleBinding "a" of ClusterRole "b" to Group "c"`
    pub(super) by: String,
}

/// Every rule that somebody has in a namespace (or, when it is empty, everywhere), and what could not be followed.
pub(super) fn granted(api: &Api, user: &User, namespace: &str) -> (Vec<Granted>, Vec<String>) {
    let (mut granted, mut problems) = (Vec::new(), Vec::new());
    let mut follow = |resource: &'static Resource, namespace: &str| {
        let within = Some(namespace).filter(|namespace| !namespace.is_empty());
        // Only a selector could be refused, and there is none.
        let bindings = api.list(resource, within, &ListOptions::default()).map(|list| list.items).unwrap_or_default();
        for binding in bindings {
            let mut subjects = binding["subjects"].as_array().into_iter().flatten();
            let Some(subject) = subjects.find(|subject| is_meant(subject, user, namespace)) else { continue };
            match rules_of(api, &binding["roleRef"], namespace) {
                Ok(rules) => {
                    let by = describe(resource, &binding, subject, namespace);
                    granted.extend(rules.into_iter().map(|rule| Granted { rule, by: by.clone() }));
                }
                Err(status) => problems.push(missing_role(&binding["roleRef"], &status)),
            }
        }
    };
    follow(kinds::CLUSTER_ROLE_BINDINGS, "");
    if !namespace.is_empty() {
        follow(kinds::ROLE_BINDINGS, namespace);
    }
    (granted, problems)
}

fn missing_role(reference: &Value, status: &Status) -> String {
    if !status.is_not_found() {
        return status.message.clone();
    }
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    format!("{}.rbac.authorization.k8s.io \"{}\" not found", text("kind").to_lowercase(), text("name"))
}

fn is_meant(subject: &Value, user: &User, namespace: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str().unwrap_or_default() {
        "User" => user.name == name,
        "Group" => user.groups.iter().any(|group| group == name),
        "ServiceAccount" => {
            let own = subject["namespace"].as_str().filter(|own| !own.is_empty()).unwrap_or(namespace);
            !own.is_empty() && user.name == format!("system:serviceaccount:{own}:{name}")
        }
        _ => false,
    }
}

fn describe(resource: &Resource, binding: &Value, subject: &Value, namespace: &str) -> String {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let below = |name: &str, place: &str| if place.is_empty() { name.to_owned() } else { format!("{name}/{place}") };
    let reference = &binding["roleRef"];
    let subject_name = match subject["kind"].as_str() {
        Some("ServiceAccount") => {
            let own = text(subject, "namespace");
            format!("{}/{}", text(subject, "name"), if own.is_empty() { namespace } else { &own })
        }
        _ => text(subject, "name"),
    };
    format!(
        "{} \"{}\" of {} \"{}\" to {} \"{subject_name}\"",
        resource.kind,
        below(metadata::text(binding, "name"), namespace),
        text(reference, "kind"),
        text(reference, "name"),
        text(subject, "kind"),
    )
}

/// The rules of the role that a binding names.
pub(super) fn rules_of(api: &Api, reference: &Value, namespace: &str) -> Result<Vec<Value>, Status> {
    let name = reference["name"].as_str().unwrap_or_default();
    if reference["kind"] == "Role" {
        return Ok(list(&*api.get(kinds::ROLES, namespace, name)?));
    }
    let role = api.get(kinds::CLUSTER_ROLES, "", name)?;
    let mut names = vec![name.to_owned()];
    let mut rules = Vec::new();
    gather(api, &role, &mut names, &mut rules);
    Ok(rules)
}

fn list(role: &Value) -> Vec<Value> {
    role["rules"].as_array().cloned().unwrap_or_default()
}

/// A cluster role's own rules, and those of the roles that it gathers by their labels.
fn gather(api: &Api, role: &Value, seen: &mut Vec<String>, rules: &mut Vec<Value>) {
    rules.extend(list(role));
    for selector in role["aggregationRule"]["clusterRoleSelectors"].as_array().into_iter().flatten() {
        let options = ListOptions::labelled(Selector::of_selector(selector));
        let gathered = api.list(kinds::CLUSTER_ROLES, None, &options).map(|list| list.items).unwrap_or_default();
        for other in gathered {
            let name = metadata::text(&other, "name");
            if !seen.iter().any(|known| known == name) {
                seen.push(name.to_owned());
                gather(api, &other, seen, rules);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_allows_what_it_names() {
        let rule = json!({"apiGroups": [""], "resources": ["pods", "pods/log", "*/scale"], "verbs": ["get", "list"]});
        let named = json!({"apiGroups": ["apps"], "resources": ["*"], "resourceNames": ["web"], "verbs": ["*"]});
        let paths = json!({"nonResourceURLs": ["/api", "/api/*"], "verbs": ["get"]});
        let wish = |verb: &'static str, group: &'static str, path: &'static str, name: &'static str| {
            let (resource, subresource) = path.split_once('/').unwrap_or((path, ""));
            Attributes { verb, group, resource, subresource, name, namespace: "a", path: "" }
        };
        let table = [
            (&rule, wish("get", "", "pods", "x"), true),
            (&rule, wish("delete", "", "pods", "x"), false),
            (&rule, wish("get", "apps", "pods", "x"), false),
            (&rule, wish("get", "", "pods/log", "x"), true),
            (&rule, wish("get", "", "pods/exec", "x"), false),
            (&rule, wish("get", "", "replicationcontrollers/scale", "x"), true),
            (&rule, wish("get", "", "replicationcontrollers", "x"), false),
            (&named, wish("delete", "apps", "deployments/status", "web"), true),
            (&named, wish("delete", "apps", "deployments", "db"), false),
            (&named, wish("list", "apps", "deployments", ""), false),
            (&paths, wish("get", "", "pods", ""), false),
            (&paths, Attributes { verb: "get", path: "/api/v1", ..Attributes::default() }, true),
            (&paths, Attributes { verb: "get", path: "/apis", ..Attributes::default() }, false),
            (&rule, Attributes { verb: "get", path: "/api", ..Attributes::default() }, false),
        ];
        for (rule, wish, expected) in table {
            assert_eq!(allows(rule, &wish), expected, "{rule} {wish:?}");
        }
    }
}

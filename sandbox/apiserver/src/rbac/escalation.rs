//! Nobody hands on what he does not have.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rules::{covers_path, covers_resource, granted, has, rules_of, texts};
use super::{Attributes, allowed, is_master};
use crate::{Api, Attempt, Operation, Status, User, metadata};

/// Refuses roles with more rules than their writer has, and bindings to such roles.
pub(crate) fn check_escalation(api: &Api, attempt: &Attempt<'_>, new: &Value) -> Result<(), Status> {
    let is_role = [kinds::ROLES, kinds::CLUSTER_ROLES].contains(&attempt.resource);
    let is_binding = [kinds::ROLE_BINDINGS, kinds::CLUSTER_ROLE_BINDINGS].contains(&attempt.resource);
    if attempt.operation == Operation::Delete || is_master(attempt.by) || (!is_role && !is_binding) {
        return Ok(());
    }
    let may = |verb: &str, resource: &str, name: &str| {
        let group = "rbac.authorization.k8s.io";
        let namespace = attempt.namespace;
        let wanted = Attributes { verb, group, resource, namespace, name, ..Attributes::default() };
        allowed(api, attempt.by, &wanted).allowed
    };
    let name = metadata::text(new, "name");
    let rules = if is_role {
        let same = |field: &str| attempt.old.is_some_and(|old| old[field] == new[field]);
        if (same("rules") && same("aggregationRule")) || may("escalate", attempt.resource.plural, name) {
            return Ok(());
        }
        let mut rules = new["rules"].as_array().cloned().unwrap_or_default();
        if !new["aggregationRule"].is_null() {
            // It may gather anything later on.
            rules.push(json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}));
            rules.push(json!({"nonResourceURLs": ["*"], "verbs": ["*"]}));
        }
        rules
    } else {
        let reference = &new["roleRef"];
        let resource = if reference["kind"] == "Role" { "roles" } else { "clusterroles" };
        if may("bind", resource, reference["name"].as_str().unwrap_or_default()) {
            return Ok(());
        }
        // As the real server: told of the binding, not of its role.
        rules_of(api, reference, attempt.namespace).map_err(|_| Status::not_found(attempt.resource, name))?
    };
    let own: Vec<Value> = granted(api, attempt.by, attempt.namespace).0.into_iter().map(|it| it.rule).collect();
    let missing: Vec<Value> =
        rules.iter().flat_map(pieces).filter(|piece| !own.iter().any(|rule| covers(rule, piece))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Status::forbidden(attempt.resource, name, &told(attempt.by, &missing)))
}

/// The rule as rules with one verb, group, resource and name each.
fn pieces(rule: &Value) -> Vec<Value> {
    let mut pieces = Vec::new();
    for verb in texts(rule, "verbs") {
        for url in texts(rule, "nonResourceURLs") {
            pieces.push(json!({"verbs": [verb], "nonResourceURLs": [url]}));
        }
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                let piece = json!({"verbs": [verb], "apiGroups": [group], "resources": [resource]});
                let mut names = texts(rule, "resourceNames").peekable();
                if names.peek().is_none() {
                    pieces.push(piece.clone());
                }
                for object in names {
                    let mut one = piece.clone();
                    one["resourceNames"] = json!([object]);
                    pieces.push(one);
                }
            }
        }
    }
    pieces
}

/// Whether a rule gives all that a piece gives.
fn covers(rule: &Value, piece: &Value) -> bool {
    let one = |field: &str| texts(piece, field).next();
    if !has(rule, "verbs", one("verbs").unwrap_or_default()) {
        return false;
    }
    if let Some(url) = one("nonResourceURLs") {
        return texts(rule, "nonResourceURLs").any(|each| covers_path(each, url));
    }
    let (resource, subresource) = one("resources").map(|it| it.split_once('/').unwrap_or((it, ""))).unwrap_or_default();
    let mut names = texts(rule, "resourceNames").peekable();
    has(rule, "apiGroups", one("apiGroups").unwrap_or_default())
        && texts(rule, "resources").any(|each| covers_resource(each, resource, subresource))
        && (names.peek().is_none() || one("resourceNames").is_some_and(|name| names.any(|each| each == name)))
}

/// The real words: pieces that differ only in their verb are told together.
fn told(user: &User, missing: &[Value]) -> String {
    let mut together: Vec<(Value, Vec<String>)> = Vec::new();
    for piece in missing {
        let mut key = piece.clone();
        key["verbs"] = Value::Null;
        let verb = texts(piece, "verbs").next().unwrap_or_default().to_owned();
        match together.iter_mut().find(|(known, _)| *known == key && key["nonResourceURLs"].is_null()) {
            Some((_, verbs)) => verbs.push(verb),
            None => together.push((key, vec![verb])),
        }
    }
    let lines: BTreeSet<String> = together
        .iter()
        .map(|(key, verbs)| {
            let fields = [
                ("APIGroups", "apiGroups"),
                ("Resources", "resources"),
                ("NonResourceURLs", "nonResourceURLs"),
                ("ResourceNames", "resourceNames"),
            ];
            let mut parts: Vec<String> = fields
                .into_iter()
                .filter(|(_, field)| key[*field].is_array())
                .map(|(title, field)| format!("{title}:{}", quoted(texts(key, field))))
                .collect();
            parts.push(format!("Verbs:{}", quoted(verbs.iter().map(String::as_str))));
            format!("{{{}}}", parts.join(", "))
        })
        .collect();
    let groups = quoted(user.groups.iter().map(String::as_str));
    format!(
        "user \"{}\" (groups={groups}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        lines.into_iter().collect::<Vec<_>>().join("\n")
    )
}

fn quoted<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", texts.map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_covers_pieces_that_are_no_more_than_itself() {
        let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
        let mut named = rule(&[""], &["secrets"], &["get"]);
        named["resourceNames"] = json!(["a", "b"]);
        let paths = |url: &str| json!({"nonResourceURLs": [url], "verbs": ["get"]});
        let table = [
            (rule(&[""], &["pods"], &["get", "list"]), rule(&[""], &["pods"], &["get"]), true),
            (rule(&[""], &["pods"], &["get"]), rule(&[""], &["pods"], &["get", "list"]), false),
            (rule(&["*"], &["*"], &["*"]), rule(&["apps"], &["deployments/scale"], &["update"]), true),
            (rule(&["*"], &["pods"], &["*"]), rule(&["*"], &["*"], &["get"]), false),
            (rule(&[""], &["secrets"], &["get"]), named.clone(), true),
            (named.clone(), rule(&[""], &["secrets"], &["get"]), false),
            (named.clone(), named, true),
            (paths("/healthz*"), paths("/healthz/ready"), true),
            (paths("/healthz"), paths("*"), false),
        ];
        for (own, wanted, expected) in table {
            assert_eq!(pieces(&wanted).iter().all(|piece| covers(&own, piece)), expected, "{own} {wanted}");
        }
    }

    #[test]
    fn what_is_missing_is_told_in_the_real_words() {
        let user = User { name: "eve".to_owned(), groups: vec!["system:authenticated".to_owned()], ..User::default() };
        let rule = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]});
        assert_eq!(
            told(&user, &pieces(&rule)),
            "user \"eve\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently \
             held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}"
        );
    }
}

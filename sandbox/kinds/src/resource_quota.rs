//! Quotas of resources.

use crate::cause::Causes;
use crate::checks::{QUOTA_RESOURCES, immutable, resource_amount, resource_name};
use crate::edit::text;
use crate::node::Node;
use crate::rules::Rules;
use crate::shown::{self, AGE, NAME, column, or};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules =
    Rules { has_status: true, columns: COLUMNS, cells, validate, validate_update, ..Rules::NONE };

const COLUMNS: &[Column] = &[
    NAME,
    column("Request", "What is used of what may be asked for."),
    column("Limit", "What is used of what limits may come to."),
    AGE,
];

fn cells(quota: &Value, now: Timestamp) -> Vec<Value> {
    let status = &quota["status"];
    let mut names: Vec<&String> = status["hard"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
    names.sort();
    let shown = |limits: bool| {
        let chosen = names.iter().filter(|name| name.starts_with("limits.") == limits);
        let amounts = chosen
            .map(|name| format!("{name}: {}/{}", or(text(&status["used"], name), "0"), text(&status["hard"], name)));
        Value::from(amounts.collect::<Vec<_>>().join(", "))
    };
    vec![shown::name(quota), shown(false), shown(true), shown::age(quota, now)]
}

const SCOPES: [&str; 6] =
    ["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"];

fn validate(quota: &Node, causes: &mut Causes) {
    let (spec, status) = (quota.get("spec"), quota.get("status"));
    let (wanted, applied, used) = (spec.get("hard"), status.get("hard"), status.get("used"));
    for amounts in [&wanted, &applied, &used] {
        for (name, amount) in amounts.entries() {
            resource_name(&amount, name, &QUOTA_RESOURCES, causes);
            let known = QUOTA_RESOURCES.contains(&name)
                || matches!(name, "cpu" | "memory" | "ephemeral-storage")
                || name.contains("hugepages-");
            if !name.contains('/') && !known {
                causes.invalid_value(&amount, name, "must be a standard resource for quota");
            }
            resource_amount(name, &amount, causes);
        }
    }
    let scopes = spec.get("scopes");
    if scopes.items().any(|scope| !SCOPES.contains(&scope.text())) {
        causes.invalid(&scopes, "unsupported scope");
    }
    let has = |name: &str| scopes.items().any(|scope| scope.text() == name);
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if has(one) && has(other) {
            causes.invalid(&scopes, "conflicting scopes");
        }
    }
}

fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    immutable(&old.get("spec").get("scopes"), &new.get("spec").get("scopes"), causes);
}

//! Quotas. What is used is counted from the objects there are, under the write lock, so that no two writes can take the
//! same last piece.

mod usage;

use std::collections::{BTreeMap, BTreeSet};

use kinds::quantity::{self, Resources};
use serde_json::Value;

use super::{Attempt, Operation, containers, items};
use crate::{Api, ListOptions, Status, metadata};

/// A quota that names one of these makes every container name them, too.
const REQUIRED: [&str; 6] = ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];

/// Refuses what would take more than a quota of the namespace has left.
pub(super) fn check(api: &Api, attempt: &Attempt<'_>, new: &Value) -> Result<(), Status> {
    if attempt.namespace.is_empty() || !usage::can_change(attempt, new) {
        return Ok(());
    }
    let quotas = api.list(kinds::RESOURCE_QUOTAS, Some(attempt.namespace), &ListOptions::default())?.items;
    let quotas: Vec<&Value> =
        quotas.iter().map(AsRef::as_ref).filter(|quota| usage::is_about(quota, attempt.resource, new)).collect();
    if attempt.resource == kinds::PODS {
        for quota in &quotas {
            check_required(attempt, quota, new)?;
        }
    }
    for quota in quotas {
        check_left(api, attempt, quota, new)?;
    }
    Ok(())
}

fn hard(quota: &Value) -> Resources {
    quantity::resources(&quota["spec"]["hard"])
}

/// Refuses a pod whose containers leave open what the quota limits.
fn check_required(attempt: &Attempt<'_>, quota: &Value, pod: &Value) -> Result<(), Status> {
    let hard = hard(quota);
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for required in REQUIRED.into_iter().filter(|name| hard.contains_key(*name)) {
        let (kind, resource) = required.split_once('.').unwrap_or(("requests", required));
        for container in containers(&pod["spec"]).filter(|it| it["resources"][kind][resource].is_null()) {
            missing.entry(required).or_default().insert(container["name"].as_str().unwrap_or_default());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let told = missing.into_iter().map(|(resource, containers)| {
        format!("{resource} for: {}", containers.into_iter().collect::<Vec<_>>().join(","))
    });
    let told = told.collect::<Vec<_>>().join("; ");
    Err(attempt.forbidden(pod, &format!("failed quota: {}: must specify {told}", metadata::text(quota, "name"))))
}

/// Refuses a write that asks for more than is left.
fn check_left(api: &Api, attempt: &Attempt<'_>, quota: &Value, new: &Value) -> Result<(), Status> {
    let hard = hard(quota);
    let mut requested = usage::of(attempt.resource, new);
    if attempt.operation == Operation::Update
        && let Some(old) = attempt.old.filter(|old| usage::is_about(quota, attempt.resource, old))
    {
        let before = usage::of(attempt.resource, old);
        for (name, amount) in &mut requested {
            *amount -= before.get(name).copied().unwrap_or_default();
        }
    }
    requested.retain(|name, amount| hard.contains_key(name) && !amount.is_zero() && !amount.is_negative());
    if requested.is_empty() {
        return Ok(());
    }
    let mut used = Resources::new();
    for object in api.list(attempt.resource, Some(attempt.namespace), &ListOptions::default())?.items {
        if usage::is_about(quota, attempt.resource, &object) {
            quantity::add(&mut used, &usage::of(attempt.resource, &object));
        }
    }
    let used = |name: &str| used.get(name).copied().unwrap_or_default();
    let exceeded: Vec<&str> = requested
        .iter()
        .filter(|(name, more)| used(name) + **more > hard[*name])
        .map(|(name, _)| name.as_str())
        .collect();
    if exceeded.is_empty() {
        return Ok(());
    }
    let told = |amount: &dyn Fn(&str) -> quantity::Quantity| -> String {
        exceeded.iter().map(|name| format!("{name}={}", amount(name))).collect::<Vec<_>>().join(",")
    };
    let why = format!(
        "exceeded quota: {}, requested: {}, used: {}, limited: {}",
        metadata::text(quota, "name"),
        told(&|name| requested[name]),
        told(&used),
        told(&|name| hard[name]),
    );
    Err(attempt.forbidden(new, &why))
}

/// The scopes of a quota, both forms: name, operator, values.
fn scopes(quota: &Value) -> impl Iterator<Item = (&str, &str, Vec<&str>)> {
    let plain = items(&quota["spec"], "scopes").filter_map(|scope| Some((scope.as_str()?, "Exists", Vec::new())));
    let selected = items(&quota["spec"]["scopeSelector"], "matchExpressions").map(|expression| {
        let text = |field: &str| expression[field].as_str().unwrap_or_default();
        (text("scopeName"), text("operator"), items(expression, "values").filter_map(Value::as_str).collect())
    });
    plain.chain(selected)
}

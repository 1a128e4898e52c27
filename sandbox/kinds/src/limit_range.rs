//! Ranges of limits.

use crate::cause::Causes;
use crate::checks::{self, QUOTA_RESOURCES, container_resource_name, named, resource_name};
use crate::edit::{fill, has, items, object, part, text};
use crate::names;
use crate::node::Node;
use crate::quantity::{self, Quantity};
use crate::rules::Rules;
use serde_json::{Map, Value};

pub(crate) static RULES: Rules = Rules { default, validate, ..Rules::NONE };

/// For containers: the limit is the maximum, the request is the limit or else the minimum.
fn default(range: &mut Value) {
    let Some(spec) = part(range, "spec") else { return };
    for item in items(spec, "limits").filter(|item| text(item, "type") == "Container") {
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            copy_missing(item, from, to);
        }
    }
}

fn copy_missing(item: &mut Value, from: &str, to: &str) {
    let source: Map<String, Value> = item.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
    if source.is_empty() {
        return;
    }
    if let Some(target) = object(item, to) {
        source.into_iter().for_each(|(name, amount)| fill(target, &name, amount));
    }
}

const TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];

fn validate(range: &Node, causes: &mut Causes) {
    let spec = range.get("spec");
    let limits = spec.get("limits");
    let mut seen: Vec<&str> = Vec::new();
    for item in limits.items() {
        let kind = item.get("type");
        named(&kind, names::qualified, causes);
        if !kind.text().contains('/') && !TYPES.contains(&kind.text()) && names::qualified(kind.text()).is_empty() {
            causes.invalid(&kind, "must be a standard limit type or fully qualified");
        }
        if seen.contains(&kind.text()) {
            causes.duplicate(&kind);
        }
        seen.push(kind.text());
        limit(&item, kind.text(), causes);
    }
}

const MAPS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

fn limit(item: &Node, kind: &str, causes: &mut Causes) {
    let mut names: Vec<&str> = Vec::new();
    for map in MAPS {
        let amounts = item.get(map);
        if kind == "Pod" && map.starts_with("default") {
            if !amounts.is_empty() {
                causes.forbidden(&amounts, "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for (name, amount) in item.value.get(map).and_then(Value::as_object).into_iter().flatten() {
            let at = amounts.key(name);
            match kind {
                "Pod" | "Container" => container_resource_name(&at, name, causes),
                _ => {
                    resource_name(&at, name, &QUOTA_RESOURCES, causes);
                }
            }
            checks::amount(&at.with(amount), causes);
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    if kind == "PersistentVolumeClaim" && !has(&item.value["min"], "storage") && !has(&item.value["max"], "storage") {
        let text = "either minimum or maximum storage value is required, but neither was provided";
        causes.required(&item.get("limits"), text);
    }
    for name in names {
        in_order(item, kind, name, causes);
    }
}

/// Which amount may not exceed which, where it is told, what is shown, and in which words.
type Order = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);
const ORDER: [Order; 6] = [
    ("min", "max", "min", "min", "min value", "max value"),
    ("min", "defaultRequest", "defaultRequest", "defaultRequest", "min value", "default request value"),
    ("defaultRequest", "max", "defaultRequest", "defaultRequest", "default request value", "max value"),
    ("defaultRequest", "default", "defaultRequest", "defaultRequest", "default request value", "default limit value"),
    ("min", "default", "default", "min", "min value", "default value"),
    ("default", "max", "default", "max", "default value", "max value"),
];

fn in_order(item: &Node, kind: &str, name: &str, causes: &mut Causes) {
    let amount = |map: &str| {
        let ignored = kind == "Pod" && map.starts_with("default");
        item.value
            .get(map)
            .and_then(|map| map.get(name))
            .filter(|_| !ignored)
            .and_then(|it| quantity::from_value(it).ok())
    };
    for (small, large, at, shown, small_name, large_name) in ORDER {
        let Some((less, more)) = amount(small).zip(amount(large)).filter(|(less, more)| less > more) else { continue };
        let text = format!("{small_name} {less} is greater than {large_name} {more}");
        let shown = amount(shown).map(|amount| amount.to_string());
        causes.invalid_value(&item.get(at).key(name), shown, &text);
    }
    if let Some(ratio) = amount("maxLimitRequestRatio") {
        let at = item.get("maxLimitRequestRatio");
        if ratio < Quantity::from_units(1) {
            causes.invalid_value(&at.key(name), ratio.to_string(), &format!("ratio {ratio} is less than 1"));
        }
    }
}

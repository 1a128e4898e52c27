//! Checks that many kinds share: numbers, choices, labels, amounts, addresses.

use crate::cause::Causes;
use crate::names;
use crate::node::Node;
use crate::quantity::{self, Quantity};
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv4Addr};

pub(crate) const IMMUTABLE: &str = "field is immutable";
const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// Tells everything that a rule for names finds.
pub(crate) fn named(at: &Node, rule: fn(&str) -> Vec<String>, causes: &mut Causes) {
    for wrong in rule(at.text()) {
        causes.invalid(at, &wrong);
    }
}

/// As [`named`], when there is something.
pub(crate) fn named_if_set(at: &Node, rule: fn(&str) -> Vec<String>, causes: &mut Causes) {
    if !at.text().is_empty() {
        named(at, rule, causes);
    }
}

/// Required, and then as [`named`]. Gives whether it was there.
pub(crate) fn required_name(at: &Node, rule: fn(&str) -> Vec<String>, causes: &mut Causes) -> bool {
    if required_text(at, causes) {
        named(at, rule, causes);
        return true;
    }
    false
}

/// There must be a text.
pub(crate) fn required_text(at: &Node, causes: &mut Causes) -> bool {
    if at.is_empty() {
        causes.required(at, "");
        return false;
    }
    true
}

/// A number that is set must not be negative.
pub(crate) fn not_negative(at: &Node, causes: &mut Causes) {
    if at.integer().is_some_and(|number| number < 0) {
        causes.invalid(at, NOT_NEGATIVE);
    }
}

/// The numbers in these fields must not be negative.
pub(crate) fn all_not_negative(of: &Node, fields: &[&str], causes: &mut Causes) {
    for field in fields {
        not_negative(&of.get(field), causes);
    }
}

/// A number that is set lies between these two.
pub(crate) fn in_range(at: &Node, least: i64, most: i64, causes: &mut Causes) {
    if at.integer().is_some_and(|number| number < least || number > most) {
        causes.invalid(at, &format!("must be between {least} and {most}, inclusive"));
    }
}

/// A user's or group's number.
pub(crate) fn identity(at: &Node, causes: &mut Causes) {
    in_range(at, 0, i64::from(i32::MAX), causes);
}

/// A port number; nothing counts as 0.
pub(crate) fn port_number(at: &Node, causes: &mut Causes) {
    let number = at.integer().unwrap_or_default();
    if !(1..=65535).contains(&number) {
        causes.invalid_value(at, number, "must be between 1 and 65535, inclusive");
    }
}

/// A port's number or name.
pub(crate) fn port(at: &Node, causes: &mut Causes) {
    if at.value.is_string() { named(at, names::port, causes) } else { port_number(at, causes) }
}

/// One of these texts; there must be one.
pub(crate) fn required_choice(at: &Node, supported: &[&str], causes: &mut Causes) {
    if required_text(at, causes) {
        choice(at, supported, causes);
    }
}

/// One of these texts, when there is one.
pub(crate) fn choice(at: &Node, supported: &[&str], causes: &mut Causes) {
    if at.is_set() && !supported.contains(&at.text()) {
        causes.unsupported(at, supported);
    }
}

/// The protocol of a port.
pub(crate) fn protocol(at: &Node, causes: &mut Causes) {
    required_choice(at, PROTOCOLS, causes);
}

/// The file's rights.
pub(crate) fn file_mode(at: &Node, causes: &mut Causes) {
    if at.integer().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        causes.invalid(at, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

/// Nothing may change here.
pub(crate) fn immutable(old: &Node, new: &Node, causes: &mut Causes) {
    if old.value != new.value {
        causes.invalid_value(new, shown(new.value), IMMUTABLE);
    }
}

/// Labels: names and values.
pub(crate) fn labels(at: &Node, causes: &mut Causes) {
    for (key, value) in at.entries() {
        for wrong in names::qualified(key) {
            causes.invalid_value(at, key, &wrong);
        }
        for wrong in names::label_value(value.text()) {
            causes.invalid_value(at, value.text(), &wrong);
        }
    }
}

/// A label selector.
pub(crate) fn selector(at: &Node, causes: &mut Causes) {
    labels(&at.get("matchLabels"), causes);
    let expressions = at.get("matchExpressions");
    for expression in expressions.items() {
        let (operator, values) = (expression.get("operator"), expression.get("values"));
        match operator.text() {
            "In" | "NotIn" if values.is_empty() => {
                causes.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                causes.forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => causes.invalid_value(&operator, other, "not a valid selector operator"),
        }
        named(&expression.get("key"), names::qualified, causes);
        values.items().for_each(|value| named(&value, names::label_value, causes));
    }
}

/// Whether it can select at all: its expressions make sense.
pub(crate) fn is_selector(at: &Node) -> bool {
    let mut causes = Causes::default();
    selector(at, &mut causes);
    causes.0.is_empty()
}

/// Whether a label selector takes these labels; nothing at all selects nothing.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    wanted.clone().all(|(key, value)| labels.get(key) == Some(value))
        && expressions.clone().all(|expression| {
            let found = expression["key"].as_str().and_then(|key| labels.get(key));
            let listed =
                found.is_some_and(|found| expression["values"].as_array().is_some_and(|all| all.contains(found)));
            match expression["operator"].as_str().unwrap_or_default() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

/// A value as messages show it: maps in the order of their keys.
pub(crate) fn shown(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
            // Fields of a selector have an order of their own.
            sorted.sort_by_key(|(key, _)| (key.as_str() != "matchLabels", key.as_str()));
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), shown(value))).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// An amount that can be read. What cannot is told.
pub(crate) fn amount(at: &Node, causes: &mut Causes) -> Option<Quantity> {
    match quantity::from_value(at.value) {
        Ok(amount) => Some(amount),
        Err(error) => {
            causes.invalid(at, &error.to_string());
            None
        }
    }
}

/// An amount of a resource: not negative, and whole where only whole ones make sense.
pub(crate) fn resource_amount(name: &str, at: &Node, causes: &mut Causes) -> Option<Quantity> {
    const WHOLE: [&str; 10] = [
        "pods",
        "services",
        "secrets",
        "configmaps",
        "resourcequotas",
        "replicationcontrollers",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
        "count",
    ];
    let amount = amount(at, causes)?;
    if amount.is_negative() {
        causes.invalid_value(at, amount.to_string(), NOT_NEGATIVE);
    }
    let whole = WHOLE.contains(&name) || name.starts_with("count/") || is_extended(name);
    if whole && !amount.is_whole() {
        causes.invalid_value(at, amount.to_string(), "must be an integer");
    }
    Some(amount)
}

fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

/// More than nothing.
pub(crate) fn positive_amount(at: &Node, causes: &mut Causes) {
    if let Some(amount) = amount(at, causes).filter(|amount| *amount <= Quantity::ZERO) {
        causes.invalid_value(at, amount.to_string(), "must be greater than zero");
    }
}

/// The name of a resource, standard or with a domain; true when there was nothing to tell.
pub(crate) fn resource_name(at: &Node, name: &str, standard: &[&str], causes: &mut Causes) -> bool {
    let wrong = names::qualified(name);
    for each in &wrong {
        causes.invalid_value(at, name, each);
    }
    let unknown = wrong.is_empty() && !name.contains('/') && !is_standard(name, standard);
    if unknown {
        causes.invalid_value(at, name, "must be a standard resource type or fully qualified");
    }
    wrong.is_empty() && !unknown
}

fn is_standard(name: &str, more: &[&str]) -> bool {
    const STANDARD: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "storage"];
    STANDARD.contains(&name) || more.contains(&name) || name.starts_with("hugepages-")
}

/// The name of a resource that a container can use.
pub(crate) fn container_resource_name(at: &Node, name: &str, causes: &mut Causes) {
    resource_name(at, name, &QUOTA_RESOURCES, causes);
    let known = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if !name.contains('/') && !known {
        causes.invalid_value(at, name, "must be a standard resource for containers");
    } else if name.starts_with("requests.") {
        causes.invalid_value(at, name, "doesn't follow extended resource name standard");
    }
}

/// Resources that a quota can count, beside those of containers.
pub(crate) const QUOTA_RESOURCES: [&str; 17] = [
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "limits.storage",
];

/// A relative path that does not climb.
pub(crate) fn descending_path(at: &Node, causes: &mut Causes) {
    if at.text().starts_with('/') {
        causes.invalid(at, "must be a relative path");
    }
    no_backsteps(at, causes);
}

/// A path that does not climb.
pub(crate) fn no_backsteps(at: &Node, causes: &mut Causes) {
    if at.text().split('/').any(|step| step == "..") {
        causes.invalid(at, "must not contain '..'");
    }
}

/// As [`descending_path`], and its name is not reserved.
pub(crate) fn local_path(at: &Node, causes: &mut Causes) {
    descending_path(at, causes);
    // "..": told already.
    if at.text().starts_with("..") && !at.text().starts_with("../") && at.text() != ".." {
        causes.invalid(at, "must not start with '..'");
    }
}

/// An IP address; gives it when it is one.
pub(crate) fn address(at: &Node, causes: &mut Causes) -> Option<IpAddr> {
    let address = at.text().parse().ok();
    if address.is_none() {
        causes.invalid_value(at, at.text(), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }
    address
}

/// An address that others can reach.
pub(crate) fn endpoint_address(at: &Node, causes: &mut Causes) {
    let Some(address) = address(at, causes) else { return };
    if address.is_unspecified() {
        causes.invalid(at, &format!("may not be unspecified ({address})"));
    }
    if address.is_loopback() {
        causes.invalid(at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if let IpAddr::V4(address) = address {
        if address.is_link_local() {
            causes.invalid(at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
        }
        if address.octets()[..3] == Ipv4Addr::new(224, 0, 0, 0).octets()[..3] {
            causes.invalid(at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
        }
    }
}

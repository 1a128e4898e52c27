//! Slices of a service's endpoints.

use crate::edit::list;
use crate::edit::{fill, items};
use crate::rules::Rules;
use crate::shown::{self, AGE, NAME, column};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules =
    Rules { default, has_generation: true, is_new_generation, columns: COLUMNS, cells, ..Rules::NONE };

const COLUMNS: &[Column] = &[
    NAME,
    column("AddressType", "Kind of addresses."),
    column("Ports", "Ports of the endpoints."),
    column("Endpoints", "Addresses of the endpoints."),
    AGE,
];

fn default(slice: &mut Value) {
    for port in items(slice, "ports") {
        fill(port, "name", "");
        fill(port, "protocol", "TCP");
    }
}

fn is_new_generation(old: &Value, new: &Value) -> bool {
    let changed = |field: &str| old.get(field) != new.get(field);
    changed("endpoints") || changed("ports") || old["metadata"].get("labels") != new["metadata"].get("labels")
}

fn cells(slice: &Value, now: Timestamp) -> Vec<Value> {
    let port = |port: &Value| match (port["port"].as_i64(), port.get("name").and_then(Value::as_str)) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let ports: Vec<String> = list(slice, "ports").iter().map(port).collect();
    let addresses = list(slice, "endpoints").iter().flat_map(|endpoint| list(endpoint, "addresses"));
    let addresses: Vec<String> = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
    vec![
        shown::name(slice),
        slice["addressType"].clone(),
        shown::first_three(&ports).into(),
        shown::first_three(&addresses).into(),
        shown::age(slice, now),
    ]
}

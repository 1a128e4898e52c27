//! Quotas of resources.

use crate::edit::text;
use crate::rules::Rules;
use crate::shown::{self, AGE, NAME, column, or};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { has_status: true, columns: COLUMNS, cells, ..Rules::NONE };

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

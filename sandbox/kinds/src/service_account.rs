//! Service accounts.

use crate::edit::list;
use crate::rules::Rules;
use crate::shown::{self, AGE, NAME, column};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { columns: COLUMNS, cells, ..Rules::NONE };

const COLUMNS: &[Column] = &[NAME, column("Secrets", "Number of secrets."), AGE];

fn cells(account: &Value, now: Timestamp) -> Vec<Value> {
    vec![shown::name(account), list(account, "secrets").len().into(), shown::age(account, now)]
}

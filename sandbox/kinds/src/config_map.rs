//! Configuration maps.

use crate::rules::Rules;
use crate::shown::{self, AGE, NAME, column};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { columns: COLUMNS, cells, ..Rules::NONE };

const COLUMNS: &[Column] = &[NAME, column("Data", "Number of entries."), AGE];

fn cells(map: &Value, now: Timestamp) -> Vec<Value> {
    let count = |field: &str| map[field].as_object().map_or(0, serde_json::Map::len);
    vec![shown::name(map), (count("data") + count("binaryData")).into(), shown::age(map, now)]
}

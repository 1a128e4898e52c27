//! Configuration maps.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules { type_name: "ConfigMap", ..Rules::NONE };

//! config_map.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules::NONE;

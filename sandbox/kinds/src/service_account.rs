//! Service accounts.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules::NONE;

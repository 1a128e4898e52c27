//! Quotas of resources.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules { has_status: true, ..Rules::NONE };

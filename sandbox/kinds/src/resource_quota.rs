//! Quotas of resources.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules { type_name: "ResourceQuota", has_status: true, ..Rules::NONE };

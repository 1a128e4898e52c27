//! role_binding.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules::NONE;
pub(crate) static CLUSTER_RULES: Rules = Rules::NONE;

//! Roles, in one namespace and everywhere.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules::NONE;
pub(crate) static ROLE_RULES: Rules = Rules::NONE;

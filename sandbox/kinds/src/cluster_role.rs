//! Roles, in one namespace and everywhere.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules { type_name: "ClusterRole", ..Rules::NONE };
pub(crate) static ROLE_RULES: Rules = Rules { type_name: "Role", ..Rules::NONE };

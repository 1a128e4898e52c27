//! Questions to the API server about who somebody is and what they may do: answered, not kept.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules::NONE;
pub(crate) static TOKEN_RULES: Rules = Rules::NONE;
pub(crate) static ACCESS_RULES: Rules = Rules::NONE;

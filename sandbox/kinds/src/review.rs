//! review.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules::NONE;
pub(crate) static TOKEN_RULES: Rules = Rules::NONE;
pub(crate) static ACCESS_RULES: Rules = Rules::NONE;

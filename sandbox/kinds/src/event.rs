//! Events of the core group, and the same objects under their new name.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules::NONE;
pub(crate) static NEW_RULES: Rules = Rules::NONE;

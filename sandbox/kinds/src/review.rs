//! Questions to the API server about who somebody is and what they may do: answered, not kept.

use crate::rules::Rules;

pub(crate) static RULES: Rules = Rules { type_name: "SelfSubjectReview", ..Rules::NONE };
pub(crate) static TOKEN_RULES: Rules = Rules { type_name: "TokenReview", ..Rules::NONE };
pub(crate) static ACCESS_RULES: Rules = Rules { type_name: "SelfSubjectAccessReview", ..Rules::NONE };

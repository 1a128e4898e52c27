//! Pods.

use crate::rules::Rules;

mod helpers;
pub use helpers::*;

pub(crate) static RULES: Rules = Rules::NONE;

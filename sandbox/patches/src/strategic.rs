//! Strategic merge patch: a merge patch that knows list keys and directives.

use schema::Type;
use serde_json::Value;

use crate::PatchError;

/// Applies a strategic merge patch to an object of that type.
pub fn strategic_merge(_ty: &Type, _object: &Value, _patch: &Value) -> Result<Value, PatchError> {
    Err(PatchError::Unprocessable("strategic merge patches are not built yet".to_owned()))
}

//! Server-side apply.

use schema::Type;
use serde_json::Value;

/// One server-side apply.
#[derive(Debug, Clone, Copy)]
pub struct Apply<'a> {
    /// The object's kind.
    pub ty: &'static Type,
    /// The object as it is stored; `None` when the apply creates it.
    pub live: Option<&'a Value>,
    /// What the manager wants.
    pub config: &'a Value,
    /// Who applies.
    pub manager: &'a str,
    /// Take over fields that others own.
    pub force: bool,
    /// The time for the manager's entry, RFC 3339 to the second.
    pub now: &'a str,
    /// The subresource that is written, such as `status`.
    pub subresource: Option<&'a str>,
}

/// A field that another manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other manager, as messages name it: `"kubectl" using apps/v1`, with subresource and time where needed.
    pub manager: String,
    /// The field, such as `.spec.replicas`.
    pub field_path: String,
}

/// Why an apply was refused.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Others own these fields: 409 `Conflict`, one cause `FieldManagerConflict` for each.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The configuration is not acceptable, such as one with managedFields: 400 `BadRequest`.
    #[error("{0}")]
    BadRequest(String),
    /// The configuration does not fit the kind's schema: 500, as the API server answers.
    #[error("{0}")]
    Schema(String),
}

/// The API server's words for conflicts.
fn conflict_message(conflicts: &[Conflict]) -> String {
    format!("Apply failed with {} conflicts", conflicts.len())
}

/// Applies a configuration; the answer is the new object with its managedFields, not defaulted yet.
/// The same value as `live` means that nothing changes.
pub fn apply(_request: Apply<'_>) -> Result<Value, ApplyError> {
    Err(ApplyError::BadRequest("server-side apply is not built yet".to_owned()))
}

/// Notes in `new`'s managedFields what a write other than apply changed.
/// `new` must be defaulted already. A write that changes nothing leaves managedFields as they were.
pub fn record_update(_ty: &'static Type, _old: Option<&Value>, _new: &mut Value, _manager: &str, _now: &str, _subresource: Option<&str>) {}

//! Merges of Kubernetes objects: JSON patch, merge patch, strategic merge patch, server-side apply.

mod apply;
mod json;
mod strategic;

pub use apply::{Apply, ApplyError, Conflict, apply, record_update};
pub use json::{json_patch, merge_patch};
pub use strategic::strategic_merge;

/// Why a patch could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is not well formed: the API server answers 400 `BadRequest`.
    #[error("{0}")]
    Malformed(String),
    /// The patch does not fit the object, such as a test that fails: the API server answers 422 `Invalid`.
    #[error("{0}")]
    Unprocessable(String),
}

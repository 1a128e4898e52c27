//! Merges of Kubernetes objects: JSON patch, merge patch, strategic merge patch, server-side apply.
//!
//! Everything here is pure: objects in, objects out. The kinds' types come from `schema`.

mod apply;
mod compare;
mod element;
mod fields;
mod json;
mod managed;
mod merge;
mod shapes;
mod strategic;
mod update;

pub use apply::{Apply, ApplyError, Conflict, apply, same_but_times};
pub use json::{json_patch, merge_patch};
pub use shapes::go_text;
pub use strategic::strategic_merge;
pub use update::record_update;

/// Why a patch could not be applied; the texts are the API server's.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is not well formed: the API server answers 400 `BadRequest`.
    #[error("{0}")]
    Malformed(String),
    /// The patch does not fit the object, such as a test that fails: the API server answers 422 `Invalid`.
    #[error("{0}")]
    Unprocessable(String),
    /// The patch has too many operations: the API server answers 413 `RequestEntityTooLarge`.
    #[error("{0}")]
    TooLarge(String),
    /// The lists cannot be merged, such as when an element has no merge key: the API server answers 500 without a reason.
    #[error("{0}")]
    Unmergeable(String),
}

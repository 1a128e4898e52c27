//! The sandbox's kinds as data: fields, types, list keys, required fields.
//!
//! The data is a small text file that `build-data` derives from Kubernetes' published API description. It is read when the
//! first kind is asked for, and everything is shared: a kind costs nothing more.

mod check;
mod json_problem;
mod load;
mod normalize;
mod openapi;
mod types;

pub mod quantity;

pub use check::{Problem, check};
pub use json_problem::json_problem;
pub use normalize::{normalize, zero};
pub use openapi::openapi_v3;
pub use types::{Empty, Field, ListKind, Shape, Strategy, Type};

/// The schema of a root kind, such as `("apps", "v1", "Deployment")`; `None` for kinds that the sandbox does not have.
pub fn kind(group: &str, version: &str, kind: &str) -> Option<&'static Type> {
    let root = load::ROOTS.iter().find(|root| root.kind == kind && root.group == group && root.version == version)?;
    Some(root.ty)
}

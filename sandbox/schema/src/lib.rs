//! The sandbox's kinds as data: fields, types, list keys, required fields.

use serde_json::Value;

mod check;
mod types;

pub use check::{Problem, check};
pub use types::{Field, ListKind, Shape, Strategy, Type};

/// The schema of a root kind, such as `("apps", "v1", "Deployment")`; `None` for kinds that the sandbox does not have.
pub fn kind(_group: &str, _version: &str, _kind: &str) -> Option<&'static Type> {
    None
}

/// The `OpenAPI` v3 document of a group version such as `v1` or `apps/v1`: what kubectl looks up before it writes.
pub fn openapi_v3(_group_version: &str) -> Option<Value> {
    None
}

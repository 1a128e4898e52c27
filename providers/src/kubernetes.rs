//! One Kubernetes API server: apply, look, watch, delete, logs and forwarded ports.
//!
//! Objects are plain JSON values, metadata is `k8s-openapi`'s type, errors are [`KubernetesError`]; the SDK stays inside.

mod client;
mod error;
mod forward;
mod identity;
mod kinds;
mod logs;
mod objects;
mod tokens;
mod transport;
mod watch;

pub use client::{Client, Clients};
pub use error::{FieldConflict, FieldError, KubernetesError};
pub use forward::{Forward, ForwardTarget, Port};
pub use identity::{Identity, Kind};
pub use logs::{LogLine, LogOptions};
pub use objects::{Conflicts, FIELD_MANAGER, Propagation, Selection};
pub use tokens::BearerTokens;
pub use watch::Change;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

//! The sandbox's API server: store, verbs, watches, admission, authentication, authorization.
//!
//! [`Api`] is the whole of it in process; [`serve`] opens it to `kubectl` and others over HTTPS. Both take the same way
//! through defaulting, admission and validation.

mod admission;
mod api;
mod authentication;
mod chunks;
mod credentials;
mod delete;
mod labels;
mod metadata;
mod notice;
mod options;
mod patched;
mod rbac;
mod scale;
mod selectors;
mod serve;
mod status;
mod store;
pub mod streams;
mod user;
mod watch;
mod write;

pub use admission::{Attempt, Operation};
pub use api::{Api, Closing, OpenError, Options};
pub use authentication::{Token, TokenRequest, service_account_token};
pub use credentials::{Credentials, CredentialsError, Identity};
pub use notice::Notice;
pub use options::{
    DeleteOptions, Deleted, List, ListOptions, Patch, Propagation, Validation, VersionMatch, WatchOptions, WriteOptions,
};
pub use rbac::{Attributes, Decision, allowed, default_roles};
pub use selectors::{FieldSelector, Selector};
pub use serve::serve;
pub use status::{Details, Status};
pub use store::{Changed, Changes, DiskError};
pub use user::User;
pub use watch::{EventKind, Watch, WatchEvent};

//! What the sandbox knows of each kind: names, defaults, validation, table columns.
//!
//! Everything here is pure: objects are JSON values, time is an argument, and nothing is read or written elsewhere.
//! A request runs through the steps in this order: [`default`], admission, metadata filled in by the caller (name, uid,
//! creation time), [`prepare_create`] or [`prepare_update`], [`validate_create`] or [`validate_update`].

mod amounts;
mod cause;
mod checks;
mod difference;
mod edit;
mod metadata;
mod names;
mod node;
mod refused;
mod resource;
mod rules;
mod shown;
mod steps;
mod table;
mod table_columns;

pub mod pod;
pub mod service;

mod cluster_role;
mod config_map;
mod deployment;
mod endpoint_slice;
mod event;
mod job;
mod job_policy;
mod limit_range;
mod namespace;
mod node_kind;
mod persistent_volume;
mod persistent_volume_claim;
mod replica_set;
mod replication_controller;
mod resource_quota;
mod review;
mod role_binding;
mod secret;
mod service_account;
mod service_checks;
mod storage_class;

pub use cause::{Cause, summary};
pub use refused::refused;
pub use resource::{Resource, Subresource};
pub use schema::quantity;
pub use shown::duration;
pub use steps::{
    cells, columns, default, field_label, prepare_create, prepare_update, validate_create, validate_update,
};
pub use table::*;
pub use table_columns::Column;

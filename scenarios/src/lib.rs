//! The scenario file: its schema, its checks, and the graph that it means.
//!
//! [`load`] reads a scenario folder and reports everything that is wrong in it at once, each problem with its place. [`lower`]
//! makes the engine's graph of a scenario and a target. Neither changes anything in the world. [`register`] adds the behaviour of
//! the one kind of node that is the scenario's own: a variable whose value is not the default.

mod files;
mod gke;
mod load;
mod lower;
mod manifest;
mod problems;
mod reader;
mod report;
mod scenario;
mod schema;
mod variable;
mod vars;
mod words;
mod workspace;
mod yaml;

pub use load::{load, load_with};
pub use lower::{GcpTarget, LowerError, Lowered, ServiceAddress, Target, lower};
pub use manifest::{Identity, Manifest};
pub use report::{Problem, Report};
pub use scenario::{
    BoundDisk, BoundFilestore, Check, CheckKind, Cluster, CopiedFiles, GkePart, Image, ImageSource, KindPart,
    LocalPort, NodeSize, Object, PoolPart, Provider, Scenario, ServicePort, StaticAddress, Step, WantedPoolSize,
    WantedZones,
};
pub use schema::SCHEMA;
pub use variable::{register, set_values};
pub use vars::{Values, Variable};

//! Kubernetes objects: apply, wait and explain, logs, forward, checks.
//!
//! [`declare`] puts a scenario's manifests into a graph, [`register`] gives the behaviour of its nodes: `object`, `ready` and `check`.

mod check;
mod declare;
mod discover;
mod drift;
mod explain;
mod failure;
mod follow;
mod forward;
mod immutable;
mod judge;
mod leave;
mod listing;
mod load_balancer;
mod logs;
mod manifest;
mod object;
mod observer;
mod owned;
mod quantity;
mod ready;
mod scene;
mod spec;
mod status;
mod vault;

pub use check::CheckError;
pub use declare::{DeclareError, declare, file_server_claim};
pub use discover::discover;
pub use failure::ObjectError;
pub use forward::forward;
pub use load_balancer::{LoadBalancer, load_balancers};
pub use logs::{Line, LogSelection, logs};
pub use manifest::DEPLOYMENT_LABEL;
pub use ready::ReadyError;
pub use spec::{
    Check, DiskVolume, Expectation, FileServer, Manifest, NodePort, NodeVolume, Question, SharedVolume, Spec,
    StaticAddress, Step,
};
pub use status::{PodStatus, WorkloadStatus, status};
pub use vault::{SEAL, Unknown, Vault};

use engine::Registry;
use providers::kubernetes::Clients;

/// Sets the behaviour of `object`, `ready` and `check` nodes. The vault is the one that [`declare`] was given.
pub fn register(registry: &mut Registry, clients: &Clients, vault: &Vault) {
    registry.register(
        "object",
        object::Object { clients: clients.clone(), listings: listing::Listings::default(), vault: vault.clone() },
    );
    registry.register("ready", ready::Ready { clients: clients.clone(), vault: vault.clone() });
    registry.register("check", check::Check { clients: clients.clone() });
}

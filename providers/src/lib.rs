//! The outside world, one client each: calls, error mapping, retry, wait, labels; no policy and no engine.

pub mod blobs;
pub mod credentials;
pub mod docker;
pub mod gate;
#[cfg(feature = "gcp")]
pub mod gcp;
pub mod kind;
pub mod kubeconfig;
pub mod kubernetes;
pub mod ports;
pub mod program;
pub mod registry;
pub mod retry;
pub mod wait;

//! The sandbox's kubelet: pods, probes, restarts, volumes, logs.
//!
//! [`Kubelet::start`] registers a node and runs every pod that is bound to it, through [`runtime`]. A pod's life is decided by
//! a machine without clock and processes; a worker for each pod does what it decides.

mod environment;
mod events;
mod fields;
mod http;
mod images;
mod kubelet;
mod logs;
mod machine;
mod node;
mod objects;
mod pod;
mod read;
mod security;
mod shared;
mod streams;
mod volumes;

pub use images::{FolderImages, Image, ImageError, Images, InvalidReference, PullPolicy, Reference};
pub use kubelet::{Kubelet, KubeletOptions};

//! The sandbox's kubelet: pods, probes, restarts, volumes, logs.
//!
//! [`Kubelet::start`] registers nodes and runs every pod that is bound to one of them, through [`runtime`]. A pod's life is decided by
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
mod nodes;
mod objects;
mod pod;
mod read;
mod security;
mod shape;
mod shared;
mod streams;
mod volumes;

pub use images::{
    Fetched, FolderImages, Image, ImageError, Images, InvalidReference, Login, NodeCredential, PullPolicy,
    PulledImages, Reference, RegistryMirror, WantedImage,
};
pub use kubelet::{Kubelet, KubeletOptions};
pub use shape::{InvalidNodes, MOST_NODES, NodeShape, Taint};
pub use volumes::Disks;

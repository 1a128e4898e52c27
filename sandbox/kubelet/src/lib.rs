//! The sandbox's kubelet: pods, probes, restarts, volumes, logs.

mod environment;
mod fields;
mod images;
mod machine;
mod objects;
mod read;
mod security;
mod volumes;

pub use images::{FolderImages, Image, ImageError, Images, InvalidReference, PullPolicy, Reference};

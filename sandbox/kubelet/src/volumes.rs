//! Volumes of pods.

mod contents;
mod writer;

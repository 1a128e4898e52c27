//! A recurrent network that reads a picture of a digit row by row, and the folder in which it is kept.
//!
//! The trainer makes a [`Classifier`] and puts it into a [`Store`]; the server takes the newest out of it.

mod classifier;
mod store;

pub use classifier::{Classifier, ModelError, batch};
pub use digits::{CLASSES, PIXELS, Random, SIDE, StoreError, sha256, write_atomically};
pub use store::{EpochMetrics, Metrics, Store, Stored};

//! A recurrent network that reads a picture of a digit row by row, and the folder in which it is kept.
//!
//! The trainer makes a [`Classifier`] and puts it into a [`Store`]; the server takes the newest out of it.

mod classifier;
mod random;
mod store;

pub use classifier::{CLASSES, Classifier, ModelError, PIXELS, SIDE, batch};
pub use random::Random;
pub use store::{EpochMetrics, Metrics, Store, StoreError, Stored, sha256, write_atomically};
